from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvectl.core.schedules.when import DAY_WORDS, DAYS, ScheduleError, parse_days, parse_time, parse_times, parse_zone


@pytest.mark.parametrize(
    ("words", "days"),
    [
        ("mon", "mon"),
        ("daily", "mon tue wed thu fri sat sun"),
        ("weekdays", "mon tue wed thu fri"),
        ("weekend", "sat sun"),
        ("mon-fri", "mon tue wed thu fri"),
        ("fri-mon", "mon fri sat sun"),
        ("sun-mon", "mon sun"),
        ("sat-sat", "sat"),
        ("tue-mon", "mon tue wed thu fri sat sun"),
        ("Sun, mon", "mon sun"),
        (["wed", "mon-tue"], "mon tue wed"),
        (["weekend", "SAT"], "sat sun"),
        ([" thu - fri "], "thu fri"),
    ],
)
def test_days_are_words_ranges_and_lists(words: str | list[object], days: str) -> None:
    assert parse_days(words) == tuple(days.split())


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("sundey", "'sundey' names no day", "did you mean sun?"),
        ("weekday", "'weekday' names no day", "did you mean weekdays?"),
        (["mon-fry"], "'mon-fry' names no day", "did you mean fri?"),
        ("mon-", "'mon-' names no day", f"known are: {', '.join(DAY_WORDS)}"),
        ("", "'' names no day", f"known are: {', '.join(DAY_WORDS)}"),
        ([1], "1 names no day", f"known are: {', '.join(DAY_WORDS)}"),
        ([True], "True names no day", f"known are: {', '.join(DAY_WORDS)}"),
        ([], "no day is named", "write daily, or days such as mon-fri"),
    ],
)
def test_what_names_no_day_is_refused_with_the_words_there_are(words: str | list[object], message: str, hint: str) -> None:
    with pytest.raises(ScheduleError) as error:
        parse_days(words)
    assert error.value.message == message
    assert error.value.known == DAY_WORDS
    assert error.value.hint == hint


@settings(max_examples=40)
@given(st.sampled_from(DAYS), st.sampled_from(DAYS))
def test_a_range_of_days_and_its_way_around_the_week_make_the_whole_week(first: str, last: str) -> None:
    there, back = parse_days(f"{first}-{last}"), parse_days(f"{last}-{first}")
    assert {first, last} <= {*there} & {*back}
    assert len(there) + len(back) == (2 if first == last else 9)


@pytest.mark.parametrize("time", ["00:00", "07:05", "19:59", "22:30", "23:59"])
def test_a_time_of_day_is_hours_and_minutes(time: str) -> None:
    assert parse_time(time) == time


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ("24:00", "'24:00' is no time of day", 'midnight is "00:00", and belongs to the day that begins'),
        ("22.30", "'22.30' is no time of day", 'write "22:30", in quotes'),
        ("7:5", "'7:5' is no time of day", 'write "07:05", in quotes'),
        ("7", "'7' is no time of day", 'write "07:00", in quotes'),
        ("22:30:00", "'22:30:00' is no time of day", 'write "22:30", in quotes'),
        (" 22:30", "' 22:30' is no time of day", 'write "22:30", in quotes'),
        ("22:30\n", "'22:30\n' is no time of day", 'write "22:30", in quotes'),
        ("10pm", "'10pm' is no time of day", 'write "22:00", in quotes'),
        ("12:30 AM", "'12:30 AM' is no time of day", 'write "00:30", in quotes'),
        ("13 pm", "'13 pm' is no time of day", 'write "13:00", in quotes'),
        ("25:00", "'25:00' is no time of day", 'a day goes from "00:00" to "23:59"'),
        ("22:60", "'22:60' is no time of day", 'a day goes from "00:00" to "23:59"'),
        ("٢٢:٣٠", "'٢٢:٣٠' is no time of day", 'write hours and minutes in quotes, for example "22:30"'),
        ("noon", "'noon' is no time of day", 'write hours and minutes in quotes, for example "22:30"'),
        ("", "'' is no time of day", 'write hours and minutes in quotes, for example "22:30"'),
        (1350, "1350 is a number, not a time of day", 'write "22:30", in quotes: YAML 1.1 reads a bare 22:30 as the number 1350'),
        (1320, "1320 is a number, not a time of day", 'write "22:00", in quotes: YAML 1.1 reads a bare 22:00 as the number 1320'),
        (81_000, "81000 is a number, not a time of day", 'write "22:30", in quotes: YAML 1.1 reads a bare 22:30 as the number 81000'),
        (22.3, "22.3 is a number, not a time of day", 'write "22:30", in quotes'),
        (-5, "-5 is no time of day", 'write hours and minutes in quotes, for example "22:30"'),
        (86_400, "86400 is no time of day", 'write hours and minutes in quotes, for example "22:30"'),
        (True, "True is no time of day", 'write hours and minutes in quotes, for example "22:30"'),
        (None, "None is no time of day", 'write hours and minutes in quotes, for example "22:30"'),
    ],
)
def test_s17_anything_else_is_refused_with_what_was_meant(value: object, message: str, hint: str) -> None:
    with pytest.raises(ScheduleError) as error:
        parse_time(value)
    assert (error.value.message, error.value.hint, error.value.word) == (message, hint, value)


@settings(max_examples=40)
@given(st.integers(0, 23), st.integers(0, 59))
def test_d38_the_number_yaml_makes_of_a_bare_time_is_told_back_as_that_time(hour: int, minute: int) -> None:
    with pytest.raises(ScheduleError) as error:
        parse_time(hour * 60 + minute)
    assert error.value.hint is not None
    assert f'write "{hour:02}:{minute:02}", in quotes' in error.value.hint


def test_times_of_day_are_sorted_and_each_is_there_once() -> None:
    assert parse_times(["22:30", "06:00", "22:30"]) == ("06:00", "22:30")
    assert parse_times("22:30") == ("22:30",)
    with pytest.raises(ScheduleError, match="'6' is no time of day"):
        parse_times(["22:30", "6"])
    with pytest.raises(ScheduleError, match="no time of day is given"):
        parse_times([])


@pytest.mark.parametrize("zone", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+1", "Asia/Kathmandu"])
def test_a_time_zone_is_a_name_of_the_tz_database(zone: str) -> None:
    assert parse_zone(zone) == zone


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("Berlin", "did you mean Europe/Berlin?"),
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("Europe/Berln", "did you mean Europe/Berlin?"),
        ("new york", "did you mean America/New_York?"),
        ("utc", "did you mean UTC?"),
        *((strange, None) for strange in ("", "..", "../../etc/passwd", "/etc/localtime", "a\0b", "localtime", "posixrules", "Factory")),
        ("x" * 300, None),
    ],
)
def test_an_unknown_time_zone_is_refused_with_the_nearest_and_all_there_are(zone: str, hint: str | None) -> None:
    with pytest.raises(ScheduleError) as error:
        parse_zone(zone)
    assert error.value.message == f"'{zone}' is no time zone"
    assert {"Europe/Berlin", "UTC"} <= {*error.value.known}
    assert not {*error.value.known} & {"localtime", "posixrules", "Factory"}
    assert error.value.hint == (hint or "write a name of the tz database, for example Europe/Berlin or UTC")


def test_a_continent_is_no_time_zone() -> None:
    with pytest.raises(ScheduleError, match="'Europe' is no time zone"):
        parse_zone("Europe")
