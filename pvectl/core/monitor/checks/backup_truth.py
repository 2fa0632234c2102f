"""To which point each guest could be restored: its job's schedule, how its last run ended, the backups, their verification, their gaps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import Struct

from pvectl.core.evidence import Task
from pvectl.core.model import Guest, Known, Unknown
from pvectl.core.monitor.checks.cadence import longest_gap
from pvectl.core.monitor.checks.look import Look, Missing
from pvectl.core.monitor.checks.tasks import BACKUP, failed
from pvectl.core.monitor.finding import Subject
from pvectl.core.monitor.monitored import NOT_ASKED, BackupJob, BackupVolume

FAILED = "failed"
_GOOD = "ok"
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class BackupTruth(Struct, frozen=True, kw_only=True, gc=False):
    """What can be said about one guest's backups.

    `newest` is the newest backup that did not fail its verification, on `storage`. `period` is how far apart its most frequent job's runs
    are at most, None where the schedule of one of its jobs is not understood; `promised_by` names those jobs. `excluded` are the disks a
    backup leaves out; None: not known. `undated`: there are backups of it that do not tell their date; `unclear`: the verification of one
    is a word nobody knows. `run` is the last backup task on its node that may have been about it, as far as tasks are told
    (`pvectl.core.monitor.task_cursor`).
    """

    vmid: int
    jobs: tuple[BackupJob, ...] = ()
    period: float | None = None
    promised_by: str = ""
    newest: BackupVolume | None = None
    storage: str | None = None
    failed: tuple[BackupVolume, ...] = ()
    excluded: tuple[str, ...] | None = None
    undated: bool = False
    unclear: str | None = None
    run: Task | None = None

    @property
    def restorable_at(self) -> datetime | None:
        """The moment the newest good backup brings back."""
        return self.newest.made_at if self.newest else None

    @property
    def told(self) -> str:
        """In words: "restorable point from Tue 2026-11-17 02:10 UTC on pbs, verified, without scsi1"."""
        if self.newest is None or self.newest.made_at is None:
            return "no restorable point"
        made_at, verified = self.newest.made_at, self.newest.verified
        how = "" if verified is None else ", verified"
        without = f", without {' and '.join(self.excluded)}" if self.excluded else ""
        # not by strftime, nor with the time zone, which take longer than all the rest
        day, date, moment = _DAYS[made_at.weekday()], made_at.date().isoformat(), made_at.time().isoformat("minutes")
        return f"restorable point from {day} {date} {moment} UTC on {self.storage}{how}{without}"

    @property
    def failure(self) -> str | None:
        """How the last backup task ended, if it failed and there is no backup from then on."""
        if self.run is None or not failed(self.run):
            return None
        made_at = self.restorable_at
        return self.run.status if made_at is None or made_at.timestamp() < self.run.started else None


class _Promise(Struct, frozen=True):
    """What is alike for all guests that the same jobs take."""

    jobs: tuple[BackupJob, ...]
    period: float | None
    by: str


class Backups(Struct, frozen=True, kw_only=True):
    """All guests' backups, and `unread`: the storages that may hold others, but could not be read."""

    truths: Mapping[int, BackupTruth]
    unread: tuple[Missing, ...]


def backups(look: Look) -> Backups:
    """The truth about every guest on the list; get it by `look.once(backups)`."""
    told = look.view.backup_jobs
    jobs = tuple(job for job in told.value if job.enabled) if isinstance(told, Known) else ()
    newest, broken, undated, unclear = _sorted_out(look)
    runs = _runs(look)
    promises: dict[tuple[bool, ...], _Promise] = {}
    truths = {}
    for subject, guest in look.guests:
        taken = tuple([_covers(job, subject, guest) for job in jobs])
        if (promise := promises.get(taken)) is None:
            promise = promises[taken] = _promise([job for job, covers in zip(jobs, taken, strict=True) if covers])
        where, volume = newest.get(guest.vmid, (None, None))
        settings = look.guest_facts(guest.vmid).settings
        truths[guest.vmid] = BackupTruth(
            vmid=guest.vmid,
            jobs=promise.jobs,
            period=promise.period,
            promised_by=promise.by,
            newest=volume,
            storage=where,
            failed=broken.get(guest.vmid, ()),
            excluded=tuple([disk.key for disk in settings.value.disks if not disk.backup]) if isinstance(settings, Known) else None,
            undated=guest.vmid in undated,
            unclear=unclear.get(guest.vmid),
            run=_later(runs.get((guest.node, guest.vmid)), runs.get((guest.node, None))) if runs else None,
        )
    return Backups(truths=truths, unread=tuple(_unread(look)))


def _sorted_out(
    look: Look,
) -> tuple[dict[int, tuple[str, BackupVolume]], dict[int, tuple[BackupVolume, ...]], set[int], dict[int, str]]:
    """By vmid: the newest good backup and its storage, the broken ones, who has some without a date, and with what odd verification."""
    newest: dict[int, tuple[str, BackupVolume]] = {}
    broken: dict[int, tuple[BackupVolume, ...]] = {}
    latest: dict[int, datetime] = {}
    undated: set[int] = set()
    unclear: dict[int, str] = {}
    for facts in look.view.storages:
        for volume in facts.backups.value if isinstance(facts.backups, Known) else ():
            vmid, made_at = volume.vmid, volume.made_at
            if vmid is None:
                continue
            if made_at is None:
                undated.add(vmid)
            elif volume.verified == FAILED:
                broken[vmid] = (*broken.get(vmid, ()), volume)
            elif volume.verified is not None and volume.verified != _GOOD:
                unclear[vmid] = volume.verified
            elif vmid not in latest or made_at > latest[vmid]:
                latest[vmid] = made_at
                newest[vmid] = (facts.storage, volume)
    return newest, broken, undated, unclear


def _runs(look: Look) -> dict[tuple[str, int | None], Task]:
    """The last backup task of each node and guest; that of a job names no guest."""
    found: dict[tuple[str, int | None], Task] = {}
    for facts in look.view.nodes:
        for task in facts.tasks.value.ended if isinstance(facts.tasks, Known) else ():
            if task.type == BACKUP:
                key = facts.name, int(task.id) if task.id.isdecimal() else None
                found[key] = _later(found.get(key), task) or task
    return found


def _later(one: Task | None, other: Task | None) -> Task | None:
    return max((task for task in (one, other) if task is not None), key=lambda task: task.started, default=None)


def _covers(job: BackupJob, subject: Subject, guest: Guest) -> bool:
    """As PVE chooses: by pool, else by vmid, else all but those left out (pve-manager PVE/VZDump.pm get_included_guests)."""
    if job.node is not None and job.node != guest.node:
        return False
    if job.pool is not None:
        return job.pool == subject.pool
    return guest.vmid in job.vmids if job.vmids else job.all and guest.vmid not in job.exclude


def _promise(jobs: list[BackupJob]) -> _Promise:
    periods = [longest_gap(job.schedule) if job.schedule else None for job in jobs]
    known = [period for period in periods if period is not None]
    period = min(known) if known and len(known) == len(periods) else None
    return _Promise(tuple(jobs), period, " and ".join(job.id for job in jobs))


def _unread(look: Look) -> Iterable[Missing]:
    for subject, rows in look.storages:
        if rows[0].content is not None and "backup" not in rows[0].content:
            continue
        facts = look.storage_facts.get(subject.object)
        told = facts.backups if facts is not None else NOT_ASKED
        if isinstance(told, Unknown):
            yield Missing(source="storage-backups", of=subject.object, reason=told.reason)
        elif told.value and all(volume.vmid is None for volume in told.value):
            yield Missing(source="storage-backups", of=subject.object, reason="it does not tell whose backups they are")
