"""One look at a cluster: what it is made of, and what the nodes themselves say of a few guests."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pvectl.core.model import ClusterView, Guest, Node, Source
from pvectl.errors import PvectlError

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.pve.client import ProxmoxClient

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
        guests=of_online_nodes(resources.guests, resources.nodes),
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


def of_online_nodes(guests: tuple[Guest, ...], nodes: Sequence[Node]) -> tuple[Guest, ...]:
    """The same guests, those of a node that is not online unknown: PVE repeats what was last heard of them for 300 s."""
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
    return replace(
        guest,
        status=live.status,
        lock=live.lock,
        name=live.name or guest.name,
        template=live.template or guest.template,
        uptime=live.uptime,
    )
