from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvectl.core.model import Guest, Known, Unknown
from pvectl.core.plan import OutcomeStatus, Reason, Verdict
from pvectl.core.schedules.ledger import reason_to_distrust_clock
from pvectl.core.schedules.resuming import PlannedGuest, reason_to_leave
from tests.core.guests import guest
from tests.core.schedules import utc

AT = utc("2026-11-21 21:30")
BUILT = utc("2026-11-01 00:00")
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


def left(now: Guest | None, *, after: int = 600, **planned: Any) -> tuple[Verdict, Reason] | None:
    one = PlannedGuest(**{"vmid": 100, "type": "qemu", "seen_at": AT, "uptime": 5000, **planned})
    kept = reason_to_leave(one, now, seen_at=AT + timedelta(seconds=after))
    if kept is None:
        return None
    assert kept[2]
    return kept[:2]


def test_a_guest_that_ran_all_the_time_and_was_not_asked_may_be_asked() -> None:
    assert left(guest(uptime=5600)) is None


@pytest.mark.parametrize("uptime", [5570, 5600, 5630])
def test_uptimes_are_rounded_and_clocks_trimmed(uptime: int) -> None:
    assert left(guest(uptime=uptime)) is None


@pytest.mark.parametrize("uptime", [0, 10, 420, 599, 600, 5569, 5631, 90_000])
def test_d28_a_guest_that_was_started_again_is_left_alone(uptime: int) -> None:
    assert left(guest(uptime=uptime)) == (Verdict.KEEP, Reason.RESTARTED)


@pytest.mark.parametrize(("uptime", "verdict"), [(620, None), (601, None), (600, None), (599, Reason.RESTARTED), (595, Reason.RESTARTED)])
def test_a_guest_that_had_only_just_started_when_it_was_planned_for_is_told_from_one_started_after(
    uptime: int, verdict: Reason | None
) -> None:
    found = left(guest(uptime=uptime), uptime=10)
    assert (found[1] if found else None) is verdict


@pytest.mark.parametrize(
    ("now", "planned", "verdict"),
    [
        (guest(uptime=5600), {"result": OutcomeStatus.TIMED_OUT, "asked": True}, (Verdict.KEEP, Reason.ALREADY_ASKED)),
        (guest(uptime=5600), {"asked": True}, (Verdict.WAIT, Reason.ALREADY_ASKED)),
        (guest(status="stopped", uptime=0), {"asked": True}, (Verdict.KEEP, Reason.ALREADY_OFF)),
        (guest(status="stopped", uptime=0), {}, (Verdict.KEEP, Reason.ALREADY_OFF)),
        (None, {}, (Verdict.BLIND, Reason.STATUS_UNKNOWN)),
        (guest(type="lxc", uptime=5600), {}, (Verdict.KEEP, Reason.ANOTHER_GUEST)),
        (guest(uptime=None), {}, (Verdict.BLIND, Reason.START_UNKNOWN)),
        (guest(uptime=5600), {"uptime": None}, (Verdict.BLIND, Reason.START_UNKNOWN)),
    ],
)
def test_s30_what_is_not_known_to_be_the_same_unasked_guest_is_not_asked(
    now: Guest | None, planned: dict[str, Any], verdict: tuple[Verdict, Reason]
) -> None:
    assert left(now, **planned) == verdict


@pytest.mark.parametrize(
    ("asked", "words"),
    [(True, "it was asked already, and the outcome was: timed-out"), (False, "its turn has come already, and the outcome was: timed-out")],
)
def test_nobody_is_said_to_have_been_asked_who_was_not(words: str, *, asked: bool) -> None:
    planned = PlannedGuest(vmid=100, type="qemu", seen_at=AT, uptime=5000, asked=asked, result=OutcomeStatus.TIMED_OUT)
    found = reason_to_leave(planned, guest(uptime=5600), seen_at=AT)
    assert found is not None
    assert found[2] == words


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 7200), st.data())
def test_no_guest_that_was_started_after_the_plan_is_ever_asked(uptime: int, after: int, data: st.DataObject) -> None:
    since = data.draw(st.integers(0, after - 1))
    assert left(guest(uptime=since), after=after, uptime=uptime) == (Verdict.KEEP, Reason.RESTARTED)


def clock(off: float, *, read_at: datetime = AT) -> Known[datetime]:
    return Known(value=read_at + timedelta(seconds=off), source="/nodes/pve1/time", taken_at=read_at)


@pytest.mark.parametrize("off", [0, 1, -1, 60, -60])
def test_a_clock_within_a_minute_of_the_nodes_is_trusted(off: float) -> None:
    assert reason_to_distrust_clock(AT, built_at=BUILT, nodes={"pve1": clock(off)}) is None


@pytest.mark.parametrize(("off", "words"), [(61, "61 s ahead of"), (-61, "61 s behind"), (3600, "3600 s ahead of")])
def test_s17_a_clock_more_than_a_minute_off_a_nodes_refuses(off: float, words: str) -> None:
    kept = reason_to_distrust_clock(AT, built_at=BUILT, nodes={"pve2": clock(off), "pve1": clock(0)})
    assert kept is not None
    assert kept[:2] == (Verdict.BLIND, Reason.CLOCK_WRONG)
    assert kept[2] == f"the clock of node pve2 is {words} this machine's, and one of them is wrong: look at timedatectl"


def test_s17_a_clock_is_held_against_the_moment_the_nodes_was_read() -> None:
    assert reason_to_distrust_clock(AT + HOUR, built_at=BUILT, nodes={"pve1": clock(0)}) is None


@pytest.mark.parametrize(("now", "reason"), [(BUILT - SECOND, Reason.CLOCK_WRONG), (BUILT, None)])
def test_s17_a_clock_before_the_build_date_refuses(now: datetime, reason: Reason | None) -> None:
    kept = reason_to_distrust_clock(now, built_at=BUILT, nodes={"pve1": clock(0)})
    assert (kept[1] if kept else None) is reason


def test_s02_a_clock_nobody_could_compare_refuses() -> None:
    unread = reason_to_distrust_clock(AT, built_at=BUILT, nodes={"pve1": Unknown(reason="no answer")})
    assert unread == (Verdict.BLIND, Reason.CLOCK_UNSURE, "the clock of node pve1 could not be read: no answer")
    assert reason_to_distrust_clock(AT, built_at=BUILT, nodes={}) == (
        Verdict.BLIND,
        Reason.CLOCK_UNSURE,
        "no node was asked what time it is",
    )
