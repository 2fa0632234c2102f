"""What nobody wants to hear of, for how long, and why: by hand, by a guest's tag, or because the HA manager maintains a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from msgspec import Struct

from pvectl.core.alerts.rules import fits_check, is_about
from pvectl.core.model import Known
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.finding import Finding

LONGEST = timedelta(days=30)
_UNSEEN = timedelta(hours=4)
# text of pve-ha-manager PVE/API2/HA/Status.pm about a node's local manager
_MAINTENANCE = "maintenance mode"


class Silence(Struct, frozen=True, kw_only=True):
    """From `until` on it no longer counts. What is given has to fit together, with * and ? as wildcards; what is not, fits everything."""

    id: str
    checks: tuple[str, ...] = ("*",)
    object: str | None = None
    tag: str | None = None
    pool: str | None = None
    node: str | None = None
    until: datetime
    author: str
    reason: str
    made_at: datetime

    def in_force(self, at: datetime) -> bool:
        return at < self.until


class Quiet:
    """Everything that silences, in one run."""

    def __init__(self, silences: Iterable[Silence], maintained: Mapping[str, datetime], mute_tag: str, now: datetime) -> None:
        self._silences = tuple(sorted((each for each in silences if each.in_force(now)), key=lambda each: (each.until, each.id)))
        self._mute_tag = mute_tag
        self._maintained = maintained
        self._now = now

    def over(self, finding: Finding) -> str | None:
        """Why nobody is told of it; of several silences the one that ends last. None: they are."""
        for silence in reversed(self._silences):
            if fits_check(silence, finding.check) and is_about(silence, finding):
                return f"silenced by {silence.author} until {silence.until:%Y-%m-%d %H:%M} UTC: {silence.reason}"
        if self._mute_tag in finding.tags:
            return f"the guest has the tag {self._mute_tag}"
        seen_at = self._maintained.get(finding.node or "")
        if seen_at == self._now:
            return f"node {finding.node} is in HA maintenance"
        if seen_at is not None:
            return f"node {finding.node} was in HA maintenance when that could last be seen, at {seen_at:%Y-%m-%d %H:%M} UTC"
        return None


def problem_of(silence: Silence) -> str | None:
    """Why this silence cannot be; None when it can."""
    if silence.until <= silence.made_at:
        return "a silence has to end in the future"
    if silence.until - silence.made_at > LONGEST:
        return f"a silence lasts at most {LONGEST.days} days"
    if not silence.author.strip() or not silence.reason.strip():
        return "a silence says who made it and why"
    return None


def maintenance(before: Mapping[str, datetime], evaluation: Evaluation, now: datetime) -> dict[str, datetime]:
    """The nodes in maintenance and when that was last seen. While nobody can see it, it goes on for some hours, not for ever."""
    if (nodes := maintained(evaluation)) is not None:
        return dict.fromkeys(sorted(nodes), now)
    return {node: min(at, now) for node, at in before.items() if now - at < _UNSEEN}


def maintained(evaluation: Evaluation) -> frozenset[str] | None:
    """The nodes the HA manager has in maintenance; None: nobody could see."""
    ha = evaluation.view.ha
    return frozenset(node for node, text in ha.value.lrm if _MAINTENANCE in text) if isinstance(ha, Known) else None
