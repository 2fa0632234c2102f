"""HTTP/1.1 as pveproxy speaks it: how a request is read, decoded and refused, and how an answer is put on the wire.

Facts about PVE are from pve-http-server PVE/APIServer/AnyEvent.pm and from answers recorded on PVE 8.4 and 9.2.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http.client import responses
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes

if TYPE_CHECKING:
    from pvectl.sim.wire import Answer

IDLE_S = 5.0
"""Seconds without a byte after which pveproxy drops a connection, silently."""
REQUESTS_PER_CONNECTION = 100
MAX_HEADER_LINES = 64
"""The empty line that ends the head is counted, too."""
MAX_HEADER_BYTES = 8 * 1024
MAX_REQUEST_LINE = 64 * 1024
MAX_BODY = 512 * 1024
COMPRESS_ABOVE = 1024
API = "/api2"
METHODS = frozenset({"GET", "POST", "PUT", "DELETE"})
WRITES = frozenset({"POST", "PUT", "DELETE"})

_REQUEST_LINE = re.compile(rb"(\S+) (\S+) HTTP/(\d+)\.(\d+)")
_HEADER = re.compile(rb"([^:\s]+)\s*:\s*(.*)", re.DOTALL)
_FORMAT = re.compile(r"/+([a-z][a-z0-9]+)(/.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)


class Refused(Exception):
    """A request pveproxy turns down by itself; the text is the reason phrase."""

    def __init__(self, status: int, text: str, *, body: bool = True) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.body = text.encode() if body else b""


class Silence(Exception):
    """A head pveproxy chokes on: no answer, and the connection ends after the idle time."""


@dataclass(frozen=True, kw_only=True)
class Head:
    """A request line and its headers."""

    method: str
    path: str
    """Percent-decoded, with `/api2/json` still in front."""
    query: str
    version: str
    """`HTTP/1.1`, as the client wrote it."""
    headers: Mapping[str, str]
    """Lower-case names; a repeated header is joined with a comma."""

    @property
    def keeps_alive(self) -> bool:
        connection = self.headers.get("connection")
        if connection is not None:
            return "close" not in connection.lower()
        return self.version >= "HTTP/1.1"

    @property
    def length(self) -> int:
        text = self.headers.get("content-length", "0").strip()
        return int(text) if text.isdigit() else 0


def parse_head(block: bytes) -> Head:
    """Read a request line and header lines (without the empty line that ends them).

    Raises Refused for what pveproxy answers with an error, Silence for what it never answers.
    """
    first, _, rest = block.partition(b"\n")
    match = _REQUEST_LINE.search(first)
    if match is None:
        raise Refused(400, "bad request")
    method, target, major, minor = match.groups()
    if major != b"1":
        raise Refused(506, f"http protocol version {major.decode()}.{minor.decode()} not supported")
    headers = _parse_headers(rest)
    path, query = split_target(target.decode("latin-1"))
    return Head(
        method=method.decode("latin-1"), path=path, query=query, version=f"HTTP/1.{minor.decode()}", headers=headers
    )


def _parse_headers(block: bytes) -> dict[str, str]:
    lines = block.split(b"\n") if block else []
    if len(lines) + 1 >= MAX_HEADER_LINES or len(block) - block.count(b"\n") - block.count(b"\r") >= MAX_HEADER_BYTES:
        raise Silence
    headers: dict[str, str] = {}
    name = ""
    for raw in lines:
        line = raw.removesuffix(b"\r")
        match = _HEADER.fullmatch(line)
        if match is not None:
            name, value = match[1].decode("latin-1").lower(), match[2].decode("latin-1")
            # the last blank of a value stays: a token with a blank behind it is refused (recorded on PVE 8.4/9.2)
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        elif name and line[:1] in {b" ", b"\t"}:
            headers[name] += " " + line.strip().decode("latin-1")
        else:
            raise Refused(506, "unable to parse request header")
    return headers


def split_target(target: str) -> tuple[str, str]:
    """Return the decoded path and the raw query of a request target, which may be an absolute URI."""
    target = _AUTHORITY.sub("", target, count=1) if "://" in target.partition("?")[0] else target
    path, _, query = target.partition("#")[0].partition("?")
    return unquote(path, errors="replace") or "/", query


def split_format(path: str) -> tuple[str, str]:
    """Split `/api2/json/nodes//pve1/` into `("json", "/nodes/pve1")`."""
    match = _FORMAT.fullmatch(path[len(API) :])
    if match is None:
        raise Refused(501, "no such uri")
    return match[1], "/" + "/".join(part for part in (match[2] or "").split("/") if part)


def check_content(head: Head) -> None:
    """Refuse a body pveproxy would not read."""
    if not head.length:
        return
    if head.method not in {"PUT", "POST"}:
        raise Refused(501, f"Unexpected content for method '{head.method}'")
    if head.length > MAX_BODY:
        raise Refused(501, "for data too large")
    content_type = head.headers.get("content-type")
    if content_type is not None and _media_type(content_type) not in {"", "application/x-www-form-urlencoded", "application/json"}:
        raise Refused(506, f"upload 'Content-Type '{content_type}' not implemented")


def check_transfer(head: Head) -> None:
    """Refuse an unknown method and any transfer encoding."""
    if head.method not in METHODS:
        raise Refused(501, f"method '{head.method}' not available", body=False)
    encoding = head.headers.get("transfer-encoding")
    if encoding is None:
        return
    if encoding.lower() == "chunked":
        raise Refused(501, "chunked transfer encoding not supported")
    raise Refused(501, f"Unknown transfer encoding '{encoding}'")


def decode_params(head: Head, body: bytes, *, version: str) -> dict[str, Any]:
    """Merge query and body as PVE does: the query wins, `_dc` is dropped, a repeated key is a list."""
    params: dict[str, Any] = {}
    if body and _media_type(head.headers.get("content-type", "")) == "application/json":
        params = _decode_json(body, version=version)
    elif body:
        params = decode_form(body.decode("latin-1"))
    params.update(decode_form(head.query))
    params.pop("_dc", None)
    return params


def decode_form(text: str) -> dict[str, Any]:
    """Decode a query or form body by PVE's own rules: `;` separates like `&`, and of `a=b=c` only `b` is kept."""
    found: dict[str, Any] = {}
    for pair in re.split("[&;]", text):
        if not pair:
            continue
        parts = pair.split("=")
        key, value = _form_text(parts[0]), _form_text(parts[1]) if len(parts) > 1 else ""
        if key not in found:
            found[key] = value
        elif isinstance(found[key], list):
            found[key].append(value)
        else:
            found[key] = [found[key], value]
    return found


def _form_text(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ").encode("latin-1")).decode("utf-8", errors="replace")


def _decode_json(body: bytes, *, version: str) -> dict[str, Any]:
    old = version.startswith("8.")
    try:
        value = json.loads(body)
    except ValueError as error:
        offset = error.pos if isinstance(error, json.JSONDecodeError) else 0
        text = f', or }} expected while parsing object/hash, at character offset {offset} (before "(end of string)")'
        raise _perl_error(text, line=917 if old else 934) from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _perl_error("Not a HASH reference", line=957 if old else 978)
    return value


def _perl_error(text: str, *, line: int) -> Refused:
    return Refused(500, f"{text} at /usr/share/perl5/PVE/APIServer/AnyEvent.pm line {line}.\n")


def _media_type(content_type: str) -> str:
    return re.split(r"\s*[;,]\s*", content_type, maxsplit=1)[0]


def encode_body(answer: Answer, *, envelope: str = "json") -> tuple[bytes, str | None]:
    """Return an answer's body and its Content-Type; `envelope` is the format named in the URI (json, extjs, html)."""
    if answer.body is not None:
        return answer.body, answer.content_type
    if answer.content_type is None and answer.message is None and answer.status >= 400:
        return b"", None
    document: dict[str, Any] = {"data": answer.data}
    if answer.total is not None:
        document["total"] = answer.total
    if answer.status >= 400:
        document["message"] = answer.reason if answer.message is None else answer.message
    if answer.errors:
        document["errors"] = dict(answer.errors)
    if envelope == "extjs":
        document["success"] = 0 if answer.status >= 400 else 1
        if answer.status >= 400:
            document["status"] = answer.status
    text = to_json(document)
    if envelope == "html":
        page = text.decode().replace("&", "&amp;").replace("<", "&lt;")
        return f"<!DOCTYPE html>\n<title>Proxmox VE API</title>\n<pre>{page}</pre>\n".encode(), "text/html;charset=UTF-8"
    return text, answer.content_type


def to_json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", errors="replace")


def compress(body: bytes, accept_encoding: str) -> tuple[bytes, str | None]:
    """Compress as pveproxy does: by a look at the words, so that `gzip;q=0` gets gzip, too."""
    if len(body) <= COMPRESS_ABOVE:
        return body, None
    if "gzip" in accept_encoding:
        return gzip.compress(body, compresslevel=1), "gzip"
    if "deflate" in accept_encoding:
        return zlib.compress(body, 1), "deflate"
    return body, None


@dataclass(frozen=True, kw_only=True)
class Response:
    """An answer as it goes over the wire; the headers stand in pveproxy's order."""

    status: int
    reason: str
    body: bytes = b""
    content_type: str | None = None
    encoding: str | None = None
    connection: tuple[str, ...] = ("close",)
    version: str = "HTTP/1.1"
    now: float = 0.0
    location: str | None = None
    length: int | str | None = -1
    """Content-Length; -1 stands for the true one, which is left out when the body is empty, as PVE does."""
    extra: tuple[tuple[str, str], ...] = ()

    def head(self) -> bytes:
        # only the first line of a text fits into a reason phrase; PVE cuts it there, too
        phrase = (self.reason.splitlines() or [""])[0] or responses.get(self.status, "Unknown")
        date = formatdate(self.now, usegmt=True)
        length = (len(self.body) or None) if self.length == -1 else self.length
        headers = [
            ("Cache-Control", "max-age=0"),
            *(("Connection", word) for word in self.connection),
            ("Date", date),
            ("Pragma", "no-cache"),
            ("Location", self.location),
            ("Server", "pve-api-daemon/3.0"),
            ("Content-Encoding", self.encoding),
            ("Content-Length", length),
            ("Content-Type", self.content_type),
            ("Expires", date),
            *self.extra,
        ]
        lines = [f"{self.version} {self.status} {phrase}", *(f"{name}: {value}" for name, value in headers if value is not None)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", errors="replace")

    def encode(self) -> bytes:
        return self.head() + self.body
