"""What a monitor and an idle check read beside the guests: nodes, storages, jobs, Ceph, metrics, history."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.sim.asking import NOON, Lab, ct, vm

BLIND = "blind@pve!tok"
RIGHTS: dict[str, Any] = {
    "tokens": {BLIND: {"privsep": 0}},
    "roles": {"NodeAudit": "Sys.Audit"},
    "acl": [{"path": "/nodes", "ugid": "blind@pve", "roleid": "NodeAudit"}],
}

LOCAL_ONLY: dict[str, Any] = {"local-only": 1}
SINCE_NOON: dict[str, Any] = {"start-time": NOON}
ELSEWHERE: dict[str, Any] = {"node-list": "pve9"}


def test_netstat_betrays_running_guests_that_the_lists_hide() -> None:
    lab = Lab({"guests": [vm(100, nets=2), ct(200), vm(101, nets=0), vm(102, status="stopped")], **RIGHTS})
    assert lab.get("/nodes/pve1/qemu", token=BLIND) == []
    rows = lab.get("/nodes/pve1/netstat", token=BLIND)
    assert [(row["vmid"], row["dev"]) for row in rows] == [("100", "net0"), ("100", "net1"), ("200", "net0")]
    assert {type(value) for row in rows for value in row.values()} == {str}


def test_the_metrics_export_hides_no_guest_and_drops_nodes_that_do_not_answer() -> None:
    lab = Lab({"guests": [vm(100), vm(300, node="pve2")]})
    assert {"node/pve1", "node/pve2", "qemu/100", "qemu/300", "storage/pve1/local"} <= {
        row["id"] for row in lab.get("/cluster/metrics/export")["data"]
    }
    lab.cluster.hang_node("pve2")
    answer = lab.ask("GET", "/cluster/metrics/export")
    subjects = {row["id"] for row in answer.data["data"]}
    assert answer.delay_s == 20.0
    assert {"node/pve2", "qemu/300"}.isdisjoint(subjects)


def test_the_node_status_adds_up_what_its_guests_use() -> None:
    idle, busy = Lab({}), Lab({"guests": [vm(100, cpu=0.9, maxcpu=8)]})
    assert busy.get("/nodes/pve1/status")["cpu"] > idle.get("/nodes/pve1/status")["cpu"] + 0.5
    status = busy.get("/nodes/pve1/status")
    assert {type(value) for value in status["loadavg"]} == {str}
    assert "available" in status["memory"]
    assert "available" not in Lab({"version": "8.4"}).get("/nodes/pve1/status")["memory"]


def test_services_can_be_dead() -> None:
    lab = Lab({"nodes": {"pve1": {"services": {"pve-ha-crm": "failed"}}}})
    lab.cluster.stop_pvestatd("pve1")
    states = {row["name"]: (row["state"], row["active-state"]) for row in lab.get("/nodes/pve1/services")}
    assert states["pve-ha-crm"] == ("failed", "failed")
    assert states["pvestatd"][1] == "failed"
    assert states["pveproxy"] == ("running", "active")


def test_a_certificate_ends_when_the_scenario_says_so() -> None:
    lab = Lab({"nodes": {"pve1": {"certificate_days": 5}}})
    ends = {row["filename"]: row["notafter"] for row in lab.get("/nodes/pve1/certificates/info")}
    assert ends["pve-ssl.pem"] == NOON + 5 * 86_400


def test_disks_wear_out() -> None:
    lab = Lab({"nodes": {"pve1": {"disks": [{"devpath": "/dev/sda", "health": "FAILED", "wearout": 3, "osdid-list": ["4"]}]}}})
    (disk,) = lab.get("/nodes/pve1/disks/list")
    assert (disk["health"], disk["wearout"], disk["osdid-list"]) == ("FAILED", 3, ["4"])
    assert lab.get("/nodes/pve1/disks/list", skipsmart=1)[0]["health"] == "UNKNOWN"


def test_the_clock_of_a_node_may_be_wrong() -> None:
    assert Lab({"nodes": {"pve1": {"clock_off": 90}}}).get("/nodes/pve1/time")["time"] == NOON + 90


def test_a_storage_fills_up_or_goes_away_on_one_node() -> None:
    lab = Lab({"storages": [{"name": "nfs", "type": "nfs", "shared": 1, "total": 1000, "used": 100}]})
    lab.cluster.set_storage("nfs", used=950)
    lab.cluster.set_storage("nfs", node="pve2", active=0)
    lab.advance(310)
    assert lab.row("storage/pve1/nfs")["disk"] == 950
    gone = lab.row("storage/pve2/nfs")
    assert gone["status"] == "unknown"
    assert {"disk", "maxdisk"}.isdisjoint(gone)
    assert lab.get("/nodes/pve2/storage")[0]["active"] == 0
    assert lab.get("/nodes/pve1/storage")[0]["used_fraction"] == 0.95
    assert lab.refused("GET", "/nodes/pve2/storage/nfs/content") == (500, "storage 'nfs' is not online")


def test_storages_are_hidden_from_who_may_not_audit_them() -> None:
    lab = Lab(RIGHTS)
    assert lab.get("/nodes/pve1/storage", token=BLIND) == []
    assert lab.get("/cluster/resources", token=BLIND, type="storage") == []
    assert lab.refused("GET", "/nodes/pve1/storage/local/content", token=BLIND)[0] == 403


def test_the_content_of_a_storage_is_its_guests_disks_and_what_the_scenario_adds() -> None:
    backup = {"volid": "local:backup/vzdump-qemu-100.vma.zst", "content": "backup", "vmid": 100, "size": 5, "ctime": NOON - 86_400}
    lab = Lab({"guests": [vm(100)], "storages": [{"name": "local", "volumes": [backup]}]})
    assert {row["content"] for row in lab.get("/nodes/pve1/storage/local/content")} == {"images", "backup"}
    assert lab.get("/nodes/pve1/storage/local/content", content="backup") == [backup]


def test_replication_shows_failures_and_runs_on_the_node_of_the_guest() -> None:
    jobs = [
        {"id": "100-0", "target": "pve2", "fail_count": 3, "error": "connection lost"},
        {"id": "100-1", "target": "pve3", "running": True},
    ]
    lab = Lab({"guests": [vm(100)], "replication": jobs})
    assert [row["id"] for row in lab.get("/cluster/replication")] == ["100-0", "100-1"]
    first, second = lab.get("/nodes/pve1/replication")
    assert (first["fail_count"], first["error"], first["source"], first["target"]) == (3, "connection lost", "pve1", "pve2")
    assert "pid" in second
    assert "pid" not in first
    assert lab.get("/nodes/pve2/replication") == []


def test_guests_no_backup_job_covers_are_listed() -> None:
    guests = [vm(100), vm(101), ct(200)]
    job = {"vmid": [100], "schedule": "02:30"}
    lab = Lab({"guests": guests, "backup_jobs": [job], "pools": {"prod": [200]}})
    assert [row["vmid"] for row in lab.get("/cluster/backup-info/not-backed-up")] == [101, 200]
    assert lab.get("/cluster/backup")[0]["vmid"] == "100"
    both = Lab({"guests": guests, "backup_jobs": [job, {"pool": "prod"}], "pools": {"prod": [200]}})
    assert [row["vmid"] for row in both.get("/cluster/backup-info/not-backed-up")] == [101]
    everything = Lab({"guests": guests, "backup_jobs": [{"all": 1, "exclude": "101"}]})
    assert [row["vmid"] for row in everything.get("/cluster/backup-info/not-backed-up")] == [101]


def test_no_ceph_is_a_500_that_says_so() -> None:
    for path in ("/cluster/ceph/status", "/cluster/ceph/metadata"):
        assert Lab({}).refused("GET", path) == (500, "binary not installed: /usr/bin/ceph-mon")
    assert Lab({}).get("/cluster/ceph/metadata", scope="versions") == {"node": {}}


def test_ceph_tells_where_its_daemons_are_and_which_may_not_stop() -> None:
    ceph = {
        "mons": ["pve1", "pve2", "pve3"],
        "mgrs": ["pve1"],
        "osds": [{"id": number, "host": f"pve{number + 1}"} for number in range(3)],
        "unsafe": ["osd.1"],
    }
    lab = Lab({"ceph": ceph})
    metadata = lab.get("/cluster/ceph/metadata")
    assert set(metadata["mon"]) == {"pve1@pve1", "pve2@pve2", "pve3@pve3"}
    assert [osd["hostname"] for osd in metadata["osd"]] == ["pve1", "pve2", "pve3"]
    safe = {osd: lab.get("/nodes/pve1/ceph/cmd-safety", service="osd", id=str(osd), action="stop")["safe"] for osd in (0, 1)}
    assert safe == {0: True, 1: False}
    assert lab.get("/cluster/ceph/status")["health"]["status"] == "HEALTH_OK"
    lab.cluster.crash_node("pve3")
    assert lab.get("/cluster/ceph/status")["health"]["status"] == "HEALTH_WARN"


@pytest.mark.parametrize(
    "path", ["/nodes/pve1/rrddata", "/nodes/pve1/qemu/100/rrddata", "/nodes/pve1/lxc/200/rrddata", "/nodes/pve1/storage/local/rrddata"]
)
def test_history_comes_in_steps_that_end_before_now(path: str) -> None:
    lab = Lab({"guests": [vm(100), ct(200)]})
    rows = lab.get(path, timeframe="hour")
    assert len(rows) == 60
    assert {second["time"] - first["time"] for first, second in pairwise(rows)} == {60}
    assert rows[-1]["time"] < NOON
    assert lab.wrong("GET", path) == {"timeframe": "property is missing and it is not optional"}


def test_8_keeps_history_in_other_steps() -> None:
    rows = Lab({"version": "8.4"}).get("/nodes/pve1/rrddata", timeframe="day")
    assert rows[1]["time"] - rows[0]["time"] == 1800
    assert "pressurecpusome" not in rows[-1]


def test_history_can_be_prescribed() -> None:
    lab = Lab({"nodes": {"pve1": {"rrd": {"cpu": 0.99, "iowait": lambda moment: moment % 2}}}})
    assert lab.get("/nodes/pve1/rrddata", timeframe="hour")[-1]["cpu"] == 0.99


def test_the_highest_value_of_a_minute_shows_a_burst_its_average_hides() -> None:
    def burst(moment: float) -> float:
        return 0.9 if moment % 60 < 10 else 0.0

    lab = Lab(
        {
            "guests": [
                vm(100, rrd={"cpu": burst, "netin": 5, "diskread": lambda _: None}, uptime=600),
                vm(101, status="stopped", rrd={"cpu": 1}),
            ]
        }
    )
    highest, average = (lab.get("/nodes/pve1/qemu/100/rrddata", timeframe="hour", cf=cf) for cf in ("MAX", "AVERAGE"))
    assert (highest[-1]["cpu"], highest[-1]["netin"]) == (0.9, 5)
    assert average[-1]["cpu"] == pytest.approx(0.15)
    assert "diskread" not in highest[-1]
    # before its start nothing was measured
    assert "cpu" not in highest[0]
    assert "cpu" not in lab.get("/nodes/pve1/qemu/101/rrddata", timeframe="hour", cf="MAX")[-1]


def test_a_storage_shows_the_lines_of_its_configuration() -> None:
    nas = {"name": "nas", "type": "nfs", "nodes": ("pve1", "pve2"), "config": {"server": "192.0.2.9", "export": "/srv"}}
    local, shown, off = Lab({"storages": [{"name": "local"}, nas, {"name": "old", "enabled": 0}]}).get("/storage")
    assert (shown["server"], shown["export"], shown["nodes"]) == ("192.0.2.9", "/srv", "pve1,pve2")
    assert {"server", "nodes", "disable"}.isdisjoint(local)
    assert off["disable"] == 1


@pytest.mark.parametrize(
    ("schedule", "due"),
    # NOON is Monday the 21st of September, 14:13:20 in UTC
    [
        ("21:00", "2026-09-21 21:00"),
        ("14:13", "2026-09-22 14:13"),
        ("mon..fri 14:00", "2026-09-22 14:00"),
        ("sat,sun 02:30", "2026-09-26 02:30"),
        ("fri..mon 09:00", "2026-09-25 09:00"),
        ("mon 14:00", "2026-09-28 14:00"),
        ("*/15", None),
        ("someday 21:00", None),
    ],
)
def test_a_backup_job_tells_when_it_is_due_next(schedule: str, due: str | None) -> None:
    (job,) = Lab({"backup_jobs": [{"all": 1, "schedule": schedule}]}).get("/cluster/backup")
    assert job.get("next-run") == (due and int(datetime.fromisoformat(f"{due}+00:00").timestamp()))


def test_a_vm_that_is_migrated_has_its_network_device_on_both_nodes() -> None:
    lab = Lab({"guests": [vm(100), ct(200)]})
    lab.cluster.migrate(100, "pve2")
    lab.cluster.migrate(200, "pve2")
    seen = {node: [row["vmid"] for row in lab.get(f"/nodes/{node}/netstat")] for node in ("pve1", "pve2", "pve3")}
    assert seen == {"pve1": ["100", "200"], "pve2": ["100"], "pve3": []}
    lab.advance(30)
    seen = {node: [row["vmid"] for row in lab.get(f"/nodes/{node}/netstat")] for node in ("pve1", "pve2", "pve3")}
    assert seen == {"pve1": [], "pve2": ["100", "200"], "pve3": []}


def test_ceph_is_known_where_it_is_installed_and_what_it_has_forgotten_is_left_out() -> None:
    lab = Lab({"ceph": {"mons": ["pve2"], "osds": [{"id": 1}], "installed": ["pve2"]}})
    assert set(lab.get("/cluster/ceph/metadata", scope="versions")["node"]) == {"pve2"}
    assert lab.refused("GET", "/cluster/ceph/metadata") == (500, "binary not installed: /usr/bin/ceph-mon")
    (osd,) = lab.get("/cluster/ceph/metadata", via="pve2")["osd"]
    assert "hostname" not in osd
    assert lab.get("/cluster/ceph/status", via="pve2")["health"]["status"] == "HEALTH_WARN"


def test_sys_audit_on_the_root_is_asked_for_by_cluster_wide_reads() -> None:
    lab = Lab(RIGHTS)
    for path in (
        "/cluster/status",
        "/cluster/ha/status/current",
        "/cluster/backup",
        "/cluster/config/nodes",
        "/cluster/metrics/export",
        "/nodes/pve1/config",
    ):
        assert lab.refused("GET", path, token=BLIND) == (403, "Permission check failed (/, Sys.Audit)"), path


def test_unknown_paths_and_methods_are_501_and_unknown_parameters_400() -> None:
    lab = Lab({})
    assert lab.refused("GET", "/Version") == (501, "Method 'GET /Version' not implemented")
    assert lab.refused("DELETE", "/version") == (501, "Method 'DELETE /version' not implemented")
    assert lab.wrong("GET", "/version", bogus=1) == {
        "bogus": "property is not defined in schema and the schema does not allow additional properties"
    }
    assert lab.get("/version", _dc=1)["release"] == "9.2"
    assert lab.wrong("GET", "/nodes/pve1/qemu/99/status/current") == {"vmid": "invalid format - value does not look like a valid VM ID\n"}


def test_the_index_pages_are_there() -> None:
    lab = Lab({"guests": [vm(100)]})
    for path in (
        "/",
        "/access",
        "/cluster",
        "/nodes/pve1",
        "/nodes/pve1/qemu/100",
        "/nodes/pve1/qemu/100/status",
        "/access/users",
        "/storage",
        "/pools",
    ):
        assert isinstance(lab.get(path), list)
    assert len(lab.get("/cluster/log")) == 0


def test_a_storage_that_goes_away_is_shown_as_before_until_it_is_forgotten() -> None:
    lab = Lab({"storages": [{"name": "nfs", "total": 1000, "used": 100}]})
    lab.cluster.set_storage("nfs", active=0)
    assert lab.row("storage/pve1/nfs")["status"] == "available"
    assert lab.get("/nodes/pve1/storage")[0]["active"] == 0
    lab.advance(310)
    assert lab.row("storage/pve1/nfs")["status"] == "unknown"


def test_a_migration_locks_the_guest_and_counts_it_on_the_old_node_until_the_end() -> None:
    lab = Lab({"guests": [vm(100)]})
    upid = lab.cluster.migrate(100, "pve2")
    row = lab.row("qemu/100")
    assert (row["node"], row["lock"]) == ("pve1", "migrate")
    assert lab.finish(upid)[0] == "OK"
    row = lab.row("qemu/100")
    assert (row["node"], row["status"], "lock" in row) == ("pve2", "running", False)


def test_a_backup_can_begin_while_the_cluster_runs() -> None:
    lab = Lab({"guests": [vm(100, node="pve2")]})
    upid = lab.cluster.back_up(100)
    assert [row["upid"] for row in lab.get("/nodes/pve2/tasks", source="active")] == [upid]
    assert lab.cluster.guest(100).lock == "backup"


def test_nodes_and_replication_can_change_while_they_run() -> None:
    lab = Lab({"guests": [vm(100)], "replication": [{"id": "100-0", "target": "pve2"}]})
    lab.cluster.change_node("pve1", services={"corosync": "dead"}, wakeonlan="aa:bb:cc:dd:ee:ff")
    lab.cluster.set_replication("100-0", fail_count=2, error="no route to host")
    assert {row["name"]: row["state"] for row in lab.get("/nodes/pve1/services")}["corosync"] == "dead"
    assert lab.get("/nodes/pve1/config")["wakeonlan"] == "aa:bb:cc:dd:ee:ff"
    assert lab.get("/nodes/pve1/replication")[0]["fail_count"] == 2


def test_metrics_can_be_asked_of_one_node_and_of_those_that_are_new() -> None:
    lab = Lab({"guests": [vm(100), vm(300, node="pve2")]})
    rows = lab.get("/cluster/metrics/export", **LOCAL_ONLY)["data"]
    assert {row["id"].partition("/")[2].partition("/")[0] for row in rows if not row["id"].startswith("qemu")} == {"pve1"}
    assert lab.get("/cluster/metrics/export", **SINCE_NOON)["data"] == []
    assert lab.refused("GET", "/cluster/metrics/export", **ELSEWHERE)[1] == "Requested node-list contains unknown nodes - pve9"


def test_pools_swap_and_updates_are_as_the_scenario_has_them_and_take_their_own_rights() -> None:
    values = {
        "zfs": [{"health": "DEGRADED"}],
        "thin_pools": [{"metadata_used": 5}],
        "updates": [{"Package": "openssl"}],
        "swap": {"total": 100, "used": 7, "free": 93},
    }
    lab = Lab({"nodes": {"pve1": values}, **RIGHTS})
    assert [(row["name"], row["health"]) for row in lab.get("/nodes/pve1/disks/zfs")] == [("rpool", "DEGRADED")]
    assert [(row["lv"], row["metadata_used"]) for row in lab.get("/nodes/pve1/disks/lvmthin")] == [("data", 5)]
    assert lab.get("/nodes/pve1/apt/update") == [{"Package": "openssl"}]
    assert lab.get("/nodes/pve1/status")["swap"]["used"] == 7
    for path in ("disks/zfs", "disks/lvmthin", "apt/update"):
        assert lab.ask("GET", f"/nodes/pve1/{path}", token=BLIND).status == 403


def test_ha_can_be_disarmed_and_a_storage_can_have_a_past() -> None:
    lab = Lab({"ha": {"armed": "disarmed"}, "storages": [{"name": "local", "rrd": {"used": 7}}]})
    fencing = next(row for row in lab.get("/cluster/ha/status/current") if row["type"] == "fencing")
    assert fencing["armed-state"] == "disarmed"
    assert {row["used"] for row in lab.get("/nodes/pve1/storage/local/rrddata", timeframe="hour") if "used" in row} == {7}
