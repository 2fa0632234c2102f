"""What `scheduled-shutdown next` says: the coming times, and what will keep whom on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from msgspec import Struct

from pvectl.cli.hold_pages import named
from pvectl.cli.layout import Column, Table
from pvectl.cli.output import Report
from pvectl.cli.schedules.books import LEDGERS
from pvectl.cli.schedules.run import chosen_of, fingerprint_of, plan_of, stay_up_of
from pvectl.cli.words import span
from pvectl.core.schedules.ledger import Ledger
from pvectl.core.schedules.schedule import Occurrence, awake_until, next_occurrence
from pvectl.core.text import clean

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.core.hold import Hold


class ComingRow(Struct, frozen=True, kw_only=True):
    """One coming time as JSON shows it: `occurrence` in UTC, `local` as clocks there will show it, `moved` why that is not what was asked.

    `deadline` is when it may no longer begin, `stay_up_until` the end of a window that keeps it from beginning, `held` what holds keep on
    at that time.
    """

    schedule: str
    occurrence: datetime
    local: str
    tz: str
    moved: str | None
    deadline: datetime
    stay_up_until: datetime | None
    held: tuple[str, ...]


def coming(run: Run, wanted: str | None, count: int) -> Report:
    """The next times of all schedules, or of one, the soonest first."""
    jobs, now = run.jobs(), run.clock.now()
    job = jobs.scheduled_shutdown
    chosen = [schedule for schedule in chosen_of(job, wanted) if schedule.enabled]
    store = run.store("read")
    holds, known = store.holds(at=now), store.recall_all(LEDGERS, Ledger)
    windows = stay_up_of(job)
    rows: list[ComingRow] = []
    for schedule in chosen:
        plan, after = plan_of(schedule), now
        for _ in range(count):
            one = next_occurrence(plan, after)
            after = one.at
            awake = max((end for window in windows if (end := awake_until(window, one.at))), default=None)
            rows.append(_coming_row(one, plan.deadline, awake, holds))
    rows = sorted(rows, key=lambda row: (row.occurrence, row.schedule))[:count]
    remarks = [
        f"{schedule.name} is new or was changed: the next run of scheduled-shutdown only arms it, and times before that run do not count"
        for schedule in chosen
        if (ledger := known.get(schedule.name)) is None or ledger.config_hash != fingerprint_of(schedule, jobs)
    ]
    if not job.enabled:
        remarks = ["scheduled_shutdown is switched off (enabled: false): none of this will happen"]
    elif job.dry_run:
        remarks = ["scheduled_shutdown.dry_run is true: every run only shows what it would do"]
    return Report(
        schema="scheduled-shutdown-next",
        data=rows,
        text=_coming_table(rows, now) if rows else "no schedule is switched on",
        csv=lambda: _coming_table(rows, now),
        cluster=run.cluster_name(),
        remarks=tuple(remarks),
    )


def _coming_row(one: Occurrence, deadline: int, awake: datetime | None, holds: Sequence[Hold]) -> ComingRow:
    return ComingRow(
        schedule=one.schedule,
        occurrence=one.at,
        local=one.local.isoformat(timespec="minutes"),
        tz=one.tz,
        moved=one.moved,
        deadline=one.at + timedelta(seconds=deadline),
        stay_up_until=awake,
        held=tuple(sorted({hold.subject for hold in holds if hold.in_force(one.at)})),
    )


def _coming_table(rows: Sequence[ComingRow], now: datetime) -> Table:
    columns = (
        Column(title="SCHEDULE"),
        Column(title="LOCAL"),
        Column(title="ZONE", need=7),
        Column(title="UTC", need=8),
        Column(title="IN", right=True, need=6),
        Column(title="REMARKS", flexible=True, least=20, wrap=True),
    )
    cells = []
    for row in rows:
        local = datetime.fromisoformat(row.local)
        cells.append(
            (
                row.schedule,
                f"{local:%a %Y-%m-%d %H:%M}",
                row.tz,
                f"{row.occurrence:%Y-%m-%d %H:%M}",
                span((row.occurrence - now).total_seconds()),
                clean("; ".join(_marks(row))),
            )
        )
    return Table(columns=columns, rows=cells)


def _marks(row: ComingRow) -> Iterator[str]:
    if row.moved is not None:
        yield f"clock change: {row.moved}"
    if row.stay_up_until is not None:
        missed = row.stay_up_until >= row.deadline
        # the zone, and not the offset of the time itself: a clock change may lie in between
        until = f"{row.stay_up_until.astimezone(ZoneInfo(row.tz)):%H:%M}"
        yield f"a stay-up window is open until {until}, " + ("so it will be missed" if missed else "so it begins then")
    if row.held:
        yield f"held: {', '.join(named(subject) for subject in row.held)}"
