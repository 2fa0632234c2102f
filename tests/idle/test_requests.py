"""How many requests a run of idle-check makes, counted by the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.idle.days import INTERVAL, PVECTL, idle_check
from tests.support.stages import Stage

MOST_WHEN_BUSY = 4
MOST_SHARED, MOST_PER_NODE = 12, 6


def _cluster(guests: int, *, busy: bool, nodes: int = 3) -> dict[str, Any]:
    """Half of the guests on each of pve2 and pve3 run; when the nodes are idle they are all tagged."""
    names = [f"pve{number + 1}" for number in range(nodes)]
    tags = None if busy else "safe-shutdown"
    listed = [
        {"vmid": 1000 + number, "node": names[1 + number % 2], "type": "lxc" if number % 3 else "qemu", "status": "running", "tags": tags}
        for number in range(guests)
    ]
    return {"nodes": {name: {} for name in names}, "guests": [{"vmid": 100, "node": "pve1", "status": "running"}, *listed]}


def _requests(folder: Path, scenario: dict[str, Any], nodes: str, *, hosts: tuple[str, ...] = (), runs: int = 2) -> list[str]:
    """What the last of a few runs asked; it changes nothing."""
    configuration = PVECTL.replace("[pve2]", nodes) + "  max_guests_per_run: 5000\n"
    with Stage(folder, scenario, pvectl=configuration, hosts=hosts) as stage:
        for _ in range(runs):
            stage.advance(INTERVAL)
            stage.server.clear()
            ended = idle_check(stage)
            assert ended.code == 0, ended.err
            assert all(node["verdict"] in ("keep", "wait") for node in ended.json["data"])
        assert stage.server.writes() == []
        return [str(record) for record in stage.server.requests]


def test_a_busy_cluster_costs_four_requests_at_most(tmp_path: Path) -> None:
    asked = _requests(tmp_path, _cluster(20, busy=True), "[pve2, pve3]")
    assert len(asked) <= MOST_WHEN_BUSY, asked


@pytest.mark.parametrize(("nodes", "candidates"), [("[pve2]", 1), ("[pve2, pve3]", 2)])
@pytest.mark.parametrize("guests", [20, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_full_look_costs_no_more_with_more_guests(tmp_path: Path, guests: int, nodes: str, candidates: int) -> None:
    asked = _requests(tmp_path, _cluster(guests, busy=False), nodes, hosts=("pve1",))
    assert len(asked) <= MOST_SHARED + MOST_PER_NODE * candidates, asked
    (tmp_path / "several").mkdir()
    asked = _requests(tmp_path / "several", _cluster(guests, busy=False), nodes)
    # where there is another host to turn to, the first one is asked which cluster it belongs to, whatever the command
    assert len(asked) <= MOST_SHARED + MOST_PER_NODE * candidates + 1, asked
