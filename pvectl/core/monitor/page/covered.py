"""What was checked and what was not: the checks that could not see everything, what would open their eyes, and how old the answers are."""

from __future__ import annotations

from pvectl.core.amounts import many, percent, span
from pvectl.core.monitor import coverage
from pvectl.core.monitor.checks.spoken import spoken
from pvectl.core.monitor.coverage import Row
from pvectl.core.monitor.finding import Severity
from pvectl.core.monitor.page.markup import Content, Markup, element
from pvectl.core.monitor.page.seen import Seen
from pvectl.core.monitor.page.symbols import badge, bar
from pvectl.core.monitor.page.tables import Cell, table

_OLD = 60.0
"""Seconds from which on an answer's age is told."""


def section(seen: Seen) -> Markup:
    rows = coverage.rows(seen.evaluation)
    partial = [row for row in rows if row.on and (row.blind or not row.whole)]
    mends = dict.fromkeys(line for row in rows for line in row.mends)
    return element(
        "section",
        element(
            "div",
            element("h2", "Coverage", id="coverage-title"),
            element("p", _summary(rows), class_="dim small"),
            class_="heading",
        ),
        _table("Checks that could not see everything they are about.", partial)
        if partial
        else element("p", badge(Severity.OK, "every check saw everything it is about"), class_="fine"),
        element("div", "What is missing is granted by:", [element("code", line) for line in mends], class_="todo commands")
        if mends
        else None,
        element(
            "details",
            element("summary", f"All {many(len(rows), 'check')}"),
            _table("Every check: how many objects it is about, and how many of them it could judge.", rows),
        ),
        _ages(seen),
        id="coverage",
        aria_labelledby="coverage-title",
    )


def _summary(rows: tuple[Row, ...]) -> str:
    on = [row for row in rows if row.on]
    examined, eligible = sum(row.examined for row in on), sum(row.eligible for row in on)
    off = len(rows) - len(on)
    told = f"{many(len(on), 'check')} made, {examined:,} of {eligible:,} looked at"
    return f"{told}, {off} switched off" if off else told


def _table(caption: str, rows: list[Row] | tuple[Row, ...]) -> Markup:
    return table(caption, ("Check", "Looked at", "Left out", "Why not all", "State"), [_row(row) for row in rows])


def _row(row: Row) -> list[Cell]:
    reasons = [*(f"lacks {each}" for each in row.lacks), *row.reasons]
    if row.on and not row.whole:
        reasons.append(f"the list of {row.about}s is not proven complete")
    why: Content = [element("span", each, class_="under") for each in reasons] if reasons else None
    share = row.examined / row.eligible if row.eligible else None
    return [
        Cell(told=[row.title, element("span", row.check, class_="under")]),
        Cell(told=_measure(row, share), kind="measure"),
        Cell(told=f"{row.left_out:,}" if row.left_out else None, term="left out"),
        Cell(told=why, kind="across"),
        Cell(told=_state(row), kind="state"),
    ]


def _measure(row: Row, share: float | None) -> Content:
    if share is None:
        return element("span", "nothing to look at", class_="dim") if row.on else None
    numbers = [element("b", f"{row.examined:,} of {row.eligible:,}"), element("span", percent(share), class_="dim")]
    return [element("span", numbers, class_="number"), bar(share, Severity.UNKNOWN if row.blind else Severity.OK)]


def _state(row: Row) -> Markup:
    if not row.on:
        return element("span", "switched off", class_="badge dim")
    if row.blind or not row.whole:
        return badge(Severity.UNKNOWN, "partly blind" if row.examined else "blind" if row.blind else "not proven")
    return badge(Severity.OK, "all seen")


def _ages(seen: Seen) -> Markup | None:
    ages: dict[str, list[float]] = {}
    for row in seen.readings:
        if row.age is not None and row.age >= _OLD:
            ages.setdefault(row.name, []).append(row.age)
    if not ages:
        return None
    ranked = sorted(ages.items(), key=lambda each: (-max(each[1]), each[0]))
    return element(
        "details",
        element("summary", f"Answers older than a minute: {many(len(ages), 'source')}, the oldest {span(max(ranked[0][1]))}"),
        table(
            "What changes slowly is not asked for in every run; this is how old it was.",
            ("Source", "Answers", "Newest", "Oldest"),
            [
                [
                    Cell(told=spoken(name, "cluster")),
                    Cell(told=f"{len(found):,}", term="answers"),
                    Cell(told=span(min(found)), term="newest"),
                    Cell(told=span(max(found)), term="oldest"),
                ]
                for name, found in ranked
            ],
        ),
    )
