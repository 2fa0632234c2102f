"""How long 5,000 incidents take to be written down and read back, in one process: `python -m tests.bench.keeping`.

Each time is told beside a floor measured in the same round: what the standard library takes to write the same incidents as JSON into
SQLite, and to read them back.
"""

from __future__ import annotations

import gc
import json
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import msgspec

from pvectl.clock import SystemClock
from pvectl.core.alerts.incident import Records
from pvectl.store import open_to_alert, open_to_write
from pvectl.store.alerts import Alerts
from tests.store.alerting import an_incident, records_of

INCIDENTS = 5_000
ROUNDS = 7
CLUSTER = "bench"


class Promise(NamedTuple):
    """`seconds` is what is promised for a machine that does nothing else, `limit` the ratio to the floor that has to hold anywhere."""

    seconds: float
    limit: float


PROMISES = {
    "written": Promise(0.15, 1.5),
    "read back": Promise(0.1, 1.3),
    "same again": Promise(0.15, 1.6),
    "other job": Promise(0.005, 0.1),
}


def main() -> int:
    records = records_of(an_incident(number) for number in range(INCIDENTS))
    plain = json.loads(msgspec.json.encode(list(records.incidents.values())))
    pairs: dict[str, list[tuple[float, float]]] = {name: [] for name in PROMISES}
    gc.collect()
    gc.freeze()
    for _ in range(ROUNDS):
        with TemporaryDirectory(prefix="pvectl-bench-") as folder:
            for name, pair in _round(Path(folder), records, plain).items():
                pairs[name].append(pair)
    print(f"{'what':<12} {'cpu ms':>7} {'floor ms':>8} {'ratio':>6} {'limit':>6}")
    over = [_told(name, pairs[name]) for name in PROMISES]
    return 1 if any(over) else 0


def _round(folder: Path, records: Records, plain: list[dict[str, object]]) -> dict[str, tuple[float, float]]:
    directory, file = folder / "state", folder / "floor.db"
    directory.mkdir(mode=0o700)
    writing, reading = _timed(partial(_floor_written, file, plain)), _timed(partial(_floor_read, file))
    return {
        "written": (_timed(partial(_written, directory, records)), writing),
        "read back": (_timed(partial(_read, directory)), reading),
        "same again": (_timed(partial(_written, directory, records)), reading),
        "other job": (_timed(partial(_opened, directory)), reading),
    }


def _told(name: str, pairs: list[tuple[float, float]]) -> bool:
    promise = PROMISES[name]
    ratio = statistics.median(mine / floor for mine, floor in pairs)
    mine, floor = (statistics.median(times) for times in zip(*pairs, strict=True))
    over = ratio > promise.limit
    verdict = "OVER" if over else "ok" if mine <= promise.seconds else f"slower than {promise.seconds:g} s"
    print(f"{name:<12} {mine * 1000:>7.1f} {floor * 1000:>8.1f} {ratio:>6.2f} {promise.limit:>6.2f}  {verdict}")
    return over


def _written(directory: Path, records: Records) -> None:
    with open_to_alert(directory, CLUSTER, SystemClock()) as store:
        alerts = Alerts(store)
        with alerts.transaction():
            alerts.write_records(alerts.records(), records)


def _read(directory: Path) -> None:
    with open_to_alert(directory, CLUSTER, SystemClock()) as store:
        assert len(Alerts(store).records().incidents) == INCIDENTS


def _opened(directory: Path) -> None:
    """What a job pays that has nothing to do with alerts."""
    open_to_write(directory, CLUSTER, SystemClock()).close()


def _floor_written(file: Path, plain: list[dict[str, object]]) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE alerts (name INTEGER PRIMARY KEY, payload BLOB)")
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO alerts VALUES (?, ?)", ((place, json.dumps(each)) for place, each in enumerate(plain)))
        connection.execute("COMMIT")


def _floor_read(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        assert len([json.loads(payload) for (payload,) in connection.execute("SELECT payload FROM alerts")]) == INCIDENTS


def _timed(job: Callable[[], object]) -> float:
    began = time.process_time()
    job()
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
