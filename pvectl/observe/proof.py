"""The proof that nothing was left out of a look (safety rule S1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from pvectl.core import permits
from pvectl.core.model import ClusterView, Source, Unknown
from pvectl.errors import NodeUnreachable, PvectlError

if TYPE_CHECKING:
    from pvectl.pve.client import AclEntry, ProxmoxClient

T = TypeVar("T")


def prove_complete(client: ProxmoxClient, view: ClusterView, *, nodes: Sequence[str] | None = None) -> ClusterView:
    """The same view with its blind spots named: none means that it shows every guest (safety rule S1).

    `nodes` are those whose own lists are held against the view; all of them unless told. What cannot be read is a blind spot, never a pass.
    """
    asked = tuple(node.name for node in view.nodes) if nodes is None else tuple(dict.fromkeys(nodes))
    sights = client.in_parallel([partial(sight_of, client, node) for node in asked])
    acl = _answer(client.acl)
    rights = held_rights(client, acl, _answer(client.permissions), asked)
    evidence = permits.Evidence(
        token_id=client.connection.token_id,
        acl=acl,
        rights=rights,
        nodes=tuple(
            permits.NodeSight(node=node, listed=sight, netstat=sight) if isinstance(sight, Unknown) else sight
            for node, sight in zip(asked, map(_known, sights), strict=True)
        ),
    )
    spots = permits.blind_spots(evidence, frozenset(guest.vmid for guest in view.guests))
    return replace(view, proven=True, blind_spots=spots, sources=(*view.sources, *_sources(evidence)))


def held_rights(
    client: ProxmoxClient,
    acl: tuple[AclEntry, ...] | Unknown,
    listed: Mapping[str, permits.Rights] | Unknown,
    nodes: Sequence[str],
    *,
    storages: bool = False,
) -> dict[str, permits.Rights | Unknown]:
    """What the token holds wherever the proof asks; one request for each path where the listing does not tell, none in the usual case.

    The listing has every path a rule is about, and leaves out those without any right (recorded on PVE 9.2): what is missing from it has
    to be asked for. At a node no rule is about, what is held at /nodes goes on, as long as all rules can be read.
    With `storages`, what is held at /storage is found out as well, and at every storage a rule is about.
    """
    rights: dict[str, permits.Rights | Unknown] = {} if isinstance(listed, Unknown) else dict(listed)
    token_id = client.connection.token_id
    rights |= _inherited(token_id, acl, rights, nodes)
    at_nodes = [f"/nodes/{node}" for node in nodes]
    roots = (*permits.ROOTS, "/storage") if storages else permits.ROOTS
    paths = [path for path in (*roots, *at_nodes) if path not in rights]
    paths += [path for path in permits.paths_to_ask(token_id, acl, nodes) if path not in at_nodes]
    if storages and not isinstance(acl, Unknown):
        paths += [line.path for line in acl if line.path.startswith("/storage/") and permits.may_be_ours(line, token_id)]
    paths = list(dict.fromkeys(paths))
    answers = client.in_parallel([partial(_answer, partial(_rights_at, client, path)) for path in paths])
    rights.update((path, _known(answer)) for path, answer in zip(paths, answers, strict=True))
    return rights


def _inherited(
    token_id: str, acl: tuple[AclEntry, ...] | Unknown, rights: Mapping[str, permits.Rights | Unknown], nodes: Sequence[str]
) -> dict[str, permits.Rights | Unknown]:
    """The rights at each node that no rule is about."""
    access, above = rights.get("/access"), rights.get("/nodes")
    if isinstance(acl, Unknown) or not isinstance(access, Mapping) or not isinstance(above, Mapping) or "Sys.Audit" not in access:
        return {}
    ruled = {line.path.rstrip("/") for line in acl if permits.may_be_ours(line, token_id)}
    going_on = {privilege: True for privilege, goes_on in above.items() if goes_on}
    return {path: going_on for path in (f"/nodes/{node}" for node in nodes) if path not in ruled and path not in rights}


def sight_of(client: ProxmoxClient, node: str) -> permits.NodeSight:
    """What one node itself shows of its guests: three requests, or one where it is silent."""
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
