from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pvectl.core import start
from pvectl.core.plan import Reason, Start, Verdict
from tests.core.guests import guest

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def off(vmid: int = 100, **known: Any) -> Any:
    return guest(vmid, **{"status": "stopped", **known})


@pytest.mark.parametrize(
    ("known", "verdict", "reason"),
    [
        ({"template": True}, Verdict.KEEP, Reason.TEMPLATE),
        ({"status": "unknown"}, Verdict.BLIND, Reason.STATUS_UNKNOWN),
        ({"status": "running"}, Verdict.KEEP, Reason.ALREADY_RUNNING),
        ({"status": "paused"}, Verdict.KEEP, Reason.PAUSED),
        ({"status": "io-error"}, Verdict.KEEP, Reason.PAUSED),
        ({"lock": "backup"}, Verdict.KEEP, Reason.LOCKED),
    ],
)
def test_a_guest_that_cannot_be_started_is_left_alone_and_told_why(known: dict[str, Any], verdict: Verdict, reason: Reason) -> None:
    left = start.reason_to_leave(off(**known))
    assert left is not None
    assert left[:2] == (verdict, reason)
    assert left[2]


@pytest.mark.parametrize("known", [{}, {"lock": "suspended"}, {"hastate": "stopped"}, {"template": None}])
def test_a_stopped_guest_may_be_started(known: dict[str, Any]) -> None:
    assert start.reason_to_leave(off(**known)) is None


def test_every_guest_has_one_decision_in_the_order_of_their_numbers() -> None:
    guests = [off(102), off(100), guest(101), off(103, hastate="stopped"), off(104, hastate="ignored")]
    plan = start.plan(guests, excluded=[off(102), off(105)], timeout=60, now=NOW)
    assert [(decision.subject, decision.verdict, decision.reason) for decision in plan.decisions] == [
        ("guest/100", Verdict.ACT, Reason.REQUESTED),
        ("guest/101", Verdict.KEEP, Reason.ALREADY_RUNNING),
        ("guest/102", Verdict.KEEP, Reason.EXCLUDED),
        ("guest/103", Verdict.ACT, Reason.REQUESTED),
        ("guest/104", Verdict.ACT, Reason.REQUESTED),
        ("guest/105", Verdict.KEEP, Reason.EXCLUDED),
    ]
    assert plan.actions == tuple(Start(guest=one, timeout=60) for one in (guests[1], guests[3], guests[4]))
    assert [decision.detail for decision in plan.decisions if decision.action] == ["started", "started by the HA manager", "started"]


def test_a_start_needs_a_moment() -> None:
    with pytest.raises(ValueError, match="at least one second"):
        start.plan([off()], timeout=0, now=NOW)


def test_in_order_each_guest_has_the_pause_that_its_startup_line_asks_for() -> None:
    plan = start.plan([off(100), off(101), guest(102)], timeout=60, now=NOW)
    ordered = start.in_order(plan, {100: "order=2,up=30", 101: "order=1"})
    assert ordered.stages == ((101,), (100,))
    assert [(action.guest.vmid, action.pause) for action in ordered.actions if isinstance(action, Start)] == [(100, 30), (101, 0)]
    assert ordered.decisions[2] == plan.decisions[2]


def test_a_pause_is_an_hour_at_most_and_the_plan_says_so() -> None:
    plan = start.in_order(start.plan([off(100), off(101)], timeout=60, now=NOW), {100: "order=1,up=99999999999", 101: "order=2,up=3600"})
    assert [action.pause for action in plan.actions if isinstance(action, Start)] == [3600, 3600]
    assert [decision.detail for decision in plan.decisions] == [
        "started, and the next one 1h later (its up=99999999999 asks for more than pvectl waits)",
        "started, and the next one 1h later",
    ]
