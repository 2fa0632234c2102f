"""What an administrator wants of the idle decision, and what time it is."""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec
from msgspec import Struct

_NOT_ABOUT_IDLENESS = frozenset({"interval"})


class Now(Struct, frozen=True, kw_only=True):
    """The moment of a decision: wall time (aware UTC) for people, `boottime` (CLOCK_BOOTTIME of boot `boot_id`) for arithmetic."""

    wall: datetime
    boottime: float
    boot_id: str | None


class Policy(Struct, frozen=True, kw_only=True):
    """The configuration of idle-check; durations in seconds.

    `signals` is a stable text of the activity signals that are asked for, and `cluster` which cluster this is about: a change of either
    begins the grace period anew. `max_failures` attempts in a row that failed put a node into quarantine.
    """

    nodes: tuple[str, ...] = ()
    tag: str = "safe-shutdown"
    exclude: tuple[int, ...] = ()
    grace_period: int = 1800
    min_uptime: int = 1800
    max_gap: int = 900
    notice: int = 300
    shutdown_timeout: int = 180
    wake: str = "optional"
    ha: str = "refuse"
    controller: str = "single"
    max_guests_per_run: int = 10
    max_nodes_off: int = 1
    allow_ceph: tuple[str, ...] = ()
    boot_time: int = 600
    interval: int = 300
    require_registered: bool = False
    signals: str = ""
    cluster: str | None = None
    max_failures: int = 3

    def fingerprint(self) -> str:
        """A short text that is the same as long as everything in it is that idleness is measured by (safety rule S14)."""
        about = {key: value for key, value in msgspec.to_builtins(self).items() if key not in _NOT_ABOUT_IDLENESS}
        return hashlib.sha256(msgspec.json.encode(about, order="sorted")).hexdigest()[:32]
