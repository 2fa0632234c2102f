"""The metrics of prometheus-pve-exporter under its own names and labels, so that dashboards and rules made for it go on working."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import compress
from operator import attrgetter

from pvectl.core.model import Guest, Known, Node
from pvectl.core.monitor.monitored import Listing, MonitorView
from pvectl.core.monitor.series import Series, quoted, series, shown

_GUEST_STATES = (
    *("stopped", "request_stop", "request_start", "request_start_balance", "started", "fence", "recovery", "migrate"),
    *("relocate", "freeze", "error"),
)
_NODE_STATES = ("online", "maintenance", "unknown", "fence", "gone")
_LOCKS = ("backup", "clone", "create", "migrate", "rollback", "snapshot", "snapshot-delete", "suspended", "suspending")
_SUBSCRIPTIONS = ("new", "notfound", "active", "invalid", "expired", "suspended")

Value = Callable[[Guest], float | None]
_ALWAYS: tuple[tuple[str, str, Value], ...] = (
    ("pve_cpu_usage_limit", "Processors of a node or guest.", attrgetter("maxcpu")),
    ("pve_memory_size_bytes", "Memory of a node or guest.", attrgetter("maxmem")),
    ("pve_disk_size_bytes", "Size of a storage, of a node's root file system, of a guest's root disk.", attrgetter("maxdisk")),
)
_RUNNING: tuple[tuple[str, str, Value], ...] = (
    ("pve_cpu_usage_ratio", "Share of its processors that a node or guest uses.", attrgetter("cpu")),
    ("pve_memory_usage_bytes", "Memory a node or guest uses.", attrgetter("mem")),
    ("pve_disk_usage_bytes", "Space in use on a storage, a node's root file system, a container's root disk.", attrgetter("disk")),
    ("pve_uptime_seconds", "For how long a node or guest has been up.", attrgetter("uptime")),
)
_COUNTERS: tuple[tuple[str, str, Value], ...] = (
    ("pve_network_transmit_bytes_total", "Bytes a guest has sent since its start.", attrgetter("netout")),
    ("pve_network_receive_bytes_total", "Bytes a guest has received since its start.", attrgetter("netin")),
    ("pve_disk_written_bytes_total", "Bytes a guest has written since its start.", attrgetter("diskwrite")),
    ("pve_disk_read_bytes_total", "Bytes a guest has read since its start.", attrgetter("diskread")),
)
_OF_NODES: Mapping[str, Callable[[Node], float | None]] = {
    "pve_cpu_usage_limit": lambda node: node.maxcpu,
    "pve_memory_size_bytes": lambda node: node.maxmem,
    "pve_disk_size_bytes": lambda node: node.maxdisk,
    "pve_cpu_usage_ratio": lambda node: node.cpu,
    "pve_memory_usage_bytes": lambda node: node.mem,
    "pve_disk_usage_bytes": lambda node: node.disk,
    "pve_uptime_seconds": lambda node: node.uptime,
}


def families(view: MonitorView) -> Iterator[Series]:
    """Every metric of the exporter that the view can fill; of guests that do not run none that only a running one has."""
    listing = view.resources.value if isinstance(view.resources, Known) else Listing()
    # one for each guest, in their order; nearly every metric names them all
    ids = [_id(guest) for guest in listing.guests]
    yield from _up(view, listing, ids)
    yield from _cluster(view)
    yield from _usage(listing, ids)
    yield from _infos(listing, ids)
    yield from _states(listing, ids)
    yield from _onboot(view, listing, ids)
    yield from _not_backed_up(view, listing, ids)
    yield from _replication(view)
    yield from _subscriptions(view)


def guest_ids(view: MonitorView) -> Mapping[int, str]:
    """The exporter's id of each guest, by its number: 100 -> "qemu/100"; fit to stand between quotes as they are."""
    listing = view.resources.value if isinstance(view.resources, Known) else Listing()
    return {guest.vmid: _id(guest) for guest in listing.guests}


def _up(view: MonitorView, listing: Listing, ids: Sequence[str]) -> Iterator[Series]:
    name, lines = "pve_up", []
    if isinstance(view.membership, Known):
        status = view.membership.value
        lines += [series(name, {"id": f"node/{member.name}"}, int(member.online)) for member in status.members if member.online is not None]
        if status.name and status.quorate is not None:
            lines.append(series(name, {"id": f"cluster/{status.name}"}, int(status.quorate)))
    lines += [f'{name}{{id="{id_}"}} {int(guest.status == "running")}' for id_, guest in zip(ids, listing.guests, strict=True)]
    lines += [series(name, {"id": f"storage/{row.node}/{row.storage}"}, int(row.status == "available")) for row in listing.storages]
    yield Series(name=name, help="Whether a node is online, a cluster quorate, a guest running, a storage available.", lines=tuple(lines))


def _cluster(view: MonitorView) -> Iterator[Series]:
    if isinstance(view.release, Known):
        release = view.release.value
        labels = {"release": release.release or "", "repoid": release.repoid or "", "version": release.version}
        yield _one("pve_version_info", "The release of the node that answered.", (labels,))
    if not isinstance(view.membership, Known):
        return
    status = view.membership.value
    nodes = [
        {"id": f"node/{each.name}", "level": each.level or "", "name": each.name, "nodeid": str(each.id if each.id is not None else "")}
        for each in status.members
    ]
    yield _one("pve_node_info", "The nodes there are.", nodes)
    if not status.name:
        return
    name = f"cluster/{status.name}"
    labels = {"id": name, "nodes": str(len(status.members)), "quorate": str(int(bool(status.quorate))), "version": str(status.version or 0)}
    yield _one("pve_cluster_info", "The cluster.", (labels,))
    if isinstance(view.device, Known) and view.device.value is not None:
        line = series("pve_qdevice_up", {"id": name}, int(view.device.value == "Connected"))
        yield Series(name="pve_qdevice_up", help="Whether the quorum device counts.", lines=(line,))


def _usage(listing: Listing, ids: Sequence[str]) -> Iterator[Series]:
    labels = [f'{{id="{id_}"}}' for id_ in ids]
    runs = [guest.status == "running" for guest in listing.guests]
    everyone = labels, listing.guests
    running = tuple(compress(labels, runs)), tuple(compress(listing.guests, runs))
    storages = [(f'{{id="{quoted(f"storage/{row.node}/{row.storage}")}"}}', row) for row in listing.storages]
    for metrics, (whose, guests), kind in ((_ALWAYS, everyone, "gauge"), (_RUNNING, running, "gauge"), (_COUNTERS, running, "counter")):
        for name, told, value in metrics:
            numbers = zip(whose, map(value, guests), strict=True)
            lines = [f"{name}{label} {number}" for label, number in numbers if number is not None]
            if (of_node := _OF_NODES.get(name)) is not None:
                nodes = ((node, of_node(node)) for node in listing.nodes)
                lines += [series(name, {"id": f"node/{node.name}"}, number) for node, number in nodes if number is not None]
            if name in ("pve_disk_size_bytes", "pve_disk_usage_bytes"):
                sizes = ((label, row.maxdisk if name == "pve_disk_size_bytes" else row.disk) for label, row in storages)
                lines += [f"{name}{label} {shown(number)}" for label, number in sizes if number is not None]
            yield Series(name=name, help=told, lines=tuple(lines), type=kind)
    name = "pve_storage_shared"
    shared = tuple(f"{name}{label} {int(row.shared)}" for label, row in storages if row.shared is not None)
    yield Series(name=name, help="Whether all nodes see the same storage.", lines=shared)


def _infos(listing: Listing, ids: Sequence[str]) -> Iterator[Series]:
    nodes, types = _each_quoted(guest.node for guest in listing.guests), _each_quoted(guest.type for guest in listing.guests)
    # thousands of guests share a few dozen lists of tags
    tags = {told: quoted(";".join(told)) for told in {guest.tags for guest in listing.guests}}
    guests = [
        f'pve_guest_info{{id="{id_}",node="{nodes[guest.node]}",name="{quoted(guest.name or "")}",type="{types[guest.type]}",'
        f'template="{int(bool(guest.template))}",tags="{tags[guest.tags]}"}} 1'
        for id_, guest in zip(ids, listing.guests, strict=True)
    ]
    yield Series(name="pve_guest_info", help="The guests there are.", lines=tuple(guests))
    storages = (
        {
            "id": f"storage/{row.node}/{row.storage}",
            "node": row.node,
            "storage": row.storage,
            "plugintype": row.plugintype or "",
            "content": ",".join(sorted(row.content or ())),
        }
        for row in listing.storages
    )
    yield _one("pve_storage_info", "The storages there are.", storages)


def _states(listing: Listing, ids: Sequence[str]) -> Iterator[Series]:
    """All states of what is under HA or locked; of the others none, which queries for a state cannot tell from 0."""
    states: list[tuple[str, str, tuple[str, ...]]]
    states = [(id_, guest.hastate, _GUEST_STATES) for id_, guest in zip(ids, listing.guests, strict=True) if guest.hastate is not None]
    states += [(f"node/{node.name}", node.hastate, _NODE_STATES) for node in listing.nodes if node.hastate is not None]
    yield _state_set("pve_ha_state", "The HA manager's state of a guest or node, as one of several.", states)
    locks = [(id_, guest.lock, _LOCKS) for id_, guest in zip(ids, listing.guests, strict=True) if guest.lock is not None]
    yield _state_set("pve_lock_state", "The lock on a guest, as one of several.", locks)


def _state_set(name: str, told: str, rows: Iterable[tuple[str, str, tuple[str, ...]]]) -> Series:
    tails: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    lines: list[str] = []
    for whose, now, known in rows:
        ends = tails.get((now, known))
        if ends is None:
            states = known if now in known else (*known, now)
            ends = tails[now, known] = [f'",state="{quoted(state)}"}} {int(state == now)}' for state in states]
        head = f'{name}{{id="{quoted(whose)}'
        lines += [head + end for end in ends]
    return Series(name=name, help=told, lines=tuple(lines))


def _onboot(view: MonitorView, listing: Listing, ids: Sequence[str]) -> Iterator[Series]:
    name = "pve_onboot_status"
    nodes, types = _each_quoted(guest.node for guest in listing.guests), _each_quoted(guest.type for guest in listing.guests)
    lines = [
        f'{name}{{id="{id_}",node="{nodes[guest.node]}",type="{types[guest.type]}"}} {int(told.settings.value.onboot)}'
        for id_, guest in zip(ids, listing.guests, strict=True)
        if (told := view.guests.get(guest.vmid)) is not None and isinstance(told.settings, Known) and told.settings.value.onboot is not None
    ]
    yield Series(name=name, help="Whether a guest starts when its node does.", lines=tuple(lines))


def _each_quoted(words: Iterable[str]) -> Mapping[str, str]:
    """The few words there are, each quoted once however many guests it is said of."""
    return {word: quoted(word) for word in set(words)}


def _not_backed_up(view: MonitorView, listing: Listing, ids: Sequence[str]) -> Iterator[Series]:
    if not isinstance(view.uncovered, Known):
        return
    by_number = {guest.vmid: id_ for id_, guest in zip(ids, listing.guests, strict=True)}
    cluster = view.membership.value.name if isinstance(view.membership, Known) else None
    total = series("pve_not_backed_up_total", {"id": f"cluster/{cluster}" if cluster else "cluster"}, len(view.uncovered.value))
    yield Series(name="pve_not_backed_up_total", help="How many guests are in no backup job.", lines=(total,))
    name = "pve_not_backed_up_info"
    found = (by_number.get(vmid) for vmid in sorted(view.uncovered.value))
    yield Series(name=name, help="The guests in no backup job.", lines=tuple([f'{name}{{id="{id_}"}} 1' for id_ in found if id_]))


def _replication(view: MonitorView) -> Iterator[Series]:
    jobs = [job for node in view.nodes if isinstance(node.replication, Known) for job in node.replication.value]
    types = {guest.vmid: guest.type for guest in view.resources.value.guests} if isinstance(view.resources, Known) else {}
    infos = (
        {
            "id": job.id,
            "type": "local",
            "source": f"node/{job.source or ''}",
            "target": f"node/{job.target or ''}",
            "guest": f"{types.get(job.guest, 'qemu')}/{job.guest}",
        }
        for job in jobs
    )
    yield _one("pve_replication_info", "The replication jobs there are.", infos)
    moments = (
        ("pve_replication_last_sync_timestamp_seconds", "When a replica was made last.", "last_sync"),
        ("pve_replication_last_try_timestamp_seconds", "When a replication was tried last.", "last_try"),
        ("pve_replication_next_sync_timestamp_seconds", "When a replication is due next.", "next_sync"),
    )
    for name, told, field in moments:
        times = ((job.id, getattr(job, field)) for job in jobs)
        yield Series(name=name, help=told, lines=tuple(series(name, {"id": id_}, at.timestamp()) for id_, at in times if at is not None))
    for name, told, field in (
        ("pve_replication_duration_seconds", "How long a replication took last.", "duration"),
        ("pve_replication_failed_syncs", "How often in a row a replication has failed.", "fail_count"),
    ):
        values = ((job.id, getattr(job, field)) for job in jobs)
        yield Series(name=name, help=told, lines=tuple(series(name, {"id": id_}, value) for id_, value in values if value is not None))


def _subscriptions(view: MonitorView) -> Iterator[Series]:
    told = [(node.name, node.subscription.value) for node in view.nodes if isinstance(node.subscription, Known)]
    states = [(f"node/{name}", each.status, _SUBSCRIPTIONS) for name, each in told if each.status is not None]
    name = "pve_subscription_status"
    lines = (series(name, {"id": whose, "status": state}, int(state == now)) for whose, now, known in states for state in known)
    yield Series(name=name, help="A node's subscription, as one of several states.", lines=tuple(lines))
    name = "pve_subscription_next_due_timestamp_seconds"
    due = tuple(series(name, {"id": f"node/{node}"}, each.due.timestamp()) for node, each in told if each.due is not None)
    yield Series(name=name, help="When a node's subscription ends.", lines=due)


def _one(name: str, told: str, rows: Iterable[Mapping[str, str]]) -> Series:
    return Series(name=name, help=told, lines=tuple(series(name, labels, 1) for labels in rows))


def _id(guest: Guest) -> str:
    # no other word gets as far as this, and of 10,000 guests every step counts
    return f"{guest.type}/{guest.vmid}" if guest.type in ("qemu", "lxc") else quoted(f"{guest.type}/{guest.vmid}")
