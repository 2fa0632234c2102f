"""What a decision about a node rests on: facts with their source, and what could not be had with its reason."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TypeAlias, TypeVar

from msgspec import Struct

from pvectl.core.hold import Hold
from pvectl.core.model import BlindSpot, Guest, Known, Unknown

T = TypeVar("T")
Fact: TypeAlias = Known[T] | Unknown

NOT_READ = Unknown(reason="not read")
"""A fact nobody has asked for: the cheap look was enough to keep the node on."""


class Member(Struct, frozen=True, kw_only=True):
    """One node of the cluster as another sees it. `votes` None: not known. `hastate` is the HA manager's word for the node."""

    name: str
    online: bool
    votes: int | None = None
    ip: str | None = None
    hastate: str | None = None


class Device(Struct, frozen=True, kw_only=True):
    """The quorum device: whether it counts just now. PVE does not tell its votes; `algorithm` says what they may be."""

    connected: bool
    algorithm: str | None = None


class Task(Struct, frozen=True, kw_only=True):
    """A task in a node's list, running or ended; times in seconds since the epoch by the node's clock.

    `ended` None: it runs. `id` is the vmid as text for a guest's task, empty or something else for others.
    """

    upid: str
    type: str
    id: str = ""
    user: str | None = None
    started: int
    ended: int | None = None
    status: str | None = None

    @property
    def runs(self) -> bool:
        return self.ended is None


class TaskHistory(Struct, frozen=True, kw_only=True):
    """A node's task list, newest first. `reaches_back_to`: no task that started at or after this second (epoch) is missing from it."""

    tasks: tuple[Task, ...]
    reaches_back_to: int


class HaService(Struct, frozen=True, kw_only=True):
    """One guest under the HA manager: `state` is what the status page says, `request_state` what was asked for."""

    sid: str
    node: str | None = None
    state: str | None = None
    request_state: str | None = None


class HaStatus(Struct, frozen=True, kw_only=True):
    """The HA manager's page. `quorate` None: it does not say. `lrm` is each node's local manager by node; `armed` None: not told."""

    quorate: bool | None = None
    manager: str | None = None
    services: tuple[HaService, ...] = ()
    lrm: tuple[tuple[str, str], ...] = ()
    armed: str | None = None


class CephService(Struct, frozen=True, kw_only=True):
    """A Ceph daemon on the node: `kind` is osd, mon, mgr or mds. `safe_to_stop` is PVE's own check, None where it was not asked."""

    kind: str
    id: str
    safe_to_stop: bool | None = None


class ServedStorage(Struct, frozen=True, kw_only=True):
    """A storage whose server is the node itself, by name or address: others lose it with the node."""

    storage: str
    server: str


class BackupJob(Struct, frozen=True, kw_only=True):
    """An enabled backup job. `node` None: on all nodes; `guests_here`: whether it covers guests of the node, None where nobody can tell."""

    id: str
    next_run: datetime | None = None
    node: str | None = None
    guests_here: bool | None = None


class ReplicationJob(Struct, frozen=True, kw_only=True):
    """A replication job from or to the node; `runs` None: not known."""

    id: str
    guest: int
    source: str | None
    target: str | None
    next_sync: datetime | None = None
    runs: bool | None = None


class SignalState(StrEnum):
    IDLE = "idle"
    BUSY = "busy"
    UNKNOWN = "unknown"


class Signal(Struct, frozen=True, kw_only=True):
    """What one of the other activity signals says (guest CPU, guest network, an exec probe); unknown counts as busy."""

    name: str
    state: SignalState
    detail: str = ""


class Place(StrEnum):
    ELSEWHERE = "elsewhere"
    NODE = "node"
    GUEST = "guest"


class Whereabouts(Struct, frozen=True, kw_only=True):
    """Where pvectl itself runs, as seen from one node: on that node, inside guest `vmid` there, or elsewhere."""

    place: Place
    vmid: int | None = None


class Peer(Struct, frozen=True, kw_only=True):
    """Another configured node as the cluster's list shows it: `busy_with` names a running guest that keeps it on, None without one."""

    node: str
    online: bool
    busy_with: str | None = None


class NodeEvidence(Struct, frozen=True, kw_only=True):
    """Everything the idle decision needs about one node and its surroundings.

    The cheap look fills `status`, `guests` (up to 300 s old, so good for keeping the node on and for nothing else: `live` is False),
    `standalone`, `quorate` and `members`; the full read all of it. `guests` are those PVE places on the node, and those on their way to it.
    `blind_spots` of a full read are the completeness proof's (safety rule S1); None: it was not attempted. `node_time_off` is how far the
    node's clock is ahead of ours in seconds. `wakeonlan` is the MAC address in the node's configuration, Known(None) without one.
    `way_out`: whether an API host other than this node answers, so that its end can be seen.
    """

    node: str
    taken_at: datetime
    live: bool = False
    cluster: str | None = None
    status: str
    """PVE's word for the node: online, offline, unknown; "missing" when the cluster has no such node."""
    guests: Fact[tuple[Guest, ...]] = NOT_READ
    registered_tags: Fact[tuple[str, ...] | None] = NOT_READ
    tags_case_sensitive: Fact[bool] = NOT_READ
    blind_spots: tuple[BlindSpot, ...] | None = None
    uptime: Fact[int] = NOT_READ
    node_time_off: Fact[float] = NOT_READ
    tasks: Fact[TaskHistory] = NOT_READ
    incoming: Fact[tuple[Task, ...]] = NOT_READ
    """Tasks of other nodes that move a guest to or from somewhere just now (qmigrate, vzmigrate, hamigrate)."""
    standalone: Fact[bool] = NOT_READ
    quorate: Fact[bool] = NOT_READ
    members: Fact[tuple[Member, ...]] = NOT_READ
    device: Fact[Device | None] = NOT_READ
    ha: Fact[HaStatus] = NOT_READ
    ha_shutdown_policy: Fact[str | None] = NOT_READ
    ceph: Fact[tuple[CephService, ...]] = NOT_READ
    served: Fact[tuple[ServedStorage, ...]] = NOT_READ
    backups: Fact[tuple[BackupJob, ...]] = NOT_READ
    replication: Fact[tuple[ReplicationJob, ...]] = NOT_READ
    wakeonlan: Fact[str | None] = NOT_READ
    way_out: Fact[bool] = NOT_READ
    whereabouts: Fact[Whereabouts] = NOT_READ
    signals: tuple[Signal, ...] = ()
    holds: tuple[Hold, ...] = ()
    our_user: str | None = None
    """Whose tasks are our own, as task lists write it: user@realm!token. None: not known, so that every task is somebody else's."""
    peers: tuple[Peer, ...] = ()
    """The other configured nodes, for `controller: per-node`; made by `pvectl.core.idle.peers` from the cheap looks."""
