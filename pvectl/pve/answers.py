"""What the API's answers become: values with PVE's own words, None where PVE does not say."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from pvectl.core.model import Guest, Node, Storage


class Version(Struct, frozen=True, kw_only=True):
    """`version` is "9.2.11", `release` "9.2", `major` 9."""

    version: str
    release: str
    major: int


class Resources(Struct, frozen=True, kw_only=True):
    """Everything of `/cluster/resources` a token may see, as old as pvestatd's last broadcast; `pools` has the guests of each pool."""

    guests: tuple[Guest, ...] = ()
    nodes: tuple[Node, ...] = ()
    storages: tuple[Storage, ...] = ()
    pools: Mapping[str, frozenset[int]] = {}


class ClusterStatus(Struct, frozen=True, kw_only=True):
    """Who belongs to the cluster; a `standalone` host has no name and knows no quorum."""

    name: str | None
    standalone: bool
    quorate: bool | None
    nodes: tuple[Node, ...]


class QuorumDevice(Struct, frozen=True, kw_only=True):
    """The vote of an outside machine, as one node sees it; `state` is PVE's word, "Connected" when it counts, None without a device."""

    state: str | None = None
    algorithm: str | None = None


class AclEntry(Struct, frozen=True, kw_only=True):
    """One line of the ACL; `type` is "user", "group" or "token", `ugid` its id."""

    path: str
    type: str
    ugid: str
    roleid: str
    propagate: bool


class ClusterOptions(Struct, frozen=True, kw_only=True):
    """The datacenter's options as far as this token is shown them; None is "not set, or not shown".

    Without Sys.Audit on / PVE shows only `allowed_tags` (computed for the asking user) and the tag style.
    """

    tag_ordering: str | None = None
    tags_case_sensitive: bool = False
    registered_tags: tuple[str, ...] | None = None
    allowed_tags: tuple[str, ...] | None = None
    user_allow: str | None = None
    user_allow_list: tuple[str, ...] | None = None
    ha_shutdown_policy: str | None = None


class NodeConfig(Struct, frozen=True, kw_only=True):
    """`wakeonlan` is the MAC address (perhaps with options) a wake-up call for the node goes to."""

    wakeonlan: str | None = None
    description: str | None = None


class GuestConfig(Struct, frozen=True, kw_only=True):
    """A guest's configuration; `digest` proves later that nobody changed it meanwhile, `tags_raw` is the line as it stands in the file."""

    digest: str
    tags_raw: str | None
    options: Mapping[str, str | int | float | bool | None]


class GuestNow(Struct, frozen=True, kw_only=True):
    """How a guest is at this moment, told by its own node.

    `tags` is None where PVE leaves them out: when there are none, and when one of them is not valid.
    """

    status: str
    name: str | None = None
    tags: tuple[str, ...] | None = None
    qmpstatus: str | None = None
    lock: str | None = None
    ha_managed: bool | None = None
    uptime: int | None = None
    pid: int | None = None


class HaResource(Struct, frozen=True, kw_only=True):
    """A guest under the HA manager: `sid` is "vm:100" or "ct:200", `state` what was asked for."""

    sid: str
    state: str | None = None


class ActiveTask(Struct, frozen=True, kw_only=True):
    """A task a node lists as active; `status` is "RUNNING" while it is."""

    upid: str
    type: str
    id: str | None = None
    user: str | None = None
    starttime: int | None = None
    endtime: int | None = None
    status: str | None = None

    @property
    def is_running(self) -> bool:
        return self.endtime is None and self.status in (None, "RUNNING")


class CorosyncNode(Struct, frozen=True, kw_only=True):
    """A member as corosync's node list has it; `addresses` are those of its links."""

    name: str
    votes: int
    addresses: tuple[str, ...] = ()


class NodeNow(Struct, frozen=True, kw_only=True):
    """How a node is at this moment, told by itself; `uptime` in seconds."""

    uptime: int


class VzdumpJob(Struct, frozen=True, kw_only=True):
    """A backup job. `vmids` None: all guests but `exclude`, or those of `pool`; `next_run` in seconds since the epoch."""

    id: str
    enabled: bool
    node: str | None = None
    vmids: frozenset[int] | None = None
    all: bool = False
    exclude: frozenset[int] = frozenset()
    pool: str | None = None
    next_run: int | None = None
    schedule: str | None = None
    storage: str | None = None


class Replication(Struct, frozen=True, kw_only=True):
    """A replication job as configured, or as a node it starts from says it fares; `pid` while it runs, times in seconds since the epoch."""

    id: str
    guest: int
    target: str
    source: str | None = None
    disable: bool = False
    pid: int | None = None
    next_sync: int | None = None


class CephDaemon(Struct, frozen=True, kw_only=True):
    """A Ceph daemon: `kind` is osd, mon, mgr or mds; `host` None where Ceph has forgotten it."""

    kind: str
    id: str
    host: str | None = None


class StorageConfig(Struct, frozen=True, kw_only=True):
    """A storage of storage.cfg; `servers` are the machines it comes from, empty for a local one."""

    storage: str
    type: str
    servers: tuple[str, ...] = ()
    disable: bool = False


class Sample(Struct, frozen=True, kw_only=True):
    """One row of a guest's round-robin data: `time` in seconds since the epoch, `cpu` a ratio, the others bytes per second."""

    time: int
    cpu: float | None = None
    netin: float | None = None
    netout: float | None = None
