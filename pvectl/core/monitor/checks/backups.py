"""Whether every guest is in a backup job, has a backup as young as its own schedule promises, and one that is not broken."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from pvectl.core.model import Guest, Known, Unknown
from pvectl.core.monitor.checks.backup_truth import BackupTruth, backups
from pvectl.core.monitor.checks.check import NOT_HERE, Case, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import CLUSTER, Blind, Look, blind_for
from pvectl.core.monitor.checks.settings import DAY, HOUR
from pvectl.core.monitor.finding import Evidence, Levels, Severity, Unit


def _guests(look: Look) -> Eligible[tuple[Guest, BackupTruth]]:
    yield from look.unlisted()
    truths = look.once(backups).truths
    for subject, guest in look.guests:
        yield subject, (guest, truths[guest.vmid])


def _covered(look: Look) -> Eligible[tuple[Guest, BackupTruth]]:
    """The guests that a job takes: for the others there is no promise to keep."""
    if isinstance(look.view.backup_jobs, Unknown):
        yield look.blind(CLUSTER, look.view.backup_jobs, "backup_jobs")
        return
    yield from look.unlisted()
    truths = look.once(backups).truths
    for subject, guest in look.guests:
        if (truth := truths[guest.vmid]).jobs:
            yield subject, (guest, truth)


def _uncovered(case: Case, told: tuple[Guest, BackupTruth]) -> Outcome:
    guest, truth = told
    view = case.look.view
    counted = isinstance(view.uncovered, Known) and guest.vmid in view.uncovered.value
    # PVE's own count takes disabled jobs for jobs (pve-manager PVE/API2/Cluster/BackupInfo.pm get_included_vmids)
    if counted or (isinstance(view.backup_jobs, Known) and not truth.jobs):
        evidence = case.look.once(_evidence)
        hint = "take it into a job, or tag it no-backup"
        return case.finding(Severity.WARNING, f"guest {guest.label} is in no enabled backup job", evidence=evidence, hint=hint)
    if isinstance(view.uncovered, Unknown):
        return case.blind(view.uncovered, "uncovered")
    return case.blind(view.backup_jobs, "backup_jobs") if isinstance(view.backup_jobs, Unknown) else None


def _evidence(look: Look) -> tuple[Evidence, ...]:
    return look.evidence(look.view.uncovered) + look.evidence(look.view.backup_jobs)


def _age(case: Case, told: tuple[Guest, BackupTruth]) -> Outcome:
    guest, truth = told
    look = case.look
    if truth.period is None:
        schedules = " and ".join(f"'{job.schedule}'" for job in truth.jobs)
        return Blind(subject=case.subject, reason=f"how often {schedules} is cannot be told")
    since = truth.restorable_at or _created_at(look, guest)
    levels = _in_seconds(case.levels, look.settings.thresholds.backup_floor, truth.period)
    age = None if since is None else (look.now - since).total_seconds()
    if age is not None and case.is_fine(age, levels):
        return None
    if (unread := _unread(case, truth)) is not None:
        return unread
    evidence = look.evidence(look.view.backup_jobs, "schedule")
    promise = f"every {_span(truth.period)} by {truth.promised_by}"
    if age is None:
        message = f"guest {guest.label} has no backup; one is due {promise}{_why(truth)}"
        return case.finding(Severity.WARNING, message, evidence=evidence)
    if truth.newest is None:
        message = f"guest {guest.label} was made {_span(age)} ago and has no backup; one is due {promise}{_why(truth)}"
    else:
        message = f"guest {guest.label}: {truth.told}, {_span(age)} old; a backup is due {promise}{_why(truth)}"
    return case.measured(age, message, levels=levels, evidence=evidence, since=since)


def _verify(case: Case, told: tuple[Guest, BackupTruth]) -> Outcome:
    guest, truth = told
    if truth.failed:
        latest = max((volume.made_at for volume in truth.failed if volume.made_at), default=None)
        mended = latest is not None and truth.restorable_at is not None and truth.restorable_at > latest
        count = "a backup" if len(truth.failed) == 1 else f"{len(truth.failed)} backups"
        message = f"{count} of guest {guest.label} failed verification ({truth.failed[-1].volid}); {truth.told}"
        return case.finding(Severity.WARNING if mended else Severity.CRITICAL, message, since=latest)
    if (unread := _unread(case, truth)) is not None:
        return unread
    return NOT_HERE if truth.newest is None else None


def _unread(case: Case, truth: BackupTruth) -> Blind | None:
    """Why nobody can say that there is no newer, or no broken, backup."""
    if truth.undated:
        return Blind(subject=case.subject, reason="a backup of it has no date")
    if truth.unclear is not None:
        return Blind(subject=case.subject, reason=f"the verification of a backup of it is '{truth.unclear}', which says nothing")
    unread = case.look.once(backups).unread
    return blind_for(case.subject, unread) if unread else None


def _created_at(look: Look, guest: Guest) -> datetime | None:
    settings = look.guest_facts(guest.vmid).settings
    return settings.value.created_at if isinstance(settings, Known) else None


@lru_cache(maxsize=64)
def _in_seconds(periods: Levels, floor: Levels, period: float) -> Levels:
    """Levels given in periods, as seconds, and never below the floor."""
    warn = None if periods.warn is None else max(periods.warn * period, floor.warn or 0.0)
    crit = None if periods.crit is None else max(periods.crit * period, floor.crit or 0.0)
    return Levels(warn=warn, crit=crit)


def _why(truth: BackupTruth) -> str:
    return f"; the last backup task on its node failed: {truth.failure}" if truth.failure else ""


def _span(seconds: float) -> str:
    return f"{round(seconds / HOUR)} h" if seconds < 2 * DAY else f"{round(seconds / DAY)} days"


CHECKS = (
    check(
        "backup.uncovered",
        "every guest is in a backup job",
        about="guest",
        sources=("resources", "uncovered", "backup_jobs"),
        eligible=_guests,
        examine=_uncovered,
    ),
    check(
        "backup.age",
        "backups are as young as their schedule promises",
        about="guest",
        sources=("resources", "backup_jobs", "storage-backups", "guest-settings"),
        eligible=_covered,
        examine=_age,
        unit=Unit.SECONDS,
    ),
    check(
        "backup.verify",
        "no backup failed its verification",
        about="guest",
        sources=("resources", "storage-backups"),
        eligible=_guests,
        examine=_verify,
    ),
)
