"""Where a guest stands for the schedules: which of them is about it, when next, and what would become of it as it is now."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.schedules.eyes import scope_of, whole_of
from pvectl.cli.schedules.run import plan_of
from pvectl.core.model import Guest, Node
from pvectl.core.plan import Reason, Verdict
from pvectl.core.schedules import sequence
from pvectl.core.schedules.schedule import next_occurrence
from pvectl.core.schedules.scheduled import Surroundings
from pvectl.core.text import clean
from pvectl.errors import PvectlError

if TYPE_CHECKING:
    from pvectl.cli.context import Run


class ScheduleStanding(Struct, frozen=True, kw_only=True):
    """What one schedule would do to a guest at its next time, in UTC, if the guest were then as it is now."""

    schedule: str
    occurrence: datetime
    verdict: Verdict
    reason: Reason
    detail: str


def of_guest(run: Run, guest: Guest) -> tuple[ScheduleStanding, ...]:
    """Every schedule whose selection asks for the guest; what cannot be read leaves them out, as the page is about something else."""
    now = run.clock.now()
    try:
        job = run.jobs().scheduled_shutdown
        holds = run.store("read").holds(at=now)
    except PvectlError:
        return ()
    found = []
    for schedule in job.schedules if job.enabled else ():
        picked = whole_of(schedule).pick([guest])
        if not schedule.enabled or not (picked.guests or picked.excluded):
            continue
        coming = next_occurrence(plan_of(schedule), now)
        around = Surroundings(nodes=(Node(name=guest.node, status="online"),), holds=holds, now=coming.at)
        (decision,) = sequence.choose(sequence.Look(picked=picked, scope=scope_of(schedule), around=around, seen_at=now)).decisions
        detail = f"{schedule.name}, {coming.local:%a %Y-%m-%d %H:%M}: {clean(decision.detail)}"
        found.append(
            ScheduleStanding(schedule=schedule.name, occurrence=coming.at, verdict=decision.verdict, reason=decision.reason, detail=detail)
        )
    return tuple(found)
