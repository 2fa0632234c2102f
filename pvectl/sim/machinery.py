"""What runs inside a node and is read from it: services, certificates, disks, network counters, clock, configuration."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from pvectl.sim.guests import traffic_of

if TYPE_CHECKING:
    from pvectl.sim.call import Call

DAY = 86_400
SERVICES = (
    "chrony", "corosync", "cron", "ksmtuned", "postfix", "proxmox-firewall", "pve-cluster", "pve-firewall", "pve-ha-crm",
    "pve-ha-lrm", "pvedaemon", "pvefw-logger", "pveproxy", "pvescheduler", "pvestatd", "spiceproxy", "sshd", "syslog",
    "systemd-journald", "systemd-timesyncd",
)  # fmt: skip
NOT_INSTALLED = frozenset({"ksmtuned", "syslog", "systemd-timesyncd"})
INDEX_8 = (
    "aplinfo apt capabilities ceph certificates config disks dns firewall hardware hosts journal lxc migrateall netstat network qemu "
    "query-url-metadata replication report rrd rrddata scan sdn services spiceshell startall status stopall storage subscription "
    "suspendall syslog tasks termproxy time version vncshell vzdump wakeonlan"
)


def index(call: Call) -> list[dict[str, str]]:
    """GET /nodes/N."""
    names = INDEX_8.split() + (["query-oci-repo-tags"] if call.world.since_9 else [])
    return [{"name": name} for name in sorted(names)]


def services(call: Call) -> list[dict[str, Any]]:
    """GET /nodes/N/services: the scenario's node value `services` maps a name to `dead`, `failed` and so on."""
    given = call.here.extra.get("services", {})
    if isinstance(given, list):
        return [dict(row) for row in given]
    rows = []
    for name in SERVICES:
        if name == "corosync" and call.world.name is None:
            state, active, unit = "dead", "inactive", "enabled"
        elif name in NOT_INSTALLED:
            state, active, unit = "dead", "inactive", "not-found"
        elif name == "pvestatd" and not call.here.pvestatd:
            state, active, unit = "dead", "failed", "enabled"
        else:
            state, active, unit = "running", "active", "enabled"
        if name in given:
            state = str(given[name])
            active = {"running": "active", "failed": "failed"}.get(state, "inactive")
        rows.append({"service": name, "name": name, "desc": f"{name} service", "state": state, "active-state": active, "unit-state": unit})
    return rows


def certificates(call: Call) -> list[dict[str, Any]]:
    """GET /nodes/N/certificates/info; node value `certificates`: rows, or `certificate_days` until pve-ssl.pem ends."""
    node, now = call.here, int(call.world.now)
    if "certificates" in node.extra:
        return [dict(row) for row in node.extra["certificates"]]
    born = int(node.booted_at) - 30 * DAY
    days = {"pve-root-ca.pem": 3650, "pve-ssl.pem": int(node.extra.get("certificate_days", 700))}
    rows = []
    for filename, left in days.items():
        subject = (
            "/CN=Proxmox Virtual Environment/O=PVE Cluster Manager CA" if "root" in filename else f"/OU=PVE Cluster Node/CN={node.name}"
        )
        digest = hashlib.sha256(f"{node.name}{filename}".encode()).digest()
        rows.append(
            {
                "filename": filename,
                "fingerprint": node.ssl_fingerprint if filename == "pve-ssl.pem" else ":".join(f"{byte:02X}" for byte in digest),
                "issuer": "/CN=Proxmox Virtual Environment/O=PVE Cluster Manager CA",
                "subject": subject,
                "notbefore": born,
                "notafter": now + left * DAY,
                "public-key-bits": 2048,
                "public-key-type": "rsaEncryption",
                "san": [node.name, node.ip],
                "pem": "-----BEGIN CERTIFICATE-----\nsimulated\n-----END CERTIFICATE-----\n",
            }
        )
    return rows


def disks(call: Call) -> list[dict[str, Any]]:
    """GET /nodes/N/disks/list; node value `disks`: rows that override the plain healthy one."""
    default = {
        "devpath": "/dev/nvme0n1", "by_id_link": "/dev/disk/by-id/nvme-sim", "type": "nvme", "model": "SIM-SSD",
        "serial": f"SIM{call.node.upper()}0",
        "vendor": "unknown", "wwn": "eui.0000000000000001", "size": 512_110_190_592, "gpt": 1, "rpm": 0, "used": "BIOS boot", "osdid": -1,
        "osdid-list": None, "health": "PASSED", "wearout": 98,
    }  # fmt: skip
    rows = [{**default, **row} for row in call.here.extra.get("disks", ({},))]
    if call.params.get("skipsmart"):
        rows = [{**row, "health": "UNKNOWN", "wearout": "N/A"} for row in rows]
    return rows


def zfs_pools(call: Call) -> list[dict[str, Any]]:
    """GET /nodes/N/disks/zfs; node value `zfs`: rows laid over a healthy pool, none by default."""
    default = {"name": "rpool", "size": 10**12, "alloc": 2 * 10**11, "free": 8 * 10**11, "frag": 7, "dedup": 1, "health": "ONLINE"}
    return [{**default, **row} for row in call.here.extra.get("zfs", ())]


def thin_pools(call: Call) -> list[dict[str, Any]]:
    """GET /nodes/N/disks/lvmthin; node value `thin_pools`: rows laid over a healthy one, none by default."""
    default = {"lv": "data", "vg": "pve", "lv_size": 10**12, "used": 10**11, "metadata_size": 10**10, "metadata_used": 10**8}
    return [{**default, **row} for row in call.here.extra.get("thin_pools", ())]


def updates(call: Call) -> list[dict[str, Any]]:
    """GET /nodes/N/apt/update; node value `updates`: rows, none by default."""
    return [dict(row) for row in call.here.extra.get("updates", ())]


def network_counters(call: Call) -> list[dict[str, str]]:
    """GET /nodes/N/netstat: every running guest with a NIC, whatever the caller may audit; all of it text.

    A VM that is migrated here has its devices before its configuration comes (qemu-server PVE/QemuServer.pm, vm_start with migratedfrom).
    """
    rows = []
    for guest in call.world.guests.values():
        if call.node not in (guest.node, guest.arriving_at):
            continue
        if not guest.runs:
            continue
        traffic = traffic_of(guest.started_at, call.world.now, guest.vmid)
        devices = sorted(key for key in guest.config if key.startswith("net") and key[3:].isdigit())
        rows += [{"vmid": str(guest.vmid), "dev": device, "in": str(traffic["netin"]), "out": str(traffic["netout"])} for device in devices]
    return rows


def config(call: Call) -> dict[str, Any]:
    """GET /nodes/N/config."""
    node, lines = call.here, {}
    if node.wakeonlan:
        lines["wakeonlan"] = node.wakeonlan
    if "description" in node.extra:
        lines["description"] = str(node.extra["description"])
    wanted = call.params.get("property")
    shown = lines if wanted in (None, "all") else {key: value for key, value in lines.items() if key == wanted}
    return {**shown, "digest": hashlib.sha1(repr(sorted(lines.items())).encode(), usedforsecurity=False).hexdigest()}


def clock(call: Call) -> dict[str, Any]:
    """GET /nodes/N/time; node value `clock_off` is how many seconds the node's clock goes ahead."""
    now = int(call.world.now + float(call.here.extra.get("clock_off", 0)))
    offset = int(call.here.extra.get("utc_offset", 0))
    return {"time": now, "localtime": now + offset, "timezone": call.here.extra.get("timezone", "Etc/UTC")}


def subscription(call: Call) -> dict[str, Any]:
    """GET /nodes/N/subscription; node value `subscription`: the answer's values."""
    url = "https://www.proxmox.com/en/proxmox-virtual-environment/pricing"
    serverid = hashlib.md5(call.node.encode(), usedforsecurity=False).hexdigest().upper()
    none = {"status": "notfound", "message": "There is no subscription key", "serverid": serverid, "url": url}
    given: dict[str, Any] = dict(call.here.extra.get("subscription", none))
    return given
