"""The tasks that failed since the last look, each told once."""

from __future__ import annotations

from datetime import UTC, datetime
from shlex import quote

from pvectl.core.evidence import Task
from pvectl.core.monitor.checks.check import NOT_HERE, Case, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import Blind, Look
from pvectl.core.monitor.checks.nodes import every_node
from pvectl.core.monitor.finding import Severity, Subject
from pvectl.core.monitor.monitored import NodeFacts

BACKUP = "vzdump"
# the worker died without a last word: whether the work was done, nobody knows (pve-common PVE/Tools.pm upid_read_status)
_NO_LAST_WORD = "unexpected status"


def failed(task: Task) -> bool:
    """Whether a task that has ended failed; warnings are no failure to PVE (pve-common PVE/UPID.pm status_is_error)."""
    return task.status is not None and task.status != "OK" and not task.status.startswith("WARNINGS: ")


def _tasks(look: Look) -> Eligible[tuple[NodeFacts, Task]]:
    """The last word on each kind of work on each guest: a failure that was made good is none."""
    for item in every_node(look):
        if isinstance(item, Blind):
            yield item
            continue
        subject, facts = item
        log = look.of_node(subject, facts.tasks, "tasks")
        if isinstance(log, Blind):
            yield log
            continue
        if log.gap_since is not None:
            reason = f"node {facts.name}'s task list was rotated away before it was read: failures since {log.gap_since:%Y-%m-%d %H:%M} UTC"
            yield Blind(subject=subject, reason=f"{reason} may be missing")
        last = {(task.type, task.id): task for task in sorted(log.ended, key=lambda task: task.ended or 0)}
        for (kind, whom), task in last.items():
            yield Subject(object=f"task/{facts.name}/{kind}/{whom or 'all'}", node=facts.name), (facts, task)


def _failed(case: Case, told: tuple[NodeFacts, Task]) -> Outcome:
    facts, task = told
    if task.type in case.look.settings.ignored_tasks:
        return NOT_HERE
    if task.status is None or task.ended is None:
        return case.untold(facts.tasks, f"how {task.upid} ended")
    if not failed(task):
        return None
    about = f" of {task.id}" if task.id else ""
    what = f"task {task.type}{about} on node {facts.name}"
    if task.status == _NO_LAST_WORD:
        return Blind(subject=case.subject, reason=f"{what} died without a last word: whether its work was done is not known ({task.upid})")
    return case.finding(
        Severity.CRITICAL if task.type == BACKUP else Severity.WARNING,
        f"{what} failed: {task.status}",
        evidence=case.look.evidence(facts.tasks, "status"),
        hint=f"on {facts.name}: pvenode task log {quote(task.upid)}",
        since=datetime.fromtimestamp(task.ended, tz=UTC),
        key=task.upid,
    )


CHECKS = (check("task.failed", "tasks succeed", about="task", sources=("node-tasks",), eligible=_tasks, examine=_failed),)
