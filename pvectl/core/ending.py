"""What has become of a guest that was asked to shut down or to start: done means that its task ended well and that it is seen so."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from pvectl.core.amounts import span
from pvectl.core.model import GuestType, Unknown
from pvectl.core.plan import Outcome, OutcomeStatus, Reason, Shutdown, Start

# what PVE spends beyond the timeout (recorded on PVE 8.4 and 9.2): on a guest agent that does not answer, on SIGKILL after SIGTERM,
# and for a container on a second wait as long as the first
_AGENT_S = 3
_KILL_S = 10
_CONTAINER_S = 5
_MARGIN_S = 15
# the HA manager takes a request up in its next round, and the node's own manager in one of its own (pve-ha-manager PVE/HA/CRM.pm, LRM.pm)
_HA_ROUNDS_S = 60
# a worker starts counting a little before its task's id has reached us
_HEAD_START_S = 2

# exit texts of qemu-server and pve-container for a guest that did not obey; a lock that was not to be had in time is another matter
_DID_NOT_OBEY = re.compile(r"powerdown failed - got timeout|container did not stop")
_STILL_LOCKED = re.compile(r"can't lock file|is locked")
_NO_SUCH_GUEST = re.compile(r"unable to find configuration file")
_RUNS_ALREADY = re.compile(r"\balready running\b")
_WARNED = "WARNINGS: "
_STOPPED_BY_FORCE = re.compile(r"terminating now with SIG")


class Task(Protocol):
    """How a task stands; `ok` is true for the exit texts that PVE counts as success."""

    @property
    def running(self) -> bool: ...
    @property
    def exitstatus(self) -> str | None: ...
    @property
    def ok(self) -> bool: ...


def wanted(action: Shutdown | Start) -> str:
    """The status a guest is to come to, in PVE's word."""
    return "running" if isinstance(action, Start) else "stopped"


def allowance(action: Shutdown | Start) -> int:
    """Seconds from the request to the moment this guest is given up on; PVE's own task for a shutdown has ended before."""
    ha = _HA_ROUNDS_S if _may_go_through_ha(action) else 0
    if isinstance(action, Start):
        return action.timeout + ha + _MARGIN_S
    pve = 2 * action.timeout + _CONTAINER_S if action.guest.type == GuestType.LXC else action.timeout + _AGENT_S
    return pve + (_KILL_S if action.force_stop or action.through_ha else 0) + ha + _MARGIN_S


def longest_allowance(timeout: int) -> int:
    """The allowance of any guest that gets this timeout, whatever kind it is and whatever it is to do."""
    return 2 * timeout + _CONTAINER_S + _KILL_S + _HA_ROUNDS_S + _MARGIN_S


def outcome(action: Shutdown | Start, *, upid: str, waited: float, status: str | Unknown | None, task: Task | Unknown) -> Outcome | None:
    """What came of a request `waited` seconds after it was made; None while there is reason to go on waiting.

    `status` is what the guest's node says of it just now, None when it does not know the guest.
    """
    over = waited >= allowance(action)
    if isinstance(task, Unknown):
        return _unknown(action, upid, waited, f"its task could not be read: {task.reason}") if over else None
    if task.running:
        doing = "starting" if isinstance(action, Start) else "shutting down"
        error = f"still {doing} after {span(waited)}: its task goes on, and nobody waits for it"
        return _timed_out(action, upid, waited, error) if over else None
    if not task.ok:
        return _failed(action, upid, waited, task.exitstatus or "its task ended without a word", status=status)
    if status == wanted(action):
        return Outcome(action=action, status=OutcomeStatus.DONE, upid=upid, took=waited, hint=_warnings(task))
    if not over:
        # the task of an HA guest ends at once, when its stop or start is merely queued (recorded on PVE 8.4 and 9.2)
        return None
    if isinstance(status, Unknown):
        seen = "runs" if isinstance(action, Start) else "is off"
        return _unknown(action, upid, waited, f"its task ended well, but whether it {seen} could not be read: {status.reason}")
    if status is None:
        return _unknown(action, upid, waited, f"its task ended well, but node {action.guest.node} no longer has it: was it moved?")
    return _timed_out(action, upid, waited, f"its task ended well, but after {span(waited)} the guest is still {status}")


def may_still_obey(outcome: Outcome) -> bool:
    """Whether a guest that was asked to shut down may do so yet, without anybody asking again.

    A guest acts on an ACPI request whenever it gets to it, also after PVE's task has given up: when it is seen off later, nobody else
    need have wanted that.
    """
    asked = isinstance(outcome.action, Shutdown)
    return asked and outcome.status in (OutcomeStatus.TIMED_OUT, OutcomeStatus.UNKNOWN, OutcomeStatus.STARTED)


def given_up(action: Shutdown | Start, *, upid: str, waited: float, why: str) -> Outcome:
    """The outcome of a shutdown that nobody can wait for any longer, as the run's own time is over."""
    error = f"its task goes on, and nobody waits for it: {why}"
    still = "it may still come up" if isinstance(action, Start) else "it may still obey"
    hint = f"{still}; --deadline gives the whole run more time"
    return Outcome(action=action, status=OutcomeStatus.TIMED_OUT, upid=upid, error=error, hint=hint, took=waited)


def obeyed_in_time(action: Shutdown, waited: float) -> bool:
    """Whether a guest that is seen off `waited` seconds after its request surely went off by itself: force comes after the timeout only.

    Of a VM the task's log tells better than any clock.
    """
    if not action.force_stop:
        return True
    return action.guest.type != GuestType.QEMU and waited < action.timeout - _HEAD_START_S


def stopped_by_force(action: Shutdown, log: Iterable[str] | None) -> bool | None:
    """Whether a guest that did not obey in time had its plug pulled, by its task's log; None when nobody can tell.

    PVE calls the task OK either way. Of a VM the log tells, of a container lxc-stop does it without a word (recorded on PVE 8.4 and 9.2).
    """
    if log is None or action.guest.type != GuestType.QEMU:
        return None
    return any(_STOPPED_BY_FORCE.search(line) for line in log)


def _may_go_through_ha(action: Shutdown | Start) -> bool:
    return action.through_ha if isinstance(action, Shutdown) else action.guest.hastate is not None


def _warnings(task: Task) -> str | None:
    if task.exitstatus is None or not task.exitstatus.startswith(_WARNED):
        return None
    count = task.exitstatus.removeprefix(_WARNED)
    return f"Proxmox VE gave {count} warning{'' if count == '1' else 's'}: they are in the task's log"


def _unknown(action: Shutdown | Start, upid: str, waited: float, error: str) -> Outcome:
    hint = "look at the guest and at the node's task log before trying again"
    return Outcome(action=action, status=OutcomeStatus.UNKNOWN, upid=upid, error=error, hint=hint, took=waited)


def _timed_out(action: Shutdown | Start, upid: str, waited: float, error: str) -> Outcome:
    hint = "it may still obey later; look at its console, or give it more time"
    if isinstance(action, Start):
        hint = "it may still come up; look at the task's log, or give it more time"
    return Outcome(action=action, status=OutcomeStatus.TIMED_OUT, upid=upid, error=error, hint=hint, took=waited)


def _failed(action: Shutdown | Start, upid: str, waited: float, exitstatus: str, *, status: str | Unknown | None) -> Outcome:
    all_the_same = status == wanted(action)
    if isinstance(action, Start) and all_the_same and _RUNS_ALREADY.search(exitstatus):
        words = "it was started just before it was its turn"
        kind = Reason.ALREADY_RUNNING.value
        return Outcome(action=action, status=OutcomeStatus.SKIPPED, upid=upid, error=words, took=waited, kind=kind)
    error = f"{exitstatus}; it is seen {status} all the same" if all_the_same else exitstatus
    if _DID_NOT_OBEY.search(exitstatus):
        return _timed_out(action, upid, waited, error)
    hint = None
    if _STILL_LOCKED.search(exitstatus):
        hint = "other work is going on with the guest: try again when that has ended"
    elif _NO_SUCH_GUEST.search(exitstatus):
        hint = f"it is no longer on node {action.guest.node}, and nothing was done to it; pvectl vm list shows where it is"
    return Outcome(action=action, status=OutcomeStatus.FAILED, upid=upid, error=error, hint=hint, took=waited)
