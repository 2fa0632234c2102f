"""Every call to the kernel that a process makes, each in turn made its last one, or refused: strace does both."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.store.stage import LAB, State, other

# those that change something: a kill at any other call is a kill before the next of these
CALLS = ("openat", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "unlink", "mkdir")
REFUSABLE = {
    "EIO": ("openat", "pwrite64", "fsync", "fdatasync", "ftruncate", "rename", "pread64"),
    "ENOSPC": ("mkdir", "openat", "pwrite64", "rename"),
}
_STRACE = ("strace", "--seccomp-bpf", "-f", "-o", "/dev/null")


def _works() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode == 0


needs_strace = pytest.mark.skipif(not _works(), reason="strace is not here, or may not trace")


class Point(NamedTuple):
    """The call with this number of those of its name."""

    call: str
    number: int

    def kill(self) -> tuple[str, ...]:
        return (*_STRACE, "-e", f"inject={self.call}:signal=KILL:when={self.number}", "-e", f"trace={self.call}")

    def refuse(self, error: str) -> tuple[str, ...]:
        return (*_STRACE, "-e", f"inject={self.call}:error={error}:when={self.number}", "-e", f"trace={self.call}")


def points(prepared: Callable[[], State], code: str, log: Path, calls: tuple[str, ...], *, says: str) -> list[Point]:
    """Every call of these that the code makes from its first look at the state on; not its word of what it sent."""
    # a file of bytecode that somebody else writes between two runs would change what the second one opens
    with other(prepared().directory, code, before=("env", "-u", "PYTHONDONTWRITEBYTECODE")) as process:
        assert process.ended() == (0, says)
    with other(prepared().directory, code, before=("strace", "-o", str(log), "-e", ",".join(calls))) as process:
        assert process.ended() == (0, says)
    counted: Counter[str] = Counter()
    found, begun = [], False
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        if (call := re.match(r"(\w+)\(", line)) is None:
            continue
        counted[call[1]] += 1
        begun = begun or f"/{LAB}" in line
        if begun and '/sent"' not in line and (call[1] != "openat" or "O_CREAT" in line):
            found.append(Point(call[1], counted[call[1]]))
    assert len(found) > 10
    return found
