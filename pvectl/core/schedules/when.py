"""Days, times of day and time zones as people write them, or the sentence that says what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo, available_timezones

from pvectl.core import tags

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_GROUPS = {"daily": DAYS, "weekdays": DAYS[:5], "weekend": DAYS[5:]}
DAY_WORDS = (*DAYS, *DAY_GROUPS)

_DAY_S = 86_400
_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")
_ALMOST_A_TIME = re.compile(r"\s*([0-9]{1,2})(?:[:.h ]([0-9]{1,2}))?(?::[0-9]{1,2})?\s*([ap]m)?\s*", re.IGNORECASE)
# files and links of the tz database that are no place: what they mean differs from machine to machine, or is nothing
_NO_PLACES = frozenset({"localtime", "posixrules", "Factory"})


class ScheduleError(ValueError):
    """Something about a schedule nobody can carry out; `word` is what was written, `known` are the words that could stand there instead."""

    def __init__(self, word: object, message: str, *, hint: str | None = None, known: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.word = word
        self.message = message
        self.hint = hint
        self.known = tuple(known)


def parse_days(words: str | Iterable[object]) -> tuple[str, ...]:
    """The days these words mean, from Monday on: "mon", "fri-mon" (over the weekend), "daily", "weekdays", "weekend", or a list of them.

    Raises:
        ScheduleError: a word is no day, or there is none.
    """
    given = words.split(",") if isinstance(words, str) else list(words)
    meant = {day for word in given for day in _days(word)}
    if not meant:
        raise ScheduleError(words, "no day is named", hint="write daily, or days such as mon-fri", known=DAY_WORDS)
    return tuple(day for day in DAYS if day in meant)


def parse_time(value: object) -> str:
    """The time of day "HH:MM", from 00:00 to 23:59; raises ScheduleError with the spelling that was meant, where it can be told."""
    if isinstance(value, str):
        if _TIME.fullmatch(value):
            return value
        raise ScheduleError(value, f"'{value}' is no time of day", hint=_time_hint(value))
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _DAY_S:
        minutes = value if value < _DAY_S // 60 else value // 60
        meant = f"{minutes // 60:02}:{minutes % 60:02}"
        why = f'write "{meant}", in quotes: YAML 1.1 reads a bare {meant} as the number {value}'
        raise ScheduleError(value, f"{value} is a number, not a time of day", hint=why)
    if isinstance(value, float):
        raise ScheduleError(value, f"{value} is a number, not a time of day", hint=_time_hint(f"{value:.2f}"))
    raise ScheduleError(value, f"{value!r} is no time of day", hint=_time_hint(""))


def parse_times(values: Iterable[object]) -> tuple[str, ...]:
    """The times of day in their order, each once; raises ScheduleError."""
    times = tuple(sorted({parse_time(value) for value in ([values] if isinstance(values, str) else values)}))
    if not times:
        raise ScheduleError((), "no time of day is given", hint=_time_hint(""))
    return times


def parse_zone(name: str) -> str:
    """The name of a time zone of the tz database; raises ScheduleError with the known names and the nearest of them."""
    if _is_zone(name):
        return name
    known = sorted(available_timezones() - _NO_PLACES)
    close = _nearest_zone(name, known)
    hint = f"did you mean {close}?" if close else "write a name of the tz database, for example Europe/Berlin or UTC"
    raise ScheduleError(name, f"'{name}' is no time zone", hint=hint, known=known)


def _days(word: object) -> tuple[str, ...]:
    text = word.strip().lower() if isinstance(word, str) else ""
    if text in DAY_GROUPS:
        return DAY_GROUPS[text]
    first, dash, last = (part.strip() for part in text.partition("-"))
    for day in (first, last) if dash else (first,):
        if day not in DAYS:
            close = tags.nearest(day, DAY_WORDS)
            hint = f"did you mean {close}?" if close else f"known are: {', '.join(DAY_WORDS)}"
            shown = f"'{word}'" if isinstance(word, str) else repr(word)
            raise ScheduleError(word, f"{shown} names no day", hint=hint, known=DAY_WORDS)
    start = DAYS.index(first)
    count = (DAYS.index(last) - start) % 7 + 1 if dash else 1
    return tuple(DAYS[(start + step) % 7] for step in range(count))


def _time_hint(text: str) -> str:
    almost = _ALMOST_A_TIME.fullmatch(text)
    if almost is None:
        return 'write hours and minutes in quotes, for example "22:30"'
    hour, minute, half = int(almost[1]), int(almost[2] or 0), (almost[3] or "").lower()
    if half and 1 <= hour <= 12:
        hour = hour % 12 + (12 if half == "pm" else 0)
    if (hour, minute) == (24, 0):
        return 'midnight is "00:00", and belongs to the day that begins'
    if hour > 23 or minute > 59:
        return 'a day goes from "00:00" to "23:59"'
    return f'write "{hour:02}:{minute:02}", in quotes'


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return False
    return name not in _NO_PLACES


def _nearest_zone(name: str, known: Sequence[str]) -> str | None:
    wanted = name.strip().replace(" ", "_").lower()
    names = {zone.rpartition("/")[2].lower(): zone for zone in reversed(known)} | {zone.lower(): zone for zone in known}
    return names.get(wanted) or tags.nearest(wanted, known)
