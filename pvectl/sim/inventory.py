"""What a cluster is made of: nodes, guests and storages, and what each of them is doing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pvectl.sim.tasks import Task

BROADCAST_EVERY = 10.0
MIB = 1024**2
GIB = 1024**3
SIZE = re.compile(r"(?:^|,)size=(\d+(?:\.\d+)?)([KMGT]?)")
UNITS = {"": 1, "K": 1024, "M": MIB, "G": GIB, "T": 1024 * GIB}
DISK_KEY = re.compile(r"(ide|sata|scsi|virtio)\d+")
SWITCHED_ON = re.compile(r"(?:^|,)(?:enabled=)?1(?:,|$)")


class Seen(NamedTuple):
    """What a node's pvestatd last told the cluster about a guest."""

    status: str
    started_at: float | None
    name: str
    template: int
    maxcpu: int
    maxmem: int
    maxdisk: int


@dataclass(eq=False)
class Guest:
    """A QEMU VM or LXC container: its configuration file, its process and its manners."""

    vmid: int
    type: str
    node: str
    config: dict[str, str]
    status: str = "stopped"
    """`stopped`, or the word QEMU uses for a live process (running, paused, io-error, …)."""
    started_at: float | None = None
    pid: int = 0
    host_cpus: int = 8
    shutdown_s: float = 5.0
    acpi: bool = True
    agent: str | None = None
    start_s: float = 1.0
    start_error: str | None = None
    start_warnings: tuple[str, ...] = ()
    load: float = 0.05
    memory_used: float = 0.4
    ha: dict[str, Any] | None = None
    pending: dict[str, str] = field(default_factory=dict)
    """Values that wait for the next start; GET config shows them, `current=1` does not."""
    pending_deletes: dict[str, int] = field(default_factory=dict)
    snapshots: dict[str, dict[str, Any]] = field(default_factory=dict)
    holder: Task | None = None
    """The task that holds the lock file of the configuration."""
    arriving_at: str | None = None
    """The node it is being migrated to, where QEMU already has its network devices."""
    rrd: Mapping[str, Any] = field(default_factory=dict)
    down_due: float | None = None
    """When the guest will have obeyed a request to shut down."""
    changed_at: float = 0.0
    before: Seen | None = None
    """What was true before `changed_at`, as long as no later broadcast has told otherwise."""
    version: int = 0
    row: tuple[float, int, dict[str, Any]] | None = None
    """The part of the resources row that comes from a broadcast, kept until the next one."""
    facts: tuple[int, tuple[str, int, int, int, int]] | None = None
    """What the configuration says about name and size, kept until it changes."""

    @property
    def runs(self) -> bool:
        """Whether there is a live process, whatever QEMU calls its state."""
        return self.status != "stopped"

    @property
    def name(self) -> str:
        """The configured name, or the one PVE makes up."""
        if self.type == "qemu":
            return self.config.get("name", f"VM {self.vmid}")
        return self.config.get("hostname", f"CT{self.vmid}")

    @property
    def tags(self) -> str:
        """The raw configuration line, empty when there is none."""
        return self.config.get("tags", "")

    @property
    def lock(self) -> str | None:
        """Why PVE refuses to touch the guest, such as `backup`."""
        return self.config.get("lock")

    @property
    def template(self) -> bool:
        """Whether it is a template."""
        return self.config.get("template") == "1"

    @property
    def onboot(self) -> bool:
        """Whether the node starts it at boot."""
        return self.config.get("onboot") == "1"

    @property
    def maxcpu(self) -> int:
        """Virtual CPUs, never more than the host has."""
        cores = int(self.config.get("cores", 1 if self.type == "qemu" else self.host_cpus)) * int(self.config.get("sockets", 1))
        return min(cores, self.host_cpus)

    @property
    def maxmem(self) -> int:
        """Bytes."""
        return int(self.config.get("memory", "512").split(",")[0].removeprefix("current=")) * MIB

    @property
    def maxswap(self) -> int:
        """Bytes; containers only."""
        return int(self.config.get("swap", "0")) * MIB

    @property
    def maxdisk(self) -> int:
        """Bytes of the root disk."""
        disks = [self.config["rootfs"]] if "rootfs" in self.config else [v for k, v in self.config.items() if DISK_KEY.fullmatch(k)]
        found = next((found for disk in disks if (found := SIZE.search(disk))), None)
        return int(float(found[1]) * UNITS[found[2]]) if found else 0

    @property
    def agent_enabled(self) -> bool:
        """Whether the configuration says a guest agent is installed."""
        return bool(SWITCHED_ON.search(self.config.get("agent", "")))

    def seen(self) -> Seen:
        """What a broadcast of this moment would say."""
        if self.facts is None or self.facts[0] != self.version:
            self.facts = (self.version, (self.name, int(self.template), self.maxcpu, self.maxmem, self.maxdisk))
        return Seen(self.status, self.started_at, *self.facts[1])

    def digest(self) -> str:
        """PVE's optimistic lock: the SHA-1 of the configuration file."""
        lines = [f"{key}: {value}" for key, value in sorted(self.config.items())]
        lines += [f"[PENDING] {key}: {value}" for key, value in sorted(self.pending.items())]
        lines += [f"[{name}] {key}: {value}" for name, snap in sorted(self.snapshots.items()) for key, value in sorted(snap.items())]
        return hashlib.sha1("\n".join(lines).encode(), usedforsecurity=False).hexdigest()

    def path(self) -> str:
        """Where pmxcfs keeps its configuration file."""
        return config_path(self.type, self.node, self.vmid)


def config_path(kind: str, node: str, vmid: int) -> str:
    """The configuration file of a guest, existing or not, below /etc/pve."""
    return f"nodes/{node}/{'qemu-server' if kind == 'qemu' else 'lxc'}/{vmid}.conf"


def lock_path(kind: str, vmid: int) -> str:
    """The lock file that serialises changes to a guest."""
    return f"/var/lock/qemu-server/lock-{vmid}.conf" if kind == "qemu" else f"/run/lock/lxc/pve-config-{vmid}.lock"


@dataclass
class Startup:
    """The `startup` option: `[order=]N,up=S,down=S`."""

    order: int | None = None
    up: int | None = None
    down: int | None = None


def startup_of(guest: Guest) -> Startup:
    """What the configuration says; nonsense counts as nothing said."""
    startup = Startup()
    for part in guest.config.get("startup", "").split(","):
        key, _, value = part.rpartition("=")
        key = key or "order"
        if value.isdigit() and key in {"order", "up", "down"}:
            setattr(startup, key, int(value))
    return startup


@dataclass(eq=False)
class Node:
    """A machine of the cluster."""

    name: str
    nodeid: int
    status: str = "online"
    """`online`, `offline`, or `hangs`: accepts connections and never answers."""
    member: bool = True
    """False for a machine that resolves and holds configurations but is not in this cluster."""
    booted_at: float = 0.0
    votes: int = 1
    ip: str = "192.0.2.1"
    maxcpu: int = 8
    maxmem: int = 32 * GIB
    maxdisk: int = 100 * GIB
    disk: int = 12 * GIB
    load: float = 0.03
    memory_base: float = 0.05
    wakeonlan: str | None = None
    boot_s: float = 60.0
    ssl_fingerprint: str = ""
    powering_off: str | None = None
    booting: bool = False
    outages: list[tuple[float, float]] = field(default_factory=list)
    """From when to when it was off."""
    ha_state: str | None = None
    first_broadcast: float = 0.0
    last_heard: float | None = None
    """The last broadcast, once pvestatd or the node is dead; None while they come in."""
    pvestatd: bool = True
    next_pid: int = 1000
    busy: tuple[float, float, int] | None = None
    """CPU ratio and memory in use as of a broadcast."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Scenario values that single endpoints read: services, certificates, disks, rrd, pressure, …"""

    @property
    def online(self) -> bool:
        """Member of the cluster at this moment; a hanging pveproxy does not end membership."""
        return self.status != "offline"

    def last_broadcast(self, now: float) -> float | None:
        """When its pvestatd last told the cluster how things stand."""
        if not (self.pvestatd and self.online and self.member):
            return self.last_heard
        if now < self.first_broadcast:
            return self.last_heard
        return now - (now - self.first_broadcast) % BROADCAST_EVERY

    def fall_silent(self, now: float) -> None:
        """No more broadcasts from here on; call before changing `status` or `pvestatd`."""
        self.last_heard = self.last_broadcast(now)

    def uptime(self, now: float) -> int:
        """Whole seconds since boot, 0 when it is off."""
        return max(0, int(now - self.booted_at)) if self.online else 0


@dataclass(eq=False)
class Storage:
    """A storage as storage.cfg defines it."""

    name: str
    type: str = "dir"
    content: str = "images,rootdir,iso,vztmpl,backup"
    shared: int = 0
    nodes: tuple[str, ...] = ()
    """Empty: on every node."""
    enabled: int = 1
    total: int = 500 * GIB
    used: int = 150 * GIB
    active: int = 1
    config: Mapping[str, Any] = field(default_factory=dict)
    """Further lines of storage.cfg: server, export, portal, path, monhost, …"""
    volumes: list[dict[str, Any]] = field(default_factory=list)
    rrd: dict[str, Any] = field(default_factory=dict)
    """Series to a number, or to a function of the time."""
    per_node: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Values that differ on one node, such as `{"pve2": {"active": 0}}`."""

    def on(self, node: str) -> bool:
        """Whether the node is meant to have it."""
        return bool(self.enabled) and (not self.nodes or node in self.nodes)

    gone_since: dict[str, float] = field(default_factory=dict)
    """When a node lost it; until a broadcast is forgotten the overview goes on showing it."""

    def value(self, node: str, key: str) -> Any:
        """One value as that node sees it."""
        return self.per_node.get(node, {}).get(key, getattr(self, key))
