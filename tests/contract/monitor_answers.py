"""What three releases of Proxmox VE answer the monitor, in a cluster where everything it can look at has something wrong with it.

Where a call was recorded, its rows are the recorded ones with other values; the rest is written after PVE's own sources, named beside
it. Of 7.4 nothing was recorded: its answers are those of 8.4 without what pve-manager at 7.4-1 is known not to have.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from proxmoxer.core import ProxmoxResource

from pvectl.clock import Clock
from pvectl.core.monitor.checks.evaluation import Evaluation, evaluate
from pvectl.core.monitor.checks.registry import wanted
from pvectl.core.monitor.checks.settings import MonitorSettings, Thresholds
from pvectl.core.monitor.finding import Levels
from pvectl.core.monitor.monitored import LockSeen
from pvectl.core.secret import Secret
from pvectl.errors import ApiRefusal, PvectlError
from pvectl.observe.monitor import Asking, Memory, Seen, look
from pvectl.pve import parallel
from pvectl.pve.client import ProxmoxClient
from pvectl.pve.connection import Connection, Trust
from pvectl.pve.deadline import Deadline
from pvectl.pve.line import Answer
from tests.contract.recordings import one

T = TypeVar("T")
Answers = Mapping[str, Any]
"""What each path is answered with, without the query; an exception is raised."""

RELEASES = ("7.4", "8.4", "9.2")
NOW = datetime(2026, 11, 23, 2, tzinfo=UTC)
EPOCH = int(NOW.timestamp())
HOUR, DAY = 3600, 86400
GIB = 2**30
TOKEN = "root@pam!full"
SETTINGS = MonitorSettings(
    enable=("node.subscription", "node.updates"),
    thresholds=Thresholds(guest_cpu=Levels(warn=0.8, crit=0.95), guest_mem=Levels(warn=0.8, crit=0.95)),
)
LATER_THAN = {"7.4": {"node.psi_cpu", "node.psi_io", "node.psi_memory", "ha.disarmed"}}
LATER_THAN["8.4"] = LATER_THAN["7.4"]
"""The checks that a release has no fields for: pressure came with 9.0 (pvestatd), `armed-state` after 8.4 (recorded on 9.2)."""
_NEW_IN_8 = {"cgroup-mode"}


def recorded(release: str, group: str, name: str) -> Any:
    """The recorded data; for 7.4 that of 8.4."""
    data = one("8.4" if release == "7.4" else release, group, name).get("body_json")["data"]
    return copy.deepcopy(data)


def troubled(release: str) -> dict[str, Any]:
    """Every path the monitor asks for, and something wrong in each answer that a check reads."""
    told: dict[str, Any] = {
        "/version": {"version": f"{release}.1", "release": release, "repoid": "14a22df"},
        "/access/permissions": recorded(release, "perm", "permissions_full"),
        "/access/acl": recorded(release, "misc", "get_access_acl"),
        "/cluster/resources": _resources(release),
        "/cluster/status": _status(release),
        "/cluster/ha/status/current": _ha(release),
        "/cluster/tasks": _running(release),
        # pve-manager PVE/API2/ClusterConfig.pm passes on the words of corosync-qdevice-tool
        "/cluster/config/qdevice": {"Algorithm": "Fifty-Fifty split", "QNetd host": "192.0.2.9:5403", "State": "Disconnected"},
        "/cluster/config/nodes": [
            {"name": name, "node": name, "nodeid": str(number), "quorum_votes": "1", "ring0_addr": f"192.0.2.1{number}"}
            for number, name in enumerate(("pve1", "pve2", "pve3"), 1)
        ],
        # pve-manager PVE/API2/Backup.pm
        "/cluster/backup": [
            {"id": "backup-1", "type": "vzdump", "enabled": 1, "all": 1, "exclude": "106", "schedule": "21:00", "storage": "pbs",
             "mode": "snapshot", "next-run": EPOCH + HOUR},
        ],
        # pve-manager PVE/API2/Cluster/BackupInfo.pm
        "/cluster/backup-info/not-backed-up": [{"vmid": 106, "type": "qemu", "name": "graceful01"}],
        # what `ceph status --format json` says (ceph src/mon/health_check.h)
        "/cluster/ceph/status": {
            "fsid": "0", "health": {"status": "HEALTH_ERR", "mutes": [], "checks": {
                "OSD_DOWN": {"severity": "HEALTH_WARN", "summary": {"message": "1 osds down", "count": 1}, "muted": False},
                "PG_DAMAGED": {"severity": "HEALTH_ERR", "summary": {"message": "1 pg inconsistent", "count": 1}, "muted": False},
            }},
        },
        **_of_node(release),
        **_of_guests(release),
        "/nodes/pve1/storage/local/rrddata": [
            {"time": EPOCH - (60 - step) * DAY // 2, "used": (40 + step * 0.9) * GIB, "total": 100 * GIB} for step in range(60)
        ],
        "/nodes/pve1/storage/local/content": [],
        # pve-storage PVE/API2/Storage/Content.pm and PVE/Storage/PBSPlugin.pm
        "/nodes/pve1/storage/pbs/content": [
            {"volid": f"pbs:backup/vm/{vmid}/1", "content": "backup", "format": "pbs-vm", "vmid": vmid, "subtype": "qemu", "size": GIB,
             "ctime": EPOCH - age * DAY, "verification": {"state": state, "upid": "UPID:pbs:1"}}
            for vmid, age, state in ((101, 9, "ok"), (102, 1, "failed"), (102, 2, "ok"), (107, 20, "ok"))
        ],
    }  # fmt: skip
    for node in ("pve2", "pve3"):
        told |= {f"/nodes/{node}/{one}": [] for one in ("qemu", "lxc", "netstat")}
    return told


def mended(release: str) -> dict[str, Any]:
    """The same answers with good values in the place of the bad ones: the cluster is whole, and all of it runs."""
    told = troubled(release)
    nodes = ("pve1", "pve2", "pve3")
    here = {path.removeprefix("/nodes/pve1"): data for path, data in told.items() if path.startswith("/nodes/pve1/")}
    rows = {row["id"]: row for row in told["/cluster/resources"]}
    good: dict[str, dict[str, Any]] = {
        "qemu/100": {"status": "running", "uptime": 5000},
        "qemu/101": {"cpu": 0.1, "mem": 1000},
        "storage/pve1/local": {"disk": 10 * GIB},
        "storage/pve1/pbs": {"disk": 65 * GIB},
    }
    for id_, values in good.items():
        rows[id_] |= values
    rows["node/pve1"] |= {"cpu": 0.1, "mem": GIB}
    for name in nodes[1:]:
        rows[f"node/{name}"] = {**rows["node/pve1"], "id": f"node/{name}", "node": name}
    guests = [row for row in rows.values() if row["type"] in ("qemu", "lxc") and row["node"] == "pve1"]
    for row in guests:
        row.update({"status": "running", "uptime": 5000} if not row["template"] else {})
    rows["qemu/104"].pop("lock")
    keep = [row for row in rows.values() if row["type"] not in ("qemu", "lxc") or row["node"] == "pve1"]
    told["/cluster/resources"] = keep
    told["/cluster/status"][3]["online"] = 1
    for row in told["/cluster/ha/status/current"]:
        row.update({"service": {"state": "started"}, "fencing": {"armed-state": "armed"}}.get(row["type"], {}))
        row.update({"status": "pve1 (active, Mon Nov 23 02:00:00 2026)"} if row["type"] in ("master", "lrm") else {})
    told["/cluster/tasks"] = [{**_running(release)[0], "starttime": EPOCH - 60}]
    told["/cluster/config/qdevice"]["State"] = "Connected"
    told["/cluster/backup"][0].pop("exclude")
    told["/cluster/backup-info/not-backed-up"] = []
    told["/cluster/ceph/status"]["health"] = {"status": "HEALTH_OK", "checks": {}, "mutes": []}
    history = {"used": 65 * GIB, "total": 100 * GIB}
    status = here["/status"]
    status |= {"wait": 0.0}
    status["rootfs"]["used"] = status["swap"]["used"] = 0
    for row in here["/rrddata"]:
        row.update(dict.fromkeys([key for key in row if key.startswith("pressure")], 0.0))
    here |= {
        "/time": {**here["/time"], "time": EPOCH, "localtime": EPOCH},
        "/services": [{**here["/services"][0], "state": "running", "active-state": "active"}],
        "/storage": [{**row, "active": 1} for row in here["/storage"]],
        "/replication": [{**here["/replication"][1], "last_sync": EPOCH - 600, "last_try": EPOCH - 600, "next_sync": EPOCH + 300}],
        "/tasks": [_ended(release, "vzdump", "", "OK")],
        "/disks/list": [{**disk, "health": "PASSED", "wearout": 98} for disk in here["/disks/list"]],
        "/disks/zfs": [{**here["/disks/zfs"][0], "alloc": GIB, "frag": 3, "health": "ONLINE"}],
        "/disks/lvmthin": [{**here["/disks/lvmthin"][0], "metadata_used": 100}],
        "/certificates/info": [{**row, "notafter": EPOCH + 900 * DAY} for row in here["/certificates/info"]],
        "/subscription": {**here["/subscription"], "nextduedate": "2028-01-01"},
        "/apt/update": [],
        "/storage/local/rrddata": [{"time": EPOCH - step * DAY // 2, **history} for step in reversed(range(60))],
        "/storage/pbs/rrddata": [{"time": EPOCH - step * DAY // 2, **history} for step in reversed(range(60))],
        "/storage/pbs/content": [
            {**here["/storage/pbs/content"][0], "vmid": row["vmid"], "volid": f"pbs:{row['vmid']}", "ctime": EPOCH - 6 * HOUR}
            for row in guests
        ],
        "/qemu/107/snapshot": [{"name": "before", "snaptime": EPOCH - DAY}],
        "/qemu/101/config": {key: value for key, value in here["/qemu/101/config"].items() if key != "scsi0"},
    }
    for name in nodes:
        told |= {f"/nodes/{name}{path}": data for path, data in here.items()}
    for name in nodes[1:]:
        told |= {f"/nodes/{name}/{kind}": [] for kind in ("qemu", "lxc", "netstat", "replication", "tasks")}
    return told


def _resources(release: str) -> list[dict[str, Any]]:
    """As recorded, with a node whose statistics are gone (as recorded of guests) and one that is off (as recorded)."""
    rows = [row for row in recorded(release, "resources", "all_full") if row["type"] not in ("network", "sdn")]
    by_id = {row["id"]: row for row in rows}
    by_id["qemu/101"] |= {"status": "running", "cpu": 0.99, "mem": 66_000_000, "maxmem": 67_108_864, "uptime": 5000, "hastate": "started"}
    here, local = by_id["node/pve1"], by_id["storage/pve1/local"]
    here |= {"cpu": 0.99, "mem": int(here["maxmem"] * 0.99), "uptime": 10 * DAY}
    local |= {"disk": 94 * GIB, "maxdisk": 100 * GIB}
    rows += [
        {"id": "node/pve2", "type": "node", "node": "pve2", "status": "unknown"},
        {"id": "node/pve3", "type": "node", "node": "pve3", "status": "offline"},
        {**local, "id": "storage/pve1/pbs", "storage": "pbs", "content": "backup", "plugintype": "pbs", "shared": 1, "disk": 97 * GIB},
    ]
    if release == "7.4":
        rows = [{key: value for key, value in row.items() if key not in _NEW_IN_8} for row in rows]
    return rows


def _status(release: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = recorded("8.4", "no_quorum", "cluster_status")
    rows[0] |= {"nodes": 3, "quorate": 1}
    rows[2] |= {"online": 1}
    rows.append({**rows[2], "id": "node/pve3", "name": "pve3", "nodeid": 3, "online": 0})
    return rows


def _ha(release: str) -> list[dict[str, Any]]:
    """The rows a recorded answer has, and those of a manager that works (pve-ha-manager PVE/API2/HA/Status.pm)."""
    rows: list[dict[str, Any]] = recorded(release, "ha", "status_current")
    service = next(row for row in rows if row["type"] == "service")
    service |= {"state": "error", "status": "vm:102 (pve1, error)"}
    rows += [
        {"id": "master", "type": "master", "node": "pve1", "status": "pve1 (old timestamp - dead?, Mon Nov 23 01:00:00 2026)"},
        {"id": "lrm:pve1", "type": "lrm", "node": "pve1", "status": "pve1 (detected time drift!, Mon Nov 23 02:00:00 2026)"},
    ]
    for row in rows:
        if row["type"] == "fencing":
            row |= {"armed-state": "disarmed", "status": "disarmed"}
    return rows


def _running(release: str) -> list[dict[str, Any]]:
    """A snapshot that has been running for two days, in the recorded row's form."""
    row = recorded(release, "tasks", "running_cluster_tasks")[0]
    start = EPOCH - 2 * DAY
    upid = f"UPID:pve1:000009F8:0004788B:{start:08X}:vzsnapshot:202:root@pam:"
    return [{**row, "id": "202", "type": "vzsnapshot", "starttime": start, "upid": upid, "user": "root@pam"}]


def _of_node(release: str) -> dict[str, Any]:
    """What pve1 tells of itself; pve2 is silent, and pve3 is not asked."""
    status = recorded(release, "guests", "localhost_as_node")
    status |= {"wait": 0.5, "uptime": 10 * DAY}
    status["rootfs"] |= {"used": 97 * GIB, "total": 100 * GIB}
    status["swap"] |= {"used": 8 * GIB, "total": 8 * GIB, "free": 0}
    rrd = recorded(release, "misc", "get_nodes_pve1_rrddata_timeframe=hour")[-3:]
    for row in rrd:
        if "pressurecpusome" in row:
            row |= {"pressurecpusome": 90.0, "pressureiofull": 60.0, "pressurememoryfull": 50.0}
    job = {"jobnum": "0", "type": "local", "source": "pve1", "target": "pve2", "vmtype": "qemu", "schedule": "*/15"}
    told = {
        "status": status,
        "time": {**recorded("8.4", "misc", "get_nodes_pve1_time"), "time": EPOCH + 60, "localtime": EPOCH + 60},
        # the recorded host had no systemd; the keys are those of pve-manager PVE/API2/Services.pm since 7.0
        "services": [
            {"service": "pveproxy", "name": "pveproxy", "desc": "PVE API Proxy Server", "state": "dead", "active-state": "inactive",
             "unit-state": "enabled"},
        ],
        # pve-storage PVE/API2/Storage/Status.pm
        "storage": [
            {"storage": "nfs", "type": "nfs", "content": "images", "shared": 1, "enabled": 1, "active": 0},
            {"storage": "local", "type": "dir", "content": "iso", "shared": 0, "enabled": 1, "active": 1, "used": 1, "total": 9},
        ],
        # pve-manager PVE/API2/Replication.pm
        "replication": [
            {**job, "id": "101-0", "guest": 101, "fail_count": 5, "error": "no route to host", "last_sync": EPOCH - 600,
             "last_try": EPOCH - 60, "next_sync": EPOCH + 600, "duration": 2.5},
            {**job, "id": "102-0", "guest": 102, "fail_count": 0, "last_sync": EPOCH - 2 * DAY, "last_try": EPOCH - 2 * DAY,
             "next_sync": EPOCH - DAY, "duration": 2.5},
        ],
        "tasks": [_ended(release, "vzdump", "", "job errors"), _ended(release, "qmstart", "101", "got timeout")],
        "rrddata": rrd,
        # pve-storage PVE/Diskmanage.pm get_disks
        "disks/list": [
            {"devpath": "/dev/sda", "serial": "S1", "model": "Disk 9000", "vendor": "ATA", "health": "FAILED", "wearout": 98, "size": GIB,
             "type": "ssd", "rpm": 0, "used": "LVM", "wwn": "unknown"},
            {"devpath": "/dev/sdb", "serial": "S2", "model": "Disk 9000", "vendor": "ATA", "health": "PASSED", "wearout": 4, "size": GIB,
             "type": "ssd", "rpm": 0, "used": "LVM", "wwn": "unknown"},
        ],
        # pve-manager PVE/API2/Disks/ZFS.pm
        "disks/zfs": [
            {"name": "rpool", "size": 100 * GIB, "alloc": 95 * GIB, "free": 5 * GIB, "frag": 90, "dedup": 1.0, "health": "DEGRADED"},
        ],
        # pve-manager PVE/API2/Disks/LVMThin.pm
        "disks/lvmthin": [
            {"lv": "data", "vg": "pve", "lv_size": GIB, "used": 1, "metadata_size": 1000, "metadata_used": 970},
        ],
        # pve-manager PVE/CertHelpers.pm
        "certificates/info": [
            {"filename": "pve-root-ca.pem", "notafter": EPOCH - DAY, "notbefore": 1, "subject": "/CN=CA", "issuer": "/CN=CA"},
            {"filename": "pve-ssl.pem", "notafter": EPOCH + DAY, "notbefore": 1, "subject": "/CN=pve1", "issuer": "/CN=CA"},
        ],
        "subscription": {**recorded("8.4", "misc", "get_nodes_pve1_subscription"), "status": "active", "nextduedate": "2026-11-25"},
        # pve-manager PVE/API2/APT.pm
        "apt/update": [{"Package": "openssl", "Origin": "Debian-Security", "Version": "3", "OldVersion": "2", "Section": "utils"}],
        "qemu": recorded(release, "guests", "qemu_list_full1"),
        "lxc": recorded(release, "guests", "lxc_list_full"),
        "netstat": [],
    }  # fmt: skip
    return {f"/nodes/pve1/{path}": answer for path, answer in told.items()}


def _ended(release: str, kind: str, whom: str, status: str) -> dict[str, Any]:
    row: dict[str, Any] = recorded(release, "tasks", "list_limit_big")[0]
    start = EPOCH - HOUR
    upid = f"UPID:pve1:000009F8:0004788B:{start:08X}:{kind}:{whom}:root@pam:"
    return {**row, "id": whom, "type": kind, "status": status, "starttime": start, "endtime": start + 60, "upid": upid, "user": "root@pam"}


def _of_guests(release: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for row in recorded(release, "resources", "all_full"):
        if row["type"] not in ("qemu", "lxc") or row["node"] != "pve1":
            continue
        path = f"/nodes/pve1/{row['type']}/{row['vmid']}"
        name = {"qemu": f"qemu_{row['vmid']}_config_full", "lxc": f"lxc_{row['vmid']}_config"}[row["type"]]
        config = recorded(release, "guests", name)
        config |= {"meta": f"creation-qemu=9.0.2,ctime={EPOCH - 99 * DAY}"} if row["type"] == "qemu" else {}
        config |= {"onboot": 1} if row["vmid"] == 100 else {}
        config |= {"scsi0": "local:101/vm-101-disk-0.raw,size=8G"} if row["vmid"] == 101 else {}
        found[f"{path}/config"] = config
        found[f"{path}/snapshot"] = recorded(release, "guests", "qemu_107_snapshots") if row["vmid"] == 107 else []
    return found


MEMORY = Memory(seen=Seen(locks={104: LockSeen(lock="backup", since=NOW - timedelta(days=2))}, disarmed_since=NOW - timedelta(days=1)))
"""What earlier looks left: since when guest 104 has been locked, and HA disarmed."""


def judged(answers: Answers, *, before: Memory = MEMORY, now: datetime = NOW) -> Evaluation:
    """What the monitor makes of these answers at that moment."""
    view, _after = look(client_of(answers), cast("Clock", _Standing(now)), asking=Asking(wanted=wanted(SETTINGS)), before=before)
    return evaluate(view, SETTINGS)


def client_of(answers: Answers) -> ProxmoxClient:
    """The client with the answers in the place of a network: one at a time, in the order it asks."""
    connection = Connection(cluster="lab", hosts=("pve1.lan",), token_id=TOKEN, token=Secret("0" * 36), trust=Trust())
    client = _Offline(connection, deadline=Deadline.never(), read_only=True)
    serializer = client._api._store["serializer"]
    client._api = ProxmoxResource(base_url="/api2/json", session=_Canned(answers), serializer=serializer)  # type: ignore[no-untyped-call]
    return client


class _Offline(ProxmoxClient):
    def in_parallel(self, calls: Sequence[Callable[[], T]], *, workers: int = 1) -> list[T | PvectlError]:
        return parallel.in_parallel(calls, workers=min(workers, 1))


class _Canned:
    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def request(self, method: str, url: str, **_parameters: Any) -> Answer:
        assert method == "GET"
        path = url.removeprefix("/api2/json")
        if path not in self._answers:
            raise ApiRefusal(f"Method 'GET {path}' not implemented", status=501)
        told = self._answers[path]
        if isinstance(told, PvectlError):
            raise told
        body = told if isinstance(told, bytes) else json.dumps({"data": told}).encode()
        return Answer(status_code=200, reason="OK", content_type="application/json;charset=UTF-8", body=body)


class _Standing:
    """A clock that stands still."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now
