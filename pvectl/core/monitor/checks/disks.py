"""Whether the disks below it all are healthy: SMART, wear, ZFS pools, thin pools' metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from shlex import quote
from typing import TypeVar

from pvectl.core.monitor.checks.check import NOT_HERE, Case, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import Blind, Look
from pvectl.core.monitor.checks.nodes import every_node
from pvectl.core.monitor.finding import Severity, Subject, Unit
from pvectl.core.monitor.monitored import Disk, Fact, NodeFacts, ThinPool, ZfsPool

T = TypeVar("T")
_FINE = ("PASSED", "OK")
# disks behind RAID controllers and virtual ones have no SMART: PVE says UNKNOWN, and that is no fault of theirs
_NO_SMART = "UNKNOWN"


def _rows_of(
    name: str, fact: Callable[[NodeFacts], Fact[tuple[T, ...]]], called: Callable[[T, Sequence[T]], str]
) -> Callable[[Look], Eligible[tuple[NodeFacts, T]]]:
    """The rows of one source of every node, each an object of its own."""

    def eligible(look: Look) -> Iterable[tuple[Subject, tuple[NodeFacts, T]] | Blind]:
        for item in every_node(look):
            if isinstance(item, Blind):
                yield item
                continue
            subject, facts = item
            rows = look.of_node(subject, fact(facts), name)
            if isinstance(rows, Blind):
                yield rows
                continue
            for row in rows:
                kind, _, rest = called(row, rows).partition("/")
                yield Subject(object=f"{kind}/{facts.name}/{rest}", node=facts.name), (facts, row)

    return eligible


def _disk_name(disk: Disk, disks: Sequence[Disk]) -> str:
    """By its serial number, as /dev/sdb may be another disk after the next boot; by its device where that names no single disk."""
    # PVE/Diskmanage.pm says "unknown" where there is none, and some enclosures give all their disks the same
    has_own = disk.serial not in (None, "", "unknown") and sum(each.serial == disk.serial for each in disks) == 1
    return f"disk/{disk.serial if has_own else disk.path.removeprefix('/dev/')}"


_disks = _rows_of("disks", lambda facts: facts.disks, _disk_name)
_pools = _rows_of("zfs", lambda facts: facts.zfs, lambda pool, _pools: f"zfs/{pool.name}")
_thin_pools = _rows_of("thin_pools", lambda facts: facts.thin_pools, lambda pool, _pools: f"thin-pool/{pool.volume_group}/{pool.name}")


def _smart(case: Case, told: tuple[NodeFacts, Disk]) -> Outcome:
    facts, disk = told
    if disk.health is None:
        return case.untold(facts.disks, f"the health of {disk.path}")
    if disk.health in _FINE:
        return None
    if disk.health == _NO_SMART:
        return NOT_HERE
    message = f"{_named(disk, facts)} says of itself: {disk.health}"
    return case.finding(Severity.CRITICAL, message, evidence=case.look.evidence(facts.disks, "health"), hint="replace it before it fails")


def _wear(case: Case, told: tuple[NodeFacts, Disk]) -> Outcome:
    facts, disk = told
    if disk.life_left is None:
        return NOT_HERE
    message = f"{_named(disk, facts)} has {disk.life_left:.0%} of its life left"
    return case.measured(disk.life_left, message, evidence=case.look.evidence(facts.disks, "wearout"))


def _named(disk: Disk, facts: NodeFacts) -> str:
    what = f" ({disk.model})" if disk.model else ""
    return f"disk {disk.path}{what} of node {facts.name}"


def _zfs_health(case: Case, told: tuple[NodeFacts, ZfsPool]) -> Outcome:
    facts, pool = told
    if pool.health is None:
        return case.untold(facts.zfs, f"the health of {pool.name}")
    if pool.health == "ONLINE":
        return None
    evidence = case.look.evidence(facts.zfs, "health")
    hint = f"on {facts.name}: zpool status {quote(pool.name)}"
    return case.finding(Severity.CRITICAL, f"ZFS pool {pool.name} of node {facts.name} is {pool.health}", evidence=evidence, hint=hint)


def _zfs_frag(case: Case, told: tuple[NodeFacts, ZfsPool]) -> Outcome:
    facts, pool = told
    if pool.fragmentation is None:
        return case.untold(facts.zfs, f"the fragmentation of {pool.name}")
    message = f"the free space of ZFS pool {pool.name} of node {facts.name} is {pool.fragmentation:.0%} fragmented"
    return case.measured(pool.fragmentation, message, evidence=case.look.evidence(facts.zfs, "frag"))


def _zfs_cap(case: Case, told: tuple[NodeFacts, ZfsPool]) -> Outcome:
    facts, pool = told
    if pool.used is None or not pool.size:
        return case.untold(facts.zfs, f"the size and use of {pool.name}")
    share = pool.used / pool.size
    message = f"ZFS pool {pool.name} of node {facts.name} is {share:.0%} full"
    return case.measured(share, message, evidence=case.look.evidence(facts.zfs, "alloc"))


def _thin_meta(case: Case, told: tuple[NodeFacts, ThinPool]) -> Outcome:
    facts, pool = told
    if pool.metadata_used is None or not pool.metadata_size:
        return case.untold(facts.thin_pools, f"the metadata of {pool.name}")
    share = pool.metadata_used / pool.metadata_size
    message = f"the metadata of thin pool {pool.volume_group}/{pool.name} of node {facts.name} is {share:.0%} full"
    hint = f"on {facts.name}: lvextend --poolmetadatasize +1G {quote(f'{pool.volume_group}/{pool.name}')}"
    return case.measured(share, message, evidence=case.look.evidence(facts.thin_pools, "metadata_used"), hint=hint)


CHECKS = (
    check("disk.smart", "disks call themselves healthy", about="disk", sources=("node-disks",), eligible=_disks, examine=_smart),
    check(
        "disk.wear",
        "disks have life left",
        about="disk",
        sources=("node-disks",),
        eligible=_disks,
        examine=_wear,
        unit=Unit.RATIO,
        falling=True,
    ),
    check("zfs.health", "ZFS pools are whole", about="zfs", sources=("node-zfs",), eligible=_pools, examine=_zfs_health),
    check(
        "zfs.frag",
        "ZFS pools are not fragmented",
        about="zfs",
        sources=("node-zfs",),
        eligible=_pools,
        examine=_zfs_frag,
        unit=Unit.RATIO,
    ),
    check("zfs.cap", "ZFS pools have room", about="zfs", sources=("node-zfs",), eligible=_pools, examine=_zfs_cap, unit=Unit.RATIO),
    check(
        "lvmthin.meta",
        "thin pools have room for metadata",
        about="thin-pool",
        sources=("node-thin_pools",),
        eligible=_thin_pools,
        examine=_thin_meta,
        unit=Unit.RATIO,
    ),
)
