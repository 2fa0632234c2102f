"""Which tasks of a node have ended since the last look: none told twice as new, none lost because it had begun long before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec import Struct

from pvectl.core.evidence import Task
from pvectl.core.monitor.monitored import TaskLog

BROADCAST = 25
"""So many tasks a node tells the cluster: all that run, and of the ended ones those that began last (pve-common RESTEnvironment.pm)."""
WHOLE_LIST = 500
"""A task list with fewer rows has never been rotated, which happens at about a thousand (pve-common RESTEnvironment.pm)."""
ALL = 2500
"""More rows than two logs of a thousand hold."""
_KNOWN = 100


class Gap(Struct, frozen=True, kw_only=True):
    """The list was rotated away before it was read: what ended `since` then and `seen`, when that was noticed, may be missing."""

    since: datetime
    seen: datetime


class TaskCursor(Struct, frozen=True, kw_only=True):
    """How far a node's tasks have been read.

    `active` are those that ran at the time, `known` the ended ones that were on the list, `begun` when the youngest of all began (epoch
    seconds by the node's clock): a task that ends later was active, or begins no earlier. `recent` has the last word on each kind of work
    on each guest, as far as it is worth telling.
    """

    read_at: datetime
    active: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    begun: int = 0
    recent: tuple[Task, ...] = ()
    gap: Gap | None = None

    @property
    def log(self) -> TaskLog:
        """What there is to tell, oldest first."""
        return TaskLog(ended=self.recent, gap_since=self.gap.since if self.gap else None)


def from_broadcast(before: TaskCursor | None, told: Sequence[Task] | None, now: datetime, *, tell_for: float) -> TaskCursor | None:
    """Read on with what the node tells the cluster, `told` None where nobody may see that.

    None comes back where it may lack something, so that the node's own list has to be read.
    """
    if before is None or told is None or (not told and before.known):
        return None
    ended = [task for task in told if not task.runs]
    reaches_back = len(told) < BROADCAST or any(task.started < before.begun for task in ended)
    if not reaches_back or not set(before.active) <= {task.upid for task in told}:
        return None
    return _read_on(before, told, _new(before, ended), now, tell_for, before.gap)


def from_list(before: TaskCursor | None, rows: Sequence[Task], now: datetime, *, tell_for: float) -> TaskCursor:
    """Read on with the node's own list, running tasks and then the ended ones, the last archived first."""
    ended = [task for task in rows if not task.runs]
    if before is None:
        since = (now - timedelta(seconds=tell_for)).timestamp()
        cut = not is_whole(None, rows) and all((task.ended or 0) > since for task in ended)
        gap = Gap(since=now - timedelta(seconds=tell_for), seen=now) if cut else None
        return _read_on(None, rows, ended, now, tell_for, gap)
    gap = before.gap if is_whole(before, rows) else Gap(since=before.read_at, seen=now)
    return _read_on(before, rows, _new(before, ended), now, tell_for, gap)


def is_whole(before: TaskCursor | None, rows: Sequence[Task]) -> bool:
    """Whether a node's own list reaches back to what is known already; otherwise more of it is worth a request."""
    known = set(before.known) if before is not None else set()
    return len(rows) < WHOLE_LIST or any(task.upid in known for task in rows if not task.runs)


def _new(before: TaskCursor, ended: Iterable[Task]) -> list[Task]:
    active, known = set(before.active), set(before.known)
    return [task for task in ended if task.upid not in known and (task.upid in active or task.started >= before.begun)]


def _read_on(
    before: TaskCursor | None, rows: Sequence[Task], new: Iterable[Task], now: datetime, tell_for: float, gap: Gap | None
) -> TaskCursor:
    since = now - timedelta(seconds=tell_for)
    earlier = before.recent if before is not None else ()
    kept = [task for task in earlier if (task.ended or 0) > since.timestamp()]
    # what ended between two runs is told once, however far apart they are
    fresh = [task for task in new if before is not None or (task.ended or 0) > since.timestamp()]
    last = {(task.type, task.id): task for task in sorted([*kept, *fresh], key=lambda task: task.ended or 0)}
    return TaskCursor(
        read_at=now,
        active=tuple(task.upid for task in rows if task.runs),
        known=tuple(task.upid for task in rows if not task.runs)[:_KNOWN],
        begun=max([task.started for task in rows], default=before.begun if before is not None else 0),
        recent=tuple(sorted(last.values(), key=lambda task: task.ended or 0)),
        gap=gap if gap is not None and gap.seen > since else None,
    )
