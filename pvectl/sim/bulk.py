"""Many guests at once: stopall, and the bulk actions of 9.1 (pve-manager PVE/API2/Nodes.pm, PVE/API2/Cluster/BulkAction.pm)."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pvectl.sim import ha
from pvectl.sim.inventory import Guest, startup_of
from pvectl.sim.parameters import NODE, SWITCH, Parameter, Schema
from pvectl.sim.power import HALTED, asking_ha, shutting_container_down, shutting_vm_down, stopping_vm
from pvectl.sim.tags import split_tags
from pvectl.sim.tasks import Pause, Task, TaskError, Worker, fork

if TYPE_CHECKING:
    from pvectl.sim.call import Call
    from pvectl.sim.world import World

LAST = 2**63
NOTICES_AFTER = 2.0
VMID_LIST = re.compile(r"[1-9]\d{2,8}([,;\s][1-9]\d{2,8})*")
WAIT = Parameter(kind="integer", low=0, high=7200)
VMIDS = Parameter(
    is_list=True, wrong=lambda text: None if VMID_LIST.fullmatch(text) else "invalid format - value does not look like a valid VM ID\n"
)
STOPALL: Schema = {
    "node": NODE,
    "vms": VMIDS,
    "force-stop": SWITCH,
    "timeout": WAIT,
    "max-workers": Parameter(kind="integer", low=1, high=64),
}
BULK_SHUTDOWN: Schema = {
    "vms": Parameter(kind="array", items=Parameter(kind="integer", low=100)),
    "force-stop": SWITCH,
    "timeout": WAIT,
    "max-workers": Parameter(kind="integer", low=1, high=64),
}


def may_stop_all(call: Call) -> None:
    """VM.PowerMgmt on / (on /vms is not enough), or on each guest that is named."""
    vms = call.params.get("vms")
    named = [str(vmid) for vmid in vms] if isinstance(vms, list) else split_tags(str(vms or ""))
    if not named:
        call.require("/", "VM.PowerMgmt")
    for vmid in named:
        if vmid.isdigit():
            call.require(f"/vms/{vmid}", "VM.PowerMgmt")


def stop_all(call: Call) -> str:
    """POST /nodes/N/stopall: forces by default, and ends OK whatever became of the guests."""
    params = call.params
    vmids = [int(vmid) for vmid in split_tags(params["vms"])] if "vms" in params else None
    work = stopping_all(call.world, call.node, vmids, params.get("timeout", 180), call.who, force=bool(params.get("force-stop", 1)))
    return fork(call.world, call.node, "stopall", "", call.who, work).upid


def bulk_shutdown(call: Call) -> str:
    """POST /cluster/bulk-action/guest/shutdown: across nodes, and an error when a guest would not go."""
    # PVE checks this inside the call, so that a wrong parameter comes first
    may_stop_all(call)
    world, params = call.world, call.params
    vmids = list(params["vms"]) if "vms" in params else None
    manner = Manner(
        timeout=params.get("timeout", 180),
        force=bool(params.get("force-stop", 1)),
        who=call.who,
        line="Shutting down {word} {vmid} (Timeout = {timeout} seconds)",
        workers=params.get("max-workers") or world.options.get("max_workers") or 4,
    )

    def work(task: Task) -> Worker:
        task.lines.append(f"Shutting down guests: {', '.join(map(str, vmids))}" if vmids else "Shutting down all guests")
        guests = []
        failed: list[Guest] = []
        for guest in sorted(_wanted(world.guests.values(), vmids), key=_vmid):
            if not world.nodes[guest.node].online:
                task.warn("595 Connection refused")
                failed.append(guest)
            elif not guest.runs:
                task.warn(f"Skipping {_word(guest)} {guest.vmid}, not running.")
            elif guest.status in HALTED and not manner.force:
                task.warn(f"Skipping {_word(guest)} {guest.vmid}, resume paused VM before shutdown.")
            else:
                guests.append(guest)
        children = yield from _in_order(world, guests, manner, task)
        for guest, child in children:
            if child.failed:
                task.warn(f"Stopping {_word(guest)} {guest.vmid} failed: {child.status}")
                failed.append(guest)
        if failed:
            raise TaskError(f"Some guests failed to shutdown {', '.join(str(guest.vmid) for guest in failed)}")

    return fork(world, call.node, "bulk-shutdown", "", call.who, work).upid


def stopping_all(world: World, node: str, vmids: list[int] | None, timeout: int, who: str, *, force: bool) -> Callable[[Task], Worker]:
    """What a stopall worker does: startup order descending, guests without an order first; HA-managed ones only when named."""
    processors = world.nodes[node].maxcpu
    manner = Manner(
        timeout=timeout,
        force=force,
        who=who,
        line="Stopping {word} {vmid} (timeout = {timeout} seconds)",
        workers=world.options.get("max_workers") or min(max(1, processors - 1), 8),
    )

    def work(task: Task) -> Worker:
        guests = [guest for guest in _wanted(world.guests_on(node), vmids) if guest.runs]
        yield from _in_order(world, guests, manner, task)

    return work


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a round of shutdowns is done."""

    timeout: int
    force: bool
    who: str
    line: str
    """What the log says for each guest."""
    workers: int
    """How many at once."""


def _wanted(guests: Iterable[Guest], vmids: list[int] | None) -> list[Guest]:
    """Templates never, guests under HA only when named."""
    return [guest for guest in guests if not guest.template and (guest.vmid in vmids if vmids is not None else not ha.managed(guest))]


def _in_order(world: World, guests: list[Guest], manner: Manner, task: Task) -> Generator[Pause, None, list[tuple[Guest, Task]]]:
    """Order after order; gives the task of every guest."""
    everything: list[tuple[Guest, Task]] = []
    for order in sorted({_order(guest) for guest in guests}, reverse=True):
        children: list[tuple[Guest, Task]] = []
        for guest in sorted((guest for guest in guests if _order(guest) == order), key=_vmid, reverse=True):
            while sum(child.running for _, child in children) >= manner.workers:
                yield Pause(world.now + 1.0)
            if not guest.runs:
                continue
            down = startup_of(guest).down
            wait = manner.timeout if down is None else down
            task.lines.append(manner.line.format(word=_word(guest), vmid=guest.vmid, timeout=wait))
            if guest.status in HALTED and not manner.force:
                task.lines.append("VM is paused - cannot shutdown")
                continue
            children.append((guest, _child(world, guest, wait, manner)))
        while any(child.running for _, child in children):
            yield Pause(world.now + 1.0)
        if children:
            # the worker needs that long to notice (recorded on PVE 9.2: 5.4 s for a guest that takes 3)
            yield Pause(world.now + NOTICES_AFTER)
        everything += children
    return everything


def _child(world: World, guest: Guest, wait: int, manner: Manner) -> Task:
    work: Any
    if ha.managed(guest):
        kind, work = "hastop", asking_ha(world, guest, "stop", wait)
    elif guest.type == "qemu" and guest.status in HALTED:
        kind, work = "qmshutdown", stopping_vm(world, guest.node, guest.vmid)
    elif guest.type == "qemu":
        kind, work = "qmshutdown", shutting_vm_down(world, guest.node, guest.vmid, wait, force=manner.force)
    else:
        kind, work = "vzshutdown", shutting_container_down(world, guest, wait, force=manner.force)
    return fork(world, guest.node, kind, str(guest.vmid), manner.who, work)


def _word(guest: Guest) -> str:
    return "VM" if guest.type == "qemu" else "CT"


def _order(guest: Guest) -> int:
    order = startup_of(guest).order
    return LAST if order is None else order


def _vmid(guest: Guest) -> int:
    return guest.vmid
