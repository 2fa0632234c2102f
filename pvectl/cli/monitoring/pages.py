"""The monitor's answer in every form: a page, JSON, tables, a plugin's line, metrics."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from pvectl.cli.layout import Column, Table, Terminal, paint
from pvectl.cli.monitoring import run as monitor_run
from pvectl.cli.output import CannotPrint, Report, write, write_file
from pvectl.cli.sparks import sparks
from pvectl.core.model import Known
from pvectl.core.monitor import coverage as covering
from pvectl.core.monitor import data as monitor_data
from pvectl.core.monitor import exposition, nagios
from pvectl.core.monitor import lines as monitor_page
from pvectl.core.monitor.finding import Severity
from pvectl.core.text import clean
from pvectl.errors import ExitCode, PvectlError

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.monitoring.run import Chosen, Looked
    from pvectl.core.monitor.coverage import Row
    from pvectl.core.monitor.lines import Line, Page

_STYLES = {Severity.OK: "good", Severity.WARNING: "warn", Severity.CRITICAL: "bad", Severity.UNKNOWN: "dim"}
_WIDEST = 100
_LEAST_TEXT = 30
_SPARKS = 30


def report(run: Run, chosen: Chosen, *, coverage: bool) -> Report:
    """Look, and answer in the form that was asked for."""
    if chosen.html is not None:
        from pvectl.cli.monitoring import html

        html.refuse(chosen.html)
    with _told_when_it_fails(run, chosen):
        seen = monitor_run.looked(run, chosen.only)
    if chosen.html is not None:
        from pvectl.cli.monitoring import html

        html.write(run, seen, chosen.html)
    evaluation = seen.evaluation
    as_plugin = partial(nagios.result, evaluation, perfdata=chosen.perfdata, unknown_as=chosen.unknown_as)
    plugin = as_plugin() if run.options.format == "nagios" else None
    in_words = run.options.format in ("json", "jsonl", "yaml")
    return Report(
        schema="monitor",
        data=seen.data if in_words else None,
        text=lambda: _text(run, seen, coverage=coverage, to_file=chosen.write is not None),
        csv=(lambda: _coverage_table(covering.rows(evaluation))) if coverage else (lambda: _findings_table(seen)),
        exit_code=_exit_code(seen, chosen),
        complete=seen.complete,
        cluster=run.cluster,
        news=evaluation.severity is not Severity.OK,
        # a plugin's stderr is read by nobody, or taken for a failure
        remarks=() if plugin else seen.remarks,
        forms={
            "nagios": lambda: (plugin or as_plugin()).text + "\n",
            "prometheus": lambda: exposition.text(evaluation, which=chosen.metrics, took=seen.took),
        },
        written_to=chosen.write,
        code=plugin.status if plugin else None,
    )


def schema(run: Run) -> Report:
    """The JSON Schema of the result: bare, in no envelope, whatever the output format."""
    from msgspec import json
    from msgspec.structs import replace

    run.options = replace(run.options, format="text")
    bare = monitor_data.schema()
    return Report(schema="monitor", data=bare, text=json.format(json.encode(bare), indent=2).decode() + "\n")


def _exit_code(seen: Looked, chosen: Chosen) -> ExitCode:
    counts = seen.evaluation.counts
    if chosen.fail_on is None:
        return ExitCode.OK
    if counts.critical or (counts.warning and chosen.fail_on != "critical"):
        return ExitCode.FAILED
    blind = counts.unknown or seen.evaluation.severity is Severity.UNKNOWN
    return ExitCode.BLIND if chosen.fail_on == "unknown" and blind else ExitCode.OK


@contextmanager
def _told_when_it_fails(run: Run, chosen: Chosen) -> Iterator[None]:
    """A collector of metrics must not go on with those of an earlier run: what failed says so in their place."""
    try:
        yield
    except BaseException as failure:
        if chosen.html is not None:
            from pvectl.cli.monitoring import html

            html.write_failure(run, failure, chosen.html)
        if run.options.format == "prometheus":
            payload = exposition.failed(run.clock.now(), cluster=run.cluster)
            try:
                if chosen.write is not None:
                    write_file(chosen.write, payload)
                else:
                    write(run.stdout, payload)
            except (CannotPrint, PvectlError) as error:
                run.say(f"pvectl: {error.message}")
        raise


def _text(run: Run, seen: Looked, *, coverage: bool, to_file: bool) -> Table | str:
    terminal = Terminal() if to_file else Terminal.of(run.stdout, run.env)
    if coverage:
        return _coverage_page(covering.rows(seen.evaluation), terminal)
    page = monitor_page.page(seen.evaluation, seen.settings, took=seen.took)
    return _page(page, terminal, _trends(seen, terminal) if terminal.width else [])


def _trends(seen: Looked, terminal: Terminal) -> list[str]:
    """How the storages filled up that are worth a forecast, in the last month."""
    histories = {facts.object: facts.history.value for facts in seen.evaluation.view.storages if isinstance(facts.history, Known)}
    told = []
    for name, samples in sorted(histories.items()):
        shares = [sample.used / sample.total for sample in samples if sample.used is not None and sample.total]
        if shares:
            told.append(f"{clean(name):<{_LEAST_TEXT}}  {sparks(shares, most=1, width=_SPARKS)}  {shares[-1]:.0%}")
    return ["", paint("the last month", "bold", terminal), *told] if told else []


def _page(page: Page, terminal: Terminal, trends: list[str]) -> str:
    """The verdict, what is wrong, what nobody could see, what was checked."""
    head = paint(page.severity.upper(), _STYLES[page.severity], terminal)
    lines = [f"{head}  {clean(page.verdict)}"]
    given: set[str] = set()
    for title, group in (("", page.wrong), ("could not be checked", page.blind)):
        if group:
            lines.append("" if not title else f"\n{paint(title, 'bold', terminal)}")
            width = max(len(clean(line.object)) for line in group)
            for line in group:
                lines += _lines(line, min(width, _LEAST_TEXT), terminal, given)
    lines += [*trends, "", *(paint(part, "dim", terminal) for part in _wrapped(clean(page.summary), terminal, 0))]
    return "\n".join(lines) + "\n"


def _lines(line: Line, width: int, terminal: Terminal, given: set[str]) -> Iterator[str]:
    """A finding and what to do about it; a command that has been `given` once mends the rest as well."""
    mark = paint(f"{line.severity:<8}", _STYLES[line.severity], terminal)
    margin = 10 + width + 2
    told = _wrapped(clean(line.text), terminal, margin)
    name = clean(line.object)
    if len(name) > width:
        yield f"{mark}  {name}"
        yield " " * margin + told[0]
    else:
        yield f"{mark}  {name:<{width}}  {told[0]}"
    for more in told[1:]:
        yield " " * margin + more
    for hint in (line.hint or "").split(" && ") if line.hint else ():
        if hint not in given:
            given.add(hint)
            # never wrapped: these are to be copied
            yield " " * margin + paint("→ ", "dim", terminal) + clean(hint)


def _wrapped(text: str, terminal: Terminal, margin: int) -> list[str]:
    if terminal.width is None:
        return [text]
    room = max(min(terminal.width, _WIDEST + margin) - margin, _LEAST_TEXT)
    return textwrap.wrap(text, room, break_on_hyphens=False) or [""]


def _coverage_page(rows: tuple[Row, ...], terminal: Terminal) -> str:
    """Each check with how far it got, then what is missing with the lines that grant it."""
    from pvectl.cli.layout import text_of

    lines = [text_of(_coverage_table(rows, short=True), terminal).rstrip("\n")]
    lacks = [row for row in rows if row.lacks or row.reasons]
    if lacks:
        lines += ["", paint("what is missing", "bold", terminal)]
    for row in lacks:
        told = [*(f"the token lacks {lack}" for lack in row.lacks)] or [*row.reasons[:3]]
        lines += _lines_of(f"{row.check}: {'; '.join(told)}", terminal)
    mends = dict.fromkeys(line for row in rows for line in row.mends)
    if mends:
        lines += ["", paint("on a node, as root, these lines grant it", "bold", terminal), *(clean(line) for line in mends)]
    if not all(row.whole for row in rows):
        words = "the lists of guests and storages are not proven complete, so more may exist than is counted here"
        lines += ["", *_lines_of(words, terminal)]
    return "\n".join(lines) + "\n"


def _lines_of(text: str, terminal: Terminal) -> list[str]:
    return _wrapped(clean(text), terminal, 0)


def _coverage_table(rows: tuple[Row, ...], *, short: bool = False) -> Table:
    columns = (
        Column(title="CHECK"),
        Column(title="EXAMINED", right=True),
        Column(title="OF", right=True),
        Column(title="LEFT OUT" if short else "LEFT_OUT", right=True, need=3),
        Column(title="ABOUT", need=4),
        Column(title="TITLE", flexible=True, need=5),
    )
    cells = [
        (row.check, str(row.examined) if row.on else "off", str(row.eligible), str(row.left_out), row.about, row.title) for row in rows
    ]
    if short:
        return Table(columns=columns, rows=cells)
    further = (Column(title="WHOLE"), Column(title="LACKS"), Column(title="MENDS"), Column(title="REASONS"))
    more = [(str(row.whole).lower(), "; ".join(row.lacks), " && ".join(row.mends), "; ".join(row.reasons)) for row in rows]
    return Table(columns=(*columns, *further), rows=[(*one, *two) for one, two in zip(cells, more, strict=True)])


def _findings_table(seen: Looked) -> Table:
    columns = tuple(Column(title=title) for title in ("ID", "STATUS", "CHECK", "OBJECT", "VALUE", "UNIT", "MESSAGE", "HINT", "CAUSE"))
    rows = [
        (
            finding.id,
            finding.severity.value,
            finding.check,
            finding.object,
            "" if finding.value is None else f"{finding.value:g}",
            finding.unit.value if finding.unit else "",
            finding.message,
            finding.hint or "",
            finding.cause or "",
        )
        for finding in seen.evaluation.findings
    ]
    return Table(columns=columns, rows=rows)
