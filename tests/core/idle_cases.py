"""A node to decide about: evidence with nothing against it, and somebody who looks at it every five minutes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from msgspec import structs

from pvectl.core import idle
from pvectl.core.evidence import HaStatus, Member, NodeEvidence, Place, Task, TaskHistory, Whereabouts
from pvectl.core.hold import Hold
from pvectl.core.idle import NodeRecord, Now, Policy, Step
from pvectl.core.model import Guest, Known, Unknown
from tests.core.guests import guest

T = TypeVar("T")

WALL = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)
UPTIME = 20_000
BOOTTIME = 5_000.0
BOOT = "boot-of-the-runner"
US = "pvectl@pve!ops"
POLICY = Policy(nodes=("pve2", "pve3"))
REFUSED = Unknown(reason="500 no", source="/some/path")


def known(value: T, at: datetime = WALL) -> Known[T]:
    return Known(value=value, source="/some/path", taken_at=at)


def tagged(vmid: int = 200, **more: Any) -> Guest:
    return guest(vmid, **{"node": "pve2", "tags": ("safe-shutdown",), **more})


def untagged(vmid: int = 110, **more: Any) -> Guest:
    return guest(vmid, **{"node": "pve2", "name": "db", **more})


def task(kind: str = "vzdump", vmid: int | str = "", *, started: int, ended: int | None = None, user: str | None = "root@pam") -> Task:
    return Task(upid=f"UPID:pve2:{kind}:{vmid}:{started}:{user}", type=kind, id=str(vmid), user=user, started=started, ended=ended)


def hold(subject: str = "node/pve2", *, until: datetime = WALL + timedelta(hours=3)) -> Hold:
    return Hold(id="h1", subject=subject, until=until, reason="a demo", who="anna", made_at=WALL)


def members(**online: bool) -> tuple[Member, ...]:
    return tuple(Member(name=name, online=is_online, votes=1) for name, is_online in online.items())


def evidence(
    *guests: Guest, at: datetime = WALL, uptime: int = UPTIME, tasks: tuple[Task, ...] | TaskHistory | Unknown = (), **facts: Any
) -> NodeEvidence:
    """A standalone host with these guests and nothing against switching it off; facts are given bare, or as Unknown."""
    bare: dict[str, Any] = {
        "guests": guests,
        "registered_tags": None,
        "tags_case_sensitive": False,
        "uptime": uptime,
        "node_time_off": 0.0,
        "tasks": TaskHistory(tasks=tasks, reaches_back_to=0) if isinstance(tasks, tuple) else tasks,
        "incoming": (),
        "standalone": True,
        "ceph": (),
        "served": (),
        "backups": (),
        "replication": (),
        "wakeonlan": "02:00:00:00:00:02",
        "way_out": True,
        "whereabouts": Whereabouts(place=Place.ELSEWHERE),
    }
    plain: dict[str, Any] = {"node": "pve2", "taken_at": at, "live": True, "status": "online", "blind_spots": (), "our_user": US}
    for name, given in facts.items():
        (plain if name in {*plain, "signals", "holds", "peers", "cluster"} else bare)[name] = given
    wrapped: dict[str, Any] = {name: fact if isinstance(fact, (Known, Unknown)) else known(fact, at) for name, fact in bare.items()}
    return NodeEvidence(**plain, **wrapped)


def in_cluster(**facts: Any) -> dict[str, Any]:
    """The facts of a healthy cluster of three, to give to `evidence`."""
    healthy: dict[str, Any] = {
        "standalone": False,
        "quorate": True,
        "members": members(pve1=True, pve2=True, pve3=True),
        "device": None,
        "ha": HaStatus(quorate=True),
        "ha_shutdown_policy": None,
    }
    return healthy | facts


class Watch:
    """Looks at a node again and again: all clocks go on by `after` seconds each time, unless one is told to jump."""

    def __init__(self, policy: Policy = POLICY, record: NodeRecord | None = None) -> None:
        self.policy = policy
        self.record = record
        self.wall = WALL
        self.boottime = BOOTTIME
        self.boot: str | None = BOOT
        self.uptime = UPTIME
        self.others: Mapping[str, NodeRecord] = {}
        self.looks = 0

    @property
    def now(self) -> Now:
        return Now(wall=self.wall, boottime=self.boottime, boot_id=self.boot)

    @property
    def epoch(self) -> int:
        return int(self.wall.timestamp())

    def wait(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.boottime += seconds
        self.uptime += int(seconds)

    def evidence(self, *guests: Guest, **facts: Any) -> NodeEvidence:
        return evidence(*guests, at=self.wall, **{"uptime": self.uptime, **facts})

    def look(self, *guests: Guest, after: float = 300, **facts: Any) -> Step:
        """One run: time passes first, except before the very first one."""
        if self.looks:
            self.wait(after)
        self.looks += 1
        step = idle.step(self.record, self.evidence(*guests, **facts), self.policy, self.now, self.others)
        self.record = step.record
        return step

    def looks_until(self, verdict: str, *guests: Guest, most: int = 40, **facts: Any) -> Step:
        for _ in range(most):
            step = self.look(*guests, **facts)
            if step.decision.verdict == verdict:
                return step
        raise AssertionError(f"never {verdict}, in the end: {self.record}")

    def change(self, **fields: Any) -> None:
        assert self.record is not None
        self.record = structs.replace(self.record, **fields)


def about_to_act(policy: Policy = POLICY, *guests: Guest, **facts: Any) -> Watch:
    """Everything is idle and the notice is over with the next look."""
    watch = Watch(policy)
    for _ in range(7):
        watch.look(*guests, **facts)
    before = watch.record
    assert watch.look(*guests, **facts).decision.verdict == "act"
    watch.record = before
    watch.wait(-300)
    return watch
