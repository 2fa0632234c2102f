"""Days to full after Theil and Sen, and how far apart two runs of a PVE calendar event are."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pvectl.core.monitor.checks import trend
from pvectl.core.monitor.checks.cadence import longest_gap
from pvectl.core.monitor.monitored import Sample
from tests.core.monitor import troubles
from tests.core.monitor.cluster import EPOCH, GIB, found, judged, known, month, relisted_storage
from tests.core.monitor.troubles import WHOLE, filling, nfs

HOUR = 3600.0
TOTAL = 1000.0 * GIB


@pytest.mark.parametrize(("days", "severity"), [(30.2, "ok"), (29.8, "warning"), (7.1, "warning"), (6.9, "critical")])
def test_days_to_full(days: float, severity: str) -> None:
    assert judged(filling(days), "storage.days_to_full", "storage/nfs") == severity


def test_up_to_sixty_percent_nobody_is_bothered() -> None:
    assert judged(filling(1, used=600 * GIB), "storage.days_to_full", "storage/nfs") == "ok"
    assert judged(filling(1, used=601 * GIB), "storage.days_to_full", "storage/nfs") == "critical"


def test_what_does_not_grow_is_never_full() -> None:
    for per_day in (0.0, -GIB):
        samples = month(per_day=per_day, last=900 * GIB, total=TOTAL)
        assert trend.days_to_full(samples, used=900 * GIB, total=TOTAL) == float("inf")
        view = relisted_storage(replace(WHOLE, storages=(replace(nfs(), history=known(samples, "x")),)), disk=900 * GIB)
        assert judged(view, "storage.days_to_full", "storage/nfs") == "ok"


def test_what_is_full_is_full_today() -> None:
    assert trend.days_to_full(month(per_day=GIB, last=TOTAL, total=TOTAL), used=TOTAL, total=TOTAL) == 0


def test_a_weekly_clean_up_and_wild_values_do_not_move_the_forecast() -> None:
    noise = random.Random(7)
    samples = [
        Sample(time=EPOCH - step * 1800, used=700 * GIB - step / 48 * 5 * GIB + noise.gauss(0, GIB), total=TOTAL)
        for step in reversed(range(1440))
    ]
    for each in range(0, 1440, 9):
        samples[each] = replace(samples[each], used=0.0)
    days = trend.days_to_full(samples, used=700 * GIB, total=TOTAL)

    assert days is not None
    assert abs(days - 60) < 3


def test_a_month_of_minutes_is_brought_down_to_seventy_points() -> None:
    samples = [Sample(time=EPOCH + step * 1800, used=float(step)) for step in range(1440)]

    assert len(trend.points(samples)) == trend.MOST_POINTS
    assert trend.growth(trend.points(samples)) == pytest.approx(1 / 1800, rel=0.02)


def test_a_young_storage_is_not_judged_and_an_empty_history_is_not_fine() -> None:
    young = tuple(Sample(time=EPOCH - step * 1800, used=float(GIB), total=TOTAL) for step in range(100))
    empty = tuple(Sample(time=EPOCH - step * 1800, total=TOTAL) for step in range(1440))
    none: tuple[Sample, ...] = ()
    for samples, severity in ((young, None), (empty, "unknown"), (none, "unknown")):
        view = troubles.storage(history=known(samples, "x"))
        assert judged(view, "storage.days_to_full", "storage/nfs") == severity


def test_a_storage_that_needs_a_forecast_and_was_not_asked_is_not_fine() -> None:
    view = replace(filling(20), storages=())

    assert judged(view, "storage.days_to_full", "storage/nfs") == "unknown"
    assert "room for 20 days" in found(filling(20), "storage.days_to_full", "storage/nfs").message


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 10**7), st.floats(0, 1e15)), max_size=100))
def test_any_history_gives_days_or_nothing(rows: list[tuple[int, float]]) -> None:
    days = trend.days_to_full([Sample(time=time, used=used) for time, used in rows], used=1.0, total=2.0)

    assert days is None or days >= 0


@pytest.mark.parametrize(
    ("schedule", "hours"),
    [
        ("daily", 24),
        ("21:00", 24),
        ("21:00:30", 24),
        ("hourly", 1),
        ("minutely", 1 / 60),
        ("22", 1),
        ("*/15", 0.25),
        ("*:0/30", 0.5),
        ("8..17,22:0/15", 9.25),
        ("*/2:00", 2),
        ("mon..fri 02:00", 72),
        ("mon..fri", 72),
        ("fri..mon 4:00", 96),
        ("Sat 18:15", 168),
        ("monday,wed,fri 22:30", 72),
        ("weekly UTC", 168),
        ("02:00 UTC", 24),
        ("*-*-01 03:00", 31 * 24),
        ("1-1", 366 * 24),
        ("yearly", 366 * 24),
        ("quarterly", 92 * 24),
    ],
)
def test_how_far_apart_two_runs_are_at_most(schedule: str, hours: float) -> None:
    assert longest_gap(schedule) == pytest.approx(hours * HOUR)


@pytest.mark.parametrize(
    "schedule",
    [
        *("", "utc", "bogus", "mon..someday 02:00", "25:00", "12:61", "5..2:00", "*/0", "1:2:3:4", "02:00 extra", "1-1-1-1"),
        *("2026-11-22 10:00", "*-2-30"),
    ],
)
def test_what_cannot_be_understood_is_no_schedule(schedule: str) -> None:
    assert longest_gap(schedule) is None


@settings(max_examples=60)
@given(st.text(alphabet="0123456789:*/.,-montuewdhfrisa ", max_size=20))
def test_no_text_confuses_it(text: str) -> None:
    gap = longest_gap(text)

    assert gap is None or gap > 0
