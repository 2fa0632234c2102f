"""Starting, shutting down and stopping guests, with all the ways in which it goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pvectl.sim import ha
from pvectl.sim.configs import ROOT_ONLY
from pvectl.sim.inventory import Guest, lock_path, startup_of
from pvectl.sim.refusals import bad_parameters, died
from pvectl.sim.tasks import Pause, Task, TaskError, Worker, abort, fork, locked

if TYPE_CHECKING:
    from pvectl.sim.call import Call
    from pvectl.sim.world import World

SHUTDOWN_WAIT = 60
KILL_WAIT = 10
AGENT_PING = 3.0
STOP_TAKES = 0.4
HALTED = frozenset({"paused", "prelaunch", "suspended"})
"""A VM in such a state would take a request to shut down only when it is resumed."""
QEMU_SHUTDOWN, LXC_SHUTDOWN = "qmshutdown", "vzshutdown"


def start(kind: str) -> Callable[[Call], str]:
    """POST status/start."""

    def answer(call: Call) -> str:
        world, guest = call.world, _guest(call, kind)
        _root_only(call, "skiplock")
        if kind == "lxc" and guest is not None and guest.runs:
            raise died(f"CT {call.vmid} already running")
        world.require_quorum()
        if guest is not None and ha.managed(guest):
            return _queue_ha(call, guest, "start")
        return fork(
            world,
            call.node,
            "qmstart" if kind == "qemu" else "vzstart",
            str(call.vmid),
            call.who,
            starting(world, kind, call.node, call.vmid),
        ).upid

    return answer


def shutdown(kind: str) -> Callable[[Call], str]:
    """POST status/shutdown."""

    def answer(call: Call) -> str:
        world, guest, params = call.world, _guest(call, kind), call.params
        _root_only(call, "skiplock", "keepActive")
        timeout, force = params.get("timeout"), bool(params.get("forceStop"))
        if kind == "lxc" and (guest is None or not guest.runs):
            raise died(f"CT {call.vmid} not running")
        hard = False
        if kind == "qemu" and guest is not None and guest.status in HALTED:
            if not force:
                raise died("VM is paused - cannot shutdown")
            hard = True
        if guest is not None and ha.managed(guest):
            return _queue_ha(call, guest, "stop", timeout=SHUTDOWN_WAIT if timeout is None else timeout)
        if kind == "qemu":
            work = stopping_vm(world, call.node, call.vmid) if hard else shutting_vm_down(world, call.node, call.vmid, timeout, force=force)
            return fork(world, call.node, QEMU_SHUTDOWN, str(call.vmid), call.who, work).upid
        assert guest is not None
        work = shutting_container_down(world, guest, SHUTDOWN_WAIT if timeout is None else timeout, force=force)
        return fork(world, call.node, LXC_SHUTDOWN, str(call.vmid), call.who, work).upid

    return answer


def stop(kind: str) -> Callable[[Call], str]:
    """POST status/stop: pull the plug."""

    def answer(call: Call) -> str:
        world, guest = call.world, _guest(call, kind)
        _root_only(call, "skiplock", "keepActive", "migratedfrom")
        overrule = bool(call.params.get("overrule-shutdown"))
        if kind == "lxc" and (guest is None or not guest.runs):
            raise died(f"CT {call.vmid} not running")
        if guest is not None and ha.managed(guest):
            if overrule:
                raise bad_parameters({"overrule-shutdown": "Not applicable for HA resources."})
            return _queue_ha(call, guest, "stop", timeout=0)
        overruled = _overrule(call, kind) if overrule else []
        work = stopping_vm(world, call.node, call.vmid, overruled) if kind == "qemu" else _stopping_container(world, guest, overruled)
        return fork(world, call.node, "qmstop" if kind == "qemu" else "vzstop", str(call.vmid), call.who, work).upid

    return answer


def suspend(call: Call) -> str:
    """POST status/suspend: a paused QEMU process."""
    world = call.world

    def work(_: Task) -> Worker:
        guest = _configured(world, call.node, call.vmid)
        _refuse_locked(guest)
        if not guest.runs:
            raise TaskError(f"VM {guest.vmid} not running")
        world.set_status(guest, "paused")
        yield Pause(world.now + 0.1)

    return fork(world, call.node, "qmpause", str(call.vmid), call.who, work).upid


def resume(call: Call) -> str:
    """POST status/resume."""
    world = call.world

    def work(_: Task) -> Worker:
        guest = _configured(world, call.node, call.vmid)
        if guest.status == "paused":
            world.set_status(guest, "running")
        yield Pause(world.now + 0.1)

    return fork(world, call.node, "qmresume", str(call.vmid), call.who, work).upid


def asking_ha(world: World, guest: Guest, wish: str, timeout: int | None) -> Callable[[Task], Worker]:
    """What a hastart or hastop worker does: it hands in a request and is done."""

    def work(task: Task) -> Worker:
        task.lines.append(f"Requesting HA {wish} for {'VM' if guest.type == 'qemu' else 'CT'} {guest.vmid}")
        yield Pause(world.now + 2.0)
        ha.request(world, guest, wish, timeout)

    return work


def migrating(world: World, guest: Guest, to: str, takes: float) -> Callable[[Task], Worker]:
    """What a qmigrate or vzmigrate worker does: the guest is locked, and moves at the very end."""

    def work(task: Task) -> Worker:
        _refuse_locked(guest)
        guest.config["lock"] = "migrate"
        if guest.type == "qemu" and guest.runs:
            guest.arriving_at = to
        task.lines.append(f"starting migration of {'VM' if guest.type == 'qemu' else 'CT'} {guest.vmid} to node '{to}'")
        try:
            yield Pause(world.now + takes)
        finally:
            guest.config.pop("lock", None)
            guest.arriving_at = None
        world.touch(guest)
        guest.node = world.nodes[to].name
        task.lines.append("migration finished successfully")
        world.note("guest migrated", guest.vmid, to)

    return work


def starting(world: World, kind: str, node: str, vmid: int) -> Callable[[Task], Worker]:
    """What a qmstart or vzstart worker does."""
    word, thing = ("VM", "vm") if kind == "qemu" else ("CT", "CT")

    def work(task: Task) -> Worker:
        guest = _configured(world, node, vmid, kind)
        yield from locked(world, task, guest, lock_path(kind, vmid))
        if kind == "lxc":
            _refuse_locked(guest)
        if guest.template:
            raise TaskError(f"you can't start a {thing} if it's a template")
        if guest.lock == "backup" and guest.runs:
            # a backup has started the process; the guest goes on in it
            world.set_status(guest, "running")
            return
        if guest.lock != "suspended":
            _refuse_locked(guest)
        if guest.runs:
            raise TaskError(f"{word} {vmid} already running")
        yield Pause(world.now + guest.start_s)
        if guest.start_error is not None:
            raise TaskError(guest.start_error)
        for warning in guest.start_warnings:
            task.warn(warning)
        if guest.lock == "suspended":
            del guest.config["lock"]
        if not _alive(guest):
            world.bring_up(guest)

    return work


def shutting_vm_down(
    world: World, node: str, vmid: int, timeout: int | None, *, force: bool, skip_lock: bool = False
) -> Callable[[Task], Worker]:
    """What a qmshutdown worker does (qemu-server PVE/QemuServer.pm _do_vm_stop)."""

    def work(task: Task) -> Worker:
        guest = _configured(world, node, vmid)
        yield from locked(world, task, guest, lock_path("qemu", vmid))
        if not guest.runs:
            return
        if not skip_lock:
            _refuse_locked(guest)
        wait = timeout if timeout is not None else startup_of(guest).down or SHUTDOWN_WAIT
        mute = guest.agent_enabled and guest.agent != "ok"
        task.frees_at = world.now + wait + (AGENT_PING if mute else 0)
        if mute:
            yield Pause(world.now + AGENT_PING, guest)
            channel = "qga" if world.since_9 else "qmp"
            task.lines.append(f"QEMU Guest Agent is not running - VM {vmid} {channel} command 'guest-ping' failed - got timeout")
        world.ask_to_shut_down(guest)
        deadline = world.now + wait
        yield from _until_down(world, guest, deadline)
        if not _alive(guest):
            return
        if not force:
            raise TaskError("VM quit/powerdown failed - got timeout")
        task.lines.append("VM still running - terminating now with SIGTERM")
        yield from _kill(world, guest)

    return work


def stopping_vm(world: World, node: str, vmid: int, overruled: list[str] | None = None) -> Callable[[Task], Worker]:
    """What a qmstop worker does."""

    def work(task: Task) -> Worker:
        guest = _configured(world, node, vmid)
        if overruled:
            task.lines.append(f"overruled qmshutdown tasks: {', '.join(overruled)}")
        yield from locked(world, task, guest, lock_path("qemu", vmid))
        if guest.runs:
            _refuse_locked(guest)
            yield from _kill(world, guest)

    return work


def shutting_container_down(world: World, guest: Guest, timeout: int, *, force: bool) -> Callable[[Task], Worker]:
    """What a vzshutdown worker does: a failed one takes twice the timeout and five seconds (pve-container PVE/LXC.pm vm_stop)."""

    def work(task: Task) -> Worker:
        yield from locked(world, task, guest, lock_path("lxc", guest.vmid))
        if not guest.runs:
            return
        _refuse_locked(guest)
        world.ask_to_shut_down(guest)
        # lxc-stop takes a timeout of 0 as "wait for ever", and so does the worker
        deadline = float("inf") if timeout == 0 and not force else world.now + timeout
        task.frees_at = deadline + (0 if force else timeout + 5)
        yield from _until_down(world, guest, deadline)
        if _alive(guest) and force:
            yield from _kill(world, guest)
        yield from _until_down(world, guest, world.now + timeout + 5)
        if _alive(guest):
            raise TaskError("container did not stop")

    return work


def _stopping_container(world: World, guest: Guest | None, overruled: list[str]) -> Callable[[Task], Worker]:
    def work(task: Task) -> Worker:
        assert guest is not None
        if overruled:
            task.lines.append(f"overruled vzshutdown tasks: {', '.join(overruled)}")
        yield from locked(world, task, guest, lock_path("lxc", guest.vmid))
        if guest.runs:
            _refuse_locked(guest)
            yield from _kill(world, guest)

    return work


def _alive(guest: Guest) -> bool:
    return guest.runs


def _until_down(world: World, guest: Guest, deadline: float) -> Worker:
    while guest.runs and world.now < deadline:
        yield Pause(deadline, guest)


def _kill(world: World, guest: Guest) -> Worker:
    yield Pause(world.now + STOP_TAKES, guest)
    world.bring_down(guest, "killed")


def _overrule(call: Call, kind: str) -> list[str]:
    wanted = QEMU_SHUTDOWN if kind == "qemu" else LXC_SHUTDOWN
    overruled = []
    for task in list(call.world.tasks):
        if not (task.running and task.type == wanted and task.id == str(call.vmid) and task.node == call.node):
            continue
        if task.user == call.who or call.holds(f"/nodes/{call.node}", "Sys.Modify"):
            abort(call.world, task, "received interrupt" if kind == "qemu" else "unexpected status", last_line=kind == "qemu")
            overruled.append(task.upid)
    return overruled


def _queue_ha(call: Call, guest: Guest, wish: str, *, timeout: int | None = None) -> str:
    return fork(call.world, call.node, f"ha{wish}", str(guest.vmid), call.who, asking_ha(call.world, guest, wish, timeout)).upid


def _guest(call: Call, kind: str) -> Guest | None:
    return call.world.guest_at(kind, call.node, call.vmid)


def _configured(world: World, node: str, vmid: int, kind: str = "qemu") -> Guest:
    guest = world.guest_at(kind, node, vmid)
    if guest is None:
        word = "VM" if kind == "qemu" else "CT"
        raise TaskError(f"unable to find configuration file for {word} {vmid} on node '{node}'")
    return guest


def _refuse_locked(guest: Guest) -> None:
    if guest.lock is not None:
        raise TaskError(f"{'VM' if guest.type == 'qemu' else 'CT'} is locked ({guest.lock})")


def _root_only(call: Call, *names: str) -> None:
    wrong: dict[str, Any] = {name: ROOT_ONLY for name in names if call.params.get(name)}
    if wrong and call.who != "root@pam":
        raise bad_parameters(wrong)
