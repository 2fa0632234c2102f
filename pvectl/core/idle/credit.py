"""How much idle time counts: only what lies between two complete idle looks of the same runner boot (safety rule S14)."""

from __future__ import annotations

from msgspec import Struct

from pvectl.core.amounts import span
from pvectl.core.evidence import NodeEvidence
from pvectl.core.idle.policy import Now, Policy
from pvectl.core.idle.record import NodeRecord
from pvectl.core.model import Known
from pvectl.core.plan import Reason

# how far the node's uptime and clock may seem to drift from ours between two looks: answers are in whole seconds and take a while
TOLERANCE_S = 60
MIN_OBSERVATIONS = 3


class Break(Struct, frozen=True, kw_only=True):
    """Why the time since the last look does not count, and what was counted before with it."""

    reason: Reason
    detail: str


def elapsed(record: NodeRecord, now: Now) -> float | None:
    """Seconds since the last run by the clock that counts suspend and never steps; None where another boot measured it, or it ran back."""
    if record.boot_id is None or record.boot_id != now.boot_id or now.boottime < record.boottime:
        return None
    return now.boottime - record.boottime


def interruption(record: NodeRecord, evidence: NodeEvidence, policy: Policy, now: Now) -> Break | None:
    """What breaks the chain from the last idle look to this one; None when the time between them counts."""
    passed = elapsed(record, now)
    if passed is None:
        return _unseen("the machine pvectl runs on was restarted, or its clock is not the one of the last look")
    if record.credit_s > now.boottime or record.node != evidence.node or record.cluster != evidence.cluster:
        return _unseen("what was remembered of it does not fit together")
    if record.policy != policy.fingerprint():
        return _unseen("the configuration was changed")
    if passed > policy.max_gap:
        return _unseen(f"nobody looked for {span(passed)}, and no more than {span(policy.max_gap)} at a time count")
    if restarted(record, evidence, passed):
        return _unseen("the node was restarted since the last look")
    if not isinstance(evidence.uptime, Known) or record.uptime is None:
        return _unseen("whether the node was restarted since the last look cannot be told")
    if evidence.uptime.value - record.uptime > passed + TOLERANCE_S:
        return _unseen("the machine pvectl runs on stood still since the last look")
    return None


def restarted(record: NodeRecord, evidence: NodeEvidence, passed: float) -> bool:
    """Whether the node surely booted since the last look: its uptime has not grown by the time that passed."""
    if not isinstance(evidence.uptime, Known) or record.uptime is None:
        return False
    return evidence.uptime.value < passed or evidence.uptime.value - record.uptime < passed - TOLERANCE_S


def _unseen(detail: str) -> Break:
    return Break(reason=Reason.UNSEEN_BETWEEN, detail=detail)
