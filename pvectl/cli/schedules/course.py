"""What one occurrence of a schedule has come to so far: on disk as it changes, and told at its end."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pvectl.cli.schedules.notices import of_end
from pvectl.cli.schedules.told import Carried, GuestTold, StageTold, Told, Unkept
from pvectl.core.plan import Outcome, OutcomeStatus, Reason
from pvectl.core.schedules import ledger as ledgers
from pvectl.core.schedules.ledger import Entry, Ledger, State
from pvectl.core.schedules.stages import Abort, Result, Standing
from pvectl.errors import PvectlError

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.idle.run import Decided
    from pvectl.cli.schedules.run import Looking


class Course:
    """One occurrence on its way to its end."""

    def __init__(self, run: Run, looking: Looking, entry: Entry, ledger: Ledger, decision_id: str | None, *, rehearsal: bool) -> None:
        self.run = run
        self.looking = looking
        self.books = looking.books
        self.entry = entry
        self.decision_id = decision_id
        self.rehearsal = rehearsal
        self.by_hand = rehearsal and not looking.books.keeps
        self.log = run.log.bind(schedule=entry.occurrence.schedule, occurrence=entry.occurrence.wall, decision_id=decision_id)
        self.results: dict[int, Result] = {}
        self.told: dict[str, tuple[GuestTold, ...]] = {}
        self.warnings: tuple[str, ...] = ()
        self.advice: Callable[[], Sequence[str]] = tuple
        """What the selection did not find, in sentences, as far as is known by now."""
        self.late = False
        self.handed: tuple[Decided, ...] = ()
        self._ledger = ledger
        self._due = entry

    def changed(self, entry: Entry) -> None:
        """Keep what has become of it: on disk when this returns."""
        self.entry = entry
        self.keep()

    def keep(self) -> None:
        if not self.by_hand:
            self._ledger = ledgers.recorded(self._ledger, self.entry)
            self.books.keep(self._ledger)

    def log_outcome(self, outcome: Outcome) -> None:
        if outcome.status in (OutcomeStatus.DRY_RUN, OutcomeStatus.SKIPPED):
            return
        guest = outcome.action.guest
        fields = {"vmid": guest.vmid, "node": guest.node, "status": outcome.status.value, "upid": outcome.upid, "error": outcome.error}
        tell = self.log.warning if outcome.status in (OutcomeStatus.DONE, OutcomeStatus.STARTED) else self.log.error
        tell("guest.shutdown", **{key: value for key, value in fields.items() if value is not None})

    def put_off(self, reason: Reason, detail: str, error: PvectlError | None) -> Told:
        """It does not begin now; it may until its deadline, and so may one that had begun."""
        carried = self._carried(error=error)
        if self.entry.state.under_way or self.by_hand:
            return self._tell(self.entry, reason, detail, carried)
        told = self.looking.put_off(reason, detail)
        return replace(told, carried=carried, news=told.news or error is not None)

    def interrupted(self) -> Told:
        return self._tell(
            self.entry, Reason.INTERRUPTED, "interrupted: a run before its deadline goes on with it", self._carried(interrupted=True)
        )

    def unkept(self, error: PvectlError) -> Told:
        """What was done is not on disk, so that the next run finds it under way, and out by looking what came of it."""
        entry = replace(self.entry, state=State.RUNNING)
        return self._tell(entry, Reason.UNSEEN, entry.detail, self._carried(error=Unkept(error)))

    def ended(
        self, state: State, reason: Reason, detail: str, *, abort: Abort | None = None, error: PvectlError | None = None, cut: bool = False
    ) -> Told:
        """It is over; `cut`: somebody pressed Ctrl-C, and nothing of it is left for a later run."""
        carried = self._carried(abort=abort, error=error, interrupted=cut)
        if self.by_hand:
            return self._tell(self._due, reason, detail, carried)
        with self.books.store.transaction():
            self.changed(ledgers.finish(self.entry, state, reason=reason, detail=detail, now=self.run.clock.now()))
            self.books.announce(of_end(self.entry, carried, self.decision_id))
        tell = self.log.info if state in (State.DONE, State.SKIPPED) else self.log.error
        tell("schedule.ends", state=state.value, reason=reason.value)
        return self._tell(self.entry, reason, detail, carried)

    def guests_through(self, state: State, reason: Reason, detail: str, *, nodes: Sequence[str], selected: Collection[int]) -> None:
        """Its guests have come out so; what is left are these nodes.

        While one of the selected runs, its node stays on: it was left alone, or somebody has started it again since it was seen off.
        """
        rehearsed = {vmid for vmid, result in self.results.items() if result.standing is Standing.OFF} if self.rehearsal else set()
        now, spared = self.run.clock.now(), set(selected) - rehearsed
        self.changed(ledgers.guests_through(self.entry, state, reason=reason, detail=detail, nodes=nodes, spared=spared, now=now))

    def _carried(self, *, abort: Abort | None = None, error: PvectlError | None = None, interrupted: bool = False) -> Carried:
        return Carried(
            stages=tuple(StageTold(name=name, guests=guests, begun=bool(guests)) for name, guests in self.told.items()),
            abort=abort,
            late=self.late,
            interrupted=interrupted,
            error=error,
            warnings=(*self.advice(), *self.warnings),
            handed=self.handed,
        )

    def _tell(self, entry: Entry, reason: Reason, detail: str, carried: Carried) -> Told:
        return Told(
            schedule=entry.occurrence.schedule,
            occurrence=entry.occurrence,
            state=entry.state,
            reason=reason,
            detail=detail,
            decision_id=self.decision_id,
            carried=carried,
            news=True,
        )
