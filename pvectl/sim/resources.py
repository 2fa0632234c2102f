"""GET /cluster/resources: what the nodes' broadcasts last told, beside what pmxcfs knows at once (pve-manager PVE/API2Tools.pm)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pvectl.sim import ha
from pvectl.sim.guests import cpu_of, traffic_of, uptime_of

if TYPE_CHECKING:
    from pvectl.sim.call import Call
    from pvectl.sim.inventory import Guest, Node
    from pvectl.sim.world import World

FORGOTTEN_AFTER = 300.0
POOL_SUMS = ("maxcpu", "mem", "maxmem")


def resources(call: Call) -> list[dict[str, Any]]:
    """All rows, or those of one type."""
    kind, world = call.params.get("type"), call.world
    guests = guest_rows(call) if kind in (None, "vm") else []
    rows: list[dict[str, Any]] = []
    if kind is None:
        rows += _pool_rows(call, guests)
    rows += guests
    if kind in (None, "storage"):
        rows += storage_rows(call)
    if kind in (None, "node"):
        rows += [{**node_row(call, node), **_only_here(world, node)} for node in world.members]
    if kind is None or (kind == "sdn" and not world.since_9):
        rows += _zone_rows(call)
    return rows


def guest_rows(call: Call, vmids: list[int] | None = None) -> list[dict[str, Any]]:
    """The guests the caller may audit; the others are left out without a word."""
    world = call.world
    now, access = world.now, world.access
    sees = access.sees_guest(call.who, "VM.Audit")
    pools = {vmid: pool for pool, members in access.pools.items() if call.holds(f"/pool/{pool}", "Pool.Audit") for vmid in members}
    told = {name: node.last_broadcast(now) for name, node in world.nodes.items()}
    wanted = world.guests.values() if vmids is None else (world.guests[vmid] for vmid in vmids if vmid in world.guests)
    rows = []
    for guest in wanted:
        if not sees(guest.vmid):
            continue
        row = _guest_row(world, guest, told[guest.node], now)
        if guest.vmid in pools:
            row["pool"] = pools[guest.vmid]
        rows.append(row)
    return rows


def node_row(call: Call, node: Node) -> dict[str, Any]:
    """A node: its status for everybody, its figures only with Sys.Audit."""
    now = call.world.now
    told = node.last_broadcast(now)
    known = told is not None and now - told <= FORGOTTEN_AFTER
    row: dict[str, Any] = {"id": f"node/{node.name}", "node": node.name, "type": "node", "status": "unknown"}
    if known:
        row["level"] = ""
        if node.online:
            row["status"] = "online"
        if call.holds(f"/nodes/{node.name}", "Sys.Audit"):
            row |= {"maxcpu": node.maxcpu, "maxmem": node.maxmem, "maxdisk": node.maxdisk}
            if node.online:
                assert told is not None
                if node.busy is None or node.busy[0] != told:
                    node.busy = (told, *node_load(call.world, node))
                row |= {"uptime": node.uptime(told), "cpu": node.busy[1], "mem": node.busy[2], "disk": node.disk}
    if not node.online and call.world.name is not None:
        row["status"] = "offline"
    return row


def node_load(world: World, node: Node) -> tuple[float, int]:
    """CPU ratio and bytes of memory in use, guests included."""
    cpu, mem = node.load * node.maxcpu, node.memory_base * node.maxmem
    for guest in world.guests_on(node.name):
        if guest.runs:
            size = guest.seen()
            cpu += cpu_of(guest, world.now) * size.maxcpu
            mem += size.maxmem * guest.memory_used
    return min(1.0, cpu / node.maxcpu), min(node.maxmem, int(mem))


def storage_rows(call: Call) -> list[dict[str, Any]]:
    """One row per node and enabled storage."""
    rows = []
    for node in call.world.members:
        told = node.last_broadcast(call.world.now)
        for storage in call.world.storages.values():
            if not storage.on(node.name) or not call.holds(f"/storage/{storage.name}", "Datastore.Audit"):
                continue
            missed = 0.0 if storage.value(node.name, "active") else call.world.now - storage.gone_since.get(node.name, float("-inf"))
            known = told is not None and max(call.world.now - told, missed) <= FORGOTTEN_AFTER
            row: dict[str, Any] = {
                "id": f"storage/{node.name}/{storage.name}",
                "type": "storage",
                "storage": storage.name,
                "node": node.name,
                "plugintype": storage.type,
                "content": storage.content,
                "shared": storage.shared,
                "status": "available" if known else "unknown",
            }
            if known:
                row |= {"disk": storage.value(node.name, "used"), "maxdisk": storage.value(node.name, "total")}
            rows.append(row)
    return rows


def _guest_row(world: World, guest: Guest, told: float | None, now: float) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": f"{guest.type}/{guest.vmid}",
        "vmid": guest.vmid,
        "node": guest.node,
        "type": guest.type,
        "status": "unknown",
    }
    if told is not None and now - told <= FORGOTTEN_AFTER:
        row |= _told(world, guest, told)
    config = guest.config
    if "tags" in config:
        row["tags"] = config["tags"]
    if "lock" in config:
        row["lock"] = config["lock"]
    if guest.ha is not None:
        row["hastate"] = ha.manager_state(world, guest) or guest.ha.get("state", "started")
    return row


def _told(world: World, guest: Guest, told: float) -> dict[str, Any]:
    if guest.row is not None and guest.row[0] == told and guest.row[1] == guest.version:
        return guest.row[2]
    seen = guest.seen() if told > guest.changed_at else guest.before
    part: dict[str, Any] = {}
    if seen is not None:
        runs = seen.status != "stopped"
        # a paused VM is "running" in the lists; only status/current tells
        status = "running" if seen.status == "paused" else seen.status
        mem = int(seen.maxmem * guest.memory_used) if runs else 0
        part = {
            "status": status,
            "name": seen.name,
            "template": seen.template,
            "uptime": uptime_of(seen.started_at, told),
            "cpu": (cpu_of(guest, told) or guest.load) if runs else 0,
            "maxcpu": seen.maxcpu,
            "mem": mem,
            "maxmem": seen.maxmem,
            "disk": 0 if guest.type == "qemu" or not runs else seen.maxdisk // 4,
            "maxdisk": seen.maxdisk,
            "diskread": 0,
            "diskwrite": 0,
            **traffic_of(seen.started_at, told, guest.vmid),
        }
        if world.since_9:
            part["memhost"] = part["mem"] if guest.type == "qemu" else 0
    guest.row = (told, guest.version, part)
    return part


def _pool_rows(call: Call, guests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = {}
    for pool in call.world.access.pools:
        if call.holds(f"/pool/{pool}", "Pool.Audit"):
            rows[pool] = {"id": f"/pool/{pool}", "pool": pool, "type": "pool"}
    for guest in guests:
        row: dict[str, Any] | None = rows.get(guest.get("pool", ""))
        if row is None or not guest.get("uptime"):
            continue
        busy = row.get("cpu", 0) * row.get("maxcpu", 0) + guest["cpu"] * guest["maxcpu"]
        row["uptime"] = max(row.get("uptime", 0), guest["uptime"])
        for key in POOL_SUMS:
            row[key] = row.get(key, 0) + guest[key]
        row["cpu"] = busy / row["maxcpu"]
    return list(rows.values())


def _zone_rows(call: Call) -> list[dict[str, Any]]:
    """The one SDN zone every cluster has; 9.x calls the type `network`, and `type=sdn` finds nothing there any more."""
    if not call.holds("/sdn/zones/localnetwork", "SDN.Audit"):
        return []
    rows: list[dict[str, Any]] = []
    for node in call.world.members:
        if call.world.since_9:
            kind = {"id": f"network/{node.name}/zone/localnetwork", "type": "network", "network": "localnetwork", "network-type": "zone"}
        else:
            kind = {"id": f"sdn/{node.name}/localnetwork", "type": "sdn", "sdn": "localnetwork"}
        rows.append({**kind, "node": node.name, "status": "ok"})
    return rows


def _only_here(world: World, node: Node) -> dict[str, Any]:
    """What /cluster/resources tells about a node and /nodes does not."""
    told = node.last_broadcast(world.now)
    row: dict[str, Any] = {}
    if told is not None and world.now - told <= FORGOTTEN_AFTER:
        row["cgroup-mode"] = 2
    if (state := ha.node_state(world, node)) is not None:
        row["hastate"] = state
    return row
