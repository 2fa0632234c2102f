"""Vetoes of the guests on a node: each one that is not off speaks for itself."""

from __future__ import annotations

from collections.abc import Iterator

from pvectl.core.evidence import HaService
from pvectl.core.idle.record import Blocker
from pvectl.core.idle.vetoes.case import Case, carries, each, permits, tag_counts, unseen, value
from pvectl.core.model import Guest, GuestType
from pvectl.core.plan import Reason

HA_IGNORED = "ignored"
# a guest that hibernated keeps this lock while it is off; every other lock says that work goes on (qemu-server, pve-container: `lock`)
_LOCK_AT_REST = "suspended"


def running(case: Case) -> tuple[Guest, ...]:
    """The guests on the node that are not off, by vmid; anything but "stopped" counts as running (safety rule S4)."""
    return tuple(sorted((guest for guest in each(case.evidence.guests) if not guest.is_off), key=lambda guest: guest.vmid))


def of_guests(case: Case) -> Iterator[Blocker]:
    for guest in sorted(each(case.evidence.guests), key=lambda guest: guest.vmid):
        if guest.lock and not (guest.is_off and guest.lock == _LOCK_AT_REST):
            yield _keeps(guest, Reason.LOCKED, f"is locked ({guest.lock}): work goes on with it")
        elif not guest.is_off:
            yield from _of_running(case, guest)


def needs_its_node(guest: Guest, case: Case) -> bool:
    """Whether a guest that runs, or ran, is one of those the node has to stay on for."""
    return not permits(guest, case)


def ha_service(guest: Guest, case: Case) -> HaService | None:
    """The HA manager's entry for the guest, None where it leaves the guest alone."""
    ha = value(case.evidence.ha)
    sid = f"{'vm' if guest.type == GuestType.QEMU else 'ct'}:{guest.vmid}"
    for service in ha.services if ha is not None else ():
        if service.sid == sid:
            return None if HA_IGNORED in (service.state, service.request_state) else service
    return HaService(sid=sid, node=guest.node, state=guest.hastate) if guest.hastate not in (None, HA_IGNORED) else None


def _of_running(case: Case, guest: Guest) -> Iterator[Blocker]:
    if guest.status == "unknown":
        yield unseen(guest.subject, f"{guest.label} has an unknown status")
    elif guest.status != "running":
        yield _keeps(guest, Reason.PAUSED, f"is {guest.status}, and cannot be shut down like that")
    elif guest.vmid in case.policy.exclude:
        yield _keeps(guest, Reason.EXCLUDED, "runs, and the configuration excludes it")
    elif not carries(guest, case.policy.tag, case.evidence.tags_case_sensitive):
        yield _keeps(guest, Reason.NOT_TAGGED, f"has no tag {case.policy.tag}")
    elif not tag_counts(case):
        yield _keeps(guest, Reason.TAG_UNREGISTERED, f"has the tag {case.policy.tag}, but the cluster has not registered it")
    elif case.draining is not None and guest.vmid not in case.draining:
        yield _keeps(guest, Reason.STARTED_MEANWHILE, "was started after the decision was made")
    elif case.policy.ha != "request-stop" and (service := ha_service(guest, case)) is not None:
        yield _keeps(guest, Reason.HA_MANAGED, f"is run by the HA manager (state {service.state})")


def of_guest_holds(case: Case) -> Iterator[Blocker]:
    subjects = {guest.subject: guest for guest in running(case)}
    for hold in case.evidence.holds:
        guest = subjects.get(hold.subject)
        if guest is not None and hold.until > case.now.wall:
            detail = f"{guest.label} is held by {hold.who}: {hold.reason}"
            yield Blocker(reason=Reason.HELD, subject=guest.subject, detail=detail, until=hold.until)


def of_whereabouts(case: Case) -> Iterator[Blocker]:
    where = value(case.evidence.whereabouts)
    if where is not None and where.place == "guest":
        detail = f"pvectl itself runs in guest {where.vmid} on it" if where.vmid is not None else "pvectl itself runs in a guest on it"
        subject = case.subject if where.vmid is None else f"guest/{where.vmid}"
        yield Blocker(reason=Reason.RUNS_HERE, subject=subject, detail=detail)


def _keeps(guest: Guest, reason: Reason, detail: str) -> Blocker:
    return Blocker(reason=reason, subject=guest.subject, detail=f"{guest.label} {detail}")
