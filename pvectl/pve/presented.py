"""The certificate a host shows to anyone who asks; looking at it sends nothing of ours."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.errors import ConfigError
from pvectl.pve import failures, tls
from pvectl.pve.connection import Trust
from pvectl.pve.deadline import Deadline
from pvectl.pve.hosts import Host, parse_host
from pvectl.pve.line import Broken, open_line

if TYPE_CHECKING:
    import socket


class Presented(Struct, frozen=True, kw_only=True):
    """What one host presented. `fingerprint` is SHA-256, lower-case hex; `problem` says why `trust` refuses it, None when it does not."""

    host: str
    fingerprint: str
    problem: str | None = None

    @property
    def spelled(self) -> str:
        """The fingerprint as PVE's own pages show it."""
        return tls.spell(self.fingerprint)


def presented(host: str, *, trust: Trust, deadline: Deadline) -> Presented:
    """Look at the certificate of one host, as it stands in `hosts:`, and at what `trust` makes of it.

    Raises:
        Unavailable: nobody answers, or not in TLS.
        ConfigError: not an API address, or one without TLS.
    """
    where = parse_host(host, allow_http_loopback=True)
    if not where.tls:
        raise ConfigError(f"{where.label} is spoken to without TLS, so there is no certificate to trust")
    fingerprint = fingerprint_of(where, deadline)
    context = tls.make_context(trust)

    def prove(sock: socket.socket, within: Deadline) -> ssl.SSLSocket:
        return tls.handshake(sock, context, where, trust, within)

    try:
        open_line(where, prove, deadline).close()
    except tls.Unproven as error:
        return Presented(host=where.label, fingerprint=fingerprint, problem=error.words)
    except Broken as error:
        raise failures.unreachable({where.label: error.words}, last=where.label) from None
    return Presented(host=where.label, fingerprint=fingerprint)


def fingerprint_of(host: Host, deadline: Deadline) -> str:
    """The fingerprint of whatever a host presents, believed by nobody.

    Raises:
        Unavailable: nobody answers, or not in TLS.
    """
    shown: list[str] = []
    anybody = Trust(insecure=True)
    context = tls.make_context(anybody)

    def look(sock: socket.socket, within: Deadline) -> ssl.SSLSocket:
        secured = tls.handshake(sock, context, host, anybody, within)
        shown.append(tls.fingerprint(secured))
        return secured

    try:
        open_line(host, look, deadline).close()
    except Broken as error:
        raise failures.unreachable({host.label: error.words}, last=host.label) from None
    return shown[0]
