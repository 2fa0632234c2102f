"""When a node has been idle long enough to be switched off, and all that is remembered on the way there."""

from pvectl.core.idle.deciding import busy_at_a_glance, choose, handed_over, peers, step
from pvectl.core.idle.going_on import GoOn, may_go_on
from pvectl.core.idle.outcome import after, looked_after, reset, woken
from pvectl.core.idle.policy import Now, Policy
from pvectl.core.idle.record import Blocker, NodeDecision, NodeRecord, Phase, Step, StoppedByUs, WakeProof
from pvectl.core.idle.remembering import fresh
from pvectl.core.idle.settling import let_go
from pvectl.core.idle.told import told
from pvectl.core.idle.vetoes import blockers
from pvectl.core.idle.vetoes.history import look_back

__all__ = [
    "Blocker",
    "GoOn",
    "NodeDecision",
    "NodeRecord",
    "Now",
    "Phase",
    "Policy",
    "Step",
    "StoppedByUs",
    "WakeProof",
    "after",
    "blockers",
    "busy_at_a_glance",
    "choose",
    "fresh",
    "handed_over",
    "let_go",
    "look_back",
    "looked_after",
    "may_go_on",
    "peers",
    "reset",
    "step",
    "told",
    "woken",
]
