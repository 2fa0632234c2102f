"""A server of a few lines that does on each connection exactly what it is told, and keeps what it was sent."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

Script = Callable[[socket.socket, bytes], bool]
"""Does something about one request; True when the connection is to stay open for the next."""


class Listener:
    """Plays the scripts in order, one per request, the last one for all that follow; `received` has each request's bytes."""

    def __init__(self, *scripts: Script, context: ssl.SSLContext | None = None) -> None:
        self._scripts = list(scripts)
        self._context = context
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._closing = False
        self.received: list[bytes] = []
        self.connections = 0
        self.port: int = self._socket.getsockname()[1]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        with self._lock:
            self._closing = True
            sockets = [self._socket, *self._open]
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            with self._lock:
                if self._closing:
                    sock.close()
                    return
                self.connections += 1
                self._open.add(sock)
            self._start(self._serve, sock)

    def _serve(self, plain: socket.socket) -> None:
        sock = plain
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(plain, server_side=True)
            with self._lock:
                self._open.add(sock)
            while request := _request(sock):
                with self._lock:
                    self.received.append(request)
                    script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
                if not script(sock, request):
                    return
        except OSError:
            return
        finally:
            with self._lock:
                self._open -= {plain, sock}
            sock.close()
            plain.close()


def says(data: Any = None, *, status: str = "200 OK", headers: str = "", body: bytes | None = None, keep: bool = True) -> Script:
    """A whole answer with `data` in PVE's envelope, or `body` as it is."""
    content = json.dumps({"data": data}).encode() if body is None else body
    kind = "" if "content-type" in headers.lower() else "Content-Type: application/json;charset=UTF-8\r\n"
    return sends(f"HTTP/1.1 {status}\r\n{kind}Content-Length: {len(content)}\r\n{headers}\r\n".encode() + content, keep=keep)


def sends(raw: bytes, *, keep: bool = False) -> Script:
    """Bytes as they are."""

    def play(sock: socket.socket, _request: bytes) -> bool:
        sock.sendall(raw)
        return keep

    return play


def resets(after: bytes = b"") -> Script:
    """Some bytes, then a TCP reset."""

    def play(sock: socket.socket, _request: bytes) -> bool:
        sock.sendall(after)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    return play


def hangs(after: bytes = b"") -> Script:
    """Some bytes, then nothing until the other side gives up."""

    def play(sock: socket.socket, _request: bytes) -> bool:
        sock.sendall(after)
        with contextlib.suppress(OSError):
            sock.recv(1)
        return False

    return play


def drips(raw: bytes, *, every_s: float) -> Script:
    """A byte now and then, until all are sent or the other side is gone."""

    def play(sock: socket.socket, _request: bytes) -> bool:
        sock.settimeout(every_s)
        for at in range(len(raw)):
            sock.sendall(raw[at : at + 1])
            with contextlib.suppress(TimeoutError):
                if not sock.recv(1):
                    return False
        return False

    return play


def _request(sock: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        part = sock.recv(65536)
        if not part:
            return b""
        data += part
        if data.startswith(b"\x16"):  # the hello of a TLS client who took this for a TLS server
            return data
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        part = sock.recv(65536)
        if not part:
            break
        body += part
    return head + b"\r\n\r\n" + body
