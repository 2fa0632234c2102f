"""One run: what was known and what is seen now, turned into what is known next and who is to be told of what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.alerts.incident import FIRING, OK, PENDING, RECOVERING, Incident, Kind, Records
from pvectl.core.alerts.inhibition import Roots
from pvectl.core.alerts.lifecycle import Pace, begun_anew, explains, fine_for, fired, moved, pace
from pvectl.core.alerts.notification import Notification, Story, about, digest, story
from pvectl.core.alerts.observing import has_looked, observed, out_of_order
from pvectl.core.alerts.rules import Book, Rules, Treatment
from pvectl.core.alerts.silence import Quiet, Silence, maintenance
from pvectl.core.alerts.telling import Explained, Explanation, Why, newcomers, still_to_tell, told, unfuture
from pvectl.core.monitor.checks.evaluation import Evaluation


def step(
    records: Records, evaluation: Evaluation, rules: Rules, silences: Iterable[Silence], now: datetime
) -> tuple[Records, tuple[Notification, ...], tuple[Explanation, ...]]:
    """The records after this run, the messages it gives rise to, and for each incident why it was told or not."""
    tempo = pace(records, rules, now)
    book = Book(rules, out_of_order(evaluation))
    cases = _moved(records.incidents, evaluation, book, tempo)
    roots = Roots(case.after for case in cases if explains(case.after, case.treatment, rules, tempo))
    cases = [_inhibited(case, roots, tempo, rules) for case in cases]
    maintained = maintenance(records.maintained, evaluation, now)
    run = _Run(rules, Quiet(silences, maintained, rules.mute_tag, now), Counter(case.after.inhibited_by for case in cases), tempo)
    incidents = {case.name: run.tell(case) for case in cases}
    looked = not tempo.first or has_looked(evaluation)
    after = Records(incidents=incidents, run_at=now, gaps=tempo.gaps, looked=looked, maintained=maintained)
    return after, run.notifications(newcomers(records, rules.receivers)), tuple(run.explanations)


class _Case(Struct, frozen=True):
    """One incident in this run."""

    name: str
    before: Incident | None
    after: Incident
    treatment: Treatment


def _moved(incidents: Mapping[str, Incident], evaluation: Evaluation, book: Book, tempo: Pace) -> list[_Case]:
    cases = []
    for name, seen in observed(evaluation, incidents, tempo.now).items():
        before = incidents.get(name)
        finding = seen.finding if seen.finding is not None or before is None else before.finding
        assert finding is not None
        treatment = book.treatment(finding)
        after = moved(before, seen, treatment, book.rules, tempo)
        if after is not None:
            cases.append(_Case(name, before, after, treatment))
    return cases


def _inhibited(case: _Case, roots: Roots, tempo: Pace, rules: Rules) -> _Case:
    """The case with the incident that explains it; when that is over, it has to last anew before anybody is told."""
    after = case.after
    root = roots.of(after) if after.phase is not OK else None
    if root == after.inhibited_by:
        return case
    freed = replace(after, inhibited_by=root)
    if root is None and not after.told and after.phase in (PENDING, FIRING):
        freed = begun_anew(freed, tempo)
        if not case.treatment.hold:
            freed = fired(freed, rules, tempo.now)
    return _Case(case.name, case.before, freed, case.treatment)


class _Run:
    """What one run collects while it goes through the incidents."""

    def __init__(self, rules: Rules, quiet: Quiet, explains: Mapping[str | None, int], tempo: Pace) -> None:
        self.explanations: list[Explanation] = []
        self._rules = rules
        self._quiet = quiet
        self._explains = explains
        self._tempo = tempo
        self._now = tempo.now
        self._stories: list[tuple[str, Story, Treatment]] = []
        self._known: set[str] = set()

    def tell(self, case: _Case) -> Incident:
        """The incident, with what is now on its way to whom."""
        after = unfuture(case.after, self._now) if case.after.told else case.after
        if after.phase is OK:
            return self._over(case, after)
        if after.phase is PENDING:
            hold = timedelta(seconds=case.treatment.hold)
            return self._explained(case, after, Why.HOLDS if after.held else Why.PENDING, until=after.counts_from + hold)
        if after.held:
            return self._explained(case, after, Why.HOLDS)
        if after.phase is RECOVERING:
            keep = fine_for(after, case.treatment, self._rules, self._tempo)
            return self._explained(case, after, Why.RECOVERING, until=after.counts_from + keep)
        if after.inhibited_by is not None:
            return self._explained(case, after, Why.INHIBITED, after.inhibited_by)
        if (quiet := self._quiet.over(after.finding)) is not None:
            return self._explained(case, after, Why.SILENCED, quiet)
        return self._lasting(case, after)

    def notifications(self, new: Collection[str]) -> tuple[Notification, ...]:
        """What is to be sent; several problems a first run finds, or a new receiver has not heard of, make one message."""
        by_receiver: dict[str, list[Story]] = {}
        for receiver, told_of, _treatment in self._stories:
            by_receiver.setdefault(receiver, []).append(told_of)
        summed = {receiver: stories for receiver, stories in by_receiver.items() if self._is_summed(stories, is_new=receiver in new)}
        cluster, now = self._rules.cluster, self._now
        digests = [digest(stories, receiver, Kind.BASELINE, cluster=cluster, made_at=now) for receiver, stories in summed.items()]
        single = [
            about(told_of, receiver, cluster=cluster, made_at=now, template=treatment.template)
            for receiver, told_of, treatment in self._stories
            if receiver not in summed
        ]
        return (*digests, *single)

    def _is_summed(self, stories: list[Story], *, is_new: bool) -> bool:
        if self._tempo.first:
            return len(stories) > 1
        return is_new and sum(one.incident in self._known for one in stories) > 1

    def _lasting(self, case: _Case, after: Incident) -> Incident:
        treatment = case.treatment
        if not treatment.receivers:
            return self._explained(case, after, Why.NOBODY)
        receivers, reasons = [], []
        for receiver in treatment.receivers:
            found = still_to_tell(after, receiver, treatment, self._rules.again_after, self._now)
            if isinstance(found, Explained):
                reasons.append(found)
            else:
                after = self._queued(case, after, receiver, found)
                receivers.append(receiver)
        if receivers:
            return self._explained(case, after, Why.TOLD, told_to=tuple(receivers))
        return self._explained(case, after, reasons[0].why, until=reasons[0].until)

    def _over(self, case: _Case, after: Incident) -> Incident:
        """Those are told that it is over who were told that it began, or are about to be."""
        if after.ended_at != self._now or case.before is None or case.before.phase not in (FIRING, RECOVERING):
            return self._explained(case, after, Why.OVER, after.ending)
        receivers = [
            receiver
            for receiver, word in after.told.items()
            if (word.delivered or word.is_on_its_way) and receiver in self._rules.receivers
        ]
        for receiver in receivers:
            after = self._queued(case, after, receiver, Kind.RESOLVED)
        return self._explained(case, after, Why.TOLD if receivers else Why.OVER, after.ending, told_to=tuple(receivers))

    def _queued(self, case: _Case, after: Incident, receiver: str, kind: Kind) -> Incident:
        after, seq = told(after, receiver, kind, self._now)
        # a blind incident has no finding's id of its own, and nothing follows from it
        explains = 0 if after.blind else self._explains.get(after.finding.id, 0)
        one = story(after, seq, kind, explains=explains, known_as=after.told[receiver].severity)
        self._stories.append((receiver, one, case.treatment))
        if case.before is not None and case.before.told:
            self._known.add(one.incident)
        return after

    def _explained(
        self,
        case: _Case,
        after: Incident,
        why: Why,
        detail: str = "",
        *,
        until: datetime | None = None,
        told_to: tuple[str, ...] = (),
    ) -> Incident:
        self.explanations.append(
            Explanation(
                name=case.name,
                incident=after.id,
                phase=after.phase,
                severity=after.severity,
                why=why,
                rule=case.treatment.rule,
                detail=detail,
                until=until,
                told=told_to,
            )
        )
        return after
