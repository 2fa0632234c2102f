"""One TCP connection of a simulated node: bytes in, bytes out, and the rude ways to end it."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading

from pvectl.sim import http11
from pvectl.sim.record import ConnectionRecord

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_TLS_HANDSHAKE = b"\x16"
_CHUNK = 1 << 20
_PATIENT_S = 120.0
_DRAIN_LIMIT = 64 << 20


class Gone(Exception):
    """The connection is over: the peer left, stayed silent too long, or the server is closing."""


class Connection:
    """A socket with a read buffer; every method may raise Gone or OSError, and both mean that the connection is over."""

    def __init__(self, sock: socket.socket, record: ConnectionRecord, *, idle_s: float) -> None:
        self.record = record
        self._sock = sock
        self._idle_s = idle_s
        self._buffer = bytearray()
        self._over = False
        self._lock = threading.Lock()
        sock.settimeout(idle_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def speaks_tls(self) -> bool:
        """Look at the first byte without taking it."""
        try:
            first = self._sock.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            raise Gone from None
        if not first:
            raise Gone
        return first == _TLS_HANDSHAKE

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Shake hands as the server; raises OSError (ssl.SSLError is one) when the client turns away."""
        with self._lock:
            if self._over:
                raise Gone
            wrapped = context.wrap_socket(self._sock, server_side=True, do_handshake_on_connect=False)
            self._sock = wrapped
        wrapped.do_handshake()
        self.record.tls = wrapped.version()

    def read_head(self) -> bytes:
        """Return the next request line and headers, without the empty line behind them.

        Raises Silence for a head beyond pveproxy's limits that never ends.
        """
        buffer = self._buffer
        searched = 0
        while True:
            while buffer.startswith((b"\r", b"\n")):
                del buffer[0]
            match = _HEAD_END.search(buffer, max(searched - 3, 0))
            if match is not None:
                block = bytes(buffer[: match.start()])
                del buffer[: match.end()]
                return block
            searched = len(buffer)
            first, ended, rest = buffer.partition(b"\n")
            if ended and not re.search(rb"\S+ \S+ HTTP/1\.", first):
                buffer.clear()
                return bytes(first)
            if len(first) > http11.MAX_REQUEST_LINE or len(rest) >= http11.MAX_HEADER_BYTES + http11.MAX_REQUEST_LINE:
                raise http11.Silence
            self._fill()

    def read_body(self, length: int) -> bytes:
        while len(self._buffer) < length:
            self._fill()
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _fill(self) -> None:
        try:
            data = self._sock.recv(65536)
        except TimeoutError:
            raise Gone from None
        if not data:
            raise Gone
        self.record.received += len(data)
        self._buffer += data

    def send(self, data: bytes) -> None:
        if len(data) <= 65536:
            self._sock.sendall(data)
            return
        # sendall counts its time-out from the first byte, so that a large answer to a slow reader needs more than the idle time
        self._sock.settimeout(_PATIENT_S)
        try:
            view = memoryview(data)
            for start in range(0, len(view), _CHUNK):
                self._sock.sendall(view[start : start + _CHUNK])
        finally:
            self._sock.settimeout(self._idle_s)

    def hold(self, *, seconds: float | None = None) -> None:
        """Say nothing more until the peer leaves, the server closes, or nothing has come for `seconds`."""
        self._sock.settimeout(seconds)
        try:
            while self._sock.recv(65536):
                pass
        except TimeoutError:
            pass

    def reset(self) -> None:
        """End it with a TCP RST, as a crashed host or a firewall does."""
        # l_onoff 1, l_linger 0: close() drops what is unsent and sends RST
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with self._lock:
            self._over = True
        self._sock.close()

    def finish(self) -> None:
        """End it in good order: close_notify, FIN, and let what the client still sends run out."""
        if self._over:
            return
        try:
            self._sock.settimeout(0.0)
            if isinstance(self._sock, ssl.SSLSocket):
                self._say_goodbye(self._sock)
            # closing with unread bytes would send RST, which may overtake the answer
            socket.socket.shutdown(self._sock, socket.SHUT_WR)
            self._sock.settimeout(1.0)
            left = _DRAIN_LIMIT
            while left > 0 and (data := socket.socket.recv(self._sock, 65536)):
                left -= len(data)
        except OSError:
            pass

    @staticmethod
    def _say_goodbye(sock: ssl.SSLSocket) -> None:
        try:
            sock.unwrap()
        except (OSError, ValueError):
            # without waiting the client's own close_notify is never there: SSLWantReadError
            return

    def kill(self) -> None:
        """Wake up whoever waits on the socket, from another thread."""
        with self._lock:
            self._over = True
            with contextlib.suppress(OSError):
                # SSLSocket's own shutdown drops the TLS state under the feet of the thread that reads
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            self._over = True
            self._sock.close()
