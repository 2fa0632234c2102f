"""Stopping many guests at once: in order, with force by default, and with an outcome not to be trusted."""

from __future__ import annotations

from typing import Any

from tests.sim.asking import Lab, ct, vm

POWER = "power@pve!tok"
RIGHTS: dict[str, Any] = {
    "tokens": {POWER: {"privsep": 0}},
    "roles": {"Power": "VM.Audit VM.PowerMgmt"},
    "acl": [{"path": "/vms", "ugid": "power@pve", "roleid": "Power"}],
}


def wishes(values: dict[str, Any]) -> dict[str, Any]:
    """Parameters whose names are no Python names."""
    return values


def order_of_stopping(cluster: Lab) -> list[str]:
    return [event.subject for event in cluster.cluster.log if event.what == "guest stopped"]


def test_stopall_ends_ok_while_a_guest_still_runs() -> None:
    cluster = Lab({"guests": [vm(101, acpi=False)]})
    upid = cluster.post("/nodes/pve1/stopall", **wishes({"force-stop": 0, "timeout": 5, "vms": "101"}))
    assert cluster.finish(upid)[0] == "OK"
    assert cluster.task_log(upid) == ["Stopping VM 101 (timeout = 5 seconds)", "TASK OK"]
    assert cluster.cluster.guest(101).status == "running"


def test_stopall_kills_unless_told_otherwise() -> None:
    cluster = Lab({"guests": [vm(101, acpi=False), ct(200, acpi=False), vm(102, status="paused")]})
    cluster.finish(cluster.post("/nodes/pve1/stopall", timeout=5))
    assert {cluster.cluster.guest(vmid).status for vmid in (101, 102, 200)} == {"stopped"}


def test_stopall_goes_by_descending_order_and_takes_those_without_one_first() -> None:
    cluster = Lab({"guests": [vm(101, startup="order=1"), vm(102, startup="order=5"), vm(103), vm(104)]})
    cluster.finish(cluster.post("/nodes/pve1/stopall"))
    assert order_of_stopping(cluster) in (["104", "103", "102", "101"], ["103", "104", "102", "101"])


def test_stopall_leaves_ha_guests_alone_unless_they_are_named() -> None:
    guests = [vm(101, ha={"state": "started"}), vm(102)]
    cluster = Lab({"guests": guests, "ha": {"manager": False}})
    cluster.finish(cluster.post("/nodes/pve1/stopall"))
    assert [cluster.cluster.guest(vmid).status for vmid in (101, 102)] == ["running", "stopped"]


def test_stopping_all_needs_power_over_everything_or_over_each_that_is_named() -> None:
    cluster = Lab({"guests": [vm(101)], **RIGHTS})
    assert cluster.refused("POST", "/nodes/pve1/stopall", token=POWER) == (403, "Permission check failed (/, VM.PowerMgmt)")
    assert cluster.ask("POST", "/nodes/pve1/stopall", token=POWER, params={"vms": "101"}).status == 200


def test_the_bulk_action_works_across_nodes_and_names_who_would_not_go() -> None:
    cluster = Lab({"guests": [vm(101, acpi=False), vm(102, node="pve2")]})
    upid = cluster.post("/cluster/bulk-action/guest/shutdown", **wishes({"force-stop": 0, "timeout": 5, "vms": ["101", "102"]}))
    assert cluster.finish(upid)[0] == "Some guests failed to shutdown 101"
    assert cluster.cluster.guest(102).status == "stopped"


def test_the_bulk_action_takes_an_array_and_no_comma_list() -> None:
    cluster = Lab({"guests": [vm(101)]})
    assert cluster.wrong("POST", "/cluster/bulk-action/guest/shutdown", vms="101,106") == {
        "vms[0]": "type check ('integer') failed - got '101,106'"
    }


def test_8_knows_no_bulk_action() -> None:
    path = "/cluster/bulk-action/guest/shutdown"
    assert Lab({"version": "8.4"}).refused("POST", path) == (501, f"Method 'POST {path}' not implemented")


def test_the_bulk_action_skips_what_is_off_or_paused_with_a_warning() -> None:
    cluster = Lab({"guests": [vm(101, status="stopped"), vm(102, status="paused"), vm(103)]})
    upid = cluster.post("/cluster/bulk-action/guest/shutdown", **wishes({"force-stop": 0}))
    assert cluster.finish(upid)[0] == "WARNINGS: 2"
    assert cluster.task_log(upid)[:4] == [
        "Shutting down all guests",
        "WARN: Skipping VM 101, not running.",
        "WARN: Skipping VM 102, resume paused VM before shutdown.",
        "Shutting down VM 103 (Timeout = 180 seconds)",
    ]


def test_the_bulk_action_fails_for_guests_of_a_node_that_is_off() -> None:
    cluster = Lab({"guests": [vm(101), vm(300, node="pve2")]})
    cluster.cluster.crash_node("pve2")
    ended, _ = cluster.finish(cluster.post("/cluster/bulk-action/guest/shutdown"))
    assert ended == "Some guests failed to shutdown 300"


def test_a_named_ha_guest_is_only_asked_to_stop() -> None:
    cluster = Lab({"guests": [vm(101, ha={"state": "started"})]})
    upid = cluster.post("/nodes/pve1/stopall", vms="101")
    assert cluster.finish(upid)[0] == "OK"
    assert cluster.cluster.guest(101).status == "running"
    assert [task.type for task in cluster.cluster.tasks()] == ["stopall", "hastop"]


def test_no_more_workers_run_at_once_than_the_datacenter_allows() -> None:
    guests = [vm(100 + number, shutdown_s=10) for number in range(4)]
    wide, narrow = Lab({"guests": guests}), Lab({"guests": guests, "options": {"max_workers": 1}})
    took = [lab.finish(lab.post("/nodes/pve1/stopall"))[1] for lab in (wide, narrow)]
    assert took[0] < 20
    assert took[1] >= 40
