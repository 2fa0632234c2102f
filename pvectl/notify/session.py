"""smtplib over our own wire: its conversation, without its way of connecting, of doing TLS, and of waiting."""

from __future__ import annotations

import contextlib
import re
import smtplib
import socket
from typing import Any

from pvectl.notify.result import Countdown
from pvectl.notify.tls import Tls
from pvectl.notify.wire import MOST, Wire

_READY = 220
_FULL_NAME = re.compile(r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")


class Refused(Exception):
    """The server is not one that may get a mail; `words` say why."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class Session(smtplib.SMTP):
    """One conversation with a mail server."""

    def __init__(self, wire: Wire, limit: Countdown) -> None:
        super().__init__(local_hostname=_own_name())
        self.sock: Any = wire
        self._wire = wire
        self._limit = limit
        self.handing_over = False
        """The mail itself is on its way: what fails from here on may have succeeded."""

    def open(self, host: str, security: str, tls: Tls) -> None:
        """Greet, and get under TLS as `security` has it.

        Raises:
            Refused: it offers no TLS, or says more than it should before.
            Unreached: TLS does not come about.
            SMTPException, OSError: the conversation broke.
        """
        if security == "tls":
            self._wire.secured(host, tls)
        code, _ = self.getreply()
        if code != _READY:
            raise smtplib.SMTPConnectError(code, "")
        self.ehlo_or_helo_if_needed()
        if security == "starttls":
            self._start_tls(host, tls)

    def data(self, msg: Any) -> tuple[int, bytes]:
        self.handing_over = True
        return super().data(msg)

    def trouble(self) -> str:
        """What became of the connection."""
        if self._limit.left() <= 0:
            return f"the mail server did not answer within {round(self._limit.seconds, 1):g} s"
        if self._wire.received > MOST:
            return "the mail server says more than anybody needs"
        return "the mail server broke the connection off"

    def leave(self) -> None:
        """Say goodbye; whether it is heard changes nothing."""
        with contextlib.suppress(OSError, smtplib.SMTPException):
            self.quit()

    def close(self) -> None:
        super().close()
        self._wire.close()

    def _start_tls(self, host: str, tls: Tls) -> None:
        if not self.has_extn("starttls"):
            raise Refused("the mail server offers no STARTTLS; `security: tls` or `plain` says how to do without")
        code, _ = self.docmd("STARTTLS")
        if code != _READY:
            raise smtplib.SMTPConnectError(code, "")
        # what somebody slipped in before TLS would be taken for the server's word after it (CVE-2021-38371 and its kin)
        if self.file is not None and self.file.holds_more():
            raise Refused("the mail server said more than it should before TLS")
        self.file = None
        self._wire.secured(host, tls)
        self.ehlo_resp = self.helo_resp = None
        self.esmtp_features = {}
        self.does_esmtp = False
        self.ehlo_or_helo_if_needed()


def _own_name() -> str:
    # smtplib would ask the resolver for the full name, which can take half a minute
    name = socket.gethostname()
    return name if _FULL_NAME.fullmatch(name) else "[127.0.0.1]"
