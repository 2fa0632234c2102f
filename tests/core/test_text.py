from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvectl.core.text import clean


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("db01 (größe) 日本 🙂", "db01 (größe) 日本 🙂"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\r\0", "a\\x0ab\\x09c\\x0d\\x00"),
        ("\x7f\x9b", "\\x7f\\x9b"),
        ("ab\u202ecd", "ab\\u202ecd"),
        ("a\u2028b\u2029c", "a\\u2028b\\u2029c"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\ud800", "\\ud800"),
        ("\ue000", "\\ue000"),
        ("\U000e0001", "\\U000e0001"),
        ("a\u00a0b\u3000c", "a\u00a0b\u3000c"),
    ],
)
def test_s34_what_steers_a_terminal_is_spelled_out(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_s34_nothing_that_steers_is_left_and_cleaning_twice_changes_nothing(text: str) -> None:
    shown = clean(text)
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    assert clean(shown) == shown
