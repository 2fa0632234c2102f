"""What happened on a node between two looks: a start, a stop or a move of a guest counts, seen or not (safety rule S6)."""

from __future__ import annotations

from collections.abc import Iterator

from pvectl.core.evidence import NodeEvidence, Task
from pvectl.core.idle.credit import Break, elapsed
from pvectl.core.idle.policy import Now
from pvectl.core.idle.record import NodeRecord
from pvectl.core.idle.vetoes.case import Case, each, permits, value
from pvectl.core.idle.vetoes.work import is_ha_stop, is_ours
from pvectl.core.model import Known
from pvectl.core.plan import Reason

SLACK_S = 120
"""How much further back than the last look the task list is read: clocks differ, and a look takes a while."""
_REMEMBERED_S = 3600

# what the node does by itself, and nobody needs it on for
_HARMLESS = frozenset({"aptupdate", "acmerenew", "srvreload", "pvestatd"})


def node_clock(evidence: NodeEvidence) -> float | None:
    """Seconds since the epoch by the node's clock at the moment its tasks were read."""
    off = value(evidence.node_time_off)
    if off is None or not isinstance(evidence.tasks, Known):
        return None
    return evidence.tasks.taken_at.timestamp() + off


def look_back(record: NodeRecord | None, now: Now) -> int:
    """From which second (epoch, by the node's clock) the task list is needed to tell what happened since the last look.

    A clock that was set back in between does not hide a task: the time that really passed counts as well.
    """
    start = now.wall.timestamp()
    if record is not None and record.node_clock is not None:
        start = min(start, record.node_clock)
        passed = elapsed(record, now)
        if passed is not None:
            start = min(start, now.wall.timestamp() - passed)
    # the 60 s are those that the node's clock may differ from ours
    return int(start) - SLACK_S - 60


def known_tasks(evidence: NodeEvidence) -> tuple[str, ...]:
    """The UPIDs to remember as seen and over: those of the last hour, as no look back without a jump of the clock goes further."""
    history, clock = value(evidence.tasks), node_clock(evidence)
    if history is None or clock is None:
        return ()
    return tuple(task.upid for task in history.tasks if task.ended is not None and task.ended >= clock - _REMEMBERED_S)


def since_the_last_look(case: Case) -> Iterator[Break]:
    """Everything in the task list that breaks the chain from the last idle look to this one."""
    record, history, clock = case.record, value(case.evidence.tasks), node_clock(case.evidence)
    passed = elapsed(record, case.now)
    if history is None or clock is None or record.node_clock is None or passed is None:
        yield Break(reason=Reason.UNSEEN_BETWEEN, detail="what happened on it since the last look cannot be told")
        return
    horizon = min(record.node_clock, clock - passed) - SLACK_S
    if history.reaches_back_to > horizon:
        yield Break(reason=Reason.UNSEEN_BETWEEN, detail="the task list does not reach back to the last look")
    for task in history.tasks:
        new = task.upid not in record.known_tasks and (task.started >= horizon or task.ended is None or task.ended >= horizon)
        if new and task.upid not in case.ours and (reason := _what_it_means(case, task)) is not None:
            yield Break(reason=reason, detail=_in_words(case, task))


def _what_it_means(case: Case, task: Task) -> Reason | None:
    """Whether a task matters: our own work on guests that permit it does not, and neither does the node's housekeeping."""
    permitted = _permitted(case, task)
    if permitted and (is_ours(case, task) or is_ha_stop(case, task)):
        return None
    if not task.id.isdecimal() and (task.type in _HARMLESS or is_ours(case, task)):
        return None
    return Reason.FOREIGN_TASK if permitted else Reason.HAPPENED_BETWEEN


def _permitted(case: Case, task: Task) -> bool:
    return any(str(guest.vmid) == task.id and permits(guest, case) for guest in each(case.evidence.guests))


def _in_words(case: Case, task: Task) -> str:
    label = next((guest.label for guest in each(case.evidence.guests) if str(guest.vmid) == task.id), task.id)
    about = f" of guest {label}" if task.id.isdecimal() else ""
    return f"there was a task {task.type}{about} by {task.user or 'somebody'} since the last look"
