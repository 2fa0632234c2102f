"""One connection to a receiver: direct, never through a proxy, every wait bounded by one countdown, and what arrives bounded too."""

from __future__ import annotations

import contextlib
import io
import socket
from typing import TYPE_CHECKING, Any, Self

from pvectl.dialling import connected, resolved
from pvectl.notify.result import Countdown
from pvectl.notify.tls import Tls, Unproven, make_context, prove

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


MOST = 192 << 10
"""Bytes one receiver may say to us in one connection: the head of an answer, 64 KiB of it, and room."""
_BUFFER = 16 << 10


class Unreached(Exception):
    """There is no connection, and nothing of the message has left; `lasting`: a person has to do something about it."""

    def __init__(self, words: str, *, lasting: bool = False) -> None:
        super().__init__(words)
        self.words = words
        self.lasting = lasting


class TooMuch(OSError):
    """The other side says more than anybody needs to."""


class _Inflow(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        return self._wire.receive_into(buffer)

    def tell(self) -> int:
        return self._wire.received


class Reader(io.BufferedReader):
    """What arrives, for http.client and smtplib to read lines from."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(_Inflow(wire), _BUFFER)
        self._wire = wire

    def holds_more(self) -> bool:
        """Something has arrived that nobody has read yet."""
        return self._wire.received > self.tell()


class Wire:
    """A connection that speaks as much of a socket as http.client and smtplib ask for."""

    def __init__(self, sock: socket.socket, limit: Countdown) -> None:
        self._sock = sock
        self._limit = limit
        self.received = 0
        self.strict_end = False
        """An end of what arrives is a broken connection, not an end."""

    def makefile(self, _mode: str = "rb") -> Reader:
        return Reader(self)

    def receive_into(self, buffer: WriteableBuffer) -> int:
        self._sock.settimeout(self._limit.wait())
        count = self._sock.recv_into(buffer)
        if not count and self.strict_end:
            raise ConnectionAbortedError
        self.received += count
        if self.received > MOST:
            raise TooMuch
        return count

    def sendall(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            self._sock.settimeout(self._limit.wait())
            rest = rest[self._sock.send(rest) :]

    def secured(self, host: str, tls: Tls) -> Self:
        """The same connection under TLS, the other side proven; closed when it is not.

        Raises:
            Unreached: TLS does not come about.
            ConfigError: the CA file cannot be used.
        """
        plain = self._sock
        try:
            context = make_context(tls)
            # as bytes, so that Python does not load its IDNA codec for it
            name: Any = host.partition("%")[0].encode("ascii")
            secured = context.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False)
        except BaseException:
            plain.close()
            raise
        self._sock = secured
        try:
            secured.settimeout(self._limit.wait())
            prove(secured, tls)
        except Unproven as error:
            secured.close()
            raise Unreached(error.words, lasting=True) from None
        except OSError as error:
            secured.close()
            raise Unreached(words(error, self._limit)) from None
        return self

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.close()


def connect(host: str, port: int, limit: Countdown) -> Wire:
    """A connection to the first address of `host` that takes one.

    Raises:
        Unreached: none does in time.
    """
    try:
        return Wire(connected(resolved(host, port, limit, thread="resolve a receiver"), limit), limit)
    except OSError as error:
        raise Unreached(words(error, limit)) from None


def words(error: OSError, limit: Countdown) -> str:
    """What went wrong, without a word of where."""
    if isinstance(error, TimeoutError):
        return f"no answer within {round(limit.seconds, 1):g} s"
    if isinstance(error, socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionError):
        return "it broke the connection off"
    if isinstance(error, TooMuch):
        return f"its answer is larger than {MOST >> 10} KiB"
    tls = getattr(error, "reason", None)
    if isinstance(tls, str):
        return f"TLS failed: {tls.lower().replace('_', ' ')}"
    import os

    # not strerror: for some errors it is text of another library
    return os.strerror(error.errno).lower() if error.errno else "the connection failed"
