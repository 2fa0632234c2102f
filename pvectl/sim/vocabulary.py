"""Every word a scenario may use, and what it means."""

from __future__ import annotations

from collections.abc import Mapping

CLUSTER: Mapping[str, str] = {
    "version": 'release of PVE to play: "8.4" or "9.2"',
    "name": "name of the cluster; none for a standalone host",
    "now": "epoch seconds at the start",
    "nodes": "name to node values",
    "guests": "list of guest values",
    "pools": "name to a list of VMIDs, or to {members, comment}",
    "pool_storages": "pool to the storages in it",
    "users": "user@realm to {enable, expire, comment, email, password, groups}",
    "groups": "group to its users",
    "tokens": "user@realm!name to {secret, privsep, expire, comment}",
    "roles": "role to its privileges, one text",
    "acl": "list of {path, type, ugid, roleid, propagate}",
    "options": "datacenter.cfg: tag-style, registered-tags, user-tag-access, ha, keyboard, …",
    "storages": "list of {name, type, content, shared, nodes, enabled, total, used, active, volumes, per_node}",
    "backup_jobs": "list of jobs: vmid, pool, all, exclude, schedule, storage, enabled, node, …",
    "replication": "list of jobs: id, target, schedule, last_sync_ago, fail_count, error, running, …",
    "qdevice": "none, or {votes, state, host, algorithm, …}",
    "ha": "{manager: whether a CRM and LRMs work, master: node}",
    "ceph": "none, or {mons, mgrs, mds: host names; osds: [{id, host, up}]; unsafe: [osd.3]; health, checks, error}",
    "tasks": "list of {type, node, id, user, started_ago, took, status, log}",
}
NODE: Mapping[str, str] = {
    "status": "online, offline, or hangs: accepts connections and never answers",
    "member": "false for a machine that resolves and holds guests but is not in this cluster",
    "votes": "corosync votes",
    "nodeid": "corosync id",
    "ip": "address of link 0",
    "uptime": "seconds since boot",
    "maxcpu": "CPUs",
    "maxmem": "bytes",
    "maxdisk": "bytes of the root file system",
    "disk": "bytes used of it",
    "load": "CPU ratio without guests",
    "memory_base": "memory ratio without guests",
    "wait": "I/O wait ratio",
    "wakeonlan": "MAC address, with options as in the node's configuration",
    "wakes": "false: the network card sleeps through magic packets",
    "boot_s": "seconds from power to membership",
    "ssl_fingerprint": "of pveproxy's certificate",
    "pvestatd": "false: no broadcasts",
    "ha_state": "what HA calls the node: online, maintenance, …",
    "efi": "boot mode",
    "description": "notes of the node",
    "services": "name to state (running, dead, failed), or the whole list of rows",
    "certificates": "the whole list of rows",
    "certificate_days": "days until pve-ssl.pem ends",
    "disks": "list of rows, laid over one healthy NVMe disk",
    "subscription": "the whole answer",
    "clock_off": "seconds the node's clock goes ahead",
    "utc_offset": "seconds of local time before UTC",
    "timezone": "its name",
    "rrd": "series to a number, or to a function of the time",
}
GUEST: Mapping[str, str] = {
    "vmid": "number",
    "type": "qemu or lxc",
    "node": "where its configuration lies",
    "name": "name or hostname; none for none",
    "status": "stopped, running, paused, or another word of QEMU's",
    "uptime": "seconds since its start",
    "pid": "of its process",
    "tags": "the raw line",
    "lock": "backup, migrate, …",
    "template": "true for a template",
    "startup": "order=2,up=30,down=60",
    "onboot": "1: started with the node",
    "agent": "none, ok, or dead: configured and not answering",
    "nets": "number of network devices",
    "maxcpu": "cores",
    "maxmem": "bytes",
    "maxdisk": "bytes of the root disk",
    "cpu": "CPU ratio while it runs",
    "load": "the same",
    "memory_used": "memory ratio while it runs",
    "config": "further raw configuration lines; none takes a default line away",
    "pending": "lines that wait for the next start",
    "pending_deletes": "lines to be deleted with it, to 0 or 1 (forced)",
    "snapshots": "name to the lines of the snapshot, snaptime among them",
    "ha": "none, or {state, group, max_restart, max_relocate, crm_state}",
    "shutdown_s": "seconds it takes to obey a request to shut down",
    "acpi": "false: it ignores such requests",
    "start_s": "seconds its start takes",
    "start_error": "the text its start fails with",
    "start_warnings": "warnings of its start",
}


def check_words(what: str, given: Mapping[str, object], known: Mapping[str, str]) -> None:
    """Raise ValueError naming the words that mean nothing."""
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"{what} has no {', '.join(unknown)}; it may have {', '.join(sorted(known))}")
