"""Tables as text: whole in a pipe, fitted to the width of a terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TextIO, TypeAlias

from msgspec import Struct

_GAP = "  "
_STYLES = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "bold": "1"}


class Column(Struct, frozen=True, kw_only=True):
    """A column of a text table.

    `need` orders what a narrow terminal gives up: the highest need stays longest; 9 is never dropped. A `flexible` column is
    shortened down to `least` characters; with `wrap`, its words go on in the next line instead of being cut.
    """

    title: str
    right: bool = False
    need: int = 9
    flexible: bool = False
    least: int = 12
    wrap: bool = False
    style: Callable[[str], str | None] | None = None


class Table(Struct, frozen=True, kw_only=True):
    """Rows of ready-made cells under titles; `header` False leaves the titles out."""

    columns: tuple[Column, ...]
    rows: Sequence[tuple[str, ...]]
    header: bool = True


Text: TypeAlias = Table | str


class Terminal(Struct, frozen=True, kw_only=True):
    """What the stream that text goes to can show. `width` None: not a terminal, so nothing is cut."""

    width: int | None = None
    colour: bool = False

    @classmethod
    def of(cls, stream: TextIO, env: dict[str, str]) -> Terminal:
        if not stream.isatty():
            return cls()
        try:
            width = int(env.get("COLUMNS", "")) or os.get_terminal_size(stream.fileno()).columns
        except (ValueError, OSError):
            try:
                width = os.get_terminal_size(stream.fileno()).columns
            except OSError:
                width = 80
        return cls(width=max(width, 20) if width else 80, colour=not env.get("NO_COLOR") and env.get("TERM") != "dumb")


def text_of(text: Text, terminal: Terminal) -> str:
    """A table laid out for the terminal, or the text itself with its line end."""
    if isinstance(text, str):
        return text if not text or text.endswith("\n") else text + "\n"
    return _laid_out(text, terminal)


def paint(word: str, style: str, terminal: Terminal) -> str:
    """`word` in a style of `good`, `bad`, `warn`, `dim`, `bold`, where the terminal has colours."""
    return f"\x1b[{_STYLES[style]}m{word}\x1b[0m" if terminal.colour else word


def folded(sentence: str, terminal: Terminal, *, margin: int) -> str:
    """A sentence behind a margin, in as many lines as the terminal needs for it."""
    if terminal.width is None or len(sentence) <= terminal.width - margin:
        return sentence
    import textwrap

    return f"\n{'':{margin}}".join(textwrap.wrap(sentence, max(terminal.width - margin, 30), break_on_hyphens=False))


def _laid_out(table: Table, terminal: Terminal) -> str:
    titles = tuple(column.title for column in table.columns) if table.header else ("",) * len(table.columns)
    cells = [tuple(map(len, column)) for column in zip(titles, *table.rows, strict=True)] if table.columns else []
    widths = [max(lengths) for lengths in cells]
    shown, widths = _fitted(table.columns, widths, terminal.width)
    lines: list[str] = []
    if table.header and table.rows:
        lines += _lines(titles, table.columns, shown, widths, terminal, heading=True)
    if terminal.width is None:
        lines.extend(_plain_rows(table, widths))
    else:
        for row in table.rows:
            lines += _lines(row, table.columns, shown, widths, terminal)
    return "\n".join(lines) + "\n" if lines else ""


def _plain_rows(table: Table, widths: list[int]) -> Iterable[str]:
    """Every column whole: one format string serves all rows, which 10,000 of them notice."""
    last = len(widths) - 1
    parts = [
        f"{{:>{width}}}" if column.right else "{}" if index == last else f"{{:<{width}}}"
        for index, (column, width) in enumerate(zip(table.columns, widths, strict=True))
    ]
    layout = _GAP.join(parts).format
    return [layout(*row).rstrip() for row in table.rows]


def _fitted(columns: Sequence[Column], widths: list[int], room: int | None) -> tuple[list[int], list[int]]:
    """Which columns stay and how wide, so that a line fits `room`: the least needed go first, then the flexible ones shrink."""
    shown = list(range(len(columns)))
    if room is None:
        return shown, widths

    def total() -> int:
        return sum(widths[i] for i in shown) + len(_GAP) * (len(shown) - 1)

    widths = list(widths)
    floors = [_floor(column, width) for column, width in zip(columns, widths, strict=True)]

    def least() -> int:
        return sum(floors[i] for i in shown) + len(_GAP) * (len(shown) - 1)

    while least() > room and (droppable := [i for i in shown if columns[i].need < 9]):
        shown.remove(min(droppable, key=lambda i: (columns[i].need, -i)))
    while (excess := total() - room) > 0 and (loose := [i for i in shown if widths[i] > floors[i]]):
        widest = max(loose, key=lambda i: widths[i])
        widths[widest] -= max(1, min(excess // len(loose), widths[widest] - floors[widest]))
    return shown, widths


def _floor(column: Column, width: int) -> int:
    return min(width, max(len(column.title), column.least)) if column.flexible else width


def _lines(
    row: Sequence[str], columns: Sequence[Column], shown: list[int], widths: list[int], terminal: Terminal, *, heading: bool = False
) -> Iterable[str]:
    """One row as lines of a terminal: a single one, unless a column wraps."""
    pieces = {i: _pieces(row[i], columns[i], widths[i]) for i in shown}
    for turn in range(max(map(len, pieces.values()), default=0)):
        cells = []
        for i in shown:
            cell = pieces[i][turn] if turn < len(pieces[i]) else ""
            style = "bold" if heading else _style_of(columns[i], row[i])
            pad = " " * (widths[i] - len(cell))
            painted = paint(cell, style, terminal) if style and cell else cell
            cells.append(pad + painted if columns[i].right else painted + pad)
        yield _GAP.join(cells).rstrip()


def _style_of(column: Column, cell: str) -> str | None:
    return column.style(cell) if column.style else None


def _pieces(cell: str, column: Column, width: int) -> list[str]:
    if len(cell) <= width:
        return [cell]
    if not column.wrap:
        return [cell[: width - 1] + "…"]
    import textwrap

    return textwrap.wrap(cell, width, break_on_hyphens=False)
