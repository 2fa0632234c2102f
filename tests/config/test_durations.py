from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvectl.config.durations import LONGEST, parse_duration, show_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("2h", 7200),
        ("1d", 86400),
        ("1h30m", 5400),
        ("0", 0),
        ("90", 90),
        (90, 90),
        (" 5m ", 300),
        ("366d", LONGEST),
    ],
)
def test_a_duration_is_a_number_with_its_unit_and_a_plain_number_is_seconds(text: str | int, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "soon", "1.5h", "m", "-5m", "5 m", "5M", "30m1h", "1h1h", "1w", "½h", "٣m", "1h30", "22:30", "1_000", "9" * 400, "9" * 20 + "d"],
)
def test_anything_else_says_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 90s, 30m, 2h or 1d"):
        parse_duration(text)


def test_a_negative_number_and_one_over_a_year_are_no_durations() -> None:
    with pytest.raises(ValueError, match="not a negative one"):
        parse_duration(-1)
    with pytest.raises(ValueError, match="at most 366d"):
        parse_duration(LONGEST + 1)


@given(st.integers(min_value=0, max_value=LONGEST))
def test_what_is_shown_is_read_back_as_the_same(seconds: int) -> None:
    assert parse_duration(show_duration(seconds)) == seconds


@given(st.text())
def test_no_text_ends_in_anything_but_seconds_or_a_sentence(text: str) -> None:
    try:
        answer: int | str = parse_duration(text)
    except ValueError as error:
        answer = str(error)
    assert "expected a duration" in answer if isinstance(answer, str) else 0 <= answer <= LONGEST
