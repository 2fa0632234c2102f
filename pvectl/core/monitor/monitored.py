"""Everything `pvectl monitor` looks at: each source a fact of its own, with where it came from, when, and why it is missing if it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias, TypeVar

from msgspec import Struct

from pvectl.core.evidence import HaStatus, Task
from pvectl.core.model import BlindSpot, Guest, Known, Node, Storage, Unknown
from pvectl.core.permits import Rights

T = TypeVar("T")
Fact: TypeAlias = Known[T] | Unknown

NOT_ASKED = Unknown(reason="nobody asked")


class Listing(Struct, frozen=True, kw_only=True):
    """`/cluster/resources`: up to 300 s old, and without what the token may not see."""

    nodes: tuple[Node, ...] = ()
    guests: tuple[Guest, ...] = ()
    storages: tuple[Storage, ...] = ()
    pools: Mapping[str, frozenset[int]] = {}


class Member(Struct, frozen=True, kw_only=True):
    """A node as `/cluster/status` sees it; `level` is its subscription's letter, "" without one."""

    name: str
    online: bool | None = None
    id: int | None = None
    level: str | None = None


class Membership(Struct, frozen=True, kw_only=True):
    """`/cluster/status`. A `standalone` host has no name and knows no quorum; `version` counts the cluster's configurations."""

    name: str | None = None
    standalone: bool
    quorate: bool | None = None
    version: int | None = None
    members: tuple[Member, ...] = ()


class BackupJob(Struct, frozen=True, kw_only=True):
    """A job of `/cluster/backup`. `vmids` are named guests; with `all` it takes every guest but `exclude`; `pool` takes a pool's guests.

    `node` limits it to guests on that node. `schedule` is a PVE calendar event.
    """

    id: str
    enabled: bool = True
    schedule: str | None = None
    all: bool = False
    vmids: frozenset[int] = frozenset()
    exclude: frozenset[int] = frozenset()
    pool: str | None = None
    node: str | None = None
    storage: str | None = None
    next_run: datetime | None = None


class CephCheck(Struct, frozen=True, kw_only=True):
    """One entry of Ceph's `health.checks`: `code` like OSD_DOWN, `severity` HEALTH_WARN or HEALTH_ERR."""

    code: str
    severity: str | None = None
    summary: str = ""
    muted: bool = False


class Ceph(Struct, frozen=True, kw_only=True):
    """`/cluster/ceph/status`; `health` is HEALTH_OK, HEALTH_WARN or HEALTH_ERR."""

    health: str | None = None
    checks: tuple[CephCheck, ...] = ()


class Release(Struct, frozen=True, kw_only=True):
    """`/version` of the host that was asked."""

    version: str
    release: str | None = None
    repoid: str | None = None


class NodeStatus(Struct, frozen=True, kw_only=True):
    """`/nodes/N/status`: sizes in bytes, `wait` the share of time spent waiting for disks (0..1), `uptime` in seconds."""

    uptime: int | None = None
    wait: float | None = None
    root_used: int | None = None
    root_total: int | None = None
    swap_used: int | None = None
    swap_total: int | None = None
    version: str | None = None


class ClockReading(Struct, frozen=True, kw_only=True):
    """`/nodes/N/time`: the epoch second the node told, asked for between our epoch seconds `asked` and `answered`."""

    told: int | None = None
    asked: float
    answered: float


class ServiceState(Struct, frozen=True, kw_only=True):
    """A row of `/nodes/N/services`, in systemd's words; `active_state` is None before PVE told it, then `state` speaks."""

    name: str
    state: str | None = None
    active_state: str | None = None
    unit_state: str | None = None


class MountedStorage(Struct, frozen=True, kw_only=True):
    """A row of `/nodes/N/storage`: whether the storage is meant to be there, and whether it is."""

    storage: str
    enabled: bool | None = None
    active: bool | None = None


class Replication(Struct, frozen=True, kw_only=True):
    """A row of `/nodes/N/replication`; a new job has neither `duration` nor `error`, and a `last_sync` of 0, here `never_ran`."""

    id: str
    guest: int
    source: str | None = None
    target: str | None = None
    schedule: str | None = None
    disabled: bool = False
    fail_count: int | None = None
    error: str | None = None
    last_sync: datetime | None = None
    never_ran: bool = False
    last_try: datetime | None = None
    next_sync: datetime | None = None
    duration: float | None = None


class Pressure(Struct, frozen=True, kw_only=True):
    """The newest row of `/nodes/N/rrddata`, as shares of time (0..1) in which tasks stalled; `arc` is ZFS's cache in bytes."""

    cpu_some: float | None = None
    io_full: float | None = None
    memory_full: float | None = None
    arc: int | None = None


class Disk(Struct, frozen=True, kw_only=True):
    """A row of `/nodes/N/disks/list`. `life_left` is the share of life that remains (PVE's `wearout`, 0..1), None where it says N/A."""

    path: str
    serial: str | None = None
    model: str | None = None
    health: str | None = None
    life_left: float | None = None


class ZfsPool(Struct, frozen=True, kw_only=True):
    """A row of `/nodes/N/disks/zfs`; `fragmentation` 0..1."""

    name: str
    health: str | None = None
    fragmentation: float | None = None
    size: int | None = None
    used: int | None = None


class ThinPool(Struct, frozen=True, kw_only=True):
    """A row of `/nodes/N/disks/lvmthin`, sizes in bytes."""

    name: str
    volume_group: str
    metadata_used: int | None = None
    metadata_size: int | None = None


class Certificate(Struct, frozen=True, kw_only=True):
    """A row of `/nodes/N/certificates/info`."""

    filename: str
    not_after: datetime | None = None


class Subscription(Struct, frozen=True, kw_only=True):
    """`/nodes/N/subscription`: `status` new, notfound, active, invalid, expired or suspended."""

    status: str | None = None
    due: datetime | None = None


class Updates(Struct, frozen=True, kw_only=True):
    """`/nodes/N/apt/update`: how many packages have a newer version, and which of them come from a security archive."""

    count: int
    security: tuple[str, ...] = ()


class TaskLog(Struct, frozen=True, kw_only=True):
    """The last word on each kind of work on each guest among the tasks that ended lately, oldest first (`pvectl.core.monitor.task_cursor`).

    `gap_since`: between then and now PVE's list had been rotated away before it was read.
    """

    ended: tuple[Task, ...] = ()
    gap_since: datetime | None = None


class GuestDisk(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A volume in a guest's configuration. `key` is its slot (scsi1, rootfs, mp0); `backup` False: left out of backups (`backup=0`)."""

    key: str
    storage: str | None = None
    backup: bool = True


class GuestSettings(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A guest's configuration; `bound_to_host` are the slots that tie it to its node (hostpci0, usb0, a bind mount).

    PVE leaves out what is not set: no `onboot` in a configuration is False here.
    """

    onboot: bool | None = None
    created_at: datetime | None = None
    disks: tuple[GuestDisk, ...] = ()
    bound_to_host: tuple[str, ...] = ()


class GuestSnapshot(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A snapshot of a guest; PVE's entry `current` is none."""

    name: str
    taken_at: datetime | None = None


class Sample(Struct, frozen=True, kw_only=True):
    """A row of a storage's rrddata: bytes at an epoch second, None where PVE has no sample."""

    time: int
    used: float | None = None
    total: float | None = None


class BackupVolume(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One backup on a storage. `verified`: the backup server's last word, "ok" or "failed", None when it was not verified."""

    volid: str
    vmid: int | None = None
    made_at: datetime | None = None
    verified: str | None = None


class NodeFacts(Struct, frozen=True, kw_only=True):
    """What one node was asked; every field but the name is a source of `pvectl.core.monitor.checks.sources`."""

    name: str
    status: Fact[NodeStatus] = NOT_ASKED
    clock: Fact[ClockReading] = NOT_ASKED
    services: Fact[tuple[ServiceState, ...]] = NOT_ASKED
    storages: Fact[tuple[MountedStorage, ...]] = NOT_ASKED
    replication: Fact[tuple[Replication, ...]] = NOT_ASKED
    tasks: Fact[TaskLog] = NOT_ASKED
    pressure: Fact[Pressure | None] = NOT_ASKED
    """Known(None): this release of PVE does not tell (before 9.0)."""
    disks: Fact[tuple[Disk, ...]] = NOT_ASKED
    zfs: Fact[tuple[ZfsPool, ...]] = NOT_ASKED
    thin_pools: Fact[tuple[ThinPool, ...]] = NOT_ASKED
    certificates: Fact[tuple[Certificate, ...]] = NOT_ASKED
    subscription: Fact[Subscription] = NOT_ASKED
    updates: Fact[Updates] = NOT_ASKED


class StorageFacts(Struct, frozen=True, kw_only=True):
    """What a storage was asked, through the node `node`; a shared one is asked once."""

    storage: str
    node: str
    shared: bool | None = None
    history: Fact[tuple[Sample, ...]] = NOT_ASKED
    """A month of rrddata; only worth a request above 60 % use."""
    backups: Fact[tuple[BackupVolume, ...]] = NOT_ASKED
    """Only where the storage's content includes backup."""

    @property
    def object(self) -> str:
        return storage_object(self.storage, self.node, shared=self.shared)


class GuestFacts(Struct, frozen=True, kw_only=True, gc=False):
    """What a guest was asked; both hourly."""

    vmid: int
    settings: Fact[GuestSettings] = NOT_ASKED
    snapshots: Fact[tuple[GuestSnapshot, ...]] = NOT_ASKED


class LockSeen(Struct, frozen=True, kw_only=True):
    """Since when pvectl itself has seen this lock on the guest without a break."""

    lock: str
    since: datetime


class Delivery(Struct, frozen=True, kw_only=True):
    """How the outbox of `pvectl alert` stands."""

    oldest: datetime | None = None
    dead: int = 0


class Remembered(Struct, frozen=True, kw_only=True):
    """What earlier runs left behind.

    `off` are the nodes pvectl switched off itself, `stopped` the guests it shut down itself, each with the moment; `disarmed_since` is
    when HA was first seen disarmed.
    """

    locks: Mapping[int, LockSeen] = {}
    disarmed_since: datetime | None = None
    off: Mapping[str, datetime] = {}
    stopped: Mapping[int, datetime] = {}
    delivery: Delivery | None = None
    """None: there is no alerting here to watch."""


class MonitorView(Struct, frozen=True, kw_only=True):
    """One look at a whole cluster. Every fact field is a source; `nodes`, `storages` and `guests` hold those that are asked one by one.

    `took` has the seconds each request cost, by its path. `rights` has an entry for each path that was asked for or that PVE listed
    (`checks.sources.paths_to_ask` names them); `sight` the blind spots of the completeness proof, Known(()) when it holds.
    """

    taken_at: datetime
    token_id: str = ""
    cluster: str | None = None
    """The name of the cluster in pvectl's configuration."""
    resources: Fact[Listing] = NOT_ASKED
    membership: Fact[Membership] = NOT_ASKED
    ha: Fact[HaStatus] = NOT_ASKED
    votes: Fact[Mapping[str, int]] = NOT_ASKED
    device: Fact[str | None] = NOT_ASKED
    """The quorum device's state as the asked node sees it, "Connected" when it counts; Known(None) without one."""
    backup_jobs: Fact[tuple[BackupJob, ...]] = NOT_ASKED
    uncovered: Fact[frozenset[int]] = NOT_ASKED
    """The guests in no backup job, as PVE itself counts them."""
    running: Fact[tuple[Task, ...]] = NOT_ASKED
    """The running tasks of all nodes."""
    ceph: Fact[Ceph | None] = NOT_ASKED
    """Known(None): there is no Ceph here."""
    release: Fact[Release] = NOT_ASKED
    rights: Fact[Mapping[str, Rights]] = NOT_ASKED
    sight: Fact[tuple[BlindSpot, ...]] = NOT_ASKED
    nodes: tuple[NodeFacts, ...] = ()
    storages: tuple[StorageFacts, ...] = ()
    guests: Mapping[int, GuestFacts] = {}
    remembered: Remembered = Remembered()
    took: Mapping[str, float] = {}


class Reading(Struct, frozen=True, kw_only=True):
    """How one source did. `name` is the source's, `object` whose answer it is ("cluster", "node/pve1", "storage/nfs", "guest/100").

    `status`: "ok" or "unknown", the latter with its `error`; `age` and `took` in seconds.
    """

    name: str
    object: str
    path: str | None = None
    status: str
    error: str | None = None
    taken_at: datetime | None = None
    age: float | None = None
    took: float | None = None


def readings(view: MonitorView, *, guests: bool = True) -> tuple[Reading, ...]:
    """Every source somebody asked, cluster-wide ones first, then node by node, storage by storage, and with `guests` guest by guest."""
    rows = list(_readings_of(view, "cluster", "cluster", view))
    for node in view.nodes:
        rows += _readings_of(view, "node", f"node/{node.name}", node)
    for storage in view.storages:
        rows += _readings_of(view, "storage", storage.object, storage)
    for guest in view.guests.values() if guests else ():
        rows += _readings_of(view, "guest", f"guest/{guest.vmid}", guest)
    return tuple(rows)


def _readings_of(view: MonitorView, scope: str, whose: str, holder: Struct) -> list[Reading]:
    rows = []
    for field in FACTS[scope]:
        fact = getattr(holder, field)
        name = field if scope == "cluster" else f"{scope}-{field}"
        if isinstance(fact, Known):
            age = (view.taken_at - fact.taken_at).total_seconds()
            took = view.took.get(fact.source)
            rows.append(
                Reading(name=name, object=whose, path=fact.source, status="ok", taken_at=fact.taken_at, age=max(age, 0.0), took=took)
            )
        elif fact is not NOT_ASKED:
            took = view.took.get(fact.source) if fact.source else None
            rows.append(Reading(name=name, object=whose, path=fact.source, status="unknown", error=fact.reason, took=took))
    return rows


def _fact_fields(struct: type[Struct]) -> tuple[str, ...]:
    defaults = zip(struct.__struct_fields__[::-1], struct.__struct_defaults__[::-1], strict=False)
    return tuple(name for name, default in defaults if default is NOT_ASKED)[::-1]


FACTS: Mapping[str, tuple[str, ...]] = {
    "cluster": _fact_fields(MonitorView),
    "node": _fact_fields(NodeFacts),
    "storage": _fact_fields(StorageFacts),
    "guest": _fact_fields(GuestFacts),
}
"""The fields that are sources, by the kind of thing that is asked."""


def storage_object(storage: str, node: str, *, shared: bool | None) -> str:
    """How findings name a storage: a shared one is the same on every node."""
    return f"storage/{storage}" if shared else f"storage/{node}/{storage}"
