"""JSON that is not exactly what Proxmox VE sends is refused, wherever it hides."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvectl.errors import ProtocolError
from pvectl.pve import strict_json

_texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(['":', '\\":', ':"', '" :', "a\n:", '"', "\\", "data", ":x"])
_scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | _texts
_values = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4), max_leaves=12)
_spaces = st.sampled_from(["", " ", "\n", "\t", "  \r\n"])


def _written(value: Any, draw: Any, *, twice: list[int]) -> str:
    """JSON text of `value` with white space in odd places; the `twice[0]`-th object gets its first key once more."""
    if isinstance(value, dict):
        pairs = [(json.dumps(key, ensure_ascii=draw(st.booleans())), _written(inner, draw, twice=twice)) for key, inner in value.items()]
        if pairs:
            twice[0] -= 1
            if twice[0] == 0:
                pairs.insert(draw(st.integers(0, len(pairs))), (json.dumps(next(iter(value))), "1"))
        return "{" + ",".join(f"{draw(_spaces)}{key}{draw(_spaces)}:{draw(_spaces)}{inner}{draw(_spaces)}" for key, inner in pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_written(inner, draw, twice=twice) for inner in value) + "]"
    return json.dumps(value)


def _objects(value: Any) -> int:
    if isinstance(value, dict):
        return bool(value) + sum(map(_objects, value.values()))
    return sum(map(_objects, value)) if isinstance(value, list) else 0


@given(_values, st.data())
def test_what_is_valid_is_read_as_the_standard_library_reads_it(value: object, data: st.DataObject) -> None:
    text = _written({"data": value}, data.draw, twice=[0])
    assert strict_json.anything(text.encode()) == json.loads(text)["data"]


@given(_values, st.data())
@pytest.mark.slow
def test_a_key_that_stands_twice_is_found_at_any_depth_and_place(value: object, data: st.DataObject) -> None:
    whole = {"data": value}
    text = _written(whole, data.draw, twice=[data.draw(st.integers(1, _objects(whole)))])
    with pytest.raises(ProtocolError):
        strict_json.anything(text.encode())
    with pytest.raises(ProtocolError):
        strict_json.rows(text.encode())


@given(st.lists(st.dictionaries(_texts, _scalars, max_size=4), max_size=5), st.data())
@pytest.mark.slow
def test_flat_rows_are_read_as_the_standard_library_reads_them(value: object, data: st.DataObject) -> None:
    text = _written({"data": value}, data.draw, twice=[0])
    assert strict_json.rows(text.encode()) == json.loads(text)["data"]


@given(st.binary(max_size=60))
def test_any_bytes_end_in_data_or_a_protocol_error(body: bytes) -> None:
    try:
        found = strict_json.anything(body)
    except ProtocolError:
        return
    assert found == json.loads(body)["data"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{}",
        b"[]",
        b"null",
        b'"data"',
        b'[{"data":1}]',
        b'{"dat":1}',
        b'{"data":1',
        b'{"data":1}}',
        b'{"data":1}{"data":2}',
        b'{"data":NaN}',
        b'{"data":Infinity}',
        b'{"data":-Infinity}',
        b'{"data":[1e999]}',
        b'{"data":[-1e999]}',
        b'{"data":01}',
        b'{"data":1,}',
        b"{'data':1}",
        b'{"data":"\xff"}',
        b'{"data":"a\nb"}',
        b'{"data":1,"data":1}',
        b'{"data":{"a":1,"\\u0061":2}}',
        b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"data":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
        b"<html><body>It works!</body></html>",
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
def test_what_is_not_an_envelope_with_strict_json_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        strict_json.anything(body)
    with pytest.raises(ProtocolError):
        strict_json.rows(body)


@pytest.mark.parametrize(
    "data", [b"1", b"{}", b"[1]", b"[[]]", b"null", b'"x"', b"[{},null]"], ids=lambda data: data.decode()
)
def test_rows_are_a_list_of_objects_and_nothing_else(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        strict_json.rows(b'{"data":' + data + b"}")


def test_rows_with_something_nested_are_read_all_the_same() -> None:
    assert strict_json.rows(b'{"data":[{"a":{"b":[1]}}]}') == [{"a": {"b": [1]}}]


@pytest.mark.parametrize(
    "unit", [b"[]", b"{}", b"0", b'{"a":1}', b'""', b"[[[[[[0]]]]]]"], ids=lambda unit: unit.decode()
)
@pytest.mark.slow
def test_a_body_that_would_fill_the_memory_is_refused_before_it_is_built(unit: bytes) -> None:
    body = b'{"data":[' + b",".join([unit] * ((strict_json.MAX_BODY - 20) // (len(unit) + 1))) + b"]}"
    with pytest.raises(ProtocolError, match="more values"):
        strict_json.anything(body)


def test_twenty_thousand_guests_are_not_too_many() -> None:
    names = "vmid node status type name uptime cpu maxcpu mem maxmem disk maxdisk netin netout diskread diskwrite id tags"
    row = dict.fromkeys(names.split(" "), 123456789)
    body = json.dumps({"data": [row] * 20_000}).encode()
    assert len(strict_json.rows(body)) == 20_000
