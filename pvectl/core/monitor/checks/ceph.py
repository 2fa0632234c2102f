"""What Ceph says about its own health, each of its codes by itself."""

from __future__ import annotations

from pvectl.core.model import Unknown
from pvectl.core.monitor.checks.check import Case, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import Blind, Look
from pvectl.core.monitor.checks.settings import MINUTE
from pvectl.core.monitor.finding import Severity, Subject
from pvectl.core.monitor.monitored import CephCheck

_SEVERITY = {"HEALTH_WARN": Severity.WARNING, "HEALTH_ERR": Severity.CRITICAL}
_WHOLE = Subject(object="ceph")


def _health(look: Look) -> Eligible[CephCheck]:
    """Ceph as a whole where it names no code, otherwise code by code."""
    ceph = look.view.ceph
    if isinstance(ceph, Unknown):
        yield look.blind(_WHOLE, ceph, "ceph")
        return
    if ceph.value is None:
        return
    if ceph.value.health is None:
        yield Blind(subject=_WHOLE, reason=f"Proxmox VE does not tell Ceph's health ({ceph.source})")
        return
    codes = [each for each in ceph.value.checks if not each.muted]
    if ceph.value.health == "HEALTH_OK" or not codes:
        yield _WHOLE, CephCheck(code="", severity=ceph.value.health)
    for each in codes:
        yield Subject(object=f"ceph/{each.code}"), each


def _code(case: Case, told: CephCheck) -> Outcome:
    ceph = case.look.view.ceph
    if told.severity == "HEALTH_OK":
        return None
    # a word nobody knows is bad news of unknown weight, not no news
    severity = _SEVERITY.get(told.severity or "", Severity.WARNING)
    message = f"Ceph: {told.code}: {told.summary}" if told.code else f"Ceph is in {told.severity}"
    return case.finding(severity, message, evidence=case.look.evidence(ceph, "health"), hint="on a node: ceph health detail")


CHECKS = (
    check(
        "ceph.health",
        "Ceph is healthy",
        about="ceph",
        sources=("ceph",),
        eligible=_health,
        examine=_code,
        hold=5 * MINUTE,
    ),
)
