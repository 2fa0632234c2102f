"""Many guests at once: stopall, and the bulk actions of 9.1 (pve-manager PVE/API2/Nodes.pm, PVE/API2/Cluster/BulkAction.pm)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pvectl.sim.inventory import Guest, startup_of
from pvectl.sim.parameters import NODE, SWITCH, Parameter, Schema
from pvectl.sim.power import HALTED, managed, shutting_container_down, shutting_vm_down, stopping_vm
from pvectl.sim.tags import split_tags
from pvectl.sim.tasks import Pause, Task, TaskError, Worker, fork

if TYPE_CHECKING:
    from pvectl.sim.call import Call
    from pvectl.sim.world import World

LAST = 2**63
NOTICES_AFTER = 2.0
VMID_LIST = re.compile(r"[1-9]\d{2,8}([,;\s][1-9]\d{2,8})*")
WAIT = Parameter(kind="integer", low=0, high=7200)
STOPALL: Schema = {
    "node": NODE,
    "vms": Parameter(
        is_list=True, wrong=lambda text: None if VMID_LIST.fullmatch(text) else "invalid format - value does not look like a valid VM ID\n"
    ),
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
    vmids = set(params["vms"]) if "vms" in params else None
    timeout, force = params.get("timeout", 180), bool(params.get("force-stop", 1))

    def work(task: Task) -> Worker:
        guests = [
            guest
            for guest in world.guests.values()
            if guest.runs and not guest.template and (guest.vmid in vmids if vmids is not None else not managed(guest))
        ]
        if guests:
            task.lines.append("Shutting down guests: " + ", ".join(str(guest.vmid) for guest in sorted(guests, key=_vmid)))
        line = "Shutting down {word} {vmid} (Timeout = {timeout} seconds)"
        yield from _in_order(world, guests, Manner(timeout=timeout, force=force, who=call.who, line=line), task)
        left = [str(guest.vmid) for guest in guests if guest.runs]
        if left:
            raise TaskError(f"Some guests failed to shutdown {', '.join(left)}")

    return fork(world, call.node, "bulk-shutdown", "", call.who, work).upid


def stopping_all(world: World, node: str, vmids: list[int] | None, timeout: int, who: str, *, force: bool) -> Callable[[Task], Worker]:
    """What a stopall worker does: startup order descending, guests without an order first; HA-managed ones only when named."""

    def work(task: Task) -> Worker:
        guests = [
            guest
            for guest in world.guests_on(node)
            if guest.runs and not guest.template and (guest.vmid in vmids if vmids is not None else not managed(guest))
        ]
        line = "Stopping {word} {vmid} (timeout = {timeout} seconds)"
        yield from _in_order(world, guests, Manner(timeout=timeout, force=force, who=who, line=line), task)

    return work


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How a round of shutdowns is done."""

    timeout: int
    force: bool
    who: str
    line: str
    """What the log says for each guest."""


def _in_order(world: World, guests: list[Guest], manner: Manner, task: Task) -> Worker:
    orders = sorted({_order(guest) for guest in guests}, reverse=True)
    for order in orders:
        children: list[Task] = []
        for guest in sorted((guest for guest in guests if _order(guest) == order), key=_vmid, reverse=True):
            if not guest.runs:
                continue
            down = startup_of(guest).down
            wait = manner.timeout if down is None else down
            task.lines.append(manner.line.format(word="VM" if guest.type == "qemu" else "CT", vmid=guest.vmid, timeout=wait))
            if guest.status in HALTED and not manner.force:
                task.lines.append("VM is paused - cannot shutdown")
                continue
            children.append(_child(world, guest, wait, manner.who, force=manner.force))
        while any(child.running for child in children):
            yield Pause(world.now + 1.0)
        if children:
            # the worker needs that long to notice (recorded on PVE 9.2: 5.4 s for a guest that takes 3)
            yield Pause(world.now + NOTICES_AFTER)


def _child(world: World, guest: Guest, wait: int, who: str, *, force: bool) -> Task:
    work: Any
    if guest.type == "qemu" and guest.status in HALTED:
        kind, work = "qmshutdown", stopping_vm(world, guest.node, guest.vmid)
    elif guest.type == "qemu":
        kind, work = "qmshutdown", shutting_vm_down(world, guest.node, guest.vmid, wait, force=force)
    else:
        kind, work = "vzshutdown", shutting_container_down(world, guest, wait, force=force)
    return fork(world, guest.node, kind, str(guest.vmid), who, work)


def _order(guest: Guest) -> int:
    order = startup_of(guest).order
    return LAST if order is None else order


def _vmid(guest: Guest) -> int:
    return guest.vmid
