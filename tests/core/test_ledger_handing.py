"""The nodes of an occurrence: whose turn is over, which began, and what became of those whose run died."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from pvectl.core.idle import NodeDecision, NodeRecord, Phase
from pvectl.core.idle.record import OffMark
from pvectl.core.plan import OutcomeStatus, PowerOutcome, Reason, SwitchOff, Verdict
from pvectl.core.schedules import handing
from pvectl.core.schedules.ledger import (
    Entry,
    Ledger,
    State,
    claim,
    disarm,
    finish,
    guests_through,
    node_begun,
    node_came,
    recorded,
    step,
)
from tests.core.schedules import schedule, utc

AT = utc("2026-11-21 21:30")
DEADLINE = utc("2026-11-21 22:00")
SECOND = timedelta(seconds=1)
OLD = Ledger(schedule="night", config_hash="a", armed_at=utc("2026-11-21 12:00"))


def through(*nodes: str, state: State = State.DONE) -> Entry:
    due = step(OLD, schedule(), config_hash="a", now=AT).due
    assert due is not None
    begun = claim(due, run_id="r1", guests=(), now=AT)
    return guests_through(begun, state, reason=Reason.SCHEDULED, detail="3 guests shut down", nodes=nodes, now=AT)


def decision(verdict: Verdict, reason: Reason) -> NodeDecision:
    return NodeDecision(node="pve2", at=AT, phase=Phase.BUSY, verdict=verdict, reason=reason, detail="so")


def test_the_nodes_come_after_the_guests_each_once_and_in_their_order() -> None:
    entry = through("pve2", "pve3", "pve2")
    assert (entry.state, entry.through) == (State.RUNNING, State.DONE)
    assert [one.node for one in handing.waiting(entry.nodes)] == ["pve2", "pve3"]
    entry = node_came(node_begun(entry, "pve2", AT), "pve2", OutcomeStatus.DONE, AT)
    assert [one.node for one in handing.waiting(entry.nodes)] == ["pve3"]
    assert not handing.went_wrong(entry.nodes)
    assert handing.went_wrong(node_came(entry, "pve3", OutcomeStatus.UNKNOWN, AT).nodes)


def test_guests_are_through_once_and_only_while_it_is_under_way() -> None:
    entry = through("pve2")
    for wrong in (entry, finish(entry, State.DONE, reason=Reason.SCHEDULED, detail="", now=AT)):
        with pytest.raises(ValueError, match="its guests are not through"):
            guests_through(wrong, State.DONE, reason=Reason.SCHEDULED, detail="", nodes=(), now=AT)
    with pytest.raises(ValueError, match="its guests are not through"):
        guests_through(replace(entry, through=None), State.DUE, reason=Reason.SCHEDULED, detail="", nodes=(), now=AT)


def test_s24_no_node_begins_twice_nor_one_that_is_not_planned() -> None:
    begun = node_begun(through("pve2"), "pve2", AT)
    for entry, node in ((begun, "pve2"), (begun, "pve1"), (node_came(begun, "pve2", OutcomeStatus.DONE, AT), "pve2")):
        with pytest.raises(ValueError, match="is not to be switched off"):
            node_begun(entry, node, AT)


def test_s30_nodes_that_are_left_are_gone_on_with_until_the_deadline_and_given_up_then() -> None:
    ledger = recorded(OLD, through("pve2", "pve3"))
    assert step(ledger, schedule(), config_hash="a", now=DEADLINE - SECOND).resume == ledger.entries[0]
    (given_up,) = step(ledger, schedule(), config_hash="a", now=DEADLINE).changed
    assert (given_up.state, given_up.reason) == (State.PARTIAL, Reason.DEADLINE_PASSED)
    assert given_up.detail == "3 guests shut down; no run saw pve2, pve3 off by 2026-11-21 22:00 UTC, and it is too late to go on"


def test_a_schedule_that_changes_ends_what_was_left_as_partly_done() -> None:
    _, (ended,) = disarm(recorded(OLD, through("pve2")), AT)
    assert (ended.state, ended.reason) == (State.PARTIAL, Reason.SUPERSEDED)


@pytest.mark.parametrize(
    ("came", "state"), [(OutcomeStatus.DONE, State.DONE), (OutcomeStatus.SKIPPED, State.DONE), (OutcomeStatus.FAILED, State.PARTIAL)]
)
def test_a_night_whose_run_died_when_all_was_done_but_to_say_so_ends_as_it_came(came: OutcomeStatus, state: State) -> None:
    ledger = recorded(OLD, node_came(node_begun(through("pve2"), "pve2", AT), "pve2", came, AT))
    (ended,) = step(ledger, schedule(), config_hash="a", now=DEADLINE).changed
    (changed,) = disarm(ledger, AT)[1]
    for one in (ended, changed):
        assert (one.state, one.reason, one.detail) == (state, Reason.SCHEDULED, "3 guests shut down")


@pytest.mark.parametrize(
    ("result", "stops"),
    [
        (None, False),
        (OutcomeStatus.DONE, False),
        (OutcomeStatus.SKIPPED, True),
        (OutcomeStatus.FAILED, True),
        (OutcomeStatus.STARTED, True),
    ],
)
def test_s22_a_node_that_began_to_go_off_and_did_not_stops_the_rest(result: OutcomeStatus | None, stops: bool) -> None:
    node = handing.PlannedNode(node="pve2", begun=True, result=result)
    assert handing.stops_the_rest(node) is stops
    assert not handing.stops_the_rest(replace(node, begun=False))


@pytest.mark.parametrize(
    ("verdict", "result"),
    [
        (Verdict.ACT, OutcomeStatus.DRY_RUN),
        (Verdict.KEEP, OutcomeStatus.SKIPPED),
        (Verdict.WAIT, None),
        (Verdict.BLIND, None),
    ],
)
def test_s02_what_nobody_could_see_is_looked_at_again(verdict: Verdict, result: OutcomeStatus | None) -> None:
    assert handing.result_of(decision(verdict, Reason.SCHEDULED), None) is result
    outcome = PowerOutcome(action=SwitchOff(node="pve2"), status=OutcomeStatus.UNKNOWN)
    assert handing.result_of(decision(verdict, Reason.SCHEDULED), outcome) is OutcomeStatus.UNKNOWN


@pytest.mark.parametrize(
    ("verdict", "reason", "phase", "result"),
    [
        (Verdict.KEEP, Reason.SWITCHED_OFF, Phase.OFF_SEEN, OutcomeStatus.DONE),
        (Verdict.KEEP, Reason.NODE_OFF, Phase.BUSY, OutcomeStatus.DONE),
        (Verdict.WAIT, Reason.OFF_SENT, Phase.DRAIN, None),
        (Verdict.BLIND, Reason.UNSEEN, Phase.BUSY, None),
        (Verdict.KEEP, Reason.COOLDOWN, Phase.COOLDOWN, OutcomeStatus.FAILED),
        (Verdict.KEEP, Reason.QUARANTINE, Phase.QUARANTINE, OutcomeStatus.FAILED),
        (Verdict.KEEP, Reason.NOT_TAGGED, Phase.BUSY, OutcomeStatus.SKIPPED),
        (Verdict.ACT, Reason.SCHEDULED, Phase.DRAIN, OutcomeStatus.FAILED),
    ],
)
def test_s30_what_became_of_a_node_is_seen_and_never_done_again(
    verdict: Verdict, reason: Reason, phase: Phase, result: OutcomeStatus | None
) -> None:
    record = NodeRecord(node="pve2", since=AT, wall=AT, phase=phase)
    assert handing.result_since(decision(verdict, reason), record, since=AT) is result
    before = replace(record, off_history=(OffMark(at=AT - SECOND, boottime=1.0),))
    assert handing.result_since(decision(verdict, reason), before, since=AT) is result
    off_since = replace(record, off_history=(OffMark(at=AT, boottime=2.0),))
    assert handing.result_since(decision(verdict, reason), off_since, since=AT) is OutcomeStatus.DONE
