"""Tables that turn into cards on a narrow screen, and stay tables for whoever has them read out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from pvectl.core.monitor.page.markup import Content, Markup, element


class Cell(Struct, frozen=True, kw_only=True):
    """What stands in a cell, how it is set (`measure`, `right`, `state`, `across`), and its column's name where the head is not shown."""

    told: Content
    kind: str | None = None
    term: str | None = None


def table(caption: str, titles: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Markup:
    """The first cell of each row is its header. The roles stay when a style sheet makes something else of a table."""
    head = element("tr", [element("th", title, scope="col", role="columnheader") for title in titles], role="row")
    return element(
        "table",
        element("caption", caption),
        element("thead", head, role="rowgroup"),
        element(
            "tbody", [element("tr", [_cell(number, cell) for number, cell in enumerate(row)], role="row") for row in rows], role="rowgroup"
        ),
        role="table",
    )


def _cell(number: int, cell: Cell) -> Markup:
    if number == 0:
        return element("th", cell.told, scope="row", role="rowheader", class_=cell.kind)
    return element("td", cell.told, role="cell", class_=cell.kind, data_term=cell.term if cell.told else None)
