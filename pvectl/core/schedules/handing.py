"""The nodes that are to go off once a schedule's guests are through: each has its turn once, whatever run it falls into."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.idle import NodeDecision, NodeRecord, Phase
from pvectl.core.plan import OutcomeStatus, PowerOutcome, Reason, Verdict

_WENT_WRONG = frozenset({OutcomeStatus.FAILED, OutcomeStatus.UNKNOWN, OutcomeStatus.TIMED_OUT})
_IS_OFF = frozenset({Reason.SWITCHED_OFF, Reason.NODE_OFF})
_COST = frozenset({Phase.COOLDOWN, Phase.QUARANTINE})


class PlannedNode(Struct, frozen=True, kw_only=True):
    """One node to be switched off afterwards. `begun` is on disk before anything of it is; `result` None: its turn is not over."""

    node: str
    begun: bool = False
    result: OutcomeStatus | None = None


def waiting(nodes: Iterable[PlannedNode]) -> tuple[PlannedNode, ...]:
    """Those whose turn is not over."""
    return tuple(one for one in nodes if one.result is None)


def went_wrong(nodes: Iterable[PlannedNode]) -> bool:
    return any(one.result in _WENT_WRONG for one in nodes)


def stops_the_rest(planned: PlannedNode) -> bool:
    """Whether its turn had begun and it is not off: no occasion to switch the next one off (safety rule S22)."""
    return planned.begun and planned.result not in (None, OutcomeStatus.DONE)


def known(nodes: Iterable[PlannedNode], node: str, **more: object) -> tuple[PlannedNode, ...]:
    """The nodes with what is known of one of them now."""
    return tuple(replace(one, **more) if one.node == node else one for one in nodes)


def result_of(decision: NodeDecision, outcome: PowerOutcome | None) -> OutcomeStatus | None:
    """What a node's turn came to; None where a later run may look again: nobody could see, or it is on its way off already."""
    if outcome is not None:
        return outcome.status
    match decision.verdict:
        case Verdict.ACT:
            return OutcomeStatus.DRY_RUN
        case Verdict.KEEP:
            return OutcomeStatus.SKIPPED
        case _:
            return None


def result_since(decision: NodeDecision, record: NodeRecord, *, since: datetime) -> OutcomeStatus | None:
    """What became of a node whose turn had begun when its run died; None where that cannot be told yet.

    It is seen and never done again, so what the decision would permit now plays no part.
    """
    if decision.reason in _IS_OFF or any(mark.at >= since for mark in record.off_history):
        return OutcomeStatus.DONE
    if decision.verdict in (Verdict.WAIT, Verdict.BLIND):
        return None
    return OutcomeStatus.FAILED if decision.verdict is Verdict.ACT or record.phase in _COST else OutcomeStatus.SKIPPED
