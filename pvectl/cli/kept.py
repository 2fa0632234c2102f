"""What the audit trail holds of a decision: enough to tell why it fell so, and to make it once more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.evidence import NodeEvidence
from pvectl.core.idle import GoOn, NodeDecision, NodeRecord, Now, Policy
from pvectl.core.plan import Plan
from pvectl.core.schedules import ledger as ledgers
from pvectl.core.schedules import sequence
from pvectl.core.schedules.ledger import Ledger
from pvectl.core.schedules.resuming import PlannedGuest
from pvectl.core.schedules.schedule import Schedule


class Case(Struct, frozen=True, kw_only=True):
    """All that one decision was made from; `pvectl explain` makes it once more from this."""

    record: NodeRecord | None
    evidence: NodeEvidence
    policy: Policy
    now: Now
    others: Mapping[str, NodeRecord] = {}


class Kept(Struct, frozen=True, kw_only=True, tag="decision", tag_field="kept"):
    """What the audit trail holds of a decision. `alone` is how it fell before the other nodes had their say, where that was otherwise.

    `handed_over`: a schedule wanted the node off, which stands for the grace period and the notice; `spared` are guests it left alone.
    """

    case: Case
    decision: NodeDecision
    alone: NodeDecision | None = None
    handed_over: bool = False
    spared: tuple[int, ...] = ()


class LastDecision(Struct, frozen=True, kw_only=True):
    """A node's last decision and its id, for those who ask where the node stands."""

    id: str
    decision: NodeDecision


class KeptLook(Struct, frozen=True, kw_only=True, tag="look", tag_field="kept"):
    """What the audit trail holds of the last look before a power-off; `ours` are the tasks of that very run."""

    case: Case
    ours: tuple[str, ...] = ()
    last: bool = False
    answer: GoOn


class KeptPlan(Struct, frozen=True, kw_only=True, tag="plan", tag_field="kept"):
    """What somebody asked for at the command line, guest by guest."""

    plan: Plan


class KeptStep(Struct, frozen=True, kw_only=True, tag="schedule", tag_field="kept"):
    """What the audit trail holds of one look at the clock for a schedule: what was known of it, and what that came to.

    Of occurrences that have ended, the guests are left out: nothing about the step depends on them.
    """

    ledger: Ledger | None
    schedule: Schedule
    config_hash: str
    now: datetime
    blockers: tuple[ledgers.Blocker, ...] = ()
    answer: ledgers.Step

    def replayed(self) -> bool:
        """Whether the same facts come to the same step once more."""
        again = ledgers.step(self.ledger, self.schedule, config_hash=self.config_hash, now=self.now, blockers=self.blockers)
        return replace(again, ledger=_slim(again.ledger)) == self.answer


def slim(kept: KeptStep) -> KeptStep:
    """The same without the guests of what has ended."""
    before = None if kept.ledger is None else _slim(kept.ledger)
    return replace(kept, ledger=before, answer=replace(kept.answer, ledger=_slim(kept.answer.ledger)))


def _slim(ledger: Ledger) -> Ledger:
    return replace(ledger, entries=tuple(replace(one, guests=()) if one.state.ended else one for one in ledger.entries))


class KeptTurns(Struct, frozen=True, kw_only=True, tag="turns", tag_field="kept"):
    """What the audit trail holds of one stage's turn: whom a look found, whom the plan had, and what was decided about each."""

    stage: str
    vmids: tuple[int, ...]
    look: sequence.Look
    plan: tuple[PlannedGuest, ...]
    answer: tuple[sequence.Turn, ...]

    def replayed(self) -> bool:
        """Whether the same facts come to the same decisions once more."""
        return sequence.turns(self.vmids, self.look, self.plan) == self.answer


Payload: TypeAlias = Kept | KeptLook | KeptPlan | KeptStep | KeptTurns
