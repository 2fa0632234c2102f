"""What is in order in pvectl.yml and yet probably not meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from pvectl.config.document import Mark
from pvectl.config.durations import show_duration
from pvectl.config.problems import Problem, nearest
from pvectl.config.schema import Alert, IdleCheck, PvectlFile, RuleEntry
from pvectl.config.schema.receivers import AppriseEntry


def remarks_on(jobs: PvectlFile, marks: Mapping[str, Mark], file: str) -> tuple[Problem, ...]:
    """Remarks about the sections that were written; nothing in them is an error."""
    found = [*_on_idle_check(jobs.idle_check)] if "idle_check" in marks else []
    found += _on_schedules(jobs) if "scheduled_shutdown" in marks else ()
    found += _on_alert(jobs.alert) if "alert" in marks else ()
    return tuple(
        Problem(file=file, line=mark.line, column=mark.column, path=path, message=message, hint=hint)
        for path, message, hint in found
        for mark in [nearest_mark(path, marks)]
    )


def _on_idle_check(job: IdleCheck) -> Iterator[tuple[str, str, str]]:
    if job.enabled and not job.nodes:
        yield "idle_check.nodes", "names no node, so none is ever switched off", "name those that may be: nodes: [pve2]"
    for index, node in enumerate(job.allow_ceph):
        if node not in job.nodes:
            yield f"idle_check.allow_ceph[{index}]", f"{node} is not among nodes, so it stays on anyway", "take it out, or add it to nodes"


def _on_schedules(jobs: PvectlFile) -> Iterator[tuple[str, str, str]]:
    job = jobs.scheduled_shutdown
    if job.enabled and not job.schedules:
        yield "scheduled_shutdown.schedules", "has no schedule, so nothing is ever shut down", "write schedules: [{name: night, ...}]"
    for index, schedule in enumerate(job.schedules):
        path = f"scheduled_shutdown.schedules[{index}]"
        if schedule.nodes == ():
            yield f"{path}.nodes", "names no node, so nobody is ever shut down", "take it out, and the schedule is for all nodes"
        if schedule.then_power_off and not jobs.idle_check.enabled:
            yield f"{path}.then_power_off", "idle_check.enabled is false, so these nodes stay on", "write idle_check: {enabled: true}"
        elif schedule.then_power_off and jobs.idle_check.dry_run and not job.dry_run:
            yield f"{path}.then_power_off", "idle_check.dry_run is true, so these nodes stay on", "write idle_check: {dry_run: false}"


def _on_alert(job: Alert) -> Iterator[tuple[str, str, str]]:
    if job.enabled and not job.receivers:
        yield "alert.receivers", "names nobody, so nobody is told", "write receivers: {phone: {type: ntfy, topic: {secret: NAME}}}"
    for name, entry in job.receivers.items():
        if isinstance(entry, AppriseEntry) and find_spec("apprise") is None:
            yield f"alert.receivers.{name}.type", "needs Apprise, which is not installed", "pip install 'pvectl[apprise]'"
    for key in ("critical", "warning", "unknown"):
        yield from _too_often(f"alert.repeat.{key}", getattr(job.repeat, key), job)
    for index, rule in enumerate(job.rules):
        path = f"alert.rules[{index}]"
        yield from _too_often(f"{path}.repeat", rule.repeat, job)
        before = next((place for place in range(index) if _covers(job.rules[place], rule)), None)
        if before is not None:
            name = job.rules[before].name
            which = f"the rule {name}" if name else f"rules[{before}]"
            yield path, f"is never used: {which} stands before it and fits all that it fits", "put the narrower one first"
        kind = (rule.object or "*").partition("/")[0]
        if kind not in _OBJECTS and not any(sign in kind for sign in "*?["):
            close = nearest(kind, _OBJECTS)
            hint = (
                f"write guest/{kind}" if kind.isdecimal() else f"did you mean {close}?" if close else "for example guest/100 or node/pve1"
            )
            yield f"{path}.object", "fits no object that a check is about", hint


def _too_often(path: str, repeat: int | None, job: Alert) -> Iterator[tuple[str, str, str]]:
    if repeat and repeat < job.interval:
        every = show_duration(job.interval)
        yield path, f"is shorter than the {every} between two runs, so that every run tells it again", "write 0 for never, or hours"


_OBJECTS = frozenset(
    {"api", "ceph", "certificate", "cluster", "disk", "guest", "guests", "ha", "node", "outbox", "receiver", "replication", "service"}
    | {"storage", "task", "thin-pool", "zfs"}
)
"""With what the name of an object begins."""


def _covers(wide: RuleEntry, narrow: RuleEntry) -> bool:
    """Whether whatever fits `narrow` surely fits `wide`; the patterns of both are only compared as they are written."""
    return (
        all("*" in wide.checks or pattern in wide.checks for pattern in narrow.checks)
        and all(getattr(wide, key) in (None, getattr(narrow, key)) for key in ("tag", "pool", "node"))
        and wide.object in (None, "*", narrow.object)
        and wide.severity in ("warning", narrow.severity)
    )


def nearest_mark(path: str, marks: Mapping[str, Mark]) -> Mark:
    """Where this path stands, or the section around it that was written."""
    while path not in marks:
        path = path.rpartition(".")[0]
    return marks[path]
