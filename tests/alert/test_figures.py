"""How many messages people get: of what flaps, and of a cluster with many problems when pvectl looks at it for the first time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pvectl.errors import ExitCode
from tests.alert.stage import HEALTHY, AlertStage, bodies, hook, subjects, times

SERVICES = (
    "pveproxy",
    "pvedaemon",
    "pvestatd",
    "sshd",
    "pvescheduler",
    "pve-cluster",
    "corosync",
    "pve-firewall",
    "pve-ha-crm",
    "pve-ha-lrm",
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "every"),
    [("", 300), (", rules: [{for: 0}]", 300), (", rules: [{for: 0}]", 60)],
    ids=["as it comes", "told at once", "told at once, looked at each minute"],
)
def test_what_flaps_every_two_minutes_for_six_hours_is_three_messages_at_most(tmp_path: Path, rule: str, every: int) -> None:
    with AlertStage(tmp_path, alert=f"receivers: {{{hook()}}}{rule}", sockets=False) as stage:
        listener = stage.receiver()
        stage.run()
        for change in range(6 * 30):
            at = stage.now + 120 * change
            stage.clock.at(at, stage.breaks if change % 2 == 0 else stage.mends)
        for _ in range(6 * 3600 // every):
            stage.advance(every)
            assert stage.run().code == ExitCode.OK
        told = subjects(listener)
        assert len(told) <= 3, told
        stage.mends()
        for _ in range(15):
            stage.advance(300)
            stage.run()
        # whoever was told that it began is told that it is over
        statuses = [body["status"] for body in bodies(listener).values()]
        assert statuses.count("resolved") == (1 if "firing" in statuses else 0), subjects(listener)
        assert set(times(listener).values()) <= {1}


def test_a_first_look_at_a_cluster_with_forty_problems_is_one_message(tmp_path: Path) -> None:
    failed: dict[str, Any] = {"services": dict.fromkeys(SERVICES, "failed")}
    scenario = {**HEALTHY, "nodes": {f"pve{number}": failed for number in range(1, 5)}}
    with AlertStage(tmp_path, scenario, alert=f"receivers: {{{hook()}}}", sockets=False) as stage:
        listener = stage.receiver()
        ended = stage.run()
        assert ended.code == ExitCode.OK
        (told,) = bodies(listener).values()
        named = {part["labels"]["object"] for part in told["parts"] if part["labels"].get("check") == "node.services"}
        assert len(named) == len(SERVICES) * 4
        assert [each.code for each in stage.runs(6)] == [ExitCode.OK] * 6
        assert len(listener.requests) == 1, subjects(listener)
