"""Clusters that several suites look at."""

from __future__ import annotations

from typing import Any

MIXED: dict[str, Any] = {
    "name": "lab",
    "nodes": {"pve1": {}, "pve2": {}},
    "pools": {"customers": [100, 200]},
    "guests": [
        {"vmid": 100, "type": "qemu", "node": "pve1", "name": "db", "status": "running", "tags": "prod;db", "shutdown_s": 5},
        {"vmid": 101, "type": "qemu", "node": "pve1", "name": "web1", "status": "running", "tags": "prod;web", "shutdown_s": 5},
        {"vmid": 102, "type": "qemu", "node": "pve2", "name": "web2", "status": "stopped", "tags": "web"},
        {"vmid": 103, "type": "qemu", "node": "pve2", "name": "golden", "status": "stopped", "template": True},
        {"vmid": 104, "type": "qemu", "node": "pve2", "name": "vault", "status": "running", "lock": "backup"},
        {"vmid": 105, "type": "qemu", "node": "pve2", "name": "asleep", "status": "paused"},
        {"vmid": 106, "type": "qemu", "node": "pve2", "name": "deaf", "status": "running", "acpi": False},
        {"vmid": 107, "type": "qemu", "node": "pve1", "name": "failover", "status": "running", "ha": {"state": "started"}},
        {"vmid": 200, "type": "lxc", "node": "pve1", "name": "dns", "status": "running", "tags": "safe-shutdown", "shutdown_s": 2},
        {"vmid": 201, "type": "lxc", "node": "pve2", "name": "proxy", "status": "stopped", "tags": "safe-shutdown"},
    ],
}
"""Two nodes, one guest of every kind a command treats in its own way."""
