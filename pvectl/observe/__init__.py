"""Observing: a cluster at one look, the proof that nothing is hidden in it, and all that is known about a node that may go off."""

from pvectl.observe.asking import Asking
from pvectl.observe.cluster import look, look_closer
from pvectl.observe.configured import configurations, ourselves, startup_lines
from pvectl.observe.glance import Glance, at_a_glance, glance
from pvectl.observe.node import node_evidence, startup_orders
from pvectl.observe.proof import prove_complete

__all__ = [
    "Asking",
    "Glance",
    "at_a_glance",
    "configurations",
    "glance",
    "look",
    "look_closer",
    "node_evidence",
    "ourselves",
    "prove_complete",
    "startup_lines",
    "startup_orders",
]
