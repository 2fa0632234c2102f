"""What the API tells about nodes: lists, status, load, and the machinery a monitor looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pvectl.sim.resources import node_load, node_row

if TYPE_CHECKING:
    from pvectl.sim.call import Call


def list_nodes(call: Call) -> list[dict[str, Any]]:
    """GET /nodes: every member, figures only with Sys.Audit."""
    return [{**node_row(call, node), "ssl_fingerprint": node.ssl_fingerprint} for node in call.world.members]


def status(call: Call) -> dict[str, Any]:
    """GET /nodes/N/status."""
    world, node = call.world, call.here
    cpu, used = node_load(world, node)
    cpuinfo: dict[str, Any] = {
        "cores": node.maxcpu,
        "cpus": node.maxcpu,
        "flags": "fpu",
        "hvm": "1",
        "mhz": "2596.096",
        "model": "x86-64",
        "sockets": 1,
        "user_hz": 100,
    }
    memory = {"total": node.maxmem, "used": used, "free": node.maxmem - used}
    if world.since_9:
        cpuinfo |= {"family": "26", "vendor": "AuthenticAMD"}
        memory["available"] = node.maxmem - used
    release = "7.0.6-2-pve" if world.since_9 else "6.8.12-pve"
    build = "#1 SMP PREEMPT_DYNAMIC"
    load = cpu * node.maxcpu
    return {
        "boot-info": {"mode": "efi", "secureboot": 0} if node.extra.get("efi") else {"mode": "legacy-bios"},
        "cpu": cpu,
        "cpuinfo": cpuinfo,
        "current-kernel": {"machine": "x86_64", "release": release, "sysname": "Linux", "version": build},
        "idle": 0,
        "ksm": {"shared": 0},
        "kversion": f"Linux {release} {build}",
        "loadavg": [f"{load:.2f}", f"{load * 0.9:.2f}", f"{load * 0.8:.2f}"],
        "memory": memory,
        "pveversion": f"pve-manager/{world.full_version}/{world.repoid}",
        "rootfs": {
            "total": node.maxdisk,
            "used": node.disk,
            "free": node.maxdisk - node.disk,
            "avail": int((node.maxdisk - node.disk) * 0.95),
        },
        "swap": node.extra.get("swap", {"total": 0, "used": 0, "free": 0}),
        "uptime": node.uptime(world.now),
        "wait": node.extra.get("wait", 0),
    }
