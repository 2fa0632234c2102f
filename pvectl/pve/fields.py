"""One field of a row at a time: of the type it should have, or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from pvectl.errors import ProtocolError
from pvectl.pve.strict_json import shown

T = TypeVar("T")
Row = dict[str, Any]

_TRUTH = {0: False, 1: True, "0": False, "1": True}


def all_of(rows: list[Row], kind: type[T], what: str) -> tuple[T, ...]:
    try:
        return msgspec.convert(rows, tuple[kind, ...])  # type: ignore[valid-type]
    except msgspec.ValidationError:
        for row in rows:
            try:
                msgspec.convert(row, kind)
            except msgspec.ValidationError as error:
                name = row.get("vmid") or row.get("name") or row.get("node") or row.get("id") or "a row"
                raise ProtocolError(f"{what}: {shown(name)}: {_plain(error)}") from None
        raise


def _plain(error: msgspec.ValidationError) -> str:
    """The field first, then what msgspec says of it: "vmid: Expected `int`, got `str`"."""
    words, _, where = str(error).partition(" - at `$")
    field = where.rstrip("`").lstrip(".")
    return f"{field}: {words}" if field else words


def object_of(data: Any, what: str) -> Row:
    if isinstance(data, dict):
        return data
    if data == []:
        return {}
    raise ProtocolError(f"{what}: not an object")


def text_of(row: Mapping[str, Any], field: str, what: str) -> str:
    value = row.get(field)
    if not isinstance(value, str) or not value:
        raise ProtocolError(f"{what}: {field} is {'missing' if value is None else shown(value)}")
    return value


def truth_of(row: Mapping[str, Any], field: str, what: str) -> bool:
    return as_truth(row.get(field), field, what)


def maybe_truth_of(row: Mapping[str, Any], field: str, what: str) -> bool | None:
    return None if row.get(field) is None else truth_of(row, field, what)


def as_truth(value: object, field: str, what: str) -> bool:
    found = _TRUTH.get(value) if isinstance(value, int | str) else None
    if found is None:
        raise ProtocolError(f"{what}: {field} is {'missing' if value is None else shown(value)}")
    return found
