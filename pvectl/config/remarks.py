"""What is in order in pvectl.yml and yet probably not meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pvectl.config.document import Mark
from pvectl.config.problems import Problem
from pvectl.config.schema import IdleCheck, PvectlFile


def remarks_on(jobs: PvectlFile, marks: Mapping[str, Mark], file: str) -> tuple[Problem, ...]:
    """Remarks about the sections that were written; nothing in them is an error."""
    if "idle_check" not in marks:
        return ()
    return tuple(
        Problem(file=file, line=mark.line, column=mark.column, path=path, message=message, hint=hint)
        for path, message, hint in _on_idle_check(jobs.idle_check)
        for mark in [_nearest_mark(path, marks)]
    )


def _on_idle_check(job: IdleCheck) -> Iterator[tuple[str, str, str]]:
    if job.enabled and not job.nodes:
        yield "idle_check.nodes", "names no node, so none is ever switched off", "name those that may be: nodes: [pve2]"
    for index, node in enumerate(job.allow_ceph):
        if node not in job.nodes:
            yield f"idle_check.allow_ceph[{index}]", f"{node} is not among nodes, so it stays on anyway", "take it out, or add it to nodes"


def _nearest_mark(path: str, marks: Mapping[str, Mark]) -> Mark:
    while path not in marks:
        path = path.rpartition(".")[0]
    return marks[path]
