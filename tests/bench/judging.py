"""How long 10,000 guests take to be judged and told, in one process: `python -m tests.bench.judging`.

Each time is told beside a floor measured in the same round: what the standard library takes to write the same guests down as JSON.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from msgspec.structs import replace

from pvectl.core.model import Guest
from pvectl.core.monitor import exposition
from pvectl.core.monitor.checks.evaluation import evaluate
from pvectl.core.monitor.lines import page
from pvectl.core.monitor.monitored import BackupVolume, GuestFacts, GuestSettings, GuestSnapshot, LockSeen, MonitorView
from tests.bench.server import rows
from tests.core.monitor.cluster import ago, known, listed, whole

GUESTS = 10_000
ROUNDS = 7


class Promise(NamedTuple):
    """`seconds` is what is promised for a machine that does nothing else, `limit` the ratio to the floor that has to hold anywhere.

    `at_worst` is that ratio where something is wrong with every guest, five things at once.
    """

    seconds: float
    limit: float
    at_worst: float


PROMISES = {"evaluation": Promise(0.3, 4.0, 9.5), "exposition": Promise(0.1, 2.5, 3.5), "page": Promise(0.1, 0.5, 1.5)}


def main() -> int:
    failed = False
    floor_of = partial(json.dumps, list(rows(GUESTS)))
    print(f"{'what':<12} {'guests are':<10} {'cpu ms':>7} {'floor ms':>8} {'ratio':>6} {'limit':>6}")
    for state, view in (("fine", crowd(bad=False)), ("all bad", crowd(bad=True))):
        evaluation = evaluate(view)
        jobs: dict[str, Callable[[], object]] = {
            "evaluation": partial(evaluate, view),
            "exposition": partial(exposition.text, evaluation),
            "page": partial(page, evaluation),
        }
        # what was there before is no matter of what is measured
        gc.collect()
        gc.freeze()
        for name, job in jobs.items():
            pairs = [(_timed(job), _timed(floor_of)) for _ in range(ROUNDS)]
            # the best of each: what else the machine does makes every time longer, and none shorter
            mine, floor = (min(times) for times in zip(*pairs, strict=True))
            ratio = mine / floor
            promise = PROMISES[name]
            limit = promise.at_worst if state == "all bad" else promise.limit
            over = ratio > limit
            verdict = "OVER" if over else "ok" if mine <= promise.seconds else f"slower than {promise.seconds:g} s"
            print(f"{name:<12} {state:<10} {mine * 1000:>7.1f} {floor * 1000:>8.1f} {ratio:>6.2f} {limit:>6.2f}  {verdict}")
            failed |= over
        print(f"{'':<12} {state:<10} {len(evaluation.findings)} findings")
    return 1 if failed else 0


def crowd(*, bad: bool, guests: int = GUESTS) -> MonitorView:
    """A cluster with many guests; the `bad` are full, stopped, locked, not backed up and kept in old snapshots, all of them."""
    view = whole()
    listed_guests = tuple(_guest(row, bad=bad) for row in rows(guests))
    facts = {one.vmid: _facts(one, bad=bad) for one in listed_guests}
    backups = tuple(
        BackupVolume(
            volid=f"nfs:backup/{one.vmid}",
            vmid=one.vmid,
            made_at=ago(days=30) if bad else ago(hours=10),
            verified="failed" if bad and one.vmid % 2 else "ok",
        )
        for one in listed_guests
    )
    storages = tuple(
        replace(one, backups=known(backups, "/nodes/pve1/storage/nfs/content", age=600)) if one.storage == "nfs" else one
        for one in view.storages
    )
    locks = {one.vmid: LockSeen(lock="backup", since=ago(days=2)) for one in listed_guests} if bad else {}
    return replace(
        view,
        resources=known(replace(listed(view), guests=listed_guests), "/cluster/resources"),
        uncovered=known(frozenset(facts) if bad else frozenset[int](), "/cluster/backup-info/not-backed-up"),
        storages=storages,
        guests=facts,
        remembered=replace(view.remembered, locks=locks),
    )


def _guest(row: dict[str, Any], *, bad: bool) -> Guest:
    keys = ("vmid", "type", "name", "status", "cpu", "maxcpu", "mem", "maxmem", "disk", "maxdisk", "uptime", "pool")
    told = {key: row[key] for key in keys}
    numbers = {key: row[key] for key in ("netin", "netout", "diskread", "diskwrite")}
    # a locked guest is no stopped one that should run: half of them are this, half that
    lock = "backup" if bad and row["vmid"] % 2 else None
    status = "stopped" if bad and not lock else row["status"]
    return Guest(
        **{**told, **numbers, "status": status},
        node=f"pve{row['vmid'] % 3 + 1}",
        tags=tuple(row["tags"].split(";")),
        template=False,
        lock=lock,
    )


def _facts(guest: Guest, *, bad: bool) -> GuestFacts:
    path = f"/nodes/{guest.node}/{guest.type}/{guest.vmid}"
    taken = (GuestSnapshot(name="before", taken_at=ago(days=60)),) if bad else ()
    return GuestFacts(
        vmid=guest.vmid,
        settings=known(GuestSettings(onboot=bad, created_at=ago(days=300)), f"{path}/config", age=600),
        snapshots=known(taken, f"{path}/snapshot", age=600),
    )


def _timed(job: Callable[[], object]) -> float:
    began = time.process_time()
    job()
    return time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
