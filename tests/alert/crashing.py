"""Runs that are killed, or refused something, at one of their calls to the kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.alert.stage import AlertStage

STRACE = shutil.which("strace")


def may_attach() -> bool:
    """Whether strace is here and this system lets it look at what already runs."""
    if STRACE is None:
        return False
    with subprocess.Popen(["sleep", "20"]) as process:
        tried = subprocess.run(
            ["timeout", "-s", "INT", "1", STRACE, "-qq", "-o", "/dev/null", "-p", str(process.pid)], capture_output=True, check=False
        )
        process.kill()
    return not tried.stderr


Place = Literal["main", "lane", "all"]


class Nursery:
    """Runs as processes of their own that need not load everything anew."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, stage: AlertStage, *words: str, place: Place = "main", strace: Sequence[str] = ()) -> int:
        """One whole run, or the thread in it that tells the receiver, under strace; its exit code, or minus the signal that ended it."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        clock = (stage.clock.now().timestamp(), stage.clock.boottime(), stage.clock.boot_id())
        told = {"words": ["alert", "run", *words], "clock": clock, "env": stage.home.env, "out": str(stage.folder / "out")}
        watched = ("main" if place == "all" else place) if strace else ""
        process.stdin.write(json.dumps({**told, "watched": watched}) + "\n")
        process.stdin.flush()
        said = process.stdout.readline()
        if not said.startswith("watch"):
            return int(said)
        assert STRACE is not None
        command = [STRACE, *(("-f",) if place == "all" else ()), "-qq", *strace, "-p", said.split()[1]]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracing:
            while f"TracerPid:\t{tracing.pid}\n" not in Path(f"/proc/{said.split()[1]}/status").read_text(encoding="ascii"):
                time.sleep(0.0005)
            process.stdin.write("\n")
            process.stdin.flush()
            code = int(process.stdout.readline())
            _, complaint = tracing.communicate(timeout=30)
        assert not complaint, complaint
        return code


@contextmanager
def nursery() -> Iterator[Nursery]:
    script = str(Path(__file__).with_name("nursery.py"))
    with subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Nursery(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)
