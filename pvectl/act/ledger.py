"""Which actions PVE has been asked for, which have come to an end, and whether anything may still leave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from pvectl.act.diary import Diary, Pen, Verb
from pvectl.core.plan import Action, Outcome, OutcomeStatus, PowerOutcome, Reason, Shutdown, Start, WakeOutcome

if TYPE_CHECKING:
    from pvectl.pve.client import Upid

Progress: TypeAlias = Callable[[Outcome], None]

INTERRUPTED = "interrupted"
LEFT_GOING = "interrupted: its task goes on, and nobody waits for it"
NEVER_ASKED = "interrupted before it was its turn: nothing was changed"
ON_ITS_WAY = "interrupted while the request was on its way: it may or may not have happened"
NOT_REACHED = "its turn never came: nothing was changed"
_SETTLE_S = 5
_ALREADY_SO = (Reason.ALREADY_OFF.value, Reason.ALREADY_RUNNING.value)


def interrupted(outcomes: Sequence[Outcome | PowerOutcome | WakeOutcome]) -> bool:
    """Whether Ctrl-C came before all these outcomes were in."""
    return any(outcome.kind == INTERRUPTED for outcome in outcomes)


class Asked(Struct, frozen=True, kw_only=True):
    """A request for a guest's power that PVE has accepted; `at` is on the clock that never steps."""

    action: Shutdown | Start
    upid: Upid
    at: float


class Stale(Exception):
    """What was seen is too old for another request: it is to be seen anew."""


class Ledger:
    """Several threads fill it, each for its own action.

    When it is `strict`, the first that goes wrong ends it for all; `kept_by` are subjects that keep every guest up while they are held.
    """

    def __init__(
        self,
        actions: Sequence[Action],
        progress: Progress | None = None,
        diary: Diary | None = None,
        *,
        strict: bool = False,
        kept_by: Sequence[str] = (),
    ) -> None:
        self.actions = tuple(actions)
        self.pen = Pen(diary)
        self.in_hand: set[int] = set()
        self.sent: set[int] = set()
        self.asked: dict[int, Asked] = {}
        self.ended: dict[int, Outcome] = {}
        self.is_fresh: Callable[[], bool] = lambda: True
        self._intents: dict[int, str | None] = {}
        self._strict = strict
        self._kept_by = tuple(kept_by)
        self._interrupted = False
        self._closed: str | None = None
        self._settled = threading.Condition()
        self._progress = progress
        self._told: set[int] = set()

    @property
    def is_open(self) -> bool:
        """Whether anything may still leave."""
        return not self._interrupted and self._closed is None

    def rehearse(self) -> None:
        self.ended = {index: Outcome(action=action, status=OutcomeStatus.DRY_RUN) for index, action in enumerate(self.actions)}

    def take(self, index: int) -> Action | None:
        """The action, for a thread that begins with it; None when it is too late to begin with anything."""
        with self._settled:
            if not self.is_open:
                return None
            self.in_hand.add(index)
            return self.actions[index]

    def may_leave(self, index: int, verb: Verb, details: Mapping[str, object]) -> bool:
        """Whether the request that changes something may leave now; its intent is on disk then, and it counts as sent.

        Raises:
            Held, CannotWrite: as `Pen.intend`.
            Stale: what was seen is too old.
        """
        if not self.is_open:
            return False
        subject = self.actions[index].guest.subject
        # a hold keeps its subject on, so it has nothing against a start
        holders = (subject, *self._kept_by) if verb == "shutdown" else ()
        intent = self.pen.intend(verb, subject, details, unless_held=holders)
        with self._settled:
            fresh = self.is_fresh()
            if fresh and self.is_open:
                self.sent.add(index)
                self._intents[index] = intent
                return True
        self.pen.ended(intent, OutcomeStatus.SKIPPED, error=NOT_REACHED)
        if not fresh:
            raise Stale
        return False

    def turned_down(self, index: int, why: str) -> None:
        """The request has changed nothing: PVE has refused it, or it never left."""
        with self._settled:
            self.sent.discard(index)
            intent = self._intents.pop(index, None)
        self.pen.ended(intent, OutcomeStatus.FAILED, error=why)

    def put_down(self, index: int) -> None:
        with self._settled:
            self.in_hand.discard(index)
            self._settled.notify_all()

    def close(self, why: str) -> None:
        """Let nothing leave any more; what was not asked for yet is told `why`."""
        with self._settled:
            self._closed = self._closed or why

    def interrupt(self) -> None:
        """Let nothing leave any more, and give what is on its way a moment to come back."""
        with self._settled:
            self._interrupted = True
            self._settled.wait_for(lambda: not self.in_hand, timeout=_SETTLE_S)

    def settle(self, index: int, outcome: Outcome) -> None:
        """Write an outcome down, from whichever thread; `tell` comes later, from the one that carries out."""
        with self._settled:
            self.ended[index] = outcome
            intent = self._intents.pop(index, None)
            if self._strict and not as_wanted(outcome):
                self._closed = self._closed or f"its turn never came, as {outcome.action.guest.label} went wrong: nothing was changed"
        self.pen.came_to(intent, outcome)

    def end(self, index: int, outcome: Outcome) -> None:
        self.settle(index, outcome)
        self.tell(index, outcome)

    def tell(self, index: int, outcome: Outcome) -> None:
        if self._progress is not None and index not in self._told:
            self._told.add(index)
            self._progress(outcome)

    def outcomes(self) -> tuple[Outcome, ...]:
        """What came of every action, also of those that have not ended; the end of the matter."""
        outcomes = tuple(self.ended.get(index) or self._unended(index, action) for index, action in enumerate(self.actions))
        for index, outcome in enumerate(outcomes):
            self.pen.came_to(self._intents.pop(index, None), outcome)
            self.tell(index, outcome)
        return outcomes

    def _unended(self, index: int, action: Action) -> Outcome:
        asked = self.asked.get(index)
        if asked is not None:
            error, kind = (LEFT_GOING, INTERRUPTED) if self._interrupted else (None, None)
            return Outcome(action=action, status=OutcomeStatus.STARTED, upid=asked.upid.text, error=error, kind=kind)
        if index in self.sent:
            return Outcome(action=action, status=OutcomeStatus.UNKNOWN, error=ON_ITS_WAY, kind=INTERRUPTED)
        if self._interrupted:
            return Outcome(action=action, status=OutcomeStatus.SKIPPED, error=NEVER_ASKED, kind=INTERRUPTED)
        return Outcome(action=action, status=OutcomeStatus.SKIPPED, error=self._closed or NOT_REACHED)


def as_wanted(outcome: Outcome) -> bool:
    """Whether the guest is known to be where its action was to bring it, by that action or before it."""
    return outcome.status is OutcomeStatus.DONE or outcome.kind in _ALREADY_SO
