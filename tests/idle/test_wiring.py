"""What the configuration asks for reaches the decision of a whole run; each of these would be lost without a word otherwise."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.idle.days import IDLE, INTERVAL, PVECTL, about_to_act, idle_check


def _reasons(row: dict[str, Any]) -> set[str]:
    return {one["reason"] for one in row["blockers"]} | {row["reason"]}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("  activity: {cpu: 0, window: 10m}\n", "activity"),
        ("  wake: required\n", "wake-unproven"),
        ("  exclude: [200]\n", "excluded"),
        ("  max_guests_per_run: 1\n", "too-many-guests"),
        ("tags: {require_registered: true}\n", "tag-unregistered"),
    ],
)
@pytest.mark.slow
def test_what_the_configuration_asks_for_keeps_the_node_on(tmp_path: Path, more: str, reason: str) -> None:
    scenario = {**copy.deepcopy(IDLE), "options": {"registered-tags": ["something-else"]}}
    with about_to_act(tmp_path, scenario) as stage:
        stage.configure(PVECTL + more)
        row = idle_check(stage).json["data"][0]
        assert row["verdict"] == "keep"
        assert reason in _reasons(row)
        assert stage.server.writes() == []


def test_s13_the_guest_that_pvectl_runs_in_keeps_its_node_on(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        stage.configure(PVECTL.replace("self: elsewhere", "self: {vmid: 200}"))
        assert idle_check(stage).json["data"][0]["reason"] == "runs-here"


def test_a_probe_that_says_busy_keeps_the_node_on(tmp_path: Path) -> None:
    program = tmp_path / "busy"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    with about_to_act(tmp_path) as stage:
        stage.configure(f"{PVECTL}  probes: [{{name: films, argv: [{program}]}}]\n")
        assert idle_check(stage).json["data"][0]["reason"] == "activity"


def test_s12_of_two_idle_nodes_one_goes_off_in_a_run_and_the_other_not_beside_it(tmp_path: Path) -> None:
    settings = PVECTL.replace("[pve2]", "[pve2, pve3]")
    with about_to_act(tmp_path, {**IDLE, "nodes": {**IDLE["nodes"], "pve4": {}, "pve5": {}}}, pvectl=settings) as stage:
        first = idle_check(stage).json["data"]
        assert [(row["node"], row["verdict"], row["reason"]) for row in first][1] == ("pve3", "wait", "another-first")
        stage.advance(INTERVAL)
        second = idle_check(stage).json["data"]
        assert [(row["verdict"], row["reason"]) for row in second] == [("keep", "switched-off"), ("keep", "budget")]
        assert [record.path for record in stage.power_offs()] == ["/nodes/pve2/status"]


def test_s27_where_each_node_runs_its_own_the_list_says_whose_turn_it_is(tmp_path: Path) -> None:
    settings = PVECTL.replace("[pve2]", "[pve2, pve3]") + "  controller: per-node\n"
    with about_to_act(tmp_path, pvectl=settings) as stage:
        assert idle_check(stage, "pve3").json["data"][0]["reason"] == "not-its-turn"
    busy = copy.deepcopy(IDLE)
    next(guest for guest in busy["guests"] if guest["vmid"] == 110)["status"] = "running"
    (tmp_path / "busy").mkdir()
    with about_to_act(tmp_path / "busy", busy, pvectl=settings) as stage:
        assert idle_check(stage, "pve3").json["data"][0]["actions"][-1]["status"] == "done"


def test_s06_a_long_list_of_tasks_is_read_as_far_back_as_the_last_look(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        for _ in range(520):
            stage.cluster.add_task(type="aptupdate", node="pve2", took=0.01)
        stage.advance(1)
        assert idle_check(stage).json["data"][0]["verdict"] == "act"


def test_s02_without_the_startup_order_of_every_guest_none_is_shut_down(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        stage.server.fault("status", path="/nodes/pve2/lxc/200/config", method="GET", code=500)
        ended = idle_check(stage)
        assert ended.code == 4
        assert "startup order of 200" in ended.json["data"][0]["actions"][-1]["error"]
        assert stage.server.writes() == []


def test_s14_another_probe_is_another_configuration_and_begins_the_grace_period_anew(tmp_path: Path) -> None:
    program = tmp_path / "idle"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    with about_to_act(tmp_path) as stage:
        stage.configure(f"{PVECTL}  probes: [{{name: films, argv: [{program}]}}]\n")
        row = idle_check(stage).json["data"][0]
        assert (row["reason"], row["credit_s"]) == ("grace-period", 0)
        assert str(program) not in stage.state_file.read_bytes().decode("latin-1")


@pytest.mark.parametrize(("verb", "subject", "off"), [("power-off", "node/pve2", {200, 201}), ("shutdown", "guest/201", set())])
def test_s25_a_hold_placed_after_the_last_look_is_seen_right_before_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, subject: str, off: set[int]
) -> None:
    from pvectl.cli.diary import StoredDiary

    with about_to_act(tmp_path) as stage:
        write_down = StoredDiary.intend

        def and_then_somebody_holds(diary: StoredDiary, what: Any, about: str, details: Any) -> str:
            intent = write_down(diary, what, about, details)
            if (what, about) == (verb, subject):
                stage.hold(subject, 3600)
            return intent

        monkeypatch.setattr(StoredDiary, "intend", and_then_somebody_holds)
        row = idle_check(stage).json["data"][0]
        assert "held until" in row["actions"][-1]["error"]
        assert {int(record.path.split("/")[4]) for record in stage.shutdowns()} == off
        assert stage.power_offs() == []
