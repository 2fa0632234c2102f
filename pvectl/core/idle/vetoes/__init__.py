"""Everything that keeps a node on: a table of small rules, each of which may veto and none of which may permit."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pvectl.core.idle.record import Blocker
from pvectl.core.idle.vetoes import cluster, guests, node, sight, work
from pvectl.core.idle.vetoes.case import Case

__all__ = ["RULES", "Case", "blockers", "definite"]

Rule = Callable[[Case], Iterable[Blocker]]

RULES: tuple[Rule, ...] = (
    node.of_quarantine,
    node.of_holds,
    node.of_cooldown,
    guests.of_guest_holds,
    guests.of_guests,
    guests.of_whereabouts,
    work.of_tasks,
    work.of_incoming,
    work.of_replication,
    work.of_ha,
    work.of_ha_policy,
    work.of_signals,
    cluster.of_ceph,
    cluster.of_served,
    cluster.of_quorum_now,
    cluster.of_quorum_after,
    cluster.of_other_nodes,
    cluster.of_nodes_budget,
    cluster.of_turn,
    node.of_uptime,
    node.of_clocks,
    node.of_guests_budget,
    node.of_day_budget,
    node.of_wake,
    node.of_next_need,
    sight.of_sight,
    sight.of_freshness,
    sight.of_unknowns,
)
"""In the order people read them: the first definite one is the reason that is told."""


def blockers(case: Case) -> tuple[Blocker, ...]:
    """Every veto against switching the node off, each once, in the order of the rules."""
    return tuple(dict.fromkeys(blocker for rule in RULES for blocker in rule(case)))


def definite(found: Iterable[Blocker]) -> tuple[Blocker, ...]:
    """Those that say, by something seen, that the node is needed."""
    return tuple(blocker for blocker in found if blocker.resets and not blocker.blind)
