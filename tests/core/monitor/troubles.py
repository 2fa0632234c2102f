"""Every kind of trouble, each in a cluster that is fine otherwise: what it is called, and how bad it is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.evidence import HaService, HaStatus
from pvectl.core.model import Known, Unknown
from pvectl.core.monitor.checks.settings import MonitorSettings, Thresholds
from pvectl.core.monitor.finding import Levels
from pvectl.core.monitor.monitored import (
    BackupVolume,
    Ceph,
    CephCheck,
    Certificate,
    ClockReading,
    Delivery,
    Disk,
    GuestDisk,
    GuestSettings,
    GuestSnapshot,
    LockSeen,
    Membership,
    MonitorView,
    MountedStorage,
    Pressure,
    Remembered,
    Replication,
    ServiceState,
    StorageFacts,
    Subscription,
    TaskLog,
    ThinPool,
    Updates,
    ZfsPool,
)
from tests.core.monitor.cluster import (
    EPOCH,
    EVERYTHING,
    GIB,
    NOW,
    ago,
    changed_guest,
    changed_node,
    known,
    members,
    month,
    relisted,
    relisted_node,
    relisted_storage,
    task,
    whole,
)

WHOLE = whole()
NO_CEPH_ANSWER = Unknown(reason="the node did not answer", source="/cluster/ceph/status")
WITH_GUEST_LEVELS = replace(EVERYTHING, thresholds=Thresholds(guest_cpu=Levels(warn=0.8, crit=0.95), guest_mem=Levels(warn=0.8, crit=0.95)))


class Trouble(Struct, frozen=True, kw_only=True):
    view: MonitorView
    check: str
    object: str
    severity: str
    says: str = ""
    settings: MonitorSettings = EVERYTHING


def node_status(**told: float) -> MonitorView:
    fact = WHOLE.nodes[0].status
    assert isinstance(fact, Known)
    return changed_node(WHOLE, status=known(replace(fact.value, **told), fact.source))


def node_pressure(**told: float) -> MonitorView:
    return changed_node(WHOLE, pressure=known(replace(Pressure(cpu_some=0.0, io_full=0.0, memory_full=0.0), **told), "/nodes/pve1/rrddata"))


def membership(**told: object) -> MonitorView:
    assert isinstance(WHOLE.membership, Known)
    value: Membership = replace(WHOLE.membership.value, **told)
    return replace(WHOLE, membership=known(value, "/cluster/status"))


def ha(**told: object) -> MonitorView:
    assert isinstance(WHOLE.ha, Known)
    value: HaStatus = replace(WHOLE.ha.value, **told)
    return replace(WHOLE, ha=known(value, "/cluster/ha/status/current"))


def clock(offset: int, *, round_trip: float = 0.1) -> MonitorView:
    reading = ClockReading(told=EPOCH + offset, asked=EPOCH + 0.5 - round_trip / 2, answered=EPOCH + 0.5 + round_trip / 2)
    return changed_node(WHOLE, clock=known(reading, "/nodes/pve1/time"))


def service(name: str = "pveproxy", **told: str | None) -> MonitorView:
    words = {"state": "dead", "active_state": "inactive", "unit_state": "enabled", **told}
    return changed_node(WHOLE, services=known((ServiceState(name=name, **words),), "/nodes/pve1/services"))


def certificate(days: float, filename: str = "pve-ssl.pem") -> MonitorView:
    fact = WHOLE.nodes[0].certificates
    assert isinstance(fact, Known)
    others = tuple(each for each in fact.value if each.filename != filename)
    made = Certificate(filename=filename, not_after=NOW + timedelta(days=days))
    return changed_node(WHOLE, certificates=known((*others, made), fact.source))


def subscription(status: str | None, days: float = 200) -> MonitorView:
    return changed_node(WHOLE, subscription=known(Subscription(status=status, due=NOW + timedelta(days=days)), "/nodes/pve1/subscription"))


def disk(**told: object) -> MonitorView:
    made = replace(Disk(path="/dev/sda", serial="S-pve1", health="PASSED", life_left=0.97), **told)
    return changed_node(WHOLE, disks=known((made,), "/nodes/pve1/disks/list"))


def pool(**told: object) -> MonitorView:
    made = replace(ZfsPool(name="rpool", health="ONLINE", fragmentation=0.1, size=100 * GIB, used=20 * GIB), **told)
    return changed_node(WHOLE, zfs=known((made,), "/nodes/pve1/disks/zfs"))


def thin_pool(share: float) -> MonitorView:
    made = ThinPool(name="data", volume_group="pve", metadata_used=int(share * GIB), metadata_size=GIB)
    return changed_node(WHOLE, thin_pools=known((made,), "/nodes/pve1/disks/lvmthin"))


def storage(**told: object) -> MonitorView:
    return replace(WHOLE, storages=(*WHOLE.storages[:-1], replace(WHOLE.storages[-1], **told)))


def nfs() -> StorageFacts:
    return WHOLE.storages[-1]


def filling(days: float, *, used: float = 700 * GIB) -> MonitorView:
    """nfs will be full in so many days."""
    total = 1000 * GIB
    view = relisted_storage(WHOLE, disk=int(used), maxdisk=int(total))
    history = known(month(per_day=(total - used) / days, last=used, total=total), "/nodes/pve1/storage/nfs/rrddata")
    return replace(view, storages=(*view.storages[:-1], replace(nfs(), history=history)))


def backups(*volumes: BackupVolume) -> MonitorView:
    return storage(backups=known(volumes, "/nodes/pve1/storage/nfs/content"))


def backup(hours: float, *, vmid: int = 100, verified: str | None = "ok") -> BackupVolume:
    return BackupVolume(volid=f"nfs:backup/{vmid}-{hours}", vmid=vmid, made_at=ago(hours=hours), verified=verified)


def snapshot(days: float) -> MonitorView:
    snapshots = known((GuestSnapshot(name="before", taken_at=ago(days=days)),), "/nodes/pve1/qemu/100/snapshot")
    return changed_guest(WHOLE, snapshots=snapshots)


def locked(since: timedelta, *, lock: str = "backup", working: bool = False) -> MonitorView:
    view = relisted(WHOLE, lock=lock)
    running = (task("pve1", "vzdump", started=since.total_seconds(), ended=None, status=None),) if working else ()
    remembered = replace(WHOLE.remembered, locks={100: LockSeen(lock=lock, since=NOW - since)})
    return replace(view, running=known(running, "/cluster/tasks"), remembered=remembered)


def replica(**told: object) -> MonitorView:
    made = replace(
        Replication(
            id="101-0", guest=101, source="pve1", target="pve2", schedule="*/15", fail_count=0, last_sync=ago(minutes=10), next_sync=NOW
        ),
        **told,
    )
    return changed_node(WHOLE, replication=known((made,), "/nodes/pve1/replication"))


def tasks(*ended: object) -> MonitorView:
    return changed_node(WHOLE, tasks=known(TaskLog(ended=tuple(ended)), "/nodes/pve1/tasks"))  # type: ignore[arg-type]


def ceph(health: str, *checks: CephCheck) -> MonitorView:
    return replace(WHOLE, ceph=known(Ceph(health=health, checks=checks), "/cluster/ceph/status"))


def settings_of(vmid: int, **told: object) -> MonitorView:
    made = replace(GuestSettings(onboot=True, disks=(GuestDisk(key="scsi0", storage="nfs"),)), **told)
    return changed_guest(WHOLE, vmid, settings=known(made, f"/nodes/pve1/qemu/{vmid}/config"))


TROUBLES = {
    "no quorum": Trouble(view=ha(quorate=False), check="cluster.quorum", object="cluster", severity="critical", says="not quorate"),
    "no quorum by both": Trouble(
        view=replace(ha(quorate=False), membership=membership(quorate=False).membership),
        check="cluster.quorum",
        object="cluster",
        severity="critical",
    ),
    "two words on quorum": Trouble(
        view=membership(quorate=False), check="cluster.quorum", object="cluster", severity="warning", says="one of them is stale"
    ),
    "device away": Trouble(
        view=replace(WHOLE, device=known("Disconnected", "/cluster/config/qdevice")),
        check="cluster.qdevice",
        object="cluster",
        severity="warning",
        says="Disconnected",
    ),
    "one more and quorum is lost": Trouble(
        view=replace(members(WHOLE, pve3=False), device=known(None, "/cluster/config/qdevice")),
        check="cluster.margin",
        object="cluster",
        severity="warning",
        says="one more loss (pve1 or pve2)",
    ),
    "node offline": Trouble(
        view=relisted_node(members(WHOLE, pve2=False), "pve2", status="offline"),
        check="node.offline",
        object="node/pve2",
        severity="critical",
        says="node pve2 is offline",
    ),
    "pvestatd hangs": Trouble(
        view=relisted_node(WHOLE, status="unknown", cpu=None, mem=None),
        check="node.stats_stale",
        object="node/pve1",
        severity="warning",
        says="pvestatd",
    ),
    "node busy": Trouble(view=relisted_node(WHOLE, cpu=0.93), check="node.cpu", object="node/pve1", severity="warning", says="93%"),
    "node out of memory": Trouble(
        view=relisted_node(WHOLE, mem=31 * GIB), check="node.mem", object="node/pve1", severity="critical", says="97%"
    ),
    "root full": Trouble(
        view=node_status(root_used=90 * GIB), check="node.rootfs", object="node/pve1", severity="warning", says="root file system 90% full"
    ),
    "swapping": Trouble(view=node_status(swap_used=8 * GIB), check="node.swap", object="node/pve1", severity="warning", says="100%"),
    "waiting for disks": Trouble(view=node_status(wait=0.4), check="node.iowait", object="node/pve1", severity="critical", says="40%"),
    "cpu pressure": Trouble(view=node_pressure(cpu_some=0.5), check="node.psi_cpu", object="node/pve1", severity="warning", says="50%"),
    "io pressure": Trouble(view=node_pressure(io_full=0.31), check="node.psi_io", object="node/pve1", severity="critical"),
    "memory pressure": Trouble(view=node_pressure(memory_full=0.06), check="node.psi_memory", object="node/pve1", severity="warning"),
    "clock ahead": Trouble(view=clock(20), check="node.clock", object="node/pve1", severity="warning", says="20 s ahead of"),
    "clock behind": Trouble(view=clock(-40), check="node.clock", object="node/pve1", severity="critical", says="40 s behind"),
    "service down": Trouble(view=service(), check="node.services", object="service/pve1/pveproxy", severity="critical", says="inactive"),
    "certificate ends": Trouble(
        view=certificate(20), check="node.cert", object="certificate/pve1", severity="warning", says="expires in 20 days"
    ),
    "authority expired": Trouble(
        view=certificate(-1, "pve-root-ca.pem"),
        check="node.cert",
        object="certificate/pve-root-ca.pem",
        severity="critical",
        says="has expired",
    ),
    "subscription ends": Trouble(
        view=subscription("active", 5), check="node.subscription", object="node/pve1", severity="critical", says="expires in 5 days"
    ),
    "subscription invalid": Trouble(
        view=subscription("invalid"), check="node.subscription", object="node/pve1", severity="warning", says="invalid"
    ),
    "security updates": Trouble(
        view=changed_node(WHOLE, updates=known(Updates(count=9, security=("openssl",)), "/nodes/pve1/apt/update")),
        check="node.updates",
        object="node/pve1",
        severity="warning",
        says="openssl",
    ),
    "disk fails": Trouble(view=disk(health="FAILED!"), check="disk.smart", object="disk/pve1/S-pve1", severity="critical", says="FAILED!"),
    "disk worn": Trouble(view=disk(life_left=0.2), check="disk.wear", object="disk/pve1/S-pve1", severity="warning", says="20%"),
    "pool degraded": Trouble(view=pool(health="DEGRADED"), check="zfs.health", object="zfs/pve1/rpool", severity="critical"),
    "pool fragmented": Trouble(view=pool(fragmentation=0.7), check="zfs.frag", object="zfs/pve1/rpool", severity="warning", says="70%"),
    "pool full": Trouble(view=pool(used=95 * GIB), check="zfs.cap", object="zfs/pve1/rpool", severity="critical", says="95%"),
    "thin metadata": Trouble(view=thin_pool(0.9), check="lvmthin.meta", object="thin-pool/pve1/pve/data", severity="warning", says="90%"),
    "storage full": Trouble(
        view=relisted_storage(WHOLE, disk=960 * GIB), check="storage.usage", object="storage/nfs", severity="critical", says="96%"
    ),
    "local storage full": Trouble(
        view=relisted_storage(WHOLE, "local", disk=85 * GIB), check="storage.usage", object="storage/pve2/local", severity="warning"
    ),
    "storage fills": Trouble(
        view=filling(20), check="storage.days_to_full", object="storage/nfs", severity="warning", says="room for 20 days"
    ),
    "storage away": Trouble(
        view=changed_node(WHOLE, storages=known((MountedStorage(storage="nfs", enabled=True, active=False),), "/nodes/pve1/storage")),
        check="storage.inactive",
        object="storage/pve1/nfs",
        severity="critical",
        says="not there",
    ),
    "onboot stopped": Trouble(
        view=relisted(WHOLE, status="stopped"), check="guest.onboot_stopped", object="guest/100", severity="warning", says="100 (web)"
    ),
    "guest busy": Trouble(
        view=relisted(WHOLE, cpu=0.99), check="guest.cpu", object="guest/100", severity="critical", settings=WITH_GUEST_LEVELS
    ),
    "guest out of memory": Trouble(
        view=relisted(WHOLE, mem=int(1.8 * GIB)), check="guest.mem", object="guest/100", severity="warning", settings=WITH_GUEST_LEVELS
    ),
    "old snapshot": Trouble(
        view=snapshot(40), check="guest.snapshot_age", object="guest/100", severity="critical", says="before for 40 days"
    ),
    "locked for long": Trouble(
        view=locked(timedelta(hours=7), working=True), check="guest.lock_age", object="guest/100", severity="warning", says="7.0 h"
    ),
    "orphan lock": Trouble(
        view=locked(timedelta(hours=1)), check="guest.lock_orphan", object="guest/100", severity="warning", says="no task works on it"
    ),
    "in no backup job": Trouble(
        view=replace(WHOLE, uncovered=known(frozenset({100}), "/cluster/backup-info/not-backed-up")),
        check="backup.uncovered",
        object="guest/100",
        severity="warning",
        says="in no enabled backup job",
    ),
    "job disabled": Trouble(
        view=replace(WHOLE, backup_jobs=known((), "/cluster/backup")), check="backup.uncovered", object="guest/100", severity="warning"
    ),
    "old backup": Trouble(
        view=backups(backup(40)), check="backup.age", object="guest/100", severity="warning", says="restorable point from Fri 2026-11-20"
    ),
    "very old backup": Trouble(view=backups(backup(100)), check="backup.age", object="guest/100", severity="critical"),
    "never backed up": Trouble(
        view=backups(), check="backup.age", object="guest/100", severity="critical", says="was made 300 days ago and has no backup"
    ),
    "backup broken": Trouble(
        view=backups(backup(10, verified="failed"), backup(34)),
        check="backup.verify",
        object="guest/100",
        severity="critical",
        says="failed verification",
    ),
    "backup failed": Trouble(
        view=tasks(task("pve1", "vzdump", status="job errors")),
        check="task.failed",
        object="task/pve1/vzdump/all",
        severity="critical",
        says="failed: job errors",
    ),
    "task failed": Trouble(
        view=tasks(task("pve1", "qmstart", "100", status="got timeout")),
        check="task.failed",
        object="task/pve1/qmstart/100",
        severity="warning",
    ),
    "replication failed": Trouble(
        view=replica(fail_count=1, error="no route"),
        check="replication.failed",
        object="replication/101-0",
        severity="warning",
        says="no route",
    ),
    "replica old": Trouble(
        view=replica(last_sync=ago(hours=1)), check="replication.age", object="replication/101-0", severity="warning", says="1.0 h ago"
    ),
    "replication never ran": Trouble(
        view=replica(never_ran=True, last_sync=None, next_sync=ago(hours=1)),
        check="replication.age",
        object="replication/101-0",
        severity="warning",
        says="never run",
    ),
    "ha error": Trouble(
        view=ha(services=(HaService(sid="vm:101", node="pve1", state="error"),)),
        check="ha.service",
        object="ha/vm:101",
        severity="critical",
        says="state error",
    ),
    "lrm dead": Trouble(
        view=ha(lrm=(("pve1", "old timestamp - dead?"),)),
        check="ha.manager",
        object="ha/lrm/pve1",
        severity="critical",
        says="has not been heard of",
    ),
    "lrm drifts": Trouble(view=ha(manager="detected time drift!"), check="ha.manager", object="ha/manager", severity="warning"),
    "ha disarmed": Trouble(
        view=replace(ha(armed="disarmed"), remembered=replace(WHOLE.remembered, disarmed_since=ago(hours=3))),
        check="ha.disarmed",
        object="cluster",
        severity="warning",
        says="disarmed for 3.0 h",
    ),
    "ceph": Trouble(view=ceph("HEALTH_ERR"), check="ceph.health", object="ceph", severity="critical", says="HEALTH_ERR"),
    "ceph osd": Trouble(
        view=ceph("HEALTH_WARN", CephCheck(code="OSD_DOWN", severity="HEALTH_WARN", summary="1 osds down")),
        check="ceph.health",
        object="ceph/OSD_DOWN",
        severity="warning",
        says="1 osds down",
    ),
    "no room elsewhere": Trouble(
        view=relisted(WHOLE, 101, maxmem=100 * GIB), check="cluster.n1", object="node/pve1", severity="warning", says="101 needs 100.0 GiB"
    ),
    "tied to its node": Trouble(
        view=settings_of(101, bound_to_host=("hostpci0",)), check="cluster.n1", object="node/pve1", severity="warning", says="hostpci0"
    ),
    "failover breaks quorum": Trouble(
        view=replace(members(WHOLE, pve3=False), device=known(None, "/cluster/config/qdevice")),
        check="cluster.n1",
        object="node/pve1",
        severity="warning",
        says="would not be quorate",
    ),
    "messages stuck": Trouble(
        view=replace(WHOLE, remembered=Remembered(delivery=Delivery(oldest=ago(hours=2)))),
        check="self.delivery",
        object="outbox",
        severity="critical",
        says="2.0 h",
    ),
    "messages given up": Trouble(
        view=replace(WHOLE, remembered=Remembered(delivery=Delivery(dead=2))),
        check="self.delivery",
        object="outbox",
        severity="critical",
        says="2 messages were given up",
    ),
}
"""At least one for each check."""

SOME_QUICKLY = [
    pytest.param(trouble, id=name, marks=() if number % 9 == 0 else pytest.mark.slow)
    for number, (name, trouble) in enumerate(TROUBLES.items())
]
"""All of them for tests that take their time: every ninth in the quick suite."""
