"""HA-managed guests: a power call only queues a request, and the manager does what it wants (pve-ha-manager)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.asking import Lab, ct, vm


def lab(*guests: dict[str, Any], **more: Any) -> Lab:
    return Lab({"guests": guests or [vm(100, ha={"state": "started"})], **more})


def state(cluster: Lab, vmid: int = 100) -> str:
    rows = cluster.get("/cluster/ha/status/current")
    value: str = next(row["state"] for row in rows if row.get("sid", "").endswith(f":{vmid}"))
    return value


def test_a_shutdown_is_ok_at_once_and_the_guest_goes_down_later() -> None:
    cluster = lab()
    upid = cluster.post("/nodes/pve1/qemu/100/status/shutdown")
    assert upid.split(":")[5] == "hastop"
    ended, took = cluster.finish(upid)
    assert (ended, cluster.cluster.guest(100).status) == ("OK", "running")
    assert took < 5
    cluster.advance(60)
    assert cluster.cluster.guest(100).status == "stopped"


def test_the_request_stays_in_force() -> None:
    cluster = lab()
    cluster.finish(cluster.post("/nodes/pve1/qemu/100/status/shutdown"))
    assert cluster.get("/cluster/ha/resources")[0]["state"] == "started"
    cluster.advance(10)
    assert cluster.get("/cluster/ha/resources")[0]["state"] == "stopped"
    assert cluster.row("qemu/100")["hastate"] == "request_stop"
    cluster.advance(60)
    assert state(cluster) == "stopped"


def test_a_vm_that_will_not_go_is_killed_whatever_the_caller_asked_for() -> None:
    cluster = lab(vm(100, acpi=False, ha={"state": "started"}))
    cluster.finish(cluster.post("/nodes/pve1/qemu/100/status/shutdown", timeout=20, forceStop=0))
    cluster.advance(60)
    assert cluster.cluster.guest(100).status == "stopped"


def test_a_container_that_will_not_go_runs_on() -> None:
    cluster = lab(ct(200, acpi=False, ha={"state": "started"}))
    cluster.finish(cluster.post("/nodes/pve1/lxc/200/status/shutdown", timeout=20))
    cluster.advance(120)
    assert cluster.cluster.guest(200).status == "running"


def test_starting_is_a_request_as_well() -> None:
    cluster = lab(vm(100, status="stopped", ha={"state": "stopped"}))
    upid = cluster.post("/nodes/pve1/qemu/100/status/start")
    assert (upid.split(":")[5], cluster.finish(upid)[0]) == ("hastart", "OK")
    assert cluster.cluster.guest(100).status == "stopped"
    cluster.advance(30)
    assert cluster.cluster.guest(100).status == "running"


def test_an_ignored_resource_is_not_managed() -> None:
    cluster = lab(vm(100, ha={"state": "ignored"}))
    assert cluster.post("/nodes/pve1/qemu/100/status/shutdown").split(":")[5] == "qmshutdown"


def test_management_shows_in_the_status_of_the_guest_and_in_the_overview() -> None:
    cluster = lab(vm(100, ha={"state": "started"}), vm(101))
    assert cluster.get("/nodes/pve1/qemu/100/status/current")["ha"] == {"managed": 1, "state": "started"}
    assert cluster.get("/nodes/pve1/qemu/101/status/current")["ha"] == {"managed": 0}
    assert cluster.row("qemu/100")["hastate"] == "started"
    assert "hastate" not in cluster.row("qemu/101")


def test_without_a_manager_at_work_requests_only_queue() -> None:
    cluster = lab(vm(100, status="stopped", ha={"state": "started"}), ha={"manager": False})
    assert state(cluster) == "queued"
    cluster.finish(cluster.post("/nodes/pve1/qemu/100/status/start"))
    cluster.advance(120)
    assert cluster.cluster.guest(100).status == "stopped"


def test_the_status_lists_quorum_master_lrms_and_services() -> None:
    kinds = [row["type"] for row in lab().get("/cluster/ha/status/current")]
    assert kinds == ["quorum", "master", "fencing", "lrm", "lrm", "lrm", "service"]


def test_an_orderly_power_off_lets_other_nodes_take_over() -> None:
    cluster = lab(vm(100, ha={"state": "started"}), vm(101))
    cluster.cluster.power_off("pve1")
    cluster.advance(300)
    guest = cluster.cluster.guest(100)
    assert (guest.node, guest.status) == ("pve2", "running")
    assert cluster.cluster.guest(101).status == "stopped"


@pytest.mark.parametrize(
    ("policy", "node", "status"), [("freeze", "pve1", "stopped"), ("failover", "pve2", "running"), ("migrate", "pve2", "running")]
)
def test_the_shutdown_policy_says_what_becomes_of_the_services(policy: str, node: str, status: str) -> None:
    cluster = lab(options={"ha": {"shutdown_policy": policy}})
    cluster.cluster.power_off("pve1")
    cluster.advance(300)
    guest = cluster.cluster.guest(100)
    assert (guest.node, guest.status) == (node, status)


def test_under_migrate_the_guest_never_stops() -> None:
    cluster = lab(options={"ha": {"shutdown_policy": "migrate"}})
    cluster.cluster.power_off("pve1")
    cluster.advance(300)
    assert not [event for event in cluster.cluster.log if event.what == "guest stopped"]


def test_the_services_of_a_dead_node_are_recovered_after_fencing() -> None:
    cluster = lab()
    cluster.cluster.crash_node("pve1")
    cluster.advance(60)
    assert cluster.cluster.guest(100).status == "stopped"
    cluster.advance(120)
    guest = cluster.cluster.guest(100)
    assert (guest.node, guest.status) == ("pve2", "running")


def test_8_knows_groups_and_no_fencing_row() -> None:
    cluster = lab(vm(100, ha={"state": "started", "group": "prefer"}), version="8.4")
    rows = cluster.get("/cluster/ha/status/current")
    assert "fencing" not in {row["type"] for row in rows}
    assert rows[-1]["group"] == "prefer"


def test_nodes_are_known_to_the_manager_only_when_there_is_something_to_manage() -> None:
    assert lab().row("node/pve1")["hastate"] == "online"
    assert "hastate" not in Lab({"guests": [vm(100)]}).row("node/pve1")


def test_a_node_in_maintenance_or_on_its_way_down_shows_in_its_lrm() -> None:
    cluster = lab(vm(100, shutdown_s=30, ha={"state": "started"}), nodes={"pve1": {}, "pve2": {"ha_state": "maintenance"}})
    cluster.cluster.power_off("pve1")
    lrms = {row["node"]: row["status"] for row in cluster.get("/cluster/ha/status/current", via="pve2") if row["type"] == "lrm"}
    assert "shutdown mode" in lrms["pve1"]
    assert "maintenance mode" in lrms["pve2"]
    cluster.advance(120)
    lrms = {row["node"]: row["status"] for row in cluster.get("/cluster/ha/status/current", via="pve2") if row["type"] == "lrm"}
    assert "old timestamp - dead?" in lrms["pve1"]


def test_a_guest_that_starts_and_one_that_stops_say_so() -> None:
    cluster = lab(
        vm(100, status="stopped", ha={"state": "started", "crm_state": "started"}), vm(101, ha={"state": "stopped", "crm_state": "started"})
    )
    assert (state(cluster, 100), state(cluster, 101)) == ("starting", "stopping")


def test_a_stop_cannot_overrule_a_shutdown_of_an_ha_guest() -> None:
    answer = lab().ask("POST", "/nodes/pve1/qemu/100/status/stop", params={"overrule-shutdown": 1})
    assert answer.errors == {"overrule-shutdown": "Not applicable for HA resources."}


def test_a_frozen_service_starts_again_with_its_node() -> None:
    nodes = {"pve1": {"boot_s": 30}, "pve2": {}, "pve3": {}}
    cluster = lab(vm(100, ha={"state": "started"}), ct(200, ha={"state": "started"}), nodes=nodes)
    cluster.post("/nodes/pve1/status", command="reboot")
    cluster.advance(60)
    cluster.advance(120)
    for vmid in (100, 200):
        assert (cluster.cluster.guest(vmid).node, cluster.cluster.guest(vmid).status) == ("pve1", "running")


def test_without_quorum_the_manager_does_nothing() -> None:
    cluster = lab()
    cluster.finish(cluster.post("/nodes/pve1/qemu/100/status/shutdown"))
    cluster.cluster.lose_quorum()
    cluster.advance(120)
    assert cluster.cluster.guest(100).status == "running"
