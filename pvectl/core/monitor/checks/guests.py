"""Whether the guests run that should, what they use, and for how long their snapshots have been kept."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain

from pvectl.core.amounts import many
from pvectl.core.model import Guest, Known
from pvectl.core.monitor.checks.check import NOT_HERE, Case, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import Blind, Look
from pvectl.core.monitor.checks.settings import DAY, MINUTE
from pvectl.core.monitor.finding import Severity, Unit

# states of the HA manager in which it keeps a guest off on purpose (pve-ha-manager PVE/HA/Manager.pm)
_OFF_ON_PURPOSE = frozenset({"stopped", "request_stop", "disabled"})


def every_guest(look: Look) -> Eligible[Guest]:
    """Every guest on the list that is no template; being blind when there is no list."""
    return chain(look.unlisted(), look.guests)


def _onboot(case: Case, guest: Guest) -> Outcome:
    look = case.look
    settings = look.guest_facts(guest.vmid).settings
    if not isinstance(settings, Known):
        return case.blind(settings, "guest-settings", "guests")
    if settings.value.onboot is None:
        return case.untold(settings, "onboot")
    if not settings.value.onboot:
        return NOT_HERE
    if (unheard := _unheard(case, guest)) is not None:
        return unheard
    if guest.template is None:
        return case.untold(look.view.resources, "template")
    if not guest.is_off or guest.lock or guest.hastate in _OFF_ON_PURPOSE:
        return None
    node = look.listed_nodes.get(guest.node)
    if node is None or node.uptime is None:
        return case.untold(look.view.resources, "how long the node has been up")
    if node.uptime <= look.settings.onboot_patience:
        return None
    stopped_at = look.view.remembered.stopped.get(guest.vmid)
    if stopped_at is not None and stopped_at > look.now - timedelta(seconds=node.uptime):
        # pvectl shut it down itself, and the node has not booted since
        return NOT_HERE
    message = f"guest {guest.label} is stopped although it is to start at boot"
    return case.finding(Severity.WARNING, message, evidence=look.evidence(look.view.resources, "status"))


def _unheard(case: Case, guest: Guest) -> Blind | None:
    """Why the figures of a guest that may run are not known, if it is because nothing is heard of it."""
    if guest.status != "unknown":
        return None
    return case.look.silent(case.subject, guest.node) or case.untold(case.look.view.resources, f"the status of guest {guest.vmid}")


def _cpu(case: Case, guest: Guest) -> Outcome:
    if guest.is_off:
        return NOT_HERE
    if (unheard := _unheard(case, guest)) is not None:
        return unheard
    resources = case.look.view.resources
    if guest.cpu is None:
        return case.untold(resources, "cpu")
    evidence = case.look.evidence(resources, "cpu")
    return case.measured(guest.cpu, f"guest {guest.label} uses {guest.cpu:.0%} of its processors", evidence=evidence)


def _mem(case: Case, guest: Guest) -> Outcome:
    if guest.is_off:
        return NOT_HERE
    if (unheard := _unheard(case, guest)) is not None:
        return unheard
    resources = case.look.view.resources
    if guest.mem is None or not guest.maxmem:
        return case.untold(resources, "mem and maxmem")
    share = guest.mem / guest.maxmem
    return case.measured(share, f"guest {guest.label} uses {share:.0%} of its memory", evidence=case.look.evidence(resources, "mem"))


def _snapshot_age(case: Case, guest: Guest) -> Outcome:
    look = case.look
    snapshots = look.guest_facts(guest.vmid).snapshots
    if not isinstance(snapshots, Known):
        return case.blind(snapshots, "guest-snapshots", "guests")
    if not snapshots.value:
        return None
    dated = [(snapshot.taken_at, snapshot.name) for snapshot in snapshots.value if snapshot.taken_at is not None]
    if len(dated) < len(snapshots.value):
        return case.untold(snapshots, "snaptime")
    taken_at, name = min(dated) if len(dated) > 1 else dated[0]
    age = (look.now - taken_at).total_seconds()
    if case.is_fine(age):
        return None
    message = f"guest {guest.label} has kept snapshot {name} for {many(round(age / DAY), 'day')}"
    return case.measured(age, message, evidence=look.evidence(snapshots, "snaptime"), since=taken_at)


CHECKS = (
    check(
        "guest.onboot_stopped",
        "guests that start at boot run",
        about="guest",
        sources=("resources", "guest-settings"),
        eligible=every_guest,
        examine=_onboot,
        hold=10 * MINUTE,
    ),
    check(
        "guest.cpu",
        "guests have processor time left",
        about="guest",
        sources=("resources",),
        eligible=every_guest,
        examine=_cpu,
        hold=15 * MINUTE,
        unit=Unit.RATIO,
    ),
    check(
        "guest.mem",
        "guests have memory left",
        about="guest",
        sources=("resources",),
        eligible=every_guest,
        examine=_mem,
        hold=15 * MINUTE,
        unit=Unit.RATIO,
    ),
    check(
        "guest.snapshot_age",
        "snapshots are not kept for ever",
        about="guest",
        sources=("resources", "guest-snapshots"),
        eligible=every_guest,
        examine=_snapshot_age,
        unit=Unit.SECONDS,
    ),
)
