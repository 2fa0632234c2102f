"""What the state file holds for idle-check: the records of its nodes, and each decision with all it rests on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pvectl.cli.announcing import Notice, announce
from pvectl.cli.idle.notices import BlindSince, of_decision, of_outcome, of_settling, of_state
from pvectl.cli.kept import Case, Kept, KeptLook, LastDecision
from pvectl.core.idle import NodeDecision, NodeRecord, Phase, Step
from pvectl.core.plan import OutcomeStatus, PowerOutcome, Verdict
from pvectl.errors import PvectlError

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.store import Store

JOB = "idle-check"
RECORDS = "idle-node"
REHEARSED = "idle-rehearsal"
LAST = "idle-last"
BLIND = "idle-blind"
_UNSETTLED = frozenset({Phase.DRAIN, Phase.OFF_SENT})


class Memory:
    """What the state file holds for this job; a rehearsal by hand only reads, and one by configuration keeps records of its own."""

    def __init__(self, run: Run, *, kind: str, keeps: bool) -> None:
        self._run = run
        self._kind = kind
        self._keeps = keeps
        self.unkept: PvectlError | None = None
        self.store: Store = run.store("write" if keeps else "read")
        self.set_aside = self.store.set_aside
        self.records = dict(self.store.recall_all(kind, NodeRecord))
        self._unsettled = {node for node, record in self.records.items() if record.phase in _UNSETTLED}

    @contextmanager
    def together(self) -> Iterator[None]:
        """All or nothing of what is written within; a run that only reads writes nothing anyway."""
        with self.store.transaction() if self._keeps else nullcontext():
            yield

    def write(
        self, cases: Mapping[str, Case], alone: Sequence[Step], steps: Sequence[Step], *, spared: tuple[int, ...] | None = None
    ) -> dict[str, str]:
        """Keep the records and the decisions with all they rest on, in one transaction; the ids by node.

        With `spared`, maybe empty, a schedule handed them over, and has left these guests alone.
        """
        if not self._keeps:
            return {}
        ids: dict[str, str] = {}
        with self.store.transaction():
            for before, step in zip(alone, steps, strict=True):
                known = self.records.get(step.decision.node)
                self.keep(step.record)
                kept = Kept(case=cases[step.decision.node], decision=step.decision, handed_over=spared is not None, spared=spared or ())
                if before.decision != step.decision:
                    kept = replace(kept, alone=before.decision)
                id_ = self._decided(step.decision, kept)
                ids[step.decision.node] = id_
                if self._kind == RECORDS:
                    self.store.keep(LAST, step.decision.node, LastDecision(id=id_, decision=step.decision))
                    self._announce_step(known, step)
            self._settle_all()
            if self.set_aside is not None:
                self.announce(of_state(self.set_aside))
        return ids

    def ended(self, attempt: NodeRecord, after: NodeRecord, outcome: PowerOutcome, decision_id: str) -> None:
        """Keep the record of a node whose attempt is over, and let people know what came of it: both or neither."""
        with self.store.transaction():
            self.keep(after)
            self.announce(of_outcome(attempt, after, outcome, decision_id, self._run.clock.now()))

    def announce(self, notices: Iterable[Notice]) -> None:
        """Queue what people are to hear of, in the transaction that keeps what it is about; nobody hears of a rehearsal."""
        if self._kind == RECORDS:
            announce(self._run, self.store, notices)

    def _announce_step(self, before: NodeRecord | None, step: Step) -> None:
        node, decision = step.decision.node, step.decision
        since = self.store.recall(BLIND, node, BlindSince)
        if decision.verdict is not Verdict.BLIND and since is not None:
            self.store.forget(BLIND, node)
        elif decision.verdict is Verdict.BLIND and since is None:
            self.store.keep(BLIND, node, BlindSince(at=decision.at))
        self.announce(chain(of_decision(decision, since), of_settling(before, step.record, decision.at)))

    def looked(self, decision: NodeDecision, look: KeptLook) -> str:
        """Keep the last look before a power-off, beside the decision it belongs to."""
        if look.answer.stop is None:
            words, verdict, reason = f"nothing speaks against powering {decision.node} off", Verdict.ACT, decision.reason
        else:
            words, verdict, reason = look.answer.stop, Verdict.KEEP, look.answer.reason or decision.reason
        told = replace(decision, at=look.case.now.wall, verdict=verdict, reason=reason, detail=words)
        return self._decided(told, look, phase="last-look")

    def keep(self, record: NodeRecord) -> None:
        if self._kind == REHEARSED and record.phase is Phase.DRAIN:
            # nothing was begun that could be left unfinished
            record = replace(record, phase=Phase.NOTICE, attempt=None, planned=())
        self.store.keep(self._kind, record.node, record)
        self.records[record.node] = record

    def change(self, before: NodeRecord, record: NodeRecord) -> None:
        """Keep what became of a record, where anything did; a run that only reads goes on with it all the same."""
        if record != before and self._keeps:
            self.keep(record)
        self.records[record.node] = record
        if record.phase is not Phase.OFF_SEEN:
            # whether it was off in between, nobody has looked
            self._unsettled.discard(record.node)

    def _settle_all(self) -> None:
        """Write into the audit trail what came of power-offs whose end nobody had seen before this look (safety rule S23)."""
        if self._kind != RECORDS or self.set_aside is not None:
            return
        for intent in self.store.open_intents():
            node = intent.subject.removeprefix("node/")
            if intent.verb == "power-off" and node in self._unsettled:
                self._settle(intent.id, self.records[node])

    def _settle(self, intent_id: str, record: NodeRecord) -> None:
        if record.phase in _UNSETTLED:
            return
        at, came_to_nothing = self._run.clock.now(), record.phase in (Phase.COOLDOWN, Phase.QUARANTINE)
        if came_to_nothing:
            self.store.ended(intent_id, status=OutcomeStatus.FAILED.value, at=at, error=record.last_failure)
        else:
            self.store.ended(intent_id, status=OutcomeStatus.DONE.value, at=at)

    def prune(self) -> None:
        if self._keeps:
            self.store.prune(now=self._run.clock.now())

    def _decided(self, decision: NodeDecision, kept: Kept | KeptLook, *, phase: str | None = None) -> str:
        import msgspec

        from pvectl.store import DecisionEntry

        entry = DecisionEntry(
            id=self.store.new_id(),
            job=JOB,
            run_id=self._run.id,
            at=decision.at,
            subject=decision.subject,
            verdict=decision.verdict,
            reason=decision.reason,
            detail=decision.detail,
            phase=phase or decision.phase,
            acted=decision.verdict is Verdict.ACT and self._kind == RECORDS,
            payload=msgspec.Raw(msgspec.json.encode(kept)),
        )
        self.store.decided(entry)
        return entry.id
