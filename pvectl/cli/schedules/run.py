"""One run of scheduled-shutdown: what is due by the clock and the ledger, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pvectl.cli.kept import KeptStep
from pvectl.cli.patience import LOOK_S
from pvectl.cli.schedules.books import LEDGERS, REHEARSED, Books
from pvectl.cli.schedules.told import Ran, Told, Unkept, told_of
from pvectl.core.plan import Reason
from pvectl.core.schedules import ledger as ledgers
from pvectl.core.schedules.ledger import Blocker, Entry, State, Step
from pvectl.core.schedules.schedule import Schedule, StayUp
from pvectl.core.text import clean
from pvectl.errors import ConfigError, UsageError, WriteForbidden

if TYPE_CHECKING:
    from datetime import datetime

    from pvectl.cli.context import Run
    from pvectl.config.schema import PvectlFile, ScheduledShutdown, ScheduleEntry


def carry_out(run: Run, wanted: str | None, *, dry_run: bool) -> Ran:
    """Look at the clock once for each schedule, and carry out what is due.

    Raises:
        ConfigError: there is no schedule.
        UsageError: there is none of the name that was asked for.
        WriteForbidden: nobody knows who is listening at the other end.
        CannotWrite, Locked, BadState: what must be remembered cannot be.
    """
    job = run.jobs().scheduled_shutdown
    chosen = chosen_of(job, wanted)
    rehearsal = dry_run or job.dry_run
    books = Books(run, kind=REHEARSED if job.dry_run else LEDGERS, keeps=not dry_run)
    gone = tuple(books.put_away(job))
    if not job.enabled:
        return Ran(told=gone, disabled=True, set_aside=books.set_aside)
    client = run.client(read_only=rehearsal, deadline=LOOK_S)
    if client.connection.trust.insecure:
        hint = "trust the host's certificate with pvectl config trust"
        raise WriteForbidden("no guest can be shut down: with `insecure: true` nobody knows who is listening", hint=hint)
    told = list(gone)
    for schedule in chosen:
        told += _one(run, schedule, books, rehearsal=rehearsal, by_hand=dry_run)
        if told[-1].carried is not None and isinstance(told[-1].carried.error, Unkept):
            # nothing more is begun with that could not be remembered either
            break
    else:
        books.prune()
    return Ran(told=tuple(told), rehearsal=rehearsal, set_aside=books.set_aside)


def chosen_of(job: ScheduledShutdown, wanted: str | None) -> tuple[ScheduleEntry, ...]:
    """The schedules a command is about.

    Raises:
        ConfigError, UsageError: as `carry_out`.
    """
    if not job.schedules:
        hint = 'scheduled_shutdown: {schedules: [{name: night, at: "22:30", tz: Europe/Berlin, select: ["@tag-safe-shutdown"]}]}'
        raise ConfigError("scheduled_shutdown.schedules has no schedule, so there is nothing to carry out", hint=hint)
    chosen = tuple(schedule for schedule in job.schedules if wanted in (None, schedule.name))
    if not chosen:
        known = ", ".join(schedule.name for schedule in job.schedules)
        raise UsageError(f"there is no schedule '{clean(wanted or '')}'; nothing was shut down", hint=f"known are: {known}")
    return chosen


def plan_of(schedule: ScheduleEntry) -> Schedule:
    """When it is, without whom it is about."""
    return Schedule(name=schedule.name, days=schedule.days, at=schedule.at, tz=schedule.tz, deadline=schedule.deadline)


def stay_up_of(job: ScheduledShutdown) -> tuple[StayUp, ...]:
    return tuple(StayUp(days=one.days, start=one.start, tz=one.tz, duration=one.duration) for one in job.stay_up)


def fingerprint_of(schedule: ScheduleEntry, jobs: PvectlFile) -> str:
    """What it is about and when; a change of any of it only arms the schedule (safety rule S16)."""
    return ledgers.fingerprint(schedule, jobs.scheduled_shutdown.stay_up, jobs.tags.require_registered)


def _one(run: Run, schedule: ScheduleEntry, books: Books, *, rehearsal: bool, by_hand: bool) -> list[Told]:
    """What becomes of one schedule in this run."""
    if not schedule.enabled:
        return [Told(schedule=schedule.name, occurrence=None, state=None, reason=Reason.ONLY_ARMED, detail="switched off (enabled: false)")]
    look = Looking(run, schedule, books)
    kept = look.at_the_clock()
    step = kept.answer
    ready = step.due or step.resume
    decision_id = books.stepped(kept, ready or (step.changed[-1] if step.changed else None))
    told = [told_of(entry, decision_id=decision_id) for entry in step.changed if entry.state is not State.DEFERRED]
    for entry in step.changed:
        told_as = {"schedule": schedule.name, "occurrence": entry.occurrence.wall, "state": entry.state.value}
        run.log.warning("schedule.occurrence", **told_as, reason=entry.reason.value)
    if ready is not None and books.set_aside is None:
        from pvectl.cli.schedules.sequence import Carrying

        return [*told, Carrying(run, look, ready, step.ledger, decision_id, rehearsal=rehearsal).told()]
    if by_hand and books.set_aside is None:
        from pvectl.cli.schedules.sequence import Carrying

        return [*told, Carrying(run, look, _as_if_due(step), step.ledger, None, rehearsal=True).told()]
    if step.deferred is not None:
        changed = step.deferred in step.changed
        return [*told, told_of(step.deferred, decision_id=decision_id, news=changed)]
    return [*told, _told_of_the_next(schedule, kept, decision_id)]


class Looking:
    """One schedule before the clock, as often as need be."""

    def __init__(self, run: Run, schedule: ScheduleEntry, books: Books) -> None:
        self.run = run
        self.schedule = schedule
        self.books = books
        self._jobs = run.jobs()

    def at_the_clock(self, *more: Blocker) -> KeptStep:
        """What the clock and the ledger say now; `more` is what else keeps it from beginning."""
        now = self.run.clock.now()
        blockers = (*self.open_windows(now), *more)
        ledger, plan = self.books.ledgers.get(self.schedule.name), plan_of(self.schedule)
        hash_ = fingerprint_of(self.schedule, self._jobs)
        step = ledgers.step(ledger, plan, config_hash=hash_, now=now, blockers=blockers)
        return KeptStep(ledger=ledger, schedule=plan, config_hash=hash_, now=now, blockers=blockers, answer=step)

    def open_windows(self, now: datetime) -> tuple[Blocker, ...]:
        return ledgers.open_windows(stay_up_of(self._jobs.scheduled_shutdown), now)

    def put_off(self, reason: Reason, detail: str) -> Told:
        """Write down what keeps an occurrence that is due from beginning; it may begin until its deadline."""
        kept = self.at_the_clock(Blocker(reason=reason, detail=detail, tried=True))
        step = kept.answer
        entry = step.deferred or (step.changed[-1] if step.changed else None)
        id_ = self.books.stepped(kept, entry if entry in step.changed else None)
        if entry is None:
            return _told_of_the_next(self.schedule, kept, id_)
        return told_of(entry, decision_id=id_, news=entry in step.changed)


def _as_if_due(step: Step) -> Entry:
    """The next occurrence as a rehearsal by hand takes it: as if its time had come."""
    from datetime import timedelta

    return Entry(
        occurrence=step.next,
        deadline=step.next.at + timedelta(days=1),
        config_hash=step.ledger.config_hash,
        state=State.FUTURE,
        changed_at=step.ledger.armed_at,
        reason=Reason.NOT_YET,
        detail="whom it would be about now",
    )


def _told_of_the_next(schedule: ScheduleEntry, kept: KeptStep, decision_id: str | None) -> Told:
    step = kept.answer
    if not step.armed:
        detail, reason = "its time has not come", Reason.NOT_YET
    else:
        same = kept.ledger is not None and kept.ledger.config_hash == kept.config_hash
        why = "this machine's clock was set back" if same else "new or changed"
        detail, reason = f"{why}, so it begins with its next time", Reason.ONLY_ARMED
        if step.passed_over is not None:
            detail += f"; {step.passed_over.wall} is left out"
    return Told(schedule=schedule.name, occurrence=step.next, state=State.FUTURE, reason=reason, detail=detail, decision_id=decision_id)
