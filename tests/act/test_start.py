from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pvectl import act, observe
from pvectl.core import start
from pvectl.core.model import Guest
from pvectl.core.plan import Outcome, OutcomeStatus, Start
from tests.act.drains import guest, standing, world
from tests.support.labs import Lab

DONE, SKIPPED, FAILED, TIMED_OUT = OutcomeStatus.DONE, OutcomeStatus.SKIPPED, OutcomeStatus.FAILED, OutcomeStatus.TIMED_OUT


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.pve.transport.PAUSE_S", 0.0001)


def stopped(vmid: int = 100, **manners: Any) -> dict[str, Any]:
    return guest(vmid, **{"status": "stopped", "start_s": 4, **manners})


def started(lab: Lab, change: Callable[[Lab], object] = lambda _: None, timeout: int = 60) -> dict[int, Outcome]:
    plan = start.plan(observe.look(lab.client, lab.clock).guests, timeout=timeout, now=lab.clock.now())
    change(lab)
    return {outcome.action.guest.vmid: outcome for outcome in act.carry_out(plan, lab.client, lab.clock)}


@pytest.mark.parametrize("version", ["8.4", "9.2"])
def test_s20_guests_are_done_when_they_are_seen_running(version: str) -> None:
    with standing(world(stopped(), stopped(101, type="lxc"), guest(102), version=version)) as lab:
        outcomes = started(lab)
        assert {vmid: (one.status, one.error, one.hint) for vmid, one in outcomes.items()} == {
            100: (DONE, None, None),
            101: (DONE, None, None),
        }
        assert sorted(lab.wrote()) == ["POST /nodes/pve2/lxc/101/status/start", "POST /nodes/pve2/qemu/100/status/start"]
        assert all((one.took or 0) >= 4 for one in outcomes.values())


def test_a_start_with_warnings_is_a_success_and_says_so() -> None:
    with standing(world(stopped(start_warnings=("no cloud-init disk",)))) as lab:
        outcome = started(lab)[100]
        assert (outcome.status, outcome.hint) == (DONE, "Proxmox VE gave 1 warning: they are in the task's log")


def test_a_start_that_fails_has_pves_own_words() -> None:
    with standing(world(stopped(start_error="bridge 'vmbr9' does not exist"))) as lab:
        outcome = started(lab)[100]
        assert (outcome.status, outcome.error) == (FAILED, "bridge 'vmbr9' does not exist")


def test_through_the_ha_manager_the_guest_is_waited_for_and_not_the_task() -> None:
    with standing(world(stopped(ha={"state": "stopped"}))) as lab:
        outcome = started(lab)[100]
        assert outcome.status is DONE
        assert "hastart" in (outcome.upid or "")
        assert (outcome.took or 0) > 15
        assert lab.cluster.guest(100).status == "running"


@pytest.mark.slow
def test_a_guest_the_ha_manager_does_not_start_has_timed_out() -> None:
    with standing(world(stopped(ha={"state": "stopped"}), ha={"manager": False})) as lab:
        outcome = started(lab, timeout=10)[100]
        assert outcome.status is TIMED_OUT
        assert "its task ended well, but after" in (outcome.error or "")
        assert outcome.hint == "it may still come up; look at the task's log, or give it more time"


def test_without_quorum_nothing_starts() -> None:
    with standing(world(stopped())) as lab:
        outcome = started(lab, lambda lab: lab.cluster.lose_quorum())[100]
        assert outcome.status is FAILED
        assert "no quorum" in (outcome.error or "")
        assert outcome.hint


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda lab: lab.cluster.start(100), "already-running"),
        (lambda lab: lab.cluster.lock(100, "backup"), "locked"),
        (lambda lab: (lab.cluster.start(100), lab.cluster.set_guest_status(100, "paused")), "paused"),
    ],
)
def test_s03_a_guest_that_is_no_longer_as_planned_is_left_alone(change: Callable[[Lab], object], kind: str) -> None:
    with standing(world(stopped())) as lab:
        outcome = started(lab, change)[100]
        assert (outcome.status, outcome.kind) == (SKIPPED, kind)
        assert lab.wrote() == []


@pytest.mark.parametrize("type_", ["qemu", "lxc"])
def test_a_guest_that_somebody_started_at_the_very_last_moment_runs_and_is_no_failure(type_: str) -> None:
    with standing(world(stopped(type=type_))) as lab:
        ask = lab.client.start

        def started_just_now(one: Guest) -> Any:
            lab.cluster.start(100)
            return ask(one)

        lab.client.start = started_just_now  # type: ignore[method-assign, assignment]
        outcome = started(lab)[100]
        assert (outcome.status, outcome.kind) == (SKIPPED, "already-running")
        assert outcome.error == "it was started just before it was its turn"


def test_a_vm_that_was_suspended_to_disk_is_resumed_by_its_start() -> None:
    with standing(world(stopped(lock="suspended"))) as lab:
        assert started(lab)[100].status is DONE


@pytest.mark.slow
def test_a_slow_start_times_out_and_goes_on() -> None:
    with standing(world(stopped(start_s=500))) as lab:
        outcome = started(lab, timeout=20)[100]
        assert outcome.status is TIMED_OUT
        assert "still starting after" in (outcome.error or "")
        assert isinstance(outcome.action, Start)
        assert lab.cluster.tasks(type="qmstart", running=True)
