"""Vetoes of the node itself and of our own promises: its holds, its uptime, the clocks, the limits, the way back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from pvectl.core.amounts import span
from pvectl.core.ending import longest_allowance
from pvectl.core.idle import need
from pvectl.core.idle.record import Blocker
from pvectl.core.idle.settling import NEVER_WOKE, age
from pvectl.core.idle.vetoes.case import Case, at, each, unseen, value
from pvectl.core.idle.vetoes.guests import running
from pvectl.core.model import Known
from pvectl.core.plan import Reason

DAY_S = 86_400
OFFS_PER_DAY = 2
MAX_CLOCK_DIFFERENCE_S = 60
EARLIEST = datetime(2026, 11, 1, tzinfo=UTC)
"""No clock that is right shows a moment before this: pvectl was built later."""


def of_quarantine(case: Case) -> Iterator[Blocker]:
    if case.record.quarantine is not None:
        wake = f"pvectl node wake {case.node}"
        asleep = case.record.quarantine == NEVER_WOKE
        ends = f"once it is off, {wake} ends it by waking it" if asleep else f"after a look at it, {wake} ends it"
        detail = f"{case.node} is in quarantine: {case.record.quarantine}; {ends}"
        yield Blocker(reason=Reason.QUARANTINE, subject=case.subject, detail=detail)


def of_cooldown(case: Case) -> Iterator[Blocker]:
    left = case.record.cooldown_left_s
    if left > 0:
        detail = f"the last attempt to switch {case.node} off failed ({case.record.last_failure or 'for reasons not known'})"
        until = case.now.wall + timedelta(seconds=left)
        yield Blocker(reason=Reason.COOLDOWN, subject=case.subject, detail=detail, until=until)


def of_holds(case: Case) -> Iterator[Blocker]:
    for hold in case.evidence.holds:
        if hold.subject == case.subject and hold.until > case.now.wall:
            detail = f"{case.node} is held by {hold.who}: {hold.reason}"
            yield Blocker(reason=Reason.HELD, subject=case.subject, detail=detail, until=hold.until)


def of_uptime(case: Case) -> Iterator[Blocker]:
    uptime = value(case.evidence.uptime)
    if uptime is not None and uptime < case.policy.min_uptime:
        left = case.policy.min_uptime - uptime
        detail = f"{case.node} has been up for {span(max(uptime, 0))} only, and min_uptime is {span(case.policy.min_uptime)}"
        until = case.now.wall + timedelta(seconds=left)
        yield Blocker(reason=Reason.UPTIME_SHORT, subject=case.subject, detail=detail, resets=False, until=until)


def of_clocks(case: Case) -> Iterator[Blocker]:
    if case.now.wall < EARLIEST:
        detail = f"the clock says {at(case.now.wall)}, which is before pvectl was built"
        yield Blocker(reason=Reason.CLOCK_WRONG, subject="cluster", detail=detail, resets=False)
    off = value(case.evidence.node_time_off)
    if off is not None and not abs(off) <= MAX_CLOCK_DIFFERENCE_S:
        detail = f"the clock of {case.node} is {span(abs(off))} {'ahead of' if off > 0 else 'behind'} ours"
        yield Blocker(reason=Reason.CLOCK_WRONG, subject=case.subject, detail=detail, resets=False)


def of_guests_budget(case: Case) -> Iterator[Blocker]:
    """More guests than one run may shut down: then none of them is (safety rule S12)."""
    if case.draining is not None:
        return
    count = len(running(case))
    if count > case.policy.max_guests_per_run:
        detail = f"{count} guests would be shut down, and max_guests_per_run is {case.policy.max_guests_per_run}"
        yield Blocker(reason=Reason.TOO_MANY_GUESTS, subject=case.subject, detail=detail, resets=False)


def of_day_budget(case: Case) -> Iterator[Blocker]:
    lately = [mark for mark in case.record.off_history if not mark.needed_since and age(mark, case.now) < DAY_S]
    if len(lately) >= OFFS_PER_DAY:
        detail = f"{case.node} was switched off {len(lately)} times within 24 h, and no guest that needs it ran there since"
        yield Blocker(reason=Reason.BUDGET, subject=case.subject, detail=detail, resets=False)


def of_wake(case: Case) -> Iterator[Blocker]:
    """With `wake: required`, only a way that has worked before counts (safety rule S26)."""
    if case.policy.wake != "required":
        return
    if isinstance(case.evidence.wakeonlan, Known) and case.evidence.wakeonlan.value is None:
        detail = f"{case.node} has no wakeonlan address in its configuration"
        yield Blocker(reason=Reason.WAKE_UNPROVEN, subject=case.subject, detail=detail, resets=False)
    elif case.record.wake_proof is None:
        detail = f"waking {case.node} has not worked before: pvectl node wake {case.node} --wait proves it"
        yield Blocker(reason=Reason.WAKE_UNPROVEN, subject=case.subject, detail=detail, resets=False)


def of_next_need(case: Case) -> Iterator[Blocker]:
    """Jobs that are due before the node could have gone off and be back (safety rule S26)."""
    jobs = [
        *need.backups(case.node, each(case.evidence.backups)),
        *need.replications(case.node, each(case.evidence.replication)),
    ]
    back = case.now.wall + timedelta(seconds=_away(case))
    for job in jobs:
        if job.due is None:
            yield unseen(job.subject, f"when {job.what} is due next is not known")
        elif job.due <= back:
            detail = f"{job.what} is due at {at(job.due)}, before it could be back"
            yield Blocker(reason=Reason.NEEDED_SOON, subject=job.subject, detail=detail, resets=False)


def _away(case: Case) -> float:
    """Seconds until the node could be back at the earliest if it began to go off as soon as it may."""
    notice_left = max(case.policy.notice - case.record.notice_s, 0.0) if case.draining is None else 0.0
    guests = longest_allowance(case.policy.shutdown_timeout) if running(case) else 0
    return notice_left + guests + case.policy.boot_time
