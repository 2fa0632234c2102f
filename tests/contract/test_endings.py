"""What pvectl makes of the texts a real Proxmox VE was recorded to answer shutdowns and tag edits with."""

from __future__ import annotations

import re

import pytest

from pvectl.act.guests import refused
from pvectl.act.tags import _CHANGED_MEANWHILE
from pvectl.core import ending
from pvectl.core.model import Guest
from pvectl.core.plan import OutcomeStatus, Shutdown, Start
from pvectl.errors import ApiRefusal
from pvectl.pve.tasks import TaskState
from tests.contract.recordings import Recording, all_recordings

SHUTDOWNS = [row for row in all_recordings() if row.url.endswith("/status/shutdown") and row.get("task_status_changes")]
STARTS = [
    row for row in all_recordings() if row.url.endswith("/status/start") and row.get("task_status_changes") and row.get("current_after")
]
REFUSED_EDITS = [
    row for row in all_recordings() if row.method == "PUT" and re.search(r"/(?:qemu|lxc)/\d+/config", row.url) and row.get("status") == 500
]


def each(recordings: list[Recording]) -> list[object]:
    return [pytest.param(recording, id=recording.key) for recording in recordings]


@pytest.mark.parametrize("recording", each(SHUTDOWNS))
def test_every_recorded_shutdown_comes_to_what_became_of_the_guest(recording: Recording) -> None:
    found = re.search(r"/(qemu|lxc)/(\d+)/", recording.url)
    assert found is not None
    action = Shutdown(guest=Guest(vmid=int(found[2]), type=found[1], node="pve1", status="running"), timeout=60)
    after = (recording.get("current_after") or {}).get("status")
    for seconds, row in recording.get("task_status_changes"):
        task = TaskState(running=row["status"] == "running", exitstatus=row.get("exitstatus"))
        outcome = ending.outcome(action, upid="UPID", waited=min(seconds, 59), status=after, task=task)
        if task.running:
            assert outcome is None
        elif after == "stopped" and task.ok:
            assert outcome is not None
            assert outcome.status is OutcomeStatus.DONE
        elif not task.ok:
            assert outcome is not None
            assert outcome.error == row["exitstatus"]
            obeyed_late = "powerdown failed" in row["exitstatus"] or "did not stop" in row["exitstatus"]
            assert outcome.status is (OutcomeStatus.TIMED_OUT if obeyed_late else OutcomeStatus.FAILED)
            assert outcome.hint


@pytest.mark.parametrize("recording", each(STARTS))
def test_every_recorded_start_comes_to_what_became_of_the_guest(recording: Recording) -> None:
    found = re.search(r"/(qemu|lxc)/(\d+)/", recording.url)
    assert found is not None
    action = Start(guest=Guest(vmid=int(found[2]), type=found[1], node="pve1", status="stopped"), timeout=60)
    after = recording.get("current_after")["status"]
    seconds, row = recording.get("task_status_changes")[-1]
    task = TaskState(running=row["status"] == "running", exitstatus=row.get("exitstatus"))
    outcome = ending.outcome(action, upid="UPID", waited=seconds, status=after, task=task)
    if "hastart" in row["upid"]:
        # the manager has yet to start it: the task alone says nothing
        assert (outcome, after) == (None, "stopped")
        return
    assert outcome is not None
    if task.ok:
        assert (outcome.status, after) == (OutcomeStatus.DONE, "running")
    elif after == "running":
        assert (outcome.status, outcome.kind) == (OutcomeStatus.SKIPPED, "already-running")
    else:
        assert (outcome.status, outcome.error) == (OutcomeStatus.FAILED, row["exitstatus"])


def test_the_recordings_have_every_kind_of_end() -> None:
    started = {row.get("task_status_changes")[-1][1].get("exitstatus") for row in STARTS}
    assert {"OK", "WARNINGS: 1", "VM 101 already running", "CT is locked (snapshot)", "you can't start a vm if it's a template"} <= started
    ends = {row.get("task_status_changes")[-1][1].get("exitstatus") for row in SHUTDOWNS}
    assert {"OK", "VM quit/powerdown failed - got timeout"} <= ends
    assert len(REFUSED_EDITS) > 10


@pytest.mark.parametrize("recording", each(REFUSED_EDITS))
def test_a_recorded_refusal_makes_an_edit_start_over_exactly_when_the_digest_was_another(recording: Recording) -> None:
    message = str(recording.get("reason"))
    assert bool(_CHANGED_MEANWHILE.search(message)) is ("digest" in (recording.request_body or ""))


@pytest.mark.parametrize("recording", each(REFUSED_EDITS))
def test_a_recorded_lock_is_told_with_what_to_do(recording: Recording) -> None:
    message = str(recording.get("reason"))
    if "lock" in message:
        action = Shutdown(guest=Guest(vmid=100, type="qemu", node="pve1", status="running"), timeout=60)
        assert "try again when that has ended" in str(refused(action, ApiRefusal(message, status=500)).hint)
