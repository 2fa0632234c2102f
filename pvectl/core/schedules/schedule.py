"""When a schedule's time comes: days and times of day in a time zone, as instants that exist, each once."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from itertools import groupby, pairwise
from zoneinfo import ZoneInfo

from msgspec import Struct

from pvectl.core.schedules.when import DAYS, ScheduleError, parse_days, parse_time, parse_times, parse_zone

DEADLINE = 1800
"""Seconds after its instant in which an occurrence may still begin, where the schedule does not say."""

_DAY_S = 86_400
_LONGEST = 7 * _DAY_S
# clocks that are put back over midnight show the day before again, after times of the next have come (America/St_Johns until 2011), and
# such a change takes a day at most (Pacific/Kwajalein in 1969)
_SLACK = timedelta(days=1)
# any schedule has a time in each seven days
_ROUND = timedelta(days=10)
# every kind of year, by its first weekday and by leap day, comes within 28 years
_HORIZON = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2054, 1, 1, tzinfo=UTC))


class Schedule(Struct, frozen=True, kw_only=True):
    """Which days, at which times of day, where, and for how many seconds after each it may still begin; raises ScheduleError."""

    name: str
    days: tuple[str, ...] = ("daily",)
    at: tuple[str, ...]
    tz: str
    deadline: int = DEADLINE

    def __post_init__(self) -> None:
        if not self.name:
            raise ScheduleError("", "a schedule needs a name")
        parse_days(self.days)
        parse_times(self.at)
        parse_zone(self.tz)
        _within(self.deadline, "a deadline")


class StayUp(Struct, frozen=True, kw_only=True):
    """A window in which nothing is shut down: it starts at `start` on these days and lasts `duration` seconds, past midnight as well."""

    days: tuple[str, ...] = ("daily",)
    start: str
    tz: str
    duration: int

    def __post_init__(self) -> None:
        parse_days(self.days)
        parse_time(self.start)
        parse_zone(self.tz)
        _within(self.duration, "a stay-up window")


class Occurrence(Struct, frozen=True, kw_only=True):
    """One time of a schedule. `at` is its instant in UTC, `wall` the day and time asked for, `moved` why they differ or which one is meant.

    `id` is the same whenever and wherever it is computed.
    """

    schedule: str
    at: datetime
    tz: str
    wall: str
    moved: str | None = None

    @property
    def id(self) -> str:
        return sha256(f"{self.schedule}|{self.at:%Y-%m-%dT%H:%M:%SZ}".encode()).hexdigest()[:16]

    @property
    def local(self) -> datetime:
        """The instant as the clocks in its time zone show it."""
        return self.at.astimezone(ZoneInfo(self.tz))


class Overlap(Struct, frozen=True, kw_only=True):
    """Two occurrences that follow each other so closely that the first may still begin when the second does."""

    first: Occurrence
    second: Occurrence
    deadline: int

    @property
    def distance(self) -> int:
        """Seconds from the one to the other."""
        return int((self.second.at - self.first.at).total_seconds())

    @property
    def sentence(self) -> str:
        one, other = (f"{local:%a %Y-%m-%d %H:%M}" for local in (self.first.local, self.second.local))
        moved = next((f" ({which.moved})" for which in (self.first, self.second) if which.moved), "")
        return (
            f"its deadline of {self.deadline} s reaches past its own next time: {other} comes {self.distance} s after {one}{moved}; "
            f"set the deadline to {self.distance} s at most, or the times further apart"
        )


def occurrences(schedule: Schedule, after: datetime, until: datetime) -> Iterator[Occurrence]:
    """All times of the schedule later than `after` and not later than `until`, in order.

    A time that a clock change leaves out comes at the first instant after the gap; one that comes twice counts the first time only. Where
    two times of day fall on one instant, that is one occurrence (safety rule S16).
    """
    times = _resolved(schedule, _aware(after), _aware(until))
    for at, same in groupby(times, key=lambda time: time[0]):
        # the later of two is the one that was not moved there, if any
        ((_, wall, moved),) = deque(same, maxlen=1)
        if after < at <= until:
            yield Occurrence(schedule=schedule.name, at=at, tz=schedule.tz, wall=f"{wall:%Y-%m-%d %H:%M}", moved=moved)


def next_occurrence(schedule: Schedule, after: datetime) -> Occurrence:
    """The first one later than `after`."""
    return next(occurrences(schedule, after, after + _ROUND))


def latest_occurrence(schedule: Schedule, now: datetime) -> Occurrence:
    """The last one that is not later than `now`."""
    return deque(occurrences(schedule, now - _ROUND, now), maxlen=1)[0]


def overlaps(schedule: Schedule) -> Overlap | None:
    """The first two occurrences closer to each other than the deadline, on any day in 28 years; None when all is well.

    The years are fixed, so that a configuration that was accepted stays accepted. Days with a clock change are among them.
    """
    since, until = _HORIZON
    ordinary = pairwise(occurrences(schedule, since, since + timedelta(days=15)))
    around_changes = (pair for change in _forward_changes(ZoneInfo(schedule.tz), since, until) for pair in _around(schedule, change))
    for pairs in (ordinary, around_changes):
        for first, second in pairs:
            if second.at - first.at < timedelta(seconds=schedule.deadline):
                return Overlap(first=first, second=second, deadline=schedule.deadline)
    return None


def awake_until(window: StayUp, now: datetime) -> datetime | None:
    """When the window that is open now closes, in UTC; None when none is open.

    A window ends when its duration has passed and the local clock shows it as well: where a clock change parts them, the later one counts.
    """
    zone = ZoneInfo(window.tz)
    length = timedelta(seconds=window.duration)
    starts = Schedule(name="stay-up", days=window.days, at=(window.start,), tz=window.tz)
    ends = []
    for started in occurrences(starts, _aware(now) - length - _SLACK, now):
        by_the_clock = datetime.fromisoformat(started.wall) + length
        ends.append(max(started.at + length, by_the_clock.replace(tzinfo=zone, fold=1).astimezone(UTC)))
    return max((end for end in ends if end > now), default=None)


def _within(seconds: int, what: str) -> None:
    if not 1 <= seconds <= _LONGEST:
        raise ScheduleError(seconds, f"{what} lasts from one second to seven days, got {seconds} s")


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone says nothing")
    return moment


def _resolved(schedule: Schedule, after: datetime, until: datetime) -> Iterator[tuple[datetime, datetime, str | None]]:
    """Instant, wall time and remark of each time of day around this span, the instants never falling."""
    zone = ZoneInfo(schedule.tz)
    days = {DAYS.index(day) for day in parse_days(schedule.days)}
    times = [(int(time[:2]), int(time[3:])) for time in parse_times(schedule.at)]
    first, last = (after.astimezone(zone) - _SLACK).date(), (until.astimezone(zone) + _SLACK).date()
    for day in _dates(first, last):
        if day.weekday() in days:
            for hour, minute in times:
                wall = datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 - what a clock on the wall shows
                yield _instant(wall, zone)


def _dates(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += timedelta(days=1)


def _instant(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime, str | None]:
    early, late = wall.replace(tzinfo=zone), wall.replace(tzinfo=zone, fold=1)
    at = early.astimezone(UTC)
    if early.utcoffset() == late.utcoffset():
        return at, wall, None
    if at.astimezone(zone).replace(tzinfo=None) == wall:
        return at, wall, f"{wall:%H:%M} comes twice; the first counts"
    # in a gap the two readings change places: `late` lies before the change and `early` after it (PEP 495)
    at = _change(late.astimezone(UTC), at, zone)
    day = "this day" if at.astimezone(zone).date() == wall.date() else f"{wall:%Y-%m-%d}"
    return at, wall, f"{wall:%H:%M} does not exist on {day}"


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The instant between these two at which the zone changes its offset."""
    offset = before.astimezone(zone).utcoffset()
    seconds = range(int((after - before).total_seconds()))
    changed = bisect_left(seconds, 1, key=lambda s: (before + timedelta(seconds=s)).astimezone(zone).utcoffset() != offset)
    return before + timedelta(seconds=changed)


def _forward_changes(zone: ZoneInfo, since: datetime, until: datetime) -> Iterator[datetime]:
    """The instants at which clocks are put forward; a change that is taken back within a day is not found."""
    day = timedelta(days=1)
    offset = since.astimezone(zone).utcoffset() or timedelta()
    while since < until:
        later = (since + day).astimezone(zone).utcoffset() or timedelta()
        if later > offset:
            yield _change(since, since + day, zone)
        since, offset = since + day, later


def _around(schedule: Schedule, change: datetime) -> Iterator[tuple[Occurrence, Occurrence]]:
    """The pairs of occurrences that a clock change brings closer to each other."""
    before = latest_occurrence(schedule, change - timedelta(seconds=1))
    at = next_occurrence(schedule, before.at)
    return pairwise((before, at, next_occurrence(schedule, at.at)))
