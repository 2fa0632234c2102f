"""Carries plans out: looks again right before each request, and believes only what it then sees."""

from __future__ import annotations

from pvectl.act.carrying import carry_out, longest_wait
from pvectl.act.departure import OFF_WITHIN_S
from pvectl.act.diary import Diary, Verb
from pvectl.act.guests import NeededTag
from pvectl.act.ledger import Progress, interrupted
from pvectl.act.node import Reconsider, Reconsidered, longest_switch_off, switch_off
from pvectl.act.waking import ALREADY_ONLINE, WITHIN_S, wake

__all__ = [
    "ALREADY_ONLINE",
    "OFF_WITHIN_S",
    "WITHIN_S",
    "Diary",
    "NeededTag",
    "Progress",
    "Reconsider",
    "Reconsidered",
    "Verb",
    "carry_out",
    "interrupted",
    "longest_switch_off",
    "longest_wait",
    "switch_off",
    "wake",
]
