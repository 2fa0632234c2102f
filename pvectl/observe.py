"""One look at a cluster, and the proof that nothing was left out of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from pvectl.core import permits
from pvectl.core.model import ClusterView, Guest, Node, Source, Unknown
from pvectl.errors import NodeUnreachable, PvectlError

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.pve.client import ProxmoxClient

T = TypeVar("T")
_UNHEARD: dict[str, Any] = {"status": "unknown"} | dict.fromkeys(
    ("cpu", "mem", "disk", "uptime", "netin", "netout", "diskread", "diskwrite")
)


def look(client: ProxmoxClient, clock: Clock, *, quorum: bool = False) -> ClusterView:
    """The cluster as one GET /cluster/resources shows it; with `quorum`, one GET /cluster/status as well.

    Guests whose status is unknown stay on the list, and so do those of a node that is not online: PVE repeats what was last heard of them
    for 300 s, which nobody knows to be true. What the token may not see is not there: `prove_complete` finds out.
    """
    taken_at = clock.now()
    resources = client.resources()
    view = ClusterView(
        taken_at=taken_at,
        guests=_of_online_nodes(resources.guests, resources.nodes),
        nodes=resources.nodes,
        storages=resources.storages,
        pools=resources.pools,
        sources=(Source(path="/cluster/resources"),),
    )
    if not quorum:
        return view
    status = client.cluster_status()
    return replace(
        view,
        cluster=status.name,
        standalone=status.standalone,
        quorate=status.quorate,
        sources=(*view.sources, Source(path="/cluster/status")),
    )


def _of_online_nodes(guests: tuple[Guest, ...], nodes: Sequence[Node]) -> tuple[Guest, ...]:
    silent = {node.name for node in nodes if node.status != "online"}
    if not silent:
        return guests
    return tuple(replace(guest, **_UNHEARD) if guest.node in silent else guest for guest in guests)


def look_closer(client: ProxmoxClient, view: ClusterView, guests: Sequence[Guest]) -> ClusterView:
    """The same view with what the nodes themselves say now of these guests: two requests for each node they are on.

    `/cluster/resources` may be 300 s old and shows a paused VM as running (recorded on PVE 8.4 and 9.2). A guest whose node does not
    answer, or does not list it, is unknown.
    """
    nodes = tuple(dict.fromkeys(guest.node for guest in guests))
    answers = client.in_parallel([partial(client.node_guests, node, full=True) for node in nodes])
    live = {guest.vmid: guest for answer in answers if not isinstance(answer, PvectlError) for guest in answer}
    asked = {guest.vmid for guest in guests}
    sources = [
        Source(path=f"/nodes/{node}/qemu", status=answer.message if isinstance(answer, PvectlError) else "ok")
        for node, answer in zip(nodes, answers, strict=True)
    ]
    seen = tuple(_as_seen_live(guest, live.get(guest.vmid)) if guest.vmid in asked else guest for guest in view.guests)
    return replace(view, guests=seen, sources=(*view.sources, *sources))


def _as_seen_live(guest: Guest, live: Guest | None) -> Guest:
    if live is None or live.node != guest.node:
        return replace(guest, status="unknown")
    return replace(guest, status=live.status, lock=live.lock, name=live.name or guest.name, template=live.template or guest.template)


def prove_complete(client: ProxmoxClient, view: ClusterView, *, nodes: Sequence[str] | None = None) -> ClusterView:
    """The same view with its blind spots named: none means that it shows every guest (safety rule S1).

    `nodes` are those whose own lists are held against the view; all of them unless told. What cannot be read is a blind spot, never a pass.
    """
    asked = tuple(node.name for node in view.nodes) if nodes is None else tuple(dict.fromkeys(nodes))
    token_id = client.connection.token_id
    sights = client.in_parallel([partial(_sight, client, node) for node in asked])
    acl = _answer(client.acl)
    listed = _answer(client.permissions)
    rights: dict[str, permits.Rights | Unknown] = {} if isinstance(listed, Unknown) else dict(listed)
    # the listing leaves out paths without any right, and those no rule names: only asking for a path gives its rights for certain
    paths = [*(path for path in permits.ROOTS if path not in rights), *permits.paths_to_ask(token_id, acl, asked)]
    answers = client.in_parallel([partial(_answer, partial(_rights_at, client, path)) for path in paths])
    rights.update((path, _known(answer)) for path, answer in zip(paths, answers, strict=True))
    evidence = permits.Evidence(
        token_id=token_id,
        acl=acl,
        rights=rights,
        nodes=tuple(
            permits.NodeSight(node=node, listed=sight, netstat=sight) if isinstance(sight, Unknown) else sight
            for node, sight in zip(asked, map(_known, sights), strict=True)
        ),
    )
    spots = permits.blind_spots(evidence, frozenset(guest.vmid for guest in view.guests))
    return replace(view, proven=True, blind_spots=spots, sources=(*view.sources, *_sources(evidence)))


def _sight(client: ProxmoxClient, node: str) -> permits.NodeSight:
    try:
        listed: frozenset[int] | Unknown = frozenset(guest.vmid for guest in client.node_guests(node))
    except NodeUnreachable as error:
        # a node that hangs takes 30 s for each question
        silent = Unknown(reason=error.message)
        return permits.NodeSight(node=node, listed=silent, netstat=silent)
    except PvectlError as error:
        listed = Unknown(reason=error.message)
    return permits.NodeSight(node=node, listed=listed, netstat=_answer(partial(client.netstat, node)))


def _rights_at(client: ProxmoxClient, path: str) -> permits.Rights:
    return client.permissions(path).get(path, {})


def _answer(call: Callable[[], T]) -> T | Unknown:
    try:
        return call()
    except PvectlError as error:
        return Unknown(reason=error.message)


def _known(answer: T | Unknown | PvectlError) -> T | Unknown:
    return Unknown(reason=answer.message) if isinstance(answer, PvectlError) else answer


def _sources(evidence: permits.Evidence) -> list[Source]:
    asked: list[tuple[str, object]] = [("/access/acl", evidence.acl)]
    asked += [(f"/access/permissions?path={path}", rights) for path, rights in evidence.rights.items() if path in permits.ROOTS]
    for sight in evidence.nodes:
        asked += [(f"/nodes/{sight.node}/qemu", sight.listed), (f"/nodes/{sight.node}/netstat", sight.netstat)]
    return [Source(path=path, status=answer.reason if isinstance(answer, Unknown) else "ok") for path, answer in asked]
