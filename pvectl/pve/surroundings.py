"""JSON rows about what goes on around guests: tasks, HA, jobs, Ceph, storages, and what round-robin data remember."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pvectl.core.evidence import HaService, HaStatus, Task
from pvectl.errors import ProtocolError
from pvectl.pve.answers import CephDaemon, CorosyncNode, NodeNow, Replication, Sample, StorageConfig, VzdumpJob
from pvectl.pve.fields import Row, all_of, as_truth, maybe_truth_of, object_of, text_of
from pvectl.pve.strict_json import listed, shown

_DIGITS = r"\A[0-9]{1,10}\Z"
_SPLIT = r"[,;\s\0]+"
_RUNNING = "RUNNING"
_LINK = re.compile(r"\A(?:ring|link)[0-9]+_addr\Z")
_HA_ROWS = {"quorum": "quorum", "master": "master", "fencing": "fencing", "lrm:": "lrm", "service:": "service"}
_CEPH_BY_KEY = ("mon", "mgr", "mds")
# where a storage's data come from (pve-storage PVE/Storage/*Plugin.pm); a portal may carry a port, a monhost is a list
_NETWORKED = frozenset({"nfs", "cifs", "glusterfs", "pbs", "iscsi", "iscsidirect", "zfs", "esxi"})
_SERVER_FIELDS = ("server", "server2", "portal", "monhost")


def node_tasks(rows: list[Row], *, node: str, what: str) -> tuple[Task, ...]:
    """Rows of `/nodes/N/tasks`: the running ones have no end, and the status "RUNNING"."""
    found = []
    for row in rows:
        if (where := text_of(row, "node", what)) != node:
            raise ProtocolError(f"{what}: the answer is about node {shown(where)}")
        found.append(_task(row, what))
    return tuple(found)


def cluster_tasks(rows: list[Row], *, what: str) -> tuple[tuple[str, Task], ...]:
    """Rows of `/cluster/tasks` with their node: a task without an end runs (pve-manager PVE/API2/Cluster.pm)."""
    return tuple((text_of(row, "node", what), _task(row, what)) for row in rows)


def _task(row: Row, what: str) -> Task:
    upid, user = text_of(row, "upid", what), row.get("user")
    if row.get("status") == _RUNNING and row.get("endtime") is not None:
        raise ProtocolError(f"{what}: task {shown(upid)} runs and has ended")
    if row.get("status") not in (None, _RUNNING) and row.get("endtime") is None:
        raise ProtocolError(f"{what}: task {shown(upid)} has ended and does not tell when")
    if row.get("tokenid") is not None:
        # only the rows of tasks that have ended have the token split off its user (recorded on PVE 8.4 and 9.2)
        user = f"{text_of(row, 'user', what)}!{text_of(row, 'tokenid', what)}"
    if "id" not in row:
        raise ProtocolError(f"{what}: task {shown(upid)} does not tell what it is about")
    fields = {**row, "user": user, "started": row.get("starttime"), "ended": row.get("endtime")}
    return all_of([fields], Task, what)[0]


def ha_status(rows: list[Row], *, what: str) -> HaStatus:
    """Rows of `/cluster/ha/status/current`; kinds of rows pvectl has never heard of are left out."""
    of_kind: dict[str, list[Row]] = {kind: [] for kind in _HA_ROWS.values()}
    for row in rows:
        told, named = text_of(row, "type", what), text_of(row, "id", what)
        meant = next((kind for start, kind in _HA_ROWS.items() if named.startswith(start)), None)
        if meant is None and told not in of_kind:
            continue
        if told != meant or (told == "service" and named != f"service:{row.get('sid')}"):
            raise ProtocolError(f"{what}: {shown(named)} has type {shown(told)} and sid {shown(row.get('sid'))}")
        of_kind[told].append(row)
    quorum = of_kind["quorum"][0] if of_kind["quorum"] else {}
    managers = [_inner_word(text_of(row, "status", what)) for row in of_kind["master"]]
    armed = [text_of(row, "armed-state", what) for row in of_kind["fencing"]]
    return HaStatus(
        quorate=maybe_truth_of(quorum, "quorate", what),
        manager=managers[0] if managers else None,
        services=all_of(of_kind["service"], HaService, what),
        lrm=tuple((text_of(row, "node", what), _inner_word(text_of(row, "status", what))) for row in of_kind["lrm"]),
        armed=armed[0] if armed else None,
    )


def _inner_word(status: str) -> str:
    """What stands first in the brackets of "pve1 (maintenance mode, watchdog standby, Sun Nov 22 …)"."""
    _, opened, rest = status.partition("(")
    return re.split(r"[,)]", rest, maxsplit=1)[0].strip() if opened else status


def corosync_nodes(rows: list[Row], *, what: str) -> tuple[CorosyncNode, ...]:
    """Rows of `/cluster/config/nodes`, where numbers are text."""
    found = []
    for row in rows:
        name = text_of(row, "name" if "name" in row else "node", what)
        addresses = tuple(text_of(row, field, what) for field in row if _LINK.match(field))
        found.append(CorosyncNode(name=name, votes=_number(row.get("quorum_votes"), "quorum_votes", what), addresses=addresses))
    return tuple(found)


def node_now(data: Any, *, what: str) -> NodeNow:
    """`/nodes/N/status`."""
    return all_of([object_of(data, what)], NodeNow, what)[0]


def vzdump_jobs(rows: list[Row], *, what: str) -> tuple[VzdumpJob, ...]:
    """Rows of `/cluster/backup`; a job is enabled unless it says otherwise."""
    found = []
    for row in rows:
        named = row.get("vmid")
        fields = {
            **row,
            "enabled": _flag(row, "enabled", what, default=True),
            "vmids": _vmids(named, "vmid", what) if named not in (None, "") else None,
            "all": _flag(row, "all", what, default=False),
            "exclude": _vmids(row.get("exclude"), "exclude", what),
            "next_run": row.get("next-run"),
        }
        found.append(fields)
    return all_of(found, VzdumpJob, what)


def replication(rows: list[Row], *, what: str) -> tuple[Replication, ...]:
    """Rows of `/cluster/replication` and of `/nodes/N/replication`."""
    fields = [
        {
            **row,
            "guest": _number(row.get("guest"), "guest", what),
            "disable": _flag(row, "disable", what, default=False),
        }
        for row in rows
    ]
    return all_of(fields, Replication, what)


def ceph_versions(data: Any, *, what: str) -> frozenset[str]:
    """`/cluster/ceph/metadata?scope=versions`: the nodes Ceph is installed on."""
    return frozenset(object_of(object_of(data, what).get("node", {}), what))


def ceph_daemons(data: Any, *, what: str) -> tuple[CephDaemon, ...]:
    """`/cluster/ceph/metadata`: monitors, managers and metadata servers by "id@host", OSDs as a list.

    A daemon of a dead node may have lost its hostname (pve-manager PVE/API2/Cluster/Ceph.pm).
    """
    row = object_of(data, what)
    found = []
    for kind in _CEPH_BY_KEY:
        if kind not in row:
            raise ProtocolError(f"{what}: {kind} is missing")
        for key, values in object_of(row[kind], what).items():
            name, _, named = key.rpartition("@")
            told = object_of(values, what).get("hostname")
            if not name or not named or told not in (None, named):
                raise ProtocolError(f"{what}: {kind} {shown(key)} is on {shown(told)}")
            found.append(CephDaemon(kind=kind, id=name, host=named))
    for osd in listed(row.get("osd")):
        number, host = osd.get("id"), osd.get("hostname")
        if type(number) is not int or not (host is None or isinstance(host, str)):
            raise ProtocolError(f"{what}: osd {shown(number)} is on {shown(host)}")
        found.append(CephDaemon(kind="osd", id=str(number), host=host))
    return tuple(found)


def ceph_safe(data: Any, *, what: str) -> bool:
    """`/nodes/N/ceph/cmd-safety`."""
    return as_truth(object_of(data, what).get("safe"), "safe", what)


def storages(rows: list[Row], *, what: str) -> tuple[StorageConfig, ...]:
    """Rows of `/storage`."""
    fields = []
    for row in rows:
        servers: list[str] = []
        for field in _SERVER_FIELDS:
            value = row.get(field)
            if value is None:
                continue
            if not isinstance(value, str):
                raise ProtocolError(f"{what}: {field} is {shown(value)}")
            hosts = [part for part in re.split(_SPLIT, value) if part]
            # one of several monitors may go
            servers += hosts if field != "monhost" or len(hosts) == 1 else []
        if text_of(row, "type", what) in _NETWORKED and not servers:
            raise ProtocolError(f"{what}: storage {shown(row.get('storage'))} does not tell its server")
        fields.append({**row, "servers": tuple(servers), "disable": _flag(row, "disable", what, default=False)})
    return all_of(fields, StorageConfig, what)


def samples(rows: list[Row], *, what: str) -> tuple[Sample, ...]:
    """Rows of `rrddata`; a value nobody measured is missing or null."""
    return all_of(rows, Sample, what)


def _flag(row: Mapping[str, Any], field: str, what: str, *, default: bool) -> bool:
    found = maybe_truth_of(row, field, what)
    return default if found is None else found


def _vmids(value: object, field: str, what: str) -> frozenset[int]:
    """A list of guests as PVE writes one: "100,105", or a single number."""
    if value is None:
        return frozenset()
    if type(value) is int:
        return frozenset({value})
    if not isinstance(value, str):
        raise ProtocolError(f"{what}: {field} is {shown(value)}")
    return frozenset(_number(part, field, what) for part in re.split(_SPLIT, value) if part)


def _number(value: object, field: str, what: str) -> int:
    if type(value) is int and value >= 0:
        return value
    if isinstance(value, str) and re.match(_DIGITS, value):
        return int(value)
    raise ProtocolError(f"{what}: {field} is {'missing' if value is None else shown(value)}")
