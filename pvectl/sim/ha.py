"""The HA manager: what it is asked for, what it does about it, and what it reports (pve-ha-manager PVE/API2/HA)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pvectl.sim.inventory import Guest
from pvectl.sim.tasks import fork

if TYPE_CHECKING:
    from pvectl.sim.call import Call
    from pvectl.sim.world import World

CRM_ROUND = 10.0


def running(world: World) -> bool:
    """Whether a CRM and LRMs are at work; without them requests only queue."""
    return bool(world.ha.get("manager", True)) and world.name is not None


def request(world: World, guest: Guest, wish: str, timeout: int | None) -> None:
    """The guest's resource is asked to start or stop; the request stays in force until the opposite comes."""
    assert guest.ha is not None
    guest.ha["state"] = "started" if wish == "start" else "stopped"
    world.note("HA request", guest.vmid, wish)
    if running(world):
        guest.ha["crm_state"] = "request_start" if wish == "start" else "request_stop"
        world.timeline.after(CRM_ROUND, lambda: _carry_out(world, guest, wish, timeout))


def _carry_out(world: World, guest: Guest, wish: str, timeout: int | None) -> None:
    from pvectl.sim.power import shutting_container_down, shutting_vm_down, starting, stopping_vm

    if guest.ha is None or not running(world) or not world.quorate():
        return
    node, vmid = guest.node, guest.vmid
    if wish == "start" and guest.ha["state"] == "started":
        if not guest.runs:
            fork(
                world,
                node,
                "qmstart" if guest.type == "qemu" else "vzstart",
                str(vmid),
                "root@pam",
                starting(world, guest.type, node, vmid),
            )
        guest.ha["crm_state"] = "started"
    elif wish == "stop" and guest.ha["state"] == "stopped":
        if guest.runs:
            wait = 60 if timeout is None else timeout
            if guest.type == "lxc":
                work, kind = shutting_container_down(world, guest, wait, force=False), "vzshutdown"
            elif wait == 0:
                work, kind = stopping_vm(world, node, vmid), "qmstop"
            else:
                # the LRM stops a VM with force whatever the caller asked for (PVE/HA/Resources/PVEVM.pm)
                work, kind = shutting_vm_down(world, node, vmid, wait, force=True), "qmshutdown"
            fork(world, node, kind, str(vmid), "root@pam", work)
            _settle(world, guest)
        else:
            guest.ha["crm_state"] = "stopped"


def _settle(world: World, guest: Guest) -> None:
    if guest.ha is not None and guest.ha["state"] == "stopped":
        if guest.runs:
            world.timeline.after(CRM_ROUND, lambda: _settle(world, guest))
        else:
            guest.ha["crm_state"] = "stopped"


def sid_of(guest: Guest) -> str:
    """`vm:100` or `ct:200`."""
    return f"{'vm' if guest.type == 'qemu' else 'ct'}:{guest.vmid}"


def list_resources(call: Call) -> list[dict[str, Any]]:
    """GET /cluster/ha/resources."""
    rows = []
    for guest in call.world.guests.values():
        if guest.ha is None:
            continue
        row = {"sid": sid_of(guest), "type": sid_of(guest)[:2], "state": guest.ha.get("state", "started"), "digest": guest.digest()}
        row |= {key: guest.ha[key] for key in ("max_restart", "max_relocate", "group", "comment", "failback") if key in guest.ha}
        rows.append(row)
    return rows


def status(call: Call) -> list[dict[str, Any]]:
    """GET /cluster/ha/status/current."""
    world, here, now = call.world, call.node, int(call.world.now)
    quorate = world.quorate()
    rows: list[dict[str, Any]] = [
        {
            "id": "quorum",
            "type": "quorum",
            "node": here,
            "quorate": int(quorate),
            "status": "OK" if quorate else f"No quorum on node '{here}'!",
        }
    ]
    services = [guest for guest in world.guests.values() if guest.ha is not None]
    active = running(world) and bool(services or world.ha.get("master"))
    if active:
        online = [node.name for node in world.members if node.online]
        master = world.ha.get("master") or (online[0] if online else here)
        alive = quorate and master in online
        state = "active" if alive else "old timestamp - dead?"
        rows.append({"id": "master", "type": "master", "node": master, "timestamp": now, "status": f"{master} ({state}, {_stamp(now)})"})
        for node in world.members:
            mode = node.ha_state if node.ha_state == "maintenance" else "active" if any(g.node == node.name for g in services) else "idle"
            mode = mode if node.online else "old timestamp - dead?"
            rows.append(
                {
                    "id": f"lrm:{node.name}",
                    "type": "lrm",
                    "node": node.name,
                    "timestamp": now,
                    "status": f"{node.name} ({mode}, {_stamp(now)})",
                }
            )
    if world.since_9 and quorate:
        armed = "armed" if active else "standby"
        rows.append(
            {
                "id": "fencing",
                "type": "fencing",
                "node": here,
                "armed-state": armed,
                "status": "armed" if active else "standby (CRM watchdog standby)",
            }
        )
    rows += [_service_row(world, guest) for guest in services]
    return rows


def _service_row(world: World, guest: Guest) -> dict[str, Any]:
    ha, sid = guest.ha or {}, sid_of(guest)
    wanted = ha.get("state", "started")
    state = ha.get("crm_state") or (wanted if running(world) else "queued")
    row: dict[str, Any] = {
        "id": f"service:{sid}",
        "type": "service",
        "sid": sid,
        "node": guest.node,
        "request_state": wanted,
        "state": state,
        "status": f"{sid} ({guest.node}, {state})",
        "max_relocate": ha.get("max_relocate", 1),
        "max_restart": ha.get("max_restart", 1),
    }
    if world.since_9:
        row["failback"] = ha.get("failback", 1)
    if running(world):
        row["crm_state"] = state
    if ha.get("group") and not world.since_9:
        row["group"] = ha["group"]
    return row


def _stamp(epoch: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(epoch, UTC).strftime("%a %b %e %H:%M:%S %Y")
