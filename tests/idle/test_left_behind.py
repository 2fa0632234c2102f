"""What one run leaves open, later runs see the end of; nothing keeps a node, or the nodes beside it, waiting for ever."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from pvectl.observe import signals
from pvectl.sim.record import Record
from tests.idle.days import IDLE, PVECTL, about_to_act, idle_check
from tests.support.stages import Stage


def _power_offs_told(stage: Stage) -> list[str | None]:
    told = stage.pvectl("history", "-o", "json").json["data"]
    return [one["status"] for one in told if one["what"] == "action" and one["verb"] == "power-off"]


def test_s23_the_run_after_the_boot_writes_down_what_came_of_the_power_off_of_its_own_node(tmp_path: Path) -> None:
    with about_to_act(tmp_path, pvectl=PVECTL.replace("self: elsewhere", "self: {node: pve2}")) as stage:
        assert idle_check(stage).json["data"][0]["actions"][-1]["status"] == "started"
        assert _power_offs_told(stage) == [None]
        stage.advance(200)
        stage.cluster.wake("pve2")
        stage.advance(400)
        stage.clock.reboot()
        idle_check(stage)
        assert _power_offs_told(stage) == ["done"]


def test_s23_a_power_off_that_never_happened_is_written_down_as_failed(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        stage.server.fault("status", path="/nodes/pve2/status", method="POST", code=596)
        assert idle_check(stage).code == 5
        stage.advance(100)
        idle_check(stage)
        assert _power_offs_told(stage) == ["unknown"]
        stage.advance(600)
        assert idle_check(stage).json["data"][0]["phase"] == "cooldown"
        assert _power_offs_told(stage) == ["failed"]
        assert len(stage.power_offs()) == 1


def test_s30_a_node_taken_off_the_list_in_mid_power_off_does_not_hold_up_the_others_for_ever(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        stage.server.fault("status", path="/nodes/pve2/status", method="POST", code=596)
        assert idle_check(stage).code == 5
        stage.configure(PVECTL.replace("[pve2]", "[pve3]"))
        stage.advance(60)
        assert idle_check(stage).json["data"][0]["reason"] == "in-transition"
        stage.advance(600)
        assert idle_check(stage).json["data"][0]["reason"] == "grace-period"
        assert _power_offs_told(stage) == ["unknown"]


def test_s24_what_was_done_is_told_even_when_the_state_is_gone_by_then(tmp_path: Path) -> None:
    """Nothing more leaves, and nobody is told that nothing was done."""
    with about_to_act(tmp_path) as stage:

        def take_away(_number: int, record: Record) -> None:
            if record.path.endswith("/201/status/shutdown"):
                (stage.state / "lab").rename(stage.state / "gone")

        stage.server.on_request = take_away
        ended = idle_check(stage)
        assert ended.code == 1, ended.err
        assert [(one["vmid"], one["status"]) for one in ended.json["data"][0]["actions"]][:2] == [(201, "done"), (200, "failed")]
        assert any("could not be remembered" in problem["message"] for problem in ended.json["errors"])
        assert len(stage.shutdowns()) == 1
        assert stage.power_offs() == []


@pytest.mark.slow
def test_s22_a_quarantine_of_a_node_that_is_on_can_be_ended(tmp_path: Path) -> None:
    scenario = copy.deepcopy(IDLE)
    for guest in scenario["guests"]:
        guest["shutdown_s"] = 100_000
    with about_to_act(tmp_path, scenario, pvectl=PVECTL + "  shutdown_timeout: 5\n") as stage:
        for _ in range(60):
            if idle_check(stage).json["data"][0]["phase"] == "quarantine":
                break
            stage.advance(400)
        assert stage.power_offs() == []
        stage.advance(400)
        assert "after a look at it, pvectl node wake pve2 ends it" in idle_check(stage).json["data"][0]["detail"]
        assert "its quarantine is over" in stage.pvectl("node", "wake", "pve2").out
        assert stage.pvectl("node", "wake", "pve2").out == "pve2 is online already\n"
        stage.advance(200)
        after = idle_check(stage).json["data"][0]
        assert (after["phase"], after["reason"], after["credit_s"]) == ("idle", "grace-period", 0)


@pytest.mark.parametrize(("wall_steps", "status"), [(0.0, "done"), (5.0, "failed")])
@pytest.mark.slow
def test_s03_a_slow_probe_makes_no_view_too_old_unless_the_clock_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wall_steps: float, status: str
) -> None:
    """What it says is no older than the look that follows it; without a clock to trust the whole time counts."""
    settings = f"{PVECTL}  probes: [{{name: slow, argv: [{_program(tmp_path)}], timeout: 60}}]\n"
    with about_to_act(tmp_path, pvectl=settings) as stage:
        asked = signals.of_probe

        def slow(*about: object, **within: object) -> object:
            stage.clock.sleep(20)
            stage.clock.wall_ahead = wall_steps - stage.clock.wall_ahead
            return asked(*about, **within)  # type: ignore[arg-type]

        monkeypatch.setattr("pvectl.observe.node.of_probe", slow)
        assert idle_check(stage).json["data"][0]["actions"][-1]["status"] == status


def _program(folder: Path) -> Path:
    path = folder / "probe"
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(0o755)
    return path
