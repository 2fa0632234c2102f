"""What a person calls the sources: "the backups of storage nfs", "the clock of node pve1"."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_OF_CLUSTER: Mapping[str, str] = {
    "resources": "the list of nodes, guests and storages",
    "membership": "the state of the cluster",
    "ha": "the state of the HA manager",
    "votes": "the votes of the nodes",
    "device": "the quorum device",
    "backup_jobs": "the backup jobs",
    "uncovered": "the list of guests in no backup job",
    "running": "the running tasks",
    "ceph": "the health of Ceph",
    "release": "the release of Proxmox VE",
    "rights": "the rights of the token",
    "sight": "the access rules",
}
_OF_EACH: Mapping[str, str] = {
    "node-status": "state",
    "node-clock": "clock",
    "node-services": "services",
    "node-storages": "storages",
    "node-replication": "replication jobs",
    "node-tasks": "tasks",
    "node-pressure": "pressure figures",
    "node-disks": "disks",
    "node-zfs": "ZFS pools",
    "node-thin_pools": "thin pools",
    "node-certificates": "certificates",
    "node-subscription": "subscription",
    "node-updates": "waiting updates",
    "storage-history": "history",
    "storage-backups": "backups",
    "guest-settings": "settings",
    "guest-snapshots": "snapshots",
}
_MOST = 4


def spoken(source: str, of: str) -> str:
    """One source of an object ("cluster", "node/pve1", "storage/pve1/local", "guests")."""
    return spoken_together((source,), of)


def spoken_together(sources: Iterable[str], of: str) -> str:
    """Several sources of one object; of many the first few are named."""
    names = list(sources)
    alone = [_OF_CLUSTER[name] for name in names if name in _OF_CLUSTER]
    shared = [name for name in names if name not in _OF_CLUSTER]
    if alone or not shared or of == "cluster":
        return _listed([*alone, *(f"the {_OF_EACH[name]} of the {name.partition('-')[0]}s" for name in shared)])
    return f"the {_listed([_OF_EACH[name] for name in shared])} of {whose(of)}"


def whose(of: str) -> str:
    """An object as it stands in a sentence."""
    kind, _, rest = of.partition("/")
    if not rest:
        return f"the {of}"
    node, _, name = rest.partition("/")
    return f"{kind} {name} of node {node}" if name else f"{kind} {node}"


def _listed(words: list[str]) -> str:
    if len(words) > _MOST:
        return f"{', '.join(words[:_MOST])} and {len(words) - _MOST} more"
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]
