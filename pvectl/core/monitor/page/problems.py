"""What is wrong and what nobody could see, by how bad it is: each with its measure, since when, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pvectl.core.amounts import many, percent, span
from pvectl.core.monitor.finding import Finding, Severity, Unit
from pvectl.core.monitor.page.markup import Content, Markup, element, name_of
from pvectl.core.monitor.page.seen import Seen
from pvectl.core.monitor.page.symbols import badge, bar, icon

ALIKE = 6
"""How many findings of one check are told one by one."""
NAMED = 20
"""How many objects of the others are named."""
_GROUPS = {Severity.CRITICAL: "Critical", Severity.WARNING: "Warning", Severity.UNKNOWN: "Could not be checked"}


def section(seen: Seen) -> Markup:
    told = [finding for finding in seen.evaluation.own if finding.severity is not Severity.OK]
    groups = [(severity, [finding for finding in told if finding.severity is severity]) for severity in _GROUPS]
    return element(
        "section",
        element("h2", "Problems", id="problems-title", class_="heading"),
        [_group(seen, severity, group) for severity, group in groups if group] if told else _nothing(seen),
        id="problems",
        aria_labelledby="problems-title",
    )


def _nothing(seen: Seen) -> Markup:
    examined = any(verdict.examined for verdict in seen.evaluation.verdicts)
    if not examined:
        return element("p", icon(Severity.UNKNOWN), "Nothing could be checked, so nothing can be said.", class_="fine")
    return element("p", icon(Severity.OK), "None: everything that was checked is fine.", class_="fine")


def _group(seen: Seen, severity: Severity, group: list[Finding]) -> Markup:
    return element(
        "div",
        element("h3", badge(severity, f"{_GROUPS[severity]} ({len(group):,})"), id=f"problems-{severity}"),
        element("ul", [element("li", each, class_=f"card finding {severity}") for each in _cards(seen, group)], class_="cards wide"),
        class_="group",
    )


def _cards(seen: Seen, group: Iterable[Finding]) -> Iterator[Content]:
    by_check: dict[str, list[Finding]] = {}
    for finding in group:
        by_check.setdefault(finding.check, []).append(finding)
    for check, alike in by_check.items():
        yield from ([_told(seen, finding)] for finding in alike[:ALIKE])
        if left := alike[ALIKE:]:
            named = [[", " if number else None, name_of(finding.object)] for number, finding in enumerate(left[:NAMED])]
            rest = f" and {many(len(left) - NAMED, 'other')}" if len(left) > NAMED else None
            yield [
                element("p", f"{many(len(left), 'more problem')} like these ({check})", class_="what"),
                element("p", named, rest, class_="small dim"),
            ]


def _told(seen: Seen, finding: Finding) -> Content:
    share = finding.value if finding.unit is Unit.RATIO and not finding.falling else None
    return [
        element("p", name_of(finding.message), class_="what sentence" if finding.message[:1].isalpha() else "what"),
        element("dl", list(_facts(seen, finding)), class_="facts"),
        bar(share, finding.severity, finding.levels) if share is not None else None,
        _todo(finding.hint) if finding.hint else None,
    ]


def _facts(seen: Seen, finding: Finding) -> Iterator[Markup]:
    yield _fact("Object", name_of(finding.object))
    yield _fact("Check", finding.check)
    if finding.since is not None:
        yield _fact("Since", [seen.moment(finding.since), f" ({span((seen.now - finding.since).total_seconds())})"])
    if levels := _levels(finding):
        yield _fact("Level", levels)
    if followers := seen.followers(finding):
        yield _fact("Explains", many(followers, "other finding"))
    age = max((each.age for each in finding.evidence if each.age is not None), default=0.0)
    if age >= 60:
        yield _fact("Seen", f"{span(age)} before")


def _fact(term: str, told: Content) -> Markup:
    return element("div", element("dt", term), element("dd", told))


def _levels(finding: Finding) -> str:
    levels = finding.levels
    if levels is None:
        return ""
    told = [(word, level) for word, level in (("warning", levels.warn), ("critical", levels.crit)) if level is not None]
    where = "from" if finding.unit is Unit.COUNT else "down from" if finding.falling else "above"
    return ", ".join(f"{word} {where} {_amount(level, finding.unit)}" for word, level in told)


def _amount(level: float, unit: Unit | None) -> str:
    if unit is Unit.RATIO:
        return percent(level)
    if unit is Unit.SECONDS:
        return span(level)
    return f"{level:g} days" if unit is Unit.DAYS else f"{level:g}"


def _todo(hint: str) -> Markup:
    """The next step: its command lines each on its own."""
    if hint.startswith(("pveum ", "pvectl ")):
        return element("div", "What to do:", [element("code", line) for line in hint.split(" && ")], class_="todo")
    where, colon, command = hint.partition(": ")
    if colon and "on " in f"{where} ":
        comma = "" if where.startswith("on ") else ","
        return element("div", f"What to do{comma} {where}:", element("code", command), class_="todo")
    return element("p", f"What to do: {hint}", class_="todo")
