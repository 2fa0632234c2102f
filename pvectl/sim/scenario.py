"""A scenario, in plain values, becomes a world; everything has a default."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pvectl.sim.access import ROOT, TOKEN_NAME, USER_ID, Access, User
from pvectl.sim.clock import Timeline
from pvectl.sim.inventory import GIB, MIB, Guest, Node, Storage
from pvectl.sim.tasks import end, new_task
from pvectl.sim.vocabulary import CLUSTER, GUEST, NODE, check_words
from pvectl.sim.world import World

NODE_FIELDS = (
    "votes",
    "ip",
    "maxcpu",
    "maxmem",
    "maxdisk",
    "disk",
    "wakeonlan",
    "boot_s",
    "ssl_fingerprint",
    "member",
    "load",
    "memory_base",
    "ha_state",
)
GUEST_FIELDS = ("shutdown_s", "acpi", "start_s", "start_error", "load", "memory_used")


def build_world(scenario: Mapping[str, Any], now: float) -> World:
    """The world at its first moment, as if broadcasts had been arriving all along."""
    check_words("a scenario", scenario, CLUSTER)
    version = str(scenario.get("version", "9.2"))
    access = Access(since_9=int(version.split(".", maxsplit=1)[0]) >= 9)
    world = World(version=version, name=scenario.get("name"), timeline=Timeline(now), access=access)
    for position, (name, values) in enumerate((scenario.get("nodes") or {"pve1": {}}).items()):
        world.nodes[name] = _node(name, position, values or {}, now)
    for values in scenario.get("guests") or ():
        add_guest(world, values)
    for values in scenario.get("storages") or ({"name": "local"},):
        storage = Storage(**{"name": values["name"], **values})
        world.storages[storage.name] = storage
    _people(access, scenario)
    world.options = dict(scenario.get("options") or {})
    world.qdevice = dict(scenario["qdevice"]) if scenario.get("qdevice") else None
    world.ha = dict(scenario.get("ha") or {})
    world.backup_jobs = [dict(job) for job in scenario.get("backup_jobs") or ()]
    world.replication = [dict(job) for job in scenario.get("replication") or ()]
    world.ceph = scenario.get("ceph")
    for values in scenario.get("tasks") or ():
        add_task(world, **values)
    return world


def add_guest(world: World, values: Mapping[str, Any]) -> Guest:
    """One guest out of its scenario values."""
    check_words(f"guest {values.get('vmid')}", values, GUEST)
    vmid, kind = int(values["vmid"]), str(values.get("type", "qemu"))
    name = values.get("node") or next(iter(world.nodes))
    if name not in world.nodes:
        raise ValueError(f"guest {vmid} is on {name}, and there is no such node")
    node = world.nodes[name]
    guest = Guest(vmid, kind, node.name, _config(vmid, kind, values), host_cpus=node.maxcpu, load=0.01 + vmid % 7 / 100)
    for key in GUEST_FIELDS:
        if key in values:
            setattr(guest, key, values[key])
    if "cpu" in values:
        guest.load = float(values["cpu"])
    guest.agent = values.get("agent")
    guest.start_warnings = tuple(values.get("start_warnings", ()))
    guest.rrd = dict(values.get("rrd") or {})
    guest.ha = dict(values["ha"]) if values.get("ha") else None
    guest.pending = {key: str(value) for key, value in (values.get("pending") or {}).items()}
    guest.pending_deletes = dict(values.get("pending_deletes") or {})
    guest.snapshots = {name: dict(snapshot) for name, snapshot in (values.get("snapshots") or {}).items()}
    status = str(values.get("status", "stopped"))
    if status != "stopped" and node.online:
        guest.status = status
        guest.started_at = world.now - float(values.get("uptime", max(60, node.uptime(world.now) - 120)))
        node.next_pid += 7
        guest.pid = int(values.get("pid", node.next_pid))
    guest.changed_at = float("-inf") if vmid not in world.guests else world.now
    world.guests[vmid] = guest
    return guest


def add_task(  # noqa: PLR0913  (one keyword for each fact about a task)
    world: World,
    *,
    type: str = "vzdump",  # noqa: A002  (PVE's own name for it)
    node: str | None = None,
    id: str = "",  # noqa: A002
    user: str = ROOT,
    started_ago: float = 0.0,
    took: float | None = 1.0,
    status: str = "OK",
    log: tuple[str, ...] | list[str] = (),
) -> str:
    """A task that began `started_ago` seconds ago; with `took=None`, or when it took longer than that, it still runs. Gives its UPID."""
    name = node or next(iter(world.nodes))
    moment = world.timeline.now
    world.timeline.now = moment - started_ago
    task = new_task(world, name, type, str(id), user)
    world.timeline.now = moment
    task.lines = [str(line) for line in log]

    def finish() -> None:
        end(world, task, status)

    if took is None:
        return task.upid
    due = moment - started_ago + took
    if due <= moment:
        world.timeline.now = due
        finish()
        world.timeline.now = moment
    else:
        task.wakes_at = due
        world.timeline.at(due, finish)
    return task.upid


def _node(name: str, position: int, values: Mapping[str, Any], now: float) -> Node:
    check_words(f"node {name}", values, NODE)
    node = Node(name, int(values.get("nodeid", position + 1)), ip=f"192.0.2.{11 + position}")
    for key in NODE_FIELDS:
        if key in values:
            setattr(node, key, values[key])
    node.status = str(values.get("status", "online"))
    node.booted_at = now - float(values.get("uptime", 864_000))
    node.extra = values
    if not node.ssl_fingerprint:
        node.ssl_fingerprint = ":".join(f"{byte:02X}" for byte in hashlib.sha256(name.encode()).digest())
    node.pvestatd = bool(values.get("pvestatd", True))
    # each node's pvestatd has its own phase, so that tests meet broadcasts that do not fall on one second
    node.first_broadcast = now - 600 - (3.7 * position) % 10
    if node.online and not node.pvestatd:
        node.last_heard = None
    return node


def _config(vmid: int, kind: str, values: Mapping[str, Any]) -> dict[str, str]:
    lines: dict[str, Any] = {
        "name" if kind == "qemu" else "hostname": values.get("name"),
        "cores": values.get("maxcpu", 2),
        "memory": int(values.get("maxmem", 2 * GIB)) // MIB,
        "ostype": "l26" if kind == "qemu" else "debian",
        "tags": values.get("tags"),
        "lock": values.get("lock"),
        "template": 1 if values.get("template") else None,
        "startup": values.get("startup"),
        "onboot": values.get("onboot"),
        "agent": 1 if kind == "qemu" and values.get("agent") else None,
    }
    disk = f"{int(values.get('maxdisk', 8 * GIB)) // GIB}G"
    lines |= (
        {"scsi0": f"local:{vmid}/vm-{vmid}-disk-0.qcow2,size={disk}", "boot": "order=scsi0"}
        if kind == "qemu"
        else {"rootfs": f"local:{vmid}/vm-{vmid}-disk-0.raw,size={disk}", "swap": 512, "arch": "amd64"}
    )
    for index in range(int(values.get("nets", 1))):
        mac = f"BC:24:11:{vmid >> 16 & 255:02X}:{vmid >> 8 & 255:02X}:{vmid & 255:02X}"
        lines[f"net{index}"] = f"virtio={mac},bridge=vmbr0" if kind == "qemu" else f"name=eth{index},bridge=vmbr0,hwaddr={mac},type=veth"
    lines |= values.get("config") or {}
    return {key: str(int(value) if isinstance(value, bool) else value) for key, value in lines.items() if value is not None}


def _people(access: Access, scenario: Mapping[str, Any]) -> None:
    for userid, values in (scenario.get("users") or {}).items():
        _user(access, userid, values or {})
    for group, members in (scenario.get("groups") or {}).items():
        for userid in members or ():
            _user(access, userid, {}).groups.add(group)
    for tokenid, values in (scenario.get("tokens") or {}).items():
        userid, _, name = tokenid.partition("!")
        if not (USER_ID.fullmatch(userid) and TOKEN_NAME.fullmatch(name)):
            raise ValueError(f"PVE takes no token id like {tokenid!r}: user@realm!name, and the name has at least two characters")
        defaults = {"privsep": 1, "expire": 0, "comment": ""}
        _user(access, userid, {}).tokens[name] = {**defaults, **values, "secret": str(values["secret"])}
    for role, privileges in (scenario.get("roles") or {}).items():
        access.roles[role] = frozenset(privileges.replace(",", " ").split() if isinstance(privileges, str) else privileges)
    for entry in scenario.get("acl") or ():
        access.grant(entry["path"], entry.get("type", "user"), entry["ugid"], entry["roleid"], propagate=bool(entry.get("propagate", 1)))
    for pool, values in (scenario.get("pools") or {}).items():
        told = values if isinstance(values, Mapping) else {"members": values}
        access.pools[pool] = [int(vmid) for vmid in told.get("members") or ()]
        access.pool_comments[pool] = str(told.get("comment", ""))
    access.pool_storages = {pool: list(names) for pool, names in (scenario.get("pool_storages") or {}).items()}
    access.changed()


def _user(access: Access, userid: str, values: Mapping[str, Any]) -> User:
    user = access.users.setdefault(userid, User(userid))
    for key in ("enable", "expire", "comment", "email", "password"):
        if key in values:
            setattr(user, key, values[key])
    user.groups |= set(values.get("groups", ()))
    return user
