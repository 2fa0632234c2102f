"""How far apart two runs of a PVE calendar event are at most ("mon..fri 02:00" -> three days)."""

from __future__ import annotations

import re
from calendar import isleap
from datetime import date, timedelta
from functools import lru_cache
from itertools import pairwise

from pvectl.core.monitor.checks.settings import DAY, MINUTE

_WORDS = {
    "minutely": "*:*",
    "hourly": "*:00",
    "daily": "00:00",
    "weekly": "mon 00:00",
    "monthly": "*-*-1 00:00",
    "quarterly": "*-1,4,7,10-1 00:00",
    "semiannually": "*-1,7-1 00:00",
    "semi-annually": "*-1,7-1 00:00",
    "yearly": "*-1-1 00:00",
    "annually": "*-1-1 00:00",
}
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_PIECE = re.compile(r"(\*|\d{1,4})(?:\.\.(\d{1,4}))?(?:/(\d{1,4}))?", re.ASCII)
_YEARS = range(2026, 2034)


class _NotUnderstood(ValueError):
    pass


@lru_cache(maxsize=256)
def longest_gap(schedule: str) -> float | None:
    """Seconds between two runs at most, clock changes aside; None for what is no calendar event, or comes once in years.

    The grammar is that of proxmox-time (calendar_event.rs): weekdays, a date, a time, and `UTC` at the end; a single number is a minute.
    """
    try:
        days, minutes = _parsed(" ".join(schedule.lower().split()))
    except _NotUnderstood:
        return None
    if len(days) < 2 or not minutes:
        return None
    within = max((later - earlier for earlier, later in pairwise(minutes)), default=0)
    apart = max((later - earlier).days for earlier, later in pairwise(days))
    between = apart * DAY - (minutes[-1] - minutes[0]) * MINUTE
    return max(within * MINUTE, between)


def _parsed(text: str) -> tuple[list[date], list[int]]:
    words = _WORDS.get(text.removesuffix(" utc"), text).removesuffix("utc").split()
    if not words:
        raise _NotUnderstood
    weekdays = _weekdays(words.pop(0)) if words[0][0].isalpha() else frozenset(range(7))
    dates = words.pop(0).split("-") if words and "-" in words[0] else ["*", "*", "*"]
    time = words.pop(0).split(":") if words else ["0", "0"]
    if words or len(dates) not in (2, 3) or len(time) > 3:
        raise _NotUnderstood
    year, month, day = dates if len(dates) == 3 else ["*", *dates]
    # a single number is a minute of every hour
    hour, minute = ("*", time[0]) if len(time) == 1 else (time[0], time[1])
    if len(time) == 3:
        _numbers(time[2], 0, 59)
    years, months, month_days = _numbers(year, 1970, 2199), _numbers(month, 1, 12), _numbers(day, 1, 31)
    days = [
        each
        for each in _every_day()
        if each.weekday() in weekdays and each.day in month_days and each.month in months and each.year in years
    ]
    minutes = sorted(h * 60 + m for h in _numbers(hour, 0, 23) for m in _numbers(minute, 0, 59))
    return days, minutes


def _weekdays(text: str) -> frozenset[int]:
    chosen: set[int] = set()
    for piece in text.split(","):
        first, _, last = piece.partition("..")
        start, end = _weekday(first), _weekday(last or first)
        chosen.update((start + step) % 7 for step in range((end - start) % 7 + 1))
    return frozenset(chosen)


def _weekday(word: str) -> int:
    for names in (_WEEKDAYS, _LONG):
        if word in names:
            return names.index(word)
    raise _NotUnderstood


def _numbers(text: str, low: int, high: int) -> frozenset[int]:
    chosen: set[int] = set()
    for piece in text.split(","):
        match = _PIECE.fullmatch(piece)
        if match is None:
            raise _NotUnderstood
        start = low if match[1] == "*" else int(match[1])
        # "5/10" goes on to the end, "5" alone is itself
        end = int(match[2]) if match[2] else (high if match[1] == "*" or match[3] else start)
        step = int(match[3] or 1)
        if not (low <= start <= end <= high and step):
            raise _NotUnderstood
        chosen.update(range(start, end + 1, step))
    return frozenset(chosen)


@lru_cache(maxsize=1)
def _every_day() -> tuple[date, ...]:
    first = date(_YEARS[0], 1, 1)
    return tuple(first + timedelta(days=count) for count in range(sum(366 if isleap(year) else 365 for year in _YEARS)))
