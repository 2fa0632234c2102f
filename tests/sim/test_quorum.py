"""Votes decide; without quorum reads work, some writes do, and the refusals look like something else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sim.asking import Lab, vm


def lab(nodes: dict[str, Any], **more: Any) -> Lab:
    return Lab({"nodes": nodes, "guests": [vm(100), vm(101, status="stopped")], **more})


def told(cluster: Lab) -> int:
    value: int = cluster.get("/cluster/ha/status/current")[0]["quorate"]
    return value


def test_three_nodes_can_spare_one_and_not_two() -> None:
    cluster = lab({"pve1": {}, "pve2": {}, "pve3": {}})
    cluster.cluster.crash_node("pve2")
    assert cluster.cluster.quorate()
    cluster.cluster.crash_node("pve3")
    assert not cluster.cluster.quorate()
    assert told(cluster) == 0


def test_two_nodes_can_spare_none_unless_a_qdevice_votes() -> None:
    cluster = lab({"pve1": {}, "pve2": {}})
    cluster.cluster.crash_node("pve2")
    assert not cluster.cluster.quorate()
    cluster.cluster.set_qdevice({"votes": 1})
    assert cluster.cluster.quorate()
    cluster.cluster.set_qdevice({"votes": 1, "state": "Disconnected"})
    assert not cluster.cluster.quorate()


def test_votes_may_differ() -> None:
    cluster = lab({"pve1": {"votes": 3}, "pve2": {}, "pve3": {}})
    cluster.cluster.crash_node("pve2")
    cluster.cluster.crash_node("pve3")
    assert cluster.cluster.quorate()
    assert [row["quorum_votes"] for row in cluster.get("/cluster/config/nodes")] == ["3", "1", "1"]


@pytest.mark.parametrize("verb", ["shutdown", "stop"])
def test_without_quorum_guests_can_be_stopped_and_not_started(verb: str) -> None:
    cluster = lab({"pve1": {}, "pve2": {}})
    cluster.cluster.lose_quorum()
    assert cluster.finish(cluster.post(f"/nodes/pve1/qemu/100/status/{verb}"))[0] == "OK"
    assert cluster.refused("POST", "/nodes/pve1/qemu/101/status/start") == (500, "cluster not ready - no quorum?")


def test_without_quorum_a_write_fails_in_words_that_look_like_missing_rights() -> None:
    cluster = lab({"pve1": {}, "pve2": {}})
    cluster.cluster.lose_quorum()
    answer = cluster.put_config(100, tags="x")
    assert answer.status == 500
    assert answer.reason.startswith("unable to open file '/etc/pve/nodes/pve1/qemu-server/100.conf.tmp.")
    assert answer.reason.endswith("' - Permission denied")
    assert "tags" not in cluster.config(100)
    cluster.cluster.regain_quorum()
    assert cluster.put_config(100, tags="x").status == 200


def test_reading_works_without_quorum() -> None:
    cluster = lab({"pve1": {}, "pve2": {}})
    cluster.cluster.lose_quorum()
    assert cluster.shown() == {100, 101}
    assert told(cluster) == 0


def test_a_standalone_host_has_no_cluster_row_and_no_idea_of_quorum() -> None:
    cluster = lab({"pve1": {}}, name=None)
    rows = cluster.get("/cluster/status")
    assert [(row["type"], row["nodeid"], row["local"]) for row in rows] == [("node", 0, 1)]
    assert cluster.get("/cluster/config/nodes") == []
    assert cluster.get("/cluster/config/qdevice") == {}


def test_the_status_says_which_node_is_local() -> None:
    cluster = lab({"pve1": {}, "pve2": {}})
    local = {row["name"]: row["local"] for row in cluster.get("/cluster/status", via="pve2") if row["type"] == "node"}
    assert local == {"pve1": 0, "pve2": 1}


def test_a_qdevice_shows_its_state_and_never_its_votes() -> None:
    device = lab({"pve1": {}, "pve2": {}}, qdevice={"votes": 1}).get("/cluster/config/qdevice")
    assert device["State"] == "Connected"
    assert not any("votes" in key.lower() for key in device)


def test_a_node_started_without_quorum_waits_with_its_guests() -> None:
    cluster = Lab(
        {
            "nodes": {"pve1": {}, "pve2": {"status": "offline"}, "pve3": {"status": "offline"}},
            "guests": [vm(100, node="pve2", status="stopped", onboot=1)],
        }
    )
    cluster.cluster.lose_quorum()
    cluster.cluster.wake("pve2")
    cluster.advance(120)
    assert cluster.cluster.guest(100).status == "stopped"
    cluster.cluster.regain_quorum()
    cluster.advance(10)
    assert cluster.cluster.guest(100).status == "running"
