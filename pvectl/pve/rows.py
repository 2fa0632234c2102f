"""JSON rows to values of the model; the only place where the API's field names occur."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from pvectl.core import tags
from pvectl.core.model import Guest, Node, Storage
from pvectl.core.text import clean
from pvectl.errors import ProtocolError
from pvectl.pve import strict_json
from pvectl.pve.answers import (
    AclEntry,
    ActiveTask,
    ClusterOptions,
    ClusterStatus,
    GuestConfig,
    GuestNow,
    HaResource,
    NodeConfig,
    QuorumDevice,
    Resources,
    Version,
)
from pvectl.pve.fields import Row, all_of, as_truth, maybe_truth_of, object_of, text_of, truth_of
from pvectl.pve.strict_json import shown
from pvectl.pve.tasks import TaskState, Upid

_LONGEST_LINE = 2000
_DIGITS = r"\A[0-9]{1,9}\Z"
_GUEST_TYPES = ("qemu", "lxc")
_OURS = (*_GUEST_TYPES, "node", "storage")


def guests(rows: list[Row], *, what: str) -> tuple[Guest, ...]:
    """Rows of `/cluster/resources?type=vm`."""
    try:
        kinds = {row.get("type") for row in rows}
    except TypeError:
        odd = next(row["type"] for row in rows if isinstance(row.get("type"), list | dict))
        raise ProtocolError(f"{what}: type is {shown(odd)}") from None
    if not kinds <= {"qemu", "lxc"}:
        rows = [row for row in rows if row.get("type") in _GUEST_TYPES or "vmid" in row]
    _polish(rows, what)
    return all_of(rows, Guest, what)


def resources(rows: list[Row], *, what: str) -> Resources:
    """Rows of `/cluster/resources`; kinds pvectl has no use for (sdn, network, …) are left out."""
    of_kind: dict[str, list[Row]] = {"guest": [], "node": [], "storage": [], "pool": []}
    for row in rows:
        kind = row.get("type")
        if kind in _GUEST_TYPES or (kind is None and "vmid" in row):
            of_kind["guest"].append(row)
        elif not isinstance(kind, str):
            raise ProtocolError(f"{what}: " + ("a row without a type" if kind is None else f"type is {shown(kind)}"))
        elif kind in of_kind:
            of_kind[kind].append(row)
        elif str(row.get("id")).partition("/")[0] in _OURS:
            raise ProtocolError(f"{what}: {shown(row.get('id'))} is of type {shown(kind)}")
    seen = guests(of_kind["guest"], what=what)
    members: dict[str, set[int]] = {text_of(row, "pool", what): set() for row in of_kind["pool"]}
    for guest in seen:
        if guest.pool is not None:
            members.setdefault(guest.pool, set()).add(guest.vmid)
    return Resources(
        guests=seen,
        nodes=nodes(of_kind["node"], what=what),
        storages=all_of([_storage(row, what) for row in of_kind["storage"]], Storage, what),
        pools={name: frozenset(vmids) for name, vmids in members.items()},
    )


def nodes(rows: list[Row], *, what: str) -> tuple[Node, ...]:
    """Rows of `/nodes`, and the node rows of `/cluster/resources`; their `id` is a path, not a number."""
    return all_of([{**row, "name": row.get("node"), "id": None, "local": None} for row in rows], Node, what)


def node_guests(rows: list[Row], *, node: str, kind: str, what: str) -> tuple[Guest, ...]:
    """Rows of `/nodes/N/qemu` and `/nodes/N/lxc`, which do not repeat the node, and call `maxcpu` `cpus`.

    A paused VM is "running" there; with `full=1` its `qmpstatus` says more, and is what `/cluster/resources` shows as status.
    """
    named = [
        {**row, "node": node, "type": kind, "maxcpu": row.get("cpus"), "status": row.get("qmpstatus") or row.get("status")} for row in rows
    ]
    _polish(named, what)
    return all_of(named, Guest, what)


def cluster_status(rows: list[Row], *, what: str) -> ClusterStatus:
    """Rows of `/cluster/status`; a standalone host has no row of type cluster (recorded on PVE 8.4 and 9.2)."""
    clusters = [row for row in rows if row.get("type") == "cluster"]
    members = [
        {
            "name": row.get("name"),
            "status": "online" if truth_of(row, "online", what) else "offline",
            "id": row.get("nodeid"),
            "ip": row.get("ip"),
            "local": maybe_truth_of(row, "local", what),
        }
        for row in rows
        if row.get("type") == "node"
    ]
    if len(clusters) > 1 or not members or (not clusters and len(members) != 1):
        raise ProtocolError(f"{what}: {len(clusters)} cluster rows and {len(members)} node rows make no sense")
    cluster = clusters[0] if clusters else None
    return ClusterStatus(
        name=text_of(cluster, "name", what) if cluster is not None else None,
        standalone=cluster is None,
        quorate=truth_of(cluster, "quorate", what) if cluster is not None else None,
        nodes=all_of(members, Node, what),
    )


def quorum_device(data: Any, *, what: str) -> QuorumDevice:
    """`/cluster/config/qdevice`, which is empty without one."""
    row = object_of(data, what)
    if not row:
        return QuorumDevice()
    return QuorumDevice(state=text_of(row, "State", what), algorithm=text_of(row, "Algorithm", what) if "Algorithm" in row else None)


def version(data: Any, *, what: str) -> Version:
    row = object_of(data, what)
    full = text_of(row, "version", what)
    major = full.partition(".")[0]
    if re.match(_DIGITS, major) is None:
        raise ProtocolError(f"{what}: version is {shown(full)}")
    return Version(version=clean(full[:_LONGEST_LINE]), release=text_of(row, "release", what), major=int(major))


def permissions(data: Any, *, what: str) -> dict[str, dict[str, bool]]:
    """Path to privilege to whether it propagates: 0 there means "here only", never "denied" (recorded on PVE 9.2).

    An empty hash may come as an empty list, as Perl has it.
    """
    return {
        path: {privilege: as_truth(flag, privilege, what) for privilege, flag in object_of(held, what).items()}
        for path, held in object_of(data, what).items()
    }


def acl(rows: list[Row], *, what: str) -> tuple[AclEntry, ...]:
    return all_of([{**row, "propagate": truth_of(row, "propagate", what)} for row in rows], AclEntry, what)


def cluster_options(data: Any, *, what: str) -> ClusterOptions:
    row = object_of(data, what)
    style = object_of(row.get("tag-style") or {}, what)
    access = object_of(row.get("user-tag-access") or {}, what)
    ha = object_of(row.get("ha") or {}, what)
    found = {
        "tag_ordering": style.get("ordering"),
        "tags_case_sensitive": maybe_truth_of(style, "case-sensitive", what) or False,
        "registered_tags": row.get("registered-tags"),
        "allowed_tags": row.get("allowed-tags"),
        "user_allow": access.get("user-allow"),
        "user_allow_list": access.get("user-allow-list"),
        "ha_shutdown_policy": ha.get("shutdown_policy"),
    }
    return all_of([found], ClusterOptions, what)[0]


def netstat(rows: list[Row], *, what: str) -> frozenset[int]:
    """The guests with a network card on a node; PVE sends their numbers as strings."""
    found = set()
    for row in rows:
        vmid = row.get("vmid")
        if type(vmid) is not int and not (isinstance(vmid, str) and re.match(_DIGITS, vmid)):
            raise ProtocolError(f"{what}: vmid is {shown(vmid)}")
        found.add(int(vmid))
    return frozenset(found)


def node_time(data: Any, *, what: str) -> int:
    seconds = object_of(data, what).get("time")
    if type(seconds) is not int:
        raise ProtocolError(f"{what}: time is {shown(seconds)}")
    return seconds


def node_config(data: Any, *, what: str) -> NodeConfig:
    return all_of([object_of(data, what)], NodeConfig, what)[0]


def guest_config(data: Any, *, what: str) -> GuestConfig:
    row = object_of(data, what)
    raw = row.get("tags")
    if raw is not None and not isinstance(raw, str):
        raise ProtocolError(f"{what}: tags is {shown(raw)}")
    return GuestConfig(digest=text_of(row, "digest", what), tags_raw=raw, options={key: row[key] for key in row if key != "digest"})


def guest_now(data: Any, *, vmid: int, what: str) -> GuestNow:
    """`status/current`, which names the guest it is about."""
    row = object_of(data, what)
    if row.get("vmid") not in (vmid, str(vmid)):
        raise ProtocolError(f"{what}: the answer is about guest {shown(row.get('vmid'))}")
    ha = row.get("ha")
    managed = maybe_truth_of(ha, "managed", what) if isinstance(ha, dict) else None
    raw = row.get("tags")
    if raw is not None and not isinstance(raw, str):
        raise ProtocolError(f"{what}: tags is {shown(raw)}")
    split = tuple(sorted(tags.split(raw))) if raw is not None else None
    return all_of([{**row, "ha_managed": managed, "tags": split}], GuestNow, what)[0]


def task_state(data: Any, *, upid: Upid, what: str) -> TaskState:
    """`tasks/UPID/status`, which names the task it is about."""
    row = object_of(data, what)
    if row.get("upid", upid.text) != upid.text:
        raise ProtocolError(f"{what}: the answer is about another task")
    status = text_of(row, "status", what)
    if status not in ("running", "stopped"):
        raise ProtocolError(f"{what}: status is {shown(status)}")
    exitstatus = row.get("exitstatus")
    if exitstatus is not None and not isinstance(exitstatus, str):
        raise ProtocolError(f"{what}: exitstatus is {shown(exitstatus)}")
    return TaskState(running=status == "running", exitstatus=clean(exitstatus[:_LONGEST_LINE]) if exitstatus is not None else None)


def task_log(data: Any) -> tuple[str, ...]:
    """Lines of a log. PVE 8.4 answers with an object where there is no log, PVE 9 with a list (recorded)."""
    if isinstance(data, dict):
        return ()
    return tuple(clean(_line(row)) for row in strict_json.listed(data))


def _line(row: Row) -> str:
    text = row.get("t")
    return text[:_LONGEST_LINE] if isinstance(text, str) else ""


def ha_resources(rows: list[Row], *, what: str) -> tuple[HaResource, ...]:
    return all_of(rows, HaResource, what)


def active_tasks(rows: list[Row], *, what: str) -> tuple[ActiveTask, ...]:
    return all_of([{key: row[key] for key in row if key != "pid"} for row in rows], ActiveTask, what)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Without the cyclic collector, which would walk ten thousand fresh rows again and again and find nothing."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _polish(rows: Iterable[Row], what: str) -> None:
    """Tags as a sorted tuple and `template` as a truth, in place: the two fields PVE spells otherwise than the model."""
    known: dict[str, tuple[str, ...]] = {}
    for row in rows:
        raw = row.get("tags")
        if raw is not None:
            if not isinstance(raw, str):
                raise ProtocolError(f"{what}: tags is {shown(raw)}")
            found = known.get(raw)
            if found is None:
                found = known[raw] = tuple(sorted(tags.split(raw)))
            row["tags"] = found
        elif "tags" in row:
            row["tags"] = ()
        if "template" in row:
            row["template"] = maybe_truth_of(row, "template", what)


def _storage(row: Row, what: str) -> Row:
    content = row.get("content")
    if content is not None and not isinstance(content, str):
        raise ProtocolError(f"{what}: content is {shown(content)}")
    kinds = None if content is None else tuple(sorted(part for part in content.split(",") if part))
    return {**row, "content": kinds, "shared": maybe_truth_of(row, "shared", what)}
