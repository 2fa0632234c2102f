"""Ceph as far as a power-saving admin must look at it: health, where its daemons run, and whether one may be stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pvectl.sim.parameters import NODE, Parameter, Schema
from pvectl.sim.refusals import died

if TYPE_CHECKING:
    from pvectl.sim.call import Call

NOT_INSTALLED = "binary not installed: /usr/bin/ceph-mon"
SAFETY: Schema = {
    "node": NODE,
    "service": Parameter(required=True, choices=("osd", "mon", "mds")),
    "id": Parameter(required=True),
    "action": Parameter(required=True, choices=("stop", "destroy")),
}


def _ceph(call: Call) -> dict[str, Any]:
    """The scenario's values: health, checks, mons, mgrs, mds (host names or mappings), osds [{id, host, up}], unsafe ["osd.3"]."""
    ceph = call.world.ceph
    if not ceph:
        raise died(NOT_INSTALLED)
    if ceph.get("error"):
        raise died(str(ceph["error"]))
    return ceph


def status(call: Call) -> dict[str, Any]:
    """GET /cluster/ceph/status."""
    ceph = _ceph(call)
    nodes, osds = call.world.nodes, ceph.get("osds", [])
    up = [osd for osd in osds if osd.get("up", osd.get("host") in nodes and nodes[osd["host"]].online)]
    mons = [host for host in ceph.get("mons", []) if nodes[host].online]
    down = len(osds) - len(up)
    health = ceph.get("health") or ("HEALTH_WARN" if down or len(mons) < len(ceph.get("mons", [])) else "HEALTH_OK")
    checks = dict(ceph.get("checks", {}))
    if down and "OSD_DOWN" not in checks:
        checks["OSD_DOWN"] = {"severity": "HEALTH_WARN", "summary": {"message": f"{down} osds down", "count": down}, "muted": False}
    return {
        "fsid": ceph.get("fsid", "00000000-0000-4000-8000-00000000ceff"),
        "health": {"status": health, "checks": checks, "mutes": []},
        "quorum_names": mons,
        "monmap": {"mons": [{"name": host} for host in ceph.get("mons", [])]},
        "osdmap": {"num_osds": len(osds), "num_up_osds": len(up), "num_in_osds": int(ceph.get("in", len(osds)))},
        "pgmap": {
            "num_pgs": int(ceph.get("pgs", 128)),
            "bytes_total": int(ceph.get("bytes_total", 10**12)),
            "bytes_used": int(ceph.get("bytes_used", 10**11)),
        },
        "mgrmap": {"available": bool(ceph.get("mgrs"))},
    }


def metadata(call: Call) -> dict[str, Any]:
    """GET /cluster/ceph/metadata: daemons by `id@host`, OSDs as a list; the versions alone are told without Ceph, too."""
    version = (call.world.ceph or {}).get("version", "19.2.3")
    installed = (call.world.ceph or {}).get("installed", call.world.nodes if call.world.ceph else ())
    versions = {host: {"version": {"str": version, "parts": version.split(".")}} for host in sorted(installed)}
    if call.params.get("scope") == "versions":
        return {"node": versions}
    if call.node not in installed:
        raise died(NOT_INSTALLED)
    ceph = _ceph(call)

    def daemons(kind: str) -> dict[str, Any]:
        return {
            f"{host}@{host}": {"hostname": host, "host": host, "name": host, "ceph_version_short": version} for host in ceph.get(kind, [])
        }

    return {
        "mon": daemons("mons"),
        "mgr": daemons("mgrs"),
        "mds": daemons("mds"),
        # of a node that died Ceph may have forgotten where it was
        "osd": [
            {"id": int(osd["id"]), **({"hostname": osd["host"]} if osd.get("host") else {}), "ceph_version_short": version}
            for osd in ceph.get("osds", [])
        ],
        "node": versions,
    }


def command_safety(call: Call) -> dict[str, Any]:
    """GET /nodes/N/ceph/cmd-safety: whether Ceph would survive the loss of that daemon."""
    ceph = _ceph(call)
    daemon = f"{call.params['service']}.{call.params['id']}"
    unsafe = daemon in ceph.get("unsafe", ())
    if unsafe:
        return {"safe": False, "status": f"stopping {daemon} would make data unavailable"}
    return {"safe": True}
