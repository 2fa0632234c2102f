"""Nodes go down with what runs on them, come back over the network, and are missed in the meantime."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.asking import Lab, ct, vm

MAC = "aa:bb:cc:dd:ee:ff"
OPERATOR = "op@pve!tok"


def lab(*guests: dict[str, Any], **more: Any) -> Lab:
    nodes = {"pve1": {}, "pve2": {"wakeonlan": MAC, "boot_s": 60}, "pve3": {}}
    return Lab({"nodes": nodes, "guests": guests, **more})


def there(vmid: int, **values: Any) -> dict[str, Any]:
    return vm(vmid, node="pve2", **values)


def online(cluster: Lab) -> list[str]:
    return [row["name"] for row in cluster.get("/cluster/status") if row["type"] == "node" and row["online"]]


def off_after(cluster: Lab, node: str, patience: int = 900) -> int:
    for second in range(patience):
        if cluster.cluster.node_accepts(node) == "refuses":
            return second
        cluster.advance(1)
    raise AssertionError("the node stays on")


def stopped_at(cluster: Lab) -> dict[str, float]:
    start = cluster.cluster.log[0].at
    return {event.subject: round(event.at - start, 1) for event in cluster.cluster.log if event.what == "guest stopped"}


def test_a_power_off_is_answered_with_nothing_and_happens_two_seconds_later() -> None:
    cluster = lab()
    assert cluster.ask("POST", "/nodes/pve2/status", params={"command": "shutdown"}).data is None
    cluster.advance(1.9)
    assert cluster.cluster.node("pve2").powering_off is None
    cluster.advance(0.2)
    assert cluster.cluster.node("pve2").powering_off == "shutdown"
    off_after(cluster, "pve2")
    assert online(cluster) == ["pve1", "pve3"]


def test_nobody_asks_whether_guests_run_or_quorum_holds() -> None:
    cluster = Lab({"nodes": {"pve1": {}, "pve2": {}}, "guests": [vm(100, node="pve2")]})
    assert cluster.ask("POST", "/nodes/pve2/status", params={"command": "shutdown"}).status == 200


def test_guests_are_stopped_before_the_node_leaves() -> None:
    cluster = lab(there(100, shutdown_s=20), ct(200, node="pve2", shutdown_s=3))
    cluster.cluster.power_off("pve2")
    assert off_after(cluster, "pve2") >= 20
    assert {cluster.cluster.guest(vmid).status for vmid in (100, 200)} == {"stopped"}
    assert cluster.cluster.tasks()[0].type == "stopall"


def test_a_guest_that_will_not_go_is_killed_after_three_minutes() -> None:
    cluster = lab(there(100, acpi=False))
    cluster.cluster.power_off("pve2")
    assert 180 <= off_after(cluster, "pve2") < 195


def test_startup_down_shortens_the_wait() -> None:
    cluster = lab(there(100, acpi=False, startup="down=20"))
    cluster.cluster.power_off("pve2")
    assert 20 <= off_after(cluster, "pve2") < 35


@pytest.mark.parametrize("late", [{}, {"lock": "snapshot"}])
def test_a_guest_that_begins_meanwhile_goes_with_the_node(late: dict[str, Any]) -> None:
    cluster = lab(there(100, shutdown_s=20), there(101, status="stopped"))
    cluster.cluster.power_off("pve2")
    cluster.advance(10)
    cluster.cluster.start(101)
    cluster.cluster.guest(101).config.update(late)
    assert 10 <= off_after(cluster, "pve2") < 40
    assert cluster.cluster.guest(101).status == "stopped"


def test_guests_without_an_order_go_first_and_the_lowest_order_last() -> None:
    cluster = lab(there(100, startup="order=1"), there(101, startup="order=2"), there(102))
    cluster.cluster.power_off("pve2")
    off_after(cluster, "pve2")
    times = stopped_at(cluster)
    assert times["102"] < times["101"] < times["100"]


def test_a_running_backup_is_cut_off() -> None:
    cluster = lab()
    upid = cluster.cluster.add_task(type="vzdump", node="pve2", took=None)
    cluster.cluster.power_off("pve2")
    off_after(cluster, "pve2")
    assert [task.status for task in cluster.cluster.tasks() if task.upid == upid] == ["interrupted by signal"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nodes/pve2/status"), ("POST", "/nodes/pve2/qemu/100/status/shutdown"), ("GET", "/nodes/pve2/tasks")]
)
def test_calls_for_a_node_that_is_off_are_refused_and_for_one_that_hangs_time_out(method: str, path: str) -> None:
    cluster = lab(there(100))
    cluster.cluster.hang_node("pve2")
    answer = cluster.ask(method, path)
    assert (answer.status, answer.reason, answer.delay_s, answer.body) == (596, "Connection timed out", 30.0, b"")
    cluster.cluster.revive_node("pve2")
    cluster.cluster.crash_node("pve2")
    answer = cluster.ask(method, path)
    assert (answer.status, answer.reason, answer.body, answer.content_type) == (595, "Connection refused", b"", None)


def test_an_unknown_node_is_looked_up_in_vain() -> None:
    text = "hostname lookup 'nosuch' failed - failed to get address info for: nosuch: Name or service not known"
    assert lab().refused("GET", "/nodes/nosuch/status") == (500, text)
    assert lab().refused("GET", "/nodes/PVE1/status")[0] == 500


def test_a_node_name_that_cannot_be_an_acl_path_is_a_403_even_for_root() -> None:
    assert lab().refused("GET", "/nodes/bad_name!/status") == (403, "Permission check failed (, Sys.Audit)")


def test_a_hung_node_stays_a_member() -> None:
    cluster = lab()
    cluster.cluster.hang_node("pve2")
    assert online(cluster) == ["pve1", "pve2", "pve3"]
    assert cluster.cluster.node_accepts("pve2") == "hangs"


def test_localhost_is_the_node_one_is_connected_to() -> None:
    cluster = lab(there(100))
    assert [row["vmid"] for row in cluster.get("/nodes/localhost/qemu", via="pve2")] == [100]


def test_a_magic_packet_brings_the_node_back_and_its_guests_with_it() -> None:
    cluster = lab(there(100, onboot=1, startup="order=2"), there(101, onboot=1, startup="order=1,up=30"), there(102))
    cluster.cluster.power_off("pve2")
    off_after(cluster, "pve2")
    assert cluster.post("/nodes/pve2/wakeonlan") == MAC
    cluster.advance(59)
    assert cluster.cluster.node_accepts("pve2") == "refuses"
    cluster.advance(2)
    assert cluster.cluster.node_accepts("pve2") == "up"
    cluster.advance(60)
    assert [cluster.cluster.guest(vmid).status for vmid in (100, 101, 102)] == ["running", "running", "stopped"]
    started = {event.subject: event.at for event in cluster.cluster.log if event.what == "guest started"}
    assert started["100"] - started["101"] >= 30
    assert cluster.get("/nodes/pve2/status")["uptime"] < 70
    assert cluster.row("qemu/100")["status"] == "running"


@pytest.mark.parametrize(
    ("node", "text"),
    [
        ("pve1", "'pve1' is local node, cannot wake my self!"),
        ("localhost", "'localhost' is local node, cannot wake my self!"),
        ("nosuch", "no such cluster node 'nosuch'"),
        ("pve3", "No wake on LAN MAC address defined for 'pve3'!"),
    ],
)
def test_a_node_that_cannot_be_woken_says_why(node: str, text: str) -> None:
    assert lab().refused("POST", f"/nodes/{node}/wakeonlan") == (500, text)


def test_waking_works_while_the_node_is_off_because_the_connected_node_sends_the_packet() -> None:
    cluster = lab()
    cluster.cluster.crash_node("pve2")
    assert cluster.post("/nodes/pve2/wakeonlan", via="pve3") == MAC


def test_the_address_to_wake_is_read_before_the_node_is_off() -> None:
    cluster = lab()
    assert cluster.get("/nodes/pve2/config")["wakeonlan"] == MAC
    assert "wakeonlan" not in cluster.get("/nodes/pve3/config")


def test_a_packet_to_a_node_that_is_on_changes_nothing() -> None:
    cluster = lab()
    before = cluster.cluster.node("pve2").booted_at
    cluster.post("/nodes/pve2/wakeonlan")
    cluster.advance(120)
    assert cluster.cluster.node("pve2").booted_at == before


def test_a_deaf_network_card_wakes_nothing() -> None:
    cluster = Lab({"nodes": {"pve1": {}, "pve2": {"wakeonlan": MAC, "wakes": False, "status": "offline"}}})
    cluster.post("/nodes/pve2/wakeonlan")
    cluster.advance(600)
    assert cluster.cluster.node_accepts("pve2") == "refuses"


def test_a_reboot_comes_back_by_itself() -> None:
    cluster = lab(there(100, onboot=1))
    cluster.post("/nodes/pve2/status", command="reboot")
    off_after(cluster, "pve2")
    cluster.advance(90)
    assert cluster.cluster.node_accepts("pve2") == "up"
    assert cluster.cluster.guest(100).status == "running"


def test_power_needs_sys_powermgmt_on_that_node() -> None:
    rights = {
        "tokens": {OPERATOR: {"privsep": 0}},
        "roles": {"Power": "Sys.PowerMgmt"},
        "acl": [{"path": "/nodes/pve2", "ugid": "op@pve", "roleid": "Power"}],
    }
    cluster = lab(**rights)
    denied = "Permission check failed (/nodes/pve3, Sys.PowerMgmt)"
    assert cluster.refused("POST", "/nodes/pve3/status", token=OPERATOR, command="shutdown") == (403, denied)
    assert cluster.refused("POST", "/nodes/pve3/wakeonlan", token=OPERATOR) == (403, denied)
    assert cluster.ask("POST", "/nodes/pve2/status", token=OPERATOR, params={"command": "shutdown"}).status == 200


def test_the_command_is_shutdown_or_reboot() -> None:
    assert lab().wrong("POST", "/nodes/pve2/status", command="poweroff") == {
        "command": "value 'poweroff' does not have a value in the enumeration 'reboot, shutdown'"
    }
    assert lab().wrong("POST", "/nodes/pve2/status") == {"command": "property is missing and it is not optional"}


def test_a_crash_leaves_the_lock_of_a_backup_behind() -> None:
    cluster = lab(there(100))
    cluster.post("/nodes/pve2/vzdump", vmid=100)
    cluster.cluster.crash_node("pve2")
    assert cluster.cluster.guest(100).lock == "backup"


def test_a_backup_lock_left_over_is_dropped_at_boot_and_no_other() -> None:
    cluster = lab(there(100), there(101))
    cluster.post("/nodes/pve2/vzdump", vmid=100)
    cluster.cluster.lock(101, "migrate")
    cluster.cluster.crash_node("pve2")
    cluster.cluster.wake("pve2")
    cluster.advance(70)
    assert (cluster.cluster.guest(100).lock, cluster.cluster.guest(101).lock) == (None, "migrate")


def test_what_is_off_is_missing_from_the_history() -> None:
    cluster = lab()
    cluster.cluster.crash_node("pve2")
    cluster.advance(1800)
    cluster.cluster.wake("pve2")
    cluster.advance(600)
    rows = cluster.get("/nodes/pve2/rrddata", timeframe="hour")
    assert {"cpu" in row for row in rows} == {True, False}
