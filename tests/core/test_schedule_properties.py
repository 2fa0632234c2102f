from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings

from pvectl.core.schedules.schedule import Occurrence, Schedule, latest_occurrence, next_occurrence, occurrences
from pvectl.core.schedules.when import DAYS, parse_days
from tests.core.schedules import CHANGES, moments, schedule, schedules, utc

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)


def check_one(of: Schedule, now: datetime) -> None:
    """Everything that must hold for a schedule at a moment."""
    last, following = latest_occurrence(of, now), next_occurrence(of, now)
    assert last.at <= now < following.at
    assert next_occurrence(of, now) == following
    assert next_occurrence(of, following.at - SECOND) == following
    assert latest_occurrence(of, following.at) == following
    assert latest_occurrence(of, following.at - SECOND) == last
    assert next_occurrence(of, last.at) == following
    for one in (last, following):
        check_shape(of, one)


def check_shape(of: Schedule, one: Occurrence) -> None:
    zone, wall = ZoneInfo(of.tz), datetime.fromisoformat(one.wall)
    assert one.wall[11:] in of.at
    assert DAYS[wall.weekday()] in parse_days(of.days)
    shown = one.local.replace(tzinfo=None)
    if one.moved is None:
        assert shown == wall
    elif one.moved.endswith("comes twice; the first counts"):
        assert shown == wall
        assert one.at + (wall.replace(tzinfo=zone, fold=1).astimezone(UTC) - one.at) > one.at
        assert wall.replace(tzinfo=zone, fold=1).astimezone(UTC).astimezone(zone).replace(tzinfo=None) == wall
    else:
        # the very second the clock jumped over it
        before = (one.at - SECOND).astimezone(zone).replace(tzinfo=None)
        assert before < wall < shown


def check_span(of: Schedule, after: datetime, until: datetime) -> int:
    found = list(occurrences(of, after, until))
    assert all(one.at < other.at and one.id != other.id for one, other in pairwise(found))
    assert len({one.wall for one in found}) == len(found)
    assert all(after < one.at <= until for one in found)
    half = after + (until - after) / 2
    assert [*occurrences(of, after, half), *occurrences(of, half, until)] == found
    return len(found)


@settings(max_examples=40)
@given(schedules(), moments())
def test_s16_the_next_is_never_past_and_the_last_never_ahead(of: Schedule, now: datetime) -> None:
    check_one(of, now)


@settings(max_examples=20)
@given(schedules(), moments())
def test_s16_occurrences_rise_strictly_and_come_once_per_day_and_time(of: Schedule, now: datetime) -> None:
    check_span(of, now, now + 6 * DAY)


@pytest.mark.slow
@settings(max_examples=4_000, deadline=None)
@given(schedules(), moments())
def test_s16_the_next_is_never_past_and_the_last_never_ahead_at_thousands_of_moments(of: Schedule, now: datetime) -> None:
    check_one(of, now)
    check_span(of, now, now + 3 * DAY)


def first_shown(zone: str, change: datetime) -> dict[datetime, datetime]:
    """For every minute on the wall around a change, the first instant at which the clock shows it or a later one: found by watching."""
    first: dict[datetime, datetime] = {}
    at = change - 3 * DAY
    reached = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    while at < change + 3 * DAY:
        shown = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        while reached <= shown:
            first[reached] = at
            reached += MINUTE
        at += MINUTE
    return first


@pytest.mark.slow
@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_s16_every_minute_around_a_clock_change_comes_when_a_watched_clock_first_shows_it(zone: str, change: str) -> None:
    begin, end = utc(change) - 2 * DAY, utc(change) + 2 * DAY
    watched: dict[str, set[datetime]] = defaultdict(set)
    for wall, at in first_shown(zone, utc(change)).items():
        if begin < at <= end:
            watched[f"{wall:%H:%M}"].add(at)
    checked = 0
    for minute in range(1440):
        time = f"{minute // 60:02}:{minute % 60:02}"
        found = [one.at for one in occurrences(schedule(time, tz=zone), begin, end)]
        # times that fall on one instant are one occurrence: where a day is left out, its midnight is the next one's
        assert found == sorted(watched[time])
        checked += len(found)
    assert checked >= 4 * 1440 - 60


@pytest.mark.slow
def test_s16_a_hundred_thousand_moments_around_the_clock_changes() -> None:
    checked = 0
    for zone, change in CHANGES:
        for time in ("00:00", "00:30", "01:30", "01:45", "02:15", "02:30", "03:00", "22:30"):
            of = schedule(time, tz=zone)
            times = list(occurrences(of, utc(change) - 8 * DAY, utc(change) + 8 * DAY))
            instants = [one.at for one in times]
            # every six minutes of three days, and the seconds around each occurrence
            moments_of_it = [utc(change) + timedelta(minutes=6 * step) for step in range(-360, 361)]
            moments_of_it += [at + shift for at in instants[4:-4] for shift in (-SECOND, timedelta(), SECOND)]
            for now in moments_of_it:
                after = bisect_right(instants, now)
                following = next_occurrence(of, now)
                assert following.at > now
                assert following == times[after]
                checked += 1
            for one, other in pairwise(times[2:-2]):
                assert latest_occurrence(of, other.at) == other
                assert latest_occurrence(of, other.at - SECOND) == one
                checked += 1
    assert checked >= 100_000
