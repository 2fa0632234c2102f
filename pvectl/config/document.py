"""A configuration file as a tree of nodes that know where they stand."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal["str", "int", "float", "bool", "null"]


class Mark(Struct, frozen=True):
    """A place in a file, counted from 1."""

    line: int
    column: int


class Scalar(Struct, frozen=True, kw_only=True):
    """A single value as it was written; `kind` is what a plain spelling means, always "str" when quoted. `end` is the place behind it."""

    mark: Mark
    end: Mark
    text: str
    kind: Kind
    plain: bool


class Sequence(Struct, frozen=True, kw_only=True):
    """A list; `end` is the place behind its bracket, None when it is written as lines with dashes."""

    mark: Mark
    items: list[Node]
    end: Mark | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """A key and its value."""

    mark: Mark
    key: str
    value: Node


class Mapping(Struct, frozen=True, kw_only=True):
    """A map; `end` is the place behind its brace, None when it is written as indented lines."""

    mark: Mark
    entries: list[Entry]
    end: Mark | None = None

    def get(self, key: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.key == key), None)


Node: TypeAlias = Scalar | Sequence | Mapping
