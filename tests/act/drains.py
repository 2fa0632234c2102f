"""A simulated cluster whose time stands still unless somebody waits, a diary in memory, and a small but honest look at everything."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pvectl import act
from pvectl.act import NeededTag, Reconsidered
from pvectl.core.plan import Outcome, PowerOutcome, Reason, Shutdown, SwitchOff
from pvectl.errors import CannotWrite
from tests.support.labs import Lab, lab

TAG = "safe-shutdown"
FULL = "no space left on device"


@contextmanager
def standing(scenario: Mapping[str, Any], *, hosts: tuple[str, ...] = (), read_only: bool = False, deadline: float = 60.0) -> Iterator[Lab]:
    """Serve the scenario, its time standing still, and connect to these of its nodes in this order; to all of them unless told."""
    with lab(scenario, hosts=hosts or tuple(scenario["nodes"]), read_only=read_only, deadline=deadline) as one:
        yield one


@dataclass
class Line:
    """One line of the diary."""

    what: str
    id: str
    subject: str = ""
    details: Mapping[str, object] = field(default_factory=dict)
    status: str | None = None
    upid: str | None = None
    error: str | None = None
    took: float | None = None


class DiaryInMemory:
    """Remembers everything in order; at write number `breaks_at` the disk is full, and stays so unless it `mends` at once."""

    def __init__(self, *, breaks_at: int | None = None, mends: bool = False) -> None:
        self.lines: list[Line] = []
        self.holds: dict[str, str] = {}
        self.writes = 0
        self._breaks_at = breaks_at
        self._mends = mends
        self._ids = itertools.count(1)
        self.before: Callable[[str, str], object] = lambda _what, _subject: None
        self.on_full: Callable[[], object] = lambda: None

    def held(self, subject: str) -> str | None:
        self.before("held", subject)
        return self.holds.get(subject)

    def intend(self, verb: str, subject: str, details: Mapping[str, object]) -> str:
        self.before(f"intend {verb}", subject)
        self._write()
        made = f"i{next(self._ids)}"
        self.lines.append(Line(what=verb, id=made, subject=subject, details=dict(details)))
        return made

    def ended(self, intent: str, status: str, *, upid: str | None = None, error: str | None = None, took: float | None = None) -> None:
        self.before(f"ended {status}", self._of(intent).subject)
        self._write()
        line = self._of(intent)
        assert line.status is None, "what came of it is written once"
        line.status, line.upid, line.error, line.took = status, upid, error, took

    def told(self) -> list[tuple[str, str, str | None]]:
        return [(line.what, line.subject, line.status) for line in self.lines]

    def open(self) -> list[str]:
        return [line.subject for line in self.lines if line.status is None]

    def _of(self, intent: str) -> Line:
        return next(line for line in self.lines if line.id == intent)

    def _write(self) -> None:
        self.writes += 1
        if self._breaks_at is not None and (self.writes == self._breaks_at or (self.writes > self._breaks_at and not self._mends)):
            self.on_full()
            raise CannotWrite(FULL)


class Looks:
    """A full look, as honest as a small one can be: the node's own lists, its running tasks, who is online, tags, and when it booted."""

    def __init__(self, lab: Lab, node: str, diary: DiaryInMemory) -> None:
        self._lab, self._node, self._diary = lab, node, diary
        self._booted_at = self._boot()
        self.taken: list[tuple[frozenset[str], frozenset[int]]] = []
        self.before: Callable[[int], object] = lambda _looks: None

    def _boot(self) -> int:
        now = self._lab.clock.boottime()
        return round(now - (next(node.uptime or 0 for node in self._lab.client.nodes() if node.name == self._node)))

    def __call__(self, ours: frozenset[str], asked: frozenset[int]) -> Reconsidered:
        self.taken.append((ours, asked))
        self.before(len(self.taken))
        client, node = self._lab.client, self._node
        if why := self._diary.held(f"node/{node}"):
            return Reconsidered(stop=why, reason=Reason.HELD)
        if abs(self._boot() - self._booted_at) > 20:
            return Reconsidered(stop="it was rebooted", reason=Reason.UPTIME_SHORT)
        if not all(member.status == "online" for member in client.cluster_status().nodes):
            return Reconsidered(stop="a node is off", reason=Reason.NODES_DOWN)
        running = tuple(guest for guest in client.node_guests(node, full=True) if not guest.is_off)
        if stray := [guest.label for guest in running if TAG not in guest.tags or guest.lock]:
            return Reconsidered(stop=f"{stray[0]} keeps it on", reason=Reason.STARTED_MEANWHILE, running=running)
        others = [task for task in client.active_tasks(node) if task.is_running and task.upid not in ours]
        if others:
            return Reconsidered(stop=f"a {others[0].type} runs", reason=Reason.TASK_RUNNING, running=running)
        return Reconsidered(running=running, evidence_id="e1")


@dataclass
class Drain:
    """One switch-off and everything somebody may want to know of it."""

    lab: Lab
    diary: DiaryInMemory
    looks: Looks
    action: SwitchOff
    told: list[Outcome] = field(default_factory=list)

    def run(self, **how: Any) -> PowerOutcome:
        given: dict[str, Any] = {"needed": NeededTag(tag=TAG), "progress": self.told.append} | how
        return act.switch_off(self.action, self.lab.client, self.lab.clock, reconsider=self.looks, diary=self.diary, **given)

    @property
    def power_offs(self) -> int:
        return self.lab.wrote().count(f"POST /nodes/{self.action.node}/status")


def guest(vmid: int, **manners: Any) -> dict[str, Any]:
    return {"vmid": vmid, "type": "qemu", "node": "pve2", "name": f"vm{vmid}", "status": "running", "tags": TAG, "shutdown_s": 5, **manners}


def world(*guests: dict[str, Any], **more: Any) -> dict[str, Any]:
    nodes = {"pve1": {}, "pve2": {"wakeonlan": "02:00:00:00:00:02", "boot_s": 90}, "pve3": {}}
    return {"nodes": nodes, "guests": list(guests), **more}


def to_switch_off(lab: Lab, *stages: tuple[int, ...], node: str = "pve2", timeout: int = 60, **how: Any) -> SwitchOff:
    known = {one.vmid: one for one in lab.client.guests()}
    made = tuple(tuple(Shutdown(guest=known[vmid], timeout=timeout, **how) for vmid in stage) for stage in stages)
    return SwitchOff(node=node, stages=made)


@contextmanager
def draining(
    scenario: Mapping[str, Any],
    *stages: tuple[int, ...],
    node: str = "pve2",
    diary: DiaryInMemory | None = None,
    hosts: tuple[str, ...] = (),
    read_only: bool = False,
    deadline: float = 60.0,
    **how: Any,
) -> Iterator[Drain]:
    with standing(scenario, hosts=hosts, read_only=read_only, deadline=deadline) as lab:
        kept = diary or DiaryInMemory()
        action = to_switch_off(lab, *stages, node=node, **how)
        looks = Looks(lab, node, kept)
        lab.server.clear()
        yield Drain(lab=lab, diary=kept, looks=looks, action=action)
