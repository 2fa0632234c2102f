"""The connections of one run: each serves one request at a time, rests in between, and is closed at the end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pvectl.errors import Unavailable
from pvectl.pve.connection import Trust
from pvectl.pve.deadline import Deadline
from pvectl.pve.line import Line, open_line

if TYPE_CHECKING:
    import socket
    import ssl

    from pvectl.pve.hosts import Host
    from pvectl.pve.tls import Unproven


class Pool:
    """Connections to all hosts of one cluster, opened when somebody needs one and kept for the next who does."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()
        self._idle: list[Line] = []
        self._closed = False

    def resting(self, host: Host, *, at_most_s: float) -> Line | None:
        """A kept connection to `host`, idle for less than `at_most_s` and with nothing on it that nobody asked for."""
        while True:
            with self._lock:
                line = next((line for line in reversed(self._idle) if line.host == host), None)
                if line is None:
                    return None
                self._idle.remove(line)
            if line.idle_for() < at_most_s and line.is_quiet():
                return line
            line.close()

    def fresh(self, host: Host, limit: Deadline) -> Line:
        """A new connection to `host`.

        Raises:
            Broken, TlsFailure, DeadlineExceeded: as `open_line`.
        """
        if not host.tls:
            return open_line(host, None, limit)
        from pvectl.pve import tls

        with self._lock:
            if self._context is None:
                self._context = tls.make_context(self._trust)
            context = self._context

        def secure(sock: socket.socket, within: Deadline) -> ssl.SSLSocket:
            return tls.handshake(sock, context, host, self._trust, within)

        try:
            return open_line(host, secure, limit)
        except tls.Unproven as error:
            raise self._with_fingerprint(error, host, limit) from None

    def _with_fingerprint(self, error: Unproven, host: Host, limit: Deadline) -> Unproven:
        """The failure, and what the host presented; a handshake that failed does not tell, so somebody who believes it all looks again."""
        from pvectl.pve.presented import fingerprint_of

        if self._trust.fingerprints:
            return error
        try:
            shown = fingerprint_of(host, limit)
        except Unavailable:
            return error
        return error.showing(shown)

    def keep(self, line: Line) -> None:
        """Let a connection rest until the next request; one that is closed already is forgotten."""
        if not line.is_open:
            return
        with self._lock:
            if not self._closed:
                self._idle.append(line)
                return
        line.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            lines, self._idle = self._idle, []
        for line in lines:
            line.close()
