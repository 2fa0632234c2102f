"""What comes next when guests go down in stages: the next stage, waiting, or an end before it is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import combinations
from typing import TypeAlias, assert_never

from msgspec import Struct

from pvectl.core.plan import Decision, Outcome, OutcomeStatus, Reason, Verdict
from pvectl.core.schedules.ledger import State
from pvectl.core.schedules.when import ScheduleError
from pvectl.core.select import Kind, Part, Selection


class OnTimeout(StrEnum):
    """What a guest that does not go off in its time means for the stages after it."""

    ABORT = "abort"
    CONTINUE = "continue"
    FORCE = "force"


class Stage(Struct, frozen=True, kw_only=True):
    """Guests that go down together. `wait_after` are the seconds between the last of them being off and the next stage.

    With on_timeout force, its guests are asked with `force_stop`; one that is not off even so ends the sequence.
    """

    name: str
    vmids: tuple[int, ...]
    wait_after: int = 0
    on_timeout: OnTimeout = OnTimeout.ABORT


class Standing(StrEnum):
    """How one guest stands at the barrier behind its stage."""

    OFF = "off"
    OUTSIDE = "outside"
    UNSEEN = "unseen"
    KEPT = "kept"
    TIMED_OUT = "timed-out"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Result(Struct, frozen=True, kw_only=True):
    """A guest's standing, and since when."""

    standing: Standing
    at: datetime


class Start(Struct, frozen=True, kw_only=True):
    """Stage number `stage`, counted from 0, begins now."""

    stage: int


class Wait(Struct, frozen=True, kw_only=True):
    """Nothing to do before `until`; None: before the guests of `stage` that are `pending` have a result."""

    stage: int
    until: datetime | None = None
    pending: tuple[int, ...] = ()


class Abort(Struct, frozen=True, kw_only=True):
    """Stage number `stage` and those after it do not begin; `spared` are the guests of them."""

    stage: int
    reason: Reason
    detail: str
    spared: tuple[int, ...]


class Finished(Struct, frozen=True, kw_only=True):
    """All stages are through."""


Move: TypeAlias = Start | Wait | Abort | Finished


def next_move(
    stages: Sequence[Stage], results: Mapping[int, Result], *, started: Sequence[datetime], now: datetime, until: datetime | None = None
) -> Move:
    """What comes next. `started` says when each stage began that has; a guest without a result is still on its way.

    A stage begins when every guest of the one before it is off and its `wait_after` has passed, and none begins at `until` or later.

    Raises:
        ScheduleError: a guest is in two stages, or a stage has none.
    """
    for problem in stage_problems(stages):
        raise problem
    ready = now
    for index, stage in enumerate(stages):
        if index >= len(started):
            return _opening(stages, index, ready=ready, now=now, until=until)
        pending = tuple(vmid for vmid in stage.vmids if vmid not in results)
        if pending:
            return Wait(stage=index, pending=pending)
        stopping = [vmid for vmid in stage.vmids if not _passes(stage, results[vmid].standing)]
        if stopping and index + 1 < len(stages):
            return _aborted(stages, index + 1, Reason.STAGE_NOT_OFF, _not_off(stage, stopping, results))
        ready = max(started[index], *(results[vmid].at for vmid in stage.vmids)) + timedelta(seconds=stage.wait_after)
    return Finished()


def end_state(standings: Iterable[Standing], *, aborted: bool) -> State:
    """How the occurrence ended: done where all went well or was spared on purpose, failed where nothing did, partial in between."""
    seen = set(standings)
    if not aborted and not seen & {Standing.UNSEEN, Standing.TIMED_OUT, Standing.FAILED, Standing.UNKNOWN}:
        return State.DONE
    return State.PARTIAL if Standing.OFF in seen else State.FAILED


def standing(decision: Decision, outcome: Outcome | None, *, seen_off: bool = False) -> Standing | None:
    """How the guest of this decision stands, given what came of asking it; None while it is on its way.

    `seen_off` says of a guest whose turn was skipped that it is off now: it may have stopped by itself just before.
    """
    if outcome is not None:
        if seen_off and outcome.status is OutcomeStatus.SKIPPED:
            return Standing.OFF
        return _STANDING_BY_OUTCOME[outcome.status]
    if decision.verdict in (Verdict.ACT, Verdict.WAIT):
        return None
    return _STANDING_BY_REASON.get(decision.reason, Standing.UNKNOWN if decision.verdict is Verdict.BLIND else Standing.KEPT)


def stage_problems(stages: Sequence[Stage]) -> tuple[ScheduleError, ...]:
    """What is wrong with stages whose guests are known: the error's `word` is the name of the stage."""
    problems = [ScheduleError(stage.name, f"the stage '{stage.name}' selects no guest") for stage in stages if not stage.vmids]
    for one, other in combinations(stages, 2):
        if one.name == other.name:
            problems.append(ScheduleError(other.name, f"two stages have the name '{other.name}'"))
        problems += [
            ScheduleError(other.name, f"guest {vmid} is in the stages '{one.name}' and '{other.name}'", hint="take it out of one of them")
            for vmid in sorted({*one.vmids} & {*other.vmids})
        ]
    return tuple(problems)


def sure_clash(one: Selection, other: Selection) -> str | None:
    """What is in both of two stages whatever guests there are, in words; None where only the guests themselves can tell."""
    if one.exclude or other.exclude:
        return None
    return next((clash for mine in one.include for theirs in other.include if (clash := _both(mine, theirs))), None)


def _both(mine: Part, theirs: Part) -> str | None:
    if mine == theirs or Kind.ALL in (mine.kind, theirs.kind):
        return theirs.text if mine.kind is Kind.ALL else mine.text
    low, high = max(mine.low, theirs.low), min(mine.high, theirs.high)
    # parts that go by anything but vmids span none
    return (str(low) if low == high else f"{low}:{high}") if 0 < low <= high else None


def _opening(stages: Sequence[Stage], index: int, *, ready: datetime, now: datetime, until: datetime | None) -> Move:
    if until is not None and max(ready, now) >= until:
        detail = f"the stage '{stages[index].name}' could not begin before {until:%Y-%m-%d %H:%M:%S} UTC"
        return _aborted(stages, index, Reason.DEADLINE_PASSED, detail)
    return Wait(stage=index, until=ready) if now < ready else Start(stage=index)


def _aborted(stages: Sequence[Stage], index: int, reason: Reason, detail: str) -> Abort:
    return Abort(stage=index, reason=reason, detail=detail, spared=tuple(vmid for stage in stages[index:] for vmid in stage.vmids))


def _passes(stage: Stage, guest: Standing) -> bool:
    match guest:
        # an offline node's guests cannot be asked, and must not keep those of the others from going down
        case Standing.OFF | Standing.OUTSIDE | Standing.UNSEEN:
            return True
        case Standing.KEPT | Standing.TIMED_OUT:
            return stage.on_timeout is OnTimeout.CONTINUE
        case Standing.FAILED | Standing.UNKNOWN:
            return False
    assert_never(guest)


def _not_off(stage: Stage, stopping: Iterable[int], results: Mapping[int, Result]) -> str:
    each = ", ".join(f"{vmid} ({results[vmid].standing})" for vmid in stopping)
    return f"not every guest of the stage '{stage.name}' is off: {each}"


_STANDING_BY_OUTCOME: Mapping[OutcomeStatus, Standing | None] = {
    OutcomeStatus.DONE: Standing.OFF,
    # a dry run goes through all stages, as if every guest obeyed
    OutcomeStatus.DRY_RUN: Standing.OFF,
    OutcomeStatus.STARTED: None,
    OutcomeStatus.SKIPPED: Standing.KEPT,
    OutcomeStatus.TIMED_OUT: Standing.TIMED_OUT,
    OutcomeStatus.FAILED: Standing.FAILED,
    OutcomeStatus.UNKNOWN: Standing.UNKNOWN,
}

_STANDING_BY_REASON: Mapping[Reason, Standing] = {
    Reason.ALREADY_OFF: Standing.OFF,
    Reason.TEMPLATE: Standing.OUTSIDE,
    Reason.EXCLUDED: Standing.OUTSIDE,
    Reason.NOT_TAGGED: Standing.OUTSIDE,
    Reason.OUT_OF_SCOPE: Standing.OUTSIDE,
    Reason.NODE_UNSEEN: Standing.UNSEEN,
}
