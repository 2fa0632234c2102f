"""The ledgers of schedules in the state file, their audit trail, and the diary of those who are carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pvectl.cli.announcing import Notice, announce
from pvectl.cli.diary import StoredDiary
from pvectl.cli.idle.notices import of_state
from pvectl.cli.kept import KeptStep, KeptTurns, slim
from pvectl.cli.schedules.notices import of_changes
from pvectl.cli.schedules.told import Told, told_of
from pvectl.core.plan import OutcomeStatus, Reason, Verdict
from pvectl.core.schedules import ledger as ledgers
from pvectl.core.schedules.ledger import LOOKBACK, Entry, Ledger, State
from pvectl.errors import Locked

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.config.schema import ScheduledShutdown
    from pvectl.store import Store, Verb

JOB = "scheduled-shutdown"
LEDGERS = "schedule"
REHEARSED = "schedule-rehearsal"
_PATIENCE_S = 15
_VERDICTS = {
    State.DUE: Verdict.ACT,
    State.CLAIMED: Verdict.ACT,
    State.RUNNING: Verdict.ACT,
    State.DEFERRED: Verdict.WAIT,
    State.FUTURE: Verdict.WAIT,
}


class Books:
    """The ledgers of this job as the state file holds them; a rehearsal by hand only reads, and one by configuration has its own."""

    def __init__(self, run: Run, *, kind: str, keeps: bool) -> None:
        self._run = run
        self._kind = kind
        self._keeps = keeps
        self.store: Store = _when_free(run) if keeps else run.store("read")
        self.set_aside = self.store.set_aside
        self.ledgers = dict(self.store.recall_all(kind, Ledger))
        if self.set_aside is not None and keeps:
            with self.store.transaction():
                self.announce(of_state(self.set_aside))

    def put_away(self, job: ScheduledShutdown) -> Iterator[Told]:
        """Disarm every schedule that is switched off or gone, so that it only arms when it comes back; rehearsals and deeds take turns."""
        if not self._keeps:
            return
        other = LEDGERS if self._kind == REHEARSED else REHEARSED
        for name, ledger in self.store.recall_all(other, Ledger).items():
            if ledger.config_hash:
                disarmed, ended = ledgers.disarm(ledger, self._run.clock.now())
                with self.store.transaction():
                    self._write(other, name, disarmed)
                    self._announce(other, of_changes(ended, None))
                yield from (told_of(entry) for entry in ended)
        live = {schedule.name for schedule in job.schedules if schedule.enabled and job.enabled}
        for name, ledger in sorted(self.ledgers.items()):
            if name in live or not ledger.config_hash:
                continue
            disarmed, ended = ledgers.disarm(ledger, self._run.clock.now())
            with self.store.transaction():
                self.keep(disarmed)
                self.announce(of_changes(ended, None))
            yield from (told_of(entry) for entry in ended)

    def keep(self, ledger: Ledger) -> None:
        """On disk when this returns. Entries that nobody will ask for any more go, and so do the guests of those that have ended."""
        oldest = self._run.clock.now() - 2 * LOOKBACK
        kept = (one for one in ledger.entries if not one.state.ended or one.occurrence.at > oldest)
        ledger = replace(ledger, entries=tuple(replace(one, guests=()) if one.state.ended else one for one in kept))
        self.ledgers[ledger.schedule] = ledger
        if self._keeps:
            self._write(self._kind, ledger.schedule, ledger)

    def stepped(self, kept: KeptStep, about: Entry | None) -> str | None:
        """Keep a look at the clock that says something new, with all it rests on; its id."""
        step = kept.answer
        if not self._keeps:
            self.ledgers[step.ledger.schedule] = step.ledger
            return None
        with self.store.transaction():
            if step.ledger != kept.ledger:
                self.keep(step.ledger)
            if about is None and not step.armed:
                return None
            reason, detail = (about.reason, about.detail) if about else (Reason.ONLY_ARMED, "armed: times from now on count")
            verdict = Verdict.WAIT if about is None else _VERDICTS.get(about.state, Verdict.KEEP)
            phase = about.state.value if about else "armed"
            id_ = self._decided(step.ledger.schedule, verdict, reason, detail, phase, slim(kept))
            self.announce(of_changes(step.changed, id_))
            return id_

    def announce(self, notices: Iterable[Notice]) -> None:
        """Queue what people are to hear of, in the transaction that keeps what it is about; nobody hears of a rehearsal."""
        self._announce(self._kind, notices)

    def turned(self, schedule: str, kept: KeptTurns) -> None:
        """Keep a stage's turn, with all it rests on."""
        if not self._keeps:
            return
        acting = [str(turn.vmid) for turn in kept.answer if turn.decision.verdict is Verdict.ACT]
        detail = f"stage {kept.stage}: " + (f"asks {', '.join(acting)}" if acting else "asks nobody")
        verdict = Verdict.ACT if acting else Verdict.KEEP
        self._decided(schedule, verdict, Reason.SCHEDULED if acting else Reason.NOTHING_SELECTED, detail, f"stage {kept.stage}", kept)

    def prune(self) -> None:
        if self._keeps:
            self.store.prune(now=self._run.clock.now())

    @property
    def keeps(self) -> bool:
        return self._keeps

    def _announce(self, kind: str, notices: Iterable[Notice]) -> None:
        if kind == LEDGERS and self._keeps:
            announce(self._run, self.store, notices)

    def _write(self, kind: str, name: str, ledger: Ledger) -> None:
        self.store.keep(kind, name, ledger)

    def _decided(self, schedule: str, verdict: Verdict, reason: Reason, detail: str, phase: str, kept: KeptStep | KeptTurns) -> str:
        import msgspec

        from pvectl.store import DecisionEntry

        entry = DecisionEntry(
            id=self.store.new_id(),
            job=JOB,
            run_id=self._run.id,
            at=self._run.clock.now(),
            subject=f"schedule/{schedule}",
            verdict=verdict,
            reason=reason,
            detail=detail,
            phase=phase,
            acted=verdict is Verdict.ACT and self._kind == LEDGERS,
            payload=msgspec.Raw(msgspec.json.encode(kept)),
        )
        self.store.decided(entry)
        return entry.id


class ScheduleDiary(StoredDiary):
    """Writes into the ledger as well, before a request leaves; and lets none leave once the deadline has passed."""

    def __init__(self, books: Books, run: Run, entry: Callable[[], Entry], changed: Callable[[Entry], None], *, decision_id: str) -> None:
        super().__init__(books.store, run.clock, job=JOB, run_id=run.id, decision_id=decision_id)
        self._entry = entry
        self._changed = changed
        self._run = run
        self._vmids: dict[str, int] = {}
        self.on_node: Mapping[str, str] = {}
        self.late = False

    def held(self, subject: str) -> str | None:
        """Who holds the guest or its node; or that it is too late."""
        limit = self._entry().deadline
        if self._run.clock.now() >= limit:
            self.late = True
            return f"the deadline has passed ({limit:%H:%M:%S} UTC): nobody is asked any more"
        node = self.on_node.get(subject)
        return super().held(subject) or (super().held(f"node/{node}") if node else None)

    def intend(self, verb: Verb, subject: str, details: Mapping[str, object]) -> str:
        vmid = int(subject.removeprefix("guest/"))
        self._changed(ledgers.asked(self._entry(), vmid, self._run.clock.now()))
        intent = super().intend(verb, subject, details)
        self._vmids[intent] = vmid
        return intent

    def ended(self, intent: str, status: str, *, upid: str | None = None, error: str | None = None, took: float | None = None) -> None:
        super().ended(intent, status, upid=upid, error=error, took=took)
        result = None if status == OutcomeStatus.STARTED else OutcomeStatus(status)
        self._changed(ledgers.answered(self._entry(), self._vmids[intent], result=result, upid=upid, now=self._run.clock.now()))


def _when_free(run: Run) -> Store:
    """The store to write in. Timers start their jobs at the same moment, so a run that will soon be over is waited for.

    Raises:
        Locked: another run is still at it.
    """
    for _ in range(_PATIENCE_S):
        with suppress(Locked):
            return run.store("write")
        run.clock.sleep(1)
    return run.store("write")
