"""What is remembered of incidents, found by the words people use for them, and told in words people read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from pvectl.cli.words import here, moment, span
from pvectl.core.alerts.incident import ACTIVE, URGENCY, Incident, Phase, Records, is_acknowledged
from pvectl.core.alerts.rules import Book, fits_check, is_about
from pvectl.core.alerts.silence import Silence
from pvectl.core.alerts.telling import Explanation, Why
from pvectl.core.monitor.checks.registry import IDS
from pvectl.core.text import clean
from pvectl.errors import PvectlError, UsageError

if TYPE_CHECKING:
    from pvectl.cli.context import Run

SEVERITY_STYLES = {"ok": "good", "warning": "warn", "critical": "bad", "unknown": "dim"}
HOW_TO_TELL = "write whom to tell into pvectl.yml: alert: {receivers: {mail: {type: sendmail, to: root}}}; then: pvectl alert test mail"
TRIAL = "test"
"""The object `pvectl alert test` makes up."""
SHORTEST_ID = 8
_CANDIDATES = 6
_LATE = 3
_PHASES = (Phase.FIRING, Phase.RECOVERING, Phase.PENDING, Phase.OK)
_SILENCED_BY_HAND = "silenced by "


class Remembered(Struct, frozen=True, kw_only=True):
    """All that the runs left behind, the silences in force, and by its name for each Alertmanager the rules as they are for it."""

    records: Records
    explanations: Mapping[str, Explanation]
    silences: tuple[Silence, ...]
    mirrors: Mapping[str, Book] = {}

    def explanation(self, incident: Incident) -> Explanation | None:
        """What the last run made of it; None when it has not met it."""
        found = self.explanations.get(incident.name)
        return found if found is not None and found.incident == incident.id else None

    def silence(self, incident: Incident) -> Silence | None:
        """The silence that covers it; of several the one that ends last."""
        covering = [silence for silence in self.silences if covers(silence, incident)]
        return max(covering, key=lambda silence: (silence.until, silence.id), default=None)

    def shown_to(self, incident: Incident) -> tuple[str, ...]:
        """The Alertmanagers that every run shows it to."""
        if incident.phase not in (Phase.FIRING, Phase.RECOVERING) or incident.inhibited_by is not None:
            return ()
        return tuple(name for name, book in self.mirrors.items() if name in book.treatment(incident.finding).receivers)

    def followers(self, incident: Incident) -> tuple[Incident, ...]:
        """The open incidents that merely follow from it."""
        return tuple(each for each in open_ones(self.records) if each.inhibited_by == incident.finding.id and not incident.blind)


def remembered(run: Run) -> Remembered:
    """What is remembered now. Nothing is locked, and nothing is written."""
    from pvectl.store.alerts import Alerts

    now = run.clock.now()
    alerts = Alerts(run.store("read"))
    silences = tuple(silence for silence in alerts.silences() if silence.in_force(now))
    return Remembered(records=alerts.records(), explanations=alerts.explanations(), silences=silences, mirrors=_mirrors(run))


def _mirrors(run: Run) -> Mapping[str, Book]:
    from pvectl.config.receivers import mirrors_of, rules_of

    try:
        section = run.jobs().alert
        rules = rules_of(section, run.cluster_name())
    except PvectlError:
        return {}
    return {name: Book(replace(rules, receivers=(name,))) for name in mirrors_of(section)}


def covers(silence: Silence, incident: Incident) -> bool:
    return fits_check(silence, incident.finding.check) and is_about(silence, incident.finding)


def open_ones(records: Records) -> tuple[Incident, ...]:
    """The incidents that are not over: what fires first, the most urgent first, and last what merely follows from another one."""
    return tuple(sorted((each for each in records.incidents.values() if each.phase in ACTIVE), key=_pressing))


def over_ones(records: Records) -> tuple[Incident, ...]:
    """The incidents that are over, the latest first."""
    over = [each for each in records.incidents.values() if each.phase is Phase.OK]
    return tuple(sorted(over, key=lambda each: (each.ended_at or each.since, each.id), reverse=True))


def incident_of(records: Records, word: str) -> Incident:
    """The one incident somebody means by the beginning of its id, or by what it is about.

    Raises:
        UsageError: there is none, or there are several.
    """
    incidents = records.incidents.values()
    named = [each for each in incidents if word in (each.name, each.finding.id)]
    # of one thing that is bad, and that nobody could look at before, the open one is meant
    found = [each for each in named if each.phase in ACTIVE] or named
    asked = word.strip().lower()
    if not found and asked:
        found = [each for each in incidents if each.id.startswith(asked)]
    if len(found) == 1:
        return found[0]
    if found:
        told = ", ".join(f"{each.id} ({clean(each.name)})" for each in found[:_CANDIDATES])
        more = f" and {len(found) - _CANDIDATES} more" if len(found) > _CANDIDATES else ""
        raise UsageError(f"'{clean(word)}' may be {told}{more}", hint="give more of the id")
    raise UsageError(f"there is no incident '{clean(word)}'", hint=_nearest(word, incidents))


def _nearest(word: str, incidents: Iterable[Incident]) -> str:
    from difflib import get_close_matches

    names = {each.name: each for each in incidents} | {each.id: each for each in incidents}
    close = get_close_matches(word.strip(), names, n=1)
    if close:
        return f"did you mean {clean(close[0])}?"
    within = [name for name in names if word.strip() and word.strip().lower() in name.lower()]
    if within and len(within) <= _CANDIDATES:
        return f"did you mean {' or '.join(clean(name) for name in sorted(within))}?"
    return "pvectl alert list --all shows what there is"


def nearest_check(pattern: str) -> str:
    """What somebody may have meant who named a check there is not."""
    from difflib import get_close_matches

    check, slash, object_ = pattern.partition("/")
    if slash and check in IDS:
        return f"give the two apart: --check {check} --object {clean(object_)}"
    close = get_close_matches(pattern, IDS, n=1)
    return f"did you mean {close[0]}?" if close else "pvectl monitor --coverage lists them"


def length_of_ids(ids: Collection[str]) -> int:
    """How much of the ids tells them apart."""
    longest = max(map(len, ids), default=SHORTEST_ID)
    return next((length for length in range(SHORTEST_ID, longest) if len({id_[:length] for id_ in ids}) == len(set(ids))), longest)


def phase_of(incident: Incident) -> str:
    return "over" if incident.phase is Phase.OK else "flapping" if incident.flapping else incident.phase.value


def lasted(incident: Incident, now: datetime) -> float:
    """Seconds from its beginning to its end, or to now."""
    return max(((incident.ended_at or now) - incident.since).total_seconds(), 0.0)


def standing(incident: Incident, memory: Remembered, now: datetime) -> str:
    """Who was told, and what happens next or why nothing does: the short form of `alert explain`."""
    shown = memory.shown_to(incident)
    parts = [*told_to(incident, now), f"shown to {', '.join(shown)}" if shown else "", reason(incident, memory, now)]
    return "; ".join(part for part in parts if part) or "the next run decides"


def told_to(incident: Incident, now: datetime) -> Iterable[str]:
    """Which receivers were told when, which message is on its way, and which could not be delivered."""
    arrived: dict[str, list[str]] = {}
    for receiver, word in sorted(incident.told.items()):
        if word.delivered and word.delivered_at is not None:
            arrived.setdefault(moment(word.delivered_at, now), []).append(receiver)
    yield from (f"told {', '.join(receivers)} {when}" for when, receivers in arrived.items())
    if away := sorted(receiver for receiver, word in incident.told.items() if word.is_on_its_way):
        yield f"on its way to {', '.join(away)}"
    if lost := sorted(receiver for receiver, word in incident.told.items() if word.given_up_at is not None):
        yield f"{', '.join(lost)} could not be told"


def reason(incident: Incident, memory: Remembered, now: datetime) -> str:
    """What keeps the next message back, or when it is due; empty where there is nothing to say."""
    if incident.phase is Phase.OK:
        return f"over since {moment(incident.ended_at, now)}" if incident.ended_at is not None else "over"
    if incident.inhibited_by is not None:
        return f"not told by itself: it follows from {clean(incident.inhibited_by)}"
    explanation = memory.explanation(incident)
    if incident.phase is Phase.RECOVERING:
        # neither a silence nor somebody's word keeps its end back
        return "" if explanation is None else _in_words(incident, explanation, now, shown=bool(memory.shown_to(incident)))
    if (silence := memory.silence(incident)) is not None:
        return f"silenced until {moment(silence.until, now)} by {clean(silence.author)}: {clean(silence.reason)}"
    if is_acknowledged(incident) and incident.acknowledged is not None:
        word = incident.acknowledged
        return f"known to {clean(word.by)}" + (f": {clean(word.note)}" if word.note else "")
    return "" if explanation is None else _in_words(incident, explanation, now, shown=bool(memory.shown_to(incident)))


def _in_words(incident: Incident, explanation: Explanation, now: datetime, *, shown: bool) -> str:
    until = moment(explanation.until, now) if explanation.until is not None else None
    match explanation.why:
        case Why.PENDING:
            return f"told when it still lasts at {until}"
        case Why.HOLDS:
            return "nobody can look at it now, so it stays as it was"
        case Why.RECOVERING:
            return f"fine since {moment(incident.counts_from, now)}, over when it still is at {until}"
        case Why.SILENCED if not by_hand(explanation):
            return f"silenced: {clean(explanation.detail)}"
        case Why.NOBODY:
            return "" if shown else "nobody is told: no rule names a receiver for it"
        case Why.GIVEN_UP | Why.KNOWN if until is not None:
            return f"again {until}"
        case Why.KNOWN:
            return "not told again"
        case _:
            return ""


def by_hand(explanation: Explanation) -> bool:
    """Whether it was a silence made by hand that kept it quiet, which is only still so when one is in force."""
    return explanation.why is Why.SILENCED and explanation.detail.startswith(_SILENCED_BY_HAND)


def scope_of(silence: Silence) -> str:
    """What a silence covers: its checks, and what else has to fit."""
    checks = "anything" if silence.checks == ("*",) else ", ".join(clean(check) for check in silence.checks)
    further = (("about", silence.object), ("tagged", silence.tag), ("in pool", silence.pool), ("on node", silence.node))
    return " ".join([checks, *(f"{word} {clean(pattern)}" for word, pattern in further if pattern is not None)])


def remarks_on(run: Run, records: Records) -> tuple[str, ...]:
    """What somebody who reads about alerts has to know first: nobody is told, no run has been, or the last one was long ago."""
    try:
        section = run.jobs().alert
    except PvectlError as error:
        return (f"pvectl.yml could not be read: {error.message}",)
    if not section.enabled:
        return ("alert.enabled is false in pvectl.yml: nobody is told of anything",)
    told = [] if section.receivers else [f"nobody is told of anything: {HOW_TO_TELL}"]
    passed = (run.clock.now() - records.run_at).total_seconds() if records.run_at is not None else 0.0
    if passed > _LATE * section.interval:
        told.append(f"the last alert run was {span(passed)} ago: pvectl timers status tells about its timer")
    return tuple(told)


def in_local_time(sentence: str, now: datetime) -> str:
    """A line of an incident's history, with its moments by this machine's clock."""
    return here(clean(sentence), now)


def _pressing(incident: Incident) -> tuple[bool, int, int, str]:
    return (incident.inhibited_by is not None, _PHASES.index(incident.phase), -URGENCY[incident.severity], incident.name)
