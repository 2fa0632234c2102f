"""What a check is: which objects it is about, where its facts come from, and how it judges one object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from enum import Enum
from typing import TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pvectl.core.model import Unknown
from pvectl.core.monitor.checks.look import CLUSTER, Blind, Look, Rules, untold
from pvectl.core.monitor.finding import NO_LEVELS, OK, Evidence, Finding, Levels, Severity, Subject, Unit, judged, lingering
from pvectl.core.monitor.monitored import Fact
from pvectl.core.text import clean

T = TypeVar("T")


class Neither(Enum):
    """What is neither good nor bad: the check does not apply to this object as it is now."""

    HERE = "here"


NOT_HERE = Neither.HERE
Outcome: TypeAlias = Finding | Blind | Neither | None
"""None: looked at, and nothing to say."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What one check came to. `examined` are the objects it could judge; `left_out` how many were exempt, or not for it as they are."""

    check: str
    findings: tuple[Finding, ...] = ()
    examined: frozenset[str] = frozenset()
    blind: tuple[Blind, ...] = ()
    left_out: int = 0
    off: bool = False

    @property
    def eligible(self) -> int:
        return len(self.examined) + len({blind.subject.object for blind in self.blind})


class Check(Struct, frozen=True, kw_only=True):
    """A line of the closed table.

    `about` says what its objects are, `sources` what it reads; `hold` is how many seconds a finding has to last to be worth a message.
    """

    id: str
    title: str
    about: str
    sources: tuple[str, ...]
    run: Callable[[Look], Verdict]
    on: bool = True
    hold: float = 0.0
    unit: Unit | None = None
    falling: bool = False


class Case(Struct, kw_only=True):
    """One object under one check, with the levels that apply to it.

    Not frozen, unlike other values: a check over 10,000 guests goes on with one and the same, object after object.
    """

    check: str
    look: Look
    subject: Subject
    levels: Levels
    unit: Unit | None
    falling: bool

    def finding(
        self,
        severity: Severity,
        message: str,
        *,
        evidence: tuple[Evidence, ...] = (),
        hint: str | None = None,
        since: datetime | None = None,
        key: str | None = None,
    ) -> Finding:
        subject = self.subject
        return Finding(
            check=self.check,
            object=subject.object,
            severity=severity,
            message=message if message.isprintable() else clean(message),
            evidence=evidence,
            hint=clean(hint) if hint else None,
            since=since,
            key=key,
            node=subject.node,
            pool=subject.pool,
            tags=subject.tags,
        )

    def is_fine(self, value: float, levels: Levels | None = None) -> bool:
        """Whether there is nothing to tell about a guest's value: of guests only what is bad, or not yet good again, is told."""
        against = self.levels if levels is None else levels
        return (
            judged(value, against, unit=self.unit, falling=self.falling) is OK
            and (against.clear is None or not lingering(value, against, unit=self.unit, falling=self.falling))
            and self.subject.object.startswith("guest/")
        )

    def measured(
        self,
        value: float,
        message: str,
        *,
        levels: Levels | None = None,
        evidence: tuple[Evidence, ...] = (),
        hint: str | None = None,
        since: datetime | None = None,
    ) -> Finding | None:
        """A value held against its levels; also a good one is told, unless it is a guest's."""
        against = self.levels if levels is None else levels
        severity = judged(value, against, unit=self.unit, falling=self.falling)
        lingers = severity is OK and lingering(value, against, unit=self.unit, falling=self.falling)
        subject = self.subject
        if severity is OK and not lingers and subject.object.startswith("guest/"):
            return None
        return Finding(
            check=self.check,
            object=subject.object,
            severity=severity,
            message=message if message.isprintable() else clean(message),
            value=value,
            unit=self.unit,
            levels=against,
            falling=self.falling,
            lingers=lingers,
            evidence=evidence,
            hint=clean(hint) if hint else None,
            since=since,
            node=subject.node,
            pool=subject.pool,
            tags=subject.tags,
        )

    def blind(self, fact: Unknown, source: str, of: str = "cluster") -> Blind:
        return self.look.blind(self.subject, fact, source, of)

    def untold(self, fact: Fact[T], field: str) -> Blind:
        return untold(self.subject, fact, field)

    def of_node(self, fact: Fact[T], name: str) -> T | Blind:
        return self.look.of_node(self.subject, fact, name)


Eligible: TypeAlias = Iterable[tuple[Subject, T] | Blind]


def check(  # noqa: PLR0913 - the columns of a table
    id: str,  # noqa: A002 - as users know it
    title: str,
    *,
    about: str,
    sources: tuple[str, ...],
    eligible: Callable[[Look], Eligible[T]],
    examine: Callable[[Case, T], Outcome],
    on: bool = True,
    hold: float = 0.0,
    unit: Unit | None = None,
    falling: bool = False,
    measures: bool = True,
) -> Check:
    """A line of the table. One that `measures` says nothing about objects for which no level is set."""

    def run(look: Look) -> Verdict:
        rules = Rules(id, look.settings, on=on)
        needs_levels = measures and unit is not None
        # a guest goes by its number, and there are many
        named_by_people = about != "guest"
        if not rules.anywhere(measures=needs_levels):
            return Verdict(check=id, off=True)
        case = Case(check=id, look=look, subject=CLUSTER, levels=NO_LEVELS, unit=unit, falling=falling)
        findings: list[Finding] = []
        examined: list[str] = []
        blind: list[Blind] = []
        left_out = 0
        for item in eligible(look):
            subject = item[0] if isinstance(item, tuple) else item.subject
            if named_by_people and not subject.object.isprintable():
                subject = replace(subject, object=clean(subject.object))
            levels = rules.alike or rules.apply_to(subject)
            if levels is None or (needs_levels and levels.warn is None and levels.crit is None):
                left_out += 1
                continue
            case.subject, case.levels = subject, levels
            outcome = examine(case, item[1]) if isinstance(item, tuple) else item
            if outcome is None:
                examined.append(subject.object)
            elif isinstance(outcome, Finding):
                examined.append(subject.object)
                findings.append(outcome)
            elif isinstance(outcome, Blind):
                blind.append(outcome)
            else:
                left_out += 1
        told = tuple(findings) + _told(id, about, blind)
        return Verdict(check=id, findings=told, examined=frozenset(examined), blind=tuple(blind), left_out=left_out)

    return Check(id=id, title=title, about=about, sources=sources, run=run, on=on, hold=hold, unit=unit, falling=falling)


def _told(check: str, about: str, blind: list[Blind]) -> tuple[Finding, ...]:
    """What could not be examined, as findings: one for each object, but a single one for all guests."""
    if about == "guest" and any(spot.subject.object.startswith("guest/") for spot in blind):
        return (_of_guests(check, blind),)
    first = {spot.subject.object: spot for spot in reversed(blind)}
    return tuple(
        Finding(
            check=check,
            object=clean(spot.subject.object),
            severity=Severity.UNKNOWN,
            message=clean(spot.reason),
            cause=spot.cause,
            node=spot.subject.node,
            pool=spot.subject.pool,
            tags=spot.subject.tags,
        )
        for spot in first.values()
    )


def _of_guests(check: str, blind: list[Blind]) -> Finding:
    objects = tuple(dict.fromkeys(spot.subject.object for spot in blind))
    reasons = dict.fromkeys(spot.reason for spot in blind)
    causes = {spot.cause for spot in blind}
    more = f" (and {len(reasons) - 1} other reasons)" if len(reasons) > 1 else ""
    many = "1 guest" if len(objects) == 1 else f"{len(objects)} guests"
    return Finding(
        check=check,
        object="guests",
        severity=Severity.UNKNOWN,
        message=clean(f"{many} not examined: {next(iter(reasons))}{more}"),
        objects=objects,
        # what follows from several causes is told by itself only when one of them stays untold
        cause=None if None in causes else next(iter(causes)),
    )
