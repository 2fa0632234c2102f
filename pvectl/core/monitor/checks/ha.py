"""Whether the HA manager does its work: services without errors, managers alive, and armed again after maintenance."""

from __future__ import annotations

from shlex import quote

from msgspec.structs import replace

from pvectl.core.evidence import HaService, HaStatus
from pvectl.core.model import Known, Unknown
from pvectl.core.monitor.checks.check import NOT_HERE, Case, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import CLUSTER, Blind, Look
from pvectl.core.monitor.checks.settings import HOUR, MINUTE
from pvectl.core.monitor.finding import Severity, Subject, Unit

_BAD = frozenset({"error", "fence", "recovery"})
# the other states of pve-ha-manager PVE/HA/Manager.pm, and those its PVE/API2/HA/Status.pm makes up for what has none yet
_GOOD = frozenset(
    {"stopped", "request_stop", "request_start", "request_start_balance", "started", "migrate", "relocate", "freeze"}
    | {"queued", "deleting", "ignored", "disabled"}
)
# texts of pve-ha-manager PVE/API2/HA/Status.pm
_DEAD = "old timestamp - dead?"
_DRIFT = "detected time drift!"
_UNREADABLE = "unable to read lrm status"
# a mode other than active is told as "restart mode" or "maintenance mode"; the rest are states of PVE/HA/LRM.pm
_ALIVE = frozenset({"active", "idle", "wait_for_agent_lock", "lost_agent_lock", "maintenance", "slave"})
_MODE = " mode"
_ARMED = ("armed", "standby")
_NOT_ARMED = ("disarmed", "disarming")


def _status(look: Look) -> HaStatus | Blind:
    ha = look.view.ha
    return look.blind(CLUSTER, ha, "ha") if isinstance(ha, Unknown) else ha.value


def _services(look: Look) -> Eligible[HaService]:
    status = _status(look)
    if isinstance(status, Blind):
        yield status
        return
    for service in status.services:
        yield Subject(object=f"ha/{service.sid}", node=service.node), service


def _service(case: Case, service: HaService) -> Outcome:
    ha = case.look.view.ha
    if service.state is None:
        return case.untold(ha, f"the state of {service.sid}")
    if service.state in _GOOD:
        return None
    if service.state not in _BAD:
        return Blind(subject=case.subject, reason=f"nobody knows what it means that {service.sid} is in state '{service.state}'")
    message = f"the HA manager has {service.sid} in state {service.state}"
    hint = f"ha-manager set {quote(service.sid)} --state disabled, then mend it and set it to started" if service.state == "error" else None
    return case.finding(Severity.CRITICAL, message, evidence=case.look.evidence(ha, "state"), hint=hint)


def _managers(look: Look) -> Eligible[str]:
    status = _status(look)
    if isinstance(status, Blind):
        yield status
        return
    if status.manager is not None:
        yield Subject(object="ha/manager"), status.manager
    for node, text in status.lrm:
        if node not in look.away:
            yield Subject(object=f"ha/lrm/{node}", node=node), text


def _manager(case: Case, text: str) -> Outcome:
    who = "the HA manager" if case.subject.node is None else f"the local HA manager of node {case.subject.node}"
    evidence = case.look.evidence(case.look.view.ha, "status")
    if _DEAD in text:
        offline = case.look.offline(case.subject, case.subject.node or "")
        message = f"{who} has not been heard of: {text}"
        return replace(case.finding(Severity.CRITICAL, message, evidence=evidence), cause=offline.cause if offline else None)
    if _UNREADABLE in text:
        return Blind(subject=case.subject, reason=f"{who} cannot be looked at: {text}")
    if _DRIFT in text:
        return case.finding(Severity.WARNING, f"{who} says that clocks differ: {text}", evidence=evidence)
    if text in _ALIVE or text.endswith(_MODE):
        return None
    return Blind(subject=case.subject, reason=f"nobody knows what it means that {who} is '{text}'")


def _arming(look: Look) -> Eligible[HaStatus]:
    status = _status(look)
    if isinstance(status, Blind):
        yield status
    else:
        yield CLUSTER, status


def _armed(case: Case, status: HaStatus) -> Outcome:
    if status.armed is None:
        return NOT_HERE
    if status.armed in _ARMED:
        return None
    if status.armed not in _NOT_ARMED:
        return Blind(subject=case.subject, reason=f"nobody knows what it means that HA is '{status.armed}'")
    look = case.look
    assert isinstance(look.view.ha, Known)
    since = look.view.remembered.disarmed_since or look.view.ha.taken_at
    lasts = (look.now - since).total_seconds()
    message = f"the HA manager has been {status.armed} for {lasts / HOUR:.1f} h: no guest is restarted elsewhere"
    evidence = look.evidence(look.view.ha, "armed-state")
    return case.measured(lasts, message, evidence=evidence, hint="on a node: ha-manager status", since=since)


CHECKS = (
    check("ha.service", "guests under HA are fine", about="ha", sources=("ha",), eligible=_services, examine=_service),
    check(
        "ha.manager",
        "the HA managers are alive",
        about="ha",
        sources=("ha",),
        eligible=_managers,
        examine=_manager,
        hold=2 * MINUTE,
    ),
    check("ha.disarmed", "HA is armed", about="cluster", sources=("ha",), eligible=_arming, examine=_armed, unit=Unit.SECONDS),
)
