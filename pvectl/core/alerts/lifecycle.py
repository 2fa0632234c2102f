"""How an incident goes on: ok, pending, firing, recovering, ok."""

from __future__ import annotations

from datetime import datetime, timedelta
from operator import attrgetter
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.alerts.incident import FIRING, OK, PENDING, RECOVERING, Incident, Records, began, noted
from pvectl.core.alerts.observing import Look, Seen
from pvectl.core.alerts.rules import Rules, Treatment
from pvectl.core.monitor.finding import Finding

_GAPS = 5
_USUAL = 3
_SOON = 900
_LOOKS = 1.5
_LOOKS_AT_MOST = 600.0
_contents = attrgetter("severity", "message", "value", "hint", "key", "node", "pool", "tags", "objects", "levels", "cause")
_EVENTS_KEPT = timedelta(days=30)
_OVER_KEPT = timedelta(days=1)


class Pace(Struct, frozen=True, kw_only=True):
    """This run, the last one and the time since. `first`: none has seen the cluster; `broken`: too long ago to be the same evidence."""

    now: datetime
    last: datetime | None = None
    passed: timedelta = timedelta()
    first: bool = False
    broken: bool = False
    gaps: tuple[float, ...] = ()

    @property
    def usual(self) -> float:
        """The seconds from one run to the next, as a rule; 0 as long as nobody knows."""
        return sorted(self.gaps)[(len(self.gaps) - 1) // 2] if self.gaps else 0.0


def pace(records: Records, rules: Rules, now: datetime) -> Pace:
    """Three of the usual intervals are no gap: a timer may run every hour."""
    if records.run_at is None:
        return Pace(now=now, first=True)
    passed = now - records.run_at
    seconds = passed.total_seconds()
    gaps = (*records.gaps, seconds)[-_GAPS:] if seconds > 0 else records.gaps
    tempo = Pace(now=now, last=records.run_at, passed=passed, gaps=gaps, first=not records.looked)
    return replace(tempo, broken=seconds > max(rules.max_gap, _USUAL * tempo.usual))


def explains(incident: Incident, treatment: Treatment, rules: Rules, tempo: Pace) -> bool:
    """Whether what follows from this incident need not be told, because people hear of this one, and soon."""
    if not treatment.receivers and rules.receivers:
        return False
    if incident.phase is PENDING:
        return treatment.hold <= _SOON
    if incident.phase is RECOVERING and incident.flapping:
        # what has been fine for as long as others have to is only watched longer
        return tempo.now - incident.counts_from < fine_for(replace(incident, flapping=False), treatment, rules, tempo)
    return True


def fine_for(incident: Incident, treatment: Treatment, rules: Rules, tempo: Pace) -> timedelta:
    """How long it has to be fine before it is over. Two good looks at what comes and goes faster than anybody looks are not enough."""
    keep = max(treatment.keep, min(_LOOKS * tempo.usual, _LOOKS_AT_MOST)) if treatment.keep else 0.0
    return timedelta(seconds=max(keep, rules.flap_window) if incident.flapping else keep)


def moved(before: Incident | None, seen: Seen, treatment: Treatment, rules: Rules, tempo: Pace) -> Incident | None:
    """The incident after this run; None: there is nothing left to remember."""
    match seen.look:
        case Look.BAD:
            assert seen.finding is not None
            return _bad(before, seen.finding, seen, treatment, rules, tempo)
        case Look.GOOD:
            return _good(before, seen, treatment, rules, tempo)
        case Look.UNKNOWN:
            return _unseen(before, tempo)
        case _:
            assert_never(seen.look)


def begun_anew(incident: Incident, tempo: Pace) -> Incident:
    """An incident nobody was told of, whose explanation is over: it has to last again by itself."""
    fires = incident.fires[:-1] if incident.phase is FIRING else incident.fires
    now, why = tempo.now, "what explained it is over"
    return noted(incident, now, "pending", why, phase=PENDING, counts_from=now, fires=fires, flapping=False)


def fired(incident: Incident, rules: Rules, now: datetime) -> Incident:
    """The incident, firing; too often within the window makes it flap."""
    fires = (*(at for at in incident.fires if timedelta() <= now - at < timedelta(seconds=rules.flap_window)), now)
    flapping = len(fires) >= rules.flaps
    how = "flapping" if flapping else ""
    return noted(incident, now, "firing", how, phase=FIRING, fired_at=now, fires=fires, flapping=flapping, held=False)


def _bad(before: Incident | None, finding: Finding, seen: Seen, treatment: Treatment, rules: Rules, tempo: Pace) -> Incident:
    now = tempo.now
    if before is None or before.phase is OK:
        incident = began(rules.cluster, finding, now, blind=seen.blind, after=tempo.last)
        incident = replace(incident, fires=before.fires if before is not None else ())
        # what a first look finds has most likely been there for long
        return fired(incident, rules, now) if tempo.first or not treatment.hold else incident
    latest = _with(before, finding, now)
    if before.phase is PENDING:
        counts_from = _counts_from(before, tempo)
        if now - counts_from >= timedelta(seconds=treatment.hold):
            return fired(replace(latest, counts_from=counts_from), rules, now)
        return latest if counts_from == before.counts_from and not before.held else replace(latest, counts_from=counts_from, held=False)
    if before.phase is RECOVERING:
        return noted(latest, now, "bad again", phase=FIRING, held=False, ending="")
    return replace(latest, held=False) if before.held else latest


def _good(before: Incident | None, seen: Seen, treatment: Treatment, rules: Rules, tempo: Pace) -> Incident | None:
    now = tempo.now
    if before is None or before.phase is OK:
        return remembered(before, now)
    if before.phase is PENDING:
        # how often it fired in the last hour is not forgotten
        over = noted(before, now, "ok", "before it had lasted long enough", phase=OK, ended_at=now, held=False)
        return over if before.fires else None
    keep = fine_for(before, treatment, rules, tempo)
    if before.phase is FIRING:
        if not keep:
            return _over(replace(before, counts_from=now, ending=seen.why), now)
        return noted(before, now, "recovering", seen.why, phase=RECOVERING, counts_from=now, held=False, ending=seen.why)
    counts_from = _counts_from(before, tempo)
    if now - counts_from >= keep:
        return _over(replace(before, ending=seen.why), now)
    if counts_from == before.counts_from and not before.held and before.ending == seen.why:
        return before
    return replace(before, counts_from=counts_from, held=False, ending=seen.why)


def _unseen(before: Incident | None, tempo: Pace) -> Incident | None:
    """What nobody could look at neither fires nor is over, and the time counts for nothing."""
    if before is None or before.phase is OK:
        return remembered(before, tempo.now)
    if before.is_event and before.phase is FIRING:
        return before if tempo.now - (before.finding.since or before.since) < _EVENTS_KEPT else None
    if before.phase is FIRING:
        return before if before.held else replace(before, held=True)
    return replace(before, counts_from=_counts_from(before, tempo, seen=False), held=True)


def remembered(before: Incident | None, now: datetime) -> Incident | None:
    """An incident that is over is shown for a day."""
    if before is None or before.ended_at is None or now - before.ended_at >= _OVER_KEPT:
        return None
    return before


def _over(incident: Incident, now: datetime) -> Incident:
    return noted(incident, now, "ok", incident.ending, phase=OK, ended_at=now, held=False, inhibited_by=None)


def _counts_from(before: Incident, tempo: Pace, *, seen: bool = True) -> datetime:
    """From when on time counts: not what passed unseen, not across a gap, and not what a clock that was set back takes away."""
    if tempo.broken:
        return tempo.now
    if before.held or not seen or tempo.passed < timedelta():
        return min(before.counts_from + tempo.passed, tempo.now)
    return before.counts_from


def _with(before: Incident, finding: Finding, now: datetime) -> Incident:
    """The incident with the latest words; how old an answer was is no news."""
    old = before.finding
    if old is finding or _contents(old) == _contents(finding):
        return before
    if old.severity is finding.severity:
        return replace(before, finding=finding)
    return noted(before, now, finding.severity.value, finding=finding)
