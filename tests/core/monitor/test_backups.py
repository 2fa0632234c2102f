"""Backup truth: job, schedule, backups, verification and left-out disks of one guest, joined."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from pvectl.core.model import Unknown
from pvectl.core.monitor.checks.backup_truth import BackupTruth, backups
from pvectl.core.monitor.checks.evaluation import evaluate
from pvectl.core.monitor.checks.look import Look
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.data import data
from pvectl.core.monitor.monitored import BackupJob, BackupVolume, GuestDisk, GuestSettings, MonitorView
from tests.core.monitor import troubles
from tests.core.monitor.cluster import NOW, ago, changed_guest, found, judged, known, listing, relisted, task
from tests.core.monitor.troubles import WHOLE, backup

NIGHTLY = BackupJob(id="nightly", schedule="02:00", all=True)
HUNG = Unknown(reason="the node did not answer")


def jobs(*given: BackupJob, view: MonitorView = WHOLE) -> MonitorView:
    return replace(view, backup_jobs=known(given, "/cluster/backup"))


def truth(view: MonitorView, vmid: int = 100) -> BackupTruth:
    return Look(view, MonitorSettings()).once(backups).truths[vmid]


def test_the_truth_in_one_sentence() -> None:
    made = BackupVolume(volid="pbs:b", vmid=100, made_at=datetime(2026, 11, 17, 2, 10, tzinfo=UTC), verified="ok")
    settings = GuestSettings(onboot=True, disks=(GuestDisk(key="scsi0"), GuestDisk(key="scsi1", backup=False)))
    view = changed_guest(troubles.backups(made), settings=known(settings, "x"))

    assert truth(view).told == "restorable point from Tue 2026-11-17 02:10 UTC on nfs, verified, without scsi1"
    assert truth(troubles.backups()).told == "no restorable point"
    assert truth(troubles.backups(replace(made, verified=None))).told == "restorable point from Tue 2026-11-17 02:10 UTC on nfs"
    assert truth(changed_guest(WHOLE, settings=HUNG)).excluded is None


@pytest.mark.parametrize(
    ("job", "covered"),
    [
        (NIGHTLY, True),
        (replace(NIGHTLY, enabled=False), False),
        (replace(NIGHTLY, exclude=frozenset({101})), False),
        (replace(NIGHTLY, all=False), False),
        (replace(NIGHTLY, all=False, vmids=frozenset({101})), True),
        (replace(NIGHTLY, all=False, vmids=frozenset({102})), False),
        (replace(NIGHTLY, all=False, pool="core"), True),
        (replace(NIGHTLY, all=False, pool="lab"), False),
        (replace(NIGHTLY, node="pve1"), True),
        (replace(NIGHTLY, node="pve2"), False),
    ],
)
def test_a_job_takes_the_guests_pve_would_take(job: BackupJob, covered: bool) -> None:
    assert (judged(jobs(job), "backup.uncovered", "guest/101") == "ok") is covered


@pytest.mark.parametrize(
    ("schedule", "hours", "severity"),
    [
        # a day and a half, but never less than 26 h; three days, but never less than 50 h
        ("02:00", 36, "ok"),
        ("02:00", 36.1, "warning"),
        ("02:00", 72, "warning"),
        ("02:00", 72.1, "critical"),
        ("hourly", 26, "ok"),
        ("hourly", 26.1, "warning"),
        ("hourly", 50.1, "critical"),
        ("sat 02:00", 1.5 * 168, "ok"),
        ("sat 02:00", 1.5 * 168 + 0.1, "warning"),
        # over a weekend nothing is due
        ("mon..fri 02:00", 100, "ok"),
        ("when it suits", 1, "unknown"),
        (None, 1, "unknown"),
    ],
)
def test_a_backup_is_old_by_its_own_schedule(schedule: str | None, hours: float, severity: str) -> None:
    view = jobs(replace(NIGHTLY, schedule=schedule), view=troubles.backups(backup(hours)))

    assert judged(view, "backup.age", "guest/100") == severity


def test_of_several_jobs_the_most_frequent_promises() -> None:
    weekly = BackupJob(id="weekly", schedule="sat 02:00", all=True)
    view = jobs(NIGHTLY, weekly, view=troubles.backups(backup(40)))

    assert judged(view, "backup.age", "guest/100") == "warning"
    assert found(view, "backup.age", "guest/100").message.endswith("40 h old; a backup is due every 24 h by nightly and weekly")
    odd = jobs(NIGHTLY, replace(weekly, schedule="sometimes"), view=troubles.backups(backup(1)))
    assert judged(odd, "backup.age", "guest/100") == "unknown"


def test_a_guest_no_job_takes_has_no_promise_to_be_held_to() -> None:
    view = jobs(replace(NIGHTLY, exclude=frozenset({100})), view=troubles.backups())

    assert judged(view, "backup.age", "guest/100") is None
    assert judged(view, "backup.uncovered", "guest/100") == "warning"


@pytest.mark.parametrize(("created", "severity"), [(ago(hours=30), "ok"), (ago(hours=37), "warning"), (None, "warning")])
def test_a_new_guest_gets_the_time_of_one_backup(created: datetime | None, severity: str) -> None:
    view = changed_guest(troubles.backups(), settings=known(GuestSettings(onboot=True, created_at=created), "x"))

    assert judged(view, "backup.age", "guest/100") == severity


def test_a_young_backup_is_enough_even_when_other_storages_are_dark() -> None:
    other = replace(WHOLE.storages[0], storage="pbs", shared=True)
    view = replace(WHOLE, storages=(*WHOLE.storages, other))
    assert not isinstance(view.resources, Unknown)
    pbs = replace(view.resources.value.storages[-1], storage="pbs")
    view = listing(view, storages=(*view.resources.value.storages, pbs))

    assert judged(view, "backup.age", "guest/100") == "ok"
    old = replace(view, storages=(*troubles.backups(backup(90)).storages, other))
    assert judged(old, "backup.age", "guest/100") == "unknown"
    assert judged(view, "backup.verify", "guest/100") == "unknown"


def test_a_storage_with_backups_that_nobody_asked_is_dark() -> None:
    view = replace(WHOLE, storages=())

    assert judged(view, "backup.verify", "guest/100") == "unknown"
    assert any(each.id == "self.coverage/storage/nfs" for each in evaluate(view).findings)


def test_a_broken_backup_is_worse_without_a_newer_good_one() -> None:
    broken, good = backup(10, verified="failed"), backup(34)

    assert judged(troubles.backups(broken, good), "backup.verify", "guest/100") == "critical"
    assert judged(troubles.backups(replace(broken, made_at=ago(hours=50)), good), "backup.verify", "guest/100") == "warning"
    assert judged(troubles.backups(good), "backup.verify", "guest/100") == "ok"
    assert judged(troubles.backups(), "backup.verify", "guest/100") is None
    two = troubles.backups(broken, replace(broken, made_at=ago(hours=60)))
    assert "2 backups of guest 100 (web) failed verification" in found(two, "backup.verify", "guest/100").message
    assert "no restorable point" in found(two, "backup.verify", "guest/100").message


def test_a_broken_backup_restores_nothing() -> None:
    view = troubles.backups(backup(1, verified="failed"), backup(100))

    assert judged(view, "backup.age", "guest/100") == "critical"


def test_backups_of_guests_that_are_gone_are_nobodys_business() -> None:
    view = troubles.backups(*(backup(10, vmid=vmid) for vmid in (100, 101, 200)), backup(9000, vmid=777, verified="failed"))

    assert not [each for each in evaluate(view).findings if "777" in each.object]


def test_a_guest_tagged_no_backup_is_left_out() -> None:
    view = relisted(replace(troubles.backups(), uncovered=known(frozenset({100}), "x")), tags=("No-Backup",))

    assert {judged(view, check, "guest/100") for check in ("backup.uncovered", "backup.age", "backup.verify")} == {None}


def test_backups_without_a_date_or_an_owner_prove_nothing() -> None:
    undated = BackupVolume(volid="nfs:b", vmid=100)
    view = troubles.backups(undated, backup(90))
    assert judged(view, "backup.age", "guest/100") == "unknown"
    assert judged(view, "backup.verify", "guest/100") == "unknown"

    nobodys = troubles.backups(BackupVolume(volid="nfs:b", made_at=NOW - timedelta(hours=1)))
    assert judged(nobodys, "backup.verify", "guest/100") == "unknown"


def test_a_verification_that_nobody_understands_proves_nothing() -> None:
    view = troubles.backups(troubles.backup(5, verified="pending"), troubles.backup(40))

    assert judged(view, "backup.verify", "guest/100") == "unknown"
    assert judged(view, "backup.age", "guest/100") == "unknown"
    assert judged(troubles.backups(troubles.backup(5, verified=None)), "backup.verify", "guest/100") == "ok"


@pytest.mark.parametrize(
    ("whom", "status", "hours_ago", "told"),
    [
        ("", "job errors", 20, "; the last backup task on its node failed: job errors"),
        ("100", "no space left", 20, "; the last backup task on its node failed: no space left"),
        ("101", "no space left", 20, ""),
        ("", "OK", 20, ""),
        ("", "WARNINGS: 1", 20, ""),
        # the backup there is was made after it
        ("", "job errors", 60, ""),
    ],
)
def test_a_backup_that_is_too_old_says_how_the_last_run_ended(whom: str, status: str, hours_ago: float, told: str) -> None:
    ran = task("pve1", "vzdump", whom, status=status, started=hours_ago * 3600, ended=hours_ago * 3600 - 60)
    elsewhere = task("pve1", "qmstart", "100", status="got timeout")
    view = replace(troubles.backups(backup(40)), nodes=troubles.tasks(ran, elsewhere).nodes)

    assert found(view, "backup.age", "guest/100").message.endswith(f"a backup is due every 24 h by backup-nightly{told}")


def test_of_two_runs_the_later_one_counts() -> None:
    job = task("pve1", "vzdump", status="job errors", started=9000, ended=8000)
    again = task("pve1", "vzdump", "100", started=5000, ended=4000)
    earlier = task("pve1", "vzdump", "100", started=20000, ended=19000, status="got timeout")
    view = replace(troubles.backups(backup(40)), nodes=troubles.tasks(job, again, earlier).nodes)

    assert truth(view).run == again
    assert truth(view).failure is None
    assert truth(view, 101).run == job
    told = next(each for each in data(evaluate(view)).guests if each.vmid == 100).backup
    assert told is not None
    assert (told.last_run_status, told.last_run_at) == ("OK", NOW - timedelta(seconds=5000))
