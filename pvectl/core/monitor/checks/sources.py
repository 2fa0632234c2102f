"""Where the monitor's facts come from, which privileges each takes, and which of them PVE leaves out without a word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from shlex import quote
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core import permits
from pvectl.core.model import Known, Unknown
from pvectl.core.monitor.checks.settings import HOUR, MonitorSettings
from pvectl.core.monitor.monitored import FACTS, Fact, GuestFacts, Listing, MonitorView
from pvectl.core.permits import Rights

Needs: TypeAlias = tuple[tuple[tuple[str, str], ...], ...]
"""Alternatives, each a set of (privilege, path) that has to be held together."""


class Source(Struct, frozen=True, kw_only=True):
    """One kind of request. `hides`: without the privileges PVE does not refuse, it answers with less, and nobody could tell.

    `slow`: hourly is enough. In paths, {node}, {storage}, {type} and {vmid} stand for what is asked.
    """

    name: str
    path: str
    needs: Needs = ()
    hides: bool = False
    slow: bool = False

    def told(self) -> str:
        """The privileges in words."""
        return " or ".join(" and ".join(f"{privilege} on {path}" for privilege, path in need) for need in self.needs)


def _one(privilege: str, path: str) -> Needs:
    return (((privilege, path),),)


_CLUSTER = _one("Sys.Audit", "/")
_NODE = _one("Sys.Audit", "/nodes/{node}")
_GUEST = _one("VM.Audit", "/vms/{vmid}")
_STORAGE: Needs = ((("Datastore.Audit", "/storage/{storage}"),), (("Datastore.AllocateSpace", "/storage/{storage}"),))
# check_volume_access of pve-storage PVE/Storage.pm: what it refuses, the content listing leaves out (PVE/API2/Storage/Content.pm)
_BACKUPS: Needs = (
    (("Datastore.AllocateSpace", "/storage/{storage}"), ("VM.Backup", "/vms")),
    (("Datastore.Allocate", "/storage/{storage}"),),
)

SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        Source(name="resources", path="/cluster/resources", needs=_one("VM.Audit", "/vms")),
        Source(name="membership", path="/cluster/status", needs=_CLUSTER),
        Source(name="ha", path="/cluster/ha/status/current", needs=_CLUSTER),
        Source(name="votes", path="/cluster/config/nodes", needs=_CLUSTER, slow=True),
        Source(name="device", path="/cluster/config/qdevice", needs=_CLUSTER),
        Source(name="backup_jobs", path="/cluster/backup", needs=_CLUSTER, slow=True),
        Source(
            name="uncovered",
            path="/cluster/backup-info/not-backed-up",
            needs=((("Sys.Audit", "/"), ("VM.Audit", "/vms")),),
            hides=True,
        ),
        Source(name="running", path="/cluster/tasks", needs=_CLUSTER, hides=True),
        Source(name="ceph", path="/cluster/ceph/status", needs=((("Sys.Audit", "/"),), (("Datastore.Audit", "/"),))),
        Source(name="release", path="/version", slow=True),
        Source(name="rights", path="/access/permissions"),
        Source(name="sight", path="/access/acl", needs=_one("Sys.Audit", "/access"), slow=True),
        Source(name="node-status", path="/nodes/{node}/status", needs=_NODE),
        Source(name="node-clock", path="/nodes/{node}/time", needs=_NODE),
        Source(name="node-services", path="/nodes/{node}/services", needs=_NODE),
        Source(
            name="node-storages",
            path="/nodes/{node}/storage",
            needs=((("Datastore.Audit", "/storage"),), (("Datastore.AllocateSpace", "/storage"),)),
            hides=True,
        ),
        Source(name="node-replication", path="/nodes/{node}/replication", needs=_one("VM.Audit", "/vms"), hides=True),
        Source(name="node-tasks", path="/nodes/{node}/tasks", needs=_NODE, hides=True),
        Source(name="node-pressure", path="/nodes/{node}/rrddata", needs=_NODE, slow=True),
        Source(name="node-disks", path="/nodes/{node}/disks/list", needs=_NODE, slow=True),
        Source(name="node-zfs", path="/nodes/{node}/disks/zfs", needs=_CLUSTER, slow=True),
        Source(
            name="node-thin_pools",
            path="/nodes/{node}/disks/lvmthin",
            needs=((("Sys.Audit", "/"),), (("Datastore.Audit", "/"),)),
            slow=True,
        ),
        Source(name="node-certificates", path="/nodes/{node}/certificates/info", slow=True),
        Source(name="node-subscription", path="/nodes/{node}/subscription", slow=True),
        Source(name="node-updates", path="/nodes/{node}/apt/update", needs=_one("Sys.Modify", "/nodes/{node}"), slow=True),
        Source(name="storage-history", path="/nodes/{node}/storage/{storage}/rrddata", needs=_STORAGE, slow=True),
        Source(name="storage-backups", path="/nodes/{node}/storage/{storage}/content", needs=_BACKUPS, hides=True, slow=True),
        Source(name="guest-settings", path="/nodes/{node}/{type}/{vmid}/config", needs=_GUEST, slow=True),
        Source(name="guest-snapshots", path="/nodes/{node}/{type}/{vmid}/snapshot", needs=_GUEST, slow=True),
    )
}
"""Every source by its name; a fact field of the view without a line here does not exist."""

_WHOLE = ("/vms", "/storage")
"""Where a right is of use only if it goes on below."""

_UNHEARD: dict[str, Any] = {"status": "unknown"} | dict.fromkeys(
    ("cpu", "mem", "disk", "uptime", "netin", "netout", "diskread", "diskwrite")
)
_AUDITOR = frozenset({"Sys.Audit", "VM.Audit", "Datastore.Audit"})
_ROLE = "PvectlMonitorMore"
# a rule at a deeper path replaces what comes from above, so the role that is granted there has to bring sight along (pve-access-control)
_SIGHT = ("VM.Audit", "Sys.Audit", "Datastore.Audit")


def paths_to_ask(nodes: Iterable[str], storages: Iterable[str]) -> tuple[str, ...]:
    """The paths at which the monitor has to know the token's rights."""
    return tuple(dict.fromkeys(["/", "/vms", "/storage", *(f"/nodes/{n}" for n in nodes), *(f"/storage/{s}" for s in storages)]))


def missing(source: Source, rights: Mapping[str, Rights], **asked: str | int) -> tuple[tuple[str, str], ...]:
    """What the token lacks for this source: of the first alternative, which is the least powerful one; () when it has all of one."""
    lacks = [
        tuple((privilege, where) for privilege, path in need if not held(rights, privilege, where := path.format(**asked)))
        for need in source.needs
    ]
    return lacks[0] if all(lacks) and lacks else ()


def held(rights: Mapping[str, Rights], privilege: str, path: str) -> bool:
    """Whether the privilege is held at the path: by its own entry, otherwise by what goes on below the nearest one above it.

    PVE lists /nodes, /vms, /storage and their like wherever anything is held there: one that is missing holds nothing, and hands nothing
    down from / (pve-access-control PVE/API2/AccessControl.pm).
    """
    if path in rights:
        return rights[path].get(privilege, False) if path in _WHOLE else privilege in rights[path]
    above = max((known for known in rights if known != "/" and _is_above(known, path)), key=len, default=None)
    return above is not None and rights[above].get(privilege, False)


def mends(view: MonitorView, lacks: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The pveum lines that give the token what it lacks.

    A token with privileges of its own holds only what its user holds as well (pve-access-control PVE/RPCEnvironment.pm): each gets a line.
    """
    rights = view.rights.value if isinstance(view.rights, Known) else {}
    evidence = permits.Evidence(token_id=view.token_id, acl=Unknown(reason="not read"), rights=dict(rights))
    lines: dict[str, None] = {}
    for privilege, path in lacks:
        if privilege in _AUDITOR:
            lines.update(dict.fromkeys(permits.mend(evidence, path).split(" && ")))
    more = [(privilege, path) for privilege, path in lacks if privilege not in _AUDITOR]
    if more:
        privileges = dict.fromkeys([*(privilege for privilege, _path in more), *_SIGHT])
        lines[f'pveum role add {_ROLE} --privs "{" ".join(privileges)}"'] = None
        user = view.token_id.partition("!")[0]
        for path in dict.fromkeys(path for _privilege, path in more):
            lines[f"pveum acl modify {quote(path)} --users {quote(user)} --roles {_ROLE}"] = None
            lines[f"pveum acl modify {quote(path)} --tokens {quote(view.token_id)} --roles {_ROLE}"] = None
    return tuple(lines)


def lacking(view: MonitorView, source: str, of: str) -> tuple[tuple[str, str], ...]:
    """The privileges the token lacks for a source of an object; () when rights are not the trouble, or not known."""
    if isinstance(view.rights, Unknown):
        return ()
    kind, _, rest = of.partition("/")
    node, _, last = rest.partition("/")
    storage = (last or node) if kind == "storage" else ""
    lacks = missing(SOURCES[source], view.rights.value, node=node, storage=storage, vmid="")
    # of many guests no single path is named
    return tuple((privilege, path.removesuffix("/") or "/") for privilege, path in lacks)


def mends_of(view: MonitorView, source: str, of: str) -> tuple[str, ...]:
    """The pveum lines that open a source to the token."""
    lacks = lacking(view, source, of)
    return mends(view, lacks) if lacks else ()


def sighted(view: MonitorView, settings: MonitorSettings) -> MonitorView:
    """The same view without what PVE may have shortened, what it repeats of nodes it has lost, and what is too old: all that is unknown."""
    view = replace(view, resources=_of_nodes_online(view))

    def fact_of(holder: Struct, scope: str, field: str, **asked: str) -> Fact[object]:
        source = SOURCES[field if scope == "cluster" else f"{scope}-{field}"]
        return _proven(view, source, _fresh(view, settings, source, getattr(holder, field)), **asked)

    nodes = tuple(replace(node, **{field: fact_of(node, "node", field, node=node.name) for field in FACTS["node"]}) for node in view.nodes)
    storages = tuple(
        replace(each, **{field: fact_of(each, "storage", field, node=each.node, storage=each.storage) for field in FACTS["storage"]})
        for each in view.storages
    )
    changes = {field: fact_of(view, "cluster", field) for field in FACTS["cluster"]}
    return replace(view, nodes=nodes, storages=storages, guests=_fresh_guests(view, settings), **changes)


def _fresh(view: MonitorView, settings: MonitorSettings, source: Source, fact: Fact[object]) -> Fact[object]:
    if isinstance(fact, Unknown):
        return fact
    limit = settings.oldest_slow_answer if source.slow else settings.oldest_answer
    age = (view.taken_at - fact.taken_at).total_seconds()
    return fact if age <= limit else Unknown(reason=f"the last answer is {age / HOUR:.1f} h old", source=fact.source)


def _fresh_guests(view: MonitorView, settings: MonitorSettings) -> Mapping[int, GuestFacts]:
    """The facts about guests; looked at one by one only when some of them are too old, as there are many."""
    limit = view.taken_at - timedelta(seconds=settings.oldest_slow_answer)
    facts = (fact for guest in view.guests.values() for fact in (guest.settings, guest.snapshots))
    if all(isinstance(fact, Unknown) or fact.taken_at >= limit for fact in facts):
        return view.guests
    return {
        vmid: replace(
            guest,
            **{field: _fresh(view, settings, SOURCES[f"guest-{field}"], getattr(guest, field)) for field in FACTS["guest"]},
        )
        for vmid, guest in view.guests.items()
    }


def _of_nodes_online(view: MonitorView) -> Fact[Listing]:
    """The list without what is told of guests on nodes that are not online: PVE repeats it for 300 s (pve-cluster status.c)."""
    if isinstance(view.resources, Unknown):
        return view.resources
    listing = view.resources.value
    lost = {node.name for node in listing.nodes if node.status != "online"}
    if isinstance(view.membership, Known):
        lost |= {member.name for member in view.membership.value.members if member.online is False}
    if not lost:
        return view.resources
    guests = tuple(replace(guest, **_UNHEARD) if guest.node in lost else guest for guest in listing.guests)
    return replace(view.resources, value=replace(listing, guests=guests))


def _proven(view: MonitorView, source: Source, fact: Fact[object], **asked: str) -> Fact[object]:
    if not source.hides or isinstance(fact, Unknown):
        return fact
    if isinstance(view.rights, Unknown):
        reason = f"the token's rights could not be read ({view.rights.reason}), so Proxmox VE may leave out some of it"
        return Unknown(reason=reason, source=fact.source)
    lacks = missing(source, view.rights.value, **asked)
    if not lacks:
        return fact
    told = " and ".join(f"{privilege} on {path}" for privilege, path in lacks)
    return Unknown(reason=f"the token lacks {told}, so Proxmox VE may leave out some of it", source=fact.source)


def _is_above(known: str, path: str) -> bool:
    return path.startswith(f"{known}/")
