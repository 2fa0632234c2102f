from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from pvectl import act, observe
from pvectl.act.guests import Doorway, begin
from pvectl.act.ledger import Ledger
from pvectl.core import ending, shutdown
from pvectl.core.model import Guest
from pvectl.core.plan import Outcome, OutcomeStatus, Plan, Shutdown
from pvectl.errors import WriteForbidden
from tests.support.labs import Lab, lab


def qemu(vmid: int = 100, **manners: Any) -> dict[str, Any]:
    return {"vmid": vmid, "type": "qemu", "node": "pve1", "name": f"vm{vmid}", "status": "running", "shutdown_s": 5, **manners}


def lxc(vmid: int = 200, **manners: Any) -> dict[str, Any]:
    return qemu(vmid, type="lxc", name=f"ct{vmid}", **manners)


def world(*guests: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"nodes": {"pve1": {}, "pve2": {}}, "guests": list(guests), **more}


def planned(one: Lab, *, timeout: int = 60, force_stop: bool = False) -> Plan:
    guests = observe.look(one.client, one.clock).guests
    return shutdown.plan(guests, timeout=timeout, force_stop=force_stop, now=one.clock.now())


def carried_out(one: Lab, plan: Plan | None = None, **how: Any) -> dict[int, Outcome]:
    plan = plan or planned(one)
    told: list[Outcome] = []
    outcomes = act.carry_out(plan, one.client, one.clock, progress=told.append, **how)
    assert [outcome.action for outcome in outcomes] == list(plan.actions)
    assert sorted(told, key=lambda outcome: outcome.action.guest.vmid) == sorted(outcomes, key=lambda outcome: outcome.action.guest.vmid)
    return {outcome.action.guest.vmid: outcome for outcome in outcomes}


def result(outcome: Outcome) -> tuple[OutcomeStatus, str | None]:
    return outcome.status, outcome.error


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.pve.transport.PAUSE_S", 0.001)


@pytest.mark.parametrize("version", ["8.4", "9.2"])
def test_s20_guests_are_done_when_they_are_seen_stopped(version: str) -> None:
    with lab(world(qemu(), qemu(101, node="pve2"), lxc(), lxc(201, status="stopped"), version=version)) as one:
        outcomes = carried_out(one)
        assert {vmid: result(outcome) for vmid, outcome in outcomes.items()} == {
            100: (OutcomeStatus.DONE, None),
            101: (OutcomeStatus.DONE, None),
            200: (OutcomeStatus.DONE, None),
        }
        assert all((outcome.took or 0) >= 5 for outcome in outcomes.values())
        assert all((outcome.upid or "").startswith("UPID:pve") for outcome in outcomes.values())
        assert {one.cluster.guest(vmid).status for vmid in (100, 101, 200)} == {"stopped"}
        assert sorted(one.wrote()) == [
            "POST /nodes/pve1/lxc/200/status/shutdown",
            "POST /nodes/pve1/qemu/100/status/shutdown",
            "POST /nodes/pve2/qemu/101/status/shutdown",
        ]


def test_s19_a_shutdown_asks_and_carries_its_timeout_and_never_forces_unless_told() -> None:
    with lab(world(qemu(), lxc())) as one:
        carried_out(one, planned(one, timeout=77))
        assert [dict(record.params) for record in one.server.writes()] == [{"timeout": "77"}, {"timeout": "77"}]
    with lab(world(qemu())) as one:
        carried_out(one, planned(one, timeout=77, force_stop=True))
        assert [dict(record.params) for record in one.server.writes()] == [{"timeout": "77", "forceStop": "1"}]


def test_s03_each_guest_is_looked_at_right_before_it_is_asked() -> None:
    with lab(world(qemu(), lxc())) as one:
        plan = planned(one)
        one.server.clear()
        carried_out(one, plan, parallel=1)
        assert one.asked()[:4] == [
            "GET /nodes/pve1/qemu/100/status/current",
            "POST /nodes/pve1/qemu/100/status/shutdown",
            "GET /nodes/pve1/lxc/200/status/current",
            "POST /nodes/pve1/lxc/200/status/shutdown",
        ]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda one: one.cluster.stop_guest(100), "it is stopped already"),
        (
            lambda one: one.cluster.set_guest_status(100, "paused"),
            "it is paused, and Proxmox VE does not shut a paused guest down: resume it first",
        ),
        (
            lambda one: one.cluster.lock(100, "backup"),
            "it is locked (backup): other work is going on with it, try again when that has ended",
        ),
    ],
    ids=["stopped", "paused", "locked"],
)
def test_s03_a_guest_that_is_no_longer_as_planned_is_skipped_and_the_others_are_not(change: Callable[[Lab], None], why: str) -> None:
    with lab(world(qemu(), lxc())) as one:
        plan = planned(one)
        change(one)
        outcomes = carried_out(one, plan)
        assert result(outcomes[100]) == (OutcomeStatus.SKIPPED, why)
        assert result(outcomes[200]) == (OutcomeStatus.DONE, None)
        assert one.wrote() == ["POST /nodes/pve1/lxc/200/status/shutdown"]


@pytest.mark.parametrize(
    "change", [lambda one: one.cluster.move(100, "pve2"), lambda one: one.cluster.remove_guest(100)], ids=["moved", "removed"]
)
def test_s03_a_guest_that_is_no_longer_where_it_was_is_not_asked_and_that_is_no_success(change: Callable[[Lab], None]) -> None:
    with lab(world(qemu(), lxc())) as one:
        plan = planned(one)
        change(one)
        outcomes = carried_out(one, plan)
        assert outcomes[100].status is OutcomeStatus.FAILED
        assert outcomes[100].error == "it is no longer on node pve1: it was moved or removed in the meantime"
        assert outcomes[100].hint == "nothing was done to it; pvectl vm list shows where it is"
        assert result(outcomes[200]) == (OutcomeStatus.DONE, None)
        assert one.wrote() == ["POST /nodes/pve1/lxc/200/status/shutdown"]


def test_s20_a_guest_that_came_under_ha_meanwhile_is_skipped() -> None:
    with lab(world(qemu(ha={"state": "started"}))) as one:
        guest = Guest(vmid=100, type="qemu", node="pve1", status="running", template=False)
        plan = shutdown.plan([guest], timeout=60, now=one.clock.now())
        outcome = carried_out(one, plan)[100]
        assert outcome.status is OutcomeStatus.SKIPPED
        assert "the HA manager runs it (state managed)" in (outcome.error or "")
        assert one.wrote() == []


def test_s20_a_queued_ha_stop_is_not_done_before_the_guest_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    # as when ha: request-stop has planned it in spite of HA
    monkeypatch.setattr("pvectl.core.shutdown._HA_IGNORED", "started")
    with lab(world(qemu(ha={"state": "started"}, shutdown_s=20))) as one:
        outcome = carried_out(one)[100]
        assert result(outcome) == (OutcomeStatus.DONE, None)
        assert outcome.forced is None
        assert "hastop" in (outcome.upid or "")
        assert (outcome.took or 0) >= 20


def test_a_guest_that_ignores_acpi_times_out_in_pves_words_and_goes_on_running() -> None:
    with lab(world(qemu(acpi=False), lxc(acpi=False))) as one:
        outcomes = carried_out(one, planned(one, timeout=10))
        assert result(outcomes[100]) == (OutcomeStatus.TIMED_OUT, "VM quit/powerdown failed - got timeout")
        assert result(outcomes[200]) == (OutcomeStatus.TIMED_OUT, "container did not stop")
        assert outcomes[100].hint
        assert one.cluster.guest(100).status == "running"


@pytest.mark.slow
def test_s19_force_is_told_from_obedience() -> None:
    with lab(world(qemu(acpi=False), qemu(101), lxc(200), qemu(102, shutdown_s=119))) as one:
        outcomes = carried_out(one, planned(one, timeout=120, force_stop=True))
        assert {outcome.status for outcome in outcomes.values()} == {OutcomeStatus.DONE}
        assert {vmid: outcome.forced for vmid, outcome in outcomes.items()} == {100: True, 101: False, 102: False, 200: False}
        assert {vmid: outcome.hint for vmid, outcome in outcomes.items() if outcome.hint} == {
            100: "it did not shut down within 2m and was stopped by force"
        }


def test_s19_of_a_container_that_used_up_its_time_nobody_can_tell() -> None:
    with lab(world(lxc(acpi=False))) as one:
        outcome = carried_out(one, planned(one, timeout=10, force_stop=True))[200]
        assert (outcome.status, outcome.forced) == (OutcomeStatus.DONE, None)
        assert outcome.hint == "it took its 10s and is off, but whether by force Proxmox VE does not tell"


def test_s19_without_force_nobody_is_stopped_by_force() -> None:
    with lab(world(qemu(), qemu(101, acpi=False))) as one:
        outcomes = carried_out(one, planned(one, timeout=10))
        assert (outcomes[100].status, outcomes[100].forced) == (OutcomeStatus.DONE, False)
        assert (outcomes[101].status, outcomes[101].forced) == (OutcomeStatus.TIMED_OUT, None)


def test_that_force_was_used_may_stay_untold_when_the_log_cannot_be_read() -> None:
    with lab(world(qemu(acpi=False))) as one:
        one.server.fault("status", path="*/log", code=500, reason="no")
        outcome = carried_out(one, planned(one, timeout=10, force_stop=True))[100]
        assert (outcome.status, outcome.forced) == (OutcomeStatus.DONE, None)
        assert outcome.hint == "it took its 10s and is off, but whether by force Proxmox VE does not tell"


def test_a_lock_that_comes_after_the_request_fails_it_in_pves_words() -> None:
    with lab(world(lxc(), qemu())) as one:
        original = one.client.shutdown

        def locked_just_now(guest: Guest, **how: Any) -> Any:
            one.cluster.lock(guest.vmid, "snapshot")
            return original(guest, **how)

        one.client.shutdown = locked_just_now  # type: ignore[method-assign]
        outcomes = carried_out(one)
        assert result(outcomes[200]) == (OutcomeStatus.FAILED, "CT is locked (snapshot)")
        assert result(outcomes[100]) == (OutcomeStatus.FAILED, "VM is locked (snapshot)")
        assert outcomes[100].hint == "other work is going on with the guest: try again when that has ended"


@pytest.mark.parametrize(
    ("guest", "change", "status", "words"),
    [
        (lxc(200), lambda one: one.cluster.stop_guest(200), OutcomeStatus.SKIPPED, "it stopped by itself just before it was its turn"),
        (lxc(200), lambda one: one.cluster.move(200, "pve2"), OutcomeStatus.FAILED, "it is no longer on node pve1"),
        (qemu(200), lambda one: one.cluster.set_guest_status(200, "paused"), OutcomeStatus.FAILED, "VM is paused - cannot shutdown"),
        (qemu(200), lambda one: one.cluster.move(200, "pve2"), OutcomeStatus.FAILED, "unable to find configuration file for VM 200"),
        (qemu(200), lambda one: one.cluster.stop_guest(200), OutcomeStatus.DONE, ""),
    ],
    ids=["container stopped", "container moved", "vm paused", "vm moved", "vm stopped"],
)
def test_a_guest_that_changes_at_the_very_last_moment_is_told_truthfully(
    guest: dict[str, Any], change: Callable[[Lab], None], status: OutcomeStatus, words: str
) -> None:
    with lab(world(guest)) as one:
        original = one.client.shutdown

        def changed_just_now(asked: Guest, **how: Any) -> Any:
            change(one)
            return original(asked, **how)

        one.client.shutdown = changed_just_now  # type: ignore[method-assign, assignment]
        (outcome,) = carried_out(one).values()
        assert outcome.status is status
        assert words in (outcome.error or "")
        if one.cluster.guest(200).node == "pve2":
            assert "nothing was done to it; pvectl vm list shows where it is" in (outcome.hint or "")


def test_a_token_without_vm_powermgmt_fails_with_the_privilege_it_lacks() -> None:
    tokens = {"mon@pve!ro": {"secret": "5eb1d2c4-0000-4000-8000-00000000a11e", "privsep": 0}}
    acl = [{"path": "/", "type": "user", "ugid": "mon@pve", "roleid": "PVEAuditor", "propagate": 1}]
    with lab(world(qemu(), users={"mon@pve": {"enable": 1}}, tokens=tokens, acl=acl)) as one:
        outcome = carried_out(one)[100]
        assert outcome.status is OutcomeStatus.FAILED
        assert "VM.PowerMgmt" in (outcome.error or "")
        assert outcome.hint


def test_s24_a_request_whose_answer_is_lost_has_an_unknown_outcome_and_is_not_sent_again() -> None:
    with lab(world(qemu(), qemu(101))) as one:
        one.server.fault("reset", method="POST", path="/nodes/pve1/qemu/100/*", after=0)
        outcomes = carried_out(one)
        assert outcomes[100].status is OutcomeStatus.UNKNOWN
        assert "may or may not have happened" in (outcomes[100].error or "")
        assert outcomes[101].status is OutcomeStatus.DONE
        assert one.wrote().count("POST /nodes/pve1/qemu/100/status/shutdown") == 1


def test_s02_a_guest_that_cannot_be_looked_at_again_is_not_asked() -> None:
    with lab(world(qemu(), qemu(101))) as one:
        one.server.fault("status", path="*/100/status/current", code=500, reason="got no timeout")
        outcomes = carried_out(one)
        assert outcomes[100].status is OutcomeStatus.FAILED
        assert one.wrote() == ["POST /nodes/pve1/qemu/101/status/shutdown"]


def test_without_waiting_the_requests_are_sent_and_said_to_be_under_way() -> None:
    with lab(world(qemu(), lxc())) as one:
        outcomes = carried_out(one, wait=False)
        assert {outcome.status for outcome in outcomes.values()} == {OutcomeStatus.STARTED}
        assert all(outcome.upid and outcome.error is None for outcome in outcomes.values())
        assert not act.interrupted(tuple(outcomes.values()))
        assert one.clock.naps == []


def test_s18_a_dry_run_asks_nothing_at_all() -> None:
    with lab(world(qemu(), lxc()), read_only=True) as one:
        plan = planned(one)
        one.server.clear()
        outcomes = carried_out(one, plan, dry_run=True)
        assert {outcome.status for outcome in outcomes.values()} == {OutcomeStatus.DRY_RUN}
        assert one.asked() == []


def test_s18_over_a_connection_that_may_only_read_nothing_is_sent() -> None:
    with lab(world(qemu(), lxc()), read_only=True) as one:
        with pytest.raises(WriteForbidden):
            carried_out(one)
        assert one.wrote() == []


def test_a_plan_without_actions_has_no_outcomes_and_asks_nothing() -> None:
    with lab(world(qemu(status="stopped"))) as one:
        plan = planned(one)
        one.server.clear()
        assert carried_out(one, plan) == {}
        assert one.asked() == []


def test_a_list_that_cannot_be_read_for_a_while_is_read_later() -> None:
    with lab(world(qemu())) as one:
        one.server.fault("status", path="/nodes/pve1/qemu", code=500, reason="busy", times=2)
        one.server.fault("status", path="*/tasks/*", code=500, reason="busy", times=2)
        assert result(carried_out(one)[100]) == (OutcomeStatus.DONE, None)


def test_a_node_that_falls_silent_leaves_the_outcome_unknown_within_the_time() -> None:
    with lab(world(qemu(shutdown_s=500))) as one:
        one.clock.before_sleep = lambda naps: one.server.fault("status", path="/nodes/pve1/*", code=595) if naps == 1 else None
        outcome = carried_out(one, planned(one, timeout=10))[100]
        assert outcome.status is OutcomeStatus.UNKNOWN
        assert "its task could not be read: node pve1 cannot be reached" in (outcome.error or "")


def test_a_guest_that_moves_away_while_it_shuts_down_is_not_called_done() -> None:
    with lab(world(qemu(shutdown_s=3))) as one:
        upids: list[str] = []

        def moved(naps: int) -> None:
            if naps == 1:
                upids.extend(task.upid for task in one.cluster.tasks(running=True))
                one.cluster.end_task(upids[0], "OK")
                one.cluster.move(100, "pve2")

        one.clock.before_sleep = moved
        outcome = carried_out(one, planned(one, timeout=5))[100]
        assert result(outcome) == (OutcomeStatus.UNKNOWN, "its task ended well, but node pve1 no longer has it: was it moved?")


def test_s20_a_task_that_ends_well_while_the_guest_runs_on_is_not_done() -> None:
    with lab(world(qemu(acpi=False))) as one:
        one.clock.before_sleep = lambda naps: one.cluster.end_task(one.cluster.tasks()[-1].upid, "OK") if naps == 1 else None
        outcome = carried_out(one, planned(one, timeout=20))[100]
        assert outcome.status is OutcomeStatus.TIMED_OUT
        assert "its task ended well, but after" in (outcome.error or "")
        assert "the guest is still running" in (outcome.error or "")


def test_s29_the_runs_own_deadline_ends_the_waiting() -> None:
    with lab(world(qemu(shutdown_s=1000))) as one:
        one.clock.before_sleep = lambda naps: one.deadline.begin_again(0) if naps == 3 else None
        outcomes = carried_out(one, planned(one, timeout=900))
        assert outcomes[100].status is OutcomeStatus.TIMED_OUT
        assert "its task goes on, and nobody waits for it: no answer within the 0 s" in (outcomes[100].error or "")
        assert "--deadline gives the whole run more time" in (outcomes[100].hint or "")


def test_ctrl_c_while_waiting_says_what_is_under_way_and_leaves_it_alone() -> None:
    with lab(world(qemu(shutdown_s=100_000), lxc(shutdown_s=1))) as one:
        told: list[Outcome] = []

        def pressed(_naps: int) -> None:
            if told:
                raise KeyboardInterrupt

        one.clock.before_sleep = pressed
        plan = planned(one, timeout=100_000)
        outcomes = {outcome.action.guest.vmid: outcome for outcome in act.carry_out(plan, one.client, one.clock, progress=told.append)}
        assert result(outcomes[200]) == (OutcomeStatus.DONE, None)
        assert result(outcomes[100]) == (OutcomeStatus.STARTED, "interrupted: its task goes on, and nobody waits for it")
        assert act.interrupted(tuple(outcomes.values()))
        assert len(one.wrote()) == 2
        assert [task.upid for task in one.cluster.tasks(running=True)] == [outcomes[100].upid]


def test_ctrl_c_while_asking_leaves_the_rest_unasked() -> None:
    with lab(world(*(qemu(vmid) for vmid in range(100, 110)))) as one:
        plan = planned(one)
        one.cluster.lock(100, "backup")

        def pressed(_: Outcome) -> None:
            one_told.append(_)
            if len(one_told) == 1:
                raise KeyboardInterrupt

        one_told: list[Outcome] = []
        outcomes = act.carry_out(plan, one.client, one.clock, parallel=2, progress=pressed)
        assert [outcome.status.value for outcome in outcomes] == ["skipped", "started", *["skipped"] * 8]
        assert {outcome.error for outcome in outcomes[2:]} == {"interrupted before it was its turn: nothing was changed"}
        assert one.wrote() == ["POST /nodes/pve1/qemu/101/status/shutdown"]
        assert act.interrupted(outcomes)


def test_ctrl_c_in_the_middle_of_a_request_leaves_it_unknown() -> None:
    with lab(world(qemu())) as one:

        def pressed(_guest: Guest, **_how: Any) -> Any:
            raise KeyboardInterrupt

        one.client.shutdown = pressed  # type: ignore[method-assign, assignment]
        outcome = carried_out(one)[100]
        assert result(outcome) == (OutcomeStatus.UNKNOWN, "interrupted while the request was on its way: it may or may not have happened")


def test_after_ctrl_c_nothing_begins_that_was_still_in_line() -> None:
    with lab(world(qemu())) as one:
        ledger = Ledger(planned(one).actions)
        ledger.interrupt()
        one.server.clear()
        begin(ledger, 0, Doorway(client=one.client, clock=one.clock, retag=lambda *_: pytest.fail("nothing is to be tagged")))
        assert one.asked() == []
        assert [outcome.status for outcome in ledger.outcomes()] == [OutcomeStatus.SKIPPED]


def test_many_guests_shut_down_at_the_same_time_and_a_round_stays_a_handful_of_requests() -> None:
    with lab(world(*(qemu(vmid, shutdown_s=100_000, node=f"pve{1 + vmid % 2}") for vmid in range(100, 140)))) as one:
        plan = planned(one, timeout=7200)
        requests_in_round: list[int] = []
        tasks_asked: set[str] = set()

        def count(naps: int) -> None:
            tasks_asked.update(path for path in one.asked() if "/tasks" in path)
            requests_in_round.append(len(one.server.requests))
            one.server.clear()
            if naps > 11:
                raise KeyboardInterrupt

        one.clock.before_sleep = count
        outcomes = carried_out(one, plan, parallel=4)
        assert {outcome.status for outcome in outcomes.values()} == {OutcomeStatus.STARTED}
        # two lists of guests and one of tasks, of each of two nodes; no task is asked for that is on the list of those that run
        assert set(requests_in_round[1:]) == {2 * 3}
        assert tasks_asked == {"GET /nodes/pve1/tasks", "GET /nodes/pve2/tasks"}


def test_where_a_node_does_not_list_its_tasks_they_take_turns() -> None:
    with lab(world(*(qemu(vmid, shutdown_s=100_000) for vmid in range(100, 112)))) as one:
        one.server.fault("status", path="/nodes/pve1/tasks", code=500, reason="busy")
        tasks_asked: list[set[str]] = []

        def count(naps: int) -> None:
            tasks_asked.append({path for path in one.asked() if "/tasks/" in path})
            one.server.clear()
            if naps > 3:
                raise KeyboardInterrupt

        one.clock.before_sleep = count
        carried_out(one, planned(one, timeout=7200), parallel=4)
        assert [len(paths) for paths in tasks_asked[1:]] == [4, 4, 4]
        assert len(set.union(*tasks_asked[1:])) == 12


def test_a_guest_that_is_off_is_told_at_once_however_many_others_are_waited_for() -> None:
    slow = [qemu(vmid, shutdown_s=100_000) for vmid in range(100, 120)]
    with lab(world(*slow, qemu(120, shutdown_s=1))) as one:
        told: list[Outcome] = []

        def leave(outcome: Outcome) -> None:
            told.append(outcome)
            if len(told) == 1:
                raise KeyboardInterrupt

        outcomes = act.carry_out(planned(one, timeout=7200), one.client, one.clock, parallel=1, progress=leave)
        assert [outcome.status.value for outcome in outcomes] == ["started"] * 20 + ["done"]
        assert len(one.clock.naps) <= 4


def test_no_guest_is_waited_for_longer_than_is_said_beforehand() -> None:
    with lab(world(qemu(), lxc())) as one:
        for force_stop in (False, True):
            plan = planned(one, timeout=20, force_stop=force_stop)
            assert all(ending.allowance(action) <= act.longest_wait(20) for action in plan.actions if isinstance(action, Shutdown))


@pytest.mark.parametrize(("ago", "asked"), [(0.0, True), (60.0, True), (10_000_000.0, False)])
def test_s30_a_guest_that_began_after_it_was_looked_at_is_left_alone(ago: float, *, asked: bool) -> None:
    with lab(world(qemu(), lxc())) as one:
        outcomes = carried_out(one, running_since=one.clock.boottime() - ago)
        kinds = {outcome.status: outcome.kind for outcome in outcomes.values()}
        assert kinds == ({OutcomeStatus.DONE: None} if asked else {OutcomeStatus.SKIPPED: "restarted"})


def test_s30_a_guest_whose_start_is_not_known_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with lab(world(qemu())) as one:
        see = one.client.guest_now
        monkeypatch.setattr(one.client, "guest_now", lambda guest: replace(see(guest), uptime=None))
        outcomes = carried_out(one, running_since=one.clock.boottime())
        assert (outcomes[100].status, outcomes[100].kind) == (OutcomeStatus.SKIPPED, "start-unknown")
        assert carried_out(one)[100].status is OutcomeStatus.DONE
