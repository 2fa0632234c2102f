"""PVE's own rules for request lines, headers, forms and JSON bodies (recorded on PVE 8.4 and 9.2)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvectl.sim.http11 import (
    Head,
    Refused,
    Response,
    Silence,
    check_content,
    check_transfer,
    compress,
    decode_form,
    decode_params,
    encode_body,
    parse_head,
    split_format,
    split_target,
)
from pvectl.sim.wire import Answer


def head(method: str = "PUT", query: str = "", **headers: str) -> Head:
    named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    return Head(method=method, path="/api2/json/x", query=query, version="HTTP/1.1", headers=named)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("tags=a;b", {"tags": "a", "b": ""}),
        ("tags=prio+1", {"tags": "prio 1"}),
        ("tags=prio%2B1", {"tags": "prio+1"}),
        ("tags=a=b", {"tags": "a"}),
        ("tags=f1&tags=f2", {"tags": ["f1", "f2"]}),
        ("tags=f1;tags=f2&tags=f3", {"tags": ["f1", "f2", "f3"]}),
        ("tags=", {"tags": ""}),
        ("", {}),
        ("&&;a=1", {"a": "1"}),
        ('{"tags":"a"}', {'{"tags":"a"}': ""}),
        ("description=gr%C3%BC%C3%9Fe+%E7%94%9F", {"description": "grüße 生"}),
        ("a=%zz", {"a": "%zz"}),
    ],
)
def test_a_form_is_decoded_by_pves_own_rules(text: str, found: dict[str, Any]) -> None:
    assert decode_form(text) == found


def test_the_query_beats_the_body_and_dc_is_ignored() -> None:
    assert decode_params(head(query="a=query&_dc=17"), b"a=body&b=2", version="9.2") == {"a": "query", "b": "2"}


def test_a_json_body_keeps_its_types() -> None:
    json = head(content_type="application/json;charset=utf-8")
    assert decode_params(json, b'{"tags":null,"onboot":true,"cores":3}', version="9.2") == {"tags": None, "onboot": True, "cores": 3}
    assert decode_params(json, b"null", version="9.2") == {}


@pytest.mark.parametrize(("version", "line"), [("9.2", 934), ("8.4", 917)])
def test_broken_json_is_answered_with_perls_words(version: str, line: int) -> None:
    with pytest.raises(Refused) as refused:
        decode_params(head(content_type="application/json"), b'{"tags": "a"', version=version)
    assert refused.value.status == 500
    assert refused.value.text == (
        ', or } expected while parsing object/hash, at character offset 12 (before "(end of string)") '
        f"at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line {line}.\n"
    )


@pytest.mark.parametrize(("version", "line"), [("9.2", 978), ("8.4", 957)])
def test_a_json_list_is_no_hash(version: str, line: int) -> None:
    with pytest.raises(Refused, match=f"Not a HASH reference at .* line {line}"):
        decode_params(head(content_type="application/json"), b"[1]", version=version)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/api2/json", ("json", "/")),
        ("/api2/json/", ("json", "/")),
        ("/api2/json//nodes//pve1/", ("json", "/nodes/pve1")),
        ("/api2/extjs/version", ("extjs", "/version")),
        ("/api2/json/nodes/../version", ("json", "/nodes/../version")),
    ],
)
def test_the_format_is_the_second_part_of_the_path(path: str, found: tuple[str, str]) -> None:
    assert split_format(path) == found


@pytest.mark.parametrize("path", ["/api2", "/api2/", "/api2x", "/api2/JSON/version"])
def test_an_api_path_without_a_format_is_no_uri(path: str) -> None:
    with pytest.raises(Refused, match="no such uri"):
        split_format(path)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/a%2Fb?x=%2F", ("/a/b", "x=%2F")),
        ("https://127.0.0.1:8006/api2/json/version?a=1", ("/api2/json/version", "a=1")),
        ("https://127.0.0.1:8006", ("/", "")),
        ("/a?next=https://other/", ("/a", "next=https://other/")),
    ],
)
def test_a_target_is_split_into_decoded_path_and_raw_query(target: str, found: tuple[str, str]) -> None:
    assert split_target(target) == found


def test_a_head_is_read_with_folded_repeated_and_blank_ended_values() -> None:
    parsed = parse_head(b"GET /x HTTP/1.1\r\nHost: a\r\nX-Fold: one\r\n two\r\nX-Twice: 1\r\nx-twice: 2\r\nAuthorization: T \r\nX-Empty:")
    assert parsed.headers == {"host": "a", "x-fold": "one two", "x-twice": "1, 2", "authorization": "T ", "x-empty": ""}


@pytest.mark.parametrize(
    ("block", "status", "text"),
    [
        (b"PRI * HTTP/2.0", 506, "http protocol version 2.0 not supported"),
        (b"hello", 400, "bad request"),
        (b"GET /x HTTP/1.1\r\nno header at all", 506, "unable to parse request header"),
        (b"GET /x HTTP/1.1\r\n folded from nowhere", 506, "unable to parse request header"),
    ],
)
def test_what_is_no_request_is_refused(block: bytes, status: int, text: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_head(block)
    assert (refused.value.status, refused.value.text) == (status, text)


def lines(count: int) -> bytes:
    return b"GET /x HTTP/1.1\r\n" + b"\r\n".join(b"X-H%d: v" % number for number in range(count))


def test_one_header_line_too_many_is_met_with_silence() -> None:
    assert len(parse_head(lines(62)).headers) == 62
    with pytest.raises(Silence):
        parse_head(lines(63))


def test_eight_kibibytes_of_headers_are_met_with_silence_but_a_long_url_is_fine() -> None:
    parse_head(b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nX: " + b"v" * 8000)
    with pytest.raises(Silence):
        parse_head(b"GET / HTTP/1.1\r\nX: " + b"v" * 8200)


@pytest.mark.parametrize(
    ("request_head", "status", "text"),
    [
        (head("GET", content_length="1"), 501, "Unexpected content for method 'GET'"),
        (head("DELETE", content_length="1"), 501, "Unexpected content for method 'DELETE'"),
        (head("PUT", content_length=str(512 * 1024 + 1)), 501, "for data too large"),
        (head("PUT", content_length="1", content_type="text/plain"), 506, "upload 'Content-Type 'text/plain' not implemented"),
        (
            head("PUT", content_length="1", content_type="multipart/form-data; boundary=x"),
            506,
            "upload 'Content-Type 'multipart/form-data; boundary=x' not implemented",
        ),
    ],
)
def test_a_body_that_is_not_wanted_is_refused(request_head: Head, status: int, text: str) -> None:
    with pytest.raises(Refused) as refused:
        check_content(request_head)
    assert (refused.value.status, refused.value.text, refused.value.body) == (status, text, text.encode())


@pytest.mark.parametrize(
    "request_head",
    [
        head("GET", content_length="0"),
        head("PUT", content_length=str(512 * 1024)),
        head("PUT", content_length="0", content_type="text/plain"),
        head("POST", content_length="9", content_type="application/json; charset=utf-8"),
    ],
)
def test_a_body_that_fits_is_taken(request_head: Head) -> None:
    check_content(request_head)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PATCH", "TRACE", "get"])
def test_an_unknown_method_is_refused_without_a_body(method: str) -> None:
    with pytest.raises(Refused) as refused:
        check_transfer(head(method))
    assert (refused.value.status, refused.value.text, refused.value.body) == (501, f"method '{method}' not available", b"")


@pytest.mark.parametrize(
    ("encoding", "text"), [("Chunked", "chunked transfer encoding not supported"), ("gzip", "Unknown transfer encoding 'gzip'")]
)
def test_transfer_encodings_are_refused(encoding: str, text: str) -> None:
    with pytest.raises(Refused) as refused:
        check_transfer(head(transfer_encoding=encoding))
    assert (refused.value.status, refused.value.text) == (501, text)


def test_an_error_body_names_data_message_and_errors() -> None:
    answer = Answer(status=400, reason="Parameter verification failed.", message="Parameter verification failed.\n", errors={"a": "b"})
    body, content_type = encode_body(answer)
    assert body == b'{"data":null,"message":"Parameter verification failed.\\n","errors":{"a":"b"}}'
    assert content_type == "application/json;charset=UTF-8"


def test_an_error_without_message_and_type_has_no_body() -> None:
    assert encode_body(Answer(status=595, reason="Connection refused", content_type=None)) == (b"", None)


def test_text_is_sent_as_utf8_and_not_escaped() -> None:
    assert encode_body(Answer(data="grüße"))[0] == '{"data":"grüße"}'.encode()


def test_extjs_wraps_every_outcome() -> None:
    assert encode_body(Answer(data=1), envelope="extjs")[0] == b'{"data":1,"success":1}'
    refused = Answer(status=403, reason="Permission check failed", message="Permission check failed\n")
    assert encode_body(refused, envelope="extjs")[0] == b'{"data":null,"message":"Permission check failed\\n","success":0,"status":403}'


@pytest.mark.parametrize(
    ("accept", "encoding"), [("gzip", "gzip"), ("gzip;q=0, identity", "gzip"), ("deflate", "deflate"), ("br", None), ("", None)]
)
def test_compression_goes_by_the_word_alone(accept: str, encoding: str | None) -> None:
    assert compress(b"x" * 1025, accept)[1] == encoding
    assert compress(b"x" * 1024, accept) == (b"x" * 1024, None)


def test_a_reason_phrase_is_the_first_line_only() -> None:
    block = Response(status=500, reason="one\ntwo\r\nX-Evil: 1").head()
    assert block.startswith(b"HTTP/1.1 500 one\r\nCache-Control: max-age=0\r\nConnection: close\r\nDate: ")
    assert b"two" not in block
    assert b"Content-Length" not in block


@given(st.text(), st.text())
def test_a_form_value_survives_when_it_is_percent_encoded(key: str, value: str) -> None:
    def quoted(text: str) -> str:
        return "".join(f"%{byte:02X}" for byte in text.encode())

    expected = {key: value} if key or value else {}
    assert decode_form(f"{quoted(key)}={quoted(value)}" if expected else "") == expected


@given(st.binary(max_size=200))
def test_no_bytes_break_the_head_parser(block: bytes) -> None:
    try:
        parse_head(block)
    except (Refused, Silence):
        return
