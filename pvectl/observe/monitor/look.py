"""One look at a whole cluster for the monitor: each source for itself, none of them able to take the others along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.model import Known, Unknown
from pvectl.core.monitor.monitored import GuestFacts, MonitorView, Remembered, StorageFacts
from pvectl.observe.monitor import cluster, memory, nodes, stores
from pvectl.observe.monitor.asking import Asker
from pvectl.observe.monitor.memory import ClusterSlow, GuestsSlow, Memory, NodesSlow, Seen, StoragesSlow

if TYPE_CHECKING:
    from datetime import datetime

    from pvectl.clock import Clock
    from pvectl.core.monitor.monitored import NodeFacts
    from pvectl.observe.monitor.cluster import Quick
    from pvectl.observe.monitor.nodes import NodeLook
    from pvectl.pve.client import ProxmoxClient


class Asking(Struct, frozen=True, kw_only=True):
    """What is to be looked at, and how closely; times in seconds.

    `wanted` names the sources (`checks.registry.wanted`), `slow_every` is how long a slow answer is good for, `slow_for` what
    slow answers may cost one run, `tell_for` how long a task that ended is told. `off` are the nodes pvectl switched off itself.
    """

    wanted: frozenset[str]
    slow_every: float = 3600.0
    slow_for: float = 25.0
    tell_for: float = 86400.0
    off: Mapping[str, datetime] = {}


def look(client: ProxmoxClient, clock: Clock, *, asking: Asking, before: Memory) -> tuple[MonitorView, Memory]:
    """Look once; what is to be remembered for the next look comes back beside what was seen.

    Raises:
        PvectlError: no host answered, or none lets us in; what else stays unanswered is told in its place.
    """
    now = clock.now()
    asker = Asker(client, clock, wanted=asking.wanted, refused=before.seen.refused)
    quick = cluster.Quick(asker, before.cluster)
    looks = _nodes(asker, quick, before, asking)
    silent = {one.facts.name: one.silent for one in looks if one.silent is not None}

    asker.begin_slow(asking.slow_for)
    of_cluster = _of_cluster(asker, quick, before.cluster, looks, asking)
    earlier, every = before.nodes.nodes, asking.slow_every
    facts = tuple(asker.each([partial(nodes.slow, asker, one, earlier.get(one.facts.name), every=every) for one in looks]))
    listing = quick.listing
    storages: tuple[StorageFacts, ...] = ()
    guests: Mapping[int, GuestFacts] = before.guests.guests
    progress = None
    if isinstance(listing, Known):
        storages = stores.storages(asker, listing.value, before.storages.storages, silent, every)
        progress = stores.guests(asker, listing.value, before.guests.guests, silent, every)
        guests = progress.guests
    seen = _seen(asker, quick, looks, before.seen, now)
    view = MonitorView(
        taken_at=clock.now(),
        token_id=client.connection.token_id,
        cluster=client.connection.cluster,
        resources=listing,
        membership=quick.membership,
        ha=quick.fact("ha"),
        votes=quick.votes(of_cluster),
        device=quick.device,
        backup_jobs=of_cluster.backup_jobs,
        uncovered=quick.fact("uncovered"),
        running=quick.running,
        ceph=quick.ceph(of_cluster),
        release=of_cluster.release,
        rights=quick.rights(of_cluster),
        sight=of_cluster.sight,
        nodes=facts,
        storages=storages,
        guests=guests,
        remembered=Remembered(locks=seen.locks, disarmed_since=seen.disarmed_since, off=asking.off),
        took=asker.took,
    )
    return view, _memory(before, seen, of_cluster, facts, storages, progress)


def _nodes(asker: Asker, quick: Quick, before: Memory, asking: Asking) -> tuple[NodeLook, ...]:
    """Every node anybody knows of; those the cluster calls offline are not asked."""
    online: dict[str, bool | None] = {}
    if isinstance(quick.listing, Known):
        online |= {node.name: None for node in quick.listing.value.nodes}
    if isinstance(quick.membership, Known):
        online |= {member.name: member.online for member in quick.membership.value.members}
    calls = []
    for name, is_online in sorted(online.items()):
        cursor = before.seen.tasks.get(name)
        if is_online is False:
            calls.append(partial(nodes.unasked, asker, name, f"node {name} is offline", cursor))
        else:
            calls.append(partial(nodes.quick, asker, name, told=quick.broadcast(name), cursor=cursor, tell_for=asking.tell_for))
    return tuple(asker.each(calls))


def _of_cluster(asker: Asker, quick: Quick, before: ClusterSlow, looks: Sequence[NodeLook], asking: Asking) -> ClusterSlow:
    now, every = asker.clock.now(), asking.slow_every
    answers = asker.all(cluster.slow_questions(asker, quick, before, now, every))
    changes: dict[str, Any] = {name: answer.fact for name, answer in answers.items()}
    if asker.wants("sight") and cluster.proof_is_due(before, now, every):
        offline = (
            {member.name for member in quick.membership.value.members if member.online is False}
            if isinstance(quick.membership, Known)
            else set()
        )
        answering = [one.facts.name for one in looks if one.silent is None]
        silent = [one.facts.name for one in looks if one.silent is not None and one.facts.name not in offline]
        changes["sight"], changes["rights"] = cluster.prove(asker, quick, answering, silent)
    return replace(before, **changes) if changes else before


def _seen(asker: Asker, quick: Quick, looks: Sequence[NodeLook], before: Seen, now: datetime) -> Seen:
    listing, ha = quick.listing, quick.fact("ha")
    return Seen(
        locks=before.locks if isinstance(listing, Unknown) else memory.locks(before.locks, listing.value, now),
        disarmed_since=before.disarmed_since if isinstance(ha, Unknown) else memory.disarmed_since(before.disarmed_since, ha.value, now),
        levels=before.levels,
        tasks={one.facts.name: one.cursor for one in looks if one.cursor is not None},
        refused=asker.refused,
    )


def _memory(
    before: Memory,
    seen: Seen,
    of_cluster: ClusterSlow,
    facts: Sequence[NodeFacts],
    storages: Sequence[StorageFacts],
    progress: stores.Progress | None,
) -> Memory:
    """What is the same as before is the very same object, so that nobody has to write it again."""
    by_name = {one.name: memory.merged(before.nodes.nodes.get(one.name), nodes.kept_slow(one)) for one in facts}
    by_object = {one.object: memory.merged(before.storages.storages.get(one.object), one) for one in storages}
    part_of_cluster = memory.kept(of_cluster) if of_cluster is not before.cluster else before.cluster
    kept_nodes = before.nodes if by_name == before.nodes.nodes else NodesSlow(nodes=by_name)
    unseen = progress is None or by_object == before.storages.storages
    kept_storages = before.storages if unseen else StoragesSlow(storages=by_object)
    kept_guests = before.guests
    if progress is not None and progress.changed:
        earlier = before.guests.guests
        kept_guests = GuestsSlow(guests={vmid: memory.merged(earlier.get(vmid), one) for vmid, one in progress.guests.items()})
    return Memory(seen=seen, cluster=part_of_cluster, nodes=kept_nodes, storages=kept_storages, guests=kept_guests)
