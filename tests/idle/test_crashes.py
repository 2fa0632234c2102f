"""Killed, or out of disk, at each call that changes the state directory: the next run finds everything in order (S24, S30, S31, S32)."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pvectl.errors import ExitCode
from pvectl.sim.record import Record
from tests.idle.days import IDLE, INTERVAL, about_to_act, idle_check
from tests.support.stages import Stage
from tests.support.traced import Point, calls
from tests.support.whole import LIMIT_S, WHOLE

CHANGES = "openat,write,pwrite64,fsync,fdatasync,ftruncate,fallocate,unlink,unlinkat,rename,renameat2,link,mkdir,fchmod,flock"
QUICK: dict[str, Any] = {**IDLE, "guests": [{**guest, "shutdown_s": 0.1} for guest in IDLE["guests"]]}
STRACE = shutil.which("strace")

pytestmark = [
    pytest.mark.skipif(STRACE is None and not os.environ.get("CI"), reason="strace is not installed: apt-get install strace"),
    pytest.mark.timeout(LIMIT_S),
]


def _paths(stage: Stage) -> list[str]:
    folder = stage.state_file.parent
    names = ("state.db", "state.db-journal", "state.db.new", "state.db.new-journal", "state.lock")
    return [str(folder), *(str(folder / name) for name in names)]


def _under_strace(stage: Stage, *options: str) -> int:
    """One whole run; gives its exit code, or minus the signal that ended it."""
    assert STRACE is not None, "strace is not installed, and CI must have it"
    watched = [word for path in _paths(stage) for word in ("-P", path)]
    command = [STRACE, "-f", "-qq", *watched, *options, *stage.command("idle-check", led=True)]
    ended = subprocess.run(command, env=stage.home.env, cwd=stage.folder, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended.returncode


def _calls(tmp_path: Path, keep: Path) -> list[Point]:
    """Such calls the run makes, in their order."""
    folder = tmp_path / "counted"
    folder.mkdir()
    with about_to_act(folder, QUICK, keep=keep) as stage:
        trace = folder / "trace"
        assert _under_strace(stage, "-e", f"trace={CHANGES}", "-o", str(trace)) == 0
        assert len(stage.power_offs()) == 1
        return calls(trace)


def _sample(points: list[Point], step: int, others: int = 1) -> list[Point]:
    """The calls to try: each `others`-th that is no writing of a page, and each `step`-th of those."""
    pages = [point for point in points if point.call == "pwrite64"]
    rest = [point for point in points if point.call != "pwrite64"]
    return points if WHOLE else sorted({*pages[::step], *rest[::others]}, key=points.index)


def _posts(stage: Stage) -> list[str]:
    """What was asked for, as the subjects the audit trail names."""
    posts = []
    for record in stage.server.writes():
        # as long as nobody has read its body a request stands there as it came
        parts = record.path.removeprefix("/api2/json").split("/")
        posts.append(f"shutdown guest/{parts[4]}" if record.path.endswith("/shutdown") else f"power-off node/{parts[2]}")
    return posts


def _intended(stage: Stage) -> list[str]:
    from pvectl.store import open_to_read

    with open_to_read(stage.state, "lab", stage.clock) as store:
        return [f"{intent.verb} {intent.subject}" for intent, _ in store.actions(since=datetime(2026, 1, 1, tzinfo=UTC))]


def _is_sound(file: Path) -> bool:
    with sqlite3.connect(file) as connection:
        (word,) = connection.execute("PRAGMA integrity_check").fetchone()
    connection.close()
    return bool(word == "ok")


def _judge(stage: Stage, where: str) -> None:
    """After whatever became of the first run: two clean ones, and everything is as it should be."""
    before = _posts(stage)
    assert set(before) <= set(_intended(stage)), f"{where}: sent without a word in the audit trail"
    for _ in range(2):
        stage.advance(INTERVAL)
        ended = idle_check(stage)
        assert ended.code in (ExitCode.OK, ExitCode.FAILED, ExitCode.BLIND, ExitCode.UNKNOWN_OUTCOME), f"{where}: {ended.err}"
    posts = _posts(stage)
    assert len(posts) == len(set(posts)), f"{where}: {posts}"
    assert set(posts) <= set(_intended(stage)), f"{where}: sent without a word in the audit trail"
    assert _is_sound(stage.state_file), where
    left = {path.name for path in stage.state_file.parent.iterdir()}
    assert left <= {"state.db", "state.db-journal", "state.lock"}, f"{where}: {left}"
    if "power-off node/pve2" not in posts:
        # nothing was sent; that may delay the power-off and must not prevent it for good
        assert stage.cluster.node("pve2").online, where


def _each(tmp_path: Path, inject: str, step: int, others: int = 1, only: slice = slice(None)) -> None:
    keep = tmp_path / "kept"
    keep.mkdir()
    found = _calls(tmp_path, keep)
    assert {"pwrite64", "fdatasync", "ftruncate", "openat", "flock"} <= {point.call for point in found}
    sample = _sample(found, step, others)[only]
    struck = 0
    for point in sample:
        folder = tmp_path / f"{point.call}-{point.number}"
        folder.mkdir()
        with about_to_act(folder, QUICK, keep=keep) as stage:
            how = point.inject(inject, on=inject == NO_SPACE)
            trace = folder / "trace"
            code = _under_strace(stage, "-e", f"trace={CHANGES}", "-e", how, "-o", str(trace))
            struck += code == -signal.SIGKILL or "(INJECTED)" in trace.read_text()
            where = f"{how} (of {len(found)}, ended with {code})"
            if inject != KILLED:
                assert code in _TYPED, where
            _judge(stage, where)
        shutil.rmtree(folder)
    # how often a run writes is never quite the same, so that the last points may not be reached
    assert struck >= 0.8 * len(sample), (struck, len(sample))


_TYPED = (ExitCode.OK, ExitCode.FAILED, ExitCode.UNKNOWN_OUTCOME, ExitCode.BAD_STATE, ExitCode.CANNOT_WRITE, ExitCode.TRY_LATER)

KILLED = "signal=KILL"
NO_SPACE = "error=ENOSPC"
BAD_DISK = "error=EIO"


@pytest.mark.slow
def test_s30_a_run_that_is_killed_leaves_everything_in_order(tmp_path: Path) -> None:
    _each(tmp_path, KILLED, 4, only=slice(60, 61))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_s30_a_run_that_is_killed_anywhere_leaves_everything_in_order(tmp_path: Path, part: int) -> None:
    _each(tmp_path, KILLED, 8, 2, only=slice(part, None, 4))


@pytest.mark.slow
@pytest.mark.parametrize("inject", [NO_SPACE, BAD_DISK], ids=["no space from then on", "one bad write"])
@pytest.mark.parametrize("part", range(2))
def test_s24_a_run_that_cannot_write_does_nothing_it_has_not_written_down(tmp_path: Path, inject: str, part: int) -> None:
    _each(tmp_path, inject, 20, 6, only=slice(part, None, 2))


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3], ids=["the first guest", "the second guest", "the node"])
def test_s24_a_run_that_is_killed_while_a_request_is_on_its_way_never_sends_it_again(tmp_path: Path, number: int) -> None:
    with about_to_act(tmp_path, QUICK) as stage:
        writes = itertools.count(1)
        processes: list[subprocess.Popen[bytes]] = []

        def kill(_number: int, record: Record) -> None:
            if record.is_write and next(writes) == number:
                processes[0].kill()
                processes[0].wait(30)

        stage.server.on_request = kill
        processes.append(
            subprocess.Popen(stage.command("idle-check", led=True), env=stage.home.env, cwd=tmp_path, stderr=subprocess.DEVNULL)
        )
        assert processes[0].wait(60) == -signal.SIGKILL
        stage.server.on_request = None
        assert len(_posts(stage)) == number
        _judge(stage, f"killed at write {number}")
