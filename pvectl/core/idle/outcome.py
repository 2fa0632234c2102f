"""What is remembered of an attempt to switch a node off, and of one to wake it."""

from __future__ import annotations

from msgspec import structs

from pvectl.core.idle.policy import Now, Policy
from pvectl.core.idle.record import NodeRecord, Phase, StoppedByUs, WakeAsked, WakeProof
from pvectl.core.idle.settling import COOLDOWN_S, NEVER_WOKE, UNSETTLED, failed, off_marked, wake_failed, went_off, without_credit
from pvectl.core.plan import Outcome, OutcomeStatus, PowerOutcome, Shutdown

_ASKED = frozenset({OutcomeStatus.DONE, OutcomeStatus.STARTED, OutcomeStatus.TIMED_OUT, OutcomeStatus.UNKNOWN})


def after(record: NodeRecord, outcome: PowerOutcome, policy: Policy, now: Now) -> NodeRecord:
    """The record once an attempt is over; whatever left no certain end stays open, and is settled by looking (safety rule S23)."""
    if outcome.status == OutcomeStatus.DRY_RUN:
        return record
    stopped = {one.vmid: one for one in (*record.stopped_by_us, *_stopped(outcome, now))}
    record = structs.replace(without_credit(record), stopped_by_us=tuple(stopped.values()))
    if not outcome.sent:
        if outcome.status == OutcomeStatus.SKIPPED:
            return structs.replace(record, phase=Phase.BUSY, since=now.wall, attempt=None, planned=())
        return failed(record, outcome.error or outcome.status.value, policy, now)
    record = off_marked(record, now)
    if outcome.status == OutcomeStatus.DONE:
        return went_off(record, now)
    if outcome.status == OutcomeStatus.FAILED:
        return failed(record, outcome.error or "the node refused to power off", policy, now)
    return structs.replace(record, phase=Phase.OFF_SENT, since=now.wall, cooldown_left_s=float(COOLDOWN_S))


def woken(record: NodeRecord, now: Now, *, ok: bool | None, method: str = "wakeonlan") -> NodeRecord:
    """The record after `node wake`: True proves the way and ends a quarantine, False begins one; None: asked, and nobody waited."""
    if ok is None:
        asked = WakeAsked(method=method, at=now.wall, boottime=now.boottime, boot_id=now.boot_id)
        return structs.replace(record, wake_asked=asked)
    if not ok:
        return wake_failed(record, now)
    proof = WakeProof(method=method, at=now.wall)
    return structs.replace(reset(record, now), phase=Phase.BUSY, attempt=None, planned=(), wake_proof=proof, wake_asked=None)


def looked_after(record: NodeRecord, now: Now) -> NodeRecord:
    """The record once a person wanted the node awake that is on already: a quarantine for attempts that failed ends with that.

    One for a wake-up call that was not heard only ends by a call that is: that the node is on proves nothing (safety rule S26).
    """
    if record.quarantine is None or record.quarantine == NEVER_WOKE:
        return record
    return reset(record, now)


def reset(record: NodeRecord, now: Now) -> NodeRecord:
    """The record once a person has looked: no quarantine, no cooldown, no failures, and the grace period from its beginning.

    A power-off whose end is open stays open: what became of it is for the next look to see.
    """
    phase = record.phase if record.phase in UNSETTLED else Phase.BUSY
    record = structs.replace(without_credit(record), phase=phase, since=now.wall)
    return structs.replace(record, failures=0, last_failure=None, cooldown_left_s=0.0, quarantine=None)


def _stopped(outcome: PowerOutcome, now: Now) -> tuple[StoppedByUs, ...]:
    return tuple(_of_guest(one, one.action, now) for one in outcome.guests if isinstance(one.action, Shutdown) and one.status in _ASKED)


def _of_guest(one: Outcome, action: Shutdown, now: Now) -> StoppedByUs:
    guest = action.guest
    pending = one.status != OutcomeStatus.DONE
    return StoppedByUs(vmid=guest.vmid, type=guest.type, at=now.wall, upid=one.upid, hastate=guest.hastate, pending=pending)
