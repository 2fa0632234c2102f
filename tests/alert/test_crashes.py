"""Killed, or refused something, at each call that changes the state or speaks to the receiver: nobody misses a message, nobody gets two."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

import pytest

from pvectl.core.alerts.incident import Phase
from pvectl.errors import ExitCode
from tests.alert.crashing import Nursery, Place, may_attach, nursery
from tests.alert.stage import INTERVAL, WATCHED, AlertStage, bodies, times
from tests.notify.listening import Listener
from tests.support.traced import Point, calls
from tests.support.whole import WHOLE

TYPED = (ExitCode.OK, ExitCode.FAILED, ExitCode.BAD_STATE, ExitCode.UNAVAILABLE, ExitCode.CANNOT_WRITE, ExitCode.TRY_LATER)
STATE = r"/state/lab[/>\"]"
CHANGES = (
    "flock,openat,pwrite64,fdatasync,fsync,ftruncate,fallocate,unlink,unlinkat,rename,renameat2,link,mkdir,write,fchmod,fchown,fcntl,close"
)
READS = "pread64,read,newfstatat"
NETWORK = "socket,connect,getsockopt,setsockopt,ioctl,poll,sendto,recvfrom,shutdown,close"
SPACE = "openat,pwrite64,ftruncate,fallocate,mkdir,rename,link,fdatasync"

RUNS_BEFORE = {"first": 0, "begins": 1, "is over": 2}
News = Literal["first", "begins", "is over"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not may_attach() and not os.environ.get("CI"), reason="strace is not installed, or may not attach"),
]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with nursery() as runs:
        with AlertStage(tmp_path_factory.mktemp("warm")) as stage:
            stage.receiver()
            stage.breaks()
            # it loads what there is to load, so that the calls of the next ones are always the same
            assert runs.run(stage) == ExitCode.OK
        yield runs


class Matrix:
    """One kind of news, and runs that do not get through with it."""

    def __init__(self, folder: Path, quick: Nursery, news: News) -> None:
        self._folder = folder
        self._quick = quick
        self.news = news
        self.tried = 0
        self.twice = 0
        self._kept: Path | None = None

    @contextmanager
    def stage(self) -> Iterator[tuple[AlertStage, Listener]]:
        """At the moment right before the run that has something to tell."""
        folder = self._folder / str(self.tried)
        folder.mkdir()
        self.tried += 1
        with AlertStage(folder) as stage:
            listener = stage.receiver()
            self._go_there(stage, listener)
            yield stage, listener
        shutil.rmtree(folder)

    def _go_there(self, stage: AlertStage, listener: Listener) -> None:
        kept, before = self._kept, RUNS_BEFORE[self.news]
        if kept is not None:
            shutil.copytree(kept, stage.state)
            stage.advance(INTERVAL * before)
        elif before:
            for _ in range(before):
                assert stage.run().code == ExitCode.OK
                stage.advance(INTERVAL)
                stage.breaks()
            self._kept = self._folder / "kept"
            shutil.copytree(stage.state, self._kept)
            self._told = listener.requests[:]
        if self.news == "is over":
            stage.mends()
            listener.requests[:] = self._told
        else:
            stage.breaks()

    def points(self, place: Place, names: str, of: str) -> list[Point]:
        """The calls of an undisturbed run."""
        with self.stage() as (stage, listener):
            trace = stage.folder / "trace"
            assert self._quick.run(stage, place=place, strace=("-y", "-e", f"trace={names}", "-o", str(trace))) == ExitCode.OK
            self._judge(stage, listener, "undisturbed")
            return calls(trace, of=of)

    def suffers(self, place: Place, point: Point, how: str) -> None:
        """A run that is disturbed there, undisturbed ones after it, and what everybody heard by then."""
        inject = f"inject={point.call}:{how}:when={point.number}{'+' if how == NO_SPACE and point.call != 'openat' else ''}"
        with self.stage() as (stage, listener):
            strace = ("-e", f"trace={point.call}", "-e", inject, "-o", "/dev/null")
            code = self._quick.run(stage, place=place, strace=strace)
            where = f"{self.news}: {inject} in {place} (ended with {code})"
            # which of several threads does most is not always the same
            if how == KILLED and not (place == "all" and code == ExitCode.OK):
                assert code == -signal.SIGKILL, where
            else:
                said = (stage.folder / "out.err").read_text(encoding="utf-8")
                assert "Traceback" not in said, f"{where}: {said}"
                assert code in TYPED, f"{where}: {said}"
            if code == ExitCode.CANNOT_WRITE and self.news == "first":
                # it was told all the same; that there was a run nobody knows
                listener.requests.clear()
            self._judge(stage, listener, where)

    def _judge(self, stage: AlertStage, listener: Listener, where: str) -> None:
        if self.news != "is over":
            self._quiet_run(stage, where)
            stage.mends()
        for _ in range(3):
            self._quiet_run(stage, where)
        told = bodies(listener)
        mine = [(body["status"], body["incident"]) for body in told.values() if _is_about(body, WATCHED)]
        assert [status for status, _ in mine] == ["firing", "resolved"], f"{where}: {told}"
        assert len({incident for _, incident in mine}) == 1, f"{where}: {told}"
        others = Counter((body["labels"].get("check"), body["status"]) for body in told.values() if not _is_about(body, WATCHED))
        assert not others or "signal" not in where, f"{where}: {others}"
        for (check, status), count in others.items():
            # what went wrong beside it is told like everything else
            assert (check, count) == ("self.coverage", 1), f"{where}: {others}"
            assert others[check, "resolved" if status == "firing" else "firing"] == 1, f"{where}: {others}"
        again = sum(times(listener).values()) - len(told)
        assert again <= 1, f"{where}: {times(listener)}"
        self.twice += again
        assert stage.waiting() == [], where
        known = [incident for incident in stage.records().incidents.values() if incident.name == WATCHED]
        assert [incident.phase for incident in known] == [Phase.OK], where
        _assert_sound(stage, where)

    def _quiet_run(self, stage: AlertStage, where: str) -> None:
        stage.advance(INTERVAL)
        ended = stage.run()
        assert ended.code == ExitCode.OK, f"{where}: then {ended}"


def _is_about(body: dict[str, object], name: str) -> bool:
    labels = body["labels"]
    assert isinstance(labels, dict)
    return f"{labels.get('check')}/{labels.get('object')}" == name


def _assert_sound(stage: AlertStage, where: str) -> None:
    connection = sqlite3.connect(stage.state_file)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)], where
    finally:
        connection.close()
    # notes of what was told while nothing could be written lie there for a day
    left = {path.name for path in stage.state_file.parent.iterdir() if not path.name.startswith("alert.told-")}
    assert left <= {"state.db", "state.db-journal", "state.lock", "alert.lock"}, f"{where}: {left}"


KILLED = "signal=KILL"
NO_SPACE = "error=ENOSPC"
BAD_DISK = "error=EIO"
RESET = "error=ECONNRESET"


class Way(NamedTuple):
    """Where a run is disturbed, at which calls (on lines of the trace that fit `of`), and how."""

    place: Place
    names: str
    of: str
    how: str
    step: int


WAYS = {
    "killed": Way("main", CHANGES, STATE, KILLED, 17),
    "killed while it tells": Way("lane", NETWORK, "", KILLED, 3),
    "killed while it asks": Way("all", "connect,sendto,recvfrom", "", KILLED, 9),
    "no space from then on": Way("main", SPACE, STATE, NO_SPACE, 17),
    "one bad write": Way("main", CHANGES, STATE, BAD_DISK, 37),
    "one bad read": Way("main", READS, STATE, BAD_DISK, 37),
    "a bad line": Way("lane", NETWORK, "", BAD_DISK, 5),
    "a line that breaks": Way("lane", "connect,poll,sendto,recvfrom", "", RESET, 3),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("news", RUNS_BEFORE)
def test_news_is_neither_lost_nor_doubled_wherever_its_run_ends(
    tmp_path: Path, quick: Nursery, news: News, way: Way, record_property: Callable[[str, object], None]
) -> None:
    matrix = Matrix(tmp_path, quick, news)
    points = matrix.points(way.place, way.names, way.of)
    assert points
    # the sample is another one for each way to fail
    for point in points if WHOLE else points[len(news) % way.step :: way.step]:
        matrix.suffers(way.place, point, way.how)
    record_property("tried", f"{matrix.tried - 1} of {len(points)} points, {matrix.twice} times told again under the same id")
