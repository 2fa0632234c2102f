"""The task endpoints: lists, status, log, and stopping a task (pve-manager PVE/API2/Tasks.pm)."""

from __future__ import annotations

from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pvectl.sim.parameters import COUNT, NODE, SWITCH, TEXT, Parameter, Schema
from pvectl.sim.refusals import bad_parameters
from pvectl.sim.tags import split_tags
from pvectl.sim.tasks import UPID, Task, abort, status_row
from pvectl.sim.wire import Answer

if TYPE_CHECKING:
    from pvectl.sim.call import Call
    from pvectl.sim.world import World

STATUSES = ("ok", "error", "warning", "unknown")
KEPT_PER_NODE = 25


def _wrong_filter(text: str) -> str | None:
    bad = next((word for word in split_tags(text) if word not in STATUSES), None)
    return None if bad is None else f"invalid format - invalid status '{bad}'\n"


LIST_SCHEMA: Schema = {
    "node": NODE,
    "start": COUNT,
    "limit": COUNT,
    "userfilter": TEXT,
    "typefilter": TEXT,
    "vmid": Parameter(kind="integer", low=100),
    "errors": SWITCH,
    "source": Parameter(choices=("archive", "active", "all")),
    "since": Parameter(kind="integer"),
    "until": Parameter(kind="integer"),
    "statusfilter": Parameter(wrong=_wrong_filter, is_list=True),
}
UPID_SCHEMA: Schema = {"node": NODE, "upid": TEXT}
LOG_SCHEMA: Schema = {**UPID_SCHEMA, "start": COUNT, "limit": COUNT, "download": SWITCH}


def with_total(data: Any, total: int) -> Answer:
    """Rows with a `total` beside `data`, which PVE leaves out when there is nothing."""
    return Answer(data=data, total=total or None)


def node_tasks(call: Call) -> Answer:
    """GET /nodes/N/tasks: finished ones unless `source` says otherwise; `since` and `until` look at the start."""
    params, world = call.params, call.world
    source = params.get("source", "archive")
    audit = call.holds(f"/nodes/{call.node}", "Sys.Audit")
    mine = [task for task in world.tasks if task.node == call.node and (audit or task.user == call.who)]
    finished = sorted((task for task in reversed(mine) if not task.running), key=_ended, reverse=True)
    running = [task for task in reversed(mine) if task.running]
    chosen = (running if source != "archive" else []) + (finished if source != "active" else [])
    matching = [task for task in chosen if _matches(task, params)]
    start, limit = params.get("start", 0), params.get("limit", 50)
    return with_total([_list_row(task) for task in matching[start : start + limit]], len(matching))


def cluster_tasks(call: Call) -> list[dict[str, Any]]:
    """GET /cluster/tasks: what each node broadcasts, newest first, at most 25 with the running ones.

    A token never sees its own tasks here, because PVE compares its id with the bare user.
    """
    if not call.holds("/", "Sys.Audit") and call.caller.token is not None:
        return []
    everything = call.holds("/", "Sys.Audit")
    rows = []
    for node in call.world.members:
        if not node.online:
            continue
        tasks = [task for task in call.world.tasks if task.node == node.name]
        running = [task for task in reversed(tasks) if task.running]
        finished = sorted((task for task in reversed(tasks) if not task.running), key=attrgetter("starttime"), reverse=True)
        told = [*running, *finished[: max(0, KEPT_PER_NODE - len(running))]]
        rows += [_broadcast_row(task) for task in told if everything or task.user == call.who]
    return rows


def index(call: Call) -> list[dict[str, Any]]:
    """GET /nodes/N/tasks/UPID."""
    _parsed(call)
    return [{"name": "log"}, {"name": "status"}]


def status(call: Call) -> dict[str, Any]:
    """GET /nodes/N/tasks/UPID/status."""
    _parsed(call)
    _may(call, "Sys.Audit")
    task = _found(call)
    if task is None:
        raise bad_parameters({"upid": "no such task"})
    return status_row(task)


def log(call: Call) -> Answer:
    """GET /nodes/N/tasks/UPID/log."""
    _parsed(call)
    _may(call, "Sys.Audit")
    task = _found(call)
    lines = ["unable to open file - No such file or directory"] if task is None else task.lines
    if call.params.get("download"):
        return Answer(body="".join(f"{line}\n" for line in lines).encode(), content_type="text/plain", headers=_as_attachment(task))
    shown = lines or ["no content"]
    start, limit = call.params.get("start", 0), call.params.get("limit", 50)
    rows = [{"n": number, "t": text} for number, text in enumerate(shown, 1)]
    part = rows[start : start + limit] if limit else rows[start:]
    if task is None and not call.world.since_9:
        return with_total(rows[0], len(rows))
    return with_total(part, len(rows))


def _as_attachment(task: Task | None) -> dict[str, str]:
    if task is None:
        return {}
    began = datetime.fromtimestamp(task.starttime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"Content-Disposition": f'attachment; filename="task-{task.node}-{task.type}-{began}.log"'}


def stop(call: Call) -> None:
    """DELETE /nodes/N/tasks/UPID: the owner, or Sys.Modify; a finished one is no error."""
    _parsed(call)
    _may(call, "Sys.Modify")
    task = _found(call)
    if task is None:
        raise bad_parameters({"upid": "no such task"})
    if task.running:
        call.takes(1.0)
        abort(call.world, task)


def _parsed(call: Call) -> None:
    if UPID.fullmatch(call.params["upid"]) is None:
        raise bad_parameters({"upid": "unable to parse worker upid"})


def _may(call: Call, privilege: str) -> None:
    found = UPID.fullmatch(call.params["upid"])
    if found is None or found["user"] != call.who:
        call.require(f"/nodes/{call.node}", privilege)


def _found(call: Call) -> Task | None:
    return find(call.world, call.node, call.params["upid"])


def find(world: World, node: str, upid: str) -> Task | None:
    """The task of that node."""
    return next((task for task in world.tasks if task.upid == upid and task.node == node), None)


def _matches(task: Task, params: Any) -> bool:
    # the list of running tasks has not split the token off the user yet
    user = task.user if task.running else task.user.partition("!")[0]
    if params.get("userfilter", "").lower() not in user.lower():
        return False
    if "typefilter" in params and task.type != params["typefilter"]:
        return False
    if "vmid" in params and task.id != str(params["vmid"]):
        return False
    if task.starttime < params.get("since", task.starttime) or task.starttime > params.get("until", task.starttime):
        return False
    if params.get("errors"):
        # takes the place of `statusfilter`, and lists warnings all the same
        return task.status != "OK"
    return "statusfilter" not in params or _kind(task) in split_tags(params["statusfilter"])


def _kind(task: Task) -> str:
    if task.status is None or task.status in {"unexpected status", "unknown"}:
        return "unknown"
    return "ok" if task.status == "OK" else "warning" if task.status.startswith("WARNINGS: ") else "error"


def _ended(task: Task) -> tuple[int, int]:
    return task.endtime or 0, task.starttime


def _list_row(task: Task) -> dict[str, Any]:
    row = task.row()
    if task.running:
        return {**row, "user": task.user, "saved": "0", "status": "RUNNING"}
    return {**row, **task.owner(), "endtime": task.endtime, "status": task.status}


def _broadcast_row(task: Task) -> dict[str, Any]:
    row: dict[str, Any] = {
        "upid": task.upid,
        "node": task.node,
        "starttime": task.starttime,
        "type": task.type,
        "id": task.id,
        **task.owner(),
    }
    if task.running:
        return {**row, "pid": task.pid, "saved": "0"}
    return {**row, "saved": "1", "endtime": task.endtime, "status": task.status}
