"""A witness who sees the simulated cluster as it truly is, and judges every request that switches something off.

Written from the safety rules alone: nothing of pvectl is imported here, so that a mistake there is not a mistake here as well. The witness
never asks the API. What idle time counts it reckons itself, from the truth at each run and from all that happened in between.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pvectl.sim.cluster import SimCluster
from pvectl.sim.inventory import Guest, Node
from pvectl.sim.record import Record

COOLDOWN_S = 1800
DAY_S = 86_400
LOOKS = 3
_SHUTDOWN = re.compile(r"/nodes/([^/]+)/(?:qemu|lxc)/(\d+)/status/shutdown")
_POWER = re.compile(r"/nodes/([^/]+)/status")
_ASKED_TO_WAKE = re.compile(r"/nodes/([^/]+)/wakeonlan")
_STIRRED = frozenset({"guest started", "guest stopped", "guest migrated", "guest moved", "HA recovered"})
SEEN_WITH = (
    "/cluster/resources",
    "/cluster/status",
    "/cluster/ha/status/current",
    "/access/permissions",
    "/access/acl",
    "/nodes/{node}/qemu",
    "/nodes/{node}/lxc",
    "/nodes/{node}/netstat",
    "/nodes/{node}/status",
    "/nodes/{node}/tasks",
)
"""What no power-off may do without (safety rules S1, S3, S5, S15, S21)."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the administrator has written into pvectl.yml; durations in seconds."""

    nodes: tuple[str, ...]
    tag: str = "safe-shutdown"
    exclude: frozenset[int] = frozenset()
    grace: int = 1800
    notice: int = 300
    min_uptime: int = 1800
    max_gap: int = 900
    max_guests: int = 10
    max_nodes_off: int = 1
    dry_run: bool = False


@dataclass(frozen=True, kw_only=True)
class Clocks:
    """The machine pvectl runs on, at one moment: its boot, the seconds since, and how far its wall clock is from the cluster's time."""

    boot: str
    boottime: float
    wall_ahead: float = 0.0


@dataclass(kw_only=True)
class _Chain:
    """Looks at an idle node in a row."""

    boot: str
    first: float
    last: float
    looks: int
    node_booted: float
    wishes: Wishes

    @property
    def credit(self) -> float:
        return self.last - self.first


@dataclass
class Witness:
    """Judges; `complaints` must stay empty. `clocks` and `blind` tell of what the cluster does not know."""

    cluster: SimCluster
    wishes: Wishes
    clocks: Callable[[], Clocks]
    blinded: Callable[[str], str | None] = lambda _path: None
    """Why an answer about that path would not be the truth just now."""
    complaints: list[str] = field(default_factory=list)
    holds: dict[str, float] = field(default_factory=dict)
    """Subject to the moment (cluster time) until which it is held."""
    offs: dict[str, list[float]] = field(default_factory=dict)
    """When each node was asked to go off."""
    shut_down: list[tuple[float, int]] = field(default_factory=list)
    runs: int = 0
    _chains: dict[str, _Chain] = field(default_factory=dict)
    _events: int = 0
    _written: list[Record] = field(default_factory=list)
    _nodes_now: set[str] = field(default_factory=set)
    _guests_now: list[int] = field(default_factory=list)
    _needed: dict[str, float] = field(default_factory=dict)
    _ours: set[str] = field(default_factory=set)
    """Nodes that are off because pvectl asked."""

    def a_run_begins(self) -> None:
        """Look at each node just before pvectl does."""
        self.runs += 1
        self._nodes_now, self._guests_now = set(), []
        clocks, stirred = self.clocks(), self._stirred_since()
        for name in self.wishes.nodes:
            self._note_need(name)
            node = self.cluster.world.nodes.get(name)
            chain = self._chains.pop(name, None)
            if node is None or not self._is_idle(node) or any(self._blindness(name)):
                continue
            goes_on = (
                chain is not None
                and chain.boot == clocks.boot
                and 0 <= clocks.boottime - chain.last <= self.wishes.max_gap
                and chain.node_booted == node.booted_at
                and chain.wishes == self.wishes
                and name not in stirred
            )
            if goes_on and chain is not None:
                self._chains[name] = chain
                chain.last, chain.looks = clocks.boottime, chain.looks + 1
            else:
                self._chains[name] = _Chain(
                    boot=clocks.boot,
                    first=clocks.boottime,
                    last=clocks.boottime,
                    looks=1,
                    node_booted=node.booted_at,
                    wishes=self.wishes,
                )

    def a_request_arrives(self, record: Record) -> None:
        """Judge it if it changes anything; over HTTP only its head has come so far, so what it says in its body waits for `a_run_ends`."""
        if not record.is_write:
            return
        self._written.append(record)
        path = record.path.removeprefix("/api2/json")
        if self.wishes.dry_run:
            self._complain(record, "in a dry run")
        if found := _SHUTDOWN.fullmatch(path):
            for fault in self._wrong_with_shutdown(found[1], int(found[2])):
                self._complain(record, fault)
            self.shut_down.append((self.cluster.world.now, int(found[2])))
            self._guests_now.append(int(found[2]))
            self._nodes_now.add(found[1])
        elif (found := _POWER.fullmatch(path)) and record.method == "POST":
            for fault in self._wrong_with_power_off(found[1]):
                self._complain(record, fault)
            self.offs.setdefault(found[1], []).append(self.cluster.world.now)
            self._nodes_now.add(found[1])
            self._ours.add(found[1])
        elif not _ASKED_TO_WAKE.fullmatch(path):
            self._complain(record, "nothing of the kind belongs to idle-check")
        if len(self._nodes_now) > 1:
            self._complain(record, f"one run, and several nodes: {sorted(self._nodes_now)}")

    def a_run_ends(self) -> None:
        """Judge what its requests said."""
        for record in self._written:
            said = dict(record.params)
            if record.path.endswith("/shutdown") and set(said) - {"timeout"}:
                self._complain(record, f"it says {said}")
            if _POWER.fullmatch(record.path) and said != {"command": "shutdown"}:
                self._complain(record, f"it says {said}")
        self._written.clear()

    def hold(self, subject: str, until: float) -> None:
        self.holds[subject] = until

    def _wrong_with_shutdown(self, node: str, vmid: int) -> Iterator[str]:
        guest = self.cluster.world.guests.get(vmid)
        if guest is None or guest.node != node:
            yield "that guest is not there"
            return
        yield from self._wrong_with_either(node)
        yield from self._wrong_with_guest(guest)
        if len(self._guests_now) >= self.wishes.max_guests:
            yield "more guests than a run may shut down"
        untagged = [other.vmid for other in self.cluster.world.guests_on(node) if other.runs and not self._may_go(other)]
        if untagged:
            yield f"{untagged} keep the node on"

    def _wrong_with_guest(self, guest: Guest) -> Iterator[str]:
        if not self._is_tagged(guest):
            yield f"its tags are {guest.tags!r}"
        if guest.vmid in self.wishes.exclude:
            yield "it is excluded"
        if self._is_held(f"guest/{guest.vmid}"):
            yield "it is held"
        if guest.status != "running":
            yield f"it is {guest.status}"
        if guest.lock is not None:
            yield f"it is locked ({guest.lock})"
        if guest.ha is not None and guest.ha.get("state") != "ignored":
            yield "HA owns it"
        if guest.template:
            yield "it is a template"
        now, earlier = self.cluster.world.now, [at for at, vmid in self.shut_down if vmid == guest.vmid]
        if earlier and (guest.started_at or now) < earlier[-1] and now - earlier[-1] < COOLDOWN_S:
            yield f"it was asked {now - earlier[-1]:.0f} s ago"

    def _wrong_with_power_off(self, name: str) -> Iterator[str]:
        world, now = self.cluster.world, self.cluster.world.now
        yield from self._wrong_with_either(name)
        running = [guest.vmid for guest in world.guests_on(name) if guest.runs]
        if running:
            yield f"{running} run there"
        busy = [task.upid for task in world.tasks if task.running and task.node == name]
        if busy:
            yield f"{busy} run there"
        votes = sum(node.votes for node in world.members) + (int(world.qdevice.get("votes", 1)) if world.qdevice else 0)
        device = int(world.qdevice.get("votes", 1)) if world.qdevice and world.qdevice.get("state", "Connected") == "Connected" else 0
        left = device + sum(node.votes for node in world.members if node.online and node.name != name)
        if world.name is not None and left < votes // 2 + 1:
            yield f"{left} of {votes} votes would be left"
        self._ours -= {node.name for node in world.members if node.online}
        strangers = [node.name for node in world.members if not node.online and node.name not in self._ours]
        if strangers:
            yield f"{strangers} are off, and not by pvectl's doing"
        in_transition = [node.name for node in world.members if node.booting or node.powering_off]
        if in_transition:
            yield f"{in_transition} are on their way up or down"
        if len(self._ours - {name}) >= self.wishes.max_nodes_off:
            yield f"{sorted(self._ours)} are off already"
        earlier = self.offs.get(name, [])
        if earlier and now - earlier[-1] < COOLDOWN_S and not self._was_up_since(name, earlier[-1]):
            yield f"it was sent {now - earlier[-1]:.0f} s ago"
        since = max(now - DAY_S, self._needed.get(name, 0.0))
        if sum(at > since for at in earlier) >= 2:
            yield "the third time in a day"

    def _wrong_with_either(self, name: str) -> Iterator[str]:
        node = self.cluster.world.nodes.get(name)
        if name not in self.wishes.nodes or node is None:
            yield "the node is not listed"
            return
        if self._is_held(f"node/{name}"):
            yield "the node is held"
        if not self.cluster.quorate():
            yield "the cluster is not quorate"
        if self.cluster.world.now - node.booted_at < self.wishes.min_uptime:
            yield f"the node is up for {self.cluster.world.now - node.booted_at:.0f} s"
        yield from self._blindness(name)
        if abs(self.clocks().wall_ahead) > 60:
            # that forbids to act and does not touch what was counted by the clock that never steps (safety rules S14, S17)
            yield "the clocks are apart"
        chain = self._chains.get(name)
        if chain is None:
            yield "the node was not idle when the run began"
        elif chain.credit < self.wishes.grace + self.wishes.notice or chain.looks < LOOKS:
            yield f"it was seen idle {chain.looks} times, over {chain.credit:.0f} s"

    def _blindness(self, name: str) -> Iterator[str]:
        for path in SEEN_WITH:
            why = self.blinded(path.format(node=name))
            if why is not None:
                yield f"{path.format(node=name)} could not be read: {why}"

    def _is_idle(self, node: Node) -> bool:
        world = self.cluster.world
        if not node.online or node.powering_off:
            return False
        if any(guest.runs and not self._may_go(guest) for guest in world.guests_on(node.name)):
            return False
        return not any(task.running and task.node == node.name for task in world.tasks)

    def _may_go(self, guest: Guest) -> bool:
        return self._is_tagged(guest) and guest.vmid not in self.wishes.exclude and guest.status == "running" and guest.lock is None

    def _is_tagged(self, guest: Guest) -> bool:
        return self.wishes.tag in re.split(r"[;,\s]+", guest.tags.lower())

    def _is_held(self, subject: str) -> bool:
        return self.holds.get(subject, 0.0) > self.cluster.world.now

    def _stirred_since(self) -> set[str]:
        """Nodes where a guest that may not go came, went, started or stopped since the last run."""
        events = self.cluster.log
        fresh, self._events = events[self._events :], len(events)
        stirred = set()
        for event in fresh:
            guest = self.cluster.world.guests.get(int(event.subject)) if event.what in _STIRRED else None
            # a guest that is off when it arrives needs nothing of the node it comes to
            arrived_off = guest is not None and event.what in ("guest migrated", "guest moved") and not guest.runs
            if guest is not None and not arrived_off and not (self._is_tagged(guest) and guest.vmid not in self.wishes.exclude):
                stirred |= {guest.node, event.detail}
        return stirred

    def _note_need(self, name: str) -> None:
        needed = any(guest.runs and not self._may_go(guest) for guest in self.cluster.world.guests_on(name))
        if needed:
            self._needed[name] = self.cluster.world.now

    def _was_up_since(self, name: str, when: float) -> bool:
        return self.cluster.world.nodes[name].booted_at > when

    def _complain(self, record: Record, fault: str) -> None:
        self.complaints.append(f"{record.method} {record.path}: {fault}")


def changed(wishes: Wishes, **values: Any) -> Wishes:
    """The wishes after an edit."""
    return replace(wishes, **values)
