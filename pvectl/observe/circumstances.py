"""What the answers about the cluster mean for one of its nodes: members, moves, jobs, Ceph, storages others need."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from pvectl.core.evidence import BackupJob, CephService, Fact, Member, ReplicationJob, ServedStorage, Task, TaskHistory
from pvectl.core.model import BlindSpot, Guest, Known, Unknown

if TYPE_CHECKING:
    from pvectl.core.permits import Rights
    from pvectl.observe.glance import Glance
    from pvectl.pve.answers import CephDaemon, CorosyncNode, Replication, StorageConfig, VzdumpJob

T = TypeVar("T")
R = TypeVar("R")

_NEVER_ROTATED = 40_000
"""Bytes: a node's task log is rotated when it has grown to 50,000, and one such file is kept (pve-common PVE/RESTEnvironment.pm)."""
_BESIDE = len(" 6B033044 \n")
_MOVES = frozenset({"qmigrate", "vzmigrate", "hamigrate", "migrateall"})
_LATEST = 2**37
_ON_THE_NODE = frozenset({"dir", "lvm", "lvmthin", "zfspool", "btrfs"})
"""Types of storage that come from the disks of the node that uses them."""


def derived(fact: Fact[T], value: Callable[[T], R]) -> Fact[R]:
    """A fact that follows from another; with that one unknown, so is this."""
    if isinstance(fact, Unknown):
        return fact
    return Known(value=value(fact.value), source=fact.source, taken_at=fact.taken_at)


def only_with(rights: Mapping[str, Rights | Unknown], path: str, privilege: str, fact: Fact[T]) -> Fact[T]:
    """The fact, if the token holds what PVE would otherwise filter it by without a word."""
    if isinstance(fact, Unknown):
        return fact
    held = rights.get(path, Unknown(reason="nobody asked"))
    if isinstance(held, Unknown):
        return Unknown(reason=f"whether the token holds {privilege} on {path} could not be read: {held.reason}", source=fact.source)
    if privilege not in held:
        return Unknown(reason=f"the token or its user lacks {privilege} on {path}", source=fact.source)
    return fact


def members(seen: Glance, corosync: Fact[tuple[CorosyncNode, ...]]) -> Fact[tuple[Member, ...]]:
    """Everybody of the cluster with the votes corosync gives them."""
    found = seen.members()
    if isinstance(found, Unknown):
        return found
    if isinstance(corosync, Unknown):
        return corosync
    votes = {node.name: node.votes for node in corosync.value}
    if unseen := sorted(votes.keys() - {member.name for member in found}):
        # its votes would be missing from those that are needed
        return Unknown(reason=f"corosync knows a node {unseen[0]} that the cluster's status does not list", source=corosync.source)
    counted = tuple(replace(member, votes=votes.get(member.name)) for member in found)
    return Known(value=counted, source=corosync.source, taken_at=seen.taken_at)


def history(tasks: tuple[Task, ...], limit: int) -> TaskHistory:
    """A node's task list that was asked for with this limit, and how far back nothing is missing from it.

    The ended ones come in the order of their ends, not of their starts: what is not listed ended before the last of them, and so had
    started by then. Nothing is missing from a list that is shorter than the limit, when it is so small that the log was never rotated.
    """
    written = sum(len(task.upid) + len((task.status or "").encode()) + _BESIDE for task in tasks)
    if len(tasks) < limit and written < _NEVER_ROTATED:
        return TaskHistory(tasks=tasks, reaches_back_to=0)
    last = tasks[-1] if tasks else None
    ended = last.ended if last is not None else None
    since = ended if ended is not None else max((task.started for task in tasks), default=0)
    return TaskHistory(tasks=tasks, reaches_back_to=since + 1)


def lately(history: TaskHistory, since: int) -> TaskHistory:
    """What runs, and what started or ended from `since` on; the rest of the list would only fill disks."""
    tasks = tuple(task for task in history.tasks if task.runs or task.started >= since or (task.ended or 0) >= since)
    return TaskHistory(tasks=tasks, reaches_back_to=max(history.reaches_back_to, since))


def incoming(seen: Glance, node: str, listed: tuple[tuple[str, Task], ...]) -> tuple[Task, ...]:
    """Moves that run on other nodes: neither the task nor the lock tells where to, so each may end here.

    The task list of a node is up to 10 s old, while the lock on a guest shows at once; a lock without a task stands in for one.
    """
    running = [task for where, task in listed if task.runs and where != node and task.type in _MOVES and not seen.is_offline(where)]
    told = {task.id for task in running}
    locked = [
        guest
        for guest in seen.placed or ()
        if guest.lock == "migrate" and guest.node != node and str(guest.vmid) not in told and not seen.is_offline(guest.node)
    ]
    return (*running, *(_move_of(guest, seen.taken_at) for guest in locked))


def _move_of(guest: Guest, when: datetime) -> Task:
    kind = "qmigrate" if guest.type == "qemu" else "vzmigrate"
    return Task(upid=f"{kind} of {guest.subject}, known by its lock", type=kind, id=str(guest.vmid), started=int(when.timestamp()))


def guests(seen: Glance, node: str, listed: tuple[Guest, ...], moving_data: frozenset[int] | Unknown) -> tuple[Guest, ...]:
    """The guests the node itself lists, with what only the cluster knows of them, and those on their way to it.

    A VM that is being migrated already has a network device on the node it goes to, where QEMU calls its state "inmigrate".
    """
    placed = {guest.vmid: guest for guest in seen.placed or ()}
    here = [_completed(guest, placed.get(guest.vmid)) for guest in listed]
    known = {guest.vmid for guest in listed}
    coming = () if isinstance(moving_data, Unknown) else sorted(moving_data - known)
    arriving = [replace(placed[vmid], node=node, status="inmigrate") for vmid in coming if vmid in placed]
    return (*here, *arriving)


def _completed(live: Guest, placed: Guest | None) -> Guest:
    if placed is None:
        return live
    return replace(live, pool=placed.pool, hastate=placed.hastate, name=live.name or placed.name, template=live.template or placed.template)


def unlisted(seen: Glance, node: str, listed: Iterable[Guest]) -> tuple[BlindSpot, ...]:
    """Guests the cluster places on the node, but the node does not list."""
    here = {guest.vmid for guest in listed}
    return tuple(
        BlindSpot(
            subject=guest.subject,
            reason=f"guest {guest.vmid} is placed on node {node}, but the node does not list it: look again, it may have moved",
        )
        for guest in seen.placed or ()
        if guest.node == node and guest.vmid not in here
    )


def backups(seen: Glance, node: str, jobs: tuple[VzdumpJob, ...], here: Sequence[Guest] | None) -> tuple[BackupJob, ...]:
    """The enabled backup jobs that may concern the node; `here` are its guests, None where they are not known."""
    pools = {} if isinstance(seen.resources, Unknown) else seen.resources.value.pools
    return tuple(
        BackupJob(id=job.id, next_run=_moment(job.next_run), node=job.node, guests_here=_covers(job, pools, here))
        for job in jobs
        if job.enabled and job.node in (None, node)
    )


def _covers(job: VzdumpJob, pools: Mapping[str, frozenset[int]], here: Sequence[Guest] | None) -> bool | None:
    chosen = job.vmids
    if job.pool is not None:
        # a pool without visible members may only be hidden
        chosen = pools.get(job.pool) or None
    if here is None or (chosen is None and not job.all):
        return None
    vmids = {guest.vmid for guest in here} - job.exclude
    return bool(vmids if chosen is None else vmids & chosen)


def source_of(seen: Glance, job: Replication) -> str | None:
    """The node a replication job starts from: where its guest is; None where nobody knows."""
    return next((guest.node for guest in seen.placed or () if guest.vmid == job.guest), job.source)


def touching(seen: Glance, node: str, jobs: Iterable[Replication]) -> list[Replication]:
    """The jobs from or to the node, and those nobody knows the start of."""
    return [job for job in jobs if job.target == node or source_of(seen, job) in (None, node)]


def replication(
    seen: Glance, node: str, jobs: tuple[Replication, ...], told: Mapping[str, Fact[tuple[Replication, ...]]]
) -> tuple[ReplicationJob, ...] | Unknown:
    """How the jobs from and to the node fare, as the nodes they start from tell it."""
    found = []
    for job in touching(seen, node, jobs):
        source = source_of(seen, job)
        told_by = told.get(source) if source is not None else None
        if isinstance(told_by, Unknown):
            return told_by
        state = next((row for row in told_by.value if row.id == job.id), None) if told_by is not None else None
        # from a node that is off nothing starts
        runs = False if seen.is_offline(source) else None if state is None else state.pid is not None
        if job.disable and runs is False:
            continue
        due = None if state is None or job.disable else _moment(state.next_sync)
        found.append(ReplicationJob(id=job.id, guest=job.guest, source=source, target=job.target, next_sync=due, runs=runs))
    return tuple(found)


def ceph(
    node: str, daemons: tuple[CephDaemon, ...], source: str, safe: Mapping[CephDaemon, bool | None]
) -> tuple[CephService, ...] | Unknown:
    """The Ceph daemons of the node; one that has lost its host may be anybody's."""
    lost = next((daemon for daemon in daemons if daemon.host is None), None)
    if lost is not None:
        return Unknown(reason=f"Ceph does not tell which node {lost.kind}.{lost.id} is on", source=source)
    return tuple(CephService(kind=daemon.kind, id=daemon.id, safe_to_stop=safe.get(daemon)) for daemon in daemons if is_on(daemon, node))


def is_on(daemon: CephDaemon, node: str) -> bool:
    return _same_name(daemon.host, node)


def may_be_served(seen: Glance) -> bool:
    """Whether there is a storage that comes from some machine over the network, or may."""
    if isinstance(seen.resources, Unknown):
        return True
    return any(storage.plugintype not in _ON_THE_NODE for storage in seen.resources.value.storages)


def served(seen: Glance, node: str, storages: tuple[StorageConfig, ...], links: Iterable[str]) -> tuple[ServedStorage, ...]:
    """The storages whose server is the node, by its name or by one of its addresses."""
    members = seen.members()
    addresses = {address.lower() for address in links}
    if not isinstance(members, Unknown):
        addresses |= {member.ip.lower() for member in members if member.name == node and member.ip}
    return tuple(
        ServedStorage(storage=storage.storage, server=server)
        for storage in storages
        if not storage.disable
        for server in storage.servers
        if _without_port(server) in addresses or _same_name(_without_port(server), node)
    )


def _without_port(server: str) -> str:
    """The portal "[fd00::2]:3260", "10.0.0.2:3260" or "pve2.lan" without port and brackets."""
    bracketed = re.match(r"\A\[([^\]]+)\](?::[0-9]+)?\Z", server)
    if bracketed:
        return bracketed[1].lower()
    return (server.partition(":")[0] if server.count(":") == 1 else server).lower()


def _same_name(host: str | None, node: str) -> bool:
    """Names of machines, with or without their domain; no part of an address is a name."""
    if host is None or re.match(r"\A[0-9.]+\Z", host):
        return host == node
    return host.partition(".")[0].lower() == node.lower()


def _moment(seconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None and 0 < seconds < _LATEST else None
