"""HTML read back as a tree, strictly: what is opened is closed, in order."""

from __future__ import annotations

from collections.abc import Iterator
from html.parser import HTMLParser

_VOID = frozenset({"meta", "link"})


class Tag:
    """An element with its attributes; `told` is all the text in it."""

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.content: list[Tag | str] = []

    @property
    def told(self) -> str:
        return "".join(each if isinstance(each, str) else each.told for each in self.content)

    @property
    def classes(self) -> list[str]:
        return self.attributes.get("class", "").split()

    def every(self, name: str | None = None, **attributes: str) -> list[Tag]:
        """All elements in it with this name and these attributes; `class_` is one class of several."""
        wanted = attributes.pop("class_", None)
        return [
            tag
            for tag in self._all()
            if name in (None, tag.name)
            and (wanted is None or wanted in tag.classes)
            and all(tag.attributes.get(key) == value for key, value in attributes.items())
        ]

    def one(self, name: str | None = None, **attributes: str) -> Tag:
        (found,) = self.every(name, **attributes)
        return found

    def _all(self) -> Iterator[Tag]:
        for each in self.content:
            if isinstance(each, Tag):
                yield each
                yield from each._all()


def read(html: str) -> Tag:
    """The document as a tree."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert len(parser.open) == 1, f"left open: {[tag.name for tag in parser.open]}"
    return parser.open[0]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Tag("document", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        made = Tag(tag, {name: value or "" for name, value in attrs})
        self.open[-1].content.append(made)
        if tag not in _VOID:
            self.open.append(made)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].name == tag, f"</{tag}> ends <{self.open[-1].name}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].content.append(data)
