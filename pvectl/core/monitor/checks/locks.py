"""How long guests have been locked, and whether anything still works on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from pvectl.core.evidence import Task
from pvectl.core.model import Guest, GuestType, Known
from pvectl.core.monitor.checks.check import Case, Outcome, check
from pvectl.core.monitor.checks.guests import every_guest
from pvectl.core.monitor.checks.look import Look
from pvectl.core.monitor.checks.settings import HOUR
from pvectl.core.monitor.finding import Evidence, Unit

# a hibernated VM keeps it until it is woken (qemu-server PVE/QemuServer.pm vm_suspend)
_NORMAL = frozenset({"suspended"})
# a job's backup task names no guest, and a clone's names the one it is made from
_OF_ANY_GUEST: Mapping[str, frozenset[str]] = {
    "backup": frozenset({"vzdump"}),
    "snapshot": frozenset({"vzdump"}),
    "snapshot-delete": frozenset({"vzdump"}),
    "create": frozenset({"qmclone", "vzclone"}),
    "clone": frozenset({"qmclone", "vzclone"}),
    "disk": frozenset({"qmclone", "vzclone"}),
}


def at_work(guest: Guest, running: Sequence[Task]) -> Task | None:
    """The oldest running task that may be why the guest is locked."""
    if not running:
        return None
    others = _OF_ANY_GUEST.get(guest.lock or "", frozenset())
    own = str(guest.vmid)
    fits = [task for task in running if task.runs and (task.id == own or (task.type in others and _may_be_there(task, guest)))]
    return min(fits, key=lambda task: task.started, default=None)


def _may_be_there(task: Task, guest: Guest) -> bool:
    # UPID:node:… ; a clone may be made for another node
    return task.type != "vzdump" or (not task.id.isdigit() and task.upid.split(":")[1:2] == [guest.node])


def _since(look: Look, guest: Guest) -> datetime:
    """Since when pvectl has seen this lock; now, if it never has."""
    seen = look.view.remembered.locks.get(guest.vmid)
    return seen.since if seen is not None and seen.lock == guest.lock else look.now


def _age(case: Case, guest: Guest) -> Outcome:
    if guest.lock is None or guest.lock in _NORMAL:
        return None
    look = case.look
    running = look.view.running
    task = at_work(guest, running.value) if isinstance(running, Known) else None
    since = _since(look, guest)
    if task is not None:
        since = min(since, datetime.fromtimestamp(task.started, tz=UTC))
    age = (look.now - since).total_seconds()
    why = f"by {task.type}" if task is not None else f"({guest.lock})"
    if not isinstance(running, Known) and case.levels.warn is not None and age <= case.levels.warn:
        return case.blind(running, "running")
    message = f"guest {guest.label} has been locked {why} for {age / HOUR:.1f} h"
    return case.measured(age, message, evidence=look.once(_evidence), since=since)


def _orphan(case: Case, guest: Guest) -> Outcome:
    if guest.lock is None or guest.lock in _NORMAL:
        return None
    look = case.look
    running = look.view.running
    if not isinstance(running, Known):
        return case.blind(running, "running")
    if at_work(guest, running.value) is not None:
        return None
    since = _since(look, guest)
    age = (look.now - since).total_seconds()
    tool = "qm" if guest.type == GuestType.QEMU else "pct"
    return case.measured(
        age,
        f"guest {guest.label} has been locked ({guest.lock}) for {age / HOUR:.1f} h, and no task works on it",
        evidence=look.once(_evidence),
        hint=f"once sure that nothing works on it, on {guest.node}: {tool} unlock {guest.vmid}",
        since=since,
    )


def _evidence(look: Look) -> tuple[Evidence, ...]:
    return look.evidence(look.view.resources, "lock") + look.evidence(look.view.running)


CHECKS = (
    check(
        "guest.lock_age",
        "guests are not locked for long",
        about="guest",
        sources=("resources", "running"),
        eligible=every_guest,
        examine=_age,
        unit=Unit.SECONDS,
    ),
    check(
        "guest.lock_orphan",
        "a locked guest has a task that works on it",
        about="guest",
        sources=("resources", "running"),
        eligible=every_guest,
        examine=_orphan,
        unit=Unit.SECONDS,
    ),
)
