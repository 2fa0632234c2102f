"""Time as a run sees it."""

from datetime import UTC, datetime, timedelta

from pvectl.clock import ScaledClock, SystemClock

ROUNDED = 0.001
"""Seconds that a sum of floats may be off."""


def test_wall_time_is_aware_utc() -> None:
    before = datetime.now(UTC)

    assert before <= SystemClock().now() <= datetime.now(UTC)
    assert SystemClock().now().tzinfo is UTC


def test_time_since_boot_never_steps_back_and_names_its_boot() -> None:
    clock = SystemClock()

    assert 0 < clock.boottime() <= clock.boottime()
    assert clock.boot_id() == SystemClock().boot_id()
    assert len(clock.boot_id() or "") == 36


def test_a_scaled_clock_runs_faster_and_sleeps_shorter() -> None:
    naps: list[float] = []
    start = datetime(2026, 11, 22, tzinfo=UTC)
    real = SystemClock()
    made = real.boottime()
    clock = ScaledClock(60, start=start, sleep=naps.append)

    around, began = real.boottime(), clock.boottime()
    within = real.boottime()
    clock.sleep(90)
    within, passed = real.boottime() - within, clock.boottime() - began
    around = real.boottime() - around

    assert naps == [1.5]
    # a real moment before and after each reading, however long this process had to wait in between
    assert 60 * within - ROUNDED < passed < 60 * around + ROUNDED
    assert start <= clock.now() <= start + timedelta(seconds=60 * (real.boottime() - made) + ROUNDED)
