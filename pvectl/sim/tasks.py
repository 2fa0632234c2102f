"""Tasks: UPIDs, and workers that take virtual time."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from pvectl.sim.inventory import Guest
    from pvectl.sim.world import World

UPID = re.compile(
    r"UPID:(?P<node>[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?):(?P<pid>[0-9A-Fa-f]{8}):(?P<pstart>[0-9A-Fa-f]{8,9}):"
    r"(?P<starttime>[0-9A-Fa-f]{8}):(?P<type>[^:\s]+):(?P<id>[^:\s]*):(?P<user>[^:\s]+):"
)
LOCK_PATIENCE = 10.0


class TaskError(Exception):
    """The text a task ends with."""


@dataclass(frozen=True)
class Pause:
    """A worker sleeps: until a moment, or until the guest it watches goes down."""

    until: float
    watch: Guest | None = None


Worker: TypeAlias = Generator[Pause, None, None]


@dataclass(eq=False)
class Task:
    """One worker process of a node."""

    upid: str
    node: str
    pid: int
    pstart: int
    starttime: int
    type: str
    id: str
    user: str
    """The whole id, token included."""
    lines: list[str] = field(default_factory=list)
    warnings: int = 0
    status: str | None = None
    """How it ended; None while it runs."""
    endtime: int | None = None
    worker: Worker | None = None
    wakes_at: float | None = None
    """When a running worker next does something."""
    frees_at: float | None = None
    """When it will let go of the lock at the latest, unless the guest is down before."""
    held: Guest | None = None
    """The guest whose configuration lock it holds."""
    killed: str | None = None

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.status is None

    @property
    def failed(self) -> bool:
        """Whether it ended in an error; warnings are a success."""
        return self.status is not None and self.status != "OK" and not self.status.startswith("WARNINGS: ")

    def warn(self, text: str) -> None:
        """A warning in the log; the task will end as `WARNINGS: n`."""
        self.lines.append(f"WARN: {text}")
        self.warnings += 1

    def row(self) -> dict[str, Any]:
        """What every answer about a task holds."""
        return {
            "upid": self.upid,
            "node": self.node,
            "pid": self.pid,
            "pstart": self.pstart,
            "starttime": self.starttime,
            "type": self.type,
            "id": self.id,
        }

    def owner(self) -> dict[str, str]:
        """User and token, apart."""
        user, _, token = self.user.partition("!")
        return {"user": user, "tokenid": token} if token else {"user": user}


def new_task(world: World, node: str, kind: str, subject: str, user: str) -> Task:
    """A task that has just begun, without a worker."""
    machine = world.nodes[node]
    machine.next_pid += 1
    start, jiffies = int(world.now), int(max(0.0, world.now - machine.booted_at) * 100)
    pid = machine.next_pid
    upid = f"UPID:{node}:{pid:08X}:{jiffies:08X}:{start:08X}:{kind}:{subject}:{user}:"
    task = Task(upid, node, pid, jiffies, start, kind, subject, user)
    world.tasks.append(task)
    return task


def fork(world: World, node: str, kind: str, subject: str, user: str, work: Callable[[Task], Worker]) -> Task:
    """Start a worker; it runs up to its first pause at once."""
    task = new_task(world, node, kind, subject, user)
    world.note("task started", task.upid)
    task.worker = work(task)
    _step(world, task)
    return task


def end(world: World, task: Task, status: str, *, last_line: bool = True) -> None:
    """The task is over."""
    if not task.running:
        return
    task.status, task.endtime, task.wakes_at, task.worker = status, int(world.now), None, None
    if last_line:
        good = status == "OK" or status.startswith("WARNINGS: ")
        task.lines.append(f"TASK {status}" if good else f"TASK ERROR: {status}")
    release(task)
    world.note("task ended", task.upid, status)


def abort(world: World, task: Task, status: str = "received interrupt", *, last_line: bool = True) -> None:
    """Interrupt a running worker from outside."""
    if task.running:
        if task.worker is not None:
            task.worker.close()
        end(world, task, status, last_line=last_line)


def locked(world: World, task: Task, guest: Guest, path: str) -> Worker:
    """Take the configuration lock of a guest, or fail after ten seconds (pve-common PVE::Tools::lock_file)."""
    deadline = world.now + LOCK_PATIENCE
    if guest.holder is not None:
        task.lines.append("trying to acquire lock...")
    while guest.holder is not None:
        if world.now >= deadline:
            raise TaskError(f"can't lock file '{path}' - got timeout")
        yield Pause(min(deadline, world.now + 0.1))
    if task.lines and task.lines[-1] == "trying to acquire lock...":
        task.lines[-1] = "trying to acquire lock... OK"
    guest.holder, task.held = task, guest


def release(task: Task) -> None:
    """Give the configuration lock back."""
    if task.held is not None and task.held.holder is task:
        task.held.holder = None
    task.held = None


def lock_is_free_in(world: World, guest: Guest) -> float:
    """Seconds until the holder of the configuration lock lets go, as far as can be told."""
    holder = guest.holder
    if holder is None:
        return 0.0
    due = holder.frees_at or holder.wakes_at
    if due is None:
        return LOCK_PATIENCE + 1
    if guest.down_due is not None:
        due = min(due, guest.down_due)
    return max(0.0, due - world.now)


def status_row(task: Task) -> dict[str, Any]:
    """What GET tasks/UPID/status answers."""
    row = {**task.row(), **task.owner(), "status": "running" if task.running else "stopped"}
    return row if task.running else {**row, "exitstatus": task.status}


def _step(world: World, task: Task) -> None:
    worker = task.worker
    if worker is None:
        return
    try:
        pause = next(worker)
    except StopIteration:
        end(world, task, f"WARNINGS: {task.warnings}" if task.warnings else "OK")
        return
    except TaskError as failure:
        end(world, task, str(failure))
        return
    task.wakes_at = pause.until
    awake = False

    def resume() -> None:
        nonlocal awake
        if not awake and task.running:
            awake = True
            _step(world, task)

    world.timeline.at(pause.until, resume)
    if pause.watch is not None and pause.watch.runs:
        world.watchers.setdefault(pause.watch.vmid, []).append(resume)
