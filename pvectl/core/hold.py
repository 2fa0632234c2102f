"""Holds: somebody's word that a node or a guest is to stay on, until when and why (safety rule S25)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct

USUAL_LENGTH = timedelta(hours=8)
LONGEST = timedelta(days=7)


class Hold(Struct, frozen=True, kw_only=True):
    """`subject` is "node/pve2" or "guest/110"; from `until` on it no longer counts."""

    id: str
    subject: str
    until: datetime
    reason: str
    who: str
    made_at: datetime

    def in_force(self, at: datetime) -> bool:
        """When it was made does not matter: a clock that was set back must not lift a hold."""
        return at < self.until


def in_force(holds: Iterable[Hold], at: datetime) -> tuple[Hold, ...]:
    """Those that count at this moment, the one that ends first in front."""
    return tuple(sorted((hold for hold in holds if hold.in_force(at)), key=lambda hold: (hold.until, hold.id)))


def holding(holds: Iterable[Hold], subject: str, at: datetime) -> Hold | None:
    """What keeps this subject on at this moment: of several holds the one that lasts longest."""
    return next((hold for hold in reversed(in_force(holds, at)) if hold.subject == subject), None)
