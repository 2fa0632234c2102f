"""How long 5,000 open incidents take to be judged and written down, in one process: `python -m tests.bench.alerting`.

It is the one transaction of a run, in a state file on this machine's disk. Each time is told beside a floor measured in the same round:
what the standard library takes to write as many guests down as JSON.
"""

from __future__ import annotations

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from pvectl.cli.alerts.run import _Look
from pvectl.cli.context import Run
from pvectl.clock import SystemClock
from pvectl.config.load import load_jobs
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.finding import Severity
from pvectl.core.secret import Secret
from pvectl.pve.transport import Connection, Trust
from tests.bench.server import rows
from tests.core.alerts.runs import bad, saw

INCIDENTS = 5_000
ROUNDS = 7


class Promise(NamedTuple):
    """`seconds` is what is promised for a machine that does nothing else, `limit` the ratio to the floor that has to hold anywhere."""

    seconds: float
    limit: float


PROMISES = {"all are new": Promise(0.3, 11.0), "all as before": Promise(0.3, 8.0), "all are worse": Promise(0.3, 19.0)}
"""That all of them get worse at once makes as many messages, of which the outbox then makes one."""
PVECTL = "alert: {receivers: {mail: {type: sendmail}}, rules: [{for: 0, keep_firing_for: 0}]}\n"


class Given(SystemClock):
    at = datetime(2026, 12, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


def main() -> int:
    names = [f"disk/pve{number % 8}/{number}" for number in range(INCIDENTS)]
    at_first = saw(*(bad(object=name, severity=Severity.WARNING) for name in names))
    worse = saw(*(bad(object=name) for name in names))
    floor_of = partial(json.dumps, list(rows(INCIDENTS)))
    failed = False
    print(f"{'what':<14} {'wall ms':>8} {'cpu ms':>7} {'floor ms':>8} {'ratio':>6} {'limit':>6}")
    times: dict[str, list[tuple[float, float, float]]] = {name: [] for name in PROMISES}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            desk = Desk(Path(folder))
            # the history of one round is no matter of the next
            gc.collect()
            for name, evaluation in (("all are new", at_first), ("all as before", at_first), ("all are worse", worse)):
                wall, cpu = desk.run(evaluation)
                times[name].append((wall, cpu, _timed(floor_of)))
    for name, promise in PROMISES.items():
        wall, cpu, floor = (statistics.median(each) for each in zip(*times[name], strict=True))
        ratio = statistics.median(mine / base for _, mine, base in times[name])
        over = ratio > promise.limit
        verdict = "OVER" if over else "ok" if wall <= promise.seconds else f"slower than {promise.seconds:g} s"
        print(f"{name:<14} {wall * 1000:>8.1f} {cpu * 1000:>7.1f} {floor * 1000:>8.1f} {ratio:>6.2f} {promise.limit:>6.2f}  {verdict}")
        failed |= over
    return 1 if failed else 0


class Desk:
    """Runs of the alerts, one after the other, whose look at the cluster is given."""

    def __init__(self, folder: Path) -> None:
        (folder / "config").mkdir(mode=0o700)
        (folder / "config" / "pvectl.yml").write_text(PVECTL, encoding="ascii")
        self._jobs = load_jobs(folder / "config")
        self._env = {"PVECTL_STATE_DIR": str(folder / "state"), "HOME": str(folder)}
        self._clock = Given()
        (folder / "state").mkdir(mode=0o700)

    def run(self, evaluation: Evaluation) -> tuple[float, float]:
        """The seconds and the seconds of a processor it takes to judge and to write down."""
        self._clock.at += timedelta(seconds=300)
        connection = Connection(cluster="bench", hosts=("127.0.0.1",), token_id="a@pve!b", token=Secret("x"), trust=Trust())
        run = Run(env=self._env, clock=self._clock, connection=connection, jobs=self._jobs)
        try:
            look = _Look(run, self._jobs.alert, run.store("alert"))
            seen = replace(evaluation, taken_at=self._clock.at)
            wall, cpu = time.perf_counter(), time.process_time()
            look._written(seen)
            return time.perf_counter() - wall, time.process_time() - cpu
        finally:
            run.close()


def _timed(job: Callable[[], object]) -> float:
    began = time.process_time()
    job()
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
