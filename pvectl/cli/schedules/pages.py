"""What scheduled-shutdown says: a row for each guest that was asked or left alone, one for each schedule, and the coming times."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.idle import pages as idle_pages
from pvectl.cli.kept import KeptStep, KeptTurns
from pvectl.cli.layout import Column, Table
from pvectl.cli.output import Problem, Report
from pvectl.cli.schedules.told import on_purpose
from pvectl.cli.words import moment, span
from pvectl.core.plan import OutcomeStatus, Verdict
from pvectl.core.schedules.ledger import State
from pvectl.core.schedules.schedule import Occurrence
from pvectl.core.schedules.stages import Standing
from pvectl.core.text import clean
from pvectl.errors import ExitCode, most_telling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pvectl.cli.context import Run
    from pvectl.cli.schedules.told import GuestTold, Ran, Told
    from pvectl.store import DecisionEntry

_STYLES = {
    **dict.fromkeys(("off", "done"), "good"),
    **dict.fromkeys(("failed", "timed-out", "unknown", "unseen", "partial", "missed"), "bad"),
    **dict.fromkeys(("left alone", "future", "skipped", "switched off"), "dim"),
    **dict.fromkeys(("deferred", "would shut down"), "warn"),
}
_CODES = {
    Standing.TIMED_OUT: ExitCode.FAILED,
    Standing.FAILED: ExitCode.FAILED,
    Standing.UNSEEN: ExitCode.FAILED,
    Standing.UNKNOWN: ExitCode.FAILED,
}
_FEW = 3
"""Guests that a schedule is not about, for one reason, that are told each by itself."""


class GuestRow(Struct, frozen=True, kw_only=True):
    """One guest as JSON shows it; `status` is "skipped" for one that was left alone and "unseen" for one nobody can say anything of."""

    vmid: int
    name: str | None
    node: str | None
    status: str
    reason: str
    detail: str
    upid: str | None = None
    error: str | None = None
    took: float | None = None


class StageRow(Struct, frozen=True, kw_only=True):
    """One stage as JSON shows it; `begun` false: its turn never came."""

    name: str
    begun: bool
    guests: tuple[GuestRow, ...]


class ScheduleRow(Struct, frozen=True, kw_only=True):
    """One occurrence as JSON shows it, in UTC; `state` null: the schedule is switched off."""

    schedule: str
    occurrence: datetime | None
    state: str | None
    stages: tuple[StageRow, ...]
    decision_id: str | None
    reason: str
    detail: str
    local: str | None = None
    tz: str | None = None
    power_off: tuple[idle_pages.NodeRow, ...] = ()


def report(run: Run, ran: Ran, *, remarks: tuple[str, ...] = ()) -> Report:
    """One row for each guest and each schedule; what failed or could not be seen makes the exit code."""
    problems = [problem for told in ran.told for problem in _problems(told)]
    codes = [code for told in ran.told for code in _codes(told)]
    if ran.set_aside is not None:
        hint = "every schedule begins with its next time; what was set aside lies beside it, and pvectl history tells"
        problems.insert(0, Problem(code="bad-state", message=f"the state file {ran.set_aside}: nothing was shut down", hint=hint))
    exit_code = ExitCode.BAD_STATE if ran.set_aside is not None else most_telling(codes)
    if ran.interrupted:
        run.was_interrupted = True
        exit_code = exit_code if exit_code is ExitCode.UNKNOWN_OUTCOME else run.interrupted_by
    text: Table | str = _table(ran, run.clock.now())
    if ran.disabled:
        text = "scheduled_shutdown is switched off (enabled: false), so nothing was looked at"
    return Report(
        schema="scheduled-shutdown",
        data=[_row(told, rehearsal=ran.rehearsal) for told in ran.told],
        text=text,
        csv=lambda: _table(ran, run.clock.now()),
        exit_code=exit_code,
        complete=ExitCode.BLIND not in codes and not any(_unseen(told) for told in ran.told),
        cluster=run.cluster,
        problems=tuple(problems),
        remarks=(*_remarks(ran), *remarks),
        news=exit_code is not ExitCode.OK or any(told.news for told in ran.told),
    )


def page(entry: DecisionEntry, kept: KeptStep | KeptTurns, now: datetime) -> list[str]:
    """One kept look of a schedule at length, for explain."""
    lines = [f"{clean(entry.subject)}  {entry.verdict}  {clean(entry.detail)}"]
    if isinstance(kept, KeptTurns):
        lines += ["", f"  stage {clean(kept.stage)}, looked at {moment(kept.look.seen_at, now)}"]
        for turn in kept.answer:
            label = turn.guest.label if turn.guest is not None else str(turn.vmid)
            lines.append(f"  {clean(label):<24} {turn.decision.verdict:<6} {turn.decision.reason}: {clean(turn.decision.detail)}")
        return lines
    step, plan = kept.answer, kept.schedule
    lines += [
        "",
        f"  at         {kept.now.astimezone():%Y-%m-%d %H:%M:%S}",
        f"  schedule   {plan.name}: {', '.join(plan.days)} at {', '.join(plan.at)} ({plan.tz}), deadline {span(plan.deadline)}",
        f"  next       {_local(step.next)}",
    ]
    lines += [f"  blocked    {one.reason}: {clean(one.detail)}" for one in kept.blockers]
    named = [("due", step.due), ("goes on", step.resume), ("deferred", step.deferred)]
    lines += [f"  {word:<10} {_local(one.occurrence)}, until {moment(one.deadline, now)}" for word, one in named if one is not None]
    lines += [f"  {one.state:<10} {_local(one.occurrence)}: {clean(one.detail)}" for one in step.changed]
    if step.armed:
        lines.append("  armed      new or changed: times up to this moment are never due")
    return lines


def _codes(told: Told) -> Iterator[ExitCode]:
    carried = told.carried
    if told.state is State.FAILED or _left_behind(told):
        yield ExitCode.FAILED
    if carried is None:
        return
    if carried.error is not None:
        yield carried.error.exit_code
    if carried.late or (carried.abort is not None and not on_purpose(carried)):
        yield ExitCode.FAILED
    for stage in carried.stages:
        for one in stage.guests:
            if one.outcome is not None and one.outcome.status is OutcomeStatus.UNKNOWN:
                yield ExitCode.UNKNOWN_OUTCOME
            elif one.standing in _CODES:
                yield _CODES[one.standing]
    yield from (idle_pages.exit_code_of(decided) for decided in carried.handed)


def _left_behind(told: Told) -> bool:
    """Whether it is what a run that died left undone until it was too late."""
    return told.carried is None and told.state is State.PARTIAL


def _unseen(told: Told) -> bool:
    stages = told.carried.stages if told.carried is not None else ()
    return any(one.standing in (Standing.UNSEEN, Standing.UNKNOWN) for stage in stages for one in stage.guests)


def _problems(told: Told) -> Iterator[Problem]:
    subject = f"schedule/{told.schedule}"
    carried = told.carried
    if carried is None:
        if told.state is State.FAILED or _left_behind(told):
            yield Problem(code="failed", message=f"{told.schedule}: {_when(told)}: {told.detail}", subject=subject)
        return
    if carried.error is not None:
        error = carried.error
        yield Problem(code=error.kind, message=f"{told.schedule}: {error.message}", hint=error.hint, subject=subject)
    if carried.abort is not None and not on_purpose(carried):
        yield Problem(code="aborted", message=f"{told.schedule}: {carried.abort.detail}", subject=subject)
    if carried.late:
        yield Problem(code="late", message=f"{told.schedule}: the deadline came before everybody was asked", subject=subject)
    for stage in carried.stages:
        for one in stage.guests:
            if one.standing in _CODES:
                outcome = one.outcome
                label = one.guest.label if one.guest is not None else str(one.vmid)
                message = f"{label}: {(outcome.error or outcome.status.value) if outcome else one.decision.detail}"
                code = outcome.status.value if outcome else one.decision.reason.value
                yield Problem(code=code, message=message, hint=outcome.hint if outcome else None, subject=f"guest/{one.vmid}")
    for decided in carried.handed:
        yield from idle_pages.problems_of(decided)


def _remarks(ran: Ran) -> Iterator[str]:
    """What is remarkable and yet no failure: times that were missed, and selections that found nobody."""
    missed: dict[str, list[Told]] = {}
    for told in ran.told:
        if told.state is State.MISSED:
            missed.setdefault(told.schedule, []).append(told)
        if told.carried is not None:
            yield from (f"{told.schedule}: {clean(sentence)}" for sentence in told.carried.warnings)
        if told.state is State.SKIPPED:
            yield f"{told.schedule}: {_when(told)}: {clean(told.detail)}"
    for name, several in missed.items():
        last = several[-1]
        count = f"{len(several)} times were missed, the last one " if len(several) > 1 else "missed: "
        yield f"{name}: {count}{_when(last)}; nothing was shut down: {clean(last.detail)}"


def _row(told: Told, *, rehearsal: bool) -> ScheduleRow:
    carried = told.carried
    return ScheduleRow(
        schedule=told.schedule,
        occurrence=told.occurrence.at if told.occurrence else None,
        state=told.state,
        stages=tuple(
            StageRow(name=stage.name, begun=stage.begun, guests=tuple(map(_guest_row, stage.guests)))
            for stage in (carried.stages if carried else ())
        ),
        decision_id=told.decision_id,
        reason=told.reason,
        detail=told.detail,
        local=f"{told.occurrence.local:%Y-%m-%d %H:%M}" if told.occurrence else None,
        tz=told.occurrence.tz if told.occurrence else None,
        power_off=tuple(idle_pages.row_of(decided, rehearsal=rehearsal) for decided in (carried.handed if carried else ())),
    )


def _guest_row(one: GuestTold) -> GuestRow:
    outcome = one.outcome
    status = "unseen" if one.decision.verdict is Verdict.BLIND else OutcomeStatus.SKIPPED.value
    if one.decision.verdict is Verdict.ACT or one.decision.verdict is Verdict.WAIT:
        status = OutcomeStatus.STARTED.value
    return GuestRow(
        vmid=one.vmid,
        name=one.guest.name if one.guest else None,
        node=one.guest.node if one.guest else None,
        status=outcome.status.value if outcome else status,
        reason=one.decision.reason,
        detail=one.decision.detail,
        upid=outcome.upid if outcome else None,
        error=outcome.error if outcome else None,
        took=outcome.took if outcome else None,
    )


def _table(ran: Ran, now: datetime) -> Table:
    columns = (
        Column(title="SCHEDULE"),
        Column(title="TIME", need=8),
        Column(title="STAGE", need=6),
        Column(title="GUEST", need=8),
        Column(title="RESULT", style=_STYLES.get),
        Column(title="WHY", flexible=True, least=24, wrap=True),
    )
    return Table(columns=columns, rows=[cells for told in ran.told for cells in _cells(told, now)])


def _cells(told: Told, now: datetime) -> Iterator[tuple[str, ...]]:
    when = _when(told)
    yield (told.schedule, when, "", "", told.state.value if told.state else "switched off", clean(told.detail))
    for stage in told.carried.stages if told.carried else ():
        name = clean(stage.name)
        if not stage.begun:
            yield (told.schedule, when, name, "", "not begun", "")
        many = Counter(one.decision.reason for one in stage.guests if one.standing is Standing.OUTSIDE)
        for one in stage.guests:
            if one.standing is not Standing.OUTSIDE or many[one.decision.reason] <= _FEW:
                label = one.guest.label if one.guest is not None else str(one.vmid)
                yield (told.schedule, when, name, clean(label), _result(one), clean(_why(one)))
        for reason, count in many.items():
            if count > _FEW:
                yield (told.schedule, when, name, f"{count} others", "left alone", reason.sentence)
    for decided in told.carried.handed if told.carried else ():
        yield (told.schedule, when, "power off", decided.decision.node, *idle_pages.result_of(decided, now))


def _result(one: GuestTold) -> str:
    words = {OutcomeStatus.DONE: "off", OutcomeStatus.DRY_RUN: "would shut down", OutcomeStatus.SKIPPED: "left alone"}
    if one.outcome is not None:
        word = words.get(one.outcome.status, one.outcome.status.value)
        return f"{word} by force" if one.outcome.forced else word
    if one.decision.verdict is Verdict.BLIND:
        return "unseen"
    return "asked" if one.standing is None else "left alone"


def _why(one: GuestTold) -> str:
    if one.outcome is None:
        return one.decision.detail
    took = f"after {span(one.outcome.took)}" if one.outcome.took is not None else ""
    return one.outcome.error or took or one.decision.detail


def _when(told: Told) -> str:
    return _local(told.occurrence) if told.occurrence is not None else "-"


def _local(occurrence: Occurrence) -> str:
    return f"{occurrence.local:%a %Y-%m-%d %H:%M}"
