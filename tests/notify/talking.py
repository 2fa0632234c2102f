"""A mail server that says what it is told, line by line, and then fails."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def talking(*said: bytes, then: str) -> Iterator[int]:
    """The port of one that says the first at once and each other in answer to something, then closes, resets, hangs, drips or floods."""
    over = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            sock, _ = server.accept()
            sock.settimeout(20)
            with sock:
                for number, words in enumerate(said):
                    if number and not sock.recv(65536):
                        return
                    sock.sendall(words)
                if then == "reset":
                    sock.recv(65536)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                while then == "flood" and not over.is_set():
                    sock.sendall(b"220-more and more\r\n" * 1000)
                while then == "drip" and not over.wait(0.01):
                    sock.sendall(b"x")
                if then == "hang":
                    over.wait(60)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server.getsockname()[1]
    finally:
        over.set()
        # closing alone does not wake a thread that waits for somebody who never came
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(20)
