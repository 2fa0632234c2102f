from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pvectl.core.schedules.schedule import Occurrence, Schedule, StayUp, awake_until, latest_occurrence, next_occurrence, occurrences
from pvectl.core.schedules.when import ScheduleError
from tests.core.schedules import ZONES, schedule, utc

TABLE = Path(__file__).with_name("dst_table.txt")
ROWS = [line.rsplit(maxsplit=5) for line in TABLE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
SECOND = timedelta(seconds=1)


def walls(of: Schedule, after: str, until: str) -> list[str]:
    return [one.wall for one in occurrences(of, utc(after), utc(until))]


@pytest.mark.parametrize(
    ("zone", "day", "time", "on", "at", "remark"), ROWS, ids=[f"{row[0].rpartition('/')[2]}-{row[1]}-{row[2]}" for row in ROWS]
)
def test_s16_each_time_on_the_wall_comes_at_the_instant_worked_out_by_hand(
    zone: str, day: str, time: str, on: str, at: str, remark: str
) -> None:
    instant = utc(f"{on} {at}")
    (found,) = occurrences(schedule(time, tz=zone), instant - SECOND, instant)
    assert (found.at, found.wall) == (instant, f"{day} {time}")
    where = "this day" if found.local.date().isoformat() == day else day
    remarks = {"-": None, "gap": f"{time} does not exist on {where}", "twice": f"{time} comes twice; the first counts"}
    assert found.moved == remarks[remark]


def test_the_table_is_about_eight_zones_and_has_what_is_special_in_each() -> None:
    assert {row[0] for row in ROWS} == set(ZONES)
    assert {row[0] for row in ROWS if row[5] == "gap"} == set(ZONES)
    assert {row[0] for row in ROWS if row[5] == "twice"} == set(ZONES) - {"Asia/Kathmandu"}


def test_an_occurrence_has_the_same_id_wherever_it_is_computed() -> None:
    (one,) = occurrences(schedule(), utc("2026-11-21 12:00"), utc("2026-11-22 12:00"))
    assert one == Occurrence(schedule="night", at=utc("2026-11-21 21:30"), tz="Europe/Berlin", wall="2026-11-21 22:30")
    assert one.id == "e3b3bb0c2eee7203"
    (elsewhere,) = occurrences(schedule("21:30", tz="UTC"), utc("2026-11-21 12:00"), utc("2026-11-22 12:00"))
    assert elsewhere.id == one.id
    (other,) = occurrences(schedule(name="noon"), utc("2026-11-21 12:00"), utc("2026-11-22 12:00"))
    assert other.id != one.id
    assert one.local.isoformat() == "2026-11-21T22:30:00+01:00"


def test_the_span_leaves_out_its_beginning_and_has_its_end() -> None:
    at = utc("2026-11-21 21:30")
    assert list(occurrences(schedule(), at, at)) == []
    assert list(occurrences(schedule(), at - SECOND, at - SECOND)) == []
    assert [one.at for one in occurrences(schedule(), at - SECOND, at)] == [at]
    assert [one.at for one in occurrences(schedule(), at, at + timedelta(days=1))] == [at + timedelta(days=1)]
    assert next_occurrence(schedule(), at - SECOND).at == at
    assert next_occurrence(schedule(), at).at == at + timedelta(days=1)
    assert latest_occurrence(schedule(), at).at == at
    assert latest_occurrence(schedule(), at - SECOND).at == at - timedelta(days=1)


def test_only_the_days_asked_for_come() -> None:
    assert walls(schedule("22:30", days=("weekend", "wed")), "2026-11-16 00:00", "2026-11-23 00:00") == [
        "2026-11-18 22:30",
        "2026-11-21 22:30",
        "2026-11-22 22:30",
    ]


def test_the_day_is_the_local_one() -> None:
    # 00:30 on Monday in Auckland is Sunday noon in UTC
    assert [
        one.at
        for one in occurrences(schedule("00:30", days=("mon",), tz="Pacific/Auckland"), utc("2026-11-16 12:00"), utc("2026-11-23 12:00"))
    ] == [utc("2026-11-22 11:30")]


def test_several_times_a_day_come_in_their_order_however_they_are_written() -> None:
    assert walls(schedule("22:30", "06:00", "22:30"), "2026-11-21 00:00", "2026-11-22 12:00") == [
        "2026-11-21 06:00",
        "2026-11-21 22:30",
        "2026-11-22 06:00",
    ]


def test_times_that_a_gap_brings_together_are_one_occurrence() -> None:
    found = list(occurrences(schedule("02:15", "02:45", deadline=60), utc("2026-03-28 12:00"), utc("2026-03-29 12:00")))
    assert [(one.at, one.wall, one.moved) for one in found] == [
        (utc("2026-03-29 01:00"), "2026-03-29 02:45", "02:45 does not exist on this day")
    ]
    (at_its_end,) = occurrences(schedule("02:15", "03:00"), utc("2026-03-28 12:00"), utc("2026-03-29 12:00"))
    assert (at_its_end.wall, at_its_end.moved) == ("2026-03-29 03:00", None)


def test_midnight_of_a_day_left_out_falls_on_the_next_days() -> None:
    assert walls(schedule("00:00", tz="Pacific/Apia"), "2011-12-29 00:00", "2011-12-31 12:00") == [
        "2011-12-29 00:00",
        "2011-12-31 00:00",
        "2012-01-01 00:00",
    ]


def test_a_time_left_out_before_midnight_says_of_which_day_it_was() -> None:
    (found,) = occurrences(schedule("23:30", tz="America/Scoresbysund"), utc("2026-03-28 12:00"), utc("2026-03-29 12:00"))
    assert found.local.isoformat() == "2026-03-29T00:00:00-01:00"
    assert found.moved == "23:30 does not exist on 2026-03-28"


def test_d29_midnight_is_a_time_like_any_other() -> None:
    assert walls(schedule("00:00", "23:58"), "2026-11-21 22:00", "2026-11-22 23:30") == [
        "2026-11-21 23:58",
        "2026-11-22 00:00",
        "2026-11-22 23:58",
        "2026-11-23 00:00",
    ]


def test_asking_inside_the_second_pass_of_a_fold_never_answers_with_the_past() -> None:
    second_pass = utc("2026-10-25 01:10")
    assert next_occurrence(schedule("02:30"), second_pass).wall == "2026-10-26 02:30"
    assert latest_occurrence(schedule("02:30"), second_pass).at == utc("2026-10-25 00:30")


def test_a_day_that_begins_and_then_is_not_there_yet_has_begun() -> None:
    # at 00:01 on 7 November 2010 clocks went back to 23:01 of the day before
    midnight = utc("2010-11-07 02:30")
    of = schedule("00:00", tz="America/St_Johns")
    for now in (midnight, utc("2010-11-07 02:31"), utc("2010-11-07 03:00"), utc("2010-11-07 03:30")):
        assert latest_occurrence(of, now).at == midnight
        assert next_occurrence(of, now).wall == "2010-11-08 00:00"


def test_a_moment_without_a_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        next_occurrence(schedule(), datetime(2026, 11, 22))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"name": ""}, "a schedule needs a name"),
        ({"days": ("someday",)}, "'someday' names no day"),
        ({"at": ("24:00",)}, "'24:00' is no time of day"),
        ({"at": ()}, "no time of day is given"),
        ({"tz": "Berlin"}, "'Berlin' is no time zone"),
        ({"deadline": 0}, "a deadline lasts from one second to seven days, got 0 s"),
        ({"deadline": 604_801}, "a deadline lasts from one second to seven days, got 604801 s"),
    ],
)
def test_a_schedule_nobody_can_carry_out_cannot_be_made(known: dict[str, object], message: str) -> None:
    with pytest.raises(ScheduleError) as error:
        schedule(**known)
    assert error.value.message == str(error.value) == message


def test_a_stay_up_window_nobody_can_keep_cannot_be_made() -> None:
    for known in ({"days": ()}, {"start": "24:00"}, {"tz": "Here"}, {"duration": 0}):
        with pytest.raises(ScheduleError):
            StayUp(**{"start": "22:00", "tz": "UTC", "duration": 60, **known})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-20 20:59:59", None),
        ("2026-11-20 21:00:00", "2026-11-21 05:00"),
        ("2026-11-21 00:30:00", "2026-11-21 05:00"),
        ("2026-11-21 04:59:59", "2026-11-21 05:00"),
        ("2026-11-21 05:00:00", None),
        ("2026-11-21 21:00:00", None),
    ],
)
def test_a_stay_up_window_lasts_over_midnight_from_its_first_second_to_before_its_last(now: str, until: str | None) -> None:
    friday_night = StayUp(days=("fri",), start="22:00", tz="Europe/Berlin", duration=8 * 3600)
    assert awake_until(friday_night, utc(now)) == (utc(until) if until else None)


def test_a_stay_up_window_never_ends_early_where_a_clock_change_makes_its_end_doubtful() -> None:
    window = StayUp(start="01:30", tz="Europe/Berlin", duration=3600)
    # 02:30 comes twice: the second time counts, though the hour has passed the first time
    assert awake_until(window, utc("2026-10-24 23:45")) == utc("2026-10-25 01:30")
    assert awake_until(window, utc("2026-10-25 01:29:59")) == utc("2026-10-25 01:30")
    assert awake_until(window, utc("2026-10-25 01:30")) is None
    # 02:30 does not exist: the hour has passed at 03:30
    assert awake_until(window, utc("2026-03-29 00:45")) == utc("2026-03-29 01:30")


def test_of_stay_up_windows_that_run_into_each_other_the_last_end_counts() -> None:
    window = StayUp(start="22:00", tz="UTC", duration=36 * 3600)
    assert awake_until(window, utc("2026-11-22 23:00")) == utc("2026-11-24 10:00")


def test_every_instant_is_in_utc() -> None:
    for zone in ZONES:
        assert next_occurrence(schedule(tz=zone), utc("2026-11-22 20:00")).at.tzinfo is UTC
