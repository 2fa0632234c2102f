"""To which point each guest could be restored: its job's schedule, the backups there are, their verification, the disks left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec import Struct

from pvectl.core.model import Guest, Known, Unknown
from pvectl.core.monitor.checks.cadence import longest_gap
from pvectl.core.monitor.checks.look import Look, Missing
from pvectl.core.monitor.finding import Subject
from pvectl.core.monitor.monitored import NOT_ASKED, BackupJob, BackupVolume

FAILED = "failed"


class BackupTruth(Struct, frozen=True, kw_only=True):
    """What can be said about one guest's backups.

    `newest` is the newest backup that did not fail its verification, on `storage`. `period` is how far apart its most frequent job's runs
    are at most, None where the schedule of one of its jobs is not understood. `excluded` are the disks a backup leaves out; None: not
    known. `undated`: there are backups of it that do not tell their date.
    """

    vmid: int
    jobs: tuple[BackupJob, ...] = ()
    period: float | None = None
    newest: BackupVolume | None = None
    storage: str | None = None
    failed: tuple[BackupVolume, ...] = ()
    excluded: tuple[str, ...] | None = None
    undated: bool = False

    @property
    def restorable_at(self) -> datetime | None:
        """The moment the newest good backup brings back."""
        return self.newest.made_at if self.newest else None

    @property
    def told(self) -> str:
        """In words: "restorable point from Tue 2026-11-17 02:10 UTC on pbs, verified, without scsi1"."""
        if self.newest is None or self.newest.made_at is None:
            return "no restorable point"
        verified = {"ok": ", verified", None: ""}.get(self.newest.verified, f", verification {self.newest.verified}")
        without = f", without {' and '.join(self.excluded)}" if self.excluded else ""
        return f"restorable point from {self.newest.made_at:%a %Y-%m-%d %H:%M} UTC on {self.storage}{verified}{without}"


class Backups(Struct, frozen=True, kw_only=True):
    """All guests' backups, and `unread`: the storages that may hold others, but could not be read."""

    truths: Mapping[int, BackupTruth]
    unread: tuple[Missing, ...]


def backups(look: Look) -> Backups:
    """The truth about every guest on the list; get it by `look.once(backups)`."""
    told = look.view.backup_jobs
    jobs = tuple(job for job in told.value if job.enabled) if isinstance(told, Known) else ()
    newest, failed, undated = _sorted_out(look)
    periods: dict[tuple[BackupJob, ...], float | None] = {}
    truths = {}
    for subject, guest in look.guests:
        covering = _covering(jobs, subject, guest)
        if covering not in periods:
            periods[covering] = _period(covering)
        where, volume = newest.get(guest.vmid, (None, None))
        settings = look.guest_facts(guest.vmid).settings
        truths[guest.vmid] = BackupTruth(
            vmid=guest.vmid,
            jobs=covering,
            period=periods[covering],
            newest=volume,
            storage=where,
            failed=failed.get(guest.vmid, ()),
            excluded=tuple(disk.key for disk in settings.value.disks if not disk.backup) if isinstance(settings, Known) else None,
            undated=guest.vmid in undated,
        )
    return Backups(truths=truths, unread=tuple(_unread(look)))


def _sorted_out(look: Look) -> tuple[dict[int, tuple[str, BackupVolume]], dict[int, tuple[BackupVolume, ...]], set[int]]:
    """By vmid: the newest good backup and its storage, the broken ones, and who has some without a date."""
    newest: dict[int, tuple[str, BackupVolume]] = {}
    failed: dict[int, tuple[BackupVolume, ...]] = {}
    latest: dict[int, datetime] = {}
    undated: set[int] = set()
    for facts in look.view.storages:
        for volume in facts.backups.value if isinstance(facts.backups, Known) else ():
            vmid, made_at = volume.vmid, volume.made_at
            if vmid is None:
                continue
            if made_at is None:
                undated.add(vmid)
            elif volume.verified == FAILED:
                failed[vmid] = (*failed.get(vmid, ()), volume)
            elif vmid not in latest or made_at > latest[vmid]:
                latest[vmid] = made_at
                newest[vmid] = (facts.storage, volume)
    return newest, failed, undated


def _covering(jobs: tuple[BackupJob, ...], subject: Subject, guest: Guest) -> tuple[BackupJob, ...]:
    if len(jobs) == 1:
        # the usual case, and a tuple that need not be made anew for every guest
        return jobs if _covers(jobs[0], subject, guest) else ()
    return tuple([job for job in jobs if _covers(job, subject, guest)])


def _covers(job: BackupJob, subject: Subject, guest: Guest) -> bool:
    """As PVE chooses: by pool, else by vmid, else all but those left out (pve-manager PVE/VZDump.pm get_included_guests)."""
    if job.node is not None and job.node != guest.node:
        return False
    if job.pool is not None:
        return job.pool == subject.pool
    return guest.vmid in job.vmids if job.vmids else job.all and guest.vmid not in job.exclude


def _period(jobs: tuple[BackupJob, ...]) -> float | None:
    periods = [longest_gap(job.schedule) if job.schedule else None for job in jobs]
    known = [period for period in periods if period is not None]
    return min(known) if known and len(known) == len(periods) else None


def _unread(look: Look) -> Iterable[Missing]:
    for subject, rows in look.storages:
        if "backup" not in rows[0].content:
            continue
        facts = look.storage_facts.get(subject.object)
        told = facts.backups if facts is not None else NOT_ASKED
        if isinstance(told, Unknown):
            yield Missing(source="storage-backups", of=subject.object, reason=told.reason)
        elif told.value and all(volume.vmid is None for volume in told.value):
            yield Missing(source="storage-backups", of=subject.object, reason="it does not tell whose backups they are")
