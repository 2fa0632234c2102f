"""Which cluster a host belongs to: two hosts are only ever used together when they tell the same."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from pvectl.pve import strict_json
from pvectl.pve.line import Answer

_FORBIDDEN = 403
_OK = 200


class Identity(Struct, frozen=True):
    """A cluster by its name (None for a standalone host, or where the token may not see it) and its nodes."""

    name: str | None
    nodes: frozenset[str]

    def __str__(self) -> str:
        nodes = ", ".join(sorted(self.nodes))
        return f"cluster {self.name} ({nodes})" if self.name else nodes


def read_identity(get: Callable[[str], Answer]) -> Identity | None:
    """What a host says it belongs to; None when it does not say. `get` asks it for one path.

    `/cluster/status` needs Sys.Audit on /; the names of all nodes are shown to everyone (pve-manager PVE/API2/Nodes.pm).
    """
    answer = get("/api2/json/cluster/status")
    if answer.status_code == _FORBIDDEN:
        answer = get("/api2/json/nodes")
        name_key = "node"
    else:
        name_key = "name"
    if answer.status_code != _OK:
        return None
    rows = strict_json.rows(answer.body)
    cluster = next((row.get("name") for row in rows if row.get("type") == "cluster"), None)
    nodes = frozenset(str(row.get(name_key)) for row in rows if row.get("type") != "cluster")
    return Identity(str(cluster) if cluster is not None else None, nodes) if nodes else None
