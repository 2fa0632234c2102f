"""A state directory, a clock that stands where a test puts it, and other processes that work on the same state."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from msgspec import Raw, Struct

from pvectl.clock import SystemClock
from pvectl.core.hold import Hold
from pvectl.store import DecisionEntry, Intent, Store, open_to_alert, open_to_write

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LAB = "lab"
# every commit waits for the disk, and a busy one makes these tests ten times as slow without proving more
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


class StandingClock(SystemClock):
    """Wall time as the test has it; the rest is the machine's."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def go(self, **span: float) -> datetime:
        self.at += timedelta(**span)
        return self.at


class Credit(Struct, frozen=True, kw_only=True):
    """A record such as a job keeps."""

    seconds: int
    phase: str = "idle"


class State(Struct, frozen=True):
    """The places of one test."""

    directory: Path

    @property
    def folder(self) -> Path:
        return self.directory / LAB

    @property
    def file(self) -> Path:
        return self.folder / "state.db"

    @property
    def lock(self) -> Path:
        return self.folder / "state.lock"

    @property
    def alert_lock(self) -> Path:
        return self.folder / "alert.lock"

    def broken(self) -> list[str]:
        """The files that were set aside, without what lay beside them."""
        beside = ("-journal", "-wal", "-shm")
        return sorted(path.name for path in self.folder.glob("state.db.broken-*") if not path.name.endswith(beside))

    def run(self, clock: SystemClock | None = None) -> Store:
        return open_to_write(self.directory, LAB, clock or StandingClock())

    def alert_run(self, clock: SystemClock | None = None, *, patience: float = 0.0) -> Store:
        return open_to_alert(self.directory, LAB, clock or StandingClock(), patience=patience)

    def begun(self, **seconds_of: int) -> Self:
        """With these credits kept by an earlier run."""
        with self.run() as store:
            for key, seconds in seconds_of.items():
                store.keep("idle", key, Credit(seconds=seconds))
        return self


def a_hold(name: str = "h1", *, subject: str = "node/pve2", until: datetime = NOON + timedelta(hours=8)) -> Hold:
    return Hold(id=name, subject=subject, until=until, reason="restore test", who="anna", made_at=NOON)


def a_decision(name: str = "d1", **changed: Any) -> DecisionEntry:
    given = {"job": "idle-check", "run_id": "r1", "at": NOON, "subject": "node/pve2", "verdict": "act", "reason": "grace-over"}
    return DecisionEntry(**{"id": name, "acted": True, "payload": Raw(b'{"guests":[]}'), **given, **changed})


def an_intent(name: str = "i1", *, decision: str = "d1", **changed: Any) -> Intent:
    given = {"run_id": "r1", "at": NOON, "boottime": 42.5, "boot_id": "b", "job": "idle-check", "verb": "shutdown", "subject": "guest/100"}
    return Intent(**{"id": name, "decision_id": decision, **given, **changed})


_PRELUDE = """
import os, signal, sys
from datetime import timedelta
from pathlib import Path
from pvectl.errors import PvectlError
from pvectl.store import file as state_file, open_beside, open_to_alert, open_to_read, open_to_write
from tests.store.stage import LAB, NOON, Credit, StandingClock, a_decision, a_hold, an_intent

# on a busy machine the others may take longer than a user would wait for them
state_file._PATIENCE_S = 60.0

directory, clock = Path(sys.argv[1]), StandingClock()

def say(words):
    print(words, flush=True)

def wait():
    sys.stdin.readline()
"""
_ROOT = Path(__file__).parents[2]


class Other:
    """Another process at work on the same state: `says` waits for its next line, `go_on` answers its `wait()`."""

    def __init__(self, directory: Path, code: str, *, before: tuple[str, ...] = ()) -> None:
        self._process = subprocess.Popen(
            [*before, sys.executable, "-c", _PRELUDE + code, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        return self._process.pid

    def says(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"it ended without a word: {self._process.communicate()[1]}"
        return line.rstrip("\n")

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def ended(self) -> tuple[int, str]:
        """Exit code and what it still said."""
        out, err = self._process.communicate(timeout=60)
        return self._process.returncode, out + err


@contextmanager
def other(directory: Path, code: str, *, before: tuple[str, ...] = ()) -> Iterator[Other]:
    with Other(directory, code, before=before) as process:
        yield process
