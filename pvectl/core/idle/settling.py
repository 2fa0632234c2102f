"""What has become of a power-off, by looking and never by repeating it (safety rules S23 and S30)."""

from __future__ import annotations

from msgspec import structs

from pvectl.core.evidence import NodeEvidence
from pvectl.core.idle.credit import TOLERANCE_S, elapsed, restarted
from pvectl.core.idle.policy import Now, Policy
from pvectl.core.idle.record import NodeRecord, OffMark, Phase, WakeAsked, WakeProof
from pvectl.core.model import Known

SETTLE_S = 600
"""How long a node that was told to power off may take before it counts as one that did not."""
WAKE_S = 900
"""How long a node that was asked to wake up may take beyond its boot time before the waking counts as failed."""
COOLDOWN_S = 1800
MAX_COOLDOWN_S = 86_400
_MARKS = 20
NEVER_WOKE = "it did not wake up when asked to"
UNSETTLED = frozenset({Phase.DRAIN, Phase.OFF_SENT, Phase.OFF_SEEN})


def settled(record: NodeRecord, evidence: NodeEvidence, policy: Policy, now: Now) -> NodeRecord:
    """The record of a node on its way down or off, brought up to what is seen; unchanged while that says nothing yet."""
    record = _woken_up(record, evidence, now) if evidence.status == "online" else _still_asleep(record, evidence, policy, now)
    match record.phase, evidence.status:
        case ((Phase.DRAIN | Phase.OFF_SENT), "offline"):
            return went_off(record, now)
        case ((Phase.DRAIN | Phase.OFF_SENT), "online"):
            return _still_there(record, evidence, policy, now)
        case Phase.OFF_SEEN, "online" if isinstance(evidence.uptime, Known):
            return _back(record, evidence, policy, now)
        case _:
            return record


def let_go(record: NodeRecord, status: str, now: Now) -> NodeRecord:
    """The record of a node that is not on the list any more: a power-off of it is over once the node is seen off, or on, or gone.

    Nobody looks at such a node closely, and what was never settled of it must not hold up the others for ever.
    """
    match record.phase, status:
        case ((Phase.DRAIN | Phase.OFF_SENT), "offline"):
            return went_off(record, now)
        case ((Phase.DRAIN | Phase.OFF_SENT), "online") if record.attempt is not None and age(record.attempt, now) < SETTLE_S:
            return record
        case ((Phase.DRAIN | Phase.OFF_SENT | Phase.OFF_SEEN), ("online" | "missing")):
            return structs.replace(without_credit(record), phase=Phase.BUSY, since=now.wall, attempt=None, planned=())
        case _:
            return record


def went_off(record: NodeRecord, now: Now) -> NodeRecord:
    """Seen off: the end of an attempt, and of all failures before it."""
    return structs.replace(
        off_marked(record, now), phase=Phase.OFF_SEEN, since=now.wall, failures=0, last_failure=None, cooldown_left_s=0.0, planned=()
    )


def failed(record: NodeRecord, why: str, policy: Policy, now: Now) -> NodeRecord:
    """One more attempt that came to nothing: the next one waits twice as long, and after too many of them a person has to look."""
    failures = record.failures + 1
    left = float(min(COOLDOWN_S * 2 ** min(failures - 1, 16), MAX_COOLDOWN_S))
    given_up = failures >= policy.max_failures
    return structs.replace(
        without_credit(record),
        phase=Phase.QUARANTINE if given_up else Phase.COOLDOWN,
        since=now.wall,
        failures=failures,
        last_failure=why,
        cooldown_left_s=left,
        quarantine=f"{failures} attempts in a row failed, the last one: {why}" if given_up else record.quarantine,
        attempt=None,
        planned=(),
        # the cooldown is counted from this moment on
        boot_id=now.boot_id,
        boottime=now.boottime,
        wall=now.wall,
    )


def off_marked(record: NodeRecord, now: Now) -> NodeRecord:
    """The record with this attempt among the power-offs, once."""
    made = record.attempt or mark(now)
    if any((one.boot_id, one.boottime) == (made.boot_id, made.boottime) for one in record.off_history):
        return record
    return structs.replace(record, off_history=(*record.off_history, made)[-_MARKS:])


def without_credit(record: NodeRecord) -> NodeRecord:
    """The record with nothing counted: the grace period begins anew."""
    return structs.replace(record, credit_s=0.0, notice_s=0.0, observations=0, idle_since=None)


def wake_failed(record: NodeRecord, now: Now) -> NodeRecord:
    """It was asked to wake up and did not: it is not switched off again until a person has looked (safety rule S26)."""
    return structs.replace(
        without_credit(record),
        phase=Phase.QUARANTINE,
        since=now.wall,
        quarantine=NEVER_WOKE,
        wake_proof=None,
        wake_asked=None,
    )


def mark(now: Now) -> OffMark:
    return OffMark(at=now.wall, boottime=now.boottime, boot_id=now.boot_id)


def age(of: OffMark | WakeAsked, now: Now) -> float:
    """Seconds since then, by the clock that never steps where the same boot measured it, by the wall clock otherwise; never negative."""
    if of.boot_id is not None and of.boot_id == now.boot_id:
        return max(now.boottime - of.boottime, 0.0)
    return max((now.wall - of.at).total_seconds(), 0.0)


def _still_there(record: NodeRecord, evidence: NodeEvidence, policy: Policy, now: Now) -> NodeRecord:
    if _was_restarted(record, evidence, now):
        return structs.replace(without_credit(went_off(record, now)), phase=Phase.BUSY, attempt=None)
    if record.attempt is not None and age(record.attempt, now) < SETTLE_S:
        return record
    why = (
        "it was told to power off and is still there" if record.phase == Phase.OFF_SENT else "the run that switched it off was interrupted"
    )
    return failed(record, why, policy, now)


def _back(record: NodeRecord, evidence: NodeEvidence, policy: Policy, now: Now) -> NodeRecord:
    """A node that was seen off and is on: it has booted since, or it never was off, and only nobody could see it for a while."""
    if _was_restarted(record, evidence, now):
        return structs.replace(without_credit(record), phase=Phase.BUSY, since=now.wall, attempt=None)
    return failed(record, "it was seen off, and is on without having been restarted", policy, now)


def _woken_up(record: NodeRecord, evidence: NodeEvidence, now: Now) -> NodeRecord:
    """A node that was asked to wake up and has booted since: the way it was asked in works. One that was on all along proves nothing."""
    asked = record.wake_asked
    if asked is None or not isinstance(evidence.uptime, Known):
        return record
    booted_since = evidence.uptime.value < age(asked, now) + TOLERANCE_S
    return structs.replace(
        record, wake_asked=None, wake_proof=WakeProof(method=asked.method, at=now.wall) if booted_since else record.wake_proof
    )


def _still_asleep(record: NodeRecord, evidence: NodeEvidence, policy: Policy, now: Now) -> NodeRecord:
    overdue = record.wake_asked is not None and age(record.wake_asked, now) >= policy.boot_time + WAKE_S
    return wake_failed(record, now) if overdue and evidence.status == "offline" else record


def _was_restarted(record: NodeRecord, evidence: NodeEvidence, now: Now) -> bool:
    passed = elapsed(record, now)
    if passed is not None:
        return restarted(record, evidence, passed)
    if not isinstance(evidence.uptime, Known) or record.uptime is None:
        return False
    return evidence.uptime.value < record.uptime or evidence.uptime.value < (now.wall - record.wall).total_seconds() - TOLERANCE_S
