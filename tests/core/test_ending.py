from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from pvectl.core import ending
from pvectl.core.model import Unknown
from pvectl.core.plan import Outcome, OutcomeStatus, Shutdown, Start
from tests.core.guests import guest


class Task(Struct, frozen=True):
    running: bool = False
    exitstatus: str | None = None

    @property
    def ok(self) -> bool:
        return self.exitstatus is not None and (self.exitstatus == "OK" or self.exitstatus.startswith("WARNINGS: "))


RUNNING = Task(running=True)
OK = Task(exitstatus="OK")
UNREAD = Unknown(reason="node pve1 did not answer")


def action(**known: Any) -> Shutdown:
    return Shutdown(guest=guest(**known), timeout=60)


def came_of(*, waited: float, status: str | Unknown | None, task: Task | Unknown) -> Outcome | None:
    return ending.outcome(action(), upid="UPID:x", waited=waited, status=status, task=task)


@pytest.mark.parametrize(
    ("kind", "force_stop", "allowed"),
    [("qemu", False, 60 + 3 + 15), ("qemu", True, 60 + 3 + 10 + 15), ("lxc", False, 125 + 15), ("lxc", True, 125 + 10 + 15)],
)
def test_a_guest_is_given_what_pve_spends_on_it_and_a_margin(kind: str, force_stop: bool, allowed: int) -> None:
    asked = Shutdown(guest=guest(type=kind), timeout=60, force_stop=force_stop)
    assert ending.allowance(asked) == allowed <= ending.longest_allowance(60)


def test_s20_done_is_a_task_that_ended_well_and_a_guest_seen_stopped() -> None:
    assert came_of(waited=5, status="stopped", task=OK) == Outcome(action=action(), status=OutcomeStatus.DONE, upid="UPID:x", took=5)


@pytest.mark.parametrize(
    ("status", "task"),
    [
        ("running", OK),
        ("paused", OK),
        (None, OK),
        (UNREAD, OK),
        ("stopped", RUNNING),
        ("running", RUNNING),
        ("stopped", UNREAD),
        (None, UNREAD),
    ],
)
def test_s20_anything_less_is_waited_for(status: str | Unknown | None, task: Task | Unknown) -> None:
    assert came_of(waited=77.9, status=status, task=task) is None


@pytest.mark.parametrize(
    ("status", "task", "expected", "error"),
    [
        ("running", OK, OutcomeStatus.TIMED_OUT, "its task ended well, but after 1m 18s the guest is still running"),
        (None, OK, OutcomeStatus.UNKNOWN, "its task ended well, but node pve1 no longer has it: was it moved?"),
        (UNREAD, OK, OutcomeStatus.UNKNOWN, "its task ended well, but whether it is off could not be read: node pve1 did not answer"),
        ("stopped", RUNNING, OutcomeStatus.TIMED_OUT, "still shutting down after 1m 18s: its task goes on, and nobody waits for it"),
        ("stopped", UNREAD, OutcomeStatus.UNKNOWN, "its task could not be read: node pve1 did not answer"),
    ],
)
def test_when_its_time_is_over_it_is_said_what_is_known(
    status: str | Unknown | None, task: Task | Unknown, expected: OutcomeStatus, error: str
) -> None:
    outcome = came_of(waited=78, status=status, task=task)
    assert outcome is not None
    assert (outcome.status, outcome.error, outcome.took, outcome.upid) == (expected, error, 78, "UPID:x")
    assert outcome.hint


@pytest.mark.parametrize(
    ("exitstatus", "expected"),
    [
        ("VM quit/powerdown failed - got timeout", OutcomeStatus.TIMED_OUT),
        ("container did not stop", OutcomeStatus.TIMED_OUT),
        ("VM is locked (backup)", OutcomeStatus.FAILED),
        ("can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout", OutcomeStatus.FAILED),
        ("unable to find configuration file for VM 300 on node 'pve1'", OutcomeStatus.FAILED),
        ("received interrupt", OutcomeStatus.FAILED),
        (None, OutcomeStatus.FAILED),
    ],
)
def test_a_failed_task_ends_the_waiting_at_once_in_pves_own_words(exitstatus: str | None, expected: OutcomeStatus) -> None:
    outcome = came_of(waited=1, status="running", task=Task(exitstatus=exitstatus))
    assert outcome is not None
    assert (outcome.status, outcome.error) == (expected, exitstatus or "its task ended without a word")
    assert (outcome.hint is not None) is (exitstatus is not None and "interrupt" not in exitstatus)


def test_s20_a_guest_that_stops_after_its_task_failed_is_not_done_but_it_is_said() -> None:
    outcome = came_of(waited=1, status="stopped", task=Task(exitstatus="received interrupt"))
    assert outcome is not None
    assert (outcome.status, outcome.error) == (OutcomeStatus.FAILED, "received interrupt; it is seen stopped all the same")


def test_a_guest_that_nobody_can_wait_for_any_longer_has_timed_out() -> None:
    outcome = ending.given_up(action(), upid="UPID:x", waited=9, why="no answer within the 9 s this run may take")
    assert outcome.status is OutcomeStatus.TIMED_OUT
    assert outcome.error == "its task goes on, and nobody waits for it: no answer within the 9 s this run may take"
    assert outcome.hint == "it may still obey; --deadline gives the whole run more time"


@pytest.mark.parametrize(
    ("kind", "force_stop", "waited", "obeyed"),
    [("lxc", False, 500, True), ("lxc", True, 57.9, True), ("lxc", True, 58, False), ("qemu", False, 500, True), ("qemu", True, 1, False)],
)
def test_a_container_off_before_its_time_was_up_went_off_by_itself(kind: str, force_stop: bool, waited: float, obeyed: bool) -> None:
    assert ending.obeyed_in_time(Shutdown(guest=guest(type=kind), timeout=60, force_stop=force_stop), waited) is obeyed


@pytest.mark.parametrize(
    ("kind", "log", "forced"),
    [
        ("qemu", ["VM still running - terminating now with SIGTERM", "TASK OK"], True),
        ("qemu", ["VM still running - terminating now with SIGKILL", "TASK OK"], True),
        ("qemu", ["TASK OK"], False),
        ("qemu", None, None),
        ("lxc", ["TASK OK"], None),
    ],
)
def test_s19_that_the_plug_was_pulled_is_what_the_log_says_and_unknown_where_it_says_nothing(
    kind: str, log: list[str] | None, forced: bool | None
) -> None:
    assert ending.stopped_by_force(action(type=kind), log) is forced


statuses = st.sampled_from(["running", "stopped", "paused", None, UNREAD])
tasks = st.sampled_from([RUNNING, OK, UNREAD, Task(exitstatus="unexpected status"), Task(exitstatus="container did not stop")])


@given(st.floats(0, 500), statuses, tasks)
def test_s20_nothing_is_called_done_unless_it_is_and_nothing_waits_for_ever(
    waited: float, status: str | Unknown | None, task: Task | Unknown
) -> None:
    outcome = came_of(waited=waited, status=status, task=task)
    done = outcome is not None and outcome.status is OutcomeStatus.DONE
    assert done is (task is OK and status == "stopped")
    if waited >= ending.allowance(action()):
        assert outcome is not None


@given(st.integers(1, 7200), st.sampled_from(["qemu", "lxc"]), st.booleans())
def test_no_guest_is_allowed_more_than_the_longest_allowance(timeout: int, kind: str, force_stop: bool) -> None:
    asked = Shutdown(guest=guest(type=kind), timeout=timeout, force_stop=force_stop)
    assert timeout < ending.allowance(asked) <= ending.longest_allowance(timeout)


def to_start(**known: Any) -> Start:
    return Start(guest=guest(**known), timeout=60)


def start_came_to(*, waited: float, status: str | Unknown | None, task: Task | Unknown) -> Outcome | None:
    return ending.outcome(to_start(), upid="UPID:x", waited=waited, status=status, task=task)


@pytest.mark.parametrize(
    ("action", "allowed"),
    [
        (to_start(), 60 + 15),
        (to_start(hastate="stopped"), 60 + 60 + 15),
        (Shutdown(guest=guest(), timeout=60, through_ha=True), 60 + 3 + 10 + 60 + 15),
        (Shutdown(guest=guest(type="lxc"), timeout=60, through_ha=True, force_stop=True), 2 * 60 + 5 + 10 + 60 + 15),
    ],
)
def test_the_ha_manager_is_given_its_rounds_and_a_start_what_was_asked_for(action: Shutdown | Start, allowed: int) -> None:
    assert ending.allowance(action) == allowed <= ending.longest_allowance(60)


@pytest.mark.parametrize(
    ("waited", "status", "task", "came_to"),
    [
        (5, "running", OK, (OutcomeStatus.DONE, None, None)),
        (5, "running", Task(exitstatus="WARNINGS: 1"), (OutcomeStatus.DONE, None, "Proxmox VE gave 1 warning: they are in the task's log")),
        (
            5,
            "running",
            Task(exitstatus="WARNINGS: 3"),
            (OutcomeStatus.DONE, None, "Proxmox VE gave 3 warnings: they are in the task's log"),
        ),
        (
            80,
            "running",
            RUNNING,
            (
                OutcomeStatus.TIMED_OUT,
                "still starting after 1m 20s: its task goes on, and nobody waits for it",
                "it may still come up; look at the task's log, or give it more time",
            ),
        ),
        (
            80,
            UNREAD,
            OK,
            (
                OutcomeStatus.UNKNOWN,
                "its task ended well, but whether it runs could not be read: node pve1 did not answer",
                "look at the guest and at the node's task log before trying again",
            ),
        ),
        (
            5,
            "running",
            Task(exitstatus="VM 100 already running"),
            (OutcomeStatus.SKIPPED, "it was started just before it was its turn", None),
        ),
        (5, "stopped", Task(exitstatus="VM 100 already running"), (OutcomeStatus.FAILED, "VM 100 already running", None)),
        (
            5,
            "running",
            Task(exitstatus="unexpected status"),
            (OutcomeStatus.FAILED, "unexpected status; it is seen running all the same", None),
        ),
    ],
)
def test_s20_a_start_is_done_when_its_task_ended_well_and_the_guest_is_seen_running(
    waited: float, status: str | Unknown, task: Task, came_to: tuple[object, ...]
) -> None:
    outcome = start_came_to(waited=waited, status=status, task=task)
    assert outcome is not None
    assert (outcome.status, outcome.error, outcome.hint) == came_to


def test_a_start_that_nobody_can_wait_for_any_longer_may_still_come_up() -> None:
    outcome = ending.given_up(to_start(), upid="UPID:x", waited=9, why="it took too long")
    assert outcome.hint == "it may still come up; --deadline gives the whole run more time"


@pytest.mark.parametrize("status", list(OutcomeStatus))
def test_a_guest_that_did_not_obey_in_time_may_obey_later_and_nobody_else_need_have_wanted_that(status: OutcomeStatus) -> None:
    open_ended = status in (OutcomeStatus.TIMED_OUT, OutcomeStatus.UNKNOWN, OutcomeStatus.STARTED)
    assert ending.may_still_obey(Outcome(action=action(), status=status)) is open_ended
    assert not ending.may_still_obey(Outcome(action=to_start(), status=status))
