"""Jobs that run by themselves: backups and replication."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pvectl.sim.inventory import Guest
from pvectl.sim.refusals import died
from pvectl.sim.tags import split_tags
from pvectl.sim.tasks import Pause, Task, Worker, fork

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pvectl.sim.call import Call
    from pvectl.sim.world import World

QUARTER = 900
REPLICATION_STATE = ("last_sync", "last_try", "next_sync", "fail_count", "error", "duration", "pid", "running", "last_sync_ago")
BACKUP_TAKES = 30.0
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def backup_jobs(call: Call) -> list[dict[str, Any]]:
    """GET /cluster/backup."""
    rows = [_backup_job(job, number) for number, job in enumerate(call.world.backup_jobs)]
    return [row if (due := next_run(str(row["schedule"]), call.world.now)) is None else {"next-run": due, **row} for row in rows]


def next_run(schedule: str, now: float) -> int | None:
    """When a schedule such as "21:00" or "mon..fri 21:00" is due next in UTC, counted from now (pve-manager PVE/API2/Backup.pm).

    Of calendar events only these are known here; for the others a scenario says `next-run` itself.
    """
    found = re.fullmatch(r"(?:([a-z.,]+)\s+)?([0-9]{1,2}):([0-9]{2})", schedule.lower())
    if found is None:
        return None
    days = _days(found[1] or "mon..sun")
    moment = datetime.fromtimestamp(now, UTC).replace(hour=int(found[2]), minute=int(found[3]), second=0, microsecond=0)
    due = (moment + timedelta(days=later) for later in range(9))
    return next((int(day.timestamp()) for day in due if day.timestamp() > now and day.weekday() in days), None)


def _days(text: str) -> set[int]:
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("..")
        if first not in WEEKDAYS or (last or first) not in WEEKDAYS:
            return set()
        begin, end = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
        days |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return days


def not_backed_up(call: Call) -> list[dict[str, Any]]:
    """GET /cluster/backup-info/not-backed-up: guests no job covers, as far as the caller may audit them."""
    world = call.world
    covered = {vmid for job in world.backup_jobs for vmid in _covered(world, job)}
    sees = world.access.sees_guest(call.who, "VM.Audit")
    return [
        {"vmid": guest.vmid, "type": guest.type, **({"name": guest.name} if {"name", "hostname"} & guest.config.keys() else {})}
        for guest in world.guests.values()
        if guest.vmid not in covered and sees(guest.vmid)
    ]


def back_up(call: Call) -> str:
    """POST /nodes/N/vzdump: the guests are locked while it runs."""
    world, params = call.world, call.params
    wanted = [int(vmid) for vmid in split_tags(str(params.get("vmid", "")))]
    for vmid in wanted:
        call.require(f"/vms/{vmid}", "VM.Backup")
    guests = [guest for guest in world.guests_on(call.node) if guest.vmid in wanted or params.get("all")]
    subject = str(wanted[0]) if len(wanted) == 1 else ""
    return fork(world, call.node, "vzdump", subject, call.who, backing_up(world, guests)).upid


def backing_up(world: World, guests: list[Guest]) -> Callable[[Task], Worker]:
    """What a vzdump worker does, half a minute per guest."""

    def work(task: Task) -> Worker:
        for guest in guests:
            task.lines.append(f"INFO: Starting Backup of VM {guest.vmid} ({guest.type})")
            if guest.lock is not None:
                task.lines.append(
                    f"ERROR: Backup of VM {guest.vmid} failed - {'VM' if guest.type == 'qemu' else 'CT'} is locked ({guest.lock})"
                )
                continue
            guest.config["lock"] = "backup"
            try:
                yield Pause(world.now + BACKUP_TAKES)
            finally:
                guest.config.pop("lock", None)
            task.lines.append(f"INFO: Finished Backup of VM {guest.vmid} (00:00:{int(BACKUP_TAKES)})")

    return work


def replication_jobs(call: Call) -> list[dict[str, Any]]:
    """GET /cluster/replication: the configuration of every job the caller may audit the guest of."""
    sees = call.world.access.sees_guest(call.who, "VM.Audit")
    return [_replication_config(call.world, job) for job in call.world.replication if sees(_guest_of(job))]


def replication_job(call: Call) -> dict[str, Any]:
    """GET /cluster/replication/ID."""
    for job in call.world.replication:
        if job["id"] == call.params["id"] and call.holds(f"/vms/{_guest_of(job)}", "VM.Audit"):
            return {**_replication_config(call.world, job), "digest": hashlib.sha1(repr(job).encode(), usedforsecurity=False).hexdigest()}
    raise died(f"no such replication job '{call.params['id']}'")


def node_replication(call: Call) -> list[dict[str, Any]]:
    """GET /nodes/N/replication: jobs whose guest lives here, with how they fare."""
    world, now = call.world, int(call.world.now)
    sees = world.access.sees_guest(call.who, "VM.Audit")
    rows = []
    for job in world.replication:
        vmid = _guest_of(job)
        guest = world.guests.get(vmid)
        if guest is None or guest.node != call.node or not sees(vmid) or call.params.get("guest", vmid) != vmid:
            continue
        last = int(job["last_sync"]) if "last_sync" in job else now - int(job.get("last_sync_ago", now % QUARTER))
        row = {
            **_replication_config(world, job),
            "vmtype": guest.type,
            "last_sync": last,
            "last_try": int(job.get("last_try", last)),
            "next_sync": int(job.get("next_sync", now - now % QUARTER + QUARTER)),
            "fail_count": int(job.get("fail_count", 0)),
            "duration": float(job.get("duration", 4.2)),
        }
        if job.get("error"):
            row["error"] = job["error"]
        if job.get("running") or "pid" in job:
            row["pid"] = int(job.get("pid", 4711))
        rows.append(row)
    return rows


def _backup_job(job: Mapping[str, Any], number: int) -> dict[str, Any]:
    defaults = {
        "id": f"backup-{number:08x}-0000",
        "type": "vzdump",
        "enabled": 1,
        "schedule": "21:00",
        "storage": "local",
        "mode": "snapshot",
    }
    row = {**defaults, **job}
    for key in ("vmid", "exclude"):
        if isinstance(row.get(key), (list, tuple)):
            row[key] = ",".join(str(vmid) for vmid in row[key])
        elif isinstance(row.get(key), int):
            row[key] = str(row[key])
    return row


def _covered(world: World, job: Mapping[str, Any]) -> set[int]:
    row = _backup_job(job, 0)
    named = {int(vmid) for vmid in split_tags(row.get("vmid", ""))}
    if row.get("pool"):
        named |= set(world.access.pools.get(row["pool"], ()))
    if row.get("all"):
        named |= set(world.guests) - {int(vmid) for vmid in split_tags(row.get("exclude", ""))}
    return {vmid for vmid in named if vmid in world.guests and row.get("node") in (None, world.guests[vmid].node)}


def _guest_of(job: Mapping[str, Any]) -> int:
    return int(job["guest"]) if "guest" in job else int(str(job["id"]).partition("-")[0])


def _replication_config(world: World, job: Mapping[str, Any]) -> dict[str, Any]:
    vmid = _guest_of(job)
    guest = world.guests.get(vmid)
    defaults = {"type": "local", "schedule": "*/15", "guest": vmid, "jobnum": int(str(job["id"]).partition("-")[2] or 0)}
    row = {**defaults, **{key: value for key, value in job.items() if key not in REPLICATION_STATE}}
    if guest is not None:
        row.setdefault("source", guest.node)
    return row
