"""The road every changing command takes from its plan to its report: show it, ask, carry it out, tell what came of each guest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.diary import StoredDiary
from pvectl.cli.layout import Column, Table
from pvectl.cli.output import Problem, Report
from pvectl.cli.patience import LOOK_S
from pvectl.cli.words import span
from pvectl.core.model import ClusterView, Guest
from pvectl.core.plan import Action, Decision, Outcome, OutcomeStatus, Plan, PowerOutcome, Reason, Verdict
from pvectl.core.text import clean
from pvectl.errors import CannotWrite, Changed, ExitCode, UsageError, WriteForbidden, most_telling

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.pve.client import ProxmoxClient

PARALLEL = 8
"""Seconds for everything but the waiting: looks, and the requests for a long selection."""

_SEVERAL = 2

_CODES = {
    OutcomeStatus.DONE: ExitCode.OK,
    OutcomeStatus.STARTED: ExitCode.OK,
    OutcomeStatus.DRY_RUN: ExitCode.OK,
    OutcomeStatus.SKIPPED: ExitCode.OK,
    OutcomeStatus.TIMED_OUT: ExitCode.FAILED,
    OutcomeStatus.FAILED: ExitCode.FAILED,
    OutcomeStatus.UNKNOWN: ExitCode.UNKNOWN_OUTCOME,
}
_KINDS = {CannotWrite.kind: ExitCode.CANNOT_WRITE}
"""Failures that have an exit code of their own."""
_NEWS = (OutcomeStatus.DONE, OutcomeStatus.STARTED, OutcomeStatus.DRY_RUN)


class Wording(Struct, frozen=True, kw_only=True):
    """How one kind of change speaks.

    `planned` says what an action will do; `done` and `rehearsed` are the words for a guest where it happened or would have; `event` is the
    log's name for it; `staged` says whether there is an order; `fields` and `outcome_fields` add entries of its own to a guest's JSON.
    """

    question: str
    progress: str
    event: str
    planned: Callable[[Action], str]
    done: str
    rehearsed: str
    staged: bool = False
    fields: Callable[[Decision, Guest], dict[str, object]] = lambda _decision, _guest: {}
    outcome_fields: Callable[[Outcome | None], dict[str, object]] = lambda _outcome: {}


class Consent(Struct, frozen=True, kw_only=True):
    """What the person at the command line agreed to."""

    yes: bool = False
    dry_run: bool = False
    wait: bool = True
    at_once: int | None = None
    """Guests that shut down or start at a time; None: a whole stage."""


def carry_through(
    run: Run, client: ProxmoxClient, observe: Callable[[], tuple[ClusterView, Plan]], wording: Wording, consent: Consent
) -> Report:
    """Look and plan, show the plan and ask, act, and report every guest of it.

    After the answer the cluster is looked at once more: a prompt may stand for hours, and what was agreed to must still be so.

    Raises:
        UsageError: not confirmed, or nobody there to ask; nothing was changed.
        WriteForbidden: with `insecure: true` nothing may be changed, and a rehearsal says so as well.
        Changed: the plan is another one by now; nothing was changed.
        Locked, CannotWrite: another run is at work, or what is about to be done cannot be written down first; nothing was changed.
    """
    from pvectl import act

    if client.connection.trust.insecure:
        hint = "trust the host's certificate with pvectl config trust"
        reason = "with `insecure: true` (or `verify_ssl: false`) nobody knows who is listening"
        raise WriteForbidden(f"nothing can be changed: {reason}", hint=hint)
    view, plan = observe()
    rehearsal = consent.dry_run or not plan.actions
    if not rehearsal and not consent.yes:
        run.show(_plan_table(plan, _by_subject(view), wording))
        if not run.confirm(_question(plan, wording), yes=False):
            raise UsageError("nothing was changed: not confirmed")
        agreed = _gist(plan, view)
        view, plan = observe()
        if _gist(plan, view) != agreed:
            raise Changed("the cluster has changed since the plan was shown; nothing was done", hint="run it again to see the new plan")
    diary = None if rehearsal else _diary(run, plan, wording)
    with run.progress(wording.progress, 0 if rehearsal else len(plan.actions)) as bar:

        def tell(outcome: Outcome) -> None:
            _log(run, wording, outcome)
            if bar is not None:
                bar.advance(bar.task_ids[0])

        run.take_time(LOOK_S + _longest(plan, consent.at_once))
        outcomes = act.carry_out(
            plan,
            client,
            run.clock,
            wait=consent.wait,
            dry_run=rehearsal,
            parallel=PARALLEL,
            progress=tell,
            diary=diary,
            stages=_stages(plan),
            at_once=consent.at_once,
        )
    return _report(run, plan, _by_subject(view), outcomes, wording)


def _stages(plan: Plan) -> list[list[Action]] | None:
    """The plan's actions stage by stage; None where all go together."""
    actions = {action.guest.vmid: action for action in plan.actions}
    return [[actions[vmid] for vmid in stage] for stage in plan.stages] or None


def _longest(plan: Plan, at_once: int | None) -> int:
    """Seconds until the last guest has been given up on."""
    from pvectl import act

    waits = [[act.longest_wait(getattr(action, "timeout", 0)) for action in stage] for stage in _stages(plan) or [list(plan.actions)]]
    pauses = sum(getattr(action, "pause", 0) for action in plan.actions)
    return pauses + sum(max(stage) * -(-len(stage) // (at_once or len(stage))) for stage in waits if stage)


def _diary(run: Run, plan: Plan, wording: Wording) -> StoredDiary:
    """Write down what is about to be done, and keep other runs out until it is (safety rules S24 and S27)."""
    import msgspec

    from pvectl.cli.kept import KeptPlan
    from pvectl.store import DecisionEntry

    store = run.store_to_act()
    entry = DecisionEntry(
        id=store.new_id(),
        job=run.command,
        run_id=run.id,
        at=run.clock.now(),
        subject="cluster",
        verdict=Verdict.ACT,
        reason=Reason.REQUESTED,
        detail=_question(plan, wording).rstrip("?"),
        acted=True,
        payload=msgspec.Raw(msgspec.json.encode(KeptPlan(plan=plan))),
    )
    store.decided(entry)
    return StoredDiary(store, run.clock, job=run.command, run_id=run.id, decision_id=entry.id)


def code_of(outcome: Outcome | PowerOutcome) -> ExitCode:
    """The exit code that what came of one action calls for."""
    code = _CODES[outcome.status]
    return _KINDS.get(outcome.kind or "", code) if code is ExitCode.FAILED else code


def _by_subject(view: ClusterView) -> dict[str, Guest]:
    return {guest.subject: guest for guest in view.guests}


def _gist(plan: Plan, view: ClusterView) -> list[tuple[object, ...]]:
    """What a person agrees to: who, where, called what, tagged how, and what is to happen to it."""
    guests = _by_subject(view)
    told = [(decision, guests[decision.subject]) for decision in plan.decisions]
    stage = {vmid: number for number, vmids in enumerate(plan.stages) for vmid in vmids}
    return [
        (guest.vmid, guest.name, guest.node, guest.tags, decision.verdict, decision.reason, stage.get(guest.vmid))
        for decision, guest in told
    ]


def _question(plan: Plan, wording: Wording) -> str:
    count = len(plan.actions)
    return wording.question.format(guests=f"{count} guest{'' if count == 1 else 's'}")


def _log(run: Run, wording: Wording, outcome: Outcome) -> None:
    if outcome.status in (OutcomeStatus.DRY_RUN, OutcomeStatus.SKIPPED):
        return
    guest = outcome.action.guest
    fields = {"vmid": guest.vmid, "node": guest.node, "status": outcome.status.value, "upid": outcome.upid, "error": outcome.error}
    failed = code_of(outcome) is not ExitCode.OK
    (run.log.error if failed else run.log.warning)(wording.event, **{key: value for key, value in fields.items() if value is not None})


def _plan_table(plan: Plan, guests: Mapping[str, Guest], wording: Wording) -> Table:
    columns = (
        Column(title="VMID", right=True),
        Column(title="NAME", flexible=True, need=8),
        Column(title="NODE", need=7),
        Column(title="PLAN", flexible=True, wrap=True),
        Column(title="WHY", flexible=True, least=24, wrap=True),
    )
    rows = [_planned(decision, guests[decision.subject], wording) for decision in _in_turn(plan)]
    return _with_stages(Table(columns=columns, rows=rows), plan)


def _with_stages(table: Table, plan: Plan) -> Table:
    """The table of guests with the stage each belongs to, where there are several."""
    if len(plan.stages) < _SEVERAL:
        return table
    stage = {str(vmid): str(number) for number, vmids in enumerate(plan.stages, 1) for vmid in vmids}
    column = Column(title="STAGE", right=True, need=6)
    return Table(columns=(column, *table.columns), rows=[(stage.get(row[0], "-"), *row) for row in table.rows])


def _in_turn(plan: Plan) -> list[Decision]:
    """What happens in the order in which it will, and then what does not."""
    turn = {f"guest/{vmid}": place for place, vmid in enumerate(vmid for stage in plan.stages for vmid in stage)}
    return sorted(plan.decisions, key=lambda decision: turn.get(decision.subject, len(turn)))


def _planned(decision: Decision, guest: Guest, wording: Wording) -> tuple[str, ...]:
    what = wording.planned(decision.action) if decision.action is not None else "leave alone"
    why = "" if decision.action is not None else decision.detail
    return (str(guest.vmid), clean(guest.name or "-"), guest.node, clean(what), clean(why))


def _report(run: Run, plan: Plan, guests: Mapping[str, Guest], outcomes: Sequence[Outcome], wording: Wording) -> Report:
    from pvectl import act

    came_of = {outcome.action.guest.subject: outcome for outcome in outcomes}
    told = [(decision, guests[decision.subject], came_of.get(decision.subject)) for decision in _in_turn(plan)]
    codes = [code_of(outcome) for outcome in outcomes]
    blind = any(decision.verdict is Verdict.BLIND for decision in plan.decisions)
    if blind:
        codes.append(ExitCode.BLIND)
    exit_code = most_telling(codes)
    interruption: tuple[Problem, ...] = ()
    if act.interrupted(outcomes):
        run.was_interrupted = True
        interruption = (Problem(code="interrupted", message="interrupted: what is under way goes on, and nobody waits for it"),)
        exit_code = exit_code if exit_code is ExitCode.UNKNOWN_OUTCOME else run.interrupted_by
    return Report(
        schema=run.command,
        data=[
            _row(decision, guests[decision.subject], came_of.get(decision.subject), wording, _stage_of(plan, guests[decision.subject]))
            for decision in plan.decisions
        ],
        text=_result_table(told, plan, wording),
        exit_code=exit_code,
        complete=not blind and ExitCode.UNKNOWN_OUTCOME not in codes,
        cluster=run.cluster,
        news=exit_code is not ExitCode.OK or any(outcome.status in _NEWS for outcome in outcomes),
        problems=(*interruption, *(_problem(outcome) for outcome in outcomes if code_of(outcome) is not ExitCode.OK)),
    )


def _problem(outcome: Outcome) -> Problem:
    guest = outcome.action.guest
    message = f"{guest.label}: {outcome.error or outcome.status.value}"
    return Problem(code=outcome.status.value, message=message, hint=outcome.hint, subject=guest.subject)


def _stage_of(plan: Plan, guest: Guest) -> int | None:
    return next((number for number, vmids in enumerate(plan.stages, 1) if guest.vmid in vmids), None)


def _row(decision: Decision, guest: Guest, outcome: Outcome | None, wording: Wording, stage: int | None) -> dict[str, object]:
    return {
        "vmid": guest.vmid,
        "name": guest.name,
        "node": guest.node,
        "type": guest.type,
        "verdict": decision.verdict,
        "reason": decision.reason,
        "detail": decision.detail,
        **({"stage": stage} if wording.staged else {}),
        **wording.fields(decision, guest),
        "status": outcome.status if outcome else OutcomeStatus.SKIPPED,
        "upid": outcome.upid if outcome else None,
        "error": outcome.error if outcome else None,
        "took": outcome.took if outcome else None,
        **wording.outcome_fields(outcome),
    }


def _result_table(told: Sequence[tuple[Decision, Guest, Outcome | None]], plan: Plan, wording: Wording) -> Table:
    columns = (
        Column(title="VMID", right=True),
        Column(title="NAME", flexible=True, need=8),
        Column(title="NODE", need=7),
        Column(title="RESULT", style=lambda word: _style(word, wording)),
        Column(title="TOOK", right=True, need=5),
        Column(title="WHY", flexible=True, least=24, wrap=True),
    )
    return _with_stages(Table(columns=columns, rows=[_told(decision, guest, outcome, wording) for decision, guest, outcome in told]), plan)


def _told(decision: Decision, guest: Guest, outcome: Outcome | None, wording: Wording) -> tuple[str, ...]:
    words = {OutcomeStatus.DONE: wording.done, OutcomeStatus.DRY_RUN: wording.rehearsed}
    result = words.get(outcome.status, outcome.status.value) if outcome else "left alone"
    if outcome and outcome.forced:
        result += " by force"
    took = span(outcome.took) if outcome and outcome.took is not None else "-"
    why = _what_came_of(outcome) or decision.detail
    return (str(guest.vmid), clean(guest.name or "-"), guest.node, result, took, clean(why))


def _what_came_of(outcome: Outcome | None) -> str | None:
    """The end of the story where it is known better than the plan told it."""
    if outcome is not None and outcome.status is OutcomeStatus.STARTED and not outcome.error:
        return outcome.upid
    if outcome is None or outcome.error or outcome.status is not OutcomeStatus.DONE:
        return outcome.error if outcome else None
    return "it shut down by itself" if outcome.forced is False else outcome.hint


def _style(word: str, wording: Wording) -> str | None:
    if word == wording.done:
        return "good"
    return "bad" if word in ("failed", "timed-out", "unknown") else "dim"
