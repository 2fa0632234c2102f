from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from pvectl.core import ending
from pvectl.core.model import Unknown
from pvectl.core.plan import Outcome, OutcomeStatus, Shutdown
from tests.core.guests import guest


class Task(Struct, frozen=True):
    running: bool = False
    exitstatus: str | None = None

    @property
    def ok(self) -> bool:
        return self.exitstatus == "OK"


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
        ("running", OK, OutcomeStatus.TIMED_OUT, "its task ended well, but after 78 s the guest is still running"),
        (None, OK, OutcomeStatus.UNKNOWN, "its task ended well, but node pve1 no longer has it: was it moved?"),
        (UNREAD, OK, OutcomeStatus.UNKNOWN, "its task ended well, but whether it is off could not be read: node pve1 did not answer"),
        ("stopped", RUNNING, OutcomeStatus.TIMED_OUT, "still shutting down after 78 s: its task goes on, and nobody waits for it"),
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
