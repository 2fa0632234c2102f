from __future__ import annotations

import math
from typing import Any

import pytest

from pvectl import act, observe
from pvectl.core import shutdown
from pvectl.core.model import Guest
from pvectl.core.plan import Outcome, OutcomeStatus, Plan, Shutdown
from pvectl.pve.client import Upid
from tests.act.drains import guest, standing, world
from tests.support.labs import Lab

DONE, SKIPPED, TIMED_OUT, STARTED = OutcomeStatus.DONE, OutcomeStatus.SKIPPED, OutcomeStatus.TIMED_OUT, OutcomeStatus.STARTED


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.pve.transport.PAUSE_S", 0.0001)


def planned(lab: Lab, timeout: int = 60) -> Plan:
    return shutdown.plan(observe.look(lab.client, lab.clock).guests, timeout=timeout, now=lab.clock.now())


def staged(plan: Plan, *stages: tuple[int, ...]) -> list[list[Any]]:
    known = {action.guest.vmid: action for action in plan.actions}
    return [[known[vmid] for vmid in stage] for stage in stages]


def statuses(outcomes: tuple[Outcome, ...]) -> dict[int, OutcomeStatus]:
    return {outcome.action.guest.vmid: outcome.status for outcome in outcomes}


def order(lab: Lab) -> list[int]:
    return [int(words.split("/")[4]) for words in lab.wrote()]


def test_a_stage_begins_when_every_guest_of_the_one_before_is_seen_off() -> None:
    with standing(world(guest(100), guest(101, shutdown_s=30), guest(102), guest(103))) as lab:
        plan = planned(lab)
        off_by_then: list[list[int]] = []

        def count(_number: int, words: str) -> None:
            if words.startswith("POST"):
                off_by_then.append([vmid for vmid in (100, 101, 102, 103) if lab.cluster.guest(vmid).status == "stopped"])

        lab.on_request(count)
        outcomes = act.carry_out(plan, lab.client, lab.clock, stages=staged(plan, (103, 101), (100,), (102,)), parallel=1)
        assert list(statuses(outcomes)) == [100, 101, 102, 103]
        assert set(statuses(outcomes).values()) == {DONE}
        assert order(lab) == [103, 101, 100, 102]
        assert off_by_then == [[], [], [101, 103], [100, 101, 103]]


def test_when_a_guest_is_not_off_the_next_stage_never_begins_and_its_own_goes_on() -> None:
    with standing(world(guest(100, acpi=False), guest(101), guest(102))) as lab:
        plan = planned(lab, timeout=10)
        outcomes = act.carry_out(plan, lab.client, lab.clock, stages=staged(plan, (100, 101), (102,)), at_once=1)
        assert statuses(outcomes) == {100: TIMED_OUT, 101: DONE, 102: SKIPPED}
        assert outcomes[2].error == "a guest of an earlier stage is not where it was to be: nothing was changed"
        assert order(lab) == [100, 101]


def test_where_told_to_go_on_the_next_stage_begins_all_the_same() -> None:
    with standing(world(guest(100, acpi=False), guest(101))) as lab:
        plan = planned(lab, timeout=10)
        outcomes = act.carry_out(plan, lab.client, lab.clock, stages=staged(plan, (100,), (101,)), go_on=True)
        assert statuses(outcomes) == {100: TIMED_OUT, 101: DONE}


def test_a_guest_that_was_off_already_holds_no_stage_up() -> None:
    with standing(world(guest(100), guest(101))) as lab:
        plan = planned(lab)
        lab.cluster.stop_guest(100)
        outcomes = act.carry_out(plan, lab.client, lab.clock, stages=staged(plan, (100,), (101,)))
        assert statuses(outcomes) == {100: SKIPPED, 101: DONE}


def test_without_waiting_the_stages_say_in_which_order_they_are_asked() -> None:
    with standing(world(guest(100), guest(101), guest(102))) as lab:
        plan = planned(lab)
        outcomes = act.carry_out(plan, lab.client, lab.clock, wait=False, stages=staged(plan, (102,), (100, 101)), parallel=1, at_once=1)
        assert set(statuses(outcomes).values()) == {STARTED}
        assert order(lab) == [102, 100, 101]


@pytest.mark.slow
def test_ctrl_c_in_one_stage_leaves_the_next_unasked() -> None:
    with standing(world(guest(100, shutdown_s=100), guest(101))) as lab:
        plan = planned(lab)

        def pressed(_naps: int) -> None:
            raise KeyboardInterrupt

        lab.clock.before_sleep = pressed
        outcomes = act.carry_out(plan, lab.client, lab.clock, stages=staged(plan, (100,), (101,)))
        assert statuses(outcomes) == {100: STARTED, 101: SKIPPED}
        assert act.interrupted(outcomes)
        assert order(lab) == [100]


def test_stages_that_are_not_the_plan_are_refused_before_anything_is_sent() -> None:
    with standing(world(guest(100), guest(101))) as lab:
        plan = planned(lab)
        for stages in (staged(plan, (100,)), staged(plan, (100, 101), (100,))):
            with pytest.raises(ValueError, match="each of them once"):
                act.carry_out(plan, lab.client, lab.clock, stages=stages)
        assert lab.wrote() == []


def test_no_more_guests_shut_down_at_a_time_than_told() -> None:
    with standing(world(*(guest(vmid) for vmid in range(100, 107)))) as lab:
        most: list[int] = []
        lab.clock.before_sleep = lambda _: most.append(len(lab.cluster.tasks(running=True)))
        outcomes = act.carry_out(planned(lab), lab.client, lab.clock, at_once=3, parallel=2)
        assert set(statuses(outcomes).values()) == {DONE}
        assert max(most) == 3


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [8, 20])
def test_two_hundred_guests_go_down_about_as_fast_as_can_be_and_waiting_costs_requests_by_the_look_alone(at_once: int) -> None:
    with standing(world(*(guest(vmid, shutdown_s=10) for vmid in range(100, 300)))) as lab:
        plan = planned(lab)
        lab.server.clear()
        began = lab.clock.boottime()
        outcomes = act.carry_out(plan, lab.client, lab.clock, at_once=at_once)
        took = lab.clock.boottime() - began
        ideal = math.ceil(200 / at_once) * 10
        assert set(statuses(outcomes).values()) == {DONE}
        assert took <= 1.15 * ideal
        looks = len(lab.clock.naps)
        # which cluster it is; for each guest its last look, its request and the end of its task; for each look three lists
        assert len(lab.asked()) == 1 + 200 * 3 + looks * 3


@pytest.mark.slow
def test_a_container_is_waited_for_as_long_as_its_failed_shutdown_takes() -> None:
    with standing(world(guest(100, type="lxc", acpi=False))) as lab:
        (outcome,) = act.carry_out(planned(lab, timeout=20), lab.client, lab.clock)
        assert (outcome.status, outcome.error) == (TIMED_OUT, "container did not stop")
        assert 2 * 20 + 5 <= (outcome.took or 0) <= 2 * 20 + 5 + 3
        assert isinstance(outcome.action, Shutdown)


def test_a_task_that_fails_at_once_is_told_at_once() -> None:
    with standing(world(guest(100), guest(101, shutdown_s=300))) as lab:
        plan = planned(lab, timeout=600)
        told: list[tuple[int, int]] = []
        ask = lab.client.shutdown

        def locked_just_now(one: Guest, **how: Any) -> Upid:
            if one.vmid == 100:
                lab.cluster.lock(100, "snapshot")
            return ask(one, **how)

        lab.client.shutdown = locked_just_now  # type: ignore[method-assign, assignment]

        def leave(outcome: Outcome) -> None:
            told.append((outcome.action.guest.vmid, len(lab.clock.naps)))
            raise KeyboardInterrupt

        outcomes = act.carry_out(plan, lab.client, lab.clock, progress=lambda one: leave(one) if not told else None)
        assert told == [(100, 1)]
        assert statuses(outcomes) == {100: OutcomeStatus.FAILED, 101: STARTED}
