"""What reports look like in every format."""

import csv
import io
import json
from datetime import UTC, datetime

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pvectl.cli import layout, output, words
from pvectl.cli.layout import Column, Table, Terminal
from pvectl.cli.output import Problem, Report
from pvectl.errors import ExitCode, UsageError

NOW = datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)
PIPE = Terminal()
GUESTS = Table(
    columns=(
        Column(title="VMID", right=True),
        Column(title="NAME", flexible=True),
        Column(title="NODE", need=5),
        Column(title="UPTIME", right=True, need=1),
        Column(title="TAGS", flexible=True, need=7),
    ),
    rows=[
        ("100", "database-of-the-accounting-department", "pve1", "3d 4h", "prod accounting database backup-daily"),
        ("2001", "web", "pve2", "-", "-"),
    ],
)


def report(**changes: object) -> Report:
    given_ = {"schema": "vm-list", "data": [{"vmid": 100, "name": None}], "text": GUESTS, "cluster": "lab"}
    return Report(**{**given_, **changes})  # type: ignore[arg-type]


def test_a_pipe_gets_every_cell_whole() -> None:
    lines = layout.text_of(GUESTS, PIPE).splitlines()

    assert lines[0].split() == ["VMID", "NAME", "NODE", "UPTIME", "TAGS"]
    assert lines[1] == " 100  database-of-the-accounting-department  pve1   3d 4h  prod accounting database backup-daily"
    assert lines[2] == "2001  web                                    pve2       -  -"


@pytest.mark.parametrize("width", range(24, 140))
def test_a_terminal_gets_no_line_wider_than_itself(width: int) -> None:
    lines = layout.text_of(GUESTS, Terminal(width=width)).splitlines()

    assert all(len(line) <= width for line in lines), lines
    assert len(lines) == 3


def test_a_narrow_terminal_gives_up_what_is_needed_least_first() -> None:
    titles = [layout.text_of(GUESTS, Terminal(width=width)).splitlines()[0].split() for width in (100, 50, 38, 32)]

    assert titles == [
        ["VMID", "NAME", "NODE", "UPTIME", "TAGS"],
        ["VMID", "NAME", "NODE", "UPTIME", "TAGS"],
        ["VMID", "NAME", "NODE", "TAGS"],
        ["VMID", "NAME", "TAGS"],
    ]


def test_a_shortened_cell_says_so() -> None:
    assert "database-of-…" in layout.text_of(GUESTS, Terminal(width=40))


@pytest.mark.parametrize("width", range(30, 90))
def test_a_column_that_wraps_loses_no_word(width: int) -> None:
    why = "it is paused, and Proxmox VE does not shut a paused guest down: resume it first"
    columns = (Column(title="VMID", right=True), Column(title="WHY", flexible=True, wrap=True))
    table = Table(columns=columns, rows=[("100", why), ("2", "-")])

    lines = layout.text_of(table, Terminal(width=width)).splitlines()

    assert all(len(line) <= width for line in lines)
    assert " ".join(line[4:].strip() for line in lines[1:-1]) == why
    assert lines[-1] == "   2  -"


def test_colour_is_for_terminals_that_want_it() -> None:
    table = Table(columns=(Column(title="STATUS", style=lambda _: "good"),), rows=[("running",)])

    assert "\x1b[32mrunning\x1b[0m" in layout.text_of(table, Terminal(width=80, colour=True))
    assert "\x1b" not in layout.text_of(table, Terminal(width=80, colour=False))
    assert "\x1b" not in layout.text_of(table, PIPE)


def test_titles_can_be_left_out() -> None:
    bare = Table(columns=GUESTS.columns, rows=GUESTS.rows, header=False)

    assert layout.text_of(bare, PIPE).splitlines()[0].startswith(" 100")


def test_json_is_one_document_in_the_envelope() -> None:
    document = json.loads(output.render(report(), "json", now=NOW, terminal=PIPE))

    assert document == {
        "schema": "pvectl/vm-list/v1",
        "generated_at": "2026-11-22T10:00:00Z",
        "cluster": "lab",
        "status": "ok",
        "complete": True,
        "exit_code": 0,
        "data": [{"vmid": 100, "name": None}],
        "errors": [],
    }


def test_json_on_a_terminal_is_indented_and_the_same() -> None:
    piped = output.render(report(), "json", now=NOW, terminal=PIPE)
    shown = output.render(report(), "json", now=NOW, terminal=Terminal(width=80))

    assert json.loads(shown) == json.loads(piped)
    assert piped.count(b"\n") == 1
    assert shown.count(b"\n") > 8


def test_an_error_before_a_result_speaks_the_same_envelope() -> None:
    failed = output.failure(UsageError("no guest matches 'wbe'", hint="nearest: web", subject="guest/wbe"), schema="vm-show", cluster=None)
    document = json.loads(output.render(failed, "json", now=NOW, terminal=PIPE))

    assert document["status"] == "error"
    assert document["data"] is None
    assert document["complete"] is False
    assert document["exit_code"] == ExitCode.USAGE
    assert document["errors"] == [{"code": "usage", "message": "no guest matches 'wbe'", "hint": "nearest: web", "subject": "guest/wbe"}]


def test_problems_beside_a_result_make_it_partial() -> None:
    partial = report(problems=(Problem(code="failed", message="100: VM is locked (backup)"),), exit_code=ExitCode.FAILED)

    assert json.loads(output.render(partial, "json", now=NOW, terminal=PIPE))["status"] == "partial"


def test_json_lines_are_one_object_each() -> None:
    lines = output.render(report(data=[{"vmid": 100}, {"vmid": 101}]), "jsonl", now=NOW, terminal=PIPE).decode().splitlines()

    assert [json.loads(line) for line in lines] == [{"vmid": 100}, {"vmid": 101}]


def test_yaml_says_what_json_says() -> None:
    as_json = json.loads(output.render(report(), "json", now=NOW, terminal=PIPE))
    as_yaml = yaml.safe_load(output.render(report(), "yaml", now=NOW, terminal=PIPE))

    as_yaml["generated_at"] = as_json["generated_at"]
    assert as_yaml == as_json


def test_csv_has_the_columns_by_name_and_survives_commas_and_quotes() -> None:
    data = [{"name": 'say "hi", then', "tags": ["a", "b"], "mem": 1536, "lock": None, "template": False}]
    rows = list(csv.DictReader(io.StringIO(output.render(report(data=data), "csv", now=NOW, terminal=PIPE).decode())))

    assert rows == [{"name": 'say "hi", then', "tags": "a;b", "mem": "1536", "lock": "", "template": "false"}]


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\tx"])
def test_csv_cells_are_no_formulas(formula: str) -> None:
    cell = output.render(report(data=[{"name": formula}]), "csv", now=NOW, terminal=PIPE).decode().splitlines()[1].lstrip('"')

    assert cell[0] in ("'", "\\")


@pytest.mark.parametrize(
    ("size", "shown"),
    [(None, "-"), (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (150 * 2**20, "150 MiB"), (5 * 2**40, "5.0 TiB"), (2**60, "1024 PiB")],
)
def test_sizes_read_well(size: int | None, shown: str) -> None:
    assert words.size(size) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "-"), (0, "0s"), (59, "59s"), (60, "1m"), (61, "1m 1s"), (3600, "1h"), (93784, "1d 2h"), (86400, "1d")]
)
def test_spans_read_well(seconds: int | None, shown: str) -> None:
    assert words.span(seconds) == shown


@given(st.text(), st.one_of(st.none(), st.text()))
def test_a_complaint_carries_no_control_codes(message: str, hint: str | None) -> None:
    shown = output.complaint(Problem(code="x", message=message, hint=hint))

    assert all(character.isprintable() or character == "\n" or character.isspace() for character in shown)
    assert shown.count("\n") == (2 if hint else 1)
