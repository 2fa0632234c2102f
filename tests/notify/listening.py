"""A web server on loopback that notes what it was sent and then answers as it is told, or does not, in every way there is."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Heard:
    """One request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    raw: bytes

    def json(self) -> Any:
        return json.loads(self.body)


Act = Callable[[socket.socket, "Listener", Heard], None]


@dataclass
class Listener:
    """What was heard, and what is done about it; `over` is set when the test ends, for those who hang until then."""

    port: int
    act: Act
    secure: bool = False
    requests: list[Heard] = field(default_factory=list)
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/hook", *, host: str = "127.0.0.1") -> str:
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{path}"

    @property
    def only(self) -> Heard:
        assert len(self.requests) == 1, self.requests
        return self.requests[0]


def answering(status: str = "200 OK", body: bytes | str = b"", **headers: str) -> Act:
    """Answers like this, always; underscores in names of headers stand for dashes."""

    def act(sock: socket.socket, _listener: Listener, _heard: Heard) -> None:
        said = body.encode() if isinstance(body, str) else body
        lines = [
            f"HTTP/1.1 {status}",
            f"Content-Length: {len(said)}",
            *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
        ]
        sock.sendall("\r\n".join([*lines, "", ""]).encode() + said)

    return act


def saying(*parts: bytes, then: str = "close") -> Act:
    """Says exactly this, and then closes, resets or hangs."""

    def act(sock: socket.socket, listener: Listener, _heard: Heard) -> None:
        for part in parts:
            sock.sendall(part)
        if then == "hang":
            listener.over.wait(60)
        if then == "reset":
            # linger 0: RST instead of FIN
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    return act


def dripping(first: bytes, drop: bytes = b"x") -> Act:
    """Says `first` and then a little every hundredth of a second for as long as anybody listens."""

    def act(sock: socket.socket, listener: Listener, _heard: Heard) -> None:
        sock.sendall(first)
        while not listener.over.wait(0.01):
            sock.sendall(drop)

    return act


def flooding(first: bytes) -> Act:
    """Says `first` and then never stops."""

    def act(sock: socket.socket, listener: Listener, _heard: Heard) -> None:
        sock.sendall(first)
        while not listener.over.is_set():
            sock.sendall(b"x" * 65536)

    return act


def in_turn(*acts: Act) -> Act:
    """The first request gets the first, and so on; the last one stays."""
    left = list(acts)

    def act(sock: socket.socket, listener: Listener, heard: Heard) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(sock, listener, heard)

    return act


@contextmanager
def listening(act: Act | None = None, *, context: ssl.SSLContext | None = None) -> Iterator[Listener]:
    """A listener for as long as the block lasts."""
    server = socket.create_server(("127.0.0.1", 0))
    listener = Listener(server.getsockname()[1], act or answering(), secure=context is not None)
    threads: list[threading.Thread] = []

    def serve(sock: socket.socket) -> None:
        sock.settimeout(20)
        try:
            served = sock if context is None else context.wrap_socket(sock, server_side=True)
        except OSError:
            sock.close()
            return
        with served, suppress(OSError):
            heard = _heard(served)
            if heard is not None:
                listener.requests.append(heard)
                listener.act(served, listener, heard)

    def accept() -> None:
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return
            listener.connections += 1
            thread = threading.Thread(target=serve, args=(sock,))
            threads.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield listener
    finally:
        listener.over.set()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        acceptor.join(20)
        for thread in threads:
            thread.join(20)


@contextmanager
def nobody() -> Iterator[int]:
    """A port where connections are refused: it is bound, so that nobody else is given it either."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def _heard(sock: socket.socket) -> Heard | None:
    raw = b""
    while b"\r\n\r\n" not in raw:
        part = sock.recv(65536)
        if not part:
            return None
        raw += part
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        part = sock.recv(65536)
        if not part:
            return None
        body += part
    return Heard(method, target, headers, body, head + b"\r\n\r\n" + body)
