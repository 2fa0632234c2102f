"""The state of the simulated cluster, and the few ways in which it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pvectl.sim.clock import Timeline
from pvectl.sim.refusals import died, unknown_host

if TYPE_CHECKING:
    from pvectl.sim.access import Access
    from pvectl.sim.inventory import Guest, Node, Storage
    from pvectl.sim.tasks import Task


class Event(NamedTuple):
    """Something that happened, for tests and the curious."""

    at: float
    what: str
    subject: str
    detail: str = ""


@dataclass
class World:
    """Everything there is; knows no HTTP and no permissions."""

    version: str
    name: str | None
    """The cluster's name; None for a standalone host."""
    timeline: Timeline
    access: Access
    nodes: dict[str, Node] = field(default_factory=dict)
    guests: dict[int, Guest] = field(default_factory=dict)
    storages: dict[str, Storage] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    qdevice: dict[str, Any] | None = None
    ha: dict[str, Any] = field(default_factory=dict)
    backup_jobs: list[dict[str, Any]] = field(default_factory=list)
    replication: list[dict[str, Any]] = field(default_factory=list)
    ceph: dict[str, Any] | None = None
    tasks: list[Task] = field(default_factory=list)
    log: list[Event] = field(default_factory=list)
    quorum_lost: bool = False
    expected_votes: int | None = None
    """What `pvecm expected` was set to."""
    quorate_told: bool | None = None
    """What /cluster/status goes on telling after quorum changed without a change of membership (pmxcfs status.c cfs_set_quorate)."""
    watchers: dict[int, list[Callable[[], None]]] = field(default_factory=dict)
    """Whoever wants to know when a guest goes down."""

    @property
    def now(self) -> float:
        """Virtual epoch seconds."""
        return self.timeline.now

    @property
    def since_9(self) -> bool:
        """Whether this is PVE 9."""
        return int(self.version.split(".")[0]) >= 9

    @property
    def full_version(self) -> str:
        """The version of pve-manager."""
        return {"8.4": "8.4.21", "9.2": "9.2.11"}.get(self.version, f"{self.version}.1")

    @property
    def repoid(self) -> str:
        """The commit pve-manager was built from."""
        return {"8.4": "2606ac850d46da29", "9.2": "14a22df35955d97d"}.get(self.version, "0123456789abcdef")

    @property
    def members(self) -> list[Node]:
        """The nodes of this cluster."""
        return [node for node in self.nodes.values() if node.member]

    def note(self, what: str, subject: object, detail: str = "") -> None:
        """Write down what happened."""
        self.log.append(Event(self.now, what, str(subject), detail))

    def quorate(self) -> bool:
        """Whether the nodes that are up have the majority of the votes (corosync votequorum)."""
        if self.quorum_lost:
            return False
        if self.name is None:
            return True
        expected = self.expected_votes or sum(node.votes for node in self.members)
        present = sum(node.votes for node in self.members if node.online)
        if self.qdevice:
            votes = int(self.qdevice.get("votes", 1))
            expected += votes
            present += votes if self.qdevice.get("state", "Connected") == "Connected" else 0
        return present >= expected // 2 + 1

    def expect_votes(self, votes: int) -> None:
        """`pvecm expected N`: quorum follows, and /cluster/status does not notice before a node joins or leaves."""
        if self.quorate_told is None:
            self.quorate_told = self.quorate()
        self.expected_votes = votes

    def require_quorum(self) -> None:
        """What PVE checks before it starts anything."""
        if not self.quorate():
            raise died("cluster not ready - no quorum?")

    def node(self, name: str) -> Node:
        """The node of that name; raises what PVE says about an unknown one."""
        node = self.nodes.get(name)
        if node is None:
            raise unknown_host(name)
        return node

    def guests_on(self, node: str, kind: str | None = None) -> Iterator[Guest]:
        """The guests whose configuration lies on that node."""
        return (guest for guest in self.guests.values() if guest.node == node and kind in (None, guest.type))

    def guest_at(self, kind: str, node: str, vmid: int) -> Guest | None:
        """The guest of that type on that node, if there is one."""
        guest = self.guests.get(vmid)
        return guest if guest is not None and guest.type == kind and guest.node == node else None

    def touch(self, guest: Guest) -> None:
        """Call before changing what a broadcast tells about the guest."""
        node = self.nodes[guest.node]
        told = node.last_broadcast(self.now)
        if told is not None and told > guest.changed_at:
            guest.before = guest.seen()
        guest.changed_at = self.now
        guest.version += 1

    def bring_up(self, guest: Guest) -> None:
        """The guest's process now runs."""
        self.touch(guest)
        node = self.nodes[guest.node]
        node.next_pid += 7
        guest.status, guest.started_at, guest.pid, guest.down_due = "running", self.now, node.next_pid, None
        for key, value in guest.pending.items():
            guest.config[key] = value
        for key in guest.pending_deletes:
            guest.config.pop(key, None)
        guest.pending, guest.pending_deletes = {}, {}
        self.note("guest started", guest.vmid, guest.node)

    def bring_down(self, guest: Guest, why: str = "") -> None:
        """The guest's process is gone."""
        if not guest.runs:
            return
        self.touch(guest)
        guest.status, guest.started_at, guest.pid, guest.down_due = "stopped", None, 0, None
        self.note("guest stopped", guest.vmid, why or guest.node)
        for watcher in self.watchers.pop(guest.vmid, []):
            watcher()

    def set_status(self, guest: Guest, status: str) -> None:
        """QEMU now calls the guest's state by that word (paused, running, io-error, …)."""
        self.touch(guest)
        guest.status = status

    def ask_to_shut_down(self, guest: Guest) -> None:
        """The guest has received the request; it obeys in its own time, or never."""
        if not (guest.acpi or (guest.agent_enabled and guest.agent == "ok")):
            return
        if guest.status != "running" or guest.down_due is not None:
            return
        run = guest.started_at
        guest.down_due = self.now + guest.shutdown_s

        def obey() -> None:
            if guest.runs and guest.started_at == run:
                self.bring_down(guest, "shut down")

        self.timeline.at(guest.down_due, obey)
