"""What the API tells about the cluster as a whole: membership, quorum, options, log, metrics."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from pvectl.sim.guests import cpu_of, mem_of, traffic_of, uptime_of
from pvectl.sim.refusals import died
from pvectl.sim.resources import node_load
from pvectl.sim.tags import allowed_tags, split_tags

if TYPE_CHECKING:
    from pvectl.sim.call import Call
    from pvectl.sim.inventory import Node
    from pvectl.sim.world import World

METRICS_PATIENCE = 20.0

FOR_EVERYBODY = ("console", "tag-style")
ALWAYS_SET = {"description": "", "mac_prefix": "BC:24:11"}
INDEX = [
    "acme",
    "backup",
    "backup-info",
    "ceph",
    "config",
    "firewall",
    "ha",
    "jobs",
    "log",
    "mapping",
    "metrics",
    "nextid",
    "notifications",
    "options",
    "replication",
    "resources",
    "sdn",
    "status",
    "tasks",
]


def index(_: Call) -> list[dict[str, str]]:
    """GET /cluster."""
    return [{"name": name} for name in INDEX]


def status(call: Call) -> list[dict[str, Any]]:
    """GET /cluster/status: a standalone host has one node row, no cluster row and no idea of quorum."""
    world = call.world
    rows: list[dict[str, Any]] = []
    if world.name is not None:
        rows.append(
            {
                "type": "cluster",
                "id": "cluster",
                "name": world.name,
                "nodes": len(world.members),
                "version": len(world.members),
                "quorate": int(world.quorate() if world.quorate_told is None else world.quorate_told),
            }
        )
    for node in world.members:
        row: dict[str, Any] = {
            "type": "node",
            "id": f"node/{node.name}",
            "name": node.name,
            "nodeid": node.nodeid if world.name is not None else 0,
            "local": int(node.name == call.node),
            "online": int(node.online),
            "level": "",
        }
        if node.online:
            row["ip"] = node.ip
        rows.append(row)
    return rows


def config_nodes(call: Call) -> list[dict[str, str]]:
    """GET /cluster/config/nodes: corosync's node list, all of it text."""
    if call.world.name is None:
        return []
    return [
        {"node": node.name, "name": node.name, "nodeid": str(node.nodeid), "quorum_votes": str(node.votes), "ring0_addr": node.ip}
        for node in call.world.members
    ]


def config_qdevice(call: Call) -> dict[str, Any]:
    """GET /cluster/config/qdevice: empty without one; its votes are nowhere to be seen."""
    device = call.world.qdevice
    if not device:
        return {}
    members = sum(1 for _ in call.world.members)
    return {
        "Algorithm": device.get("algorithm", "Fifty-Fifty split" if members % 2 == 0 else "Last Man Standing"),
        "Echo reply": device.get("echo_reply", "in response to client heartbeat"),
        "Last poll call": device.get("last_poll_call", ""),
        "Model": device.get("model", "Net"),
        "QNetd host": device.get("host", "192.0.2.250:5403"),
        "State": device.get("state", "Connected"),
        "Tie-breaker": device.get("tie_breaker", "Node with lowest node ID"),
    }


def options(call: Call) -> dict[str, Any]:
    """GET /cluster/options: without Sys.Audit on / only console, tag-style and the tags the caller may set."""
    given = call.world.options
    audit = call.holds("/", "Sys.Audit")
    shown = {**ALWAYS_SET, **given} if audit else {key: given[key] for key in FOR_EVERYBODY if key in given}
    return {**shown, "allowed-tags": allowed_tags(call.world, call.caller)}


def next_id(call: Call) -> str:
    """GET /cluster/nextid."""
    vmid = 100
    while vmid in call.world.guests:
        vmid += 1
    return str(vmid)


def cluster_log(call: Call) -> list[dict[str, Any]]:
    """GET /cluster/log: starts and ends of tasks, newest first; without Sys.Syslog on / only one's own."""
    everything = call.holds("/", "Sys.Syslog")
    rows: list[dict[str, Any]] = []
    for task in call.world.tasks:
        if not everything and task.user != call.who:
            continue
        common = {"node": task.node, "pid": task.pid, "pri": 6, "tag": "pvedaemon", "user": task.user}
        rows.append({**common, "time": task.starttime, "msg": f"starting task {task.upid}"})
        if task.endtime is not None:
            rows.append({**common, "time": task.endtime, "pri": 3 if task.failed else 6, "msg": f"end task {task.upid} {task.status}"})
    rows.sort(key=itemgetter("time"))
    numbered = [{**row, "uid": str(uid), "id": f"{uid}:{row['node']}"} for uid, row in enumerate(rows, 1)]
    return numbered[::-1][: call.params.get("max", 50)]


def metrics(call: Call) -> dict[str, Any]:
    """GET /cluster/metrics/export: what each node's pvestatd measured last, not filtered by VM.Audit.

    A node that does not answer is left out without a word, after twenty seconds (pve-manager PVE/API2/Cluster/MetricServer.pm).
    """
    world, params = call.world, call.params
    named = split_tags(params.get("node-list", ""))
    members = {node.name: node for node in world.members}
    unknown = [name for name in named if name not in members]
    if unknown:
        raise died(f"Requested node-list contains unknown nodes - {', '.join(unknown)}")
    asked = named or ([call.node] if params.get("local-only") else list(members))
    points: list[dict[str, Any]] = []
    for name in asked:
        node = members[name]
        if not node.online:
            continue
        if node.status == "hangs" and name != call.node:
            call.takes(METRICS_PATIENCE)
            continue
        points += _measured(world, node)
    start = params.get("start-time")
    points = [point for point in points if start is None or point["timestamp"] > start]
    return {"data": sorted(points, key=itemgetter("timestamp"))}


def _measured(world: World, node: Node) -> list[dict[str, Any]]:
    told = node.last_broadcast(world.now)
    if told is None:
        return []
    points: list[dict[str, Any]] = []

    def add(subject: str, kind: str, **values: float) -> None:
        points.extend(
            {"id": subject, "timestamp": int(told), "metric": metric, "value": value, "type": kind} for metric, value in values.items()
        )

    cpu, mem = node_load(world, node)
    add(f"node/{node.name}", "gauge", uptime=node.uptime(told), cpu_current=cpu, cpu_max=node.maxcpu, mem_used=mem, mem_total=node.maxmem)
    for guest in world.guests_on(node.name):
        subject, size = f"{guest.type}/{guest.vmid}", guest.seen()
        traffic = traffic_of(guest.started_at, told, guest.vmid)
        add(subject, "gauge", uptime=uptime_of(guest.started_at, told), cpu_current=cpu_of(guest, told), cpu_max=size.maxcpu)
        add(subject, "gauge", mem_used=mem_of(guest), mem_total=size.maxmem)
        add(subject, "derive", net_in=traffic["netin"], net_out=traffic["netout"])
    for storage in world.storages.values():
        if storage.on(node.name) and storage.value(node.name, "active"):
            used, total = storage.value(node.name, "used"), storage.value(node.name, "total")
            add(f"storage/{node.name}/{storage.name}", "gauge", disk_used=used, disk_total=total)
    return points
