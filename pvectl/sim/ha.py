"""The HA manager: what it is asked for, what it does about it, and what it reports (pve-ha-manager PVE/API2/HA)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pvectl.sim.inventory import Guest, Node
from pvectl.sim.tasks import fork

if TYPE_CHECKING:
    from pvectl.sim.call import Call
    from pvectl.sim.world import World

CRM_ROUND = 10.0
LRM_ROUND = 5.0
DEAD = "old timestamp - dead?"


def running(world: World) -> bool:
    """Whether a CRM and LRMs are at work; without them requests only queue."""
    return bool(world.ha.get("manager", True)) and world.name is not None


def managed(guest: Guest) -> bool:
    """Whether the HA manager decides over the guest."""
    return guest.ha is not None and guest.ha.get("state", "started") != "ignored"


def manager_state(world: World, guest: Guest) -> str | None:
    """The state the manager has the guest's service in; None while it knows nothing of it."""
    ha = guest.ha
    if ha is None or not running(world) or ha.get("state") == "ignored":
        return None
    state: str = ha.get("crm_state") or ("started" if ha.get("state", "started") == "started" else "stopped")
    return state


def shown_state(world: World, guest: Guest) -> str:
    """The state as the status page words it (pve-ha-manager PVE/HA/Tools.pm get_verbose_service_state)."""
    wanted = (guest.ha or {}).get("state", "started")
    state = manager_state(world, guest)
    if wanted == "ignored":
        return "ignored"
    if state is None:
        return "queued"
    if state == "stopped":
        return {"started": "starting", "disabled": "disabled"}.get(wanted, state)
    if state == "started":
        if not guest.runs:
            return "starting"
        return "stopping" if wanted in {"stopped", "disabled"} else state
    return "clearing error flag" if state == "error" and wanted == "disabled" else state


def request(world: World, guest: Guest, wish: str, timeout: int | None) -> None:
    """Ask the manager to start or stop the guest's service.

    A start changes the resource at once (`ha-manager set`); a stop waits for the manager's next round (`crm-command stop`). Either
    stays in force until the opposite comes.
    """
    assert guest.ha is not None
    world.note("HA request", guest.vmid, wish)
    if wish == "start":
        guest.ha["state"] = "started"
    if running(world):
        world.timeline.after(CRM_ROUND, lambda: _hear(world, guest, wish, timeout))


def _hear(world: World, guest: Guest, wish: str, timeout: int | None) -> None:
    if guest.ha is None or not running(world) or not world.quorate():
        return
    if wish == "stop":
        guest.ha["state"], guest.ha["crm_state"] = "stopped", "request_stop"
    world.timeline.after(LRM_ROUND, lambda: _carry_out(world, guest, wish, timeout))


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
    master = master_of(world) or here
    if active:
        alive = quorate and world.nodes[master].online
        text = f"{master} ({'active' if alive else DEAD}, {_stamp(now)})"
        rows.append({"id": "master", "type": "master", "node": master, "timestamp": now, "status": text})
    if world.since_9:
        text = "armed (CRM watchdog active)" if active else "standby (CRM watchdog standby)"
        text = str(world.ha.get("armed", text))
        rows.append({"id": "fencing", "type": "fencing", "node": master, "armed-state": text.split()[0], "status": text})
    if active:
        rows += [_lrm_row(world, node, busy=any(guest.node == node.name for guest in services)) for node in world.members]
    return rows + [_service_row(world, guest) for guest in services]


def master_of(world: World) -> str | None:
    """The node whose CRM decides."""
    named = world.ha.get("master")
    return str(named) if named else next((node.name for node in world.members if node.online), None)


def node_state(world: World, node: Node) -> str | None:
    """What the manager calls a node; None when none is at work."""
    if node.ha_state is not None:
        return node.ha_state
    if not running(world) or not any(guest.ha is not None for guest in world.guests.values()):
        return None
    return "online" if node.online else "unknown"


def _lrm_row(world: World, node: Node, *, busy: bool) -> dict[str, Any]:
    now = int(world.now)
    watchdog = "active" if busy and node.online else "standby"
    if not node.online:
        mode = DEAD
    elif node.ha_state == "maintenance":
        mode = "maintenance mode"
    elif node.powering_off:
        mode = "restart mode" if node.powering_off == "reboot" else "shutdown mode"
    else:
        mode = "active" if busy else "idle"
    words = [mode, f"watchdog {watchdog}", _stamp(now)] if world.since_9 else [mode, _stamp(now)]
    return {"id": f"lrm:{node.name}", "type": "lrm", "node": node.name, "timestamp": now, "status": f"{node.name} ({', '.join(words)})"}


def _service_row(world: World, guest: Guest) -> dict[str, Any]:
    ha, sid = guest.ha or {}, sid_of(guest)
    wanted = ha.get("state", "started")
    state = shown_state(world, guest)
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
    if (inner := manager_state(world, guest)) is not None:
        row["crm_state"] = inner
    if ha.get("group") and not world.since_9:
        row["group"] = ha["group"]
    return row


def _stamp(epoch: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(epoch, UTC).strftime("%a %b %e %H:%M:%S %Y")
