"""Faults of the connection: nobody there, silence, trickles, cuts, floods and lengths that lie."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from pvectl.sim.mischief import MEGABYTE, Exchange, Fault


@dataclass(frozen=True, kw_only=True)
class Refuse(Fault):
    """Nobody listens: connection refused. With `times`, which a closed port cannot count, each connection is accepted and reset."""

    stage = "connect"

    def play(self, x: Exchange) -> None:
        x.conn.reset()


@dataclass(frozen=True, kw_only=True)
class SlowAccept(Fault):
    """The connection is taken, and nothing happens on it (no TLS handshake either) for `seconds`."""

    stage = "connect"
    seconds: float = 1.0

    def play(self, x: Exchange) -> None:
        x.pause(self.seconds)


@dataclass(frozen=True, kw_only=True)
class Mute(Fault):
    """The connection is taken, and never a byte is sent on it: no TLS handshake, no answer."""

    stage = "connect"

    def play(self, x: Exchange) -> None:
        x.conn.hold()


@dataclass(frozen=True, kw_only=True)
class Latency(Fault):
    """Real seconds before the request is looked at."""

    stage = "before"
    seconds: float = 0.2

    def play(self, x: Exchange) -> None:
        x.pause(self.seconds)


@dataclass(frozen=True, kw_only=True)
class CloseIdle(Fault):
    """A kept-alive connection ends just as its next request arrives; `how` is "fin" or "rst". First requests are spared."""

    stage = "idle"
    how: str = "fin"

    def play(self, x: Exchange) -> None:
        if self.how == "rst":
            x.conn.reset()


@dataclass(frozen=True, kw_only=True)
class Hang(Fault):
    """Silence before the status line (`after="request"`), after the headers, or in the middle of the body."""

    after: str = "request"

    def carries_out(self) -> bool:
        return self.after != "request"

    def play(self, x: Exchange) -> None:
        if self.after in {"headers", "body"}:
            response = x.response()
            x.begin(response)
            x.conn.send(response.head())
            if self.after == "body":
                x.conn.send(response.body[: len(response.body) // 2])
        x.conn.hold()


@dataclass(frozen=True, kw_only=True)
class Drip(Fault):
    """The answer comes in pieces of `size` bytes, one each `interval` real seconds; `where` is "head" or "body"."""

    executes = True
    where: str = "body"
    interval: float = 0.1
    size: int = 1

    def play(self, x: Exchange) -> None:
        response = x.response()
        x.begin(response)
        head, body = response.head(), response.body
        slow = head + body if self.where == "head" else body
        if self.where != "head":
            x.conn.send(head)
        for start in range(0, len(slow), self.size):
            x.conn.send(slow[start : start + self.size])
            x.pause(self.interval)


@dataclass(frozen=True, kw_only=True)
class Reset(Fault):
    """TCP RST after `after` bytes of the answer, the head included."""

    executes = True
    after: int = 0

    def play(self, x: Exchange) -> None:
        response = x.response()
        if self.after:
            x.begin(response)
            x.conn.send(response.encode()[: self.after])
            # the kernel throws away what is still unsent on a reset
            x.pause(0.05)
        x.conn.reset()


@dataclass(frozen=True, kw_only=True)
class Truncate(Fault):
    """The connection closes after `keep` bytes of the body (None: half).

    With `length=False` there is no Content-Length to tell; with `notify=False` TLS says no goodbye either, as when a cable is cut.
    """

    executes = True
    keep: int | None = None
    length: bool = True
    notify: bool = True

    def play(self, x: Exchange) -> None:
        response = x.response()
        keep = len(response.body) // 2 if self.keep is None else self.keep
        length = max(len(response.body), keep + 1) if self.length else None
        x.send(dataclasses.replace(response, length=length, body=response.body[:keep]))
        if not self.notify:
            x.conn.close()


@dataclass(frozen=True, kw_only=True)
class Huge(Fault):
    """Valid JSON of `size` bytes, made while it is sent; `length=False` leaves Content-Length out."""

    size: int = 300 * MEGABYTE
    length: bool = True

    def play(self, x: Exchange) -> None:
        start, end = b'{"data":"', b'"}'
        filler = max(self.size - len(start) - len(end), 0)
        response = dataclasses.replace(x.blank(200, "OK"), length=filler + len(start) + len(end) if self.length else None)
        x.begin(response)
        x.conn.send(response.head() + start)
        block = b"x" * MEGABYTE
        while filler > 0:
            x.conn.send(block[:filler])
            filler -= len(block)
            x.pause(0.0)
        x.conn.send(end)


@dataclass(frozen=True, kw_only=True)
class Garbage(Fault):
    """Bytes that are no HTTP, then the end."""

    data: bytes = b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n"

    def play(self, x: Exchange) -> None:
        x.conn.send(self.data)


_FLOODS = {"headers": b"X-Flood: " + b"y" * 1000 + b"\r\n", "line": b"y" * 1010, "continue": b"HTTP/1.1 100 Continue\r\n\r\n"}


@dataclass(frozen=True, kw_only=True)
class HeaderFlood(Fault):
    """Headers without end; `of` is "headers" (many), "line" (a single one) or "continue" (one `100 Continue` after the other)."""

    of: str = "headers"
    limit: int | None = None
    """Bytes after which the server gives up; None: when the client does."""

    def play(self, x: Exchange) -> None:
        piece = _FLOODS[self.of]
        if self.of != "continue":
            x.conn.send(b"HTTP/1.1 200 OK\r\nX-Flood: ")
        sent = 0
        while self.limit is None or sent < self.limit:
            x.conn.send(piece * 50)
            sent += len(piece) * 50
            x.pause(0.0)


@dataclass(frozen=True, kw_only=True)
class WrongLength(Fault):
    """A Content-Length that lies: "short", "long" (then silence), "negative", "text", or "two" that differ."""

    executes = True
    how: str = "short"

    def play(self, x: Exchange) -> None:
        response = x.response()
        true = len(response.body)
        lengths: dict[str, int | str] = {"short": true // 2, "long": true + 10, "negative": -5, "text": "many", "two": true // 2}
        extra = (("Content-Length", str(true)),) if self.how == "two" else ()
        x.begin(response)
        x.conn.send(dataclasses.replace(response, length=lengths[self.how], extra=extra).encode())
        if self.how == "long":
            x.conn.hold()


@dataclass(frozen=True, kw_only=True)
class ExtraAnswer(Fault):
    """Behind the true answer comes another that nobody asked for: who keeps the connection takes it for the next one."""

    executes = True
    body: bytes = b'{"data":[]}'

    def play(self, x: Exchange) -> None:
        x.send(x.response(), keep=True)
        x.conn.send(dataclasses.replace(x.blank(200, "OK", self.body), connection=("Keep-Alive",)).encode())
