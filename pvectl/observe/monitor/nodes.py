"""What each node is asked: five quick questions in every run, the slow ones hourly; one that is silent is asked nothing more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.model import Known, Unknown
from pvectl.core.monitor import task_cursor
from pvectl.core.monitor.monitored import ClockReading, NodeFacts, TaskLog
from pvectl.core.monitor.task_cursor import TaskCursor
from pvectl.observe.monitor.memory import is_due, kept

if TYPE_CHECKING:
    from pvectl.core.evidence import Task
    from pvectl.core.monitor.monitored import Fact
    from pvectl.observe.monitor.asking import Asked, Asker

SLOW = ("pressure", "disks", "zfs", "thin_pools", "certificates", "subscription", "updates")


class NodeLook(Struct, frozen=True, kw_only=True):
    """What one node answered, how far its tasks have been read, and why it is silent, if it is."""

    facts: NodeFacts
    cursor: TaskCursor | None = None
    silent: str | None = None


def quick(asker: Asker, node: str, *, told: tuple[Task, ...] | None, cursor: TaskCursor | None, tell_for: float) -> NodeLook:
    """The quick questions, one after the other: after the first that stays unanswered the others are not asked."""
    found: dict[str, Any] = {}
    silent: str | None = None
    for field, source, question in _quick_questions(asker, node):
        if silent is not None:
            found[field] = Unknown(reason=silent, source=source)
            continue
        answer = asker.ask(source, question)
        found[field] = answer.fact
        silent = _why_silent(answer, node)
    if asker.wants("node-tasks"):
        cursor, found["tasks"] = _tasks(asker, node, told, cursor, tell_for, silent)
    return NodeLook(facts=NodeFacts(name=node, **found), cursor=cursor, silent=silent)


def unasked(asker: Asker, node: str, reason: str, cursor: TaskCursor | None) -> NodeLook:
    """A node that is known to be off: a question would only cost time."""
    fields = [(field, source) for field, source, _ in _quick_questions(asker, node)]
    fields += [("tasks", f"/nodes/{node}/tasks")] if asker.wants("node-tasks") else []
    facts = NodeFacts(name=node, **{field: Unknown(reason=reason, source=source) for field, source in fields})
    return NodeLook(facts=facts, cursor=cursor, silent=reason)


def slow(asker: Asker, look: NodeLook, before: NodeFacts | None, *, every: float) -> NodeFacts:
    """The slow answers: those still good from an earlier run, and the others asked for anew."""
    found: dict[str, Any] = {}
    silent = look.silent
    node, now = look.facts.name, asker.clock.now()
    for field, source, question in _slow_questions(asker, node):
        earlier: Any = getattr(before, field) if before is not None else None
        if earlier is not None and not is_due(earlier, now, every):
            found[field] = earlier
        elif silent is not None:
            found[field] = Unknown(reason=silent, source=source)
        elif (refused := asker.is_refused(f"node-{field}", source, node=node)) is not None:
            found[field] = refused
        elif asker.slow_is_over:
            found[field] = Unknown(reason="no time was left for it in this run", source=source)
        else:
            answer = asker.ask(source, question, within=asker.slow_left())
            found[field] = answer.fact
            silent = _why_silent(answer, node)
    return replace(look.facts, **found)


def kept_slow(facts: NodeFacts) -> NodeFacts:
    """What the next run may use again."""
    told = kept(facts)
    return NodeFacts(name=facts.name, **{field: getattr(told, field) for field in SLOW})


def _quick_questions(asker: Asker, node: str) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    client, path = asker.client, f"/nodes/{node}"

    def clock() -> ClockReading:
        asked = asker.clock.now().timestamp()
        told = client.node_time(node)
        return ClockReading(told=told, asked=asked, answered=asker.clock.now().timestamp())

    questions: Mapping[str, tuple[str, Callable[[], Any]]] = {
        "status": (f"{path}/status", lambda: client.watch.node_status(node)),
        "clock": (f"{path}/time", clock),
        "services": (f"{path}/services", lambda: client.watch.services(node)),
        "storages": (f"{path}/storage", lambda: client.watch.storages(node)),
        "replication": (f"{path}/replication", lambda: client.watch.replication(node)),
    }
    for field, (source, question) in questions.items():
        if asker.wants(f"node-{field}"):
            yield field, source, question


def _slow_questions(asker: Asker, node: str) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    watch, path = asker.client.watch, f"/nodes/{node}"
    questions: Mapping[str, tuple[str, Callable[[], Any]]] = {
        "pressure": (f"{path}/rrddata", lambda: watch.pressure(node)),
        "disks": (f"{path}/disks/list", lambda: watch.disks(node)),
        "zfs": (f"{path}/disks/zfs", lambda: watch.zfs(node)),
        "thin_pools": (f"{path}/disks/lvmthin", lambda: watch.thin_pools(node)),
        "certificates": (f"{path}/certificates/info", lambda: watch.certificates(node)),
        "subscription": (f"{path}/subscription", lambda: watch.subscription(node)),
        "updates": (f"{path}/apt/update", lambda: watch.updates(node)),
    }
    for field in SLOW:
        if asker.wants(f"node-{field}"):
            yield (field, *questions[field])


def _why_silent(answer: Asked, node: str) -> str | None:
    if not answer.silent or answer.error is None:
        return None
    words = answer.error.message
    return words if node in words else f"node {node}: {words}"


def _tasks(
    asker: Asker, node: str, told: tuple[Task, ...] | None, cursor: TaskCursor | None, tell_for: float, silent: str | None
) -> tuple[TaskCursor | None, Fact[TaskLog]]:
    """What has ended: by what the node told the cluster where that is proven to be all, by its own list otherwise."""
    now = asker.clock.now()
    read_on = task_cursor.from_broadcast(cursor, told, now, tell_for=tell_for)
    if read_on is not None:
        return read_on, Known(value=read_on.log, source="/cluster/tasks", taken_at=now)
    source = f"/nodes/{node}/tasks"
    if silent is not None:
        return cursor, Unknown(reason=silent, source=source)

    def listed() -> tuple[Task, ...]:
        rows = asker.client.node_tasks(node, limit=task_cursor.WHOLE_LIST)
        return rows if task_cursor.is_whole(cursor, rows) else asker.client.node_tasks(node, limit=task_cursor.ALL)

    answer = asker.ask(source, listed)
    if isinstance(answer.fact, Unknown):
        return cursor, answer.fact
    read = task_cursor.from_list(cursor, answer.fact.value, now, tell_for=tell_for)
    return read, replace(answer.fact, value=read.log)
