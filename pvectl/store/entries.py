"""What the store keeps beside the records of the jobs: decisions, intents, and the history that is told from them."""

from __future__ import annotations

import os
from collections.abc import Container
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from msgspec import Raw, Struct

What: TypeAlias = Literal["action", "decision", "hold-added", "hold-removed", "hold-expired", "set-aside"]
Verb: TypeAlias = Literal["shutdown", "start", "power-off", "wake", "set-tags"]

_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
# Crockford's base 32: no i, l, o, u, so that an id can be read aloud; in the order of ASCII, so that ids sort by their time
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_SPOKEN = str.maketrans({"o": "0", "i": "1", "l": "1", "-": None, " ": None})
_SECONDS_DIGITS = 6
_LENGTH = 8
UNKNOWN = "unknown"
"""The status of an intent whose request was sent and whose outcome nobody has seen; it stays open."""


class DecisionEntry(Struct, frozen=True, kw_only=True):
    """A decision with all it rests on; `payload` is the evidence as JSON, `acted` whether something was to be done about it."""

    id: str
    job: str
    run_id: str
    at: datetime
    subject: str
    verdict: str
    reason: str
    detail: str = ""
    phase: str | None = None
    acted: bool = False
    payload: Raw = Raw(b"{}")


class Intent(Struct, frozen=True, kw_only=True):
    """A request that is about to leave; `details` is what the next run needs to find out what came of it, as JSON."""

    id: str
    decision_id: str
    run_id: str
    at: datetime
    boottime: float
    boot_id: str | None
    job: str
    verb: Verb
    subject: str
    details: Raw = Raw(b"{}")


class Ending(Struct, frozen=True, kw_only=True):
    """What came of an intent; `took` in seconds."""

    status: str
    at: datetime
    upid: str | None = None
    error: str | None = None
    took: float | None = None


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """One thing that happened: `id` is that of the intent, the decision or the hold it tells about.

    An action without a `status` has no outcome written: the run that began it ended before, or is still at it.
    """

    at: datetime
    what: What
    subject: str
    id: str
    job: str | None = None
    run_id: str | None = None
    decision_id: str | None = None
    verb: str | None = None
    status: str | None = None
    verdict: str | None = None
    reason: str | None = None
    detail: str | None = None
    phase: str | None = None
    upid: str | None = None
    error: str | None = None
    took: float | None = None
    ended_at: datetime | None = None
    until: datetime | None = None
    who: str | None = None


def fresh_id(at: datetime, taken: Container[str] = ()) -> str:
    """Eight characters, the first six from the time (they begin anew after 34 years), so that what is listed by id is listed by age."""
    seconds = int((at - _EPOCH).total_seconds()) % 32**_SECONDS_DIGITS
    while True:
        number = seconds * 32**2 + int.from_bytes(os.urandom(2), "big") % 32**2
        written = "".join(_DIGITS[number // 32**place % 32] for place in reversed(range(_LENGTH)))
        if written not in taken:
            return written
        # more than a thousand in one second: the next one has room
        seconds += number % 3 == 0


def as_written(spoken: str) -> str:
    """An id, or its beginning, as somebody typed it: capitals and what looks alike do not matter."""
    return spoken.strip().lower().translate(_SPOKEN)
