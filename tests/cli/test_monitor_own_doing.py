"""What pvectl did itself is no trouble to the monitor, for as long as nobody undid it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.stages import Stage

LAB: dict[str, Any] = {
    "name": "lab",
    "nodes": {"pve1": {"uptime": 90_000}},
    "guests": [{"vmid": 200, "type": "lxc", "node": "pve1", "name": "dns", "status": "running", "onboot": 1, "tags": "safe-shutdown"}],
}


def found(stage: Stage) -> list[str]:
    data = stage.pvectl("monitor", "--only", "guest.onboot_stopped", "-o", "json").json["data"]
    return [check["object"] for check in data["checks"] if check["status"] != "ok"]


@pytest.mark.slow
def test_a_guest_that_pvectl_shut_down_is_missed_only_after_somebody_started_it_again(tmp_path: Path) -> None:
    with Stage(tmp_path, LAB) as stage:
        assert stage.pvectl("vm", "shutdown", "200", "--yes").code == 0
        stage.advance(60)
        assert found(stage) == []
        stage.admin("start", 200)
        stage.advance(60)
        assert found(stage) == []
        stage.admin("stop", 200)
        stage.advance(60)
        assert found(stage) == ["guest/200"]


@pytest.mark.slow
def test_a_guest_that_does_not_come_up_with_its_node_is_missed(tmp_path: Path) -> None:
    with Stage(tmp_path, LAB) as stage:
        assert stage.pvectl("vm", "shutdown", "200", "--yes").code == 0
        stage.advance(3600)
        assert found(stage) == []
        stage.cluster.world.nodes["pve1"].booted_at = stage.now - 1800
        assert found(stage) == ["guest/200"]
