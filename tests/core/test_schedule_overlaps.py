from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvectl.core.schedules.schedule import Schedule, next_occurrence, overlaps
from tests.core.schedules import moments, schedule, schedules

DAY, WEEK = 86_400, 604_800


@pytest.mark.parametrize(
    ("at", "known"),
    [
        (("22:30",), {"deadline": DAY - 3600}),
        (("22:30",), {"deadline": DAY, "tz": "UTC"}),
        (("22:30",), {"deadline": DAY, "tz": "Asia/Kathmandu"}),
        (("22:30",), {"deadline": DAY - 1800, "tz": "Australia/Lord_Howe"}),
        (("22:30",), {"deadline": WEEK - 3600, "days": ("sun",)}),
        (("22:30",), {"deadline": 2 * DAY, "days": ("mon", "thu"), "tz": "UTC"}),
        # both fall on 03:00 where it does not exist: one occurrence, and nothing to overlap
        (("02:15", "02:45"), {"deadline": 1800}),
        (("01:30", "03:30"), {"deadline": 3600}),
        (tuple(f"{hour:02}:{minute:02}" for hour in range(24) for minute in (0, 30)), {"deadline": 1800}),
    ],
)
def test_a_deadline_that_ends_by_the_next_time_is_accepted(at: tuple[str, ...], known: dict[str, object]) -> None:
    assert overlaps(schedule(*at, **known)) is None


@pytest.mark.parametrize(
    ("at", "known", "distance"),
    [
        (("22:30", "22:45"), {}, 900),
        (("23:50", "00:10"), {}, 1200),
        (("22:30",), {"deadline": DAY + 1, "tz": "UTC"}, DAY),
        (("22:30",), {"deadline": DAY - 3599}, DAY - 3600),
        (("22:30",), {"deadline": DAY - 1799, "tz": "Australia/Lord_Howe"}, DAY - 1800),
        (("22:30",), {"deadline": WEEK - 3599, "days": ("sat",)}, WEEK - 3600),
        (("22:30",), {"deadline": WEEK - 3599, "days": ("sun",), "tz": "Africa/Casablanca"}, WEEK - 3600),
        (("22:30",), {"deadline": 2 * DAY, "days": ("fri", "mon-tue"), "tz": "UTC"}, DAY),
        # the first moves to 03:00, right before the second
        (("02:30", "03:10"), {}, 600),
        (("01:45", "03:00"), {"deadline": 1800}, 900),
    ],
)
def test_a_deadline_past_the_next_time_is_found_on_any_day_of_any_year(
    at: tuple[str, ...], known: dict[str, object], distance: int
) -> None:
    found = overlaps(schedule(*at, **known))
    assert found is not None
    assert found.distance == distance
    assert overlaps(schedule(*at, **{**known, "deadline": distance})) is None


def test_the_sentence_names_both_times_and_the_way_out() -> None:
    found = overlaps(schedule("02:30", "03:10"))
    assert found is not None
    assert found.sentence == (
        "its deadline of 1800 s reaches past its own next time: Sun 2026-03-29 03:10 comes 600 s after Sun 2026-03-29 03:00 "
        "(02:30 does not exist on this day); set the deadline to 600 s at most, or the times further apart"
    )
    daily = overlaps(schedule(deadline=DAY))
    assert daily is not None
    assert "Sun 2026-03-29 22:30 comes 82800 s after Sat 2026-03-28 22:30; set" in daily.sentence


def test_a_schedule_every_minute_leaves_no_room_for_a_longer_deadline() -> None:
    minutes = tuple(f"{hour:02}:{minute:02}" for hour in range(24) for minute in range(60))
    found = overlaps(schedule(*minutes, tz="UTC", deadline=61))
    assert found is not None
    assert found.distance == 60


def follows_in_time(of: Schedule, starts: list[object]) -> None:
    for start in starts:
        one = next_occurrence(of, start)  # type: ignore[arg-type]
        assert next_occurrence(of, one.at).at - one.at >= timedelta(seconds=of.deadline)


@settings(max_examples=10)
@given(schedules(), st.integers(1, 90_000), st.lists(moments().filter(lambda moment: moment.year in range(2026, 2040)), max_size=10))
def test_an_accepted_deadline_holds_at_any_moment(some: Schedule, deadline: int, starts: list[object]) -> None:
    of = schedule(*some.at, days=some.days, tz=some.tz, deadline=deadline)
    if overlaps(of) is None:
        follows_in_time(of, starts)
