"""Which cluster to speak to, how to prove who we are, and whom to believe."""

from __future__ import annotations

import re

from msgspec import Struct

from pvectl.core.secret import Secret
from pvectl.errors import ConfigError
from pvectl.pve.hosts import Host, parse_host

# pve-access-control: user@realm!token; the token's name is a pve-configid
_TOKEN_ID = re.compile(r"\A[^\s:/!=]+@[A-Za-z][A-Za-z0-9._-]*![A-Za-z][A-Za-z0-9._-]*\Z")
# pveproxy takes what follows a ";" for something else (Formatter.pm, extract_auth_value)
_SECRET = re.compile(r"\A[!-:<-~]+\Z")
_FINGERPRINT = r"\A[0-9a-f]{64}\Z"


class Trust(Struct, frozen=True, kw_only=True):
    """How a host proves who it is; with none of them, the system's store decides.

    `fingerprints` are SHA-256 in lower-case hex without colons; any one of them will do. `insecure` believes anybody, and only reads.
    """

    ca_file: str | None = None
    fingerprints: tuple[str, ...] = ()
    insecure: bool = False


class Connection(Struct, frozen=True, kw_only=True):
    """One cluster: `hosts` are its entry points, tried in order; `token_id` is user@realm!name.

    `http://127.0.0.1:PORT` is a host only with `allow_http_loopback`, and only on this machine.
    """

    cluster: str
    hosts: tuple[str, ...]
    token_id: str
    token: Secret
    trust: Trust = Trust()
    allow_http_loopback: bool = False

    def checked_hosts(self) -> tuple[Host, ...]:
        """The hosts, and everything else that would only be noticed on the way.

        Raises:
            ConfigError: something cannot be used.
        """
        if not self.hosts:
            raise ConfigError(f"cluster {self.cluster}: no hosts")
        if _TOKEN_ID.match(self.token_id) is None:
            raise ConfigError(f"token_id: {self.token_id!r} is not a token's id", hint="write user@realm!name, as in pvectl@pve!ops")
        if _SECRET.match(self.token.reveal()) is None:
            raise ConfigError(
                "the token's secret is empty or holds characters no token has",
                hint="it is the UUID that `pveum user token add` printed once, without the id and without quotes",
            )
        for fingerprint in self.trust.fingerprints:
            if re.match(_FINGERPRINT, fingerprint) is None:
                raise ConfigError(
                    f"fingerprints: {fingerprint[:100]!r} is not a SHA-256 fingerprint",
                    hint="64 hex digits; `pvectl config trust` shows it",
                )
        return tuple(dict.fromkeys(parse_host(text, allow_http_loopback=self.allow_http_loopback) for text in self.hosts))
