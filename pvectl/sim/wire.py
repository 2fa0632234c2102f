"""What the simulated cluster's two halves hand each other: a parsed request and the answer to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Request:
    """One API call as pveproxy has parsed it."""

    method: str
    path: str
    """Decoded, below `/api2/json`: `/nodes/pve1/qemu/101/config`."""
    params: Mapping[str, Any]
    """Query and body merged as PVE does: the query wins, a repeated key is a list, JSON bodies keep their types."""
    authorization: str | None
    cookie: str | None
    node: str
    """The node whose pveproxy accepted the connection."""
    headers: Mapping[str, str]
    """Lower-case names."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What pveproxy sends back, before it is put into HTTP."""

    status: int = 200
    reason: str = "OK"
    data: Any = None
    total: int | None = None
    """Stands beside `data` in task lists and task logs."""
    message: str | None = None
    errors: Mapping[str, str] | None = None
    body: bytes | None = None
    """When set it is sent as it is, without the JSON envelope."""
    content_type: str | None = "application/json;charset=UTF-8"
    """None leaves the header out."""
    delay_s: float = 0.0
    """Virtual seconds the answer takes (3 for a 401, 30 for a 596)."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers (Content-Disposition of a downloaded log)."""
    proxied: bool = False
    """Answered by pvedaemon behind pveproxy: the answer carries two Connection headers."""


class ApiError(Exception):
    """A call that ends with an error answer; raised anywhere inside the simulated API."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.message or answer.reason)
        self.answer = answer
