"""The cluster of the recorded answers, as a scenario: what pve1 looked like before the first recorded call changed it."""

from __future__ import annotations

from typing import Any

NO_DEFAULTS = dict.fromkeys(("agent", "arch", "boot", "cores", "rootfs", "scsi0", "swap"))
"""Lines a scenario's guest has by default; the recorded files say all there is."""

SECRETS = {
    "root@pam!full": "11111111-1111-4111-8111-111111111111",
    "monitor@pve!mon": "22222222-2222-4222-8222-222222222222",
    "ops@pve!sep": "33333333-3333-4333-8333-333333333333",
    "ops@pve!limited": "44444444-4444-4444-8444-444444444444",
    "tags@pve!tagger": "55555555-5555-4555-8555-555555555555",
    "sched@pve!sched": "66666666-6666-4666-8666-666666666666",
    "power@pve!power": "77777777-7777-4777-8777-777777777777",
    "nobody@pve!none": "88888888-8888-4888-8888-888888888888",
    "disabled@pve!disabled": "99999999-9999-4999-8999-999999999999",
    "expired@pve!expired": "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa",
    "monitor@pve!oldtok": "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb",
}
"""Test values; the secret of a token of the recorded cluster."""

SEPARATED = frozenset({"ops@pve!sep", "ops@pve!limited", "sched@pve!sched"})
LONG_AGO = 1700000000
STARTED = {"8.4": 1795369200, "9.2": 1795370946}
"""When the first calls were made, epoch seconds."""


def recorded_scenario(version: str) -> dict[str, Any]:
    """The scenario of the recorded cluster, for version "8.4" or "9.2"."""
    return {
        "version": version,
        "name": None,
        "now": STARTED[version],
        "nodes": _nodes(),
        "guests": _guests(),
        "pools": {"prodpool": {"members": [101, 105], "comment": "production"}},
        "pool_storages": {"prodpool": ["local"]},
        "users": _users(),
        "groups": {},
        "tokens": {
            name: {
                "secret": secret,
                "privsep": int(name in SEPARATED),
                "expire": LONG_AGO if name.endswith("!oldtok") else 0,
                "comment": "full token" if name == "root@pam!full" else "",
            }
            for name, secret in SECRETS.items()
        },
        "roles": {
            "AuditOnly": "VM.Audit",
            "PowerUser": "VM.Audit VM.PowerMgmt",
            "Scheduler": "VM.Audit VM.PowerMgmt Sys.Audit Sys.PowerMgmt",
            "TagEditor": "VM.Audit VM.Config.Options",
        },
        "acl": _acl(),
        "options": {"description": "", "keyboard": "en-us", "mac_prefix": "BC:24:11"},
        "storages": [
            {
                "name": "local",
                "type": "dir",
                "content": "images,rootdir,iso,vztmpl,backup",
                "shared": 0,
                "used": 77262848,
                "total": 6249086976,
            }
        ],
        "tasks": [],
    }


def _nodes() -> dict[str, Any]:
    # pve2 and pve3 resolve, but are no members: the recorded host stood alone
    return {
        "pve1": {"status": "online", "maxcpu": 2, "maxmem": 25276510208, "uptime": 2354, "ip": "192.0.2.11"},
        "pve2": {"status": "offline", "member": False},
        "pve3": {"status": "hangs", "member": False},
    }


def _guests() -> list[dict[str, Any]]:
    here: list[dict[str, Any]] = [
        {
            "vmid": 100,
            "name": "web01",
            "tags": "prod;web",
            "startup": "order=1,up=30,down=60",
            "onboot": 1,
            "nets": 0,
            "start_error": "bridge 'vmbr0' does not exist",
            "config": {
                "agent": "0",
                "cores": 1,
                "description": "web server\nsecond line of notes",
                "memory": "64",
                "net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1",
                "ostype": "l26",
                "scsihw": "virtio-scsi-single",
                "serial0": "socket",
                "smbios1": "uuid=00000000-0000-4000-8000-000000000100",
                "vga": "serial0",
                "vmgenid": "00000000-0000-4000-8000-000000001100",
            },
        },
        {
            "vmid": 101,
            "name": "db01",
            "tags": "Prod,db",
            "status": "running",
            "uptime": 409,
            "startup": "order=2",
            "onboot": 1,
            "acpi": False,
            "nets": 0,
            "config": {"cores": 1, "memory": "64", "ostype": "l26", "protection": 1, "serial0": "socket", "vga": "serial0"},
        },
        {
            "vmid": 102,
            "name": "cache01",
            "tags": "cache env-test prio+1 sched_off v1.2",
            "startup": "up=10",
            "maxcpu": 2,
            "nets": 0,
            "config": {"cores": 2, "memory": "512", "ostype": "l26", "sockets": 2},
        },
        {"vmid": 103, "name": "tpl-debian", "tags": "template", "template": True, "nets": 0, "config": {"memory": "2048", "ostype": "l26"}},
        {
            "vmid": 104,
            "name": "locked01",
            "tags": "nightly;Nightly;NIGHTLY",
            "lock": "backup",
            "nets": 0,
            "config": {"memory": "64", "ostype": "l26", "serial0": "socket"},
        },
        {
            "vmid": 105,
            "name": None,
            "agent": "dead",
            "acpi": False,
            "nets": 0,
            "config": {"agent": "1", "memory": "64", "ostype": "l26", "serial0": "socket", "vga": "serial0"},
        },
        {
            "vmid": 106,
            "name": "graceful01",
            "tags": ";;office-hours;;web;",
            "onboot": 1,
            "shutdown_s": 3,
            "nets": 0,
            "config": {
                "args": "-kernel /var/lib/guest/vmlinuz -initrd /var/lib/guest/initrd.gz -append console=ttyS0",
                "cpu": "qemu64",
                "kvm": 0,
                "memory": "192",
                "ostype": "l26",
                "serial0": "socket",
                "vga": "serial0",
            },
        },
        {
            "vmid": 107,
            "name": "snap01",
            "tags": "keep",
            "nets": 0,
            "onboot": 0,
            "config": {"boot": " ", "memory": "1024", "ostype": "other", "parent": "before"},
            "pending": {"memory": "2048"},
            "pending_deletes": {"balloon": 2},
            "snapshots": {"before": {"memory": "1024", "name": "snap01", "snaptime": LONG_AGO, "tags": "old-tag"}},
        },
        {"vmid": 108, "name": "badtags", "tags": "-leading;ok;two words", "nets": 0, "config": {"memory": "64", "ostype": "l26"}},
        {
            "vmid": 200,
            "type": "lxc",
            "name": "ct01",
            "tags": "ct;prod",
            "startup": "order=3",
            "onboot": 1,
            "nets": 0,
            "shutdown_s": 3,
            "start_error": "bridge 'vmbr0' does not exist",
            "config": {
                "arch": "amd64",
                "cores": 1,
                "memory": 128,
                "net0": "name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:02:00,ip=dhcp,type=veth",
                "ostype": "debian",
                "rootfs": "local:200/vm-200-disk-0.raw,size=1G",
                "swap": 128,
                "unprivileged": 1,
            },
        },
        {
            "vmid": 201,
            "type": "lxc",
            "name": "cttpl",
            "template": True,
            "nets": 0,
            "config": {"arch": "amd64", "memory": 512, "ostype": "alpine", "rootfs": "local:201/base-201-disk-0.raw,size=8G"},
        },
        {
            "vmid": 202,
            "type": "lxc",
            "name": "ctlock",
            "tags": "a,b c",
            "lock": "snapshot",
            "nets": 0,
            "config": {"arch": "amd64", "memory": 512, "ostype": "debian", "rootfs": "local:202/vm-202-disk-0.raw,size=8G"},
        },
    ]
    elsewhere: list[dict[str, Any]] = [
        {"vmid": 300, "node": "pve2", "name": "elsewhere", "tags": "prod", "status": "running"},
        {"vmid": 301, "node": "pve2", "type": "lxc", "name": "ct-elsewhere"},
        {"vmid": 310, "node": "pve3", "name": "hung", "tags": "prod", "status": "running"},
    ]
    guests = [{"type": "qemu", "node": "pve1", "status": "stopped", **guest} for guest in (*here, *elsewhere)]
    for guest in guests:
        guest["config"] = {**NO_DEFAULTS, **guest.get("config", {})}
    return guests


def _users() -> dict[str, Any]:
    return {
        "root@pam": {"enable": 1, "email": "root@example.org"},
        "disabled@pve": {"enable": 0, "comment": "disabled user"},
        "expired@pve": {"enable": 1, "expire": LONG_AGO, "comment": "expired user"},
        "monitor@pve": {"enable": 1, "comment": "read only monitoring", "password": "oracle-monitor-pw"},
        "nobody@pve": {"enable": 1, "comment": "no acl at all"},
        "ops@pve": {"enable": 1, "comment": "limited operators"},
        "power@pve": {"enable": 1, "comment": "power without node rights"},
        "sched@pve": {"enable": 1, "comment": "full pvectl role"},
        "tags@pve": {"enable": 1, "comment": "tag editor"},
    }


def _acl() -> list[dict[str, Any]]:
    return [
        {"path": "/", "type": "user", "ugid": "monitor@pve", "roleid": "PVEAuditor", "propagate": 1},
        {"path": "/", "type": "user", "ugid": "sched@pve", "roleid": "Scheduler", "propagate": 1},
        {"path": "/", "type": "token", "ugid": "sched@pve!sched", "roleid": "Scheduler", "propagate": 1},
        {"path": "/nodes", "type": "user", "ugid": "power@pve", "roleid": "PVEAuditor", "propagate": 1},
        {"path": "/vms", "type": "user", "ugid": "tags@pve", "roleid": "TagEditor", "propagate": 1},
        {"path": "/vms", "type": "user", "ugid": "power@pve", "roleid": "PowerUser", "propagate": 1},
        {"path": "/vms", "type": "user", "ugid": "ops@pve", "roleid": "PVEVMUser", "propagate": 1},
        *(
            {"path": f"/vms/{vmid}", "type": "token", "ugid": "ops@pve!limited", "roleid": "AuditOnly", "propagate": 0}
            for vmid in (101, 103, 201)
        ),
    ]
