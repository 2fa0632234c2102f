"""Vetoes of work under way: tasks, migrations, replications, the HA manager, and what else is in use."""

from __future__ import annotations

from collections.abc import Iterator

from pvectl.core.evidence import HaService, SignalState, Task
from pvectl.core.idle.need import concerns
from pvectl.core.idle.record import Blocker
from pvectl.core.idle.vetoes.case import Case, each, unseen, value
from pvectl.core.plan import Reason

# what the HA manager calls a service that it is not about to touch; "error" waits for a person (pve-ha-manager PVE/HA/Manager.pm)
_AT_REST = frozenset({"started", "stopped", "disabled", "ignored"})
_ERROR = "error"
_LRM_AT_REST = frozenset({"active", "idle"})
_ARMED_AT_REST = frozenset({"armed", "standby", "disarmed"})
_MEMBER_AT_REST = frozenset({"online"})

_CONSOLES = frozenset({"vncproxy", "vncshell", "spiceproxy", "spiceshell", "termproxy", "lxcconsole", "upgrade"})
_MOVES = frozenset({"qmigrate", "vzmigrate", "hamigrate", "migrateall"})
_STOPS = frozenset({"qmshutdown", "qmstop", "vzshutdown", "vzstop", "hastop"})
_IN_WORDS = {
    **dict.fromkeys(_CONSOLES, "somebody has a console open"),
    **dict.fromkeys(_MOVES, "a guest is being moved"),
    "vzdump": "a backup runs",
}


def of_tasks(case: Case) -> Iterator[Blocker]:
    """Every task that runs on the node, whatever its type; this run's own are left out (safety rule S5)."""
    history = value(case.evidence.tasks)
    for task in history.tasks if history is not None else ():
        if task.runs and task.upid not in case.ours and not is_ha_stop(case, task):
            yield _of_task(task)


def of_incoming(case: Case) -> Iterator[Blocker]:
    for task in each(case.evidence.incoming):
        yield Blocker(
            reason=Reason.MOVING_GUEST, subject=f"task/{task.upid}", detail=f"guest {task.id or 'unknown'} is on its way ({task.type})"
        )


def of_replication(case: Case) -> Iterator[Blocker]:
    for job in each(case.evidence.replication):
        if not concerns(case.node, job):
            continue
        if job.runs is None:
            yield unseen(f"replication/{job.id}", f"whether replication {job.id} runs just now is not known")
        elif job.runs:
            detail = f"replication {job.id} of guest {job.guest} runs"
            yield Blocker(reason=Reason.REPLICATION_RUNS, subject=f"replication/{job.id}", detail=detail)


def of_ha(case: Case) -> Iterator[Blocker]:
    """Services on their way anywhere in the cluster, as any of them may end up here, and managers that are not at rest."""
    ha = value(case.evidence.ha)
    if ha is None:
        return
    for service in ha.services:
        yield from _of_service(case, service)
    if ha.armed is not None and ha.armed not in _ARMED_AT_REST:
        yield _ha_busy("cluster", f"the HA manager is {ha.armed}")
    online = {member.name for member in each(case.evidence.members) if member.online} | {case.node}
    for node, status in ha.lrm:
        if node in online and _mode(status) not in _LRM_AT_REST:
            yield _ha_busy(f"node/{node}", f"the HA manager of node {node} is in mode {_mode(status)}")
    for member in each(case.evidence.members):
        if member.online and member.hastate is not None and member.hastate not in _MEMBER_AT_REST:
            yield _ha_busy(f"node/{member.name}", f"node {member.name} is in state {member.hastate} for the HA manager")


def of_ha_policy(case: Case) -> Iterator[Blocker]:
    """With `shutdown_policy=migrate` a node moves its services away first, and may hang in it (pve-ha-manager PVE/HA/LRM.pm)."""
    ha = value(case.evidence.ha)
    services = (
        [service.sid for service in ha.services if service.node == case.node and service.state == "started"] if ha is not None else []
    )
    if value(case.evidence.ha_shutdown_policy) == "migrate" and services:
        yield _ha_busy(case.subject, f"the HA manager would move {services[0]} to another node at a shutdown (shutdown_policy migrate)")


def of_signals(case: Case) -> Iterator[Blocker]:
    for signal in case.evidence.signals:
        more = f": {signal.detail}" if signal.detail else ""
        if signal.state == SignalState.BUSY:
            yield Blocker(reason=Reason.ACTIVITY, subject=case.subject, detail=f"{signal.name} says busy{more}")
        elif signal.state != SignalState.IDLE:
            yield unseen(case.subject, f"{signal.name} does not say whether it is idle{more}")


def is_ours(case: Case, task: Task) -> bool:
    """Whether our own token started it; where our name is not known, nothing is ours."""
    return task.user is not None and task.user == case.evidence.our_user


def is_ha_stop(case: Case, task: Task) -> bool:
    """The HA manager's own task for a guest this run asked to stop: it appears under root@pam, not under our name."""
    ha = value(case.evidence.ha)
    if case.policy.ha != "request-stop" or case.draining is None or task.type not in _STOPS or ha is None:
        return False
    managed = {service.sid for service in ha.services} & {f"vm:{task.id}", f"ct:{task.id}"}
    return bool(managed) and task.id in {str(vmid) for vmid in case.draining}


def _of_task(task: Task) -> Blocker:
    guest = f" for guest {task.id}" if task.id.isdecimal() else ""
    words = _IN_WORDS.get(task.type, "a task runs")
    return Blocker(
        reason=Reason.TASK_RUNNING, subject=f"task/{task.upid}", detail=f"{words}{guest} ({task.type} of {task.user or 'somebody'})"
    )


def _of_service(case: Case, service: HaService) -> Iterator[Blocker]:
    if service.state is None:
        yield unseen("cluster", f"the HA state of {service.sid} is not known")
        return
    here = service.node in (case.node, None)
    at_rest = service.state in _AT_REST or (service.state == _ERROR and not here)
    asked = service.request_state if service.request_state in ("started", "stopped", "disabled") else None
    moving = service.state in ("started", "stopped") and asked is not None and (asked == "started") != (service.state == "started")
    if (at_rest and not moving) or _is_draining(case, service):
        return
    wanted = f", wanted {service.request_state}" if service.request_state not in (None, service.state) else ""
    yield _ha_busy("cluster" if not here else case.subject, f"the HA manager has {service.sid} in state {service.state}{wanted}")


def _is_draining(case: Case, service: HaService) -> bool:
    """Whether the service is on its way down because this run asked for it."""
    if case.draining is None or case.policy.ha != "request-stop" or service.node != case.node or service.state == _ERROR:
        return False
    return service.request_state == "stopped" and service.sid.partition(":")[2] in {str(vmid) for vmid in case.draining}


def _mode(status: str) -> str:
    """The mode in an LRM's status: "pve2 (idle, watchdog standby, …)" or the bare word."""
    inside = status.partition("(")[2] or status
    return inside.split(",")[0].strip(" ()")


def _ha_busy(subject: str, detail: str) -> Blocker:
    return Blocker(reason=Reason.HA_BUSY, subject=subject, detail=detail)
