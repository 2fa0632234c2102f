"""Time as a run sees it."""

from datetime import UTC, datetime, timedelta

from pvectl.clock import ScaledClock, SystemClock


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
    clock = ScaledClock(60, start=start, sleep=naps.append)
    real = SystemClock()

    began, real_began = clock.boottime(), real.boottime()
    clock.sleep(90)
    passed, real_passed = clock.boottime() - began, real.boottime() - real_began

    assert naps == [1.5]
    assert passed <= 60 * real_passed + 0.001 * 60
    assert clock.now() - start < timedelta(minutes=10)
    assert clock.now() >= start
