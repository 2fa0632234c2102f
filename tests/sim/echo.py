"""A cluster of two nodes that answers with what it was asked: enough to look at the HTTP half alone."""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import closing
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

from pvectl.sim.clock import VirtualClock
from pvectl.sim.server import SimServer
from pvectl.sim.wire import Answer, Request

TOKEN = "root@pam!full=11111111-1111-4111-8111-111111111111"
AUTHORIZATION = {"Authorization": f"PVEAPIToken={TOKEN}"}
GET = f"GET /api2/json/version HTTP/1.1\r\nAuthorization: PVEAPIToken={TOKEN}\r\n\r\n".encode()
POST = GET.replace(b"GET /api2/json/version", b"POST /api2/json/nodes/pve1/qemu/101/status/shutdown")


@dataclass(frozen=True)
class Nodes:
    nodes: dict[str, str]
    version: str = "9.2"


class Echo:
    """Answers a path from `answers`, and any other with the request; a request without a token gets 401."""

    def __init__(self, *, speed: float = 1000.0) -> None:
        self.clock = VirtualClock(speed)
        self.states = {"pve1": "up", "pve2": "up"}
        self.world = Nodes(self.states)
        self.answers: dict[str, Answer] = {}
        self.asked: list[Request] = []

    def node_accepts(self, name: str) -> str:
        return self.states[name]

    def answer(self, request: Request) -> Answer:
        if request.authorization is None:
            return Answer(status=401, reason="No ticket", body=b"", content_type=None, delay_s=3.0)
        self.asked.append(request)
        if request.path in self.answers:
            return self.answers[request.path]
        data: dict[str, Any] = {"method": request.method, "path": request.path, "params": dict(request.params), "node": request.node}
        return Answer(data=data)


@dataclass(frozen=True)
class Reply:
    """What a plain http.client saw."""

    status: int
    reason: str
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def connection(self) -> list[str]:
        return self.headers.get_all("Connection", [])


def client(server: SimServer, node: str | None = None, *, ca_file: Path | None = None, timeout: float = 10) -> HTTPConnection:
    if ca_file is None:
        return HTTPConnection(server.host(node), timeout=timeout)
    return HTTPSConnection(server.host(node), timeout=timeout, context=ssl.create_default_context(cafile=ca_file))


def ask(conn: HTTPConnection, method: str, path: str, *, body: str | bytes | None = None, **headers: str) -> Reply:
    """Send one request with the token; `Content_Type="…"` is a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    conn.request(method, f"/api2/json{path}", body=body, headers=AUTHORIZATION | named)
    response = conn.getresponse()
    return Reply(response.status, response.reason, response.headers, response.read())


def call(server: SimServer, method: str, path: str, *, node: str | None = None, body: str | bytes | None = None, **headers: str) -> Reply:
    """One request on a connection of its own."""
    with closing(client(server, node)) as conn:
        return ask(conn, method, path, body=body, **headers)


def raw(server: SimServer, data: bytes, node: str | None = None) -> bytes:
    """Everything a node says to these bytes, until it closes."""
    with socket.create_connection(("127.0.0.1", server.port(node)), timeout=10) as sock:
        sock.sendall(data)
        return read_all(sock)


def read_all(sock: socket.socket) -> bytes:
    parts = []
    while data := sock.recv(65536):
        parts.append(data)
    return b"".join(parts)


def get(server: SimServer, path: str = "/version") -> Reply:
    return call(server, "GET", path)


def connect(server: SimServer, data: bytes = b"", node: str | None = None) -> socket.socket:
    """A TCP connection on which these bytes have been sent."""
    sock = socket.create_connection(("127.0.0.1", server.port(node)), timeout=5)
    sock.sendall(data)
    return sock
