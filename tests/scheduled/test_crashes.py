"""Killed at each request and at each call that changes the state directory: nobody is asked twice, and nobody after the deadline."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pvectl.errors import ExitCode
from pvectl.sim.record import Record
from tests.scheduled.nights import STAGED, asked, at, before_ten, go_to, scheduled
from tests.support.stages import Stage
from tests.support.traced import calls
from tests.support.whole import LIMIT_S, WHOLE

SHORT = STAGED.replace("wait_after: 30", "wait_after: 5")
DEADLINE = at("2026-12-01 22:30")
CHANGES = "openat,write,pwrite64,fsync,fdatasync,ftruncate,fallocate,unlink,unlinkat,rename,renameat2,link,mkdir,fchmod,flock"
AT_MOST = 8
"""Points of one kind at which a run is ended; of more than that, an even sample."""
STRACE = shutil.which("strace")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(LIMIT_S)]


def _intended(stage: Stage) -> list[str]:
    from pvectl.store import open_to_read

    with open_to_read(stage.state, "lab", stage.clock) as store:
        return [intent.subject for intent, _ in store.actions(since=datetime(2026, 1, 1, tzinfo=UTC))]


def _sample(points: int, *, first: int = 1, at_most: int = AT_MOST) -> list[int]:
    if WHOLE:
        return list(range(first, points + 1))
    return sorted({first + round(number * (points - first) / (at_most - 1)) for number in range(at_most)})


def _judge(stage: Stage, where: str) -> None:
    """Whatever became of the first run: those after it, up to the next evening, do what is left and nothing else."""
    codes = set()
    for moment in ("22:05", "22:10", "22:29", "22:35", "2026-12-02 07:00"):
        if at(moment if "-" in moment else f"2026-12-01 {moment}") >= stage.now:
            go_to(stage, moment)
        ended = scheduled(stage)
        codes.add(ended.code)
        assert ended.code in (ExitCode.OK, ExitCode.FAILED), f"{where}: {ended.err}"
    posts = asked(stage)
    assert len(posts) == len(set(posts)), f"{where}: {posts}"
    assert all(record.at < DEADLINE for record in stage.shutdowns()), where
    assert {f"guest/{vmid}" for vmid in posts} <= set(_intended(stage)), f"{where}: asked without a word in the audit trail"
    with sqlite3.connect(stage.state_file) as connection:
        (word,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    assert word == "ok", where
    again = scheduled(stage)
    assert [row["state"] for row in again.json["data"]] == ["future"], where


def _run(stage: Stage, command: list[str], watch: Callable[[subprocess.Popen[bytes]], None] = lambda _: None) -> int:
    """One run as a process of its own; gives how it ended."""
    try:
        process = subprocess.Popen(command, env=stage.home.env, cwd=stage.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        watch(process)
        return process.wait(60)
    finally:
        stage.server.on_request = None


def _requests(folder: Path, text: str = SHORT) -> list[Record]:
    """The requests of a whole run."""
    folder.mkdir()
    with before_ten(folder, text, sockets=True) as stage:
        go_to(stage, "22:00")
        stage.server.count_anew()
        stage.server.clear()
        assert _run(stage, stage.command("scheduled-shutdown", led=True)) == 0
        return list(stage.server.requests)


def test_s24_s30_killed_at_any_request(tmp_path: Path) -> None:
    count = len(_requests(tmp_path / "counted"))
    assert count > 15
    killed = 0
    sample = _sample(count)
    for number in sample:
        folder = tmp_path / str(number)
        folder.mkdir()
        with before_ten(folder, SHORT, sockets=True) as stage:
            go_to(stage, "22:00")
            stage.server.count_anew()
            code = _killed_at(stage, number)
            killed += code < 0
            _judge(stage, f"request {number} of {count}, ended with {code}")
        shutil.rmtree(folder)
    assert killed >= len(sample) - 2


def test_s24_s30_killed_at_any_request_on_the_way_to_a_node_that_goes_off_afterwards(tmp_path: Path) -> None:
    text = SHORT + "      then_power_off: [pve2]\nidle_check: {nodes: [pve2], min_uptime: 0, self: elsewhere}\n"
    whole = _requests(tmp_path / "counted", text)
    last_guest = max(number for number, record in enumerate(whole, 1) if record.path.endswith("/status/shutdown"))
    power_off = next(number for number, record in enumerate(whole, 1) if record.is_write and record.path == "/nodes/pve2/status")
    made_up_for = 0
    for number in (*_sample(power_off - 1, first=last_guest + 1, at_most=5), None):
        folder = tmp_path / str(number)
        folder.mkdir()
        with before_ten(folder, text, sockets=True) as stage:
            go_to(stage, "22:00")
            stage.server.count_anew()
            # how many requests a run takes is never quite the same, so the one that matters is told by what it is
            code = _killed_at(stage, number or "/nodes/pve2/status")
            assert code < 0 or number is not None
            sent = len(stage.power_offs())
            assert sent or number is not None
            _judge(stage, f"request {number} of {len(whole)}")
            assert sorted(asked(stage)) == [200, 201, 300], number
            assert sent <= len(stage.power_offs()) <= 1, number
            made_up_for += len(stage.power_offs()) - sent
        shutil.rmtree(folder)
    assert made_up_for


def _killed_at(stage: Stage, which: int | str) -> int:
    """A run that is killed while this request of it is on its way, by its number or by what it writes to.

    The request is answered all the same, and nobody hears it.
    """
    processes: list[subprocess.Popen[bytes]] = []

    def kill(heard: int, record: Record) -> None:
        found = heard == which if isinstance(which, int) else record.is_write and record.path.endswith(which)
        if found and processes:
            processes[0].kill()
            processes[0].wait(30)

    stage.server.on_request = kill
    return _run(stage, stage.command("scheduled-shutdown", led=True), processes.append)


def _paths(stage: Stage) -> list[str]:
    folder = stage.state_file.parent
    return [str(folder), *(str(folder / name) for name in ("state.db", "state.db-journal", "state.db.new", "state.lock"))]


def _traced(stage: Stage, *options: str) -> int:
    assert STRACE is not None
    watched = [word for path in _paths(stage) for word in ("-P", path)]
    return _run(stage, [STRACE, "-f", "-qq", *watched, *options, *stage.command("scheduled-shutdown", led=True)])


@pytest.mark.skipif(STRACE is None and not os.environ.get("CI"), reason="strace is not installed: apt-get install strace")
@pytest.mark.parametrize("inject", ["signal=KILL", "error=ENOSPC"], ids=["killed", "no space from then on"])
def test_s24_s30_ended_at_any_call_that_changes_what_is_remembered(tmp_path: Path, inject: str) -> None:
    counted = tmp_path / "counted"
    counted.mkdir()
    with before_ten(counted, SHORT, sockets=True) as stage:
        go_to(stage, "22:00")
        trace = counted / "trace"
        assert _traced(stage, "-e", f"trace={CHANGES}", "-o", str(trace)) == 0
        points = calls(trace)
    assert len(points) > 30
    sample = [points[number - 1] for number in _sample(len(points))]
    struck = 0
    for point in sample:
        folder = tmp_path / f"{point.call}-{point.number}"
        folder.mkdir()
        with before_ten(folder, SHORT, sockets=True) as stage:
            go_to(stage, "22:00")
            how, trace = point.inject(inject, on=inject == "error=ENOSPC"), folder / "trace"
            code = _traced(stage, "-e", f"trace={CHANGES}", "-e", how, "-o", str(trace))
            struck += code == -signal.SIGKILL or "(INJECTED)" in trace.read_text()
            _judge(stage, f"{how} of {len(points)}, ended with {code}")
        shutil.rmtree(folder)
    # how often a run writes is never quite the same, so that the last points may not be reached
    assert struck >= 0.8 * len(sample), (struck, len(sample))


def test_s27_of_several_runs_at_once_one_acts(tmp_path: Path) -> None:
    with before_ten(tmp_path, SHORT, sockets=True) as stage:
        go_to(stage, "22:00")
        command = stage.command("scheduled-shutdown", led=True)
        runs = [
            subprocess.Popen(command, env=stage.home.env, cwd=stage.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(6)
        ]
        codes = [run.wait(60) for run in runs]
        assert set(codes) <= {0, 75}
        assert 0 in codes
        assert sorted(asked(stage)) == [200, 201, 300]
