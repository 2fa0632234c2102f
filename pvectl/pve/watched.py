"""JSON rows about what only the monitor looks at: how nodes, disks, storages, jobs, backups and Ceph fare."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pvectl.core.monitor.monitored import (
    BackupJob,
    BackupVolume,
    Ceph,
    CephCheck,
    Certificate,
    Disk,
    GuestDisk,
    GuestSettings,
    GuestSnapshot,
    Member,
    Membership,
    MountedStorage,
    NodeStatus,
    Pressure,
    Release,
    Replication,
    Sample,
    ServiceState,
    Subscription,
    ThinPool,
    Updates,
    ZfsPool,
)
from pvectl.core.text import clean
from pvectl.errors import ProtocolError
from pvectl.pve.answers import VzdumpJob
from pvectl.pve.fields import Row, maybe_truth_of, object_of, text_of
from pvectl.pve.strict_json import shown

_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,9})?")
_LATEST = 2**37
_LONGEST_TEXT = 500
_YOU_ARE_HERE = "current"
_PERCENT = 100
_NOT_TOLD = ("N/A", "-", "")
_DISK = re.compile(r"(?:ide|sata|scsi|virtio|efidisk|tpmstate)[0-9]+")
_MOUNT = re.compile(r"rootfs|mp[0-9]+")
_PASSED_THROUGH = re.compile(r"(?:hostpci|usb|dev|parallel|serial)[0-9]+")


def release(data: Any, *, what: str) -> Release:
    """`/version`."""
    row = object_of(data, what)
    return Release(version=clean(text_of(row, "version", what)), release=_words(row, "release", what), repoid=_words(row, "repoid", what))


def membership(rows: list[Row], *, what: str) -> Membership:
    """Rows of `/cluster/status`; a standalone host has no row of type cluster (recorded on PVE 8.4 and 9.2)."""
    clusters = [row for row in rows if row.get("type") == "cluster"]
    members = tuple(
        Member(
            name=text_of(row, "name", what),
            online=maybe_truth_of(row, "online", what),
            id=_whole(row, "nodeid", what),
            level=_words(row, "level", what),
        )
        for row in rows
        if row.get("type") == "node"
    )
    if len(clusters) > 1 or not members or (not clusters and len(members) != 1):
        raise ProtocolError(f"{what}: {len(clusters)} cluster rows and {len(members)} node rows make no sense")
    if not clusters:
        return Membership(standalone=True, members=members)
    told = clusters[0]
    return Membership(
        name=text_of(told, "name", what),
        standalone=False,
        quorate=maybe_truth_of(told, "quorate", what),
        version=_whole(told, "version", what),
        members=members,
    )


def backup_job(job: VzdumpJob) -> BackupJob:
    """A backup job as the checks see it."""
    return BackupJob(
        id=job.id,
        enabled=job.enabled,
        schedule=job.schedule,
        all=job.all,
        vmids=job.vmids or frozenset(),
        exclude=job.exclude,
        pool=job.pool,
        node=job.node,
        storage=job.storage,
        next_run=_at(job.next_run),
    )


def vmids(rows: list[Row], *, what: str) -> frozenset[int]:
    """Rows that name guests, as `/cluster/backup-info/not-backed-up` has them."""
    found = [_whole(row, "vmid", what) for row in rows]
    if None in found:
        raise ProtocolError(f"{what}: vmid is missing")
    return frozenset(vmid for vmid in found if vmid is not None)


def ceph(data: Any, *, what: str) -> Ceph:
    """`/cluster/ceph/status`, of which only the health counts."""
    health = object_of(object_of(data, what).get("health", {}), what)
    checks = []
    for code, told in object_of(health.get("checks", {}), what).items():
        row = object_of(told, what)
        summary = object_of(row.get("summary", {}), what)
        checks.append(
            CephCheck(
                code=code,
                severity=_words(row, "severity", what),
                summary=_words(summary, "message", what) or "",
                muted=maybe_truth_of(row, "muted", what) or False,
            )
        )
    return Ceph(health=_words(health, "status", what), checks=tuple(checks))


def node_status(data: Any, *, what: str) -> NodeStatus:
    """`/nodes/N/status`."""
    row = object_of(data, what)
    root, swap = (object_of(row.get(key, {}), what) for key in ("rootfs", "swap"))
    return NodeStatus(
        uptime=_whole(row, "uptime", what),
        wait=_real(row, "wait", what),
        root_used=_whole(root, "used", what),
        root_total=_whole(root, "total", what),
        swap_used=_whole(swap, "used", what),
        swap_total=_whole(swap, "total", what),
        version=_words(row, "pveversion", what),
    )


def services(rows: list[Row], *, what: str) -> tuple[ServiceState, ...]:
    """Rows of `/nodes/N/services`."""
    return tuple(
        ServiceState(
            name=text_of(row, "name" if "name" in row else "service", what),
            state=_words(row, "state", what),
            active_state=_words(row, "active-state", what),
            unit_state=_words(row, "unit-state", what),
        )
        for row in rows
    )


def mounted(rows: list[Row], *, what: str) -> tuple[MountedStorage, ...]:
    """Rows of `/nodes/N/storage`."""
    return tuple(
        MountedStorage(
            storage=text_of(row, "storage", what), enabled=maybe_truth_of(row, "enabled", what), active=maybe_truth_of(row, "active", what)
        )
        for row in rows
    )


def replication(rows: list[Row], *, what: str) -> tuple[Replication, ...]:
    """Rows of `/nodes/N/replication`: of a job that never ran `last_sync` is 0, and most of the rest is missing."""
    found = []
    for row in rows:
        guest, last = _whole(row, "guest", what), _whole(row, "last_sync", what)
        if guest is None:
            raise ProtocolError(f"{what}: guest is missing")
        found.append(
            Replication(
                id=text_of(row, "id", what),
                guest=guest,
                source=_words(row, "source", what),
                target=_words(row, "target", what),
                schedule=_words(row, "schedule", what),
                disabled=maybe_truth_of(row, "disable", what) or False,
                fail_count=_whole(row, "fail_count", what),
                error=_words(row, "error", what),
                last_sync=_at(last),
                never_ran=last == 0,
                last_try=_at(_whole(row, "last_try", what)),
                next_sync=_at(_whole(row, "next_sync", what)),
                duration=_real(row, "duration", what),
            )
        )
    return tuple(found)


def pressure(rows: list[Row], *, what: str) -> Pressure | None:
    """The newest rows of `/nodes/N/rrddata`; None where this release does not record pressure (before 9.0)."""
    for row in reversed(rows):
        told = [_percent(row, field, what) for field in ("pressurecpusome", "pressureiofull", "pressurememoryfull")]
        if any(value is not None for value in told):
            cpu, disks, memory = told
            return Pressure(cpu_some=cpu, io_full=disks, memory_full=memory, arc=_whole(row, "arcsize", what))
    if any(key.startswith("pressure") for row in rows for key in row):
        return Pressure()
    return None


def disks(rows: list[Row], *, what: str) -> tuple[Disk, ...]:
    """Rows of `/nodes/N/disks/list`: `wearout` is the percentage of life that is left, or "N/A" (pve-storage PVE/Diskmanage.pm)."""
    _all_tell(rows, "wearout", what)
    return tuple(
        Disk(
            path=text_of(row, "devpath", what),
            serial=_words(row, "serial", what),
            model=_words(row, "model", what),
            health=_words(row, "health", what),
            life_left=None if row.get("wearout") in _NOT_TOLD else _percent(row, "wearout", what),
        )
        for row in rows
    )


def zfs(rows: list[Row], *, what: str) -> tuple[ZfsPool, ...]:
    """Rows of `/nodes/N/disks/zfs`."""
    return tuple(
        ZfsPool(
            name=text_of(row, "name", what),
            health=_words(row, "health", what),
            fragmentation=_percent(row, "frag", what),
            size=_whole(row, "size", what),
            used=_whole(row, "alloc", what),
        )
        for row in rows
    )


def thin_pools(rows: list[Row], *, what: str) -> tuple[ThinPool, ...]:
    """Rows of `/nodes/N/disks/lvmthin`."""
    return tuple(
        ThinPool(
            name=text_of(row, "lv", what),
            volume_group=text_of(row, "vg", what),
            metadata_used=_whole(row, "metadata_used", what),
            metadata_size=_whole(row, "metadata_size", what),
        )
        for row in rows
    )


def certificates(rows: list[Row], *, what: str) -> tuple[Certificate, ...]:
    """Rows of `/nodes/N/certificates/info`."""
    return tuple(Certificate(filename=text_of(row, "filename", what), not_after=_at(_whole(row, "notafter", what))) for row in rows)


def subscription(data: Any, *, what: str) -> Subscription:
    """`/nodes/N/subscription`; the date it ends on has no time of day."""
    row = object_of(data, what)
    due = _words(row, "nextduedate", what)
    try:
        ends = datetime.strptime(due, "%Y-%m-%d").replace(tzinfo=UTC) if due else None
    except ValueError:
        raise ProtocolError(f"{what}: nextduedate is {shown(due)}") from None
    return Subscription(status=_words(row, "status", what), due=ends)


def updates(rows: list[Row], *, what: str) -> Updates:
    """Rows of `/nodes/N/apt/update`."""
    _all_tell(rows, "Origin", what)
    security = [text_of(row, "Package", what) for row in rows if "security" in (_words(row, "Origin", what) or "").lower()]
    return Updates(count=len(rows), security=tuple(security))


def storage_samples(rows: list[Row], *, what: str) -> tuple[Sample, ...]:
    """Rows of a storage's `rrddata`; what nobody measured is missing or null."""
    found = []
    for row in rows:
        time = _whole(row, "time", what)
        if time is None:
            raise ProtocolError(f"{what}: time is missing")
        found.append(Sample(time=time, used=_real(row, "used", what), total=_real(row, "total", what)))
    return tuple(found)


def backups(rows: list[Row], *, what: str) -> tuple[BackupVolume, ...]:
    """The backups among the rows of `/nodes/N/storage/S/content`."""
    return tuple(
        BackupVolume(
            volid=text_of(row, "volid", what),
            vmid=_whole(row, "vmid", what),
            made_at=_at(_whole(row, "ctime", what)),
            verified=_verification(row, what),
        )
        for row in rows
        if (_words(row, "content", what) or "backup") == "backup"
    )


def _verification(row: Row, what: str) -> str | None:
    """The backup server's word on a backup; one that was not verified has no such field (pve-storage PVE/Storage/PBSPlugin.pm)."""
    told = row.get("verification")
    return None if told is None else text_of(object_of(told, what), "state", what)


def snapshots(rows: list[Row], *, what: str) -> tuple[GuestSnapshot, ...]:
    """Rows of a guest's `snapshot`, where the guest itself is one called `current`."""
    named = ((text_of(row, "name", what), row) for row in rows)
    return tuple(GuestSnapshot(name=name, taken_at=_at(_whole(row, "snaptime", what))) for name, row in named if name != _YOU_ARE_HERE)


def guest_settings(options: Mapping[str, Any], *, kind: str, what: str) -> GuestSettings:
    """What the checks want of a guest's configuration; PVE leaves out what is not set."""
    made = re.search(r"(?:^|,)ctime=([0-9]{1,11})(?:,|$)", str(options.get("meta", "")))
    lines = {key: str(value) for key, value in options.items() if isinstance(value, str)}
    return GuestSettings(
        onboot=maybe_truth_of(options, "onboot", what) or False,
        created_at=_at(int(made[1])) if made else None,
        disks=tuple(_disks_of(lines, kind)),
        bound_to_host=tuple(sorted(_bound(lines))),
    )


def _disks_of(lines: Mapping[str, str], kind: str) -> Iterator[GuestDisk]:
    slots = _DISK if kind == "qemu" else _MOUNT
    for key, line in sorted(lines.items()):
        volume, *rest = line.split(",")
        if not slots.fullmatch(key) or "media=cdrom" in rest or volume.startswith("/"):
            continue
        storage, colon, _ = volume.removeprefix("file=").removeprefix("volume=").partition(":")
        if not colon:
            continue
        # of a container's further mount points only those are backed up that say so (pve-container PVE/LXC/Config.pm)
        left_out = "backup=0" in rest if not key.startswith("mp") else "backup=1" not in rest
        yield GuestDisk(key=key, storage=storage, backup=not left_out)


def _bound(lines: Mapping[str, str]) -> Iterator[str]:
    for key, line in lines.items():
        if _PASSED_THROUGH.fullmatch(key):
            # a mapping exists on several nodes, and these are no devices of the host's
            if "mapping=" not in line and not line.startswith(("spice", "host=spice", "socket")):
                yield key
        elif (_DISK.fullmatch(key) or _MOUNT.fullmatch(key)) and line.startswith("/"):
            yield key


def _all_tell(rows: list[Row], field: str, what: str) -> None:
    """A field that PVE always has, and whose absence would look like good news."""
    if any(row.get(field) is None for row in rows):
        raise ProtocolError(f"{what}: {field} is missing")


def _words(row: Mapping[str, Any], field: str, what: str) -> str | None:
    value = row.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ProtocolError(f"{what}: {field} is {shown(value)}")
    return value[:_LONGEST_TEXT]


def _real(row: Mapping[str, Any], field: str, what: str) -> float | None:
    """A number, which PVE writes as text now and then."""
    value = row.get(field)
    if value is None:
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ProtocolError(f"{what}: {field} is {shown(value)}")
    return float(value)


def _whole(row: Mapping[str, Any], field: str, what: str) -> int | None:
    value = row.get(field)
    if type(value) is int:
        return value
    found = _real(row, field, what)
    return None if found is None else int(found)


def _percent(row: Mapping[str, Any], field: str, what: str) -> float | None:
    found = _real(row, field, what)
    return None if found is None else found / _PERCENT


def _at(seconds: int | None) -> datetime | None:
    """A moment; 0 is what PVE writes for never."""
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None and 0 < seconds < _LATEST else None
