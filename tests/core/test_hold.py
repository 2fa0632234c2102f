"""Holds keep what they name on, until they end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pvectl.core.hold import Hold, holding, in_force

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def a_hold(name: str, subject: str = "node/pve2", *, until: datetime) -> Hold:
    return Hold(id=name, subject=subject, until=until, reason="restore test", who="anna", made_at=NOON - timedelta(hours=1))


@pytest.mark.parametrize(("after", "held"), [(-1, True), (-0.001, True), (0, False), (1, False)])
def test_s25_a_hold_counts_up_to_its_last_moment_and_not_a_second_longer(after: float, *, held: bool) -> None:
    hold = a_hold("h1", until=NOON)

    at = NOON + timedelta(seconds=after)

    assert hold.in_force(at) is held
    assert (holding([hold], "node/pve2", at) == hold) is held


def test_s25_a_clock_that_was_set_back_does_not_lift_a_hold() -> None:
    hold = a_hold("h1", until=NOON + timedelta(hours=8))

    assert hold.in_force(NOON - timedelta(days=400))


def test_of_several_holds_the_one_that_lasts_longest_is_told() -> None:
    short = a_hold("h1", until=NOON + timedelta(hours=1))
    long = a_hold("h2", until=NOON + timedelta(hours=9))
    over = a_hold("h3", until=NOON)

    assert holding([long, short, over], "node/pve2", NOON) == long
    assert in_force([long, over, short], NOON) == (short, long)


def test_a_hold_holds_what_it_names_and_nothing_else() -> None:
    hold = a_hold("h1", "guest/110", until=NOON + timedelta(hours=1))

    assert holding([hold], "guest/110", NOON) == hold
    assert holding([hold], "guest/11", NOON) is None
    assert holding([hold], "node/pve2", NOON) is None
    assert holding([], "node/pve2", NOON) is None
