"""Guests as the API shows them live: the per-node lists, status/current, snapshots."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pvectl.sim import ha
from pvectl.sim.inventory import Guest, config_path
from pvectl.sim.refusals import died
from pvectl.sim.tags import wrong_tags

if TYPE_CHECKING:
    from pvectl.sim.call import Call, Handler
    from pvectl.sim.world import World

PRESSURE = ("pressurecpufull", "pressurecpusome", "pressureiofull", "pressureiosome", "pressurememoryfull", "pressurememorysome")


def cpu_of(guest: Guest, now: float) -> float:
    """A load that breathes a little and is the same whenever it is asked for the same moment."""
    if not guest.runs or guest.status == "paused":
        return 0
    return round(guest.load * (1 + 0.2 * math.sin(now / 97 + guest.vmid)), 15)


def mem_of(guest: Guest) -> int:
    """Bytes in use."""
    return int(guest.maxmem * guest.memory_used) if guest.runs else 0


def uptime_of(started_at: float | None, now: float) -> int:
    """Whole seconds."""
    return 0 if started_at is None else max(0, int(now - started_at))


def traffic_of(started_at: float | None, now: float, vmid: int) -> dict[str, int]:
    """Counters that grow while the guest runs."""
    seconds = uptime_of(started_at, now)
    return {"netin": seconds * (400 + vmid % 100), "netout": seconds * (150 + vmid % 50)}


def find(call: Call, kind: str) -> Guest:
    """The guest in the path, or PVE's text for a configuration file that does not exist."""
    guest = call.world.guest_at(kind, call.node, call.vmid)
    if guest is None:
        raise died(f"Configuration file '{config_path(kind, call.node, call.vmid)}' does not exist")
    return guest


def list_qemu(call: Call) -> list[dict[str, Any]]:
    """GET /nodes/N/qemu: live, and silently without the guests the caller may not audit."""
    return _list(call, "qemu", full=bool(call.params.get("full")))


def list_lxc(call: Call) -> list[dict[str, Any]]:
    """GET /nodes/N/lxc."""
    return _list(call, "lxc")


def current(kind: str) -> Handler:
    """GET status/current."""

    def answer(call: Call) -> dict[str, Any]:
        guest = find(call, kind)
        row = _row(call.world, guest, full=True)
        row["ha"] = {"managed": 1, **ha_fields(call.world, guest)} if ha.managed(guest) else {"managed": 0}
        if kind == "qemu":
            if "vga" in guest.config:
                row["clipboard"] = None
            if guest.agent_enabled:
                row["agent"] = 1
        return row

    return answer


def ha_fields(world: World, guest: Guest) -> dict[str, Any]:
    """What the HA manager knows about a guest of its own."""
    known = {"state": ha.manager_state(world, guest)}
    return known if world.since_9 else {**known, "group": (guest.ha or {}).get("group")}


def snapshots(kind: str) -> Handler:
    """GET snapshot: every snapshot, and `current` as "You are here!"."""

    def answer(call: Call) -> list[dict[str, Any]]:
        guest = find(call, kind)
        rows = []
        for name, snapshot in guest.snapshots.items():
            row = {"name": name, "snaptime": int(snapshot.get("snaptime", 0)), "description": str(snapshot.get("description", ""))}
            if kind == "qemu":
                row["vmstate"] = int("vmstate" in snapshot)
            if "parent" in snapshot:
                row["parent"] = snapshot["parent"]
            rows.append(row)
        here: dict[str, Any] = {"name": "current", "description": "You are here!", "digest": guest.digest()}
        if kind == "qemu":
            here["running"] = int(guest.runs)
        if "parent" in guest.config:
            here["parent"] = guest.config["parent"]
        return [*rows, here]

    return answer


def _list(call: Call, kind: str, *, full: bool = False) -> list[dict[str, Any]]:
    sees = call.world.access.sees_guest(call.who, "VM.Audit")
    return [_row(call.world, guest, full=full) for guest in call.world.guests_on(call.node, kind) if sees(guest.vmid)]


def _row(world: World, guest: Guest, *, full: bool) -> dict[str, Any]:
    now = world.now
    row: dict[str, Any] = {
        "vmid": guest.vmid,
        "name": guest.name,
        "status": "running" if guest.runs else "stopped",
        "cpu": cpu_of(guest, now),
        "cpus": guest.maxcpu,
        "mem": mem_of(guest),
        "maxmem": guest.maxmem,
        "disk": 0,
        "maxdisk": guest.maxdisk,
        "uptime": uptime_of(guest.started_at, now),
        **traffic_of(guest.started_at, now, guest.vmid),
    }
    if guest.tags.strip() and wrong_tags(guest.tags) is None:
        row["tags"] = guest.tags
    if guest.lock is not None:
        row["lock"] = guest.lock
    if guest.template:
        row["template"] = 1
    if guest.runs:
        row["pid"] = guest.pid
    if guest.type == "lxc":
        row |= {"type": "lxc", "diskread": 0, "diskwrite": 0, "maxswap": guest.maxswap, "swap": 0}
        if guest.runs:
            row["disk"] = guest.maxdisk // 4
    else:
        if any(key.startswith("serial") for key in guest.config):
            row["serial"] = 1
        if full:
            row["qmpstatus"] = guest.status
    if world.since_9 and guest.type == "qemu":
        row["memhost"] = mem_of(guest)
    if world.since_9 and guest.runs:
        row |= dict.fromkeys(PRESSURE, 0)
    return row
