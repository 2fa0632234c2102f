"""Which of the selected guests are asked to shut down, and why the others are left alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace

from pvectl.core import order
from pvectl.core.model import Guest, GuestType
from pvectl.core.plan import Decision, Plan, Reason, Shutdown, Verdict

# PVE::HA::Config::vm_is_ha_managed of pve-ha-manager: a resource in this state is left alone by the HA manager
_HA_IGNORED = "ignored"
# a backup in stop mode shuts the guest down, and starts it again (pve-manager PVE/VZDump.pm)
_BACKED_UP = "backup"


def plan(
    guests: Iterable[Guest],
    *,
    excluded: Iterable[Guest] = (),
    held: Mapping[int, str] | None = None,
    timeout: int,
    force_stop: bool = False,
    now: datetime,
) -> Plan:
    """One decision for each guest, in vmid order; `timeout` is what each guest gets to shut down, in whole seconds from 1 up.

    `excluded` are guests the selection took away: they are named, and never touched, even when they stand among `guests` as well. Nor are
    those that somebody holds: `held` has who and why by vmid.
    """
    if timeout < 1:
        # PVE waits for ever on a container with timeout=0, and gives up on a VM at once (recorded on PVE 8.4 and 9.2)
        raise ValueError(f"a guest needs at least one second to shut down, got {timeout}")
    spared = {guest.vmid: guest for guest in excluded}
    asked = {guest.vmid: guest for guest in guests} | spared
    action = {vmid: Shutdown(guest=guest, timeout=timeout, force_stop=force_stop) for vmid, guest in asked.items()}
    holds = held or {}
    decisions = tuple(_decision(action[vmid], excluded=vmid in spared, held=holds.get(vmid)) for vmid in sorted(asked))
    return Plan(made_at=now, decisions=decisions)


def in_order(plan: Plan, startup: Mapping[int, str | None], *, own_times: bool) -> Plan:
    """The same plan in stages by the guests' `startup` lines (vmid to line); with `own_times`, a VM's `down=` there is its timeout."""
    actions = [action for action in plan.actions if isinstance(action, Shutdown)]
    stages = order.stages(actions, startup)
    timed = {action.guest.vmid: action for stage in stages for action in stage} if own_times else {}
    decisions = tuple(_retimed(decision, timed) for decision in plan.decisions)
    return replace(plan, decisions=decisions, stages=tuple(tuple(action.guest.vmid for action in stage) for stage in stages))


def without_ourselves(plan: Plan, vmid: int | None) -> Plan:
    """The same plan, but for the guest pvectl runs in: shutting that down would end the run before it has told anything."""
    return replace(plan, decisions=tuple(_not_ourselves(decision, vmid) for decision in plan.decisions))


def reason_to_keep(guest: Guest) -> tuple[Verdict, Reason, str] | None:
    """Why this guest is not to be asked to shut down, with a sentence for people; None when it may be."""
    if guest.template:
        return Verdict.KEEP, Reason.TEMPLATE, "it is a template, and templates never run"
    if guest.status == "unknown":
        detail = f"its status is unknown: node {guest.node} is offline or has stopped reporting, and nothing is switched off unseen"
        return Verdict.BLIND, Reason.STATUS_UNKNOWN, detail
    if guest.is_off and guest.lock == _BACKED_UP:
        return Verdict.KEEP, Reason.LOCKED, "it is stopped for a backup only, which starts it again: try again when that has ended"
    if guest.is_off:
        return Verdict.KEEP, Reason.ALREADY_OFF, "it is stopped already"
    if guest.status == "paused":
        return Verdict.KEEP, Reason.PAUSED, "it is paused, and Proxmox VE does not shut a paused guest down: resume it first"
    if guest.status != "running":
        return Verdict.KEEP, Reason.PAUSED, f"its status is '{guest.status}', and only a running guest can shut down: look at its console"
    if guest.lock:
        return Verdict.KEEP, Reason.LOCKED, f"it is locked ({guest.lock}): other work is going on with it, try again when that has ended"
    if guest.hastate is not None and guest.hastate != _HA_IGNORED:
        return Verdict.KEEP, Reason.HA_MANAGED, _ha_detail(guest)
    return None


def _decision(action: Shutdown, *, excluded: bool, held: str | None) -> Decision:
    guest = action.guest
    if excluded:
        return Decision(subject=guest.subject, verdict=Verdict.KEEP, reason=Reason.EXCLUDED, detail="the selection takes it away")
    if held is not None:
        return Decision(subject=guest.subject, verdict=Verdict.KEEP, reason=Reason.HELD, detail=held)
    kept = reason_to_keep(guest)
    if kept is not None:
        verdict, reason, detail = kept
        return Decision(subject=guest.subject, verdict=verdict, reason=reason, detail=detail)
    return Decision(subject=guest.subject, verdict=Verdict.ACT, reason=Reason.REQUESTED, detail=_detail(action), action=action)


def _detail(action: Shutdown) -> str:
    return f"shut down within {action.within}" + (", then stopped by force" if action.force_stop else "")


def _retimed(decision: Decision, timed: Mapping[int, Shutdown]) -> Decision:
    action = timed.get(decision.action.guest.vmid) if decision.action is not None else None
    return decision if action is None else replace(decision, action=action, detail=_detail(action))


def _not_ourselves(decision: Decision, vmid: int | None) -> Decision:
    if decision.action is None or decision.action.guest.vmid != vmid:
        return decision
    detail = "pvectl itself runs in it: it would not live to tell how the others fared; shut it down by hand"
    return replace(decision, verdict=Verdict.KEEP, reason=Reason.OURSELVES, detail=detail, action=None)


def _ha_detail(guest: Guest) -> str:
    if guest.type == GuestType.QEMU:
        kind, force = "vm", ", and stop it by force after 1m"
    else:
        kind, force = "ct", ""
    return (
        f"the HA manager runs it (state {guest.hastate}): a shutdown would set its HA state to stopped for good{force}; "
        f"if that is wanted, run: ha-manager set {kind}:{guest.vmid} --state stopped"
    )
