"""Which nodes have been idle long enough to switch off."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from msgspec import structs

from pvectl.core.amounts import span
from pvectl.core.evidence import NodeEvidence, Peer
from pvectl.core.idle.credit import MIN_OBSERVATIONS, Break, elapsed
from pvectl.core.idle.policy import Now, Policy
from pvectl.core.idle.record import Blocker, NodeDecision, NodeRecord, Phase, Step
from pvectl.core.idle.remembering import aged, breaks, entered, fresh, remembered, sane
from pvectl.core.idle.settling import UNSETTLED, mark, settled, without_credit
from pvectl.core.idle.told import if_gone, stays_on, utc
from pvectl.core.idle.vetoes import Case, blockers, definite
from pvectl.core.idle.vetoes.case import value
from pvectl.core.idle.vetoes.guests import ha_service, needs_its_node, running
from pvectl.core.model import Guest
from pvectl.core.plan import Reason, Shutdown, SwitchOff, Verdict

_PHASE_OF = {Reason.QUARANTINE: Phase.QUARANTINE, Reason.COOLDOWN: Phase.COOLDOWN, Reason.HELD: Phase.HELD}
# phases that a look at a node that is not on, or not ours, does not end
_LASTING = frozenset({*UNSETTLED, Phase.COOLDOWN, Phase.QUARANTINE})
# answers that no passing of time would change
_NO_END = frozenset({Reason.NOT_LISTED, Reason.NODE_MISSING, Reason.NODE_OFF, Reason.SWITCHED_OFF, Reason.OFF_SENT, Reason.STATUS_UNKNOWN})


def step(
    record: NodeRecord | None, evidence: NodeEvidence, policy: Policy, now: Now, others: Mapping[str, NodeRecord] | None = None
) -> Step:
    """One look at one node: what to remember of it, and what to do; `others` are the records of the other nodes.

    It only ever says act on a complete and idle look that ends a grace period of such looks and a notice after it, both in credited time.
    """
    case = _case(record, evidence, policy, now, others)
    held_back = _held_back(case)
    return held_back if isinstance(held_back, Step) else _idle(case, held_back)


def handed_over(
    record: NodeRecord | None,
    evidence: NodeEvidence,
    policy: Policy,
    now: Now,
    others: Mapping[str, NodeRecord] | None = None,
    *,
    spared: Collection[int] = (),
) -> Step:
    """One look at a node that a schedule wants off, once its guests are: the schedule stands for the grace period and for the notice.

    Every veto counts as in `step`, and nothing is credited to later looks. `spared` are guests that the schedule has dealt with: one that
    runs all the same was left alone, held perhaps, or was started again, so its node stays on.
    """
    case = _case(record, evidence, policy, now, others)
    found = _held_back(case)
    if isinstance(found, Step):
        return found
    record = without_credit(remembered(case))
    found += tuple(_left_alone(guest) for guest in running(case) if guest.vmid in spared)
    if found:
        detail = stays_on(case.node, found)
        return Step(record=record, decision=_decided(case, record, Verdict.KEEP, found[0].reason, detail, found))
    return _act(case, record, Reason.SCHEDULED, "is to go off, as a schedule says")


def _left_alone(guest: Guest) -> Blocker:
    detail = f"{guest.label} runs: its schedule left it alone, or somebody has started it since"
    return Blocker(reason=Reason.LEFT_ALONE, subject=guest.subject, detail=detail)


def busy_at_a_glance(
    record: NodeRecord | None, cheap: NodeEvidence, policy: Policy, now: Now, others: Mapping[str, NodeRecord] | None = None
) -> bool:
    """Whether the cheap look is enough to keep the node on, so that the deep reads can be spared."""
    record = sane(record or fresh(cheap.node, now))
    if record.phase in UNSETTLED and cheap.status == "online":
        return False
    if cheap.node not in policy.nodes or cheap.status != "online":
        return True
    case = Case(evidence=cheap, policy=policy, record=aged(record, now), now=now, others=others or {})
    return bool(definite(blockers(case)))


def choose(steps: Sequence[Step], policy: Policy) -> tuple[Step, ...]:
    """The same steps with at most one that acts: the first on the list; a limit on guests that one of them breaks stops all (S12)."""
    acting = [one for one in steps if one.decision.verdict == Verdict.ACT]
    over = next((one.decision.node for one in steps if _only_too_many_guests(one, policy)), None)
    first = min(acting, key=lambda one: policy.nodes.index(one.decision.node)) if acting else None
    chosen: list[Step] = []
    for one in steps:
        if one.decision.verdict != Verdict.ACT or (one is first and over is None):
            chosen.append(one)
        elif over is not None:
            why = f"{one.decision.node} waits: node {over} would need more guests shut down than one run may, so this run does nothing"
            chosen.append(_put_off(one, Reason.TOO_MANY_GUESTS, why))
        else:
            assert first is not None
            why = f"{one.decision.node} waits: {first.decision.node} goes first, and one node is switched off per run"
            chosen.append(_put_off(one, Reason.ANOTHER_FIRST, why))
    return tuple(chosen)


def peers(cheap: Iterable[NodeEvidence], policy: Policy, now: Now) -> tuple[Peer, ...]:
    """What the cheap looks say of each configured node to the others, for `controller: per-node`."""
    return tuple(_peer(Case(evidence=one, policy=policy, record=fresh(one.node, now), now=now)) for one in cheap)


def _peer(case: Case) -> Peer:
    busy = next((guest.label for guest in running(case) if guest.status == "running" and needs_its_node(guest, case)), None)
    return Peer(node=case.node, online=case.evidence.status != "offline", busy_with=busy)


def _case(record: NodeRecord | None, evidence: NodeEvidence, policy: Policy, now: Now, others: Mapping[str, NodeRecord] | None) -> Case:
    record = settled(sane(record or fresh(evidence.node, now)), evidence, policy, now)
    return Case(evidence=evidence, policy=policy, record=aged(record, now), now=now, others=others or {})


def _held_back(case: Case) -> Step | tuple[Blocker, ...]:
    """The answer for a node that is needed or not to be judged; for an idle one what stands against switching it off all the same."""
    apart = _not_to_be_judged(case)
    if apart is not None:
        return apart
    found = blockers(case)
    needed = definite(found)
    if needed:
        return _keep(case, found if case.evidence.live else needed, _PHASE_OF.get(needed[0].reason, Phase.BUSY))
    return _blind(case, found) if any(blocker.blind for blocker in found) else found


def _not_to_be_judged(case: Case) -> Step | None:
    """The answer for a node that is not on, not ours, or whose power-off is not settled yet."""
    node, phase, status = case.node, case.record.phase, case.evidence.status
    if node not in case.policy.nodes:
        return _apart(case, Verdict.KEEP, Reason.NOT_LISTED, f"{node} is not among the nodes of idle_check")
    if status == "missing":
        return _apart(case, Verdict.KEEP, Reason.NODE_MISSING, f"the cluster has no node {node}")
    if status not in ("online", "offline"):
        return _apart(case, Verdict.BLIND, Reason.STATUS_UNKNOWN, f"the status of {node} is {status}")
    if phase == Phase.OFF_SEEN and status == "online":
        return _apart(case, Verdict.BLIND, Reason.STATUS_UNKNOWN, f"{node} was switched off and is on again, and since when cannot be told")
    if phase == Phase.OFF_SEEN:
        return _apart(case, Verdict.KEEP, Reason.SWITCHED_OFF, f"{node} is off: pvectl switched it off")
    if phase in UNSETTLED:
        return _apart(case, Verdict.WAIT, Reason.OFF_SENT, f"{node} is being switched off, and is not off yet")
    if status == "offline":
        return _apart(case, Verdict.KEEP, Reason.NODE_OFF, f"{node} is off, and not by pvectl's doing")
    return None


def _apart(case: Case, verdict: Verdict, reason: Reason, detail: str) -> Step:
    record = without_credit(remembered(case))
    if record.phase not in _LASTING:
        record = entered(record, Phase.BUSY, case.now)
    return Step(record=record, decision=_decided(case, record, verdict, reason, detail))


def _keep(case: Case, found: tuple[Blocker, ...], phase: Phase) -> Step:
    record = entered(without_credit(remembered(case)), phase, case.now)
    first = next(blocker for blocker in found if blocker.resets and not blocker.blind)
    ordered = (first, *(blocker for blocker in found if blocker is not first))
    detail = stays_on(case.node, ordered)
    return Step(record=record, decision=_decided(case, record, Verdict.KEEP, first.reason, detail, ordered))


def _blind(case: Case, found: tuple[Blocker, ...]) -> Step:
    record = entered(without_credit(remembered(case)), Phase.BUSY, case.now)
    first = next(blocker for blocker in found if blocker.blind)
    ordered = (first, *(blocker for blocker in found if blocker is not first))
    detail = stays_on(case.node, ordered)
    return Step(record=record, decision=_decided(case, record, Verdict.BLIND, first.reason, detail, ordered))


def _idle(case: Case, held_back: tuple[Blocker, ...]) -> Step:
    """A complete and idle look: one more in the chain, or the first of a new one."""
    broken = next(breaks(case), None) if case.record.observations else None
    record = _counted(case, broken)
    if held_back:
        record = entered(structs.replace(record, notice_s=0.0), Phase.IDLE, case.now)
        detail = stays_on(case.node, held_back)
        return Step(record=record, decision=_decided(case, record, Verdict.KEEP, held_back[0].reason, detail, held_back))
    if record.credit_s < case.policy.grace_period or record.observations < MIN_OBSERVATIONS:
        record = entered(structs.replace(record, notice_s=0.0), Phase.IDLE, case.now)
        detail = f"{case.node} is idle, and its grace period is not over"
        if broken is not None:
            detail = f"{case.node} is idle, and its grace period begins anew: {broken.detail}"
        return Step(record=record, decision=_decided(case, record, Verdict.WAIT, Reason.GRACE_PERIOD, detail))
    if record.phase != Phase.NOTICE:
        record = entered(structs.replace(record, notice_s=0.0), Phase.NOTICE, case.now)
    if record.notice_s < case.policy.notice:
        detail = f"{case.node} will be switched off, unless somebody keeps it on (pvectl hold add {case.node} --reason WHY)"
        return Step(record=record, decision=_decided(case, record, Verdict.WAIT, Reason.NOTICE, detail))
    return _act(case, record, Reason.GRACE_OVER, f"has been idle for {span(record.credit_s)}")


def _counted(case: Case, broken: Break | None) -> NodeRecord:
    """The record with the time since the last idle look added, or begun anew; time of a notice counts for both."""
    before, record = case.record, remembered(case)
    if not before.observations or broken is not None:
        return structs.replace(without_credit(record), observations=1, idle_since=case.now.wall)
    passed = elapsed(before, case.now) or 0.0
    return structs.replace(
        record,
        credit_s=before.credit_s + passed,
        notice_s=before.notice_s + passed if before.phase == Phase.NOTICE else 0.0,
        observations=before.observations + 1,
    )


def _act(case: Case, record: NodeRecord, reason: Reason, because: str) -> Step:
    guests = sorted(running(case), key=lambda guest: guest.vmid, reverse=True)
    timeout = case.policy.shutdown_timeout
    stage = tuple(Shutdown(guest=guest, timeout=timeout, through_ha=ha_service(guest, case) is not None) for guest in guests)
    action = SwitchOff(node=case.node, stages=(stage,) if stage else ())
    planned = tuple(guest.vmid for guest in guests)
    record = structs.replace(entered(record, Phase.DRAIN, case.now), attempt=mark(case.now), planned=planned)
    what = f"{len(guests)} guest{'' if len(guests) == 1 else 's'} shut down, then " if guests else ""
    detail = f"{case.node} {because}: {what}it is powered off"
    if value(case.evidence.way_out) is False:
        detail += ", and nobody can see its end, as no API host but itself answers"
    decision = _decided(case, record, Verdict.ACT, reason, detail)
    return Step(record=record, decision=structs.replace(decision, action=action))


def _decided(  # a decision says all of this
    case: Case, record: NodeRecord, verdict: Verdict, reason: Reason, detail: str, found: tuple[Blocker, ...] = ()
) -> NodeDecision:
    due = _due(case, record, found) if verdict != Verdict.ACT and reason not in _NO_END else None
    return NodeDecision(
        node=case.node,
        at=case.now.wall,
        phase=record.phase,
        verdict=verdict,
        reason=reason,
        detail=detail,
        blockers=found,
        credit_s=record.credit_s,
        grace_s=case.policy.grace_period,
        since=record.since,
        due=due,
        if_gone=if_gone(found, due, utc(case.now.wall)),
    )


def _due(case: Case, record: NodeRecord, found: tuple[Blocker, ...]) -> datetime | None:
    """The earliest moment the node could go off: once all in its way is gone, the rest of the grace period, the looks and the notice."""
    if any(blocker.reason == Reason.QUARANTINE for blocker in found):
        return None
    policy, begin = case.policy, case.now.wall
    for blocker in found:
        if blocker.until is not None and (blocker.resets or blocker.blind):
            begin = max(begin, blocker.until)
    looks = max(MIN_OBSERVATIONS - max(record.observations, 1), 0) * policy.interval
    idle = begin + timedelta(seconds=max(policy.grace_period - record.credit_s, looks, 0.0))
    for blocker in found:
        idle = max(idle, blocker.until) if blocker.until is not None else idle
    return idle + timedelta(seconds=max(policy.notice - record.notice_s, 0.0))


def _only_too_many_guests(one: Step, policy: Policy) -> bool:
    """Whether nothing but the number of its guests keeps a node from being switched off in this run."""
    decision = one.decision
    enough = decision.credit_s >= policy.grace_period and one.record.observations >= MIN_OBSERVATIONS
    return enough and {blocker.reason for blocker in decision.blockers} == {Reason.TOO_MANY_GUESTS}


def _put_off(one: Step, reason: Reason, detail: str) -> Step:
    record = structs.replace(one.record, phase=Phase.NOTICE, attempt=None, planned=())
    return Step(
        record=record,
        decision=structs.replace(one.decision, phase=Phase.NOTICE, verdict=Verdict.WAIT, reason=reason, detail=detail, action=None),
    )
