"""What a fault is, and what it may do with the request it struck."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from pvectl.sim.connection import Connection
from pvectl.sim.http11 import Response
from pvectl.sim.wire import Request

MEGABYTE = 1 << 20
JSON = "application/json;charset=UTF-8"


class Exchange(Protocol):
    """What a fault may do with the request it struck."""

    conn: Connection
    request: Request

    def response(self, request: Request | None = None) -> Response:
        """The true answer to the request (or to another one in its place), not yet sent or compressed; blank without `execute`."""

    def blank(self, status: int, reason: str, body: bytes = b"", content_type: str | None = JSON) -> Response:
        """An answer the cluster knows nothing of."""

    def send(self, response: Response, *, keep: bool = False) -> None: ...

    def begin(self, response: Response) -> None:
        """Note the status of an answer the fault sends by itself, piece by piece."""

    def pause(self, seconds: float) -> None:
        """Wait real seconds; raises when the server closes."""

    def earlier(self) -> bytes | None:
        """The body this path was answered with last time."""

    def base_url(self, node: str | None) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault that takes the place of the answer."""

    stage: ClassVar[str] = "answer"
    executes: ClassVar[bool] = False
    """Whether the cluster carries the request out when `execute` is not given."""

    def carries_out(self) -> bool:
        return self.executes

    def play(self, x: Exchange) -> None:
        raise NotImplementedError
