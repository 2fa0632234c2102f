"""Several runs at once, and what people do while one is at work."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pvectl.core.alerts.outbox import State
from pvectl.errors import ExitCode
from pvectl.sim.record import Record
from tests.alert.stage import HEALTHY, INTERVAL, WATCHED, AlertStage, hook, subjects, times
from tests.idle.days import IDLE, PVECTL
from tests.notify.listening import Heard, Listener, answering

pytestmark = pytest.mark.slow


class Gate:
    """Lets nothing through until it is told to."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def wait(self, *_: object) -> None:
        self.reached.set()
        assert self.open.wait(60)

    def answer(self, sock: socket.socket, listener: Listener, heard: Heard) -> None:
        self.wait()
        answering()(sock, listener, heard)


@contextmanager
def at_work(stage: AlertStage, *words: str) -> Iterator[Callable[[], int]]:
    """A run as a process of its own; what it gives waits for its end and says how it was."""
    command = stage.command(*words)
    with subprocess.Popen(
        command, env=stage.home.env, cwd=stage.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as run:

        def ended() -> int:
            _, said = run.communicate(timeout=60)
            assert "Traceback" not in said, said
            return run.returncode

        try:
            yield ended
        finally:
            run.kill()


def news(stage: AlertStage) -> None:
    """The next run has something to tell."""
    assert stage.run().code == ExitCode.OK
    stage.advance(INTERVAL)
    stage.breaks()


@pytest.mark.parametrize("kept_at", ["the cluster", "the receiver"])
def test_s27_of_four_runs_at_once_one_works_and_the_others_leave_it_to_it(tmp_path: Path, kept_at: str) -> None:
    gate = Gate()
    with AlertStage(tmp_path) as stage:
        listener = stage.receiver(act=gate.answer)
        news(stage)
        if kept_at == "the cluster":
            stage.server.on_request = gate.wait
        command = stage.command("alert", "run")
        crowd = [command[0], str(Path(command[1]).with_name("crowd.py")), "4", *command[2:]]
        codes = []
        with subprocess.Popen(crowd, env=stage.home.env, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
            assert process.stdout is not None
            for line in process.stdout:
                codes.append(int(line))
                if len(codes) == 3:
                    gate.open.set()
        assert codes == [ExitCode.TRY_LATER] * 3 + [ExitCode.OK]
        said = [(tmp_path / f"{number}.out").read_text() for number in range(4)]
        assert sum("another alert run is at work" in text for text in said) == 3
        stage.server.on_request = None
        assert [ended.code for ended in stage.runs(2)] == [ExitCode.OK] * 2
        assert list(times(listener).values()) == [1]


def _idle_lab(folder: Path) -> AlertStage:
    stage = AlertStage(folder, {**IDLE, "storages": HEALTHY["storages"]})
    stage.configure(f"{PVECTL}{stage.configuration}")
    return stage


def test_idle_check_acts_while_an_alert_run_waits_for_its_receiver(tmp_path: Path) -> None:
    gate = Gate()
    with _idle_lab(tmp_path) as stage:
        listener = stage.receiver(act=gate.answer)
        news(stage)
        with at_work(stage, "alert", "run") as ended:
            assert gate.reached.wait(60)
            idle = stage.pvectl("idle-check", "-o", "json")
            assert (idle.code, idle.json["complete"]) == (ExitCode.OK, True), idle.err
            gate.open.set()
            assert ended() == ExitCode.OK
        assert list(times(listener).values()) == [1]
        assert [row.state for row in stage.rows()] == [State.SENT]
        stage.advance(200)
        assert stage.pvectl("idle-check", "-o", "json").json["data"][0]["credit_s"] == 200


def test_an_alert_run_tells_while_idle_check_is_at_work(tmp_path: Path) -> None:
    gate = Gate()
    with _idle_lab(tmp_path) as stage:
        listener = stage.receiver()
        news(stage)
        stage.server.on_request = _first(gate)
        with at_work(stage, "idle-check") as ended:
            assert gate.reached.wait(60)
            assert stage.run().code == ExitCode.OK
            assert len(listener.requests) == 1
            gate.open.set()
            assert ended() == ExitCode.OK
        assert stage.runs(1)[0].code == ExitCode.OK
        assert list(times(listener).values()) == [1]


def _first(gate: Gate) -> Callable[[int, Record], None]:
    """Only the first request waits, however many come while it does."""
    count = threading.Semaphore(1)

    def wait(_number: int, _record: Record) -> None:
        if count.acquire(blocking=False):
            gate.wait()

    return wait


def test_what_people_say_while_a_run_hangs_at_its_receiver_is_kept(tmp_path: Path) -> None:
    gate = Gate()
    alert = f"receivers: {{{hook(more=', per_hour: 60, burst: 10')}}}, rules: [{{for: 0}}]"
    with AlertStage(tmp_path, alert=alert) as stage:
        listener = stage.receiver(act=gate.answer)
        assert stage.run().code == ExitCode.OK
        stage.advance(INTERVAL)
        stage.cluster.change_node("pve1", services={"pvestatd": "failed", "pveproxy": "failed"})
        with at_work(stage, "alert", "run") as ended:
            assert gate.reached.wait(60)
            first = listener.requests[0].headers["webhook-id"]
            (second,) = (row.id for row in stage.waiting() if row.id != first)
            assert stage.pvectl("alert", "outbox", "drop", second, "--yes").code == ExitCode.OK
            (told,) = (row.notification.stories[0].name for row in stage.rows() if row.id == first)
            assert stage.pvectl("alert", "ack", told, "--note", "on it").code == ExitCode.OK
            assert stage.pvectl("alert", "silence", "add", "--check", "backup.*", "--reason", "new disk", "--for", "2h").code == ExitCode.OK
            gate.open.set()
            assert ended() == ExitCode.OK
        assert [heard.headers["webhook-id"] for heard in listener.requests] == [first]
        assert {row.id: row.state for row in stage.rows()} == {first: State.SENT, second: State.DROPPED}
        incident = stage.records().incidents[told]
        assert incident.acknowledged is not None
        assert incident.acknowledged.note == "on it"
        assert incident.told["hook"].delivered == 1
        assert [silence.reason for silence in stage.silences()] == ["new disk"]
        stage.runs(1)
        assert stage.records().incidents[told].acknowledged is not None
        assert len(subjects(listener)) == 1


def test_an_acknowledgement_while_the_run_still_looks_is_kept(tmp_path: Path) -> None:
    gate = Gate()
    with AlertStage(tmp_path) as stage:
        stage.receiver()
        news(stage)
        stage.run()
        stage.advance(INTERVAL)
        stage.server.on_request = _first(gate)
        with at_work(stage, "alert", "run") as ended:
            assert gate.reached.wait(60)
            assert stage.pvectl("alert", "ack", WATCHED).code == ExitCode.OK
            gate.open.set()
            assert ended() == ExitCode.OK
        assert stage.records().incidents[WATCHED].acknowledged is not None


def test_a_run_that_is_told_to_end_while_its_receiver_hangs_ends_and_the_next_one_tells_it_under_the_same_id(tmp_path: Path) -> None:
    gate = Gate()
    with AlertStage(tmp_path) as stage:
        listener = stage.receiver(act=gate.answer)
        news(stage)
        with subprocess.Popen(stage.command("alert", "run"), env=stage.home.env, stderr=subprocess.PIPE, text=True) as run:
            assert gate.reached.wait(60)
            run.terminate()
            _, said = run.communicate(timeout=30)
        assert run.returncode == ExitCode.TERMINATED, said
        assert "Traceback" not in said
        gate.open.set()
        assert [ended.code for ended in stage.runs(2)] == [ExitCode.OK] * 2
        assert list(times(listener).values()) == [2]
