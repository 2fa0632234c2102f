"""A cluster that is fine in every respect, seen whole; the tests break it piece by piece."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.evidence import HaService, HaStatus, Task
from pvectl.core.model import Guest, Known, Node, Storage
from pvectl.core.monitor.checks.evaluation import Evaluation, evaluate
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.finding import Finding
from pvectl.core.monitor.monitored import (
    BackupJob,
    BackupVolume,
    Ceph,
    Certificate,
    ClockReading,
    Delivery,
    Disk,
    GuestDisk,
    GuestFacts,
    GuestSettings,
    GuestSnapshot,
    Listing,
    LockSeen,
    Member,
    Membership,
    MonitorView,
    MountedStorage,
    NodeFacts,
    NodeStatus,
    Pressure,
    Release,
    Remembered,
    Replication,
    Sample,
    ServiceState,
    StorageFacts,
    Subscription,
    TaskLog,
    ThinPool,
    Updates,
    ZfsPool,
)

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
GIB = 2**30
NODES = ("pve1", "pve2", "pve3")
TOKEN = "pvectl@pve!mon"
AUDITOR = {"Sys.Audit": True, "VM.Audit": True, "Datastore.Audit": True}
BACKUP_SIGHT = {**AUDITOR, "Datastore.AllocateSpace": True, "VM.Backup": True}


PATHS = ("/", "/vms", "/storage", "/access", "/storage/nfs", "/storage/local", *(f"/nodes/{name}" for name in NODES))


def known(value: T, source: str = "/some/path", *, age: float = 2.0) -> Known[T]:
    return Known(value=value, source=source, taken_at=NOW - timedelta(seconds=age))


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def guest(vmid: int = 100, **told: Any) -> Guest:
    return Guest(
        **{
            "vmid": vmid,
            "type": "qemu",
            "node": "pve1",
            "status": "running",
            "name": f"guest{vmid}",
            "template": False,
            "cpu": 0.1,
            "maxcpu": 2,
            "mem": GIB,
            "maxmem": 2 * GIB,
            "uptime": 86400,
            **told,
        }
    )


def node(name: str, **told: Any) -> Node:
    whole = {"status": "online", "cpu": 0.2, "maxcpu": 8, "mem": 8 * GIB, "maxmem": 32 * GIB, "uptime": 86400}
    return Node(name=name, **{**whole, **told})


def node_facts(name: str) -> NodeFacts:
    path = f"/nodes/{name}"
    return NodeFacts(
        name=name,
        status=known(
            NodeStatus(
                uptime=86400, wait=0.01, root_used=10 * GIB, root_total=100 * GIB, swap_used=0, swap_total=8 * GIB, version="9.2.11"
            ),
            f"{path}/status",
        ),
        clock=known(ClockReading(told=EPOCH, asked=EPOCH + 0.45, answered=EPOCH + 0.55), f"{path}/time"),
        services=known(
            tuple(
                ServiceState(name=service, state="running", active_state="active", unit_state="enabled")
                for service in ("pveproxy", "pvedaemon", "pvestatd", "corosync")
            ),
            f"{path}/services",
        ),
        storages=known(
            (MountedStorage(storage="local", enabled=True, active=True), MountedStorage(storage="nfs", enabled=True, active=True)),
            f"{path}/storage",
        ),
        replication=known(
            (
                Replication(
                    id="101-0",
                    guest=101,
                    source="pve1",
                    target="pve2",
                    schedule="*/15",
                    fail_count=0,
                    last_sync=ago(minutes=10),
                    last_try=ago(minutes=10),
                    next_sync=NOW + timedelta(minutes=5),
                    duration=3.2,
                ),
            )
            if name == "pve1"
            else (),
            f"{path}/replication",
        ),
        tasks=known(TaskLog(ended=(task(name, "qmstart", "100"),)), f"{path}/tasks"),
        pressure=known(Pressure(cpu_some=0.01, io_full=0.0, memory_full=0.0, arc=GIB), f"{path}/rrddata", age=600),
        disks=known(
            (Disk(path="/dev/sda", serial=f"S-{name}", model="Disk 9000", health="PASSED", life_left=0.97),),
            f"{path}/disks/list",
            age=600,
        ),
        zfs=known(
            (ZfsPool(name="rpool", health="ONLINE", fragmentation=0.1, size=100 * GIB, used=20 * GIB),), f"{path}/disks/zfs", age=600
        ),
        thin_pools=known(
            (ThinPool(name="data", volume_group="pve", metadata_used=GIB // 10, metadata_size=GIB),), f"{path}/disks/lvmthin", age=600
        ),
        certificates=known(
            (
                Certificate(filename="pve-root-ca.pem", not_after=NOW + timedelta(days=3000)),
                Certificate(filename="pve-ssl.pem", not_after=NOW + timedelta(days=400)),
            ),
            f"{path}/certificates/info",
            age=600,
        ),
        subscription=known(Subscription(status="active", due=NOW + timedelta(days=200)), f"{path}/subscription", age=600),
        updates=known(Updates(count=3), f"{path}/apt/update", age=600),
    )


def task(node_name: str, kind: str, whom: str = "", *, status: str | None = "OK", started: float = 600, ended: float | None = 500) -> Task:
    start = EPOCH - int(started)
    return Task(
        upid=f"UPID:{node_name}:0000034A:00064254:{start:08X}:{kind}:{whom}:root@pam:",
        type=kind,
        id=whom,
        started=start,
        ended=None if ended is None else EPOCH - int(ended),
        status=status,
    )


def month(*, per_day: float, last: float, total: float) -> tuple[Sample, ...]:
    """A month of half days that ends at `last` bytes and grows by `per_day`."""
    return tuple(Sample(time=EPOCH - step * 43200, used=last - per_day * step / 2, total=total) for step in reversed(range(60)))


def whole() -> MonitorView:
    """Three nodes, four guests, a shared storage with backups; every check has something to say yes to."""
    storages = (
        *(
            Storage(
                storage="local",
                node=name,
                status="available",
                plugintype="dir",
                shared=False,
                content=("iso", "vztmpl"),
                disk=10 * GIB,
                maxdisk=100 * GIB,
            )
            for name in NODES
        ),
        *(
            Storage(
                storage="nfs",
                node=name,
                status="available",
                plugintype="nfs",
                shared=True,
                content=("backup", "images"),
                disk=650 * GIB,
                maxdisk=1000 * GIB,
            )
            for name in NODES
        ),
    )
    guests = (
        guest(100, name="web", tags=("prod",)),
        guest(101, name="db", pool="core", hastate="started"),
        guest(200, name="ct", type="lxc", node="pve2", status="stopped", cpu=0, mem=0, uptime=0),
        guest(900, name="tpl", template=True, status="stopped"),
    )
    return MonitorView(
        taken_at=NOW,
        token_id=TOKEN,
        cluster="lab",
        resources=known(
            Listing(nodes=tuple(node(name) for name in NODES), guests=guests, storages=storages, pools={"core": frozenset({101})}),
            "/cluster/resources",
        ),
        membership=known(
            Membership(
                name="lab",
                standalone=False,
                quorate=True,
                version=3,
                members=tuple(Member(name=name, online=True, id=number, level="") for number, name in enumerate(NODES, 1)),
            ),
            "/cluster/status",
        ),
        ha=known(
            HaStatus(
                quorate=True,
                manager="active",
                services=(HaService(sid="vm:101", node="pve1", state="started", request_state="started"),),
                lrm=tuple((name, "active") for name in NODES),
                armed="armed",
            ),
            "/cluster/ha/status/current",
        ),
        votes=known(dict.fromkeys(NODES, 1), "/cluster/config/nodes"),
        device=known("Connected", "/cluster/config/qdevice"),
        backup_jobs=known(
            (BackupJob(id="backup-nightly", schedule="02:00", all=True, storage="nfs", next_run=NOW + timedelta(hours=14)),),
            "/cluster/backup",
        ),
        uncovered=known(frozenset(), "/cluster/backup-info/not-backed-up"),
        running=known((), "/cluster/tasks"),
        ceph=known(Ceph(health="HEALTH_OK"), "/cluster/ceph/status"),
        release=known(Release(version="9.2.11", release="9.2", repoid="14a22df"), "/version"),
        rights=known(
            dict.fromkeys(PATHS, BACKUP_SIGHT),
            "/access/permissions",
        ),
        sight=known((), "/access/acl"),
        nodes=tuple(node_facts(name) for name in NODES),
        storages=(
            *(StorageFacts(storage="local", node=name, shared=False) for name in NODES),
            StorageFacts(
                storage="nfs",
                node="pve1",
                shared=True,
                history=known(month(per_day=0.1 * GIB, last=650 * GIB, total=1000 * GIB), "/nodes/pve1/storage/nfs/rrddata", age=600),
                backups=known(
                    tuple(
                        BackupVolume(volid=f"nfs:backup/{vmid}-{day}", vmid=vmid, made_at=ago(days=day, hours=10), verified="ok")
                        for vmid in (100, 101, 200)
                        for day in range(3)
                    ),
                    "/nodes/pve1/storage/nfs/content",
                    age=600,
                ),
            ),
        ),
        guests={
            each.vmid: GuestFacts(
                vmid=each.vmid,
                settings=known(
                    GuestSettings(
                        onboot=each.status == "running",
                        created_at=ago(days=300),
                        disks=(GuestDisk(key="scsi0", storage="nfs"),),
                    ),
                    f"/nodes/{each.node}/{each.type}/{each.vmid}/config",
                    age=600,
                ),
                snapshots=known(
                    (GuestSnapshot(name="before", taken_at=ago(days=1)),), f"/nodes/{each.node}/{each.type}/{each.vmid}/snapshot", age=600
                ),
            )
            for each in guests
        },
        remembered=Remembered(delivery=Delivery(), locks={100: LockSeen(lock="backup", since=ago(minutes=5))}),
    )


EVERYTHING = MonitorSettings(enable=("node.subscription", "node.updates"))
"""Every check on."""


def changed_node(view: MonitorView, name: str = "pve1", **facts: Any) -> MonitorView:
    """The view with other facts about one node."""
    return replace(view, nodes=tuple(replace(each, **facts) if each.name == name else each for each in view.nodes))


def changed_guest(view: MonitorView, vmid: int = 100, **facts: Any) -> MonitorView:
    """The view with other facts about one guest."""
    return replace(view, guests={**view.guests, vmid: replace(view.guests[vmid], **facts)})


def relisted(view: MonitorView, vmid: int = 100, **told: Any) -> MonitorView:
    """The view with another row for one guest."""
    return listing(view, guests=tuple(replace(each, **told) if each.vmid == vmid else each for each in listed(view).guests))


def relisted_node(view: MonitorView, name: str = "pve1", **told: Any) -> MonitorView:
    return listing(view, nodes=tuple(replace(each, **told) if each.name == name else each for each in listed(view).nodes))


def relisted_storage(view: MonitorView, storage: str = "nfs", **told: Any) -> MonitorView:
    return listing(view, storages=tuple(replace(each, **told) if each.storage == storage else each for each in listed(view).storages))


def listed(view: MonitorView) -> Listing:
    assert isinstance(view.resources, Known)
    return view.resources.value


def listing(view: MonitorView, **told: Any) -> MonitorView:
    return replace(view, resources=known(replace(listed(view), **told), "/cluster/resources"))


def members(view: MonitorView, **online: bool | None) -> MonitorView:
    """The view with some members online or not."""
    assert isinstance(view.membership, Known)
    status = view.membership.value
    told = tuple(replace(each, online=online.get(each.name, each.online)) for each in status.members)
    return replace(view, membership=known(replace(status, members=told), "/cluster/status"))


def found(view: MonitorView, check: str, object: str, settings: MonitorSettings = EVERYTHING) -> Finding:  # noqa: A002
    """The finding of a check about an object, of whatever severity."""
    return next(each for each in evaluate(view, settings, only=(check,)).findings if each.id == f"{check}/{object}")


def judged(view: MonitorView, check: str, object: str, settings: MonitorSettings = EVERYTHING) -> str | None:  # noqa: A002
    """How the object stands under the check."""
    return evaluate(view, settings, only=(check,)).severity_of(check, object)


def ids(evaluation: Evaluation) -> list[str]:
    """The findings that are not fine, by id."""
    return [each.id for each in evaluation.findings if each.severity != "ok"]


def storages(view: MonitorView) -> tuple[Storage, ...]:
    return listed(view).storages


def known_members(view: MonitorView) -> tuple[Member, ...]:
    assert isinstance(view.membership, Known)
    return view.membership.value.members
