"""Numbers and moments as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from pvectl.core.amounts import percent, size, span

__all__ = ["here", "moment", "percent", "size", "span"]

_IN_UTC = re.compile(r"\b(\d{4}-\d{2}-\d{2} \d{2}:\d{2}) UTC\b")


def moment(when: datetime, now: datetime) -> str:
    """A moment by this machine's clock: the time of day, and the date where that is not today's."""
    local = when.astimezone()
    return local.strftime("%H:%M" if local.date() == now.astimezone().date() else "%Y-%m-%d %H:%M")


def here(sentence: str, now: datetime) -> str:
    """A sentence from the state file, which tells moments in UTC, with them as this machine's clock shows them."""
    return _IN_UTC.sub(lambda found: _moment_of(found[1], now) or found[0], sentence)


def _moment_of(text: str, now: datetime) -> str | None:
    try:
        return moment(datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC), now)
    except (ValueError, OverflowError):
        return None
