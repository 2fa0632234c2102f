"""Waits for the guests that were asked: a look at them costs a handful of requests, however many they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from msgspec.structs import replace

from pvectl.act.ledger import Asked
from pvectl.core import ending
from pvectl.core.model import Unknown
from pvectl.core.plan import Outcome, OutcomeStatus, Shutdown
from pvectl.errors import DeadlineExceeded, PvectlError

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.core.model import Guest
    from pvectl.pve.client import ActiveTask, ProxmoxClient, Upid

Status: TypeAlias = "str | Unknown | None"

POLL_S = 1.5
_LOG_LINES = 50


def look(waiting: Mapping[int, Asked], client: ProxmoxClient, clock: Clock, *, parallel: int, turn: int) -> dict[int, Outcome]:
    """What has come to an end by now, of all that is waited for; `turn` counts the looks.

    The nodes are asked for their lists of guests and of running tasks, and PVE for the tasks that are not among those, or whose guests are
    where they were to be or overdue. Where a node does not list its tasks, a handful is asked for by turns.
    """
    nodes = sorted({asked.action.guest.node for asked in waiting.values()})
    lists = client.in_parallel([partial(client.node_guests, node) for node in nodes], workers=parallel)
    statuses = _statuses([asked.action.guest for asked in waiting.values()], dict(zip(nodes, lists, strict=True)))
    running_lists = client.in_parallel([partial(client.active_tasks, node) for node in nodes], workers=parallel)
    running = dict(zip(nodes, map(_running_tasks, running_lists), strict=True))
    waited = {index: clock.boottime() - asked.at for index, asked in waiting.items()}
    pressing = [
        index
        for index, asked in waiting.items()
        if statuses[asked.action.guest.vmid] == ending.wanted(asked.action)
        or waited[index] >= ending.allowance(asked.action)
        or not _runs(asked, running)
    ]
    unlisted = [index for index, asked in waiting.items() if index not in pressing and isinstance(running[asked.upid.node], Unknown)]
    asked_for = pressing + _taking_turns(unlisted, turn, max(1, parallel - len(pressing)))
    tasks = client.in_parallel([partial(client.task, waiting[index].upid) for index in asked_for], workers=parallel)
    ended: dict[int, Outcome] = {}
    for index, task in zip(asked_for, tasks, strict=True):
        asked = waiting[index]
        outcome = ending.outcome(
            asked.action,
            upid=asked.upid.text,
            waited=waited[index],
            status=statuses[asked.action.guest.vmid],
            task=Unknown(reason=task.message) if isinstance(task, PvectlError) else task,
        )
        if outcome is not None:
            ended[index] = _with_force_told(outcome, asked.upid, client)
    late = next((answer for answer in [*lists, *running_lists, *tasks] if isinstance(answer, DeadlineExceeded)), None)
    if late is not None:
        for index in waiting.keys() - ended.keys():
            asked = waiting[index]
            ended[index] = ending.given_up(asked.action, upid=asked.upid.text, waited=waited[index], why=late.message)
    return ended


def _statuses(guests: Sequence[Guest], lists: Mapping[str, tuple[Guest, ...] | PvectlError]) -> dict[int, Status]:
    """What each guest's node says of it just now, None where the node does not have it."""
    known: dict[str, dict[int, str] | Unknown] = {
        node: Unknown(reason=answer.message) if isinstance(answer, PvectlError) else {guest.vmid: guest.status for guest in answer}
        for node, answer in lists.items()
    }
    statuses: dict[int, Status] = {}
    for guest in guests:
        listed = known[guest.node]
        statuses[guest.vmid] = listed if isinstance(listed, Unknown) else listed.get(guest.vmid)
    return statuses


def _running_tasks(answer: tuple[ActiveTask, ...] | PvectlError) -> Collection[str] | Unknown:
    """The tasks that a node says are running."""
    return Unknown(reason=answer.message) if isinstance(answer, PvectlError) else {task.upid for task in answer if task.is_running}


def _runs(asked: Asked, running: Mapping[str, Collection[str] | Unknown]) -> bool:
    """Whether its task may still be running; a hint only: what counts is what the task itself says."""
    listed = running[asked.upid.node]
    return isinstance(listed, Unknown) or asked.upid.text in listed


def _taking_turns(indices: Sequence[int], turn: int, count: int) -> list[int]:
    """As many as may be asked for in this look, others in the next."""
    if len(indices) <= count:
        return list(indices)
    first = turn * count % len(indices)
    return [*indices[first:], *indices[:first]][:count]


def _with_force_told(outcome: Outcome, upid: Upid, client: ProxmoxClient) -> Outcome:
    """The same outcome, with whether the plug was pulled."""
    action = outcome.action
    # the HA manager stops a guest by itself, and how it did that stands in no log of ours
    if outcome.status is not OutcomeStatus.DONE or not isinstance(action, Shutdown) or upid.type == "hastop":
        return outcome
    if ending.obeyed_in_time(action, outcome.took or 0):
        return replace(outcome, forced=False)
    try:
        log = client.task_log(upid, limit=_LOG_LINES)
    except PvectlError:
        log = None
    forced = ending.stopped_by_force(action, log)
    hints = {
        True: f"it did not shut down within {action.within} and was stopped by force",
        None: f"it took its {action.within} and is off, but whether by force Proxmox VE does not tell",
    }
    return replace(outcome, forced=forced, hint=hints.get(forced))
