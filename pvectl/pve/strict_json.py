"""JSON as Proxmox VE sends it and nothing else: an object with `data`, no NaN, no key twice, bounded in memory."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec

from pvectl.core.text import clean
from pvectl.errors import ProtocolError

T = TypeVar("T")

MAX_BODY = 16 << 20
"""Bytes of one answer; 10,000 guests are 3.4 MB."""
MAX_WEIGHT = 48 << 20
"""Bytes of memory the values of one answer may take, estimated before anything is built."""

MAX_TEXT = 64 << 10
"""Characters of one text; the longest Proxmox VE has are descriptions of 8 KiB."""

_LONGEST = 40
_HUGE = 10**20
_SPACE_AFTER_QUOTE = rb'"[ \t\r\n]+:'


_Short = Annotated[str, msgspec.Meta(max_length=MAX_TEXT)]


class _Rows(msgspec.Struct):
    data: list[dict[str, _Short | int | float | bool | None]]


class _Anything(msgspec.Struct):
    data: Any


_ROWS = msgspec.json.Decoder(_Rows)
_ANYTHING = msgspec.json.Decoder(_Anything)


def rows(body: bytes) -> list[dict[str, Any]]:
    """The `data` of an answer that is a list of objects, fast where they are flat as those of `/cluster/resources` are.

    Raises:
        ProtocolError: the body is anything else.
    """
    colons = _weigh(body, per_key=110)
    try:
        data = _ROWS.decode(body).data
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return listed(anything(body))
    _each_key_once(body, colons=colons, keys=1 + sum(map(len, data)))
    return data


def listed(data: Any) -> list[dict[str, Any]]:
    """A list of objects, whatever they hold.

    Raises:
        ProtocolError: something else.
    """
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise ProtocolError("the answer is not a list of objects")
    return data


def anything(body: bytes) -> Any:
    """The `data` of an answer of any shape.

    Raises:
        ProtocolError: not an object with `data`, not JSON, or a key stands twice in one object.
    """
    colons = _weigh(body, per_key=160, also_values=True)
    data = _decoded(_ANYTHING, body).data
    _each_key_once(body, colons=colons, keys=1 + _count_keys(data))
    return data


def shown(value: object) -> str:
    """A value as a message may show it: short, and made without copying what may be megabytes."""
    if isinstance(value, str):
        return repr(clean(value[:_LONGEST]))
    if isinstance(value, int | float | None):
        # Python refuses to spell out an integer of thousands of digits
        return repr(value) if not isinstance(value, int) or abs(value) < _HUGE else "a huge number"
    return "a list" if isinstance(value, list) else "an object"


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise ProtocolError(f"the answer is not what Proxmox VE sends: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"the answer is not valid JSON: {str(error) or 'nested too deeply'}") from None


def _weigh(body: bytes, *, per_key: int, also_values: bool = False) -> int:
    """How many colons the body has, each of which may end a key; raises before a small body can become a large heap."""
    colons = body.count(b":")
    weight = colons * per_key + body.count(b"{") * 72
    if also_values:
        weight += body.count(b"[") * 64 + body.count(b",") * 64
    if weight > MAX_WEIGHT:
        raise ProtocolError("the answer holds more values than any cluster has")
    return colons


def _each_key_once(body: bytes, *, colons: int, keys: int) -> None:
    """Prove that decoding swallowed no key, because `keys` came out: the one called `data` and all below it.

    Every key has one colon after it. So when there are as many colons as keys that came out, no key stood twice. Colons within strings
    only raise the count; then those right after a quote are counted, which a string has only at its beginning or after an escaped quote,
    and which no key lacks unless white space stands before its colon. What even that cannot vouch for is gone through key by key.

    Raises:
        ProtocolError: a key stands twice in one object.
    """
    if colons == keys or (body.count(b'":') == keys and re.search(_SPACE_AFTER_QUOTE, body) is None):
        return
    import json

    try:
        json.loads(body, object_pairs_hook=_look_closely)
    except (ValueError, RecursionError):
        raise ProtocolError("the answer is not valid JSON") from None


def _count_keys(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_count_keys, value.values()))
    if isinstance(value, list):
        return sum(map(_count_keys, value))
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise ProtocolError(f"the answer holds a text of more than {MAX_TEXT >> 10} KiB")
    return 0


def _look_closely(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ProtocolError(f"the answer names {shown(key)} twice in one object")
        seen.add(key)
