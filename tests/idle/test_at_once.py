"""One run at a time, however many are started (safety rule S27)."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from pvectl.sim.record import Record
from tests.idle.days import about_to_act
from tests.support.stages import Stage


def _codes(stage: Stage, folder: Path, count: int, words: Sequence[str]) -> list[int]:
    """The exit codes in the order they came; the one that got in is kept at its first wait until all others have ended."""
    others_ended = threading.Event()
    # there it waits for nobody's answer, so that it does not matter how long the others take
    stage.clock.at(stage.now + 1, partial(others_ended.wait, 120))
    command = stage.command(*words, led=True)
    crowd = [command[0], str(Path(command[1]).with_name("crowd.py")), str(count), *command[2:]]
    codes = []
    with subprocess.Popen(crowd, env=stage.home.env, stdout=subprocess.PIPE, text=True, cwd=folder) as process:
        assert process.stdout is not None
        for line in process.stdout:
            codes.append(int(line))
            if len(codes) == count - 1:
                others_ended.set()
    return codes


@pytest.mark.slow
def test_s27_of_fifty_runs_at_once_exactly_one_acts(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        codes = _codes(stage, tmp_path, 50, ["idle-check", "--deadline", "10m"])
        assert codes == [75] * 49 + [0]
        assert len(stage.power_offs()) == 1
        assert sorted(record.path for record in stage.shutdowns()) == [
            "/nodes/pve2/lxc/200/status/shutdown",
            "/nodes/pve2/qemu/201/status/shutdown",
        ]
        said = [(tmp_path / f"{number}.out").read_text() for number in range(50)]
        assert sum("another run" in text for text in said) == 49


@pytest.mark.slow
def test_s27_a_run_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    with about_to_act(tmp_path) as stage:
        arrived, go_on = threading.Event(), threading.Event()

        def keep(_number: int, _record: Record) -> None:
            arrived.set()
            go_on.wait(60)

        stage.server.on_request = keep
        process = subprocess.Popen(stage.command("idle-check"), env=stage.home.env, cwd=tmp_path, stdout=subprocess.DEVNULL)
        assert arrived.wait(30)
        process.kill()
        process.wait(30)
        go_on.set()
        stage.server.on_request = None
        assert stage.pvectl("idle-check").code == 0
        assert len(stage.power_offs()) == 1
