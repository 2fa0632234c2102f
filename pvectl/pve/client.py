"""ProxmoxClient: one verb per API call pvectl uses, each answering with values, over one strict session per run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from proxmoxer.core import ProxmoxResource

from pvectl.core.evidence import HaStatus, Task
from pvectl.core.model import Guest, Node
from pvectl.core.text import clean
from pvectl.errors import PvectlError, UsageError
from pvectl.pve import failures, parallel, paths, rows, strict_json, surroundings
from pvectl.pve.answers import (
    AclEntry,
    ActiveTask,
    CephDaemon,
    ClusterOptions,
    ClusterStatus,
    CorosyncNode,
    GuestConfig,
    GuestNow,
    HaResource,
    NodeConfig,
    NodeNow,
    QuorumDevice,
    Replication,
    Resources,
    Sample,
    StorageConfig,
    Version,
    VzdumpJob,
)
from pvectl.pve.fields import Row
from pvectl.pve.line import Answer
from pvectl.pve.tasks import TaskState, Upid, parse_upid
from pvectl.pve.transport import Connection, Deadline, Exchange, Session

if TYPE_CHECKING:
    from pvectl.pve.watch import Watch

__all__ = [
    "AclEntry",
    "ActiveTask",
    "CephDaemon",
    "ClusterOptions",
    "ClusterStatus",
    "CorosyncNode",
    "GuestConfig",
    "GuestNow",
    "HaResource",
    "NodeConfig",
    "ProxmoxClient",
    "QuorumDevice",
    "Replication",
    "Resources",
    "Sample",
    "StorageConfig",
    "TaskState",
    "Upid",
    "Version",
    "VzdumpJob",
]

T = TypeVar("T")
_LONGEST_MAC = 60

# a guest under the HA manager is handed over to it (qemu-server PVE/API2/Qemu.pm, pve-container PVE/API2/LXC/Status.pm)
_WORK = {
    ("qemu", "shutdown"): ("qmshutdown", "hastop"),
    ("qemu", "start"): ("qmstart", "hastart"),
    ("lxc", "shutdown"): ("vzshutdown", "hastop"),
    ("lxc", "start"): ("vzstart", "hastart"),
}


class ProxmoxClient:
    """The one client of a run; get it with `get_instance`, never by constructing it."""

    _instance: ClassVar[ProxmoxClient | None] = None

    def __init__(
        self, connection: Connection, *, deadline: Deadline, read_only: bool, on_exchange: Callable[[Exchange], None] | None = None
    ) -> None:
        self.connection = connection
        self.read_only = read_only
        self._deadline = deadline
        self._session = Session(connection, deadline=deadline, read_only=read_only, on_exchange=on_exchange)
        self._api: Any = ProxmoxResource(base_url="/api2/json", session=self._session, serializer=_Undecoded())  # type: ignore[no-untyped-call]

    @classmethod
    def get_instance(
        cls,
        connection: Connection | None = None,
        *,
        deadline: Deadline | None = None,
        read_only: bool = False,
        on_exchange: Callable[[Exchange], None] | None = None,
    ) -> ProxmoxClient:
        """The client of this run. The first call names the cluster; later ones may leave it out.

        `on_exchange` is told of every request once it has ended, from whichever thread made it.

        Raises:
            UsageError: no cluster was named yet, or another one.
            ConfigError: the connection cannot be used.
        """
        if cls._instance is None:
            if connection is None:
                raise UsageError("no cluster was named")
            cls._instance = cls(connection, deadline=deadline or Deadline.never(), read_only=read_only, on_exchange=on_exchange)
        elif connection is not None and connection.cluster != cls._instance.connection.cluster:
            raise UsageError(f"this run speaks to cluster {cls._instance.connection.cluster}, not to {connection.cluster}")
        return cls._instance

    @classmethod
    def reset_instance(cls) -> None:
        """Forget the one client, for tests that start several runs in one process."""
        if cls._instance is not None:
            cls._instance.close()

    def __repr__(self) -> str:
        return f"ProxmoxClient({self.connection.cluster})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection; the next `get_instance` may name another cluster."""
        self._session.close()
        if ProxmoxClient._instance is self:
            ProxmoxClient._instance = None

    def in_parallel(self, calls: Sequence[Callable[[], T]], *, workers: int = parallel.MOST_WORKERS) -> list[T | PvectlError]:
        """What each call answers, in order, or the error it raised; at most 8 at a time, each on a connection of its own."""
        return parallel.in_parallel(calls, workers=workers)

    def time_left(self) -> float:
        """Seconds this run may still take."""
        return self._deadline.left()

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Whatever this thread asks meanwhile has to be answered within so many seconds, or by the run's own deadline."""
        return self._deadline.in_this_thread(seconds)

    def impatient(self, seconds: float) -> AbstractContextManager[None]:
        """Another host is asked in the place of one that is silent for so many seconds, as far as this thread is concerned."""
        return self._deadline.impatient(seconds)

    @property
    def watch(self) -> Watch:
        """What only the monitor asks."""
        from pvectl.pve.watch import Watch

        return Watch(self._api)

    # the cluster

    def version(self) -> Version:
        return rows.version(_data(self._api.version.get()), what="/version")

    def resources(self) -> Resources:
        """Everything this token may see, up to 300 s old."""
        with rows.undisturbed():
            return rows.resources(_rows(self._api.cluster.resources.get()), what="/cluster/resources")

    def guests(self) -> tuple[Guest, ...]:
        """All guests this token may see, up to 300 s old."""
        with rows.undisturbed():
            return rows.guests(_rows(self._api.cluster.resources.get(type="vm")), what="/cluster/resources")

    def cluster_status(self) -> ClusterStatus:
        return rows.cluster_status(_rows(self._api.cluster.status.get()), what="/cluster/status")

    def votes(self) -> Mapping[str, int]:
        """The votes of each member of the cluster; a standalone host has none."""
        return {node.name: node.votes for node in self.corosync_nodes()}

    def corosync_nodes(self) -> tuple[CorosyncNode, ...]:
        """The members as corosync knows them, with their votes and addresses; a standalone host has none."""
        return surroundings.corosync_nodes(_rows(self._api.cluster.config.nodes.get()), what="/cluster/config/nodes")

    def quorum_device(self) -> QuorumDevice:
        return rows.quorum_device(_data(self._api.cluster.config.qdevice.get()), what="/cluster/config/qdevice")

    def cluster_options(self) -> ClusterOptions:
        return rows.cluster_options(_data(self._api.cluster.options.get()), what="/cluster/options")

    def ha_resources(self) -> tuple[HaResource, ...]:
        return rows.ha_resources(_rows(self._api.cluster.ha.resources.get()), what="/cluster/ha/resources")

    def ha_status(self) -> HaStatus:
        """The HA manager's own page, which knows of a lost quorum when `/cluster/status` does not yet."""
        return surroundings.ha_status(_rows(self._api.cluster.ha.status.current.get()), what="/cluster/ha/status/current")

    def cluster_tasks(self) -> tuple[tuple[str, Task], ...]:
        """What each node broadcasts of its tasks, at most 25 of a node; nothing at all without Sys.Audit on /."""
        return surroundings.cluster_tasks(_rows(self._api.cluster.tasks.get()), what="/cluster/tasks")

    def backup_jobs(self) -> tuple[VzdumpJob, ...]:
        return surroundings.vzdump_jobs(_rows(self._api.cluster.backup.get()), what="/cluster/backup")

    def replication_jobs(self) -> tuple[Replication, ...]:
        """Every replication job, as configured; without its state, which only the node it starts from tells."""
        return surroundings.replication(_rows(self._api.cluster.replication.get()), what="/cluster/replication")

    def ceph_nodes(self) -> frozenset[str]:
        """The nodes Ceph is installed on, which every node tells, with Ceph or without."""
        answer = self._api.cluster.ceph.metadata.get(scope="versions")
        return surroundings.ceph_versions(_data(answer), what="/cluster/ceph/metadata?scope=versions")

    def ceph_daemons(self) -> tuple[CephDaemon, ...]:
        return surroundings.ceph_daemons(_data(self._api.cluster.ceph.metadata.get()), what="/cluster/ceph/metadata")

    def ceph_safe_to_stop(self, node: str, daemon: CephDaemon) -> bool:
        """Whether Ceph would survive the loss of this one daemon, in its own opinion."""
        answer = self._node(node).ceph("cmd-safety").get(service=daemon.kind, id=daemon.id, action="stop")
        return surroundings.ceph_safe(_data(answer), what=f"/nodes/{node}/ceph/cmd-safety")

    def storages(self) -> tuple[StorageConfig, ...]:
        """storage.cfg, as far as this token may see it."""
        return surroundings.storages(_rows(self._api.storage.get()), what="/storage")

    def permissions(self, path: str | None = None, userid: str | None = None) -> Mapping[str, Mapping[str, bool]]:
        """Path to privilege to whether it propagates. Without `path` PVE leaves out what is not held and most of what is inherited."""
        return rows.permissions(_data(self._api.access.permissions.get(path=path, userid=userid)), what="/access/permissions")

    def acl(self) -> tuple[AclEntry, ...]:
        return rows.acl(_rows(self._api.access.acl.get()), what="/access/acl")

    # nodes

    def nodes(self) -> tuple[Node, ...]:
        return rows.nodes(_rows(self._api.nodes.get()), what="/nodes")

    def node_guests(self, node: str, *, full: bool = False) -> tuple[Guest, ...]:
        """The guests on a node, told by the node itself and so as fresh as can be; `full` tells paused from running."""
        return self.guests_of_kind(node, "qemu", full=full) + self.guests_of_kind(node, "lxc")

    def guests_of_kind(self, node: str, kind: str, *, full: bool = False) -> tuple[Guest, ...]:
        """The node's VMs ("qemu") or containers ("lxc"), told by the node itself."""
        answer = self._node(node)(kind).get(**({"full": 1} if full and kind == "qemu" else {}))
        return rows.node_guests(_rows(answer), node=node, kind=kind, what=f"/nodes/{node}/{kind}")

    def netstat(self, node: str) -> frozenset[int]:
        """The running guests that have a network card, whether this token may see them or not."""
        return rows.netstat(_rows(self._node(node).netstat.get()), what=f"/nodes/{node}/netstat")

    def node_now(self, node: str) -> NodeNow:
        """How the node is at this moment, told by itself."""
        return surroundings.node_now(_data(self._node(node).status.get()), what=f"/nodes/{node}/status")

    def node_tasks(self, node: str, *, limit: int) -> tuple[Task, ...]:
        """The node's task list, the running ones first, then the ended ones, the latest first; of others only with Sys.Audit there.

        `since` is no help: it looks at the start, and hides what has been running for long (pve-manager PVE/API2/Tasks.pm).
        """
        answer = self._node(node).tasks.get(source="all", limit=limit)
        return surroundings.node_tasks(_rows(answer), node=node, what=f"/nodes/{node}/tasks")

    def node_replication(self, node: str) -> tuple[Replication, ...]:
        """How the replication jobs fare that start from the node."""
        return surroundings.replication(_rows(self._node(node).replication.get()), what=f"/nodes/{node}/replication")

    def other_entry(self, node: str) -> bool:
        """Whether an API host other than this node answers, so that one can see what becomes of it; one request for each host asked."""
        return self._session.answers_beside(node)

    def prove_hosts(self) -> None:
        """Ask each API host of which cluster it is; one that does not answer proves nothing, and is no mistake.

        Raises:
            ConfigError: they are not of one cluster.
        """
        self._session.prove_hosts()

    def node_time(self, node: str) -> int:
        """The node's clock, in seconds since the epoch."""
        return rows.node_time(_data(self._node(node).time.get()), what=f"/nodes/{node}/time")

    def node_config(self, node: str) -> NodeConfig:
        return rows.node_config(_data(self._node(node).config.get()), what=f"/nodes/{node}/config")

    def active_tasks(self, node: str) -> tuple[ActiveTask, ...]:
        """Tasks that are running on a node, or were until a moment ago; without Sys.Audit there, only this token's own."""
        # limit=0 is an empty list there, not "all" (recorded on PVE 9.2)
        return rows.active_tasks(_rows(self._node(node).tasks.get(source="active", limit=500)), what=f"/nodes/{node}/tasks")

    def power_off(self, node: str) -> None:
        """Ask the node to power off. PVE checks nothing and hands out no task; it begins two seconds later (pve-manager PVE/API2/Nodes.pm).

        Raises:
            ApiRefusal: PVE says no.
            OutcomeUnknown: the answer never came.
        """
        if _data(self._node(node).status.post(command="shutdown")) is not None:
            raise failures.unclear(f"power-off of {node} was answered with something Proxmox VE does not say", subject=f"node/{node}")

    def wake_on_lan(self, node: str) -> str:
        """Let the node that answers send a wake-up call to another; gives the MAC address it went to (pve-manager PVE/API2/Nodes.pm).

        Raises:
            ApiRefusal: PVE says no, also when the node's configuration has no address.
            OutcomeUnknown: the answer never came.
        """
        mac = _data(self._node(node).wakeonlan.post())
        if not isinstance(mac, str):
            raise failures.unclear(f"the wake-up call for {node} was answered without an address", subject=f"node/{node}")
        return clean(mac[:_LONGEST_MAC])

    # guests

    def guest_config(self, guest: Guest) -> GuestConfig:
        return rows.guest_config(_data(self._guest(guest).config.get()), what=f"configuration of {guest.label}")

    def guest_now(self, guest: Guest) -> GuestNow:
        """How the guest is at this moment, told by its node."""
        return rows.guest_now(_data(self._guest(guest).status.current.get()), vmid=guest.vmid, what=f"status of {guest.label}")

    def set_tags(self, guest: Guest, *, tags: tuple[str, ...], digest: str) -> None:
        """Make `tags` the guest's tags, if its configuration still has `digest`; PVE sorts and lower-cases them.

        Raises:
            ApiRefusal: PVE says no, also when the digest is another by now.
            OutcomeUnknown: the answer never came.
        """
        # an empty list would leave a line with one space in the file; only delete removes it (recorded on PVE 8.4 and 9.2)
        form = {"tags": ";".join(tags)} if tags else {"delete": "tags"}
        self._guest(guest).config.put(**form, digest=digest)

    def shutdown(self, guest: Guest, *, timeout: int | None, force_stop: bool) -> Upid:
        """Ask the guest to shut down. A task id is no proof that it will: look at the task's end, and at the guest.

        Raises:
            ApiRefusal: PVE says no.
            OutcomeUnknown: the answer never came.
        """
        return self._started(self._guest(guest).status.shutdown, guest, "shutdown", timeout=timeout, forceStop=force_stop or None)

    def start(self, guest: Guest, *, timeout: int | None = None) -> Upid:
        """Start the guest; see `shutdown`. Only a VM's start knows a `timeout`; for a container it is left out."""
        within = timeout if guest.type == "qemu" else None
        return self._started(self._guest(guest).status.start, guest, "start", timeout=within)

    def guest_samples(self, guest: Guest) -> tuple[Sample, ...]:
        """The highest values of each minute of the last hour: averages would smooth a burst away."""
        answer = self._guest(guest).rrddata.get(timeframe="hour", cf="MAX")
        return surroundings.samples(_rows(answer), what=f"/nodes/{guest.node}/{guest.type}/{guest.vmid}/rrddata")

    def task(self, upid: Upid) -> TaskState:
        """How a task stands; its own node is asked, wherever the guest is by now."""
        return rows.task_state(_data(self._task(upid).status.get()), upid=upid, what=f"task {upid.text}")

    def task_log(self, upid: Upid, *, limit: int = 50) -> tuple[str, ...]:
        return rows.task_log(_data(self._task(upid).log.get(limit=limit)))

    def _node(self, node: str) -> Any:
        return self._api.nodes(paths.node_id(node))

    def _guest(self, guest: Guest) -> Any:
        return self._node(guest.node)(paths.guest_kind(guest))(paths.guest_id(guest.vmid))

    def _task(self, upid: Upid) -> Any:
        checked = parse_upid(upid.text)
        return self._node(checked.node).tasks(checked.text)

    def _started(self, resource: Any, guest: Guest, verb: str, **form: Any) -> Upid:
        answer = resource.post(**form)
        try:
            upid = parse_upid(_data(answer))
        except PvectlError as error:
            raise failures.unclear(f"{verb} of {guest.label} was accepted, but {error.message}", subject=guest.subject) from None
        if (upid.node, upid.id) != (guest.node, str(guest.vmid)) or upid.type not in _WORK[guest.type, verb]:
            what = f"the task it was given is another's: {upid.type} of {upid.id or 'nothing'} on {upid.node}"
            raise failures.unclear(f"{verb} of {guest.label} was accepted, but {what}", subject=guest.subject)
        return upid


class _Undecoded:
    """What proxmoxer calls a serializer: it passes the answer on, because only the verb knows what it should hold."""

    def loads(self, answer: Answer) -> Answer:
        return answer


def _data(answer: Answer) -> Any:
    return strict_json.anything(answer.body)


def _rows(answer: Answer) -> list[Row]:
    return strict_json.rows(answer.body)
