"""The real commands do the same work at the simulated cluster and at fakepve, over TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contract.side_by_side import FULL, SECRET, both_doors
from tests.support.commands import Home

COMMANDS: tuple[tuple[str, ...], ...] = (
    ("vm", "list"),
    ("vm", "list", "@tag-prod,-200"),
    ("node", "list"),
    ("tags", "add", "office", "100,200,102", "--yes"),
    ("tags", "list"),
    ("tags", "remove", "office", "100:200", "--yes"),
    ("tags", "set", "-bad", "100", "--yes"),
    ("vm", "shutdown", "100,101,103,104,200", "--timeout", "30", "--yes"),
    ("vm", "shutdown", "999", "--yes"),
    ("vm", "list"),
)
OF_THE_MOMENT = frozenset(
    [
        "cpu",
        "disk",
        "diskread",
        "diskwrite",
        "generated_at",
        "mem",
        "netin",
        "netout",
        "run_id",
        "started",
        "took",
        "took_s",
        "upid",
        "uptime",
    ]
)
FIGURES_OF_A_SILENT_NODE = ("name", "template", "maxcpu", "maxmem", "maxdisk")


def lasting(value: Any) -> Any:
    """A document without what belongs to the moment, and without what fakepve alone still tells of guests on silent nodes."""
    if isinstance(value, dict):
        kept = {key: lasting(item) for key, item in value.items() if key not in OF_THE_MOMENT}
        if kept.get("status") in {"unknown", "offline"}:
            kept = {key: item for key, item in kept.items() if key not in FIGURES_OF_A_SILENT_NODE}
        return kept
    if isinstance(value, list):
        # fakepve lists VMs before containers, PVE by number
        return sorted((lasting(item) for item in value), key=lambda item: item.get("vmid", 0) if isinstance(item, dict) else 0)
    return value


@pytest.mark.slow
def test_the_commands_do_the_same_work_at_both(tmp_path: Path) -> None:
    with both_doors(tmp_path, speed=50) as (stage, theirs):
        homes = []
        for name, door in (("sim", stage.door), ("fakepve", theirs)):
            folder = tmp_path / name
            folder.mkdir()
            homes.append(Home(folder).connect(f"{door.host}:{door.port}", token_id=FULL, secret=SECRET, ca_file=tmp_path / "ca.pem"))
        for words in COMMANDS:
            ours, other = (home.pvectl(*words, "-o", "json") for home in homes)
            assert (ours.code, lasting(ours.json)) == (other.code, lasting(other.json)), words
