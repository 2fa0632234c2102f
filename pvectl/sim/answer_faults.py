"""Faults of the answer: it comes in good order and is not what was asked for."""

from __future__ import annotations

import dataclasses
import gzip
import re
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pvectl.sim.http11 import Response, to_json
from pvectl.sim.mischief import JSON, MEGABYTE, Exchange, Fault


@dataclass(frozen=True, kw_only=True)
class Html(Fault):
    """A web page with status 200, as a captive portal, a reverse proxy or the wrong host sends it."""

    status: int = 200
    title: str = "Welcome to nginx!"

    def play(self, x: Exchange) -> None:
        page = f"<!DOCTYPE html>\n<html><head><title>{self.title}</title></head><body><h1>{self.title}</h1></body></html>\n"
        x.send(x.blank(self.status, "OK" if self.status == 200 else "", page.encode(), "text/html;charset=UTF-8"))


@dataclass(frozen=True, kw_only=True)
class Body(Fault):
    """A body of one's own choice with status 200."""

    body: bytes | str = b""
    content_type: str | None = JSON

    def play(self, x: Exchange) -> None:
        body = self.body.encode() if isinstance(self.body, str) else self.body
        x.send(x.blank(200, "OK", body, self.content_type))


@dataclass(frozen=True, kw_only=True)
class EmptyObject(Fault):
    """`{}` with status 200."""

    def play(self, x: Exchange) -> None:
        x.send(x.blank(200, "OK", b"{}"))


@dataclass(frozen=True, kw_only=True)
class NullBody(Fault):
    """`null` with status 200."""

    def play(self, x: Exchange) -> None:
        x.send(x.blank(200, "OK", b"null"))


@dataclass(frozen=True, kw_only=True)
class ListBody(Fault):
    """`[]` with status 200: the list without its envelope."""

    def play(self, x: Exchange) -> None:
        x.send(x.blank(200, "OK", b"[]"))


@dataclass(frozen=True, kw_only=True)
class EmptyBody(Fault):
    """Status 200 with JSON's Content-Type and not one byte."""

    def play(self, x: Exchange) -> None:
        x.send(dataclasses.replace(x.blank(200, "OK"), length=0))


@dataclass(frozen=True, kw_only=True)
class NoData(Fault):
    """An object with status 200 in which `data` is missing."""

    def play(self, x: Exchange) -> None:
        x.send(x.blank(200, "OK", b'{"success":1,"message":""}'))


@dataclass(frozen=True, kw_only=True)
class Nan(Fault):
    """The first number of the true answer becomes `NaN` (or `Infinity`, `-Infinity`), which JSON does not know."""

    executes = True
    value: str = "NaN"

    def play(self, x: Exchange) -> None:
        response = x.response()
        body, found = re.subn(rb'(?<=":)-?\d[\d.eE+-]*', self.value.encode(), response.body, count=1)
        x.send(_with_body(response, body if found else b'{"data":' + self.value.encode() + b"}"))


@dataclass(frozen=True, kw_only=True)
class DuplicateKeys(Fault):
    """`data` comes twice, first with `value`; with `key` it is that key of the first row that has it."""

    executes = True
    key: str = "data"
    value: Any = None

    def play(self, x: Exchange) -> None:
        response = x.response()
        name = to_json(self.key) + b":"
        x.send(_with_body(response, response.body.replace(name, name + to_json(self.value) + b"," + name, 1)))


@dataclass(frozen=True, kw_only=True)
class Gzip(Fault):
    """`Content-Encoding: gzip` although nobody asked for it."""

    executes = True

    def play(self, x: Exchange) -> None:
        response = x.response()
        x.send(dataclasses.replace(response, body=gzip.compress(response.body), encoding="gzip"))


@dataclass(frozen=True, kw_only=True)
class GzipBomb(Fault):
    """A few hundred kilobytes of gzip that unpack to `size` bytes of valid JSON."""

    size: int = 300 * MEGABYTE

    def play(self, x: Exchange) -> None:
        x.send(dataclasses.replace(x.blank(200, "OK", _bomb(self.size)), encoding="gzip"))


@dataclass(frozen=True, kw_only=True)
class Redirect(Fault):
    """`Location` to the same host (`to=None`), to another node's listener (its name), or to a URL; the path is kept unless `to` has one."""

    code: int = 302
    to: str | None = None

    def play(self, x: Exchange) -> None:
        location = self.to if self.to is not None and "://" in self.to else f"{x.base_url(self.to)}/api2/json{x.request.path}"
        x.send(dataclasses.replace(x.blank(self.code, "", b"redirected\n", "text/plain"), location=location))


_REASONS = {595: "Connection refused", 596: "Connection timed out", 597: "Broken pipe", 599: "Too many redirections", 401: "No ticket"}
_EMPTY = frozenset({401, 595, 596, 597, 599})


@dataclass(frozen=True, kw_only=True)
class Status(Fault):
    """Any status with any reason, in pveproxy's dress: JSON with `message`, or an empty body for 401 and 59x."""

    code: int = 500
    reason: str | None = None
    message: str | None = None
    errors: dict[str, str] | None = None
    body: bytes | str | None = None
    content_type: str | None = None

    def play(self, x: Exchange) -> None:
        reason = self.reason if self.reason is not None else _REASONS.get(self.code, "")
        response = x.blank(self.code, reason, b"", self.content_type)
        if self.body is not None:
            response = _with_body(response, self.body.encode() if isinstance(self.body, str) else self.body)
        elif self.code not in _EMPTY and self.content_type is None:
            text = f"{reason or self.code}\n" if self.message is None else self.message
            document: dict[str, Any] = {"data": None, "message": text} | ({"errors": self.errors} if self.errors else {})
            response = dataclasses.replace(response, body=to_json(document), content_type=JSON)
        x.send(response)


@dataclass(frozen=True, kw_only=True)
class WrongContentType(Fault):
    """The true answer under a Content-Type that does not fit; None leaves the header out."""

    executes = True
    content_type: str | None = "text/html"

    def play(self, x: Exchange) -> None:
        x.send(dataclasses.replace(x.response(), content_type=self.content_type), keep=True)


@dataclass(frozen=True, kw_only=True)
class OtherNode(Fault):
    """The answer another node would give: for its own part of the path, and as seen from its own listener."""

    executes = True
    as_node: str

    def play(self, x: Exchange) -> None:
        path = re.sub(r"^/nodes/[^/]+", f"/nodes/{self.as_node}", x.request.path)
        x.send(x.response(dataclasses.replace(x.request, node=self.as_node, path=path)), keep=True)


@dataclass(frozen=True, kw_only=True)
class Stale(Fault):
    """What this path was answered before: frozen at the first strike, or (`frozen=False`) always the time before."""

    executes = True
    frozen: bool = True
    kept: dict[str, bytes] = field(default_factory=dict)

    def play(self, x: Exchange) -> None:
        earlier = x.earlier()
        response = x.response()
        old = response.body if earlier is None else earlier
        key = f"{x.request.path}?{sorted(x.request.params.items())}"
        x.send(_with_body(response, self.kept.setdefault(key, old) if self.frozen else old), keep=True)


def _with_body(response: Response, body: bytes) -> Response:
    return dataclasses.replace(response, body=body, encoding=None)


@lru_cache(maxsize=2)
def _bomb(size: int) -> bytes:
    pack = zlib.compressobj(1, zlib.DEFLATED, 31)
    start, end = b'{"data":"', b'"}'
    left = max(size - len(start) - len(end), 0)
    parts = [pack.compress(start)]
    block = b"x" * MEGABYTE
    while left > 0:
        parts.append(pack.compress(block[:left]))
        left -= len(block)
    return b"".join([*parts, pack.compress(end), pack.flush()])
