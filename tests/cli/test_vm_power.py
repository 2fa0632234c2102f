"""`vm shutdown` and `vm start` in order: stage by stage, held guests spared, everything written down first."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.stages import Stage

ON: dict[str, Any] = {"node": "pve1", "status": "running", "shutdown_s": 3}
OFF: dict[str, Any] = {"node": "pve1", "status": "stopped", "start_s": 2}
SCENARIO: dict[str, Any] = {
    "nodes": {"pve1": {}, "pve2": {}},
    "guests": [
        {"vmid": 100, "name": "db", "startup": "order=1,down=300", **ON},
        {"vmid": 101, "name": "app", "startup": "order=2", **ON},
        {"vmid": 102, "name": "web", "type": "lxc", "startup": "order=2", **ON, "node": "pve2"},
        {"vmid": 103, "name": "desk", **ON},
        {"vmid": 200, "name": "s-db", "startup": "order=1", **OFF},
        {"vmid": 201, "name": "s-app", "startup": "order=2", **OFF},
        {"vmid": 202, "name": "s-desk", **OFF},
    ],
}


def asked(stage: Stage) -> list[tuple[int, str]]:
    return [(int(record.path.split("/")[4]), record.path.rsplit("/", 1)[1]) for record in stage.server.writes()]


def test_guests_go_down_in_the_order_pve_stops_them(tmp_path: Path) -> None:
    with Stage(tmp_path, SCENARIO) as stage:
        ended = stage.pvectl("vm", "shutdown", "100:110", "--yes", "-o", "json")
        assert ended.code == 0, ended.err
        vmids = [vmid for vmid, _ in asked(stage)]
        assert (vmids[0], set(vmids[1:3]), vmids[3:]) == (103, {101, 102}, [100])
        assert {row["vmid"]: row["stage"] for row in ended.json["data"]} == {103: 1, 102: 2, 101: 2, 100: 3}
        timeouts = {int(record.path.split("/")[4]): record.params["timeout"] for record in stage.server.writes()}
        assert timeouts == {100: "300", 101: "120", 102: "120", 103: "120"}


def test_a_time_given_at_the_command_line_beats_the_guests_own(tmp_path: Path) -> None:
    with Stage(tmp_path, SCENARIO) as stage:
        assert stage.pvectl("vm", "shutdown", "100", "--timeout", "45s", "--yes").code == 0
        assert [record.params["timeout"] for record in stage.server.writes()] == ["45"]


def test_a_guest_that_does_not_obey_keeps_the_later_stages_on(tmp_path: Path) -> None:
    with Stage(tmp_path, SCENARIO) as stage:
        stage.cluster.change_guest(101, acpi=False)
        ended = stage.pvectl("vm", "shutdown", "100:110", "--timeout", "30s", "--yes", "-o", "json")
        assert ended.code == 1
        rows = {row["vmid"]: row for row in ended.json["data"]}
        assert rows[101]["status"] == "timed-out"
        assert (rows[100]["status"], rows[103]["status"]) == ("skipped", "done")
        assert "earlier stage" in rows[100]["error"]
        assert 100 not in dict(asked(stage))


def test_without_waiting_the_table_names_the_tasks(tmp_path: Path) -> None:
    with Stage(tmp_path, SCENARIO) as stage:
        ended = stage.pvectl("vm", "shutdown", "100", "--no-wait", "--yes")
        assert ended.code == 0, ended.err
        assert "UPID:pve1:" in ended.out
        assert "qmshutdown:100:" in ended.out


def test_without_an_order_all_are_asked_at_once(tmp_path: Path) -> None:
    with Stage(tmp_path, SCENARIO) as stage:
        ended = stage.pvectl("vm", "shutdown", "100:110", "--order", "none", "--yes", "-o", "json")
        assert ended.code == 0, ended.err
        assert {row["stage"] for row in ended.json["data"]} == {None}
        assert max(row["took"] for row in ended.json["data"]) < 3 * 3


def test_s09_a_held_guest_is_never_touched_whoever_asks(tmp_path: Path) -> None:
    with Stage(tmp_path, SCENARIO) as stage:
        stage.pvectl("hold", "add", "100", "--reason", "quarter end", "--for", "1h")
        ended = stage.pvectl("vm", "shutdown", "100", "101", "--yes", "-o", "json")
        assert ended.code == 0, ended.err
        rows = {row["vmid"]: (row["verdict"], row["reason"], row["status"]) for row in ended.json["data"]}
        assert rows == {100: ("keep", "held", "skipped"), 101: ("act", "requested", "done")}
        assert asked(stage) == [(101, "shutdown")]


def test_s13_the_guest_pvectl_runs_in_is_left_alone(tmp_path: Path) -> None:
    with Stage(tmp_path, SCENARIO, pvectl="idle_check: {self: {vmid: 103}}") as stage:
        ended = stage.pvectl("vm", "shutdown", "101", "103", "--yes", "-o", "json")
        assert ended.code == 0, ended.err
        assert {row["vmid"]: row["reason"] for row in ended.json["data"]} == {101: "requested", 103: "ourselves"}
        assert asked(stage) == [(101, "shutdown")]


def test_guests_start_from_the_lowest_order_up(tmp_path: Path) -> None:
    with Stage(tmp_path, SCENARIO) as stage:
        ended = stage.pvectl("vm", "start", "200:210", "--yes", "-o", "json")
        assert ended.code == 0, ended.err
        assert asked(stage) == [(200, "start"), (201, "start"), (202, "start")]
        came_of = {row["vmid"]: (row["stage"], row["status"]) for row in ended.json["data"]}
        assert came_of == {200: (1, "done"), 201: (2, "done"), 202: (3, "done")}
        again = stage.pvectl("vm", "start", "200", "--yes", "-o", "json").json["data"][0]
        assert (again["verdict"], again["reason"]) == ("keep", "already-running")


def test_s29_a_pause_never_lasts_longer_than_the_run_may(tmp_path: Path) -> None:
    changed = {200: {"startup": "order=1,up=99999999999"}}
    with Stage(tmp_path, {**SCENARIO, "guests": [{**one, **changed.get(one["vmid"], {})} for one in SCENARIO["guests"]]}) as stage:
        began = stage.now
        ended = stage.pvectl("vm", "start", "200", "201", "--yes", "--deadline", "60s", "-o", "json")
        assert ended.code == 0, ended.err
        assert (asked(stage), stage.now - began < 120) == ([(200, "start"), (201, "start")], True)


def test_after_a_guest_with_an_up_in_its_startup_line_the_next_one_waits(tmp_path: Path) -> None:
    changed = {200: {"startup": "order=1,up=30"}, 201: {"startup": "order=2,up=3600", "start_error": "no space left on device"}}
    with Stage(tmp_path, {**SCENARIO, "guests": [{**one, **changed.get(one["vmid"], {})} for one in SCENARIO["guests"]]}) as stage:
        shown = stage.pvectl("vm", "start", "200:210", "--dry-run", "--deadline", "9m")
        assert "started, and the next one 30s later" in shown.out
        began = stage.now
        ended = stage.pvectl("vm", "start", "200:210", "--yes", "-o", "json")
        assert {row["vmid"]: row["status"] for row in ended.json["data"]} == {200: "done", 201: "failed", 202: "skipped"}
        first, second = (record.at - began for record in stage.server.writes())
        assert first < 1
        assert 32 <= second < 40
        stage.cluster.change_guest(201, start_error=None)
        assert stage.pvectl("vm", "start", "201", "--yes").code == 0
        assert stage.now - began < 300


def test_a_start_that_fails_is_told_in_pves_own_words(tmp_path: Path) -> None:
    with Stage(tmp_path, SCENARIO) as stage:
        stage.cluster.change_guest(200, start_error="no space left on device")
        ended = stage.pvectl("vm", "start", "200", "--yes")
        assert ended.code == 1
        assert "no space left on device" in ended.err


@pytest.mark.parametrize("verb", ["shutdown", "start"])
def test_elsewhere_than_on_a_terminal_a_change_needs_yes(tmp_path: Path, verb: str) -> None:
    with Stage(tmp_path, SCENARIO) as stage:
        ended = stage.pvectl("vm", verb, "100,200")
        assert ended.code == 2
        assert "add --yes" in ended.err
        assert "STAGE" not in ended.out
        assert stage.server.writes() == []
        assert stage.pvectl("vm", verb, "100,200", "--dry-run").code == 0
        assert stage.server.writes() == []


def test_s27_while_another_run_is_at_work_nothing_is_changed(tmp_path: Path) -> None:
    from pvectl.store import open_to_write

    with Stage(tmp_path, SCENARIO) as stage, open_to_write(stage.state, "lab", stage.clock):
        ended = stage.pvectl("vm", "shutdown", "100", "--yes")
        assert ended.code == 75
        assert stage.server.writes() == []


def test_s24_what_cannot_be_written_down_is_not_asked_for(tmp_path: Path) -> None:
    with Stage(tmp_path, SCENARIO) as stage:
        blocked = tmp_path / "file"
        blocked.write_text("")
        for words in (("vm", "shutdown", "100"), ("vm", "start", "200"), ("tags", "add", "prod", "100")):
            assert stage.pvectl(*words, "--yes", "--state-dir", str(blocked)).code == 73
        assert stage.server.writes() == []
