"""What one run saw, in as few bytes as it takes to let other rules judge it once more."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct, defstruct
from msgspec.structs import fields

from pvectl.core.alerts.incident import digest_of
from pvectl.core.alerts.silence import maintained
from pvectl.core.evidence import HaStatus
from pvectl.core.model import Known
from pvectl.core.monitor.checks.check import Verdict
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.checks.look import Blind
from pvectl.core.monitor.finding import Finding, Severity, Subject
from pvectl.core.monitor.monitored import NOT_ASKED, Membership, MonitorView

T = TypeVar("T")

KEPT = "alert-look"
"""Under this kind the last whole look is kept."""
_WHOLE = "w1"
_CHANGE = "c1"
_WHOLE_EVERY = timedelta(days=1)
"""Looks are kept for a day longer than they are replayed, so that every one of them finds the whole one it goes back to."""
_USUAL_INTERVAL = 300
_WINDOW = 32_768
"""So far back zlib looks for what it has seen before."""
# how old an answer was is no news, and a value without new words is none either
_CONTENTS = tuple(name for name in Finding.__struct_fields__ if name not in ("evidence", "value"))
_contents = attrgetter(*_CONTENTS)
_FINE = Severity.OK
_TOLD = tuple(each for each in fields(Finding) if each.name != "evidence")
_told = attrgetter(*(each.name for each in _TOLD))
_Told = defstruct(
    "_Told", [(each.name, each.type) if each.required else (each.name, each.type, each.default) for each in _TOLD], omit_defaults=True
)
"""A finding as it is written: without evidence, and without what it says nothing of."""


class LastWhole(Struct, frozen=True, kw_only=True):
    """The last whole look, as it is kept beside the others."""

    look: str


def look_of(evaluation: Evaluation, whole: str | None = None) -> str:
    """What this run saw: the whole of it, or only how it differs from the last whole look, `whole`.

    Left out is what no rule looks at and no message tells: evidence, and a value that changed without its words.
    """
    seen = _seen(evaluation)
    opened = _opened(whole)
    if whole is not None and opened is not None:
        passed = seen.taken_at - opened.seen.taken_at
        change = _sealed(f"{_CHANGE}.{_name(whole)}", _difference(opened.seen, seen), opened.dictionary)
        # what all the differences come to since, if they grew evenly, is not to be more than another whole look
        runs = passed.total_seconds() / _USUAL_INTERVAL
        if timedelta() <= passed < _WHOLE_EVERY and len(change) * max(runs, 2.0) <= 2 * len(whole):
            return change
    return _sealed(_WHOLE, _raw(seen))


def is_whole(look: str) -> bool:
    """Whether later looks can be told by how they differ from this one."""
    return look.startswith(f"{_WHOLE}.")


def seen_again(looks: Iterable[tuple[datetime, str]]) -> Iterator[tuple[datetime, Evaluation | None]]:
    """The runs as they were seen, one after the other; None for one that cannot be read, or whose whole look is gone."""
    kept = tuple(looks)
    wholes = {_name(look): look for _at, look in kept if is_whole(look)}
    opened: dict[str, _Opened | None] = {}
    for at, look in kept:
        form, _, rest = look.partition(".")
        name = rest.partition(".")[0] if form == _CHANGE else _name(look)
        if name not in opened:
            # the looks come in order, so that an older whole one is rarely needed again
            opened = {name: _opened(wholes.get(name))}
        yield at, _again(opened[name], rest if form == _CHANGE else None)


def _again(before: _Opened | None, rest: str | None) -> Evaluation | None:
    seen = None if before is None else before.seen if rest is None else _changed(before, rest)
    return None if seen is None else _evaluation(seen)


class _Standing(Struct, frozen=True):
    """How far one check got: whether it is off, what it examined, and what it could not."""

    off: bool
    examined: frozenset[str]
    blind: frozenset[str]


class _Seen(Struct, frozen=True, kw_only=True):
    """All that `step` reads of an evaluation. `listed`: what is not on the cluster's lists is not there; `proven`: all of it is seen."""

    taken_at: datetime
    listed: bool
    proven: bool
    maintained: tuple[str, ...] | None
    verdicts: Mapping[str, _Standing]
    findings: tuple[Finding, ...]


class _Written(Struct, frozen=True, kw_only=True):
    """A whole look as it is written: every set of objects once, a verdict names two of them by their places."""

    taken_at: datetime
    listed: bool = False
    proven: bool = False
    maintained: tuple[str, ...] | None = ()
    sets: tuple[tuple[str, ...], ...] = ()
    verdicts: Mapping[str, tuple[bool, int, int]] = {}
    findings: tuple[Finding, ...] = ()


class _Shift(Struct, frozen=True, array_like=True, omit_defaults=True):
    """How one check got further or less far than in the whole look: the objects that joined and that left."""

    off: bool
    examined: tuple[str, ...] = ()
    examined_no_more: tuple[str, ...] = ()
    blind: tuple[str, ...] = ()
    blind_no_more: tuple[str, ...] = ()


class _Difference(Struct, frozen=True, kw_only=True):
    """`gone` are places of findings in the whole look, `places` those of the new ones in this look."""

    taken_at: datetime
    listed: bool = False
    proven: bool = False
    maintained: tuple[str, ...] | None = ()
    unjudged: tuple[str, ...] = ()
    verdicts: Mapping[str, _Shift] = {}
    gone: tuple[int, ...] = ()
    places: tuple[int, ...] = ()
    findings: tuple[Finding, ...] = ()


def _seen(evaluation: Evaluation) -> _Seen:
    view = evaluation.view
    membership, in_maintenance = view.membership, maintained(evaluation)
    kept, fine = _worth_keeping(evaluation.findings)
    return _Seen(
        taken_at=evaluation.taken_at,
        listed=isinstance(membership, Known) and (membership.value.standalone or membership.value.quorate is True),
        proven=isinstance(view.sight, Known) and not view.sight.value,
        maintained=None if in_maintenance is None else tuple(sorted(in_maintenance)),
        verdicts={each.check: _standing(each, fine.get(each.check, ())) for each in evaluation.verdicts},
        findings=kept,
    )


def _worth_keeping(findings: Iterable[Finding]) -> tuple[tuple[Finding, ...], Mapping[str, list[str]]]:
    """What is bad, dark or not yet good again, and what explains it; and by check the objects of which nothing else is told."""
    findings = tuple(findings)
    bad = [finding for finding in findings if finding.severity is not _FINE or finding.lingers]
    # and what they follow from, or are contradicted by
    named = {finding.id for finding in bad} | {finding.cause for finding in bad}
    kept: list[Finding] = []
    fine: dict[str, list[str]] = {}
    for finding in findings:
        if finding.id in named:
            kept.append(finding)
        else:
            fine.setdefault(finding.check, []).append(finding.object)
    return tuple(kept), fine


def _standing(verdict: Verdict, fine: Iterable[str]) -> _Standing:
    examined = verdict.examined
    if not examined.issuperset(fine):
        examined |= frozenset(fine)
    return _Standing(verdict.off, examined, frozenset(spot.subject.object for spot in verdict.blind))


def _evaluation(seen: _Seen) -> Evaluation:
    at = seen.taken_at
    view = MonitorView(
        taken_at=at,
        membership=Known(value=Membership(standalone=False, quorate=seen.listed), source="", taken_at=at),
        ha=NOT_ASKED
        if seen.maintained is None
        else Known(value=HaStatus(lrm=tuple((node, "maintenance mode") for node in seen.maintained)), source="", taken_at=at),
        sight=Known(value=(), source="", taken_at=at) if seen.proven else NOT_ASKED,
    )
    verdicts = tuple(
        Verdict(
            check=check,
            off=standing.off,
            examined=standing.examined,
            blind=tuple(Blind(subject=Subject(object=name), reason="") for name in standing.blind),
        )
        for check, standing in seen.verdicts.items()
    )
    return Evaluation(taken_at=at, view=view, findings=seen.findings, verdicts=verdicts)


def _raw(seen: _Seen) -> bytes:
    places: dict[frozenset[str], int] = {}
    verdicts = {
        check: (standing.off, places.setdefault(standing.examined, len(places)), places.setdefault(standing.blind, len(places)))
        for check, standing in seen.verdicts.items()
    }
    return _json(seen, {"sets": [sorted(each) for each in places], "verdicts": verdicts}, seen.findings)


def _difference(before: _Seen, seen: _Seen) -> bytes:
    shifts = {}
    for check, now in seen.verdicts.items():
        then = before.verdicts.get(check, _NOTHING)
        if then is _NOTHING or now != then:
            shifts[check] = _Shift(
                now.off,
                tuple(sorted(now.examined - then.examined)),
                tuple(sorted(then.examined - now.examined)),
                tuple(sorted(now.blind - then.blind)),
                tuple(sorted(then.blind - now.blind)),
            )
    gone, places = _compared(before.findings, seen.findings)
    changes = {
        "unjudged": [check for check in before.verdicts if check not in seen.verdicts],
        "verdicts": shifts,
        "gone": gone,
        "places": places,
    }
    return _json(seen, {name: value for name, value in changes.items() if value}, tuple(seen.findings[place] for place in places))


_NOTHING = _Standing(False, frozenset(), frozenset())  # noqa: FBT003 - the fields in their order


def _compared(before: tuple[Finding, ...], findings: tuple[Finding, ...]) -> tuple[list[int], list[int]]:
    """The places of what is gone, and those of what is new; what stays is in the same order."""
    place_of = {finding.id: place for place, finding in enumerate(before)}
    kept: set[int] = set()
    new: list[int] = []
    last = -1
    for place, finding in enumerate(findings):
        then = place_of.get(finding.id, -1)
        if then > last and _contents(before[then]) == _contents(finding):
            kept.add(then)
            last = then
        else:
            new.append(place)
    return [place for place in range(len(before)) if place not in kept], new


def _json(seen: _Seen, told: Mapping[str, Any], findings: Iterable[Finding]) -> bytes:
    """The findings last: what zlib looks back at begins there."""
    common = {"taken_at": seen.taken_at, "listed": seen.listed, "proven": seen.proven, "maintained": seen.maintained}
    return msgspec.json.encode({**common, **told, "findings": [_Told(*_told(finding)) for finding in findings]})


def _changed(opened: _Opened, rest: str) -> _Seen | None:
    change = _decoded(_unsealed(rest.partition(".")[2], opened.dictionary), _Difference)
    if change is None:
        return None
    before = opened.seen
    verdicts = {check: standing for check, standing in before.verdicts.items() if check not in change.unjudged}
    for check, shift in change.verdicts.items():
        then = before.verdicts.get(check, _NOTHING)
        verdicts[check] = _Standing(
            shift.off,
            then.examined.difference(shift.examined_no_more).union(shift.examined),
            then.blind.difference(shift.blind_no_more).union(shift.blind),
        )
    gone = frozenset(change.gone)
    findings = [finding for place, finding in enumerate(before.findings) if place not in gone]
    for place, finding in zip(change.places, change.findings, strict=False):
        findings.insert(place, finding)
    return _Seen(
        taken_at=change.taken_at,
        listed=change.listed,
        proven=change.proven,
        maintained=change.maintained,
        verdicts=verdicts,
        findings=tuple(findings),
    )


class _Opened(NamedTuple):
    """A whole look, and the end of its text, which its differences are told with."""

    seen: _Seen
    dictionary: bytes


def _opened(look: str | None) -> _Opened | None:
    if look is None or not is_whole(look):
        return None
    raw = _unsealed(look.partition(".")[2])
    written = _decoded(raw, _Written)
    if raw is None or written is None:
        return None
    sets = [frozenset(each) for each in written.sets]
    try:
        verdicts = {check: _Standing(off, sets[examined], sets[blind]) for check, (off, examined, blind) in written.verdicts.items()}
    except IndexError:
        return None
    seen = _Seen(
        taken_at=written.taken_at,
        listed=written.listed,
        proven=written.proven,
        maintained=written.maintained,
        verdicts=verdicts,
        findings=written.findings,
    )
    return _Opened(seen, raw[-_WINDOW:])


def _sealed(head: str, raw: bytes, dictionary: bytes = b"") -> str:
    packer = zlib.compressobj(zdict=dictionary) if dictionary else zlib.compressobj()
    return f"{head}.{base64.b64encode(packer.compress(raw) + packer.flush()).decode('ascii')}"


def _unsealed(text: str, dictionary: bytes = b"") -> bytes | None:
    try:
        return zlib.decompressobj(zdict=dictionary).decompress(base64.b64decode(text, validate=True))
    except (ValueError, zlib.error):
        return None


def _decoded(raw: bytes | None, kind: type[T]) -> T | None:
    try:
        return None if raw is None else msgspec.json.decode(raw, type=kind)
    except msgspec.DecodeError:
        return None


def _name(whole: str) -> str:
    return digest_of(whole)[:8]
