"""What has become of a guest that was asked to shut down: done means that its task ended well and that it is seen stopped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from pvectl.core.model import GuestType, Unknown
from pvectl.core.plan import Outcome, OutcomeStatus, Shutdown

# what PVE spends beyond the timeout (recorded on PVE 8.4 and 9.2): on a guest agent that does not answer, on SIGKILL after SIGTERM,
# and for a container on a second wait as long as the first
_AGENT_S = 3
_KILL_S = 10
_CONTAINER_S = 5
_MARGIN_S = 15
# a worker starts counting a little before its task's id has reached us
_HEAD_START_S = 2

# exit texts of qemu-server and pve-container for a guest that did not obey; a lock that was not to be had in time is another matter
_DID_NOT_OBEY = re.compile(r"powerdown failed - got timeout|container did not stop")
_STILL_LOCKED = re.compile(r"can't lock file|is locked")
_NO_SUCH_GUEST = re.compile(r"unable to find configuration file")
_STOPPED_BY_FORCE = re.compile(r"terminating now with SIG")


class Task(Protocol):
    """How a task stands; `ok` is true for the exit texts that PVE counts as success."""

    @property
    def running(self) -> bool: ...
    @property
    def exitstatus(self) -> str | None: ...
    @property
    def ok(self) -> bool: ...


def allowance(action: Shutdown) -> int:
    """Seconds from the request to the moment this guest is given up on; PVE's own task has ended before."""
    pve = 2 * action.timeout + _CONTAINER_S if action.guest.type == GuestType.LXC else action.timeout + _AGENT_S
    return pve + (_KILL_S if action.force_stop else 0) + _MARGIN_S


def longest_allowance(timeout: int) -> int:
    """The allowance of any guest that gets this timeout, whatever kind it is."""
    return 2 * timeout + _CONTAINER_S + _KILL_S + _MARGIN_S


def outcome(action: Shutdown, *, upid: str, waited: float, status: str | Unknown | None, task: Task | Unknown) -> Outcome | None:
    """What came of a shutdown `waited` seconds after its request; None while there is reason to go on waiting.

    `status` is what the guest's node says of it just now, None when it does not know the guest.
    """
    over = waited >= allowance(action)
    if isinstance(task, Unknown):
        return _unknown(action, upid, waited, f"its task could not be read: {task.reason}") if over else None
    if task.running:
        error = f"still shutting down after {waited:.0f} s: its task goes on, and nobody waits for it"
        return _timed_out(action, upid, waited, error) if over else None
    if not task.ok:
        return _failed(action, upid, waited, task.exitstatus or "its task ended without a word", off=status == "stopped")
    if status == "stopped":
        return Outcome(action=action, status=OutcomeStatus.DONE, upid=upid, took=waited)
    if not over:
        # the task of an HA guest ends at once, when its stop is merely queued (recorded on PVE 8.4 and 9.2)
        return None
    if isinstance(status, Unknown):
        return _unknown(action, upid, waited, f"its task ended well, but whether it is off could not be read: {status.reason}")
    if status is None:
        return _unknown(action, upid, waited, f"its task ended well, but node {action.guest.node} no longer has it: was it moved?")
    return _timed_out(action, upid, waited, f"its task ended well, but after {waited:.0f} s the guest is still {status}")


def given_up(action: Shutdown, *, upid: str, waited: float, why: str) -> Outcome:
    """The outcome of a shutdown that nobody can wait for any longer, as the run's own time is over."""
    error = f"its task goes on, and nobody waits for it: {why}"
    hint = "it may still obey; --deadline gives the whole run more time"
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


def _unknown(action: Shutdown, upid: str, waited: float, error: str) -> Outcome:
    hint = "look at the guest and at the node's task log before trying again"
    return Outcome(action=action, status=OutcomeStatus.UNKNOWN, upid=upid, error=error, hint=hint, took=waited)


def _timed_out(action: Shutdown, upid: str, waited: float, error: str) -> Outcome:
    hint = "it may still obey later; look at its console, or give it more time"
    return Outcome(action=action, status=OutcomeStatus.TIMED_OUT, upid=upid, error=error, hint=hint, took=waited)


def _failed(action: Shutdown, upid: str, waited: float, exitstatus: str, *, off: bool) -> Outcome:
    error = f"{exitstatus}; it is seen stopped all the same" if off else exitstatus
    if _DID_NOT_OBEY.search(exitstatus):
        return _timed_out(action, upid, waited, error)
    hint = None
    if _STILL_LOCKED.search(exitstatus):
        hint = "other work is going on with the guest: try again when that has ended"
    elif _NO_SUCH_GUEST.search(exitstatus):
        hint = f"it is no longer on node {action.guest.node}, and nothing was done to it; pvectl vm list shows where it is"
    return Outcome(action=action, status=OutcomeStatus.FAILED, upid=upid, error=error, hint=hint, took=waited)
