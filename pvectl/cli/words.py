"""Numbers and moments as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pvectl.core.amounts import percent as percent
from pvectl.core.amounts import size as size
from pvectl.core.amounts import span as span

if TYPE_CHECKING:
    from datetime import datetime


def moment(when: datetime, now: datetime) -> str:
    """A moment by this machine's clock: the time of day, and the date where that is not today's."""
    local = when.astimezone()
    return local.strftime("%H:%M" if local.date() == now.astimezone().date() else "%Y-%m-%d %H:%M")
