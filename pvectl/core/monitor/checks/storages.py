"""Whether the storages are there, have room, and will have room next month."""

from __future__ import annotations

from shlex import quote

from pvectl.core.amounts import many
from pvectl.core.model import Storage, Unknown
from pvectl.core.monitor.checks import trend
from pvectl.core.monitor.checks.check import NOT_HERE, Case, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import Blind, Look
from pvectl.core.monitor.checks.nodes import every_node
from pvectl.core.monitor.checks.settings import MINUTE
from pvectl.core.monitor.finding import Severity, Subject, Unit
from pvectl.core.monitor.monitored import NOT_ASKED, MountedStorage, NodeFacts

WORTH_A_FORECAST = 0.6
# they hand out disks without saying how large they are
_WITHOUT_SIZE = frozenset({"iscsi", "iscsidirect", "esxi"})


def fullness(rows: tuple[Storage, ...]) -> tuple[int, int] | None:
    """Used and total bytes as told by the node that sees most in use; None when no node tells."""
    told = [(row.disk, row.maxdisk) for row in rows if row.status == "available" and row.disk is not None and row.maxdisk]
    return max(told, default=None)


def _storages(look: Look) -> Eligible[tuple[Storage, ...]]:
    yield from look.unlisted()
    yield from look.storages


def _usage(case: Case, rows: tuple[Storage, ...]) -> Outcome:
    resources = case.look.view.resources
    if rows[0].plugintype in _WITHOUT_SIZE:
        return NOT_HERE
    filled = fullness(rows)
    if filled is None:
        return _why_untold(case, rows)
    used, total = filled
    share = used / total
    message = f"storage {_named(rows)} is {share:.0%} full"
    return case.measured(share, message, evidence=case.look.evidence(resources, "disk"))


def _why_untold(case: Case, rows: tuple[Storage, ...]) -> Blind:
    silent = [case.look.silent(case.subject, row.node) for row in rows]
    if silent[0] is not None and None not in silent:
        return silent[0]
    return case.untold(case.look.view.resources, f"disk and maxdisk of storage {_named(rows)}, which is {rows[0].status}")


def _forecast(case: Case, rows: tuple[Storage, ...]) -> Outcome:
    if rows[0].plugintype in _WITHOUT_SIZE:
        return NOT_HERE
    filled = fullness(rows)
    if filled is None:
        return _why_untold(case, rows)
    used, total = filled
    if used <= total * WORTH_A_FORECAST:
        return None
    facts = case.look.storage_facts.get(case.subject.object)
    if facts is None:
        return case.blind(NOT_ASKED, "storage-history", case.subject.object)
    if isinstance(facts.history, Unknown):
        return case.blind(facts.history, "storage-history", facts.object)
    days = trend.days_to_full(facts.history.value, used=used, total=total)
    if days is None:
        return NOT_HERE if trend.is_young(facts.history.value) else case.untold(facts.history, "used for long enough")
    if days == float("inf"):
        return None
    message = f"storage {_named(rows)} is {used / total:.0%} full and at its pace of the last month has room for {many(round(days), 'day')}"
    return case.measured(days, message, evidence=case.look.evidence(facts.history, "used"))


def _mounted(look: Look) -> Eligible[tuple[NodeFacts, MountedStorage]]:
    for item in every_node(look):
        if isinstance(item, Blind):
            yield item
            continue
        subject, facts = item
        storages = look.of_node(subject, facts.storages, "storages")
        if isinstance(storages, Blind):
            yield storages
            continue
        for storage in storages:
            yield Subject(object=f"storage/{facts.name}/{storage.storage}", node=facts.name), (facts, storage)


def _inactive(case: Case, told: tuple[NodeFacts, MountedStorage]) -> Outcome:
    facts, storage = told
    if storage.enabled is False:
        return NOT_HERE
    if storage.enabled is None or storage.active is None:
        return case.untold(facts.storages, f"whether {storage.storage} is enabled and active")
    if storage.active:
        return None
    message = f"storage {storage.storage} is not there on node {facts.name}"
    hint = f"on {facts.name}: pvesm status --storage {quote(storage.storage)}"
    return case.finding(Severity.CRITICAL, message, evidence=case.look.evidence(facts.storages, "active"), hint=hint)


def _named(rows: tuple[Storage, ...]) -> str:
    return rows[0].storage if rows[0].shared else f"{rows[0].storage} of node {rows[0].node}"


CHECKS = (
    check(
        "storage.usage",
        "storages have room",
        about="storage",
        sources=("resources",),
        eligible=_storages,
        examine=_usage,
        hold=5 * MINUTE,
        unit=Unit.RATIO,
    ),
    check(
        "storage.days_to_full",
        "storages will have room",
        about="storage",
        sources=("resources", "storage-history"),
        eligible=_storages,
        examine=_forecast,
        unit=Unit.DAYS,
        falling=True,
    ),
    check(
        "storage.inactive",
        "storages are there",
        about="storage",
        sources=("node-storages",),
        eligible=_mounted,
        examine=_inactive,
        hold=5 * MINUTE,
    ),
)
