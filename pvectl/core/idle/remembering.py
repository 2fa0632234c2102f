"""What a run hands on to the next one about a node."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import timedelta

from msgspec import structs

from pvectl.core.idle.credit import TOLERANCE_S, Break, elapsed, interruption
from pvectl.core.idle.policy import Now
from pvectl.core.idle.record import NodeRecord, OffMark, Phase
from pvectl.core.idle.settling import MAX_COOLDOWN_S, UNSETTLED, without_credit
from pvectl.core.idle.vetoes.case import Case, value
from pvectl.core.idle.vetoes.guests import needs_its_node, running
from pvectl.core.idle.vetoes.history import known_tasks, node_clock, since_the_last_look


def fresh(node: str, now: Now) -> NodeRecord:
    """What is known of a node nobody has looked at before: nothing that counts."""
    return NodeRecord(node=node, since=now.wall, wall=now.wall, boot_id=now.boot_id, boottime=now.boottime)


def sane(record: NodeRecord) -> NodeRecord:
    """The record with numbers that can be: what cannot be counts for nothing, and forbids for as long as anything does (S31)."""
    if not (math.isfinite(record.boottime) and 0 <= record.notice_s <= record.credit_s < math.inf and record.observations >= 0):
        record = structs.replace(without_credit(record), boot_id=None, boottime=0.0)
    if not 0 <= record.cooldown_left_s <= MAX_COOLDOWN_S:
        record = structs.replace(record, cooldown_left_s=float(MAX_COOLDOWN_S))
    return record


def aged(record: NodeRecord, now: Now) -> NodeRecord:
    """The record at this moment: less of its cooldown left, and past power-offs as old as they truly are, whatever the wall clock did.

    Time that another boot of the runner measured does not count: a cooldown rather lasts too long. It begins once a power-off is settled,
    and until then `remembered` keeps the power-offs as old as they are.
    """
    passed = elapsed(record, now)
    if passed is None or record.phase in UNSETTLED:
        return record
    return structs.replace(record, cooldown_left_s=max(record.cooldown_left_s - passed, 0.0), off_history=_as_old_as_they_are(record, now))


def remembered(case: Case) -> NodeRecord:
    """The record with this look's clocks and facts in it; how long a power-off under way has taken is only ever told by its own."""
    record, evidence, now = case.record, case.evidence, case.now
    uptime = value(evidence.uptime)
    if record.phase in UNSETTLED and uptime is None and evidence.status != "offline":
        return record
    # a jump of the wall clock shows in the record's own clocks, and those are about to be this look's
    history = _as_old_as_they_are(record, now) if record.phase in UNSETTLED else record.off_history
    # what a node that is off, or has fallen silent, last said of its guests is no sign that one of them ran since
    if evidence.status == "online" and any(needs_its_node(guest, case) for guest in running(case) if guest.status != "unknown"):
        history = tuple(structs.replace(mark, needed_since=True) for mark in history)
    return structs.replace(
        record,
        node=evidence.node,
        cluster=evidence.cluster,
        policy=case.policy.fingerprint(),
        boot_id=now.boot_id,
        boottime=now.boottime,
        wall=now.wall,
        uptime=uptime if uptime is not None else record.uptime,
        node_clock=node_clock(evidence),
        known_tasks=known_tasks(evidence),
        off_history=history,
        stopped_by_us=tuple(one for one in record.stopped_by_us if one.vmid not in {guest.vmid for guest in running(case)}),
    )


def entered(record: NodeRecord, phase: Phase, now: Now) -> NodeRecord:
    """The record in a phase, since now if it was in another."""
    return record if record.phase == phase else structs.replace(record, phase=phase, since=now.wall)


def breaks(case: Case) -> Iterator[Break]:
    """Everything that breaks the chain from the last idle look to this one."""
    broken = interruption(case.record, case.evidence, case.policy, case.now)
    if broken is not None:
        yield broken
    yield from since_the_last_look(case)


def _as_old_as_they_are(record: NodeRecord, now: Now) -> tuple[OffMark, ...]:
    """The past power-offs by the wall clock as it is now."""
    passed = elapsed(record, now)
    jump = (now.wall - record.wall).total_seconds() - passed if passed is not None else 0.0
    return tuple(_moved(mark, jump, now) for mark in record.off_history) if abs(jump) > TOLERANCE_S else record.off_history


def _moved(mark: OffMark, jump: float, now: Now) -> OffMark:
    """A power-off of another boot is told by the wall clock, so that it has to go along when that one is set."""
    if mark.boot_id == now.boot_id:
        return mark
    return structs.replace(mark, at=min(mark.at + timedelta(seconds=jump), now.wall))
