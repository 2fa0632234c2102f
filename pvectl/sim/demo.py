"""A small company's cluster: three nodes, a dozen guests, two tokens; what `--demo` serves."""

from __future__ import annotations

from typing import Any

OPS_TOKEN = "pvectl@pve!ops"  # noqa: S105  (its name; the secret is below and opens nothing but this demo)
OPS_SECRET = "d3m0d3m0-0000-4000-8000-000000000001"  # noqa: S105
MONITOR_TOKEN = "pvectl@pve!monitor"  # noqa: S105
MONITOR_SECRET = "d3m0d3m0-0000-4000-8000-000000000002"  # noqa: S105

_GIB = 1 << 30


def demo_scenario(version: str = "9.2") -> dict[str, Any]:
    """Give the demo cluster as a scenario, for version "8.4" or "9.2".

    pve1 carries what is always needed, pve2 only guests that may be switched off, pve3 a mixture with a backup running.
    """
    return {
        "version": version,
        "name": "demo",
        "nodes": {
            "pve1": {"maxcpu": 16, "maxmem": 64 * _GIB, "uptime": 41 * 86_400},
            "pve2": {"maxcpu": 8, "maxmem": 32 * _GIB, "uptime": 2 * 86_400, "wakeonlan": "bc:24:11:00:00:02", "boot_s": 90},
            "pve3": {"maxcpu": 8, "maxmem": 32 * _GIB, "uptime": 12 * 86_400, "wakeonlan": "bc:24:11:00:00:03", "boot_s": 90},
        },
        "guests": [
            _guest(100, "firewall", "pve1", tags="critical;network", startup="order=1,up=10", maxmem=2 * _GIB),
            _guest(101, "db", "pve1", tags="critical;prod", startup="order=2,up=30,down=120", maxmem=16 * _GIB, agent="ok", shutdown_s=25),
            _guest(102, "mail", "pve1", tags="prod", startup="order=3", maxmem=4 * _GIB),
            _guest(110, "dns", "pve1", kind="lxc", tags="critical;network", startup="order=1", maxmem=_GIB, shutdown_s=2),
            _guest(200, "build-runner", "pve2", tags="ci;safe-shutdown", maxmem=8 * _GIB, shutdown_s=8),
            _guest(201, "desktop-anna", "pve2", tags="desktop;safe-shutdown", maxmem=8 * _GIB, shutdown_s=12, agent="ok"),
            _guest(202, "desktop-ben", "pve2", tags="desktop;safe-shutdown", status="stopped", maxmem=8 * _GIB),
            _guest(210, "wiki-test", "pve2", kind="lxc", tags="safe-shutdown;test", maxmem=_GIB, shutdown_s=3),
            _guest(300, "web", "pve3", tags="prod", startup="order=4", maxmem=4 * _GIB),
            _guest(301, "render", "pve3", tags="safe-shutdown", lock="backup", maxmem=8 * _GIB),
            _guest(302, "old-windows", "pve3", tags="Legacy", acpi=False, maxmem=4 * _GIB),
            _guest(900, "debian-template", "pve1", status="stopped", template=True, maxmem=2 * _GIB),
        ],
        "pools": {"office": [102, 201, 202]},
        "users": {"pvectl@pve": {"enable": 1}},
        "tokens": {
            OPS_TOKEN: {"secret": OPS_SECRET, "privsep": 1, "comment": "runs pvectl"},
            MONITOR_TOKEN: {"secret": MONITOR_SECRET, "privsep": 1, "comment": "looks only"},
        },
        "roles": {
            "PvectlAudit": "VM.Audit Sys.Audit Datastore.Audit Pool.Audit",
            "PvectlOps": "VM.Audit VM.PowerMgmt VM.Config.Options Sys.Audit Sys.PowerMgmt Datastore.Audit Pool.Audit",
        },
        "acl": [
            {"path": "/", "type": "user", "ugid": "pvectl@pve", "roleid": "PvectlOps"},
            {"path": "/", "type": "token", "ugid": OPS_TOKEN, "roleid": "PvectlOps"},
            {"path": "/", "type": "token", "ugid": MONITOR_TOKEN, "roleid": "PvectlAudit"},
        ],
    }


def _guest(vmid: int, name: str, node: str, *, kind: str = "qemu", status: str = "running", **more: Any) -> dict[str, Any]:
    return {"vmid": vmid, "name": name, "node": node, "type": kind, "status": status, **more}
