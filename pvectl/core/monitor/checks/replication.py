"""Whether replicas are made, and are as young as their schedule promises."""

from __future__ import annotations

from pvectl.core.monitor.checks.cadence import longest_gap
from pvectl.core.monitor.checks.check import NOT_HERE, Case, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import Blind, Look
from pvectl.core.monitor.checks.nodes import every_node
from pvectl.core.monitor.checks.settings import HOUR
from pvectl.core.monitor.finding import Severity, Subject, Unit
from pvectl.core.monitor.monitored import NodeFacts, Replication

# where a job names none, PVE runs it every quarter of an hour (pve-guest-common PVE/ReplicationConfig.pm)
_DEFAULT_SCHEDULE = "*/15"


def _jobs(look: Look) -> Eligible[tuple[NodeFacts, Replication]]:
    for item in every_node(look):
        if isinstance(item, Blind):
            yield item
            continue
        subject, facts = item
        jobs = look.of_node(subject, facts.replication, "replication")
        if isinstance(jobs, Blind):
            yield jobs
            continue
        for job in jobs:
            yield Subject(object=f"replication/{job.id}", node=facts.name), (facts, job)


def _failed(case: Case, told: tuple[NodeFacts, Replication]) -> Outcome:
    facts, job = told
    if job.disabled:
        return NOT_HERE
    if job.fail_count is None:
        return case.untold(facts.replication, f"fail_count of {job.id}")
    why = f": {job.error}" if job.error else ""
    if job.fail_count == 0 and job.error:
        message = f"{_named(job)} ended with an error{why}"
        return case.finding(Severity.WARNING, message, evidence=case.look.evidence(facts.replication, "error"))
    message = f"{_named(job)} has failed {job.fail_count} times in a row{why}"
    return case.measured(job.fail_count, message, evidence=case.look.evidence(facts.replication, "fail_count"))


def _age(case: Case, told: tuple[NodeFacts, Replication]) -> Outcome:
    facts, job = told
    if job.disabled:
        return NOT_HERE
    look = case.look
    period = longest_gap(job.schedule or _DEFAULT_SCHEDULE)
    if period is None:
        return Blind(subject=case.subject, reason=f"how often '{job.schedule}' is cannot be told")
    levels = case.levels
    if job.never_ran:
        if job.next_sync is None:
            return case.untold(facts.replication, f"next_sync of {job.id}")
        late = (look.now - job.next_sync).total_seconds()
        message = f"{_named(job)} has never run, and was due {late / HOUR:.1f} h ago"
        since = job.next_sync
    elif job.last_sync is None:
        return case.untold(facts.replication, f"last_sync of {job.id}")
    else:
        late = (look.now - job.last_sync).total_seconds()
        message = f"{_named(job)} last ran {late / HOUR:.1f} h ago; its replica should be no older than {period / HOUR:.1f} h"
        since = job.last_sync
    seconds = type(levels)(
        warn=None if levels.warn is None else levels.warn * period, crit=None if levels.crit is None else levels.crit * period
    )
    return case.measured(late, message, levels=seconds, evidence=look.evidence(facts.replication, "last_sync"), since=since)


def _named(job: Replication) -> str:
    return f"replication {job.id} of guest {job.guest} to {job.target}"


CHECKS = (
    check(
        "replication.failed",
        "replications succeed",
        about="replication",
        sources=("node-replication",),
        eligible=_jobs,
        examine=_failed,
        unit=Unit.COUNT,
    ),
    check(
        "replication.age",
        "replicas are as young as their schedule promises",
        about="replication",
        sources=("node-replication",),
        eligible=_jobs,
        examine=_age,
        unit=Unit.SECONDS,
    ),
)
