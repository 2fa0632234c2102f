"""Which of the selected guests are started, and why the others are left alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace

from pvectl.core import order
from pvectl.core.amounts import span
from pvectl.core.model import Guest
from pvectl.core.plan import Decision, Plan, Reason, Start, Verdict

# a VM that was suspended to disk has this lock, and starting it is how it is resumed (qemu-server PVE/QemuServer.pm)
_ASLEEP = "suspended"

LONGEST_PAUSE_S = 3600
"""What a line asks for beyond that rather is a slip than a wish."""


def plan(guests: Iterable[Guest], *, excluded: Iterable[Guest] = (), timeout: int, now: datetime) -> Plan:
    """One decision for each guest, in vmid order; `timeout` is how long each is waited for, in whole seconds from 1 up.

    `excluded` are guests the selection took away: they are named, and never touched, even when they stand among `guests` as well.
    """
    if timeout < 1:
        raise ValueError(f"a guest needs at least one second to start, got {timeout}")
    spared = {guest.vmid: guest for guest in excluded}
    asked = {guest.vmid: guest for guest in guests} | spared
    return Plan(made_at=now, decisions=tuple(_decision(asked[vmid], timeout, excluded=vmid in spared) for vmid in sorted(asked)))


def in_order(plan: Plan, startup: Mapping[int, str | None]) -> Plan:
    """The same plan in stages by the guests' `startup` lines (vmid to line), each with the pause its `up=` asks for, at most an hour."""
    vmids = [action.guest.vmid for action in plan.actions]
    return replace(plan, decisions=tuple(_paused(decision, startup) for decision in plan.decisions), stages=order.starts(vmids, startup))


def _paused(decision: Decision, startup: Mapping[int, str | None]) -> Decision:
    action = decision.action
    asked = order.parse(startup.get(action.guest.vmid)).up if isinstance(action, Start) else None
    if not isinstance(action, Start) or not asked:
        return decision
    pause = min(asked, LONGEST_PAUSE_S)
    cut = f" (its up={asked} asks for more than pvectl waits)" if pause < asked else ""
    return replace(decision, action=replace(action, pause=pause), detail=f"{decision.detail}, and the next one {span(pause)} later{cut}")


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
