"""What would happen if a node died now: which of its guests could not be restarted elsewhere, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from pvectl.core.model import Guest, Node, Unknown
from pvectl.core.monitor.checks.check import NOT_HERE, Case, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import CLUSTER, Blind, Look, Missing, blind_for, untold
from pvectl.core.monitor.checks.quorum import breaks_without
from pvectl.core.monitor.finding import Severity
from pvectl.core.monitor.monitored import GuestSettings

_NOT_MANAGED = frozenset({None, "ignored"})
_NAMED = 8


class Failover(Struct, frozen=True, kw_only=True):
    """What the loss of one node would leave. `stuck` are the guests that could not be restarted, with the reason.

    `quorum_lost`: without the node the cluster is not quorate, so nothing could be restarted; None: cannot be told. `unread` and `untold`:
    what else could not be told, for want of sources and of fields.
    """

    node: str
    concerned: tuple[int, ...] = ()
    stuck: tuple[tuple[int, str], ...] = ()
    quorum_lost: bool | None = None
    unread: tuple[Missing, ...] = ()
    untold: tuple[str, ...] = ()


def without(look: Look, node: str) -> Failover:
    """The failover of one node, as far as it can be told."""
    guests = [guest for _subject, guest in look.guests if guest.node == node and _concerned(look, guest)]
    others = [other for name, other in look.listed_nodes.items() if name != node and look.is_online(name)]
    stuck: dict[int, str] = {}
    untold: list[str] = []
    unread: dict[Missing, None] = {}
    movable: list[tuple[int, Guest]] = []
    for guest in guests:
        settings = look.guest_facts(guest.vmid).settings
        if isinstance(settings, Unknown):
            unread[Missing(source="guest-settings", of="guests", reason=settings.reason)] = None
        elif isinstance(tied := _tied(look, settings.value, guest, others), Missing):
            unread[tied] = None
        elif tied is not None:
            stuck[guest.vmid] = tied
        elif guest.maxmem is None:
            untold.append(f"the memory of {guest.label}")
        else:
            movable.append((guest.maxmem, guest))
    room, dark = _room(others)
    if movable and dark:
        untold.append(f"the free memory of {', '.join(dark)}")
    stuck |= _without_room(movable, room)
    return Failover(
        node=node,
        concerned=tuple(guest.vmid for guest in guests),
        stuck=tuple(sorted(stuck.items())),
        quorum_lost=_quorum_lost(look, node),
        unread=tuple(unread),
        untold=tuple(untold),
    )


def _concerned(look: Look, guest: Guest) -> bool:
    if look.settings.failover_of == "all":
        return guest.status == "running"
    return guest.hastate not in _NOT_MANAGED and guest.hastate != "stopped"


def _tied(look: Look, settings: GuestSettings, guest: Guest, others: Sequence[Node]) -> str | Missing | None:
    """What ties the guest to its node, if anything does; Missing where only its replicas could tell."""
    if settings.bound_to_host:
        return f"uses its node's own {', '.join(settings.bound_to_host)}"
    storages = {disk.storage: disk.key for disk in settings.disks if disk.storage is not None}
    reachable = {(row.storage, row.node) for row in (look.listing.storages if look.listing else ()) if row.shared}
    local = [each for each in storages if not any((each, other.name) in reachable for other in others)]
    if not local:
        return None
    jobs = look.node_facts[guest.node].replication
    if isinstance(jobs, Unknown):
        return look.missing(jobs, "node-replication", f"node/{guest.node}")
    replicas = {job.target for job in jobs.value if job.guest == guest.vmid and job.last_sync is not None}
    if replicas.isdisjoint(other.name for other in others):
        return f"{storages[local[0]]} lies on {local[0]}, which no other node has"
    return None


def _room(others: Iterable[Node]) -> tuple[dict[str, int], list[str]]:
    """The free memory of the other nodes, and those of which it is not known."""
    room: dict[str, int] = {}
    dark: list[str] = []
    for node in others:
        if node.maxmem is None or node.mem is None:
            dark.append(node.name)
        else:
            room[node.name] = node.maxmem - node.mem
    return room, dark


def _without_room(movable: Iterable[tuple[int, Guest]], room: Mapping[str, int]) -> dict[int, str]:
    """Who finds no memory when the largest choose first, each the node with most room: what the HA manager does comes close to it."""
    left = dict(room)
    stuck: dict[int, str] = {}
    for memory, guest in sorted(movable, key=lambda each: (-each[0], each[1].vmid)):
        roomiest = max(left, key=lambda name: left[name], default=None)
        if roomiest is None or left[roomiest] < memory:
            stuck[guest.vmid] = f"needs {memory / 2**30:.1f} GiB of memory, and no other node has that left"
        else:
            left[roomiest] -= memory
    return stuck


def _quorum_lost(look: Look, node: str) -> bool | None:
    view = look.view
    if isinstance(view.votes, Unknown) or isinstance(view.device, Unknown):
        return None
    online = frozenset(name for name in look.members if look.is_online(name))
    return node in breaks_without(view.votes.value, online, view.device.value)


def _nodes(look: Look) -> Eligible[str]:
    if look.standalone is None:
        assert isinstance(look.view.membership, Unknown)
        yield look.blind(CLUSTER, look.view.membership, "membership")
        return
    if look.standalone:
        return
    yield from look.unlisted()
    if look.listing is None:
        return
    for subject in look.nodes:
        is_online = look.is_online(subject.node or "")
        if is_online:
            yield subject, subject.node or ""
        elif is_online is None:
            yield untold(subject, look.view.membership, f"whether {subject.node} is online")


def _survivable(case: Case, node: str) -> Outcome:
    failover = without(case.look, node)
    if not failover.concerned:
        return NOT_HERE
    evidence = case.look.evidence(case.look.view.resources, "maxmem")
    if failover.quorum_lost:
        count = len(failover.concerned)
        whom = "its guest" if count == 1 else f"none of its {count} guests"
        message = f"if node {node} died, the cluster would not be quorate, and {whom} would {'not ' if count == 1 else ''}be restarted"
        return case.finding(Severity.WARNING, message, evidence=evidence)
    if failover.stuck:
        named = "; ".join(f"{vmid} {why}" for vmid, why in failover.stuck[:_NAMED])
        more = f"; and {len(failover.stuck) - _NAMED} more" if len(failover.stuck) > _NAMED else ""
        message = f"if node {node} died, {len(failover.stuck)} of its guests could not be restarted elsewhere: {named}{more}"
        return case.finding(Severity.WARNING, message, evidence=evidence)
    if failover.unread:
        return blind_for(case.subject, failover.unread)
    if failover.untold:
        return Blind(subject=case.subject, reason=f"not known: {failover.untold[0]}")
    return _quorum_untold(case) if failover.quorum_lost is None else None


def _quorum_untold(case: Case) -> Outcome:
    view = case.look.view
    if isinstance(view.votes, Unknown):
        return case.blind(view.votes, "votes")
    return case.blind(view.device, "device") if isinstance(view.device, Unknown) else None


CHECKS = (
    check(
        "cluster.n1",
        "guests under HA can be restarted elsewhere",
        about="node",
        sources=("membership", "resources", "votes", "device", "guest-settings", "node-replication"),
        eligible=_nodes,
        examine=_survivable,
    ),
)
