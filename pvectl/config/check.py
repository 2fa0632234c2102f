"""A document held against the schema: every problem at once, each with its place, or the value it means."""

from __future__ import annotations

import types
from collections.abc import Iterable
from collections.abc import Mapping as MappingOf
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields

from pvectl.config import durations
from pvectl.config.document import Mapping, Mark, Node, Scalar, Sequence
from pvectl.config.problems import WRONG, Misspelt, PartlyWrong, Problem, is_wrong, nearest, shown, shown_key
from pvectl.config.rules import RULES
from pvectl.config.schema import KEY_HINTS, NOT_A_MAP
from pvectl.config.spelling import SCALAR_FORMS, TEXT_FORMS
from pvectl.core.secret import Secret

S = TypeVar("S", bound=Struct)

_BOOLEAN_WORDS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
_FORMS = {"duration": durations.EXPECTED, "time-of-day": "a time of day", "selector": "a vmid or a selector", "path": "the path of a file"}
_SHORT = 20
_ENOUGH = 200
"""Problems after which nobody reads on, and a file full of them must not take minutes."""
_KINDS = {"str": "text", "int": "a number", "float": "a number", "bool": "true or false", "null": "nothing"}


class Checked(Struct, frozen=True, kw_only=True):
    """What came of a check: `value` is None exactly when there are problems; `marks` say where each path stands."""

    value: Any
    problems: tuple[Problem, ...]
    marks: MappingOf[str, Mark]


def check(document: Node, struct: type[Struct], file: str) -> Checked:
    """Hold a document against a Struct."""
    reader = _Reader(file)
    value = reader.read(document, struct, (), "")
    return Checked(value=None if reader.problems else value, problems=tuple(reader.problems), marks=reader.marks)


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.marks: dict[str, Mark] = {}

    def wrong(self, mark: Mark, path: str, message: str, hint: str | None = None) -> object:
        self.problems.append(Problem(file=self.file, line=mark.line, column=mark.column, path=path, message=message, hint=hint))
        return WRONG

    def read(self, node: Node, of: Any, metas: tuple[Meta, ...], path: str) -> Any:
        of, more = _unwrapped(of, map_given=isinstance(node, Mapping))
        metas += more
        self.marks.setdefault(path, node.mark)
        origin = get_origin(of)
        if _is_section(of):
            return self.section(node, of, path)
        if origin in (Union, types.UnionType):
            return self.kind_of_section(node, get_args(of), path)
        if origin is tuple:
            return self.several(node, get_args(of)[0], metas, path)
        if origin is dict:
            return self.named(node, get_args(of)[1], metas, path)
        if not isinstance(node, Scalar):
            hint = "put it in quotes" if of is str else None
            return self.wrong(node.mark, path, f"expected {_expected(of, metas)}, got {_found(node)}", hint)
        return self.single(node, of, metas, path)

    def kind_of_section(self, node: Node, kinds: Iterable[type[Struct]], path: str) -> Any:
        """One of several kinds of section, by the key that says which."""
        structs = {str(kind.__struct_config__.tag): kind for kind in kinds}
        key = str(next(iter(structs.values())).__struct_config__.tag_field)
        told = f"{key} is one of {', '.join(structs)}"
        if not isinstance(node, Mapping):
            return self.wrong(node.mark, path, f"expected a map, got {_found(node)}", f"write {{{key}: ..., ...}}; {told}")
        given = node.get(key)
        if given is None or _is_null(given.value):
            close = next((entry for entry in node.entries if entry.key != key and nearest(entry.key, [key])), None)
            mark, hint = (close.mark, f"did you mean {key}?") if close and shown_key(close.key) else (node.mark, told)
            return self.wrong(mark, path, f"lacks {key}", hint)
        self.marks[_joined(path, key)] = given.value.mark
        if not isinstance(given.value, Scalar):
            return self.wrong(given.value.mark, _joined(path, key), f"expected a word, got {_found(given.value)}", told)
        if given.value.text not in structs:
            nearby = nearest(given.value.text, structs)
            hint = f"did you mean {nearby}? {told}" if nearby else told
            return self.wrong(given.value.mark, _joined(path, key), f"there is no {key} {shown(given.value.text)}", hint)
        return self.section(node, structs[given.value.text], path)

    def section(self, node: Node, struct: type[Struct], path: str) -> Any:
        if not isinstance(node, Mapping):
            message, hint = NOT_A_MAP.get(struct) or (
                f"expected a map, got {_found(node)}",
                _known(info.encode_name for info in fields(struct)),
            )
            return self.wrong(node.mark, path, message, hint)
        known = {info.encode_name: info for info in fields(struct)}
        given: dict[str, Any] = {}
        meant: dict[str, Any] = {}
        for entry in node.entries:
            if len(self.problems) >= _ENOUGH:
                return WRONG
            if entry.key == struct.__struct_config__.tag_field:
                continue
            info = known.get(entry.key)
            if info is None:
                self.unknown_key(entry.key, entry.mark, struct, known, path)
                # a misspelt key was given all the same; complaining that it is missing would only distract
                if (close := nearest(entry.key, known)) or struct in NOT_A_MAP:
                    meant[close or entry.key] = WRONG
            elif _is_null(entry.value) and _extra(_unwrapped(info.type)[1], "null"):
                # here nothing is something else than the default
                self.marks[_joined(path, entry.key)] = entry.value.mark
                given[entry.key] = None
            elif not (_is_null(entry.value) and not info.required):
                given[entry.key] = self.read(entry.value, info.type, (), _joined(path, entry.key))
        given = meant | given
        for info in known.values():
            if info.required and info.encode_name not in given:
                given[info.encode_name] = self.wrong(node.mark, path, f"lacks {info.encode_name}", _example(info))
        for remark in RULES[struct](given) if struct in RULES else ():
            where = _joined(path, remark.key) if remark.key else path
            self.wrong(self.marks.get(where, node.mark), where, remark.message, remark.hint)
        if any(map(is_wrong, given.values())):
            return WRONG
        return struct(**{known[key].name: value for key, value in given.items()})

    def unknown_key(self, key: str, mark: Mark, struct: type[Struct], known: MappingOf[str, FieldInfo], path: str) -> None:
        name = shown_key(key)
        if name is None:
            self.wrong(mark, path, "a key stands here that is not known", "a space must follow the colon" if ":" in key else _known(known))
            return
        close = nearest(key, known)
        if struct in NOT_A_MAP and not close and key not in KEY_HINTS.get(struct, {}):
            # {my-topic} is a map with this key in YAML: it may be what must not be shown
            self.wrong(mark, path, "a key stands here that is not known", NOT_A_MAP[struct][1])
            return
        hint = KEY_HINTS.get(struct, {}).get(key) or (f"did you mean {close}?" if close else _known(known))
        self.wrong(mark, _joined(path, name), "unknown key", hint)

    def several(self, node: Node, of: Any, metas: tuple[Meta, ...], path: str) -> Any:
        one = isinstance(node, Scalar) or (isinstance(node, Mapping) and _is_section(_unwrapped(of)[0]))
        if one and not _is_null(node) and _extra(metas, "one"):
            alone = self.read(node, of, (), path)
            return WRONG if is_wrong(alone) else (alone,)
        if not isinstance(node, Sequence):
            hint = "write it in brackets: [..., ...]" if isinstance(node, Scalar) and not _is_null(node) else None
            if isinstance(node, Mapping) and _is_section(_unwrapped(of)[0]):
                hint = "write a dash before each of them: - {...}"
            return self.wrong(node.mark, path, f"expected a list, got {_found(node)}", hint)
        values = tuple(self.read(item, of, (), f"{path}[{index}]") for index, item in enumerate(node.items))
        least = _limit(metas, "min_length")
        if least is not None and len(values) < least:
            return self.wrong(node.mark, path, "is an empty list", "give at least one")
        return PartlyWrong(values) if any(map(is_wrong, values)) else values

    def named(self, node: Node, of: Any, metas: tuple[Meta, ...], path: str) -> Any:
        if not isinstance(node, Mapping):
            hint = "write each under its name: NAME: {...}" if isinstance(node, Sequence) else None
            return self.wrong(node.mark, path, f"expected a map of names, got {_found(node)}", hint)
        form = TEXT_FORMS.get(_extra(metas, "key") or "")
        values: dict[str, Any] = {}
        for entry in node.entries:
            try:
                name = form(entry.key) if form else entry.key
            except Misspelt as error:
                self.wrong(entry.mark, path, error.message, error.hint)
                values[entry.key] = WRONG
                continue
            values[name] = self.read(entry.value, of, (), _joined(path, name))
        return PartlyWrong(values) if any(map(is_wrong, values.values())) else values

    def single(self, node: Scalar, of: Any, metas: tuple[Meta, ...], path: str) -> Any:
        form = _extra(metas, "form")
        if of is Secret:
            return self.secret(node, metas, path)
        if _is_null(node):
            return self.wrong(node.mark, path, f"is empty, expected {_expected(of, metas)}")
        if form in SCALAR_FORMS:
            value = self.formed(SCALAR_FORMS[form], node, node, path)
            return self.limited_duration(value, metas, node, path) if form == "duration" and value is not WRONG else value
        if get_origin(of) is Literal:
            return self.choice(node, of, metas, path)
        if of is bool:
            return node.text.lower() == "true" if node.kind == "bool" else self.not_boolean(node, path)
        if of in (int, float):
            return self.number(node, of, metas, path)
        if node.kind != "str":
            return self.wrong(
                node.mark,
                path,
                f"expected text, got {_found(node)}",
                f'put it in quotes: "{node.text}"' if len(node.text) < _SHORT else "put it in quotes",
            )
        if len(node.text) < (_limit(metas, "min_length") or 0) and form != "host":
            return self.wrong(node.mark, path, "is empty")
        if form == "path" and not node.text.strip():
            return self.wrong(node.mark, path, "is empty, expected the path of a file")
        if "\0" in node.text:
            return self.wrong(node.mark, path, "holds a NUL character")
        return self.formed(TEXT_FORMS[form], node.text, node, path) if form in TEXT_FORMS else node.text

    def formed(self, form: Any, argument: Any, node: Scalar, path: str) -> Any:
        try:
            return form(argument)
        except Misspelt as error:
            return self.wrong(node.mark, path, error.message, error.hint)

    def secret(self, node: Scalar, metas: tuple[Meta, ...], path: str) -> Any:
        """Whatever is wrong with it, the message never repeats it."""
        if not node.text.strip() or node.kind == "null":
            hint = None if _extra(metas, "what") else "Proxmox VE showed it once, when the token was made"
            return self.wrong(node.mark, path, f"is empty, expected {_expected(Secret, metas)}", hint)
        if node.kind != "str":
            return self.wrong(node.mark, path, "expected text, got something else", "put the secret in quotes")
        return Secret(node.text)

    def limited_duration(self, seconds: int, metas: tuple[Meta, ...], node: Scalar, path: str) -> Any:
        least, most = _limit(metas, "ge"), _limit(metas, "le")
        if least is not None and seconds < least:
            return self.wrong(node.mark, path, f"expected at least {durations.show_duration(least)}, got {shown(node.text)}")
        if most is not None and seconds > most:
            return self.wrong(node.mark, path, f"expected at most {durations.show_duration(most)}, got {shown(node.text)}")
        return seconds

    def choice(self, node: Scalar, of: Any, metas: tuple[Meta, ...], path: str) -> Any:
        words = get_args(of)
        if node.text in words:
            return node.text
        close = nearest(node.text, words)
        hint = f"did you mean {close}?" if close else None
        return self.wrong(node.mark, path, f"expected {_expected(of, metas)}, got {shown(node.text)}", hint)

    def not_boolean(self, node: Scalar, path: str) -> object:
        word = _BOOLEAN_WORDS.get(node.text.lower(), node.text.lower() if node.text.lower() in {"true", "false"} else None)
        hint = f"write {word}{', without quotes' if word == node.text.lower() else ''}" if word else None
        return self.wrong(node.mark, path, f"expected true or false, got {shown(node.text)}", hint)

    def number(self, node: Scalar, of: type, metas: tuple[Meta, ...], path: str) -> Any:
        if node.kind not in ("int", "float") or (of is int and node.kind != "int") or len(node.text) > 18:
            hint = "without quotes" if node.kind == "str" and not node.plain and node.text.isdigit() else None
            return self.wrong(node.mark, path, f"expected {_expected(of, metas)}, got {shown(node.text)}", hint)
        value = of(node.text)
        least, most = _limit(metas, "ge"), _limit(metas, "le")
        if (least is not None and value < least) or (most is not None and value > most):
            span = (
                f"from {least} to {most}" if None not in (least, most) else f"of at least {least}" if most is None else f"of at most {most}"
            )
            return self.wrong(node.mark, path, f"expected a number {span}, got {node.text}")
        return value


def _unwrapped(of: Any, *, map_given: bool = False) -> tuple[Any, tuple[Meta, ...]]:
    """The bare type and its Metas, without Annotated and without `| None`; of a section or a word, the one that can be meant."""
    metas: tuple[Meta, ...] = ()
    while True:
        if get_origin(of) is Annotated:
            of, *notes = get_args(of)
            metas = (*(note for note in notes if isinstance(note, Meta)), *metas)
        elif get_origin(of) in (Union, types.UnionType):
            parts = [part for part in get_args(of) if part is not type(None)]
            if len(parts) > 1 and all(map(_is_section, parts)):
                return Union[tuple(parts)], metas  # noqa: UP007 - there is no other way to spell a union of unknown members
            of = next((part for part in parts if _is_section(part) == map_given), parts[0])
        else:
            return of, metas


def _is_section(of: Any) -> bool:
    return isinstance(of, type) and issubclass(of, Struct)


def _known(keys: Iterable[str]) -> str:
    return f"known here are: {', '.join(keys)}"


def _extra(metas: tuple[Meta, ...], word: str) -> Any:
    return next((meta.extra[word] for meta in reversed(metas) if meta.extra and word in meta.extra), None)


def _limit(metas: tuple[Meta, ...], word: str) -> Any:
    return next((value for meta in reversed(metas) if (value := getattr(meta, word)) is not None), None)


def _example(info: FieldInfo) -> str | None:
    _, metas = _unwrapped(info.type)
    examples = next((meta.examples for meta in reversed(metas) if meta.examples), None)
    if not examples:
        return None
    return f"for example {info.encode_name}: {_written(examples[0])}"


def _written(example: Any) -> str:
    """As it would stand in the file, on one line."""
    if isinstance(example, list):
        return f"[{', '.join(map(_written, example))}]"
    if isinstance(example, dict):
        return f"{{{', '.join(f'{key}: {_written(value)}' for key, value in example.items())}}}"
    return str(example)


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.kind == "null"


def _found(node: Node) -> str:
    """Its kind only: where a map or list should be, the text may be a secret in the wrong place."""
    if isinstance(node, Scalar):
        return _KINDS[node.kind]
    return "a list" if isinstance(node, Sequence) else "a map"


def _expected(of: Any, metas: tuple[Meta, ...]) -> str:
    if (form := _extra(metas, "form")) in _FORMS:
        return _FORMS[form]
    if of is Secret:
        return _extra(metas, "what") or "the token's secret"
    if get_origin(of) is Literal:
        return _extra(metas, "else") or f"one of {', '.join(get_args(of))}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(of, "a value")
