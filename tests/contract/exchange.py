"""One HTTP exchange, byte for byte as the recorder sent it; no proxy, no redirect, no retry."""

from __future__ import annotations

import gzip
import http.client
import json
import socket
import ssl
import zlib
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 20.0
PASSING_HEADERS = frozenset({"date", "expires", "content-length"})


@dataclass(frozen=True, kw_only=True)
class Seen:
    """An answer as it came over the wire."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    version: int = 11

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)

    def plain(self) -> bytes:
        match self.header("content-encoding"):
            case "gzip":
                return gzip.decompress(self.body)
            case "deflate":
                return zlib.decompress(self.body)
            case _:
                return self.body

    def json(self) -> Any:
        return json.loads(self.plain())


@dataclass(frozen=True)
class Door:
    """Where a simulated node listens."""

    host: str
    port: int
    trust: ssl.SSLContext | None = None

    def open(self) -> socket.socket:
        plain = socket.create_connection((self.host, self.port), timeout=TIMEOUT_S)
        if self.trust is None:
            return plain
        try:
            return self.trust.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


def exchange(door: Door, method: str, url: str, *, headers: dict[str, str], body: str | None = None) -> Seen:
    """Send one request on a connection of its own; raises http.client.RemoteDisconnected when no answer comes."""
    lines = [f"{method} {url} HTTP/1.1", f"Host: {door.host}:{door.port}"]
    if "Accept-Encoding" not in headers:
        lines.append("Accept-Encoding: identity")
    payload = b"" if body is None else body.encode()
    if payload or method in {"POST", "PUT"}:
        lines.append(f"Content-Length: {len(payload)}")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with door.open() as sock:
        sock.sendall("\r\n".join([*lines, "", ""]).encode() + payload)
        return read_answer(sock, method)


def read_answer(sock: socket.socket, method: str) -> Seen:
    response = http.client.HTTPResponse(sock, method=method)
    try:
        response.begin()
        return Seen(
            status=response.status,
            reason=response.reason,
            headers=tuple(response.getheaders()),
            body=response.read(),
            version=response.version,
        )
    finally:
        response.close()


def raw_exchange(door: Door, text: str) -> bytes:
    """Send bytes as they are and return everything until the other side is done."""
    with door.open() as sock:
        sock.sendall(text.encode())
        answer = b""
        while True:
            try:
                data = sock.recv(65536)
            except (ConnectionError, ssl.SSLError):
                break
            if not data:
                break
            answer += data
    return answer
