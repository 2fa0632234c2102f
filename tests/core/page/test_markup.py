"""Whatever goes into the page comes out as text; only what the page itself made is markup."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvectl.core.amounts import many, part, percent, size, span
from pvectl.core.monitor.page.markup import Markup, element, joined, name_of, text
from pvectl.core.text import clean
from tests.support.markup import read


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_comes_back_as_text_and_any_attribute_as_that_attribute(told: str, attribute: str) -> None:
    tree = read(element("p", told, title=attribute))
    (paragraph,) = tree.content
    assert tree.told == clean(told)
    assert paragraph.attributes == {"title": clean(attribute)}  # type: ignore[union-attr]


@pytest.mark.parametrize("steering", ["\x00", "\x1b[31m", "\r\n", "\u202e", "\u2028", "\ufeff", "\u200b"])
def test_what_steers_is_spelled_out(steering: str) -> None:
    assert steering not in text(f"a{steering}b")


def test_markup_goes_in_once_and_is_not_escaped_again() -> None:
    inner = element("b", "5 < 6 & 7")
    assert inner == "<b>5 &lt; 6 &amp; 7</b>"
    assert element("p", inner, " said ", ["'she", None, [Markup("<i></i>")]]) == "<p><b>5 &lt; 6 &amp; 7</b> said &#x27;she<i></i></p>"
    assert joined(None) == ""


def test_attributes_are_named_as_html_names_them_and_left_out_when_there_is_none() -> None:
    made = element("svg", class_="bar", aria_hidden="true", data_term=None, viewBox="0 0 1 1", width=3.5)
    assert made == '<svg class="bar" aria-hidden="true" viewBox="0 0 1 1" width="3.5"></svg>'
    assert element("meta", charset="utf-8") == '<meta charset="utf-8"/>'


def test_no_name_fills_the_page() -> None:
    assert len(text("x" * 10_000)) < 2100


def test_a_name_does_not_turn_round_the_line_it_stands_in() -> None:
    assert name_of("db") == "<bdi>db</bdi>"


@pytest.mark.parametrize(
    ("used", "total", "told"),
    [
        (8 << 30, 32 << 30, "8.0 of 32.0 GiB"),
        (300 << 20, 32 << 30, "300 MiB of 32.0 GiB"),
        (0, 8 << 30, "0 B of 8.0 GiB"),
        (None, 8 << 30, "- of 8.0 GiB"),
        (None, None, "- of -"),
    ],
)
def test_a_unit_that_both_share_is_told_once(used: int | None, total: int | None, told: str) -> None:
    assert part(used, total) == told


def test_amounts_are_told_as_people_read_them() -> None:
    assert [size(value) for value in (None, 0, 1023, 1536, 200 << 30, 1 << 60)] == ["-", "0 B", "1023 B", "1.5 KiB", "200 GiB", "1024 PiB"]
    assert [percent(value) for value in (None, 0.0, 0.955)] == ["-", "0%", "96%"]
    assert [span(value) for value in (None, 0.4, 59, 60, 3660, 93784, 172800)] == ["-", "0s", "59s", "1m", "1h 1m", "1d 2h", "2d"]
    assert [many(count, "guest") for count in (0, 1, 1200)] == ["0 guests", "1 guest", "1,200 guests"]
