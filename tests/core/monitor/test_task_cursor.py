"""Tasks that ended since the last look: each found, however long it ran, and none found twice."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from pvectl.core.evidence import Task
from pvectl.core.monitor.task_cursor import ALL, BROADCAST, WHOLE_LIST, TaskCursor, from_broadcast, from_list, is_whole
from tests.core.monitor.cluster import EPOCH, NOW, ago

DAY = 86400.0


def task(name: str, *, started: int, ended: int | None = None, status: str | None = "OK", kind: str = "vzdump") -> Task:
    """Times in seconds before NOW."""
    end = None if ended is None else EPOCH - ended
    return Task(upid=name, type=kind, id=name, started=EPOCH - started, ended=end, status=None if end is None else status)


def upids(cursor: TaskCursor | None) -> list[str]:
    assert cursor is not None
    return [each.upid for each in cursor.log.ended]


def crowd(count: int, *, started: int, ended: int, first: int = 0) -> list[Task]:
    return [task(f"t{first + number}", started=started, ended=ended) for number in range(count)]


def test_a_backup_that_ran_for_six_hours_and_failed_between_two_looks_is_found() -> None:
    running = task("backup", started=6 * 3600)
    before = from_list(None, [running, task("old", started=7 * 3600, ended=7 * 3600 - 5)], ago(minutes=5), tell_for=DAY)
    assert before.active == ("backup",)

    failed = task("backup", started=6 * 3600, ended=60, status="job errors")
    after = from_broadcast(before, [failed, task("old", started=7 * 3600, ended=7 * 3600 - 5)], NOW, tell_for=DAY)

    assert upids(after) == ["old", "backup"]
    assert after is not None
    assert after.active == ()


def test_a_long_task_that_the_broadcast_has_forgotten_makes_the_nodes_own_list_be_read() -> None:
    before = from_list(None, [task("backup", started=6 * 3600)], ago(minutes=5), tell_for=DAY)

    assert from_broadcast(before, crowd(BROADCAST, started=60, ended=30), NOW, tell_for=DAY) is None


def test_a_full_broadcast_counts_only_where_it_reaches_back_to_what_is_known() -> None:
    before = from_list(None, [task("known", started=400, ended=390)], ago(minutes=5), tell_for=DAY)

    assert from_broadcast(before, crowd(BROADCAST, started=60, ended=30), NOW, tell_for=DAY) is None
    reaching = [*crowd(BROADCAST - 1, started=60, ended=30), task("older", started=500, ended=480)]
    found = from_broadcast(before, reaching, NOW, tell_for=DAY)
    assert set(upids(found)) == {"known", *(f"t{number}" for number in range(BROADCAST - 1))}


def test_without_a_first_look_or_without_the_right_or_after_the_broadcast_was_lost_the_nodes_own_list_is_read() -> None:
    before = from_list(None, [task("known", started=400, ended=390)], ago(minutes=5), tell_for=DAY)

    assert from_broadcast(None, [], NOW, tell_for=DAY) is None
    assert from_broadcast(before, None, NOW, tell_for=DAY) is None
    assert from_broadcast(before, (), NOW, tell_for=DAY) is None
    nothing_ever = from_list(None, [], ago(minutes=5), tell_for=DAY)
    assert upids(from_broadcast(nothing_ever, (), NOW, tell_for=DAY)) == []


def test_the_first_look_tells_what_ended_within_the_time_and_nothing_older() -> None:
    rows = [task("today", started=3600, ended=3000), task("last week", started=8 * 86400, ended=8 * 86400 - 60)]

    assert upids(from_list(None, rows, NOW, tell_for=DAY)) == ["today"]


def test_a_failure_is_told_until_its_time_is_over_or_until_it_was_made_good() -> None:
    failed = Task(upid="a", type="vzdump", id="100", started=EPOCH - 7200, ended=EPOCH - 7000, status="job errors")
    good = Task(upid="b", type="vzdump", id="100", started=EPOCH - 600, ended=EPOCH - 500, status="OK")
    first = from_list(None, [failed], ago(hours=1), tell_for=DAY)

    assert upids(from_list(first, [failed], NOW, tell_for=DAY)) == ["a"]
    assert upids(from_list(first, [good, failed], NOW, tell_for=DAY)) == ["b"]
    assert upids(from_list(first, [failed], NOW + timedelta(days=1), tell_for=DAY)) == []


def test_with_no_time_to_tell_it_each_is_told_by_one_look_only() -> None:
    first = from_list(None, [], ago(hours=2), tell_for=0)
    second = from_list(first, [task("a", started=3600, ended=3000)], ago(minutes=5), tell_for=0)
    third = from_list(second, [task("a", started=3600, ended=3000)], NOW, tell_for=0)

    assert (upids(second), upids(third)) == (["a"], [])


def test_what_ended_long_ago_but_since_the_last_look_is_told_all_the_same() -> None:
    first = from_list(None, [], ago(days=9), tell_for=DAY)

    assert upids(from_list(first, [task("a", started=5 * 86400, ended=5 * 86400 - 60)], NOW, tell_for=DAY)) == ["a"]


def test_a_list_that_was_rotated_away_says_so_until_that_is_old_news() -> None:
    before = from_list(None, [task("known", started=9000, ended=8000)], ago(hours=2), tell_for=DAY)
    full = crowd(WHOLE_LIST, started=600, ended=500)

    assert not is_whole(before, full)
    gap = from_list(before, full, NOW, tell_for=DAY)
    assert gap.log.gap_since == ago(hours=2)
    next_day = from_list(gap, full, NOW + timedelta(days=2), tell_for=DAY)
    assert next_day.log.gap_since is None
    whole = from_list(before, [*full, task("known", started=9000, ended=8000)], NOW, tell_for=DAY)
    assert whole.log.gap_since is None


def test_a_gap_goes_on_being_told_by_the_looks_that_follow() -> None:
    before = from_list(None, [task("known", started=9000, ended=8000)], ago(hours=2), tell_for=DAY)
    gap = from_list(before, crowd(WHOLE_LIST, started=600, ended=500), ago(hours=1), tell_for=DAY)

    later = from_broadcast(gap, [task("t0", started=600, ended=500)], NOW, tell_for=DAY)
    assert later is not None
    assert later.log.gap_since == ago(hours=2)


def test_a_first_look_whose_list_does_not_reach_back_far_enough_says_so() -> None:
    busy = crowd(ALL, started=600, ended=500)

    assert from_list(None, busy, NOW, tell_for=DAY).log.gap_since == NOW - timedelta(days=1)
    reaching = [*crowd(WHOLE_LIST, started=600, ended=500), task("old", started=90_000, ended=89_000)]
    assert from_list(None, reaching, NOW, tell_for=DAY).log.gap_since is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(1, 400)), max_size=60),
    st.lists(st.integers(0, 1000), min_size=1, max_size=8),
    st.booleans(),
)
def test_every_task_that_ends_is_told_exactly_once_whenever_one_looks(
    spans: list[tuple[int, int]], moments: list[int], broadcasts: bool
) -> None:
    told: list[str] = []
    cursor = from_list(None, [], NOW, tell_for=0)
    for at in [*sorted(moments), 1001]:
        now = NOW + timedelta(seconds=at)
        begun = [(f"u{number}", EPOCH + start + 1, EPOCH + start + 1 + took) for number, (start, took) in enumerate(spans) if start < at]
        rows = [
            Task(
                upid=name,
                type=name,
                id="",
                started=start,
                ended=end if end <= EPOCH + at else None,
                status="OK" if end <= EPOCH + at else None,
            )
            for name, start, end in begun
        ]
        running = [row for row in rows if row.runs]
        ended = sorted((row for row in rows if not row.runs), key=lambda row: row.ended or 0, reverse=True)
        youngest = sorted(ended, key=lambda row: row.started, reverse=True)[: max(0, BROADCAST - len(running))]
        read = from_broadcast(cursor, [*running, *youngest], now, tell_for=0) if broadcasts else None
        cursor = read or from_list(cursor, [*running, *ended], now, tell_for=0)
        told += upids(cursor)
    ended_at_all = {f"u{number}" for number, (start, took) in enumerate(spans) if start < 1001 and start + 1 + took <= 1001}
    assert sorted(told) == sorted(ended_at_all)
