"""An idle node and the runs that lead up to switching it off, for tests that begin right before that."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.commands import Ended
from tests.support.stages import Stage

INTERVAL = 200
PVECTL = f"""\
idle_check:
  nodes: [pve2]
  grace_period: 600
  notice: 200
  min_uptime: 300
  max_gap: 450
  interval: {INTERVAL}
  boot_time: 60
  self: elsewhere
"""
RUNS_BEFORE = 4
"""Runs that see the node idle before the one that acts: grace and notice are over with the fifth."""
_TAGGED = {"node": "pve2", "status": "running", "tags": "safe-shutdown"}
IDLE: dict[str, Any] = {
    "nodes": {"pve1": {}, "pve2": {"wakeonlan": "aa:bb:cc:dd:ee:02", "boot_s": 60}, "pve3": {}},
    "guests": [
        {"vmid": 100, "node": "pve1", "name": "db", "status": "running"},
        {"vmid": 110, "node": "pve2", "name": "build", "status": "stopped", "start_s": 0.5},
        {"vmid": 200, "type": "lxc", "name": "web", "startup": "order=1", "shutdown_s": 2, **_TAGGED},
        {"vmid": 201, "name": "films", "startup": "order=2", "shutdown_s": 4, **_TAGGED},
    ],
}
"""Two guests to be shut down in two stages, and then the node."""


@contextmanager
def about_to_act(
    folder: Path, scenario: Mapping[str, Any] = IDLE, *, pvectl: str = PVECTL, keep: Path | None = None, **how: Any
) -> Iterator[Stage]:
    """A stage on which the next run switches pve2 off. `keep` is a folder in which the state up to there is kept for the next caller."""
    with Stage(folder, scenario, pvectl=pvectl, **how) as stage:
        kept = keep / "state" if keep is not None else None
        if kept is not None and kept.exists():
            shutil.copytree(kept, stage.state)
            stage.advance(INTERVAL * RUNS_BEFORE)
        else:
            for _ in range(RUNS_BEFORE):
                stage.advance(INTERVAL)
                ended = idle_check(stage)
                assert ended.code == 0, ended.err
            if kept is not None:
                shutil.copytree(stage.state, kept)
        assert stage.server.writes() == []
        stage.server.clear()
        stage.server.count_anew()
        stage.advance(INTERVAL)
        yield stage


def idle_check(stage: Stage, *words: str) -> Ended:
    return stage.pvectl("idle-check", "-o", "json", *words)
