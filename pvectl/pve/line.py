"""One connection to one host: an HTTP/1.1 request out, one whole answer in, never later than the deadline."""

from __future__ import annotations

import io
import select
import socket
import time
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import TYPE_CHECKING, Self

from pvectl.dialling import Address, connected, looked_up, resolved
from pvectl.errors import DeadlineExceeded, ProtocolError
from pvectl.pve.deadline import Deadline
from pvectl.pve.hosts import Host
from pvectl.pve.strict_json import MAX_BODY

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from _typeshed import WriteableBuffer


CONNECT_S = 5.0
READ_S = 35.0
"""Longer than the 30 s pveproxy gives a node behind it, so that its 596 arrives instead of our own time-out."""
ANSWER_S = 120.0
"""One answer as a whole, for a server that sends a byte now and then and a run that has no deadline."""
MAX_HEAD = 64 << 10
_BUFFER = 64 << 10
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE"})


class Broken(Exception):
    """The connection failed; `sent` says whether bytes of the request may have left."""

    def __init__(self, words: str, *, sent: bool) -> None:
        super().__init__(words)
        self.words = words
        self.sent = sent


class Answer:
    """A whole HTTP answer. What proxmoxer reads of it is spelled as proxmoxer wants it."""

    __slots__ = ("body", "content_type", "reason", "status_code")

    def __init__(self, *, status_code: int, reason: str, content_type: str, body: bytes) -> None:
        self.status_code = status_code
        self.reason = reason
        self.content_type = content_type
        self.body = body

    def without(self, secrets: tuple[bytes, ...]) -> Answer:
        """The answer with `***` wherever one of the secrets stands in it, for a server that repeats what it was sent."""
        if not any(secret in part for secret in secrets for part in (self.body, self.reason.encode(), self.content_type.encode())):
            return self
        body, reason, kind = self.body, self.reason.encode(), self.content_type.encode()
        for secret in secrets:
            body, reason, kind = (part.replace(secret, b"***") for part in (body, reason, kind))
        return Answer(status_code=self.status_code, reason=reason.decode(), content_type=kind.decode(), body=body)

    @property
    def content(self) -> str:
        """A stand-in: proxmoxer formats the content into a log line nobody sees, and a body can be megabytes."""
        return f"<{len(self.body)} bytes>"


class _Inflow(io.RawIOBase):
    """What arrives on a socket, each wait bounded by the read time-out and by the answer's deadline, and the head by its size."""

    def __init__(self, sock: socket.socket, limit: Deadline) -> None:
        self._sock = sock
        self._limit = limit
        self.in_head = True
        self.total = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        self._limit.check()
        self._sock.settimeout(min(READ_S, self._limit.patience, max(self._limit.left(), 0.001)))
        count = self._sock.recv_into(buffer)
        self.total += count
        if not count and self.in_head:
            # http.client would take what came so far for the whole head
            raise ConnectionAbortedError
        if self.in_head and self.total > MAX_HEAD + _BUFFER:
            raise ProtocolError(f"the answer's headers are larger than {MAX_HEAD >> 10} KiB")
        return count

    def tell(self) -> int:
        return self.total


class _Reader(io.BufferedReader):
    """Reads what flows in; when closed, notes how much had arrived that was never read."""

    def __init__(self, inflow: _Inflow) -> None:
        super().__init__(inflow, _BUFFER)
        self._inflow = inflow
        self.left_over = 0

    def makefile(self, _mode: str) -> Self:
        """The one thing HTTPResponse asks of a socket."""
        return self

    def close(self) -> None:
        if not self.closed:
            self.left_over = self._inflow.total - self.tell()
        super().close()


class Line:
    """A connection that is kept open between requests."""

    def __init__(self, host: Host, sock: socket.socket) -> None:
        self.host = host
        self._sock: socket.socket | None = sock
        self._rested_at = time.monotonic()
        self.used = False

    def close(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    @property
    def is_open(self) -> bool:
        return self._sock is not None

    def idle_for(self) -> float:
        """Seconds since the last answer."""
        return time.monotonic() - self._rested_at

    def is_quiet(self) -> bool:
        """Nothing has arrived unasked: neither the server's goodbye nor an answer to somebody else's question."""
        if self._sock is None:
            return False
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return not poll.poll(0)

    def exchange(self, method: str, head: bytes, body: bytes, limit: Deadline) -> Answer:
        """Send a request and read the whole answer; the connection is closed unless both sides may use it again.

        Raises:
            Broken: the connection failed.
            DeadlineExceeded: the run is over.
            ProtocolError: what came is not HTTP as PVE speaks it, or too large.
        """
        sock = self._sock
        if sock is None:
            raise Broken("the connection is closed", sent=False)
        keep = False
        try:
            limit.check()
        except DeadlineExceeded:
            self.close()
            raise
        within = limit.within(ANSWER_S)
        inflow = _Inflow(sock, within)
        reader = _Reader(inflow)
        response = HTTPResponse(reader, method=method)  # type: ignore[arg-type]
        try:
            sock.settimeout(min(READ_S, within.patience, max(within.left(), 0.001)))
            sock.sendall(head + body)
            response.begin()
            inflow.in_head = False
            answer = _whole(response)
            response.close()
            # more than the answer is an answer to a question nobody asked
            keep = not response.will_close and not reader.left_over
        except (IncompleteRead, ConnectionError) as error:
            raise Broken(_words(error, started=inflow.total > 0), sent=True) from None
        except HTTPException as error:
            raise ProtocolError(f"{self.host.label} does not answer in HTTP: {type(error).__name__}", subject=self.host.subject) from None
        except TimeoutError:
            limit.check()
            raise Broken("it stopped answering", sent=True) from None
        except DeadlineExceeded:
            limit.check()
            raise Broken(f"its answer was not whole after {ANSWER_S:g} s", sent=True) from None
        except OSError as error:
            raise Broken(_words(error, started=inflow.total > 0), sent=True) from None
        finally:
            response.close()
            reader.close()
            self.used = True
            self._rested_at = time.monotonic()
            if not keep:
                self.close()
        return answer


def open_line(host: Host, secure: Callable[[socket.socket, Deadline], ssl.SSLSocket] | None, limit: Deadline) -> Line:
    """Connect, and have `secure` prove the other side; nothing of a request leaves here.

    Raises:
        Broken: nobody there.
        TlsFailure: somebody else there.
        DeadlineExceeded: the run is over.
    """
    limit.check()
    within = limit.within(CONNECT_S)
    try:
        sock = connected(_addresses(host, within), within)
        if secure is not None:
            sock = secure(sock, within)
    except TimeoutError:
        limit.check()
        raise Broken(f"no connection within {CONNECT_S:g} s", sent=False) from None
    except OSError as error:
        raise Broken(_words(error, started=False), sent=False) from None
    return Line(host, sock)


def _addresses(host: Host, limit: Deadline) -> list[Address]:
    if host.is_address:
        return looked_up(host.name, host.port, socket.AI_NUMERICHOST)
    return resolved(host.name, host.port, limit, thread=f"resolve {host.name}")


def _whole(response: HTTPResponse) -> Answer:
    encoding = response.getheader("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise ProtocolError("the answer is compressed, which pvectl asked it not to be")
    lengths = {length.strip() for length in response.headers.get_all("Content-Length") or ()}
    if len(lengths) > 1 or not all(length.isascii() and length.isdigit() for length in lengths):
        raise ProtocolError("the answer states its length in a way that makes no sense")
    if response.length is not None and response.length > MAX_BODY:
        raise ProtocolError(f"the answer is larger than {MAX_BODY >> 20} MiB")
    body = response.read() if response.length is not None else _until_the_end(response)
    return Answer(
        status_code=response.status,
        reason=response.reason.encode("latin-1", "replace").decode("utf-8", "replace"),
        content_type=response.getheader("Content-Type", ""),
        body=body,
    )


def _until_the_end(response: HTTPResponse) -> bytes:
    # not a list of parts: chunks of two bytes would make millions of them
    body = bytearray()
    while part := response.read1(64 << 10):
        body += part
        if len(body) > MAX_BODY:
            raise ProtocolError(f"the answer is larger than {MAX_BODY >> 20} MiB")
    return bytes(body)


def _words(error: Exception, *, started: bool) -> str:
    if isinstance(error, IncompleteRead) or (started and isinstance(error, ConnectionError)):
        return "it broke off in the middle of its answer"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionError):
        return "it closed the connection without an answer"
    tls = getattr(error, "reason", None)
    if isinstance(tls, str):
        return "it does not speak TLS there" if tls in _NOT_TLS else f"TLS failed: {tls.lower().replace('_', ' ')}"
    return (getattr(error, "strerror", None) or type(error).__name__).lower()
