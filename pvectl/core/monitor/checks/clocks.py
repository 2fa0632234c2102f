"""How far the nodes' clocks are apart, with the time the question was on its way taken off."""

from __future__ import annotations

from pvectl.core.model import Known
from pvectl.core.monitor.checks.check import Case, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import Blind, Look
from pvectl.core.monitor.checks.nodes import every_node
from pvectl.core.monitor.checks.settings import MINUTE
from pvectl.core.monitor.finding import Unit
from pvectl.core.monitor.monitored import ClockReading, NodeFacts


def offset(reading: ClockReading) -> float | None:
    """Seconds the node's clock is ahead of ours; None when it told nothing."""
    if reading.told is None:
        return None
    # the node cuts to whole seconds, so on average it means half a second later than it says
    return reading.told + 0.5 - (reading.asked + reading.answered) / 2


def doubt(reading: ClockReading) -> float:
    """How much of an offset may be the way there and back, and the part of the second the node keeps to itself."""
    return (reading.answered - reading.asked) / 2 + 0.5


def common_offset(offsets: list[float]) -> float:
    """What most clocks agree on, our own (0) among them; where two halves disagree, ours decides."""
    ordered = sorted([0.0, *offsets])
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else min(ordered[middle - 1 : middle + 1], key=abs)


def _clocks(look: Look) -> Eligible[tuple[NodeFacts, float]]:
    readings = [facts.clock.value for facts in look.node_facts.values() if isinstance(facts.clock, Known)]
    agreed = common_offset([ahead for reading in readings if (ahead := offset(reading)) is not None])
    for item in every_node(look):
        yield item if isinstance(item, Blind) else (item[0], (item[1], agreed))


def _clock(case: Case, told: tuple[NodeFacts, float]) -> Outcome:
    facts, agreed = told
    reading = case.of_node(facts.clock, "clock")
    if isinstance(reading, Blind):
        return reading
    ahead = offset(reading)
    if ahead is None:
        return case.untold(facts.clock, "time")
    off = ahead - agreed
    certain = max(0.0, abs(off) - doubt(reading))
    which = "ahead of" if off > 0 else "behind"
    message = f"node {facts.name}'s clock is {abs(off):.0f} s {which} the others" if certain >= 1 else f"node {facts.name}'s clock agrees"
    hint = f"on {facts.name}: chronyc tracking"
    return case.measured(certain, message, evidence=case.look.evidence(facts.clock, "time"), hint=hint)


CHECKS = (
    check(
        "node.clock",
        "the node's clock agrees with the others",
        about="node",
        sources=("node-clock",),
        eligible=_clocks,
        examine=_clock,
        hold=10 * MINUTE,
        unit=Unit.SECONDS,
    ),
)
