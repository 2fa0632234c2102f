"""HTML that is safe by its type: plain text is cleaned and escaped wherever it goes in, and only `Markup` goes in as it is."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TypeAlias, Union

from pvectl.core.text import clean

_LONGEST = 2000
_VOID = frozenset({"meta", "link", "rect", "path", "circle", "use"})
"""Elements without content; those of SVG are closed like those of HTML, which its parser accepts."""


class Markup(str):
    """HTML made by `element` or `text`; nothing else may make it."""

    __slots__ = ()


Content: TypeAlias = Union[str, "Iterable[Content]", None]
"""What can stand in an element; None and "" are nothing."""


def element(name: str, /, *content: Content, **attributes: str | float | None) -> Markup:
    """`<name …>…</name>`. An underscore in an attribute's name is a hyphen, one at its end is not there; None: no such attribute."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(f"{value:g}" if isinstance(value, float) else str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{joined(content)}</{name}>")


def joined(content: Content) -> Markup:
    """All of it, one after the other."""
    if content is None:
        return Markup()
    if isinstance(content, Markup):
        return content
    if isinstance(content, str):
        return text(content)
    return Markup("".join(joined(each) for each in content))


def text(told: str) -> Markup:
    """Text from anywhere as text: what steers is spelled out, what would be markup is escaped, and no name fills the page."""
    if len(told) > _LONGEST:
        told = told[:_LONGEST] + "…"
    return Markup(escape(clean(told), quote=True))


def name_of(told: str) -> Markup:
    """A name somebody chose, kept from turning round the line it stands in."""
    return element("bdi", told)
