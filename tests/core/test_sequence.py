"""Who of a stage is asked at its turn, held against the plan its occurrence was claimed with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from pvectl.core.hold import Hold
from pvectl.core.model import Guest, Node
from pvectl.core.plan import OutcomeStatus, Reason, Shutdown, Verdict
from pvectl.core.schedules import sequence
from pvectl.core.schedules.resuming import PlannedGuest
from pvectl.core.schedules.scheduled import Scope, Surroundings
from pvectl.core.schedules.sequence import Look, Turn
from pvectl.core.schedules.stages import Standing
from pvectl.core.select import Picked
from tests.core.guests import guest

THEN = datetime(2026, 12, 1, 22, 0, tzinfo=UTC)
LATER = THEN + timedelta(minutes=5)
NODES = (Node(name="pve1", status="online"), Node(name="pve2", status="offline"))


def _guest(vmid: int = 200, **known: Any) -> Guest:
    return guest(vmid, **{"status": "running", "tags": ("safe-shutdown",), "uptime": 3900, "node": "pve1", **known})


def _look(*guests: Guest, excluded: tuple[Guest, ...] = (), holds: tuple[Hold, ...] = (), **more: Any) -> Look:
    return Look(
        picked=Picked(guests=guests, excluded=excluded),
        scope=Scope(require_tag="safe-shutdown", timeout=60),
        around=Surroundings(nodes=NODES, holds=holds, now=LATER),
        seen_at=LATER,
        **more,
    )


def _plan(vmid: int = 200, **known: Any) -> PlannedGuest:
    return PlannedGuest(**{"vmid": vmid, "type": "qemu", "stage": "one", "seen_at": THEN, "uptime": 3600, **known})


def _turn(look: Look, *plan: PlannedGuest, vmid: int = 200) -> Turn:
    (turn,) = sequence.turns([vmid], look, plan)
    return turn


def test_who_was_planned_for_and_is_as_then_is_asked() -> None:
    turn = _turn(_look(_guest()), _plan())
    assert (turn.decision.verdict, turn.standing) == (Verdict.ACT, None)
    assert turn.decision.action is not None


def test_the_plan_is_everybody_who_may_be_asked_and_is_in_a_stage() -> None:
    look = _look(_guest(200, name="desk"), _guest(201), _guest(202, tags=()), _guest(203, status="stopped"))
    assert sequence.planned(look, {200: "one", 202: "one", 203: "two"}) == (
        PlannedGuest(vmid=200, type="qemu", name="desk", stage="one", seen_at=LATER, uptime=3900),
    )


def test_who_was_started_after_the_plan_is_left_alone() -> None:
    turn = _turn(_look(_guest()))
    assert (turn.decision.verdict, turn.decision.reason, turn.standing) == (Verdict.KEEP, Reason.STARTED_MEANWHILE, Standing.KEPT)


def test_who_was_not_planned_for_stands_as_he_is() -> None:
    assert _turn(_look(_guest(status="stopped"))).standing is Standing.OFF
    assert _turn(_look(_guest(tags=()))).standing is Standing.OUTSIDE
    assert _turn(_look()).decision.reason is Reason.EXCLUDED
    assert _turn(_look()).standing is Standing.OUTSIDE


def test_s25_a_hold_beats_the_plan() -> None:
    hold = Hold(id="1", subject="guest/200", until=LATER + timedelta(hours=1), reason="film", who="me", made_at=THEN)
    turn = _turn(_look(_guest(), holds=(hold,)), _plan())
    assert (turn.decision.reason, turn.standing) == (Reason.HELD, Standing.KEPT)


def test_a_planned_guest_that_the_selection_asks_for_no_longer_is_left_alone() -> None:
    turn = _turn(_look(), _plan())
    assert (turn.decision.verdict, turn.standing) == (Verdict.BLIND, Standing.UNKNOWN)
    excluded = _turn(_look(excluded=(_guest(),)), _plan())
    assert (excluded.decision.reason, excluded.standing) == (Reason.EXCLUDED, Standing.OUTSIDE)


def test_s30_one_restarted_since_is_left_alone() -> None:
    turn = _turn(_look(_guest(uptime=60)), _plan())
    assert (turn.decision.reason, turn.standing) == (Reason.RESTARTED, Standing.KEPT)


def test_an_offline_node_leaves_its_guests_unseen_whatever_the_plan_says() -> None:
    turn = _turn(_look(_guest(node="pve2", status="unknown", uptime=None)), _plan())
    assert (turn.decision.reason, turn.standing) == (Reason.NODE_UNSEEN, Standing.UNSEEN)


def test_s30_one_that_was_asked_is_waited_for_and_not_asked_again() -> None:
    turn = _turn(_look(_guest()), _plan(asked=True))
    assert (turn.decision.verdict, turn.standing) == (Verdict.WAIT, None)
    off = _turn(_look(_guest(status="stopped")), _plan(asked=True))
    assert (off.decision.verdict, off.standing) == (Verdict.KEEP, Standing.OFF)


@pytest.mark.parametrize(
    ("result", "standing"),
    [
        (OutcomeStatus.DONE, Standing.KEPT),
        (OutcomeStatus.DRY_RUN, Standing.KEPT),
        (OutcomeStatus.SKIPPED, Standing.KEPT),
        (OutcomeStatus.STARTED, Standing.KEPT),
        (OutcomeStatus.TIMED_OUT, Standing.TIMED_OUT),
        (OutcomeStatus.FAILED, Standing.FAILED),
        (OutcomeStatus.UNKNOWN, Standing.UNKNOWN),
    ],
)
def test_what_an_earlier_run_wrote_down_counts_until_the_guest_is_seen_off(result: OutcomeStatus, standing: Standing) -> None:
    plan = _plan(asked=True, result=result)
    assert _turn(_look(_guest()), plan).standing is standing
    assert _turn(_look(_guest()), plan).decision.action is None
    assert _turn(_look(_guest(status="stopped")), plan).standing is Standing.OFF


def test_s13_the_guest_pvectl_runs_in_is_left_alone() -> None:
    turn = _turn(_look(_guest(), runs_in=200), _plan())
    assert (turn.decision.reason, turn.standing) == (Reason.RUNS_HERE, Standing.KEPT)
    assert _turn(_look(_guest(), runs_in=201), _plan()).decision.verdict is Verdict.ACT


def test_s10_a_tag_that_does_not_count_permits_nobody() -> None:
    look = _look(_guest(), tag_counts=False)
    assert _turn(look, _plan()).decision.reason is Reason.TAG_UNREGISTERED
    lifted = replace(look, scope=replace(look.scope, require_tag=None))
    assert _turn(lifted, _plan()).decision.verdict is Verdict.ACT


def test_force_is_the_stage_s() -> None:
    look = _look(_guest())
    forced = _turn(replace(look, scope=replace(look.scope, force_stop=True)), _plan())
    assert isinstance(forced.decision.action, Shutdown)
    assert forced.decision.action.force_stop
