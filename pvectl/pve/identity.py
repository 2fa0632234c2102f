"""Which cluster a host belongs to: two hosts are only ever used together when they tell the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from pvectl.core.text import clean
from pvectl.errors import ProtocolError
from pvectl.pve import strict_json
from pvectl.pve.line import Answer
from pvectl.pve.strict_json import shown

STATUS = "/api2/json/cluster/status"
_FORBIDDEN = 403
_OK = 200


class Identity(Struct, frozen=True):
    """A cluster by its name (None for a standalone host, or where the token may not see it) and its nodes.

    Without a name, each node's certificate tells two hosts that are both called "pve" apart.
    """

    name: str | None
    nodes: frozenset[str]
    certificates: frozenset[tuple[str, str]] = frozenset()

    def __str__(self) -> str:
        nodes = ", ".join(clean(node) for node in sorted(self.nodes))
        return f"cluster {clean(self.name)} ({nodes})" if self.name else nodes

    def is_same_as(self, other: Identity) -> bool:
        """Whether two hosts tell of one cluster."""
        if self.nodes != other.nodes:
            return False
        if self.name is not None and other.name is not None:
            return self.name == other.name
        mine, others = dict(self.certificates), dict(other.certificates)
        return all(mine[node] == others[node] for node in mine.keys() & others.keys())


def read_identity(get: Callable[[str], Answer]) -> tuple[Identity | None, int]:
    """What a host says it belongs to, None when it does not say, and the status it said so with. `get` asks it for one path.

    `/cluster/status` needs Sys.Audit on /; the names of all nodes are shown to everyone (pve-manager PVE/API2/Nodes.pm).
    """
    answer = get(STATUS)
    if answer.status_code == _OK:
        name, nodes = _members(answer)
        if not nodes:
            return None, _OK
        if name is not None:
            return Identity(name, nodes), _OK
    elif answer.status_code == _FORBIDDEN:
        nodes = frozenset()
    else:
        return None, answer.status_code
    answer = get("/api2/json/nodes")
    if answer.status_code != _OK:
        return None, answer.status_code
    rows = strict_json.rows(answer.body)
    nodes = nodes or frozenset(_word(row, "node") for row in rows)
    certificates = frozenset((_word(row, "node"), _word(row, "ssl_fingerprint")) for row in rows if row.get("ssl_fingerprint"))
    return Identity(None, nodes, certificates) if nodes else None, _OK


def named_identity(answer: Answer) -> Identity | None:
    """What an answer for `/cluster/status` tells by itself: a cluster with its name; None where more has to be asked."""
    if answer.status_code != _OK:
        return None
    try:
        name, nodes = _members(answer)
    except ProtocolError:
        return None
    return Identity(name, nodes) if name is not None and nodes else None


def local_node(answer: Answer) -> str | None:
    """Which node answered a question for `/cluster/status`; None where it does not say."""
    if answer.status_code != _OK:
        return None
    rows = [row for row in strict_json.rows(answer.body) if row.get("type") == "node" and row.get("local") in (1, "1")]
    return _word(rows[0], "name") if len(rows) == 1 else None


def _members(answer: Answer) -> tuple[str | None, frozenset[str]]:
    rows = strict_json.rows(answer.body)
    named = next((row for row in rows if row.get("type") == "cluster"), None)
    nodes = frozenset(_word(row, "name") for row in rows if row.get("type") != "cluster")
    return _word(named, "name") if named is not None and nodes else None, nodes


def _word(row: dict[str, Any], field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str) or not value:
        raise ProtocolError(f"a host was asked for its cluster, and {field} is {'missing' if value is None else shown(value)}")
    return value
