"""What a command found out, and the one place that prints it: text, JSON, JSON lines, YAML or CSV."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeAlias

from msgspec import Struct, field

from pvectl.core.text import clean
from pvectl.errors import ExitCode, PvectlError

if TYPE_CHECKING:
    from datetime import datetime

Format: TypeAlias = Literal["text", "json", "jsonl", "yaml", "csv"]
FORMATS: tuple[Format, ...] = ("text", "json", "jsonl", "yaml", "csv")

_GAP = "  "
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SPANS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))
_STYLES = {"good": "32", "bad": "31", "warn": "33", "dim": "2", "bold": "1"}


class Problem(Struct, frozen=True, kw_only=True):
    """One entry of the envelope's `errors`."""

    code: str
    message: str
    hint: str | None = None
    subject: str | None = None

    @classmethod
    def of(cls, error: PvectlError) -> Problem:
        return cls(code=error.kind, message=error.message, hint=error.hint, subject=error.subject)


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
    """Rows of ready-made cells under titles. `header` False leaves the titles out, `note` follows the rows."""

    columns: tuple[Column, ...]
    rows: Sequence[tuple[str, ...]]
    header: bool = True
    note: str = ""


Text: TypeAlias = Table | str


class Report(Struct, frozen=True, kw_only=True):
    """The result of a command, ready to be printed in any format.

    `schema` is the bare name ("vm-list"); `data` anything msgspec can encode; `text` what a person reads; `csv` the columns
    of the same data for spreadsheets, taken from `text` when it is a table and not given here. What is long to lay out is given
    as a function, and called only when that format is asked for. Without `news`, nothing done and nothing failed, a quiet run
    prints no text.
    """

    schema: str
    data: object
    text: Text | Callable[[], Text]
    exit_code: ExitCode = ExitCode.OK
    complete: bool = True
    cluster: str | None = None
    problems: tuple[Problem, ...] = ()
    csv: Callable[[], Table] | None = None
    news: bool = True

    @property
    def status(self) -> str:
        if self.exit_code is ExitCode.OK and not self.problems:
            return "ok"
        return "error" if self.data is None else "partial"


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


class _Envelope(Struct, kw_only=True):
    schema_: str = field(name="schema")
    generated_at: datetime
    cluster: str | None
    status: str
    complete: bool
    exit_code: int
    data: object
    errors: tuple[Problem, ...]


def render(report: Report, format_: Format, *, now: datetime, terminal: Terminal) -> bytes:
    """The bytes of one report, ending in a newline unless there is nothing to say."""
    if format_ == "text":
        return text_of(_text(report), terminal).encode("utf-8", "backslashreplace")
    if format_ == "csv":
        return _csv(report)
    if format_ == "jsonl":
        return _jsonl(report, now)
    import msgspec

    if format_ == "json":
        document = msgspec.json.encode(_envelope(report, now))
        return (msgspec.json.format(document, indent=2) if terminal.width else document) + b"\n"
    import yaml

    plain = msgspec.to_builtins(_envelope(report, now), str_keys=True)
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    rendered: bytes = yaml.dump(plain, Dumper=dumper, sort_keys=False, allow_unicode=True, encoding="utf-8")
    return rendered


def failure(error: PvectlError, *, schema: str, cluster: str | None) -> Report:
    """The report of a run that failed before there was a result."""
    listed = getattr(error, "problems", None)
    problems = tuple(
        Problem(code=error.kind, message=str(one), hint=getattr(one, "hint", None), subject=error.subject) for one in listed or ()
    )
    problems = problems or (Problem.of(error),)
    return Report(schema=schema, data=None, text="", exit_code=error.exit_code, complete=False, cluster=cluster, problems=problems)


def complaint(problem: Problem) -> str:
    """One problem as stderr shows it: `pvectl: …`, and the hint on a line of its own."""
    lines = [f"pvectl: {clean(problem.message)}"]
    if problem.hint:
        lines.append(f"hint: {clean(problem.hint)}")
    return "\n".join(lines) + "\n"


def text_of(text: Text, terminal: Terminal) -> str:
    """A table laid out for the terminal, or the text itself with its line end."""
    if isinstance(text, str):
        return text if not text or text.endswith("\n") else text + "\n"
    return _laid_out(text, terminal)


def paint(word: str, style: str, terminal: Terminal) -> str:
    """`word` in a style of `good`, `bad`, `warn`, `dim`, `bold`, where the terminal has colours."""
    return f"\x1b[{_STYLES[style]}m{word}\x1b[0m" if terminal.colour else word


def _text(report: Report) -> Text:
    return report.text() if callable(report.text) else report.text


def _envelope(report: Report, now: datetime) -> _Envelope:
    return _Envelope(
        schema_=f"pvectl/{report.schema}/v1",
        generated_at=now.replace(microsecond=0),
        cluster=report.cluster,
        status=report.status,
        complete=report.complete,
        exit_code=int(report.exit_code),
        data=report.data,
        errors=report.problems,
    )


def _jsonl(report: Report, now: datetime) -> bytes:
    import msgspec

    if report.data is None:
        return msgspec.json.encode(_envelope(report, now)) + b"\n"
    items = report.data if isinstance(report.data, list | tuple) else [report.data]
    return b"".join(msgspec.json.encode(item) + b"\n" for item in items)


def _csv(report: Report) -> bytes:
    import csv
    import io

    table = report.csv() if report.csv else _text(report)
    if isinstance(table, str):
        raise PvectlError(f"{report.schema} has no CSV form", hint="use -o json")
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if table.header:
        writer.writerow([column.title.lower() for column in table.columns])
    writer.writerows([_inert(clean(cell)) for cell in row] for row in table.rows)
    return buffer.getvalue().encode()


def _inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t") and cell != "-" else cell


def _laid_out(table: Table, terminal: Terminal) -> str:
    titles = tuple(column.title for column in table.columns) if table.header else ("",) * len(table.columns)
    cells = [tuple(map(len, column)) for column in zip(titles, *table.rows, strict=True)] if table.columns else []
    widths = [max(lengths) for lengths in cells]
    shown, widths = _fitted(table.columns, widths, terminal.width)
    lines: list[str] = []
    if table.header and (table.rows or not table.note):
        lines += _lines(titles, table.columns, shown, widths, terminal, heading=True)
    if terminal.width is None:
        lines.extend(_plain_rows(table, widths))
    else:
        for row in table.rows:
            lines += _lines(row, table.columns, shown, widths, terminal)
    if table.note:
        lines.append(table.note)
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

    return textwrap.wrap(cell, width)


def write(stream: TextIO, payload: bytes) -> None:
    """Write and flush; a reader that has gone away (`| head -1`) ends the output quietly."""
    try:
        buffer: Any = getattr(stream, "buffer", None)
        if buffer is None:
            stream.write(payload.decode())
        else:
            stream.flush()
            buffer.write(payload)
        stream.flush()
    except BrokenPipeError:
        _point_at_devnull(stream)


def _point_at_devnull(stream: TextIO) -> None:
    """So that the interpreter's own flush at exit does not complain about the pipe again."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def size(value: int | None) -> str:
    """Bytes as people read them, "-" when not known: 1536 -> "1.5 KiB"."""
    if value is None:
        return "-"
    power = min((value.bit_length() - 1) // 10, len(_UNITS) - 1) if value > 0 else 0
    if power == 0:
        return f"{value} B"
    amount = value / (1 << 10 * power)
    return f"{amount:.0f} {_UNITS[power]}" if amount >= 100 else f"{amount:.1f} {_UNITS[power]}"


def percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio * 100:.0f}%"


def span(seconds: float | None) -> str:
    """A duration as people read it, in its two largest units, "-" when not known: 93784 -> "1d 2h"."""
    if seconds is None:
        return "-"
    whole = int(seconds)
    for width, unit, below, part in _SPANS:
        if whole >= width:
            count, rest = divmod(whole, width)
            rest //= below
            return f"{count}{unit} {rest}{part}" if rest else f"{count}{unit}"
    return f"{whole}s"


def default_streams() -> tuple[TextIO, TextIO, TextIO]:
    return sys.stdin, sys.stdout, sys.stderr
