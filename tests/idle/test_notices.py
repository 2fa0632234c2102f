"""What people hear of idle-check: through a real receiver, each thing once, and nothing of it is lost when a run dies."""

from __future__ import annotations

import copy
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pvectl.cli.idle.memory import RECORDS
from pvectl.core.alerts.outbox import State
from pvectl.core.idle import NodeRecord
from pvectl.store import open_to_write
from tests.alert.stage import AlertStage, bodies, hook, subjects, times
from tests.idle.days import IDLE, INTERVAL, PVECTL, RUNS_BEFORE, idle_check
from tests.notify.listening import answering, in_turn
from tests.support.commands import Ended

ALERT = f"alert: {{receivers: {{{hook()}}}}}\n"


class Killed(BaseException):
    """The process is gone: nothing catches this."""


def _die(*_: object, **__: object) -> None:
    raise Killed


@contextmanager
def _idle(folder: Path, scenario: dict[str, Any] = IDLE, *, pvectl: str = PVECTL + ALERT, runs: int = RUNS_BEFORE) -> Iterator[AlertStage]:
    """A stage with a receiver on which so many runs have seen pve2 idle."""
    with AlertStage(folder, scenario) as stage:
        stage.configure(pvectl)
        stage.receiver()
        for _ in range(runs):
            _next(stage)
        yield stage


def _next(stage: AlertStage, after: float = INTERVAL) -> Ended:
    stage.advance(after)
    return idle_check(stage)


def _told(stage: AlertStage) -> list[dict[str, Any]]:
    return list(bodies(stage.heard["hook"]).values())


def _subjects(stage: AlertStage) -> list[str]:
    return [subject.removesuffix(" [lab]") for subject in subjects(stage.heard["hook"])]


def _dies(stage: AlertStage, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """A run that is gone when it comes to this."""
    with monkeypatch.context() as patch:
        patch.setattr(where, _die)
        with pytest.raises(Killed):
            _next(stage)


def test_s25_a_node_that_goes_off_is_announced_and_told_of_each_once(tmp_path: Path) -> None:
    with _idle(tmp_path, pvectl=PVECTL.replace("notice: 200", "notice: 400") + ALERT, runs=RUNS_BEFORE + 1) as stage:
        notice = _told(stage)[0]
        assert re.fullmatch(r"pve2 goes off at \d\d:\d\d, in 6m 40s", _subjects(stage)[0])
        assert notice["text"] == "Nobody has needed it for 10m. To keep it on: pvectl hold add pve2 --for 8h --reason WHY"
        _next(stage)
        assert _subjects(stage)[1:] == ["pve2 is off"]
        assert "powered off, and seen off after" in _told(stage)[1]["text"]
        assert "To wake it: pvectl node wake pve2" in _told(stage)[1]["text"]
        for _ in range(3):
            _next(stage)
        assert set(times(stage.heard["hook"]).values()) == {1}
        assert len(_told(stage)) == 2


@pytest.mark.slow
def test_a_notice_nobody_could_be_told_of_in_time_is_not_told_afterwards(tmp_path: Path) -> None:
    with _idle(tmp_path, runs=RUNS_BEFORE - 1) as stage:
        gone = stage.heard["hook"].port
        stage.secret(hook="http://127.0.0.1:1/hook")
        ended = _next(stage)
        assert ended.code == 0
        assert "receiver hook was not told" in ended.err
        stage.secret(hook=f"http://127.0.0.1:{gone}/hook")
        _next(stage)
        _next(stage, 400)
        assert _subjects(stage) == ["pve2 is off"]


@pytest.mark.slow
def test_s18_nobody_hears_of_a_rehearsal(tmp_path: Path) -> None:
    text = PVECTL + ALERT
    with _idle(tmp_path, pvectl=text.replace("idle_check:", "idle_check:\n  dry_run: true"), runs=RUNS_BEFORE + 1) as stage:
        assert stage.rows() == ()
        stage.configure(text)
        for _ in range(RUNS_BEFORE):
            stage.advance(INTERVAL)
            idle_check(stage, "--dry-run")
        assert stage.rows() == ()
        assert stage.heard["hook"].requests == []


@pytest.mark.slow
def test_s22_a_guest_that_does_not_shut_down_is_told_with_what_to_do(tmp_path: Path) -> None:
    scenario = copy.deepcopy(IDLE)
    scenario["guests"][2]["acpi"] = False
    scenario["guests"][2]["type"] = "qemu"
    with _idle(tmp_path, scenario) as stage:
        ended = _next(stage)
        assert ended.code == 1
        told = _told(stage)[-1]
        assert (_subjects(stage)[-1], told["severity"]) == ("pve2 could not be switched off", "warning")
        assert "200 (web) is not off, so the node stays on" in told["text"]
        assert f"pvectl explain {ended.json['data'][0]['decision_id']}" in told["text"]
        assert "It is not tried again before" in told["text"]


@pytest.mark.slow
def test_s23_an_unknown_outcome_is_told_and_so_is_what_became_of_it(tmp_path: Path) -> None:
    with _idle(tmp_path) as stage:
        stage.server.fault("status", path="/nodes/pve2/status", method="POST", code=596)
        assert _next(stage).code == 5
        told = _told(stage)[-1]
        assert (_subjects(stage)[-1], told["severity"]) == ("pve2: whether it went off is not known", "critical")
        _next(stage, 100)
        _next(stage, 600)
        assert _subjects(stage)[2:] == ["pve2 could not be switched off"]


@pytest.mark.slow
def test_s22_a_node_that_failed_too_often_is_told_as_such_and_not_as_one_more_failure(tmp_path: Path) -> None:
    with _idle(tmp_path) as stage:
        with open_to_write(stage.state, "lab", stage.clock) as store:
            record = store.recall(RECORDS, "pve2", NodeRecord)
            assert record is not None
            store.keep(RECORDS, "pve2", replace(record, failures=2))
        stage.server.fault("status", path="/nodes/pve2/status", method="POST", code=500)
        assert _next(stage).code == 1
        told = _told(stage)[-1]
        assert (_subjects(stage)[-1], told["severity"]) == ("pve2 is not switched off any more until somebody has looked", "critical")
        assert "Once it is seen to: pvectl node wake pve2" in told["text"]
        _next(stage)
        assert len(_told(stage)) == 2


@pytest.mark.slow
def test_s02_a_node_nobody_could_judge_for_an_hour_is_told_once_for_each_such_time(tmp_path: Path) -> None:
    with _idle(tmp_path, runs=1) as stage:
        for _ in range(2):
            stage.server.fault("status", path="/nodes/pve2/qemu", code=500)
            assert [_next(stage, 600).code for _ in range(6)] == [4] * 6
            before = len(_told(stage))
            assert [_next(stage, 600).code for _ in range(4)] == [4] * 4
            assert len(_told(stage)) == before + 1
            stage.server.clear_faults()
            assert _next(stage).code == 0
        assert all(subject.startswith("pve2 stays on: not everything can be seen since") for subject in _subjects(stage))
        assert "pvectl doctor" in _told(stage)[0]["text"]


@pytest.mark.slow
def test_s31_a_state_that_was_set_aside_is_told_once(tmp_path: Path) -> None:
    with _idle(tmp_path, runs=1) as stage:
        stage.state_file.write_bytes(b"this is no database\n" * 50)
        assert _next(stage).code == 65
        assert _next(stage).code == 0
        assert stage.pvectl("scheduled-shutdown").code == 78
        assert [subject for subject in _subjects(stage) if "set aside" in subject] == [
            "the state file was set aside, and nothing was switched off"
        ]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["pvectl.cli.announcing.send_announced", "pvectl.cli.idle.memory.Memory.ended"])
def test_s30_what_a_run_that_died_had_to_tell_the_next_one_tells_and_nobody_hears_it_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    with _idle(tmp_path) as stage:
        _dies(stage, monkeypatch, where)
        assert len(stage.power_offs()) == 1
        assert len(_subjects(stage)) == 1
        for _ in range(3):
            _next(stage)
        assert _subjects(stage)[1:] == ["pve2 is off"]
        assert set(times(stage.heard["hook"]).values()) == {1}


@pytest.mark.slow
def test_s24_a_message_that_cannot_be_kept_keeps_nothing_of_what_it_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with _idle(tmp_path, runs=RUNS_BEFORE - 1) as stage:
        _dies(stage, monkeypatch, "pvectl.store.alerts.Alerts.put_rows")
        assert stage.rows() == ()
        assert idle_check(stage).json["data"][0]["phase"] == "notice"
        assert [row.state for row in stage.rows()] == [State.SENT]


@pytest.mark.slow
@pytest.mark.parametrize("written", [False, True], ids=["while it is told", "right before"])
def test_s30_a_run_that_is_killed_while_it_tells_somebody_is_made_up_for_under_the_same_id(tmp_path: Path, *, written: bool) -> None:
    with _idle(tmp_path) as stage:
        processes: list[subprocess.Popen[bytes]] = []

        def kill(*_: object) -> None:
            if processes:
                processes[0].kill()
                processes[0].wait(30)

        stage.heard["hook"].act = in_turn(lambda *_: kill(), answering())
        stage.advance(INTERVAL)
        if written:
            # what becomes of it is all that is to be told
            stage.server.on_request = lambda _number, record: kill() if record.is_write and record.path.endswith("pve2/status") else None
        processes.append(subprocess.Popen(stage.command("idle-check", led=True), env=stage.home.env, cwd=tmp_path))
        assert processes[0].wait(60) == -signal.SIGKILL
        stage.server.on_request = None
        stage.heard["hook"].act = answering()
        for _ in range(3):
            _next(stage)
        assert len(stage.power_offs()) == 1
        assert _subjects(stage)[1:] == ["pve2 is off"]
        assert max(times(stage.heard["hook"]).values()) == (1 if written else 2)


@pytest.mark.slow
def test_interrupted_while_it_tells_people_idle_check_reports_what_it_did_with_its_own_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with _idle(tmp_path) as stage:
        with monkeypatch.context() as patch:
            patch.setattr("pvectl.cli.alerts.run.sent", interrupted)
            ended = _next(stage)
        assert (ended.code, len(stage.power_offs())) == (0, 1)
        assert ended.json["data"][0]["actions"][-1]["status"] == "done"
        assert "interrupted before everybody was told; the next run goes on with it" in ended.err
