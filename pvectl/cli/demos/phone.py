"""The phone of the simulated company's administrator: an ntfy server on loopback with one reader."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import TracebackType
from typing import Self

_LONGEST = 64 * 1024
_OVER = "white_check_mark"


class Phone:
    """Takes messages from `with` to its end; `titles` are those nobody has read yet."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        phone = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(min(int(self.headers["Content-Length"]), _LONGEST)))
                # the title is without how bad it is: a phone shows that by the message's tag
                over = _OVER in told["tags"]
                phone.titles.append(f"{'over, ' if over else ''}{told['title']}")
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base class has it
                """Nobody reads a log of it."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def read(self) -> list[str]:
        """What has come in since it was last looked at."""
        titles, self.titles = self.titles, []
        return titles

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
