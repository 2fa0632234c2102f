"""All that is known about a node that may go off, from live reads; its task list comes last, so that whatever began meanwhile shows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from pvectl.core.evidence import Fact, NodeEvidence, Signal
from pvectl.core.model import Guest
from pvectl.observe.answers import ask_all
from pvectl.observe.asking import Asking
from pvectl.observe.circumstances import derived
from pvectl.observe.glance import Glance, glance
from pvectl.observe.reading import Reading, config_question, page_of
from pvectl.observe.signals import of_probe

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.pve.client import GuestConfig, ProxmoxClient

_SOON = 5.0
"""Seconds a look may be old before the reading that rests on it begins."""


def node_evidence(
    client: ProxmoxClient,
    clock: Clock,
    seen: Glance,
    nodes: Sequence[str],
    *,
    asking: Asking | None = None,
) -> dict[str, NodeEvidence]:
    """Everything about each of these nodes, by name; what is not answered is unknown with its reason, and nothing else is.

    At most 12 requests that all share, the two of `seen` among them (one more where a storage comes over the network), and 6 for each
    node, whatever the number of guests.

    Raises:
        PvectlError: something that says more than that a question stays unanswered.
    """
    asking, names = asking or Asking(), tuple(dict.fromkeys(nodes))
    probed = _probed(client, seen, names, asking)
    if asking.probes and (clock.now() - seen.taken_at).total_seconds() > _SOON:
        # a program may take minutes, and what rests on the look must not be as old as that
        seen = glance(client, clock)
    found = Reading(client, clock, seen, names, asking).evidence()
    return {node: replace(one, signals=(*one.signals, *probed[node])) for node, one in found.items()}


def _probed(client: ProxmoxClient, seen: Glance, nodes: Sequence[str], asking: Asking) -> dict[str, tuple[Signal, ...]]:
    """What the administrator's programs say, all at once and before anything else is read."""
    asked = [(node, probe) for node in nodes for probe in asking.probes]
    within = client.time_left()
    answers = client.in_parallel(
        [
            partial(of_probe, probe, node, [guest for guest in seen.placed or () if guest.node == node], within=within)
            for node, probe in asked
        ]
    )
    told = [(node, answer) for (node, _), answer in zip(asked, answers, strict=True) if isinstance(answer, Signal)]
    return {node: tuple(answer for name, answer in told if name == node) for node in nodes}


def startup_orders(client: ProxmoxClient, clock: Clock, guests: Sequence[Guest]) -> dict[int, Fact[str | None]]:
    """The `startup` line of each guest, None where it has none; one request for each, so only for guests that are to be shut down now."""
    answers = ask_all(client, clock, [config_question(client, guest) for guest in guests])
    return {guest.vmid: derived(answers[page_of(guest, "config")], _startup_of) for guest in guests}


def _startup_of(config: GuestConfig) -> str | None:
    line = config.options.get("startup")
    return None if line is None else str(line)
