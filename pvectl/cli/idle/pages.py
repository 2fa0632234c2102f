"""What a run of idle-check says: one row for each node, what was done, and with --explain every veto."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.changes import code_of
from pvectl.cli.idle.words import story_of
from pvectl.cli.layout import Column, Table, Terminal, folded, paint, text_of
from pvectl.cli.output import Problem, Report
from pvectl.cli.words import here, moment, span
from pvectl.core import idle
from pvectl.core.plan import Outcome, OutcomeStatus, Reason, Verdict
from pvectl.core.text import clean
from pvectl.errors import ExitCode, most_telling

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.idle.run import Checked, Decided
    from pvectl.core.idle import Blocker, NodeDecision

_STYLES = {"act": "good", "switched off": "good", "wait": "warn", "blind": "bad", "failed": "bad", "unknown": "bad", "keep": "dim"}


class ActionRow(Struct, frozen=True, kw_only=True):
    """One thing that was asked for on the way, as JSON shows it; `vmid` is None for the node itself."""

    action: str
    vmid: int | None = None
    node: str | None = None
    status: str
    upid: str | None = None
    error: str | None = None
    took: float | None = None


class NodeRow(Struct, frozen=True, kw_only=True):
    """One node's decision as JSON shows it; `actions` are what was done about it, in a rehearsal what would be."""

    node: str
    phase: str
    verdict: str
    reason: str
    detail: str
    blockers: tuple[BlockerRow, ...]
    credit_s: float
    grace_s: int
    since: datetime | None
    due: datetime | None
    actions: tuple[ActionRow, ...]
    decision_id: str | None


class BlockerRow(Struct, frozen=True, kw_only=True):
    """One veto as JSON shows it."""

    reason: str
    subject: str
    detail: str
    until: datetime | None = None


def report(run: Run, checked: Checked, *, explain: bool, remarks: tuple[str, ...] = ()) -> Report:
    """One row for each node that was asked about; what failed or could not be seen makes the exit code."""
    if checked.disabled:
        text = "idle_check is switched off (enabled: false), so nothing was looked at"
        return Report(schema="idle-check", data=[], text=text, cluster=run.cluster, news=False)
    problems = tuple(problem for decided in checked.decided for problem in problems_of(decided))
    codes = [exit_code_of(decided) for decided in checked.decided]
    if checked.set_aside is not None:
        hint = "grace periods begin anew; what was set aside lies beside it, and pvectl history tells"
        message = f"the state file {checked.set_aside}: nothing was switched off"
        problems = (Problem(code="bad-state", message=message, hint=hint), *problems)
    exit_code = ExitCode.BAD_STATE if checked.set_aside is not None else most_telling(codes)
    if checked.unkept is not None:
        message = f"what was done could not be remembered, and the next run will find out by looking: {checked.unkept.message}"
        problems = (*problems, Problem(code=checked.unkept.kind, message=message, hint=checked.unkept.hint, subject=checked.unkept.subject))
        exit_code = ExitCode.FAILED if exit_code is ExitCode.OK else exit_code
    if checked.interrupted:
        run.was_interrupted = True
        exit_code = exit_code if exit_code is ExitCode.UNKNOWN_OUTCOME else run.interrupted_by
    now = run.clock.now()
    return Report(
        schema="idle-check",
        data=[row_of(decided, rehearsal=checked.rehearsal) for decided in checked.decided],
        text=(lambda: _pages(run, checked, now)) if explain else _table(checked, now),
        exit_code=exit_code,
        complete=ExitCode.BLIND not in codes,
        cluster=run.cluster,
        problems=problems,
        remarks=remarks,
        news=exit_code is not ExitCode.OK or any(decided.decision.verdict is Verdict.ACT for decided in checked.decided),
    )


def exit_code_of(decided: Decided) -> ExitCode:
    if decided.outcome is not None:
        if any(guest.status is OutcomeStatus.UNKNOWN for guest in decided.outcome.guests):
            return ExitCode.UNKNOWN_OUTCOME
        unseen = decided.outcome.status is OutcomeStatus.SKIPPED and decided.outcome.reason is Reason.UNSEEN
        return ExitCode.BLIND if unseen else code_of(decided.outcome)
    return ExitCode.BLIND if decided.decision.verdict is Verdict.BLIND else ExitCode.OK


def problems_of(decided: Decided) -> list[Problem]:
    decision, outcome = decided.decision, decided.outcome
    if outcome is not None and exit_code_of(decided) is not ExitCode.OK:
        message = f"{decision.node}: {outcome.error or outcome.status.value}"
        return [Problem(code=outcome.status.value, message=message, hint=outcome.hint, subject=decision.subject)]
    if outcome is None and decision.verdict is Verdict.BLIND:
        hint = "pvectl doctor tells what this token lacks, and the commands that grant it"
        return [Problem(code="blind", message=_sentence(decision, decision.at), hint=hint, subject=decision.subject)]
    return []


def row_of(decided: Decided, *, rehearsal: bool) -> NodeRow:
    decision = decided.decision
    return NodeRow(
        node=decision.node,
        phase=decision.phase,
        verdict=decision.verdict,
        reason=decision.reason,
        detail=idle.told(decision),
        blockers=tuple(BlockerRow(reason=one.reason, subject=one.subject, detail=one.detail, until=one.until) for one in decision.blockers),
        credit_s=decision.credit_s,
        grace_s=decision.grace_s,
        since=decision.since,
        due=decision.due,
        actions=tuple(_actions(decided, rehearsal=rehearsal)),
        decision_id=decided.id,
    )


def _actions(decided: Decided, *, rehearsal: bool) -> list[ActionRow]:
    action, outcome = decided.decision.action, decided.outcome
    if outcome is not None:
        sent = [_guest_row(one) for one in outcome.guests]
        node = ActionRow(action="power-off", node=decided.decision.node, status=outcome.status, error=outcome.error, took=outcome.took)
        return [*sent, node]
    if action is None or not rehearsal:
        return []
    vmids = [shutdown.guest.vmid for stage in action.stages for shutdown in stage]
    would = [ActionRow(action="shutdown", vmid=vmid, status=OutcomeStatus.DRY_RUN) for vmid in vmids]
    return [*would, ActionRow(action="power-off", node=action.node, status=OutcomeStatus.DRY_RUN)]


def _guest_row(outcome: Outcome) -> ActionRow:
    guest = outcome.action.guest
    return ActionRow(
        action="shutdown",
        vmid=guest.vmid,
        node=guest.node,
        status=outcome.status,
        upid=outcome.upid,
        error=outcome.error,
        took=outcome.took,
    )


def _table(checked: Checked, now: datetime) -> Table:
    columns = (
        Column(title="NODE"),
        Column(title="RESULT", style=_STYLES.get),
        Column(title="PHASE", need=6),
        Column(title="IDLE", right=True, need=7),
        Column(title="WHY", flexible=True, least=30, wrap=True),
    )
    rows = [
        (
            decided.decision.node,
            _result(decided, rehearsal=checked.rehearsal),
            decided.decision.phase.value,
            f"{span(decided.decision.credit_s)} of {span(decided.decision.grace_s)}",
            clean(_why(decided, now)),
        )
        for decided in checked.decided
    ]
    return Table(columns=columns, rows=rows)


def result_of(decided: Decided, now: datetime) -> tuple[str, str]:
    """What became of a node that a schedule handed over, and why, as a table says it."""
    rehearsal = decided.id is None and decided.outcome is None
    return _result(decided, rehearsal=rehearsal), clean(_why(decided, now))


def _result(decided: Decided, *, rehearsal: bool) -> str:
    if decided.outcome is not None:
        words = {OutcomeStatus.DONE: "switched off", OutcomeStatus.STARTED: "going off", OutcomeStatus.SKIPPED: "stays on"}
        return words.get(decided.outcome.status, decided.outcome.status.value)
    if decided.decision.verdict is Verdict.ACT:
        return "would go off" if rehearsal else "not done"
    return decided.decision.verdict.value


def _why(decided: Decided, now: datetime) -> str:
    """The decision in the reader's own time zone, and the end of the story where there is one."""
    sentence = _sentence(decided.decision, now)
    return sentence if decided.outcome is None else story_of(decided.outcome)


def _sentence(decision: NodeDecision, now: datetime) -> str:
    return here(idle.told(decision, at=lambda when: moment(when, now)), now)


def _pages(run: Run, checked: Checked, now: datetime) -> str:
    """Every node's decision with all its vetoes."""
    terminal = Terminal.of(run.stdout, run.env)
    return "\n\n".join(page(decided.decision, decided, terminal, now, rehearsal=checked.rehearsal) for decided in checked.decided)


def page(decision: NodeDecision, decided: Decided | None, terminal: Terminal, now: datetime, *, rehearsal: bool = False) -> str:
    """One decision at length: the verdict, how far the node is, and what keeps it on."""
    result = _result(decided, rehearsal=rehearsal) if decided else decision.verdict.value
    why = clean(_why(decided, now) if decided else _sentence(decision, now))
    margin = len(decision.node) + len(result) + 4
    why = folded(why, terminal, margin=margin)
    lines = [f"{paint(decision.node, 'bold', terminal)}  {paint(result, _STYLES.get(result, 'bold'), terminal)}  {why}"]
    facts = [
        ("phase", f"{decision.phase}" + (f" since {moment(decision.since, now)}" if decision.since else "")),
        ("idle", f"{span(decision.credit_s)} of {span(decision.grace_s)} count"),
        ("reason", f"{decision.reason}: {decision.reason.sentence}"),
    ]
    if decision.due is not None:
        facts.append(("due", f"{moment(decision.due, now)} at the earliest, if nothing were in its way any more"))
    if decided is not None and decided.id is not None:
        facts.append(("decision", f"{decided.id}   (pvectl explain {decided.id})"))
    lines += [f"  {name:<9} {clean(told)}" for name, told in facts]
    if decision.blockers:
        lines += ["", "  what keeps it on"]
        table = Table(columns=_BLOCKERS, rows=[_blocker(one, now) for one in decision.blockers], header=False)
        lines += text_of(table, terminal).rstrip("\n").split("\n")
    return "\n".join(lines)


_BLOCKERS = (
    Column(title=""),
    Column(title="", style=lambda word: "bad" if word == "unseen" else None),
    Column(title="", flexible=True, least=30, wrap=True),
)


def _blocker(one: Blocker, now: datetime) -> tuple[str, ...]:
    until = f" (until {moment(one.until, now)})" if one.until is not None else ""
    return ("  " + clean(one.subject), one.reason.value, clean(here(one.detail, now)) + until)
