"""One decision at length: made once more from what was kept, with all it rests on and what came of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pvectl.cli.history_pages import table_of
from pvectl.cli.idle import pages as idle_pages
from pvectl.cli.kept import Kept, KeptLook, KeptPlan, KeptStep, KeptTurns, Payload
from pvectl.cli.layout import Terminal, folded, paint, text_of
from pvectl.cli.output import Problem, Report
from pvectl.cli.schedules import pages as schedule_pages
from pvectl.cli.words import moment, span
from pvectl.core import idle
from pvectl.core.evidence import HaStatus, Member, NodeEvidence, TaskHistory
from pvectl.core.model import Guest, Known, Unknown
from pvectl.core.text import clean
from pvectl.errors import BadState, ExitCode, UsageError

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.core.idle import GoOn, NodeDecision
    from pvectl.store import DecisionEntry, HistoryEntry


class Explained(Struct, frozen=True, kw_only=True):
    """A decision as JSON tells it: `kept` is all it rests on, `replayed` whether that gives the same verdict once more.

    What a person asked for at the command line was no verdict: there `replayed` is None.
    """

    id: str
    job: str
    run_id: str
    at: datetime
    subject: str
    verdict: str
    reason: str
    detail: str
    acted: bool
    replayed: bool | None
    kept: object
    actions: tuple[HistoryEntry, ...]


def explained(run: Run, word: str) -> Report:
    """Look the decision up, make it again, and lay both out.

    Raises:
        UsageError: there is none with this id, or several.
        BadState: what was kept of it is not to be understood.
    """
    store = run.store("read")
    entry = store.decision(word)
    if entry is None:
        hint = "idle-check and history show the ids; decisions without action are kept for 90 days"
        raise UsageError(f"there is no decision '{clean(word)}'", hint=hint)
    try:
        # a person who woke a node needed no evidence for it
        kept = None if bytes(entry.payload) == b"{}" else msgspec.json.decode(entry.payload, type=Payload)
    except msgspec.DecodeError as error:
        raise BadState(f"what was kept of decision {entry.id} cannot be understood by this version: {error}") from None
    actions = tuple(one for one in store.history(since=entry.at, subject=None) if one.decision_id == entry.id and one.what == "action")
    same = _replays(kept)
    message = "made once more from the same evidence, the decision is another one"
    problems = () if same is not False else (Problem(code="bug", message=message),)
    data = Explained(
        **{name: getattr(entry, name) for name in ("id", "job", "run_id", "at", "subject", "verdict", "reason", "detail", "acted")},
        replayed=same,
        kept=msgspec.to_builtins(kept),
        actions=actions,
    )
    return Report(
        schema="explain",
        data=data,
        text=lambda: _page(run, entry, kept, actions, same=same),
        exit_code=ExitCode.BUG if same is False else ExitCode.OK,
        cluster=run.cluster_name(),
        problems=problems,
    )


def _replays(kept: Payload | None) -> bool | None:
    """Whether the same facts lead to the same answer once more (safety rule S32)."""
    match kept:
        case KeptPlan() | None:
            return None
        case KeptStep() | KeptTurns():
            return kept.replayed()
        case Kept(case=case):
            facts = (case.record, case.evidence, case.policy, case.now, case.others)
            again = idle.handed_over(*facts, spared=kept.spared) if kept.handed_over else idle.step(*facts)
            return _unworded(again.decision) == _unworded(kept.alone or kept.decision)
        case KeptLook(case=case):
            assert case.record is not None
            ours = frozenset(kept.ours)
            answer = idle.may_go_on(case.evidence, case.policy, case.record, case.now, ours=ours, others=case.others, last=kept.last)
            return _in_kind(answer) == _in_kind(kept.answer)


def _unworded(decision: NodeDecision) -> NodeDecision:
    """The decision without its sentences: a later version may word the same verdict differently."""
    blockers = tuple(replace(blocker, detail="") for blocker in decision.blockers)
    return replace(decision, detail="", if_gone=None, blockers=blockers)


def _in_kind(answer: GoOn) -> tuple[object, ...]:
    """A look's answer without its sentences."""
    blockers = tuple(replace(blocker, detail="") for blocker in answer.blockers)
    return (answer.stop is None, answer.reason, answer.running, blockers)


def _page(run: Run, entry: DecisionEntry, kept: Payload | None, actions: tuple[HistoryEntry, ...], *, same: bool | None) -> str:
    terminal = Terminal.of(run.stdout, run.env)
    now = run.clock.now()
    when = f"{entry.at.astimezone():%Y-%m-%d %H:%M:%S}"
    lines = [f"decision {paint(entry.id, 'bold', terminal)} of {entry.job}, {when}, run {entry.run_id}", ""]
    match kept:
        case Kept():
            lines += idle_pages.page(kept.decision, None, terminal, now).split("\n")
        case KeptLook():
            word = "it went on" if kept.answer.stop is None else kept.answer.stop
            lines += [f"a last look before the power-off of {kept.case.evidence.node}: {clean(word)}"]
        case None:
            lines += [clean(entry.detail)]
        case KeptPlan():
            lines += [f"somebody asked for it: {clean(entry.detail)}"]
            lines += [f"  {one.subject:<12} {one.verdict:<6} {clean(one.detail)}" for one in kept.plan.decisions]
        case KeptStep() | KeptTurns():
            lines += schedule_pages.page(entry, kept, now)
    if isinstance(kept, Kept | KeptLook):
        facts = _facts(kept.case.evidence, terminal, now)
        lines += ["", "  what it rests on", *(f"  {folded(fact, terminal, margin=_INDENT)}" for fact in facts)]
    if actions:
        lines += ["", "  what was done", *(f"  {line}" for line in text_of(table_of(actions, now=now), terminal).rstrip("\n").split("\n"))]
    if same is not None:
        lines += ["", f"  made once more from this evidence: {'the same decision' if same else 'ANOTHER decision'}"]
    return "\n".join(lines)


def _facts(evidence: NodeEvidence, terminal: Terminal, now: datetime) -> Iterator[str]:
    """Each fact with its source; what could not be had with its reason."""
    how = "read from the nodes themselves" if evidence.live else "a cheap look, which was enough to keep it on"
    yield f"{'looked at':<22} {moment(evidence.taken_at, now)}, {how}"
    yield f"{'status':<22} {clean(evidence.status)}"
    for name in evidence.__struct_fields__:
        fact = getattr(evidence, name)
        words = name.replace("_", " ")
        if isinstance(fact, Known):
            told = f"{span(fact.value)}" if name == "uptime" else _short(fact.value)
            yield f"{words:<22} {clean(told)}   [{clean(fact.source)}]"
        elif isinstance(fact, Unknown) and fact.reason != "not read":
            source = f"   [{clean(fact.source)}]" if fact.source else ""
            yield f"{words:<22} {paint('unknown', 'bad', terminal)}: {clean(fact.reason)}{source}"
    for spot in evidence.blind_spots or ():
        yield f"{'blind spot':<22} {clean(spot.subject)}: {clean(spot.reason)}"
    for signal in evidence.signals:
        yield f"{'signal ' + signal.name:<22} {signal.state.value} {clean(signal.detail)}"
    for hold in evidence.holds:
        yield f"{'hold':<22} {clean(hold.subject)} until {moment(hold.until, now)} by {clean(hold.who)}: {clean(hold.reason)}"


_FEW = 8
_INDENT = 25
_TELLING = ("place", "vmid", "kind", "id", "storage", "server", "type", "state", "algorithm", "next_run", "next_sync")


def _short(value: object) -> str:
    """A fact's value in one line."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case tuple() if not value:
            return "none"
        case tuple():
            listed = sorted(value, key=lambda item: item.vmid) if all(isinstance(item, Guest) for item in value) else value
            shown = ", ".join(_one(item) for item in listed[:_FEW])
            return shown + (f" and {len(value) - _FEW} more" if len(value) > _FEW else "")
        case _:
            return _one(value)


def _one(item: object) -> str:
    """The words by which a person knows one thing of a list."""
    match item:
        case Guest():
            return f"{item.label} {item.status}" + (f" locked ({item.lock})" if item.lock else "")
        case Member():
            return f"{item.name} {'online' if item.online else 'offline'}"
        case TaskHistory():
            running = [task.type for task in item.tasks if task.runs]
            return f"{len(item.tasks)} on the list, " + (f"running: {', '.join(running)}" if running else "none of them runs")
        case HaStatus():
            quorum = {True: "quorate", False: "not quorate", None: "quorum not told"}[item.quorate]
            services = ", ".join(f"{service.sid} {service.state} on {service.node}" for service in item.services[:_FEW])
            return quorum + (f", {services}" if services else ", no services")
        case Struct():
            parts = [str(getattr(item, word)) for word in _TELLING if getattr(item, word, None) not in (None, "")]
            return " ".join(dict.fromkeys(parts)) or type(item).__name__
        case float():
            return f"{item:.1f}"
    return str(item)
