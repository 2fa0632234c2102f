"""What one look of the monitor leaves to the next: slow answers with their own time, and since when things have been so."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.evidence import HaStatus
from pvectl.core.model import BlindSpot, Known, Unknown
from pvectl.core.monitor.finding import Severity
from pvectl.core.monitor.monitored import NOT_ASKED, BackupJob, GuestFacts, Listing, LockSeen, NodeFacts, Release, StorageFacts
from pvectl.core.monitor.task_cursor import TaskCursor

T = TypeVar("T")
Fact: TypeAlias = Known[T] | Unknown
S = TypeVar("S", bound=Struct)

_NOT_ARMED = ("disarmed", "disarming")


class Seen(Struct, frozen=True, kw_only=True):
    """Small things, written anew by every run. `refused`: when PVE refused a source for want of a right, by its path."""

    locks: Mapping[int, LockSeen] = {}
    disarmed_since: datetime | None = None
    levels: Mapping[str, Severity] = {}
    tasks: Mapping[str, TaskCursor] = {}
    refused: Mapping[str, datetime] = {}


class ClusterSlow(Struct, frozen=True, kw_only=True):
    """Slow answers about the cluster. `rights` are those at paths that PVE does not list by itself."""

    release: Fact[Release] = NOT_ASKED
    votes: Fact[dict[str, int]] = NOT_ASKED
    backup_jobs: Fact[tuple[BackupJob, ...]] = NOT_ASKED
    sight: Fact[tuple[BlindSpot, ...]] = NOT_ASKED
    rights: Fact[dict[str, dict[str, bool]]] = NOT_ASKED
    ceph_nodes: Fact[tuple[str, ...]] = NOT_ASKED


class NodesSlow(Struct, frozen=True, kw_only=True):
    nodes: Mapping[str, NodeFacts] = {}


class StoragesSlow(Struct, frozen=True, kw_only=True):
    storages: Mapping[str, StorageFacts] = {}


class GuestsSlow(Struct, frozen=True, kw_only=True):
    guests: Mapping[int, GuestFacts] = {}


class Memory(Struct, frozen=True, kw_only=True):
    """All of it, in parts that are kept one by one."""

    seen: Seen = Seen()
    cluster: ClusterSlow = ClusterSlow()
    nodes: NodesSlow = NodesSlow()
    storages: StoragesSlow = StoragesSlow()
    guests: GuestsSlow = GuestsSlow()

    def awake(self) -> Memory:
        """The same once it has come back out of a file: what was not asked is told from what has an answer by being the one NOT_ASKED."""
        return replace(
            self,
            cluster=kept(self.cluster),
            nodes=NodesSlow(nodes={name: kept(one) for name, one in self.nodes.nodes.items()}),
            storages=StoragesSlow(storages={name: kept(one) for name, one in self.storages.storages.items()}),
            guests=GuestsSlow(guests={vmid: kept(one) for vmid, one in self.guests.guests.items()}),
        )


def kept(facts: S) -> S:
    """Only what is known: why something was not is the matter of the run that asked."""
    unknown = [name for name in facts.__struct_fields__ if isinstance(getattr(facts, name), Unknown)]
    return replace(facts, **dict.fromkeys(unknown, NOT_ASKED)) if unknown else facts


def merged(before: S | None, now: S) -> S:
    """What is known now, and where that is nothing, what was known before: a run that asked for less forgets nothing."""
    told = kept(now)
    if before is None:
        return told
    missing = [name for name in told.__struct_fields__ if getattr(told, name) is NOT_ASKED]
    earlier = {name: fact for name in missing if (fact := getattr(before, name)) is not NOT_ASKED}
    return replace(told, **earlier) if earlier else told


def is_due(fact: Fact[T], now: datetime, every: float) -> bool:
    """Whether a slow source is to be asked again; also when it was answered in the future, by a clock that has been put right since."""
    return isinstance(fact, Unknown) or not timedelta(0) <= now - fact.taken_at < timedelta(seconds=every)


def locks(before: Mapping[int, LockSeen], listing: Listing, now: datetime) -> dict[int, LockSeen]:
    """Since when each guest has been seen locked, without a break and by the same lock."""
    found = {}
    for guest in listing.guests:
        if guest.lock is not None:
            earlier = before.get(guest.vmid)
            found[guest.vmid] = earlier if earlier is not None and earlier.lock == guest.lock else LockSeen(lock=guest.lock, since=now)
    return found


def disarmed_since(before: datetime | None, ha: HaStatus, now: datetime) -> datetime | None:
    """Since when the HA manager has been seen disarmed."""
    return (before or now) if ha.armed in _NOT_ARMED else None
