"""Nodes that go off once a schedule's guests are through: by idle-check's own gate, and once, whatever becomes of the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pvectl.errors import CannotWrite
from pvectl.sim.record import Record
from tests.scheduled.nights import CLUSTER, INTERVAL, NIGHT, STAGED, asked, before_ten, go_to, guests, off, row, scheduled
from tests.support.commands import Ended
from tests.support.stages import Stage

IDLE = "idle_check: {nodes: [pve2], min_uptime: 0, self: elsewhere}\n"
THEN_OFF = NIGHT + "      then_power_off: [pve2]\n" + IDLE
STAGED_OFF = STAGED + "      then_power_off: [pve2]\n" + IDLE


class Killed(BaseException):
    """The process is gone: nothing catches this."""


def _die(*_: object, **__: object) -> None:
    raise Killed


def _killed(stage: Stage, at_second: float) -> None:
    stage.clock.at(stage.now + at_second, _die)
    with pytest.raises(Killed):
        scheduled(stage)


def _nodes(ended: Ended) -> list[tuple[str, str, str]]:
    return [(one["node"], one["verdict"], one["reason"]) for one in row(ended)["power_off"]]


def _the_evening_after(stage: Stage) -> list[Ended]:
    """The runs of the timer up to an hour after ten."""
    ended = []
    while stage.now < stage.cluster.clock.now() // 86_400 * 86_400 + 23 * 3600:
        stage.advance(INTERVAL)
        ended.append(scheduled(stage))
    return ended


def test_then_power_off_hands_over_to_idle_check(tmp_path: Path) -> None:
    with before_ten(tmp_path, THEN_OFF) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 0, ended.err
        assert [(one["node"], one["verdict"]) for one in row(ended)["power_off"]] == [("pve2", "act")]
        assert not stage.cluster.node("pve2").online
        assert len(stage.power_offs()) == 1
        told = stage.pvectl("explain", row(ended)["power_off"][0]["decision_id"], "-o", "json")
        assert told.json["data"]["replayed"] is True


def test_then_power_off_leaves_a_node_on_that_anything_speaks_for(tmp_path: Path) -> None:
    text = NIGHT + "      then_power_off: [pve1]\nidle_check: {nodes: [pve1], min_uptime: 0, self: elsewhere}\n"
    with before_ten(tmp_path, text) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 0, ended.err
        assert row(ended)["power_off"][0]["verdict"] == "keep"
        assert stage.power_offs() == []
        assert stage.cluster.node("pve1").online


def test_then_power_off_never_follows_a_night_that_went_wrong(tmp_path: Path) -> None:
    text = NIGHT + "      then_power_off: [pve3]\nidle_check: {nodes: [pve3], min_uptime: 0, self: elsewhere}\n"
    cluster = {**CLUSTER, "guests": [dict(one, acpi=False) if one["vmid"] == 300 else one for one in CLUSTER["guests"]]}
    with before_ten(tmp_path, text, cluster) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 1
        assert row(ended)["power_off"] == []
        assert stage.power_offs() == []


def test_all_its_guests_being_off_already_the_node_goes_off_all_the_same(tmp_path: Path) -> None:
    with before_ten(tmp_path, THEN_OFF) as stage:
        for vmid in (200, 201, 300):
            stage.admin("shutdown", vmid)
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 0, ended.err
        assert (row(ended)["state"], row(ended)["reason"]) == ("skipped", "nothing-selected")
        assert _nodes(ended) == [("pve2", "act", "scheduled")]
        assert (asked(stage), len(stage.power_offs())) == ([], 1)
        stage.cluster.wake("pve2")
        assert [row(ended)["state"] for ended in _the_evening_after(stage)] == ["future"] * 12
        assert len(stage.power_offs()) == 1


@pytest.mark.parametrize("select", ["[777]", "[100]"])
def test_s02_a_selection_that_finds_nobody_it_may_shut_down_switches_no_node_off(tmp_path: Path, select: str) -> None:
    with before_ten(tmp_path, THEN_OFF.replace('["@all"]', select)) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"], row(ended)["power_off"]) == (0, "skipped", [])
        assert stage.power_offs() == []


def _restart(stage: Stage) -> None:
    stage.admin("stop", 300)
    stage.clock.at(stage.now + 2, lambda: stage.admin("start", 300))


def _restart_one_that_is_off(stage: Stage) -> None:
    stage.clock.at(stage.now + 10, lambda: stage.admin("start", 200))


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (STAGED_OFF, lambda stage: stage.hold("guest/300", 3600)),
        (STAGED_OFF, _restart),
        (STAGED_OFF, _restart_one_that_is_off),
        (STAGED_OFF.replace('["300:310"]', "[301]"), None),
        (THEN_OFF.replace("      then", "      exclude: [300]\n      then"), None),
    ],
    ids=["held", "restarted", "restarted once off", "in no stage", "excluded"],
)
def test_s09_a_guest_that_the_schedule_leaves_alone_is_not_shut_down_for_its_node(
    tmp_path: Path, text: str, event: Callable[[Stage], object] | None
) -> None:
    with before_ten(tmp_path, text) as stage:
        go_to(stage, "22:00")
        if event is not None:
            stage.clock.at(stage.now + 3, lambda: event(stage))
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"]) == (0, "done"), ended.err
        assert _nodes(ended)[0][:2] == ("pve2", "keep")
        assert (len(asked(stage)), stage.power_offs()) == (len(set(asked(stage))), [])
        assert stage.cluster.guest(200 if event is _restart_one_that_is_off else 300).status == "running"
        decision = row(ended)["power_off"][0]["decision_id"]
        assert stage.pvectl("explain", decision, "-o", "json").json["data"]["replayed"] is True


def test_s18_a_rehearsal_says_what_would_become_of_the_node(tmp_path: Path) -> None:
    with before_ten(tmp_path, THEN_OFF) as stage:
        stage.admin("shutdown", 200)
        stage.admin("shutdown", 300)
        stage.admin("shutdown", 201)
        stage.advance(10)
        ended = scheduled(stage, "--dry-run")
        assert _nodes(ended) == [("pve2", "act", "scheduled")]
        assert stage.power_offs() == []
        go_to(stage, "22:00")
        assert len(scheduled(stage).json["data"]) == 1
        assert len(stage.power_offs()) == 1


@pytest.mark.parametrize("error", [Killed, KeyboardInterrupt])
def test_s30_a_run_that_ends_before_its_nodes_have_their_turn_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def cut_off(*_: object, **__: object) -> None:
        raise error

    with before_ten(tmp_path, THEN_OFF) as stage:
        go_to(stage, "22:00")
        with monkeypatch.context() as patch:
            patch.setattr("pvectl.cli.idle.run.hand_over", cut_off)
            if error is Killed:
                with pytest.raises(Killed):
                    scheduled(stage)
            else:
                ended = scheduled(stage)
                assert (ended.code, row(ended)["state"]) == (130, "running")
                assert row(ended)["detail"] == "interrupted: a run before its deadline goes on with it"
        assert stage.power_offs() == []
        go_to(stage, "22:05")
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"], _nodes(ended)) == (0, "done", [("pve2", "act", "scheduled")])
        assert sorted(asked(stage)) == [200, 201, 300]
        stage.cluster.wake("pve2")
        _the_evening_after(stage)
        assert len(stage.power_offs()) == 1


def test_s16_after_the_deadline_nobody_goes_on_with_the_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with before_ten(tmp_path, THEN_OFF) as stage:
        go_to(stage, "22:00")
        with monkeypatch.context() as patch:
            patch.setattr("pvectl.cli.idle.run.hand_over", _die)
            with pytest.raises(Killed):
                scheduled(stage)
        go_to(stage, "22:31")
        ended = scheduled(stage)
        assert (ended.code, row(ended, 0)["state"], row(ended, 0)["reason"]) == (1, "partial", "deadline-passed")
        assert "no run saw pve2 off by 2026-12-01 22:31 UTC" in row(ended, 0)["detail"]
        assert (stage.power_offs(), scheduled(stage).code) == ([], 0)


def test_s30_a_run_that_died_once_the_node_was_told_finds_it_off_and_tells_it_nothing_more(tmp_path: Path) -> None:
    with before_ten(tmp_path, THEN_OFF) as stage:
        go_to(stage, "22:00")
        _killed(stage, 7)
        assert len(stage.power_offs()) == 1
        go_to(stage, "22:05")
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"], _nodes(ended)) == (0, "done", [("pve2", "keep", "switched-off")])
        stage.cluster.wake("pve2")
        _the_evening_after(stage)
        assert len(stage.power_offs()) == 1


def test_s24_a_run_that_died_while_it_shut_the_nodes_guests_down_is_never_begun_with_again(tmp_path: Path) -> None:
    more = {"vmid": 400, "node": "pve2", "status": "running", "tags": "safe-shutdown", "shutdown_s": 60}
    text = THEN_OFF.replace('["@all"]', "[200, 201, 300]").replace("      then", "      deadline: 55m\n      then")
    with before_ten(tmp_path, text, {**CLUSTER, "guests": [*CLUSTER["guests"], more]}) as stage:
        go_to(stage, "22:00")
        _killed(stage, 30)
        assert sorted(asked(stage)) == [200, 201, 300, 400]
        go_to(stage, "22:05")
        waits = scheduled(stage)
        assert (waits.code, row(waits)["state"], _nodes(waits)) == (0, "running", [("pve2", "wait", "off-sent")])
        told = [one for ended in _the_evening_after(stage) for one in ended.json["data"] if one["state"] != "future"]
        assert (told[-1]["state"], told[-1]["power_off"][0]["reason"]) == ("partial", "cooldown")
        assert sum(one["state"] == "partial" for one in told) == 1
        assert (stage.power_offs(), asked(stage).count(400)) == ([], 1)


def test_interrupted_while_the_node_goes_off_no_later_run_goes_on_with_it(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with before_ten(tmp_path, THEN_OFF) as stage:
        go_to(stage, "22:00")
        stage.clock.at(stage.now + 7, interrupt)
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"]) == (130, "partial")
        assert row(ended)["detail"] == "3 guests shut down; interrupted at its nodes, and no later run goes on with them"
        assert row(ended)["power_off"][0]["actions"][-1]["status"] == "started"
        _the_evening_after(stage)
        assert len(stage.power_offs()) == 1


def test_s02_a_node_nobody_could_see_is_looked_at_again_until_the_deadline(tmp_path: Path) -> None:
    with before_ten(tmp_path, THEN_OFF) as stage:
        go_to(stage, "22:00")
        stage.clock.at(stage.now + 2, lambda: stage.server.fault("status", path="/cluster/status", code=500))
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"]) == (4, "running"), ended.out
        assert guests(ended) == {100: "skipped", 200: "done", 201: "done", 300: "done", 301: "skipped"}
        stage.server.clear_faults()
        go_to(stage, "22:05")
        assert _nodes(scheduled(stage)) == [("pve2", "act", "scheduled")]
        assert not stage.cluster.node("pve2").online


@pytest.mark.parametrize(
    ("more", "reason", "code"),
    [("", "deadline-passed", 1), ('  stay_up: [{start: "22:00", duration: 1h, tz: Europe/London}]\n', "stay-up", 0)],
)
def test_s16_nodes_have_no_turn_after_the_deadline_nor_in_a_stay_up_window(tmp_path: Path, more: str, reason: str, code: int) -> None:
    slow = {**CLUSTER, "guests": [dict(one, shutdown_s=40) if one["vmid"] == 200 else one for one in CLUSTER["guests"]]}
    text = THEN_OFF.replace('at: "22:00"', 'at: "21:59"').replace("      then", "      deadline: 90s\n      then" if code else "      then")
    with before_ten(tmp_path, text.replace(IDLE, more + IDLE), slow, minutes=10) as stage:
        go_to(stage, "22:00" if code else "21:59:50")
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"], row(ended)["reason"], row(ended)["power_off"]) == (code, "partial", reason, [])
        assert off(stage) >= {200, 201, 300}
        assert (stage.power_offs(), scheduled(stage).code) == ([], 0)


def test_s16_a_node_whose_look_takes_until_the_deadline_stays_on(tmp_path: Path) -> None:
    with before_ten(tmp_path, THEN_OFF.replace("      then", "      deadline: 90s\n      then")) as stage:

        def dawdle(_number: int, record: Record) -> None:
            if record.path.endswith("/nodes/pve2/netstat"):
                stage.clock.sleep(10)

        stage.server.on_request = dawdle
        go_to(stage, "22:01:19")
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"], row(ended)["reason"]) == (1, "partial", "deadline-passed")
        assert "pve2 could not be switched off before 2026-12-01 22:01:30 UTC" in row(ended)["detail"]
        assert stage.power_offs() == []
        kept = {one["subject"]: one["status"] for one in stage.pvectl("history", "-o", "json").json["data"] if one["what"] == "action"}
        assert "node/pve2" not in kept


def _two_nodes(text: str = THEN_OFF, *more: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Two nodes to go off one after the other, in a cluster that stays quorate without them."""
    nodes: dict[str, Any] = {**CLUSTER["nodes"], "pve4": {}, "pve5": {}}
    text = text.replace("then_power_off: [pve2]", "then_power_off: [pve2, pve3]").replace("nodes: [pve2]", "nodes: [pve2, pve3]")
    return text.replace("min_uptime", "max_nodes_off: 2, min_uptime"), {**CLUSTER, "nodes": nodes, "guests": [*CLUSTER["guests"], *more]}


def _told_to_go(stage: Stage) -> list[str]:
    return [record.path.split("/")[2] for record in stage.power_offs()]


SLOW = {"vmid": 400, "node": "pve2", "status": "running", "tags": "safe-shutdown", "shutdown_s": 100}
"""Nobody the schedule asks for, so that it is idle-check that shuts it down."""
WITHOUT_SLOW = THEN_OFF.replace('["@all"]', "[200, 201, 300]")


def test_of_two_nodes_the_second_is_looked_at_once_the_first_is_off(tmp_path: Path) -> None:
    with before_ten(tmp_path, *_two_nodes()) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 0, ended.err
        assert [one[:2] for one in _nodes(ended)] == [("pve2", "act"), ("pve3", "act")]
        assert _told_to_go(stage) == ["pve2", "pve3"]


def test_s22_a_first_node_that_a_run_which_died_did_not_get_off_keeps_the_second_one_on(tmp_path: Path) -> None:
    text = WITHOUT_SLOW.replace("      then", "      deadline: 55m\n      then")
    with before_ten(tmp_path, *_two_nodes(text, SLOW)) as stage:
        go_to(stage, "22:00")
        _killed(stage, 30)
        told = [one for ended in _the_evening_after(stage) for one in ended.json["data"] if one["state"] != "future"]
        assert (told[-1]["state"], [one["node"] for one in told[-1]["power_off"]]) == ("partial", ["pve2"])
        assert stage.power_offs() == []


def test_s16_a_stay_up_window_that_opens_between_two_nodes_keeps_the_second_one_on(tmp_path: Path) -> None:
    window = '  stay_up: [{start: "22:00", duration: 1h, tz: UTC}]\n'
    text = THEN_OFF.replace('at: "22:00"', 'at: "21:59"').replace(IDLE, window + IDLE)
    with before_ten(tmp_path, *_two_nodes(text)) as stage:

        def dawdle(_number: int, record: Record) -> None:
            if record.method == "POST" and record.path.endswith("/nodes/pve2/status"):
                stage.clock.sleep(60)

        stage.server.on_request = dawdle
        go_to(stage, "21:59")
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"], row(ended)["reason"]) == (0, "partial", "stay-up"), ended.err
        assert _told_to_go(stage) == ["pve2"]
        go_to(stage, "23:20")
        assert (scheduled(stage).code, _told_to_go(stage)) == (0, ["pve2"])


@pytest.mark.parametrize(
    ("more", "reason", "code"),
    [("", "deadline-passed", 1), ('  stay_up: [{start: "22:01", duration: 1h, tz: UTC}]\n', "stay-up", 0)],
)
def test_s16_nothing_is_asked_for_once_it_is_too_late_for_the_nodes(tmp_path: Path, more: str, reason: str, code: int) -> None:
    second = {**SLOW, "vmid": 401, "startup": "order=1"}
    text = WITHOUT_SLOW.replace("      then", "      deadline: 90s\n      then" if code else "      then").replace(IDLE, more + IDLE)
    cluster = {**CLUSTER, "guests": [*CLUSTER["guests"], SLOW, second]}
    with before_ten(tmp_path, text, cluster) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"], row(ended)["reason"]) == (code, "partial", reason), ended.err
        assert row(ended)["power_off"][0]["actions"][-1]["status"] == "skipped"
        assert (sorted(asked(stage)), stage.power_offs()) == ([200, 201, 300, 400], [])
        assert "hold list" not in ended.out + ended.err


@pytest.mark.parametrize("broken", ["idle.memory.Memory.ended", "schedules.course.Course.changed"])
def test_s24_what_became_of_a_node_not_being_on_disk_the_next_one_stays_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise CannotWrite("no space left on device")

    with before_ten(tmp_path, *_two_nodes()) as stage, monkeypatch.context() as patch:

        def fill(_number: int, record: Record) -> None:
            if record.method == "POST" and record.path.endswith("/nodes/pve2/status"):
                patch.setattr(f"pvectl.cli.{broken}", full)

        stage.server.on_request = fill
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"], _nodes(ended)) == (1, "running", [("pve2", "act", "scheduled")]), ended.err
        assert "the next run will find out by looking: no space left on device" in ended.out
        assert _told_to_go(stage) == ["pve2"]
        stage.server.on_request = None
        patch.undo()
        go_to(stage, "22:05")
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"]) == (0, "done"), ended.err
        assert _told_to_go(stage) == ["pve2", "pve3"]


def test_s24_the_end_of_a_night_not_being_on_disk_the_run_says_what_it_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise CannotWrite("no space left on device")

    with before_ten(tmp_path, THEN_OFF) as stage:
        go_to(stage, "22:00")
        with monkeypatch.context() as patch:
            patch.setattr("pvectl.core.schedules.ledger.finish", full)
            ended = scheduled(stage)
        assert (ended.code, row(ended)["state"], _nodes(ended)) == (1, "running", [("pve2", "act", "scheduled")]), ended.err
        go_to(stage, "22:31")
        ended = scheduled(stage)
        assert (ended.code, row(ended, 0)["state"], row(ended, 0)["detail"]) == (0, "done", "3 guests shut down")
        assert _told_to_go(stage) == ["pve2"]


def test_with_idle_check_switched_off_no_node_goes_off(tmp_path: Path) -> None:
    with before_ten(tmp_path, THEN_OFF.replace("min_uptime", "enabled: false, min_uptime")) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"], row(ended)["power_off"]) == (0, "done", [])
        assert "idle_check is switched off (enabled: false), so no node is: pve2" in ended.err
        _the_evening_after(stage)
        assert stage.power_offs() == []
