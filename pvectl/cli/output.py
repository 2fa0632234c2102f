"""What a command found out, and the one place that prints it: text, JSON, JSON lines, YAML or CSV."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeAlias

from msgspec import Struct, field

from pvectl.cli.layout import Column, Table, Terminal, Text, text_of
from pvectl.core.text import clean
from pvectl.errors import CannotWrite, ExitCode, PvectlError

if TYPE_CHECKING:
    from datetime import datetime

Format: TypeAlias = Literal["text", "json", "jsonl", "yaml", "csv", "nagios", "prometheus"]
"""The last two only where a command has them."""



class Problem(Struct, frozen=True, kw_only=True):
    """One entry of the envelope's `errors`."""

    code: str
    message: str
    hint: str | None = None
    subject: str | None = None

    @classmethod
    def of(cls, error: PvectlError) -> Problem:
        return cls(code=error.kind, message=error.message, hint=error.hint, subject=error.subject)


class Report(Struct, frozen=True, kw_only=True):
    """The result of a command, ready to be printed in any format.

    `schema` is the bare name ("vm-list"); `data` anything msgspec can encode; `text` what a person reads; `csv` the columns
    of the same data for spreadsheets, taken from `text` when it is a table and not given here. What is long to lay out is given
    as a function, and called only when that format is asked for. Without `news`, nothing done and nothing failed, a quiet run
    prints no text. `remarks` are sentences for the person who reads stderr; they change nothing. `forms` are the further formats of this
    command; `written_to` is the file that took the result instead of stdout.
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
    remarks: tuple[str, ...] = ()
    forms: Mapping[str, Callable[[], str | bytes]] = {}
    written_to: str | None = None
    code: int | None = None
    """Another exit code than those of the table, which a plugin of Nagios needs."""

    @property
    def status(self) -> str:
        if self.exit_code is ExitCode.OK and not self.problems:
            return "ok"
        return "error" if self.data is None else "partial"


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
    if format_ in report.forms:
        form = report.forms[format_]()
        return form if isinstance(form, bytes) else form.encode("utf-8", "backslashreplace")
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

    table = report.csv() if report.csv else _raw_table(report)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    if table.header and table.columns:
        writer.writerow([column.title.lower() for column in table.columns])
    writer.writerows([_inert(clean(cell)) for cell in row] for row in table.rows)
    return buffer.getvalue().encode()


def _raw_table(report: Report) -> Table:
    """The rows of `data` with the fields and values JSON has, for spreadsheets."""
    import msgspec

    if not isinstance(report.data, list | tuple):
        raise PvectlError(f"{report.schema} has no CSV form", hint="use -o json")
    rows: list[dict[str, object]] = [msgspec.to_builtins(row) for row in report.data]
    names = list(rows[0]) if rows else []
    return Table(columns=tuple(Column(title=name) for name in names), rows=[tuple(plain(row[name]) for name in names) for row in rows])


def plain(value: object) -> str:
    """One value as CSV has it: numbers raw, lists with semicolons, nothing for what is not known."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return ";".join(plain(one) for one in value)
        case dict():
            import msgspec

            return msgspec.json.encode(value).decode()
    return str(value)


def _inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t") and cell != "-" else cell


class CannotPrint(PvectlError):
    """The result is there, and stdout does not take it: a full disk, a closed file."""

    kind = "output"


def write(stream: TextIO, payload: bytes) -> None:
    """Write and flush; a reader that has gone away (`| head -1`) ends the output quietly.

    Raises:
        CannotPrint: the stream takes nothing.
    """
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
    except (OSError, ValueError) as error:
        _point_at_devnull(stream)
        raise CannotPrint(f"the result cannot be written: {getattr(error, 'strerror', None) or error}") from None


def write_file(path: str, payload: bytes) -> None:
    """Put the file in place whole or not at all, readable for everybody: a collector reads it as another user.

    Raises:
        CannotWrite: it is not there; what was there before is.
    """
    target = Path(path)
    # a collector reads every *.prom of the directory, so this must not end so
    half = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(payload)
            os.fchmod(descriptor, 0o644)
            stream.flush()
            os.fsync(descriptor)
        half.replace(target)
    except OSError as error:
        half.unlink(missing_ok=True)
        raise CannotWrite(f"{path} cannot be written: {(error.strerror or str(error)).lower()}", subject=f"file/{path}") from None


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


def default_streams() -> tuple[TextIO, TextIO, TextIO]:
    """Those of the process; what was closed before it began is /dev/null."""
    nowhere = Path(os.devnull)
    return (
        sys.stdin or nowhere.open(encoding="utf-8"),
        sys.stdout or nowhere.open("w", encoding="utf-8"),
        sys.stderr or nowhere.open("w", encoding="utf-8"),
    )
