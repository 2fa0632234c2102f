"""A cluster whose guests go down at night, and the runs of the timer around that time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.commands import Ended
from tests.support.stages import Stage

INTERVAL = 300
TAGGED = {"status": "running", "tags": "safe-shutdown"}
CLUSTER: dict[str, Any] = {
    "nodes": {"pve1": {}, "pve2": {}, "pve3": {}},
    "guests": [
        {"vmid": 100, "node": "pve1", "name": "critical", "status": "running"},
        {"vmid": 200, "node": "pve2", "name": "desk", "shutdown_s": 3, **TAGGED},
        {"vmid": 201, "node": "pve3", "name": "desk2", "type": "lxc", "shutdown_s": 5, **TAGGED},
        {"vmid": 300, "node": "pve2", "name": "app", "shutdown_s": 4, **TAGGED},
        {"vmid": 301, "node": "pve2", "name": "spare", "status": "stopped", "tags": "safe-shutdown"},
    ],
}
NIGHT = """\
scheduled_shutdown:
  schedules:
    - name: night
      at: "22:00"
      tz: UTC
      select: ["@all"]
"""
STAGED = (
    NIGHT
    + """\
      stages:
        - {name: desks, select: ["200:210"], wait_after: 30}
        - {name: apps, select: ["300:310"]}
"""
)


def at(text: str) -> float:
    """Epoch seconds of a moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@contextmanager
def before_ten(folder: Path, pvectl: str = NIGHT, cluster: Mapping[str, Any] = CLUSTER, *, minutes: int = 5, **how: Any) -> Iterator[Stage]:
    """A stage at this many minutes before 22:00, on which one run has armed the schedules."""
    with Stage(folder, cluster, pvectl=pvectl, start=at("2026-12-01 22:00") - 60 * minutes, **{"sockets": False, **how}) as stage:
        ended = scheduled(stage)
        assert ended.code == 0, ended.err
        assert stage.server.requests == []
        yield stage


def scheduled(stage: Stage, *words: str) -> Ended:
    return stage.pvectl("scheduled-shutdown", "-o", "json", *words)


def go_to(stage: Stage, text: str) -> None:
    """Let time pass up to this moment of the night, "22:05" or "2026-12-02 07:00"."""
    moment = at(text if "-" in text else f"2026-12-01 {text}")
    assert moment >= stage.now
    stage.advance(moment - stage.now)


def asked(stage: Stage) -> list[int]:
    """The guests that were asked to shut down, in that order."""
    return [int(record.path.split("/")[4]) for record in stage.shutdowns()]


def off(stage: Stage) -> set[int]:
    """The guests that are off."""
    return {guest.vmid for guest in stage.cluster.world.guests.values() if guest.status == "stopped"}


def row(ended: Ended, index: int = -1) -> dict[str, Any]:
    """One row of the report, the last unless told."""
    found: dict[str, Any] = ended.json["data"][index]
    return found


def guests(ended: Ended) -> dict[int, str]:
    """What became of each guest, by the last row."""
    return {one["vmid"]: one["status"] for stage in row(ended)["stages"] for one in stage["guests"]}
