"""Which of the selected guests are started, and why the others are left alone."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pvectl.core.model import Guest
from pvectl.core.plan import Decision, Plan, Reason, Start, Verdict

# a VM that was suspended to disk has this lock, and starting it is how it is resumed (qemu-server PVE/QemuServer.pm)
_ASLEEP = "suspended"


def plan(guests: Iterable[Guest], *, excluded: Iterable[Guest] = (), timeout: int, now: datetime) -> Plan:
    """One decision for each guest, in vmid order; `timeout` is how long each is waited for, in whole seconds from 1 up.

    `excluded` are guests the selection took away: they are named, and never touched, even when they stand among `guests` as well.
    """
    if timeout < 1:
        raise ValueError(f"a guest needs at least one second to start, got {timeout}")
    spared = {guest.vmid: guest for guest in excluded}
    asked = {guest.vmid: guest for guest in guests} | spared
    return Plan(made_at=now, decisions=tuple(_decision(asked[vmid], timeout, excluded=vmid in spared) for vmid in sorted(asked)))


def reason_to_leave(guest: Guest) -> tuple[Verdict, Reason, str] | None:
    """Why this guest is not to be started, with a sentence for people; None when it may be."""
    if guest.template:
        return Verdict.KEEP, Reason.TEMPLATE, "it is a template, and templates never run"
    if guest.status == "unknown":
        detail = f"its status is unknown: node {guest.node} is offline or has stopped reporting"
        return Verdict.BLIND, Reason.STATUS_UNKNOWN, detail
    if guest.status == "running":
        return Verdict.KEEP, Reason.ALREADY_RUNNING, "it runs already"
    if guest.status == "paused":
        return Verdict.KEEP, Reason.PAUSED, "it is paused, and a start does not wake it up: resume it"
    if not guest.is_off:
        return Verdict.KEEP, Reason.PAUSED, f"its status is '{guest.status}', and only a stopped guest can be started: look at its console"
    if guest.lock and guest.lock != _ASLEEP:
        return Verdict.KEEP, Reason.LOCKED, f"it is locked ({guest.lock}): other work is going on with it, try again when that has ended"
    return None


def _decision(guest: Guest, timeout: int, *, excluded: bool) -> Decision:
    if excluded:
        return Decision(subject=guest.subject, verdict=Verdict.KEEP, reason=Reason.EXCLUDED, detail="the selection takes it away")
    left = reason_to_leave(guest)
    if left is not None:
        verdict, reason, detail = left
        return Decision(subject=guest.subject, verdict=verdict, reason=reason, detail=detail)
    through_ha = guest.hastate is not None and guest.hastate != "ignored"
    detail = "started by the HA manager" if through_ha else "started"
    return Decision(
        subject=guest.subject, verdict=Verdict.ACT, reason=Reason.REQUESTED, detail=detail, action=Start(guest=guest, timeout=timeout)
    )
