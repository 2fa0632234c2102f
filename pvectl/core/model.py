"""The values every other room speaks in: guests, nodes, and one look at a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from msgspec import Struct

T = TypeVar("T")


class Guest(Struct, frozen=True, kw_only=True):
    """A QEMU VM or an LXC container, in PVE's own field names; None means "not known", never zero.

    `status` keeps PVE's word ("running", "stopped", "paused", "unknown", …). Sizes and counters in bytes, `cpu` a ratio of `maxcpu`,
    `uptime` in seconds. `tags` are sorted and as PVE reports them; compare with `pvectl.core.tags`.
    """

    vmid: int
    type: str
    name: str | None = None
    node: str
    status: str
    tags: tuple[str, ...] = ()
    pool: str | None = None
    template: bool | None = None
    lock: str | None = None
    hastate: str | None = None
    cpu: float | None = None
    maxcpu: int | float | None = None
    mem: int | None = None
    maxmem: int | None = None
    disk: int | None = None
    maxdisk: int | None = None
    uptime: int | None = None
    netin: int | None = None
    netout: int | None = None
    diskread: int | None = None
    diskwrite: int | None = None

    @property
    def is_off(self) -> bool:
        """Only PVE's "stopped" is off; paused, prelaunch, io-error and unknown all count as running."""
        return self.status == "stopped"

    @property
    def label(self) -> str:
        """How messages name it: "100 (db)", or "100" while the name is not known."""
        return f"{self.vmid} ({self.name})" if self.name else str(self.vmid)

    @property
    def subject(self) -> str:
        return f"guest/{self.vmid}"


class Node(Struct, frozen=True, kw_only=True):
    """A cluster member; `status` keeps PVE's word ("online", "offline", "unknown")."""

    name: str
    status: str
    uptime: int | None = None
    cpu: float | None = None
    maxcpu: int | float | None = None
    mem: int | None = None
    maxmem: int | None = None
    disk: int | None = None
    maxdisk: int | None = None
    hastate: str | None = None
    id: int | None = None
    ip: str | None = None
    local: bool | None = None

    @property
    def subject(self) -> str:
        return f"node/{self.name}"


class Storage(Struct, frozen=True, kw_only=True):
    """One storage as one node sees it; sizes in bytes. `content` is what it may hold ("backup", "images"); None: not known."""

    storage: str
    node: str
    status: str
    plugintype: str | None = None
    shared: bool | None = None
    content: tuple[str, ...] | None = None
    disk: int | None = None
    maxdisk: int | None = None


class BlindSpot(Struct, frozen=True, kw_only=True):
    """Something this view cannot see, in words a person can act on; `mend` is a command line that gives sight, where there is one."""

    subject: str
    reason: str
    mend: str | None = None


class Source(Struct, frozen=True, kw_only=True):
    """One answer the view rests on: what was asked, and how it went ("ok" or the error's sentence)."""

    path: str
    status: str = "ok"


class ClusterView(Struct, frozen=True, kw_only=True):
    """One look at a cluster; `quorate` is None where it was not asked or does not exist (`standalone`).

    `blind_spots` is empty exactly when the view was proven complete (safety rule S1);
    `proven` says whether that proof was attempted at all.
    """

    taken_at: datetime
    cluster: str | None = None
    standalone: bool | None = None
    quorate: bool | None = None
    nodes: tuple[Node, ...] = ()
    guests: tuple[Guest, ...] = ()
    storages: tuple[Storage, ...] = ()
    pools: Mapping[str, frozenset[int]] = {}
    sources: tuple[Source, ...] = ()
    proven: bool = False
    blind_spots: tuple[BlindSpot, ...] = ()

    @property
    def complete(self) -> bool:
        """Proven complete: the proof was attempted and left nothing unseen."""
        return self.proven and not self.blind_spots

    def guest(self, vmid: int) -> Guest | None:
        return next((guest for guest in self.guests if guest.vmid == vmid), None)

    def node(self, name: str) -> Node | None:
        return next((node for node in self.nodes if node.name == name), None)


class Known(Struct, Generic[T], frozen=True, kw_only=True, tag="known", tag_field="fact"):
    """A fact, where it came from, and when it was read."""

    value: T
    source: str
    taken_at: datetime


class Unknown(Struct, frozen=True, kw_only=True, tag="unknown", tag_field="fact"):
    """A fact that could not be had, and why; unknown is never permission."""

    reason: str
    source: str | None = None


class GuestType(StrEnum):
    QEMU = "qemu"
    LXC = "lxc"
