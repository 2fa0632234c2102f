"""What is in order in pvectl.yml and yet probably not meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pvectl.config.document import Mark
from pvectl.config.problems import Problem
from pvectl.config.schema import IdleCheck, PvectlFile


def remarks_on(jobs: PvectlFile, marks: Mapping[str, Mark], file: str) -> tuple[Problem, ...]:
    """Remarks about the sections that were written; nothing in them is an error."""
    found = [*_on_idle_check(jobs.idle_check)] if "idle_check" in marks else []
    found += _on_schedules(jobs) if "scheduled_shutdown" in marks else ()
    return tuple(
        Problem(file=file, line=mark.line, column=mark.column, path=path, message=message, hint=hint)
        for path, message, hint in found
        for mark in [_nearest_mark(path, marks)]
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
        if schedule.then_power_off and jobs.idle_check.dry_run and not job.dry_run:
            yield f"{path}.then_power_off", "idle_check.dry_run is true, so these nodes stay on", "write idle_check: {dry_run: false}"


def _nearest_mark(path: str, marks: Mapping[str, Mark]) -> Mark:
    while path not in marks:
        path = path.rpartition(".")[0]
    return marks[path]
