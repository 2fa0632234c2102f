from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from pvectl import act, observe
from pvectl.core import shutdown, tagging
from pvectl.core.plan import Outcome, OutcomeStatus, Plan
from pvectl.core.tagging import Edit
from tests.support.labs import Lab, lab

RENAMED = "it is called payroll-db now, not scratch: nothing was changed"


def guest(name: str | None = "scratch", kind: str = "qemu", **manners: Any) -> dict[str, Any]:
    return {"vmid": 100, "type": kind, "node": "pve1", "name": name, "status": "running", "shutdown_s": 5, **manners}


def world(*guests: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"nodes": {"pve1": {}, "pve2": {}}, "guests": list(guests), **more}


def to_shut_down(one: Lab) -> Plan:
    return shutdown.plan(observe.look(one.client, one.clock).guests, timeout=60, now=one.clock.now())


def to_retag(one: Lab, edit: Edit) -> Plan:
    return tagging.plan(observe.look(one.client, one.clock).guests, edit, now=one.clock.now())


def only_outcome(one: Lab, plan: Plan, **how: Any) -> Outcome:
    (outcome,) = act.carry_out(plan, one.client, one.clock, **how)
    return outcome


def put_another_in_its_place(one: Lab, **manners: Any) -> None:
    one.cluster.remove_guest(100)
    one.cluster.add_guest(**guest(**manners))


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.pve.transport.PAUSE_S", 0.001)


@pytest.mark.parametrize("kind", ["qemu", "lxc"])
@pytest.mark.parametrize("status", ["running", "stopped"])
def test_s03_another_guest_with_the_same_vmid_is_not_shut_down_and_that_is_no_success(kind: str, status: str) -> None:
    with lab(world(guest(kind=kind))) as one:
        plan = to_shut_down(one)
        put_another_in_its_place(one, name="payroll-db", kind=kind, status=status)
        outcome = only_outcome(one, plan)
        assert (outcome.status, outcome.error) == (OutcomeStatus.FAILED, RENAMED)
        assert outcome.hint == "pvectl vm list shows which guest has that number"
        assert one.wrote() == []


@pytest.mark.parametrize("kind", ["qemu", "lxc"])
def test_s03_another_guest_with_the_same_vmid_keeps_its_tags(kind: str) -> None:
    with lab(world(guest(kind=kind, tags="a"))) as one:
        plan = to_retag(one, Edit(replace=True))
        put_another_in_its_place(one, name="payroll-db", kind=kind, tags="prod;keep")
        outcome = only_outcome(one, plan)
        assert (outcome.status, outcome.error) == (OutcomeStatus.FAILED, RENAMED)
        assert one.wrote() == []


@pytest.mark.parametrize("plan", [to_shut_down, lambda one: to_retag(one, Edit(add=("web",)))], ids=["shutdown", "tags"])
@pytest.mark.parametrize(("kind", "other"), [("qemu", "lxc"), ("lxc", "qemu")])
def test_s03_a_guest_of_the_other_kind_with_the_same_vmid_and_name_is_left_alone(
    plan: Callable[[Lab], Plan], kind: str, other: str
) -> None:
    with lab(world(guest(kind=kind))) as one:
        made = plan(one)
        put_another_in_its_place(one, kind=other)
        assert only_outcome(one, made).status is OutcomeStatus.FAILED
        assert one.wrote() == []


def test_s03_a_container_that_another_has_replaced_at_the_last_moment_has_not_stopped_by_itself() -> None:
    with lab(world(guest(kind="lxc"))) as one:
        plan = to_shut_down(one)
        original = one.client.shutdown

        def replaced_just_now(asked: Any, **how: Any) -> Any:
            put_another_in_its_place(one, name="payroll-db", kind="lxc", status="stopped")
            return original(asked, **how)

        one.client.shutdown = replaced_just_now  # type: ignore[method-assign, assignment]
        outcome = only_outcome(one, plan)
        assert outcome.status is OutcomeStatus.FAILED
        assert (outcome.error or "").endswith("CT 100 not running")


def test_s03_a_guest_that_another_replaces_between_two_attempts_keeps_its_tags() -> None:
    with lab(world(guest(tags="a"))) as one:
        plan = to_retag(one, Edit(add=("web",)))
        write = one.client.set_tags

        def replaced_just_now(asked: Any, **how: Any) -> None:
            put_another_in_its_place(one, name="payroll-db", tags="prod")
            write(asked, **how)

        one.client.set_tags = replaced_just_now  # type: ignore[method-assign, assignment]
        outcome = only_outcome(one, plan)
        assert (outcome.status, outcome.error) == (OutcomeStatus.FAILED, RENAMED)
        assert one.cluster.guest(100).tags == "prod"


@pytest.mark.parametrize("kind", ["qemu", "lxc"])
def test_a_guest_without_a_name_of_its_own_is_taken_for_itself(kind: str) -> None:
    with lab(world(guest(None, kind))) as one:
        assert only_outcome(one, to_retag(one, Edit(add=("web",)))).status is OutcomeStatus.DONE
        assert only_outcome(one, to_shut_down(one)).status is OutcomeStatus.DONE


def test_a_guest_whose_name_the_plan_does_not_know_is_taken_by_its_number() -> None:
    with lab(world(guest(tags="a"))) as one:
        (seen,) = observe.look(one.client, one.clock).guests
        nameless = replace(seen, name=None)
        retag = tagging.plan([nameless], Edit(add=("web",)), now=one.clock.now())
        assert only_outcome(one, retag).status is OutcomeStatus.DONE
        assert only_outcome(one, shutdown.plan([nameless], timeout=60, now=one.clock.now())).status is OutcomeStatus.DONE


@pytest.mark.parametrize("version", ["8.4", "9.2"])
def test_s20_a_guest_that_was_handed_back_to_the_ha_manager_meanwhile_is_skipped(version: str) -> None:
    with lab(world(guest(ha={"state": "ignored"}), version=version)) as one:
        (seen,) = observe.look(one.client, one.clock).guests
        plan = shutdown.plan([replace(seen, hastate="ignored")], timeout=60, now=one.clock.now())
        one.cluster.change_guest(100, ha={"state": "started"})
        outcome = only_outcome(one, plan)
        assert outcome.status is OutcomeStatus.SKIPPED
        assert "the HA manager runs it (state managed)" in (outcome.error or "")
        assert one.wrote() == []


def test_s20_a_guest_the_ha_manager_still_ignores_is_shut_down() -> None:
    with lab(world(guest(ha={"state": "ignored"}))) as one:
        (seen,) = observe.look(one.client, one.clock).guests
        plan = shutdown.plan([replace(seen, hastate="ignored")], timeout=60, now=one.clock.now())
        assert only_outcome(one, plan).status is OutcomeStatus.DONE


def test_tags_are_not_lost_when_the_line_turns_invalid_after_the_plan() -> None:
    with lab(world(guest(tags="prod;db"))) as one:
        plan = to_retag(one, Edit(add=("web",)))
        one.cluster.set_tags(100, "prod;db;-bad;keep")
        assert only_outcome(one, plan).status is OutcomeStatus.DONE
        assert one.cluster.guest(100).tags == "db;keep;prod;web"


def test_s02_a_guest_whose_tags_nobody_tells_is_not_taken_for_one_without_tags() -> None:
    with lab(world(guest(tags="-bad"))) as one:
        plan = to_retag(one, Edit(add=("web",)))
        one.client.guests = lambda: ()  # type: ignore[method-assign]
        outcome = only_outcome(one, plan)
        assert outcome.status is OutcomeStatus.FAILED
        assert "which tags it has could not be read" in (outcome.error or "")
        assert one.wrote() == []


@pytest.mark.parametrize("plan", [to_shut_down, lambda one: to_retag(one, Edit(add=("web",)))], ids=["shutdown", "tags"])
def test_s18_a_dry_run_asks_nothing_even_of_a_client_that_may_write(plan: Callable[[Lab], Plan]) -> None:
    with lab(world(guest(tags="a"))) as one:
        made = plan(one)
        one.server.clear()
        assert only_outcome(one, made, dry_run=True).status is OutcomeStatus.DRY_RUN
        assert one.asked() == []
        assert (one.cluster.guest(100).status, one.cluster.guest(100).tags) == ("running", "a")
