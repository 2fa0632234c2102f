"""The storages: how full each is, and when it will be."""

from __future__ import annotations

from pvectl.core.amounts import many, part, percent
from pvectl.core.model import Storage
from pvectl.core.monitor.checks.storages import fullness
from pvectl.core.monitor.finding import Severity, Subject
from pvectl.core.monitor.page.markup import Content, Markup, element, name_of
from pvectl.core.monitor.page.seen import WORST_FIRST, Seen, worst_of
from pvectl.core.monitor.page.symbols import bar, standing
from pvectl.core.monitor.page.tables import Cell, table

MOST = 60
"""How many storages are shown."""
_YEAR = 365


def section(seen: Seen) -> Markup:
    ranked = sorted(seen.look.storages, key=lambda each: _rank(seen, *each))
    shown, left = ranked[:MOST], len(ranked) - MOST
    return element(
        "section",
        element("h2", "Storages", id="storages-title", class_="heading"),
        table(
            "Every storage once, a shared one for all its nodes; those with problems first, then the fullest.",
            ("Storage", "In use", "Full", "State"),
            [_row(seen, subject, rows) for subject, rows in shown],
        )
        if shown
        else element("p", "No storage could be seen.", class_="fine"),
        element("p", f"{many(left, 'more storage')} not shown here, none worse or fuller than these", class_="more") if left > 0 else None,
        id="storages",
        aria_labelledby="storages-title",
    )


def _rank(seen: Seen, subject: Subject, rows: tuple[Storage, ...]) -> tuple[int, float, str]:
    filled = fullness(rows)
    return WORST_FIRST[_worst(seen, subject, rows)], -(filled[0] / filled[1]) if filled else 1.0, subject.object


def _worst(seen: Seen, subject: Subject, rows: tuple[Storage, ...]) -> Severity:
    """The worst about the storage itself, and about it on one of its nodes."""
    names = {subject.object, *(f"storage/{row.node}/{row.storage}" for row in rows)}
    return worst_of(finding for name in names for finding in seen.about(name))


def _row(seen: Seen, subject: Subject, rows: tuple[Storage, ...]) -> list[Cell]:
    first = rows[0]
    where: Content = many(len(rows), "node") if first.shared else ["on ", name_of(first.node)]
    worst = _worst(seen, subject, rows)
    return [
        Cell(told=[name_of(first.storage), element("span", first.plugintype or "type not known", ", ", where, class_="under")]),
        Cell(told=_measure(seen, subject, rows), kind="measure"),
        Cell(told=_forecast(seen, subject), term="Full"),
        Cell(told=standing(worst), kind="state"),
    ]


def _measure(seen: Seen, subject: Subject, rows: tuple[Storage, ...]) -> Content:
    filled = fullness(rows)
    if filled is None:
        return [element("span", "not known", class_="number dim"), bar(None)]
    used, total = filled
    found = seen.found("storage.usage", subject.object)
    return [
        element(
            "span",
            element("b", percent(used / total)),
            element("span", part(used, total), class_="dim"),
            class_="number",
        ),
        bar(used / total, found.severity if found else Severity.OK, found.levels if found else None),
    ]


def _forecast(seen: Seen, subject: Subject) -> Content:
    found = seen.found("storage.days_to_full", subject.object)
    if found is None or found.value is None:
        return None
    return f"in {many(round(found.value), 'day')}" if found.value <= _YEAR else "not within a year"
