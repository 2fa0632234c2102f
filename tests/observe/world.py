"""The cluster these tests look at, and how they look at it."""

from __future__ import annotations

from typing import Any

from pvectl import observe
from pvectl.core.evidence import NodeEvidence
from pvectl.core.model import Known, Unknown
from pvectl.observe.whereabouts import Machine
from tests.support.labs import Lab

NODE = "pve2"
WORLD: dict[str, Any] = {
    "nodes": {"pve1": {}, NODE: {"wakeonlan": "BC:24:11:00:00:02"}, "pve3": {}},
    "guests": [
        {"vmid": 100, "type": "qemu", "node": "pve1", "name": "db", "status": "running", "tags": "prod"},
        {"vmid": 110, "type": "qemu", "node": NODE, "name": "desk", "status": "running", "tags": "safe-shutdown"},
        {"vmid": 111, "type": "qemu", "node": NODE, "name": "spare", "status": "stopped", "tags": "safe-shutdown"},
        {"vmid": 210, "type": "lxc", "node": NODE, "name": "proxy", "status": "running", "tags": "safe-shutdown;web"},
        {"vmid": 220, "type": "lxc", "node": "pve3", "name": "dns", "status": "running"},
    ],
    "storages": [
        {"name": "local"},
        {"name": "nas", "type": "nfs", "shared": 1, "config": {"server": "192.0.2.250", "export": "/srv"}},
    ],
    "backup_jobs": [{"id": "nightly", "all": 1, "schedule": "21:00"}],
    "replication": [{"id": "110-0", "target": "pve1"}, {"id": "100-0", "target": "pve3"}],
    "qdevice": {"algorithm": "Fifty-Fifty split"},
    "options": {"registered-tags": ["safe-shutdown"], "ha": {"shutdown_policy": "migrate"}},
    "tasks": [{"type": "qmstart", "node": NODE, "id": "110", "started_ago": 7200, "took": 2}],
}
IN_A_RACK = Machine(virtual=False)
"""A machine of its own, so that no guest's configuration is read to find ourselves."""

FACTS = (
    "guests", "registered_tags", "tags_case_sensitive", "uptime", "node_time_off", "tasks", "incoming", "standalone", "quorate", "members",
    "device", "ha", "ha_shutdown_policy", "ceph", "served", "backups", "replication", "wakeonlan", "way_out", "whereabouts",
)  # fmt: skip


def read(one: Lab, *nodes: str, **asking: Any) -> dict[str, NodeEvidence]:
    """A look, and everything about each node."""
    how = observe.Asking(**{"clock": True, "wake": True, "machine": lambda: IN_A_RACK, **asking})
    return observe.node_evidence(one.client, one.clock, observe.glance(one.client, one.clock), nodes or (NODE,), asking=how)


def evidence(one: Lab, **asking: Any) -> NodeEvidence:
    return read(one, NODE, **asking)[NODE]


def value(fact: Any) -> Any:
    assert isinstance(fact, Known), fact
    return fact.value


def unknown(found: NodeEvidence) -> dict[str, Unknown]:
    """The facts that could not be had."""
    return {name: fact for name in FACTS if isinstance(fact := getattr(found, name), Unknown)}


def told(found: NodeEvidence) -> dict[str, Any]:
    """What is known, without when."""
    return {name: fact.value for name in FACTS if isinstance(fact := getattr(found, name), Known)}
