"""What the simulated cluster was asked: one record per request and per connection, never a secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from pvectl.sim.http11 import WRITES

_TOKEN = re.compile(r"PVEAPIToken[=\s]\s*([^\s=:!]+@[^\s=:!]+![A-Za-z][A-Za-z0-9._-]*)=")
_SECRET_PARAMS = frozenset({"password", "secret", "otp", "new-password", "confirmation-password", "tfa-challenge"})


@dataclass(kw_only=True)
class Record:
    """One request as it reached a node."""

    method: str
    path: str
    """Below /api2/json; a path outside the API stands as it came."""
    params: Mapping[str, Any]
    node: str
    token_id: str | None
    authorization_bytes: int
    """Length of the Authorization header; 0 means none came."""
    at: float
    """Virtual time of arrival, epoch seconds."""
    connection: int
    status: int | None = None
    """None until, and unless, an answer was begun."""
    executed: bool = False
    """Whether the cluster was asked; a fault or pveproxy itself may have answered in its place."""
    fault: str | None = None

    @property
    def is_write(self) -> bool:
        return self.method in WRITES

    def __str__(self) -> str:
        return f"{self.method} {self.path} -> {self.status if self.fault is None else f'{self.status} ({self.fault})'}"


@dataclass(kw_only=True)
class ConnectionRecord:
    """One TCP connection as a node saw it."""

    number: int
    node: str
    tls: str | None = None
    """The agreed protocol version, once the handshake is through."""
    handshake_error: str | None = None
    received: int = 0
    """Bytes of HTTP that came in, after decryption."""
    requests: int = 0


@dataclass(kw_only=True)
class Counters:
    """Sums over the life of a server, untouched by `clear()` of the request list."""

    connections: int = 0
    handshakes: int = 0
    failed_handshakes: int = 0
    requests: int = 0
    bytes_received: int = field(default=0)
    authorization_bytes: int = 0


def token_id(authorization: str | None) -> str | None:
    """Return `USER@REALM!TOKENID` of an Authorization header; None when it does not look like one, so that no secret slips through."""
    if authorization is None:
        return None
    match = _TOKEN.match(unquote(authorization))
    return match[1] if match is not None else None


def without_secrets(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "***" if name in _SECRET_PARAMS else value for name, value in params.items()}
