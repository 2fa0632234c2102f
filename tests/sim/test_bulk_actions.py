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
