"""A TLS server that answers all the monitor asks of a cluster of eight nodes, with a delay while a file says so."""

import http.server
import json
import re
import ssl
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

try:
    from tests.bench.server import rows
except ImportError:
    # started as a program of its own, beside server.py
    from server import rows  # type: ignore[import-not-found,no-redef]

NODES = tuple(f"pve{number}" for number in range(1, 9))
GIB = 2**30
RIGHTS = dict.fromkeys(("Sys.Audit", "VM.Audit", "Datastore.Audit", "Datastore.AllocateSpace", "Datastore.Allocate", "VM.Backup"), 1)


def _whatever_the_hour(body: Any, _now: int) -> Any:
    return body


def answers(guests: int, *, troubled: bool = False) -> list[tuple[str, Callable[[int], Any]]]:
    """What each path (a regular expression) is answered with at an epoch second; with `troubled` something is wrong with every guest."""
    listed = list(rows(guests))
    if troubled:
        # a guest that is locked is no stopped one that should run: half of them are this, half that
        ails: tuple[dict[str, Any], ...] = ({"status": "stopped", "cpu": 0, "mem": 0, "uptime": 0}, {"lock": "backup"})
        listed = [{**row, **ails[place % 2]} for place, row in enumerate(listed)]
    resources = [
        *listed,
        *({"id": f"node/{n}", "type": "node", "node": n, "status": "online", "cpu": 0.2, "maxcpu": 32, "mem": 8 * GIB, "maxmem": 64 * GIB,
           "uptime": 864_000, "disk": 5 * GIB, "maxdisk": 60 * GIB} for n in NODES),
        *({"id": f"storage/{n}/{s}", "type": "storage", "storage": s, "node": n, "status": "available", "plugintype": kind,
           "shared": shared,
           "content": "backup,images", "disk": 300 * GIB, "maxdisk": 1000 * GIB}
          for n in NODES for s, kind, shared in (("local", "dir", 0), ("nfs", "nfs", 1))),
    ]  # fmt: skip
    status = [{"type": "cluster", "name": "bench", "quorate": 1, "version": 8, "nodes": 8, "id": "cluster"}]
    status += [{"type": "node", "name": n, "online": 1, "nodeid": i, "ip": f"192.0.2.{i}", "level": "", "local": int(i == 1)}
               for i, n in enumerate(NODES, 1)]  # fmt: skip
    ha = [{"id": "quorum", "type": "quorum", "node": "pve1", "quorate": 1, "status": "OK"}]
    paths = ("/", "/access", "/nodes", "/vms", "/storage", "/pool", "/sdn")
    plain: dict[str, Any] = {
        "/cluster/resources": resources,
        "/cluster/status": status,
        "/cluster/ha/status/current": ha,
        "/cluster/tasks": [],
        "/cluster/config/qdevice": {},
        "/cluster/config/nodes": [{"name": n, "node": n, "quorum_votes": "1", "ring0_addr": "192.0.2.1"} for n in NODES],
        "/cluster/backup": [{"id": "nightly", "type": "vzdump", "enabled": 1, "all": 1, "schedule": "21:00", "storage": "nfs"}],
        "/cluster/backup-info/not-backed-up": [{"vmid": row["vmid"]} for row in listed] if troubled else [],
        "/cluster/ceph/status": {"health": {"status": "HEALTH_OK", "checks": {}}},
        "/version": {"version": "9.2.11", "release": "9.2", "repoid": "bench"},
        "/access/permissions": dict.fromkeys(paths, RIGHTS),
        "/access/acl": [],
        "/nodes/[^/]+/status": {"uptime": 864_000, "wait": 0.001, "rootfs": {"used": 5 * GIB, "total": 60 * GIB},
                                  "swap": {"used": 0, "total": 0}},
        "/nodes/[^/]+/services": [{"name": n, "service": n, "state": "running", "active-state": "active", "unit-state": "enabled"}
                                  for n in ("pveproxy", "pvedaemon", "pvestatd", "corosync", "pve-cluster", "sshd")],
        "/nodes/[^/]+/storage": [{"storage": s, "enabled": 1, "active": 1, "type": "dir", "content": "images"} for s in ("local", "nfs")],
        "/nodes/[^/]+/replication": [],
        "/nodes/[^/]+/tasks": [],
        "/nodes/[^/]+/netstat": [],
        "/nodes/[^/]+/disks/list": [{"devpath": "/dev/sda", "serial": "S1", "health": "PASSED", "wearout": 98}],
        "/nodes/[^/]+/disks/(zfs|lvmthin)": [],
        "/nodes/[^/]+/certificates/info": [{"filename": "pve-ssl.pem", "notafter": 2_000_000_000}],
        "/nodes/[^/]+/(qemu|lxc)/[0-9]+/config": {"digest": "0" * 40, "onboot": int(troubled),
                                                     "scsi0": "nfs:1/vm.qcow2,size=8G", "meta": "ctime=1600000000"},
        "/nodes/[^/]+/(qemu|lxc)/[0-9]+/snapshot": [{"name": "current", "description": "You are here!"},
                                                    *([{"name": "old", "snaptime": 1_600_000_000}] if troubled else [])],
        "/nodes/[^/]+/storage/local/content": [],
    }  # fmt: skip
    encoded = {path: json.dumps({"data": value}, separators=(",", ":")).encode() for path, value in plain.items()}

    def backups(now: int) -> Any:
        made = now // 3600 * 3600 - (3_000_000 if troubled else 3600)
        return [{"volid": f"nfs:backup/{row['vmid']}", "vmid": row["vmid"], "ctime": made, "content": "backup"} for row in listed]

    def live(now: int, node: str, kind: str) -> Any:
        return [
            {"vmid": row["vmid"], "status": row["status"], "name": row["name"]}
            for row in listed
            if (row["node"], row["type"]) == (node, kind)
        ]

    table: list[tuple[str, Callable[[int], Any]]] = [(path, partial(_whatever_the_hour, body)) for path, body in encoded.items()]
    table += [(f"/nodes/{node}/{kind}", partial(live, node=node, kind=kind)) for node in NODES for kind in ("qemu", "lxc")]
    table += [
        ("/nodes/[^/]+/time", lambda now: {"time": now, "localtime": now, "timezone": "Etc/UTC"}),
        ("/nodes/[^/]+/storage/nfs/content", backups),
        ("/nodes/[^/]+/rrddata", lambda now: [{"time": now - 60, "pressurecpusome": 0.1, "pressureiofull": 0, "pressurememoryfull": 0}]),
    ]
    return table


def main() -> None:
    guests, certificate, key, delay = sys.argv[1:5]
    troubled = sys.argv[5:6] == ["troubled"]
    table = [(re.compile(f"/api2/json{path}"), answer) for path, answer in answers(int(guests), troubled=troubled)]
    known: dict[str, Callable[[int], Any]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path not in known:
                known[path] = next((answer for pattern, answer in table if pattern.fullmatch(path)), lambda _: None)
            found = known[path](int(time.time()))
            body = found if isinstance(found, bytes) else json.dumps({"data": found}).encode()
            if Path(delay).exists():
                time.sleep(float(Path(delay).read_text(encoding="ascii")))
            self.send_response(200)
            self.send_header("Content-Type", "application/json;charset=UTF-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *_: object) -> None: ...

    class Server(http.server.ThreadingHTTPServer):
        # eight connections come at once, and one that finds the queue full tries again after a whole second
        request_queue_size = 64

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()
