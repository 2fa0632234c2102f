"""The same requests to the simulated cluster and to fakepve, with the same guests; and what they answer differently."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tests.contract import fakepve
from tests.contract.differences import in_json, in_shapes, short
from tests.contract.exchange import Door, Seen, exchange
from tests.contract.stage import Stage, make_certificate, staged

FULL, MONITOR, STRANGER = "root@pam!full", "monitor@pve!mon", "root@pam!nosuch"
SECRET = "12345678-1234-4123-8123-123456789abc"
VM_LINES = {"memory": "512", "cores": 1, "serial0": "socket", "vga": "serial0", "agent": "1"}
CONTAINER_LINES = {
    "memory": 512,
    "cores": 1,
    "arch": "amd64",
    "ostype": "debian",
    "rootfs": "local:subvol,size=8G",
    "swap": 512,
    "unprivileged": 1,
}
NOT_GIVEN = {"boot": None, "ostype": None, "scsi0": None}
VM: dict[str, Any] = {"type": "qemu", "nets": 0, "config": {**NOT_GIVEN, **VM_LINES}}
CONTAINER: dict[str, Any] = {"type": "lxc", "nets": 0, "config": CONTAINER_LINES}
NODE = {"maxcpu": 4, "maxmem": 8 * 1024**3, "maxdisk": 64 * 1024**3}
GUESTS: list[dict[str, Any]] = [
    {**VM, "vmid": 100, "node": "pve1", "name": "web", "status": "running", "tags": "prod;web"},
    {**VM, "vmid": 101, "node": "pve1", "name": "db", "status": "stopped"},
    {**VM, "vmid": 102, "node": "pve1", "name": "busy", "status": "running", "lock": "backup"},
    {**VM, "vmid": 103, "node": "pve1", "name": "tpl", "status": "stopped", "template": True},
    {**VM, "vmid": 104, "node": "pve1", "name": "deaf", "status": "running", "acpi": False},
    {**CONTAINER, "vmid": 200, "node": "pve1", "name": "ct", "status": "running", "tags": "prod"},
    {**CONTAINER, "vmid": 201, "node": "pve1", "name": "ct-off", "status": "stopped"},
    {**VM, "vmid": 300, "node": "pve2", "name": "far", "status": "running"},
    {**VM, "vmid": 310, "node": "pve3", "name": "lost", "status": "running"},
]
SCENARIO: dict[str, Any] = {
    "version": "9.2",
    "name": "lab",
    "now": 1795370000,
    "nodes": {"pve1": NODE, "pve2": NODE, "pve3": {"status": "offline"}},
    "guests": GUESTS,
    "users": {"monitor@pve": {}},
    "tokens": {FULL: {"secret": SECRET, "privsep": 0}, MONITOR: {"secret": SECRET, "privsep": 0}},
    "roles": {"Watch": "VM.Audit", "WatchNode": "Sys.Audit"},
    "acl": [
        {"path": "/vms/100", "ugid": "monitor@pve", "roleid": "Watch"},
        {"path": "/vms/200", "ugid": "monitor@pve", "roleid": "Watch"},
        {"path": "/nodes/pve1", "ugid": "monitor@pve", "roleid": "WatchNode"},
    ],
    "storages": [{"name": "local", "content": "iso,vztmpl,backup"}],
    "options": {"keyboard": "en-us"},
}
GRANTS = [
    ["monitor@pve", "/vms/100", ["VM.Audit"]],
    ["monitor@pve", "/vms/200", ["VM.Audit"]],
    ["monitor@pve", "/nodes/pve1", ["Sys.Audit"]],
]

# The two clusters are not the same in every value; these words must agree wherever both say them.
TELLING = frozenset(
    {
        "status",
        "type",
        "node",
        "name",
        "vmid",
        "id",
        "tags",
        "lock",
        "template",
        "hastate",
        "quorate",
        "online",
        "exitstatus",
        "user",
        "qmpstatus",
        "level",
        "hostname",
    }
)


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request of the comparison; `{digest}` stands for the present digest of the guest."""

    name: str
    method: str = "GET"
    path: str
    body: dict[str, str] | None = None
    token: str = FULL
    history: bool = False
    """Rows of the past: only their shape can be compared."""
    follow: bool = False
    """Wait for the task it starts, and compare how that ends."""


def get(name: str, path: str, *, token: str = FULL) -> Ask:
    return Ask(name=name, path=path, token=token)


def put(name: str, path: str, *, token: str = FULL, **body: str) -> Ask:
    return Ask(name=name, method="PUT", path=path, body=body, token=token)


def post(name: str, path: str, *, token: str = FULL, follow: bool = True, **body: str) -> Ask:
    return Ask(name=name, method="POST", path=path, body=body, token=token, follow=follow)


ASKED = (
    get("version", "/version"),
    get("wrong token", "/version", token=STRANGER),
    get("unknown path", "/nosuch"),
    get("unknown parameter", "/version?bogus=1"),
    get("resources", "/cluster/resources"),
    get("guests", "/cluster/resources?type=vm"),
    get("nodes among the resources", "/cluster/resources?type=node"),
    get("resources of no such type", "/cluster/resources?type=qemu"),
    get("guests a watcher may see", "/cluster/resources?type=vm", token=MONITOR),
    get("cluster status", "/cluster/status"),
    get("cluster status without the right", "/cluster/status", token=MONITOR),
    get("nodes", "/nodes"),
    get("node status without the right", "/nodes/pve2/status", token=MONITOR),
    get("node that is off", "/nodes/pve3/status"),
    get("VMs", "/nodes/pve1/qemu"),
    get("VMs a watcher may see", "/nodes/pve1/qemu", token=MONITOR),
    get("containers", "/nodes/pve1/lxc"),
    get("containers a watcher may see", "/nodes/pve1/lxc", token=MONITOR),
    get("guests of a node that is off", "/nodes/pve3/qemu"),
    get("running VM", "/nodes/pve1/qemu/100/status/current"),
    get("stopped VM", "/nodes/pve1/qemu/101/status/current"),
    get("running container", "/nodes/pve1/lxc/200/status/current"),
    get("no such VM", "/nodes/pve1/qemu/999/status/current"),
    get("no such container", "/nodes/pve1/lxc/999/status/current"),
    get("VM of another node", "/nodes/pve1/qemu/300/status/current"),
    get("vmid that is none", "/nodes/pve1/qemu/abc/status/current"),
    get("VM without the right", "/nodes/pve1/qemu/101/status/current", token=MONITOR),
    get("VM config", "/nodes/pve1/qemu/100/config"),
    get("container config", "/nodes/pve1/lxc/200/config"),
    get("permissions", "/access/permissions", token=MONITOR),
    put("tags", "/nodes/pve1/qemu/100/config", tags="a;b", digest="{digest}"),
    get("tags read back", "/nodes/pve1/qemu/100/config"),
    put("tags with a stale digest", "/nodes/pve1/qemu/100/config", tags="c", digest="0123456789012345678901234567890123456789"),
    put("tags in disorder", "/nodes/pve1/qemu/100/config", tags="Zeta,alpha"),
    get("tags in disorder read back", "/nodes/pve1/qemu/100/config"),
    put("bad tag", "/nodes/pve1/qemu/100/config", tags="-bad"),
    put("tags deleted", "/nodes/pve1/qemu/100/config", delete="tags"),
    get("deleted tags read back", "/nodes/pve1/qemu/100/config"),
    put("unknown config option", "/nodes/pve1/qemu/100/config", bogus="1"),
    put("tags without the right", "/nodes/pve1/qemu/100/config", tags="a", token=MONITOR),
    put("tags of a locked VM", "/nodes/pve1/qemu/102/config", tags="a"),
    put("container tags", "/nodes/pve1/lxc/200/config", tags="a;b", digest="{digest}"),
    put("container tags with a stale digest", "/nodes/pve1/lxc/200/config", tags="c", digest="0123456789012345678901234567890123456789"),
    post("shutdown", "/nodes/pve1/qemu/100/status/shutdown"),
    get("VM that was shut down", "/nodes/pve1/qemu/100/status/current"),
    post("start", "/nodes/pve1/qemu/100/status/start"),
    post("start of a running VM", "/nodes/pve1/qemu/100/status/start"),
    post("start of a template", "/nodes/pve1/qemu/103/status/start"),
    post("shutdown without the right", "/nodes/pve1/qemu/100/status/shutdown", token=MONITOR),
    post("shutdown with a bad time-out", "/nodes/pve1/qemu/100/status/shutdown", timeout="soon"),
    post("shutdown of a stopped VM", "/nodes/pve1/qemu/101/status/shutdown"),
    post("shutdown of a locked VM", "/nodes/pve1/qemu/102/status/shutdown"),
    post("shutdown of a deaf VM", "/nodes/pve1/qemu/104/status/shutdown", timeout="3"),
    post("forced shutdown of a deaf VM", "/nodes/pve1/qemu/104/status/shutdown", timeout="3", forceStop="1"),
    post("stop", "/nodes/pve1/qemu/100/status/stop"),
    post("container shutdown", "/nodes/pve1/lxc/200/status/shutdown"),
    post("shutdown of a stopped container", "/nodes/pve1/lxc/201/status/shutdown"),
    post("container start", "/nodes/pve1/lxc/201/status/start"),
    post("shutdown on a node that is off", "/nodes/pve3/qemu/310/status/shutdown"),
    Ask(name="tasks", path="/nodes/pve1/tasks", history=True),
    get("tasks of no such node", "/nodes/pve9/tasks"),
    get("status of no task", "/nodes/pve1/tasks/UPID:pve1:00000001:00000001:00000001:qmstart:100:root@pam:/status"),
    get("cluster options", "/cluster/options"),
    get("storages of a node", "/nodes/pve1/storage"),
)  # fmt: skip


class Side:
    """One of the two clusters, and how time passes there."""

    def __init__(self, door: Door, let_time_pass: Callable[[], None]) -> None:
        self._door = door
        self._let_time_pass = let_time_pass

    def ask(self, ask: Ask) -> Seen:
        body = None
        headers = {"Authorization": f"PVEAPIToken={ask.token}={SECRET}"}
        if ask.body is not None:
            fields = {name: self._digest(ask) if value == "{digest}" else value for name, value in ask.body.items()}
            body = urlencode(fields)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        return exchange(self._door, ask.method, f"/api2/json{ask.path}", headers=headers, body=body)

    def end_of(self, upid: str) -> dict[str, Any]:
        """The status of a task once it has stopped."""
        path = f"/nodes/{upid.split(':')[1]}/tasks/{quote(upid, safe='')}/status"
        for _ in range(400):
            status: dict[str, Any] = self.ask(get("", path)).json()["data"]
            if status["status"] == "stopped":
                return status
            self._let_time_pass()
        raise TimeoutError(upid)

    def _digest(self, ask: Ask) -> str:
        return str(self.ask(get("", ask.path)).json()["data"]["digest"])


@contextmanager
def both_doors(folder: Path, *, speed: float = 0) -> Iterator[tuple[Stage, Door]]:
    """The simulated cluster and fakepve with the same guests, both behind TLS; the authority is `ca.pem` in the folder."""
    certificate = make_certificate(folder)
    told = {
        **SCENARIO,
        "version": {"version": "9.2.11", "release": "9.2"},
        "grants": GRANTS,
        "vm_lines": VM_LINES,
        "container_lines": CONTAINER_LINES,
    }
    with staged(SCENARIO, certificate=certificate, speed=speed) as stage, fakepve.running(told, certificate) as door:
        yield stage, door


@functools.cache
def compared() -> dict[str, list[str]]:
    """What the two answered differently, request by request."""
    with tempfile.TemporaryDirectory() as folder, both_doors(Path(folder)) as (stage, door):
        ours, theirs = Side(stage.door, lambda: stage.advance(1)), Side(door, lambda: None)
        return {ask.name: in_answers(ask, ours, theirs) for ask in ASKED}


def in_answers(ask: Ask, ours: Side, theirs: Side) -> list[str]:
    here, there = ours.ask(ask), theirs.ask(ask)
    found = []
    if here.status != there.status:
        found.append(f"status: sim {here.status} {here.reason!r}, fakepve {there.status} {there.reason!r}")
    elif here.reason != there.reason:
        found.append(f"reason: sim {here.reason!r}, fakepve {there.reason!r}")
    mine, other = parsed(here), parsed(there)
    found += [f"key .{key}: only in {'sim' if key in mine else 'fakepve'}" for key in sorted(mine.keys() ^ other.keys())]
    errors, others = mine.get("errors") or {}, other.get("errors") or {}
    if errors != others:
        found.append(f"errors: sim {short(errors)}, fakepve {short(others)}")
    if here.status == there.status == 200 and ask.history:
        found += [worded(text) for text in in_shapes(other["data"], mine["data"], "data")]
    elif here.status == there.status == 200:
        found += [worded(text) for text in in_json(other["data"], mine["data"], "data", passing=Untold())]
        if ask.follow:
            found += [worded(text) for text in in_json(theirs.end_of(other["data"]), ours.end_of(mine["data"]), "task", passing=Untold())]
    return found


class Untold(frozenset[str]):
    """All keys but the telling ones."""

    def __contains__(self, key: object) -> bool:
        return key not in TELLING

    def __or__(self, other: Any) -> Untold:
        return self


def worded(text: str) -> str:
    return (
        text.replace(": recorded, not seen", ": only in fakepve")
        .replace(": seen, not recorded", ": only in sim")
        .replace("recorded", "fakepve")
        .replace("seen", "sim")
    )


def parsed(seen: Seen) -> dict[str, Any]:
    try:
        document = json.loads(seen.plain())
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
