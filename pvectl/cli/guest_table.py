"""Guests as a table: which columns there are, how they sort, what a filter keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TypeAlias

from msgspec import Struct

from pvectl.cli.layout import Column, Table
from pvectl.cli.output import Report
from pvectl.cli.words import percent, size, span
from pvectl.core import tags
from pvectl.core.model import Guest
from pvectl.core.text import clean
from pvectl.errors import UsageError

Cells: TypeAlias = Callable[[Sequence[Guest]], list[str]]

DEFAULT = ("vmid", "name", "type", "node", "status", "cpu", "mem", "uptime", "tags")


class Shape(Struct, frozen=True, kw_only=True):
    """Which columns a listing shows and how it is ordered."""

    columns: tuple[str, ...] = DEFAULT
    sort: str | None = None
    descending: bool = False
    header: bool = True


def shape(columns: str | None, sort: str | None, *, header: bool) -> Shape:
    """The shape the options ask for.

    Raises:
        UsageError: no such column.
    """
    chosen = tuple(_column(word.strip()) for word in columns.split(",")) if columns else DEFAULT
    descending = bool(sort and sort.startswith("-"))
    return Shape(columns=chosen, sort=_column(sort.removeprefix("-")) if sort else None, descending=descending, header=header)


def filtered(guests: Iterable[Guest], wanted: Mapping[str, str | None], with_tags: Sequence[str]) -> tuple[Guest, ...]:
    """The guests whose fields are as wanted (None: anything) and that have every tag asked for."""
    tests = {field: value for field, value in wanted.items() if value is not None}
    needed = frozenset(tags.fold(tag) for tag in with_tags)

    def wanted_guest(guest: Guest) -> bool:
        if any(getattr(guest, field) != value for field, value in tests.items()):
            return False
        return not needed or needed <= set(tags.normalise(guest.tags))

    return tuple(guest for guest in guests if wanted_guest(guest))


def report(guests: Sequence[Guest], shape: Shape, *, cluster: str | None) -> Report:
    """The listing in every format; a guest whose status is not known makes it incomplete."""
    ordered = _sorted(guests, shape)
    return Report(
        schema="vm-list",
        data=ordered,
        text=lambda: _table(ordered, shape),
        complete=all(guest.status != "unknown" for guest in guests),
        cluster=cluster,
        csv=lambda: _raw(ordered, shape),
    )


def _column(word: str) -> str:
    if word in Guest.__struct_fields__:
        return word
    near = tags.nearest(word, Guest.__struct_fields__)
    hint = f"did you mean {near}?" if near else f"columns are {', '.join(Guest.__struct_fields__)}"
    raise UsageError(f"no such column: {word}", hint=hint)


def _sorted(guests: Sequence[Guest], shape: Shape) -> Sequence[Guest]:
    if shape.sort is None:
        return sorted(guests, key=attrgetter("vmid"))
    column = shape.sort
    known = [guest for guest in guests if getattr(guest, column) is not None]
    unknown = [guest for guest in guests if getattr(guest, column) is None]
    return sorted(known, key=attrgetter(column), reverse=shape.descending) + unknown


def _table(guests: Sequence[Guest], shape: Shape) -> Table:
    columns = tuple(_COLUMNS.get(name, Column(title=name.upper(), need=4)) for name in shape.columns)
    cells = [_CELLS.get(name) or _anything(name) for name in shape.columns]
    rows = list(zip(*(cell(guests) for cell in cells), strict=True))
    return Table(columns=columns, rows=rows, header=shape.header, note="" if guests else "no guests")


def _raw(guests: Sequence[Guest], shape: Shape) -> Table:
    """For spreadsheets: plain numbers instead of "1.5 GiB", and every field when no columns were asked for."""
    names = Guest.__struct_fields__ if shape.columns == DEFAULT else shape.columns
    rows = [tuple(_plain(getattr(guest, name)) for name in names) for guest in guests]
    return Table(columns=tuple(Column(title=name) for name in names), rows=rows, header=shape.header)


def _plain(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case tuple():
            return ";".join(value)
    return str(value)


def _anything(name: str) -> Cells:
    return lambda guests: _cleaned(["-" if (value := getattr(guest, name)) is None else _plain(value) or "-" for guest in guests])


def _cleaned(cells: list[str]) -> list[str]:
    """Cells without control codes; one look at all of them together settles it for nearly every column."""
    return cells if "".join(cells).isprintable() else [clean(cell) for cell in cells]


def _statuses(guests: Sequence[Guest]) -> list[str]:
    return _cleaned([_status(guest) for guest in guests])


def _status(guest: Guest) -> str:
    if guest.template:
        return "template"
    return f"{guest.status} ({guest.lock})" if guest.lock else guest.status


def status_style(status: str) -> str | None:
    """How a terminal shows a status: what runs stands out, what is off steps back, anything else warns."""
    if status == "running":
        return "good"
    return "dim" if status in ("stopped", "template") else "warn"


_COLUMNS = {
    "vmid": Column(title="VMID", right=True),
    "name": Column(title="NAME", flexible=True),
    "type": Column(title="TYPE", need=6),
    "node": Column(title="NODE", need=8),
    "status": Column(title="STATUS", style=status_style),
    "cpu": Column(title="CPU", right=True, need=3),
    "mem": Column(title="MEM", right=True, need=2),
    "uptime": Column(title="UPTIME", right=True, need=1),
    "tags": Column(title="TAGS", flexible=True, need=7, least=24),
    "maxcpu": Column(title="MAXCPU", right=True, need=4),
    **{name: Column(title=name.upper(), right=True, need=4) for name in ("maxmem", "disk", "maxdisk")},
    **{name: Column(title=name.upper(), right=True, need=4) for name in ("netin", "netout", "diskread", "diskwrite")},
}

_CELLS: dict[str, Cells] = {
    "vmid": lambda guests: [str(guest.vmid) for guest in guests],
    "name": lambda guests: _cleaned([guest.name or "-" for guest in guests]),
    "status": _statuses,
    "tags": lambda guests: _cleaned([" ".join(guest.tags) or "-" for guest in guests]),
    "cpu": lambda guests: [percent(None if guest.is_off else guest.cpu) for guest in guests],
    "maxcpu": lambda guests: ["-" if guest.maxcpu is None else f"{guest.maxcpu:g}" for guest in guests],
    "uptime": lambda guests: [span(guest.uptime or None) for guest in guests],
    "mem": lambda guests: [size(guest.mem or None) for guest in guests],
    "maxmem": lambda guests: [size(guest.maxmem) for guest in guests],
    "disk": lambda guests: [size(guest.disk) for guest in guests],
    "maxdisk": lambda guests: [size(guest.maxdisk) for guest in guests],
    "netin": lambda guests: [size(guest.netin) for guest in guests],
    "netout": lambda guests: [size(guest.netout) for guest in guests],
    "diskread": lambda guests: [size(guest.diskread) for guest in guests],
    "diskwrite": lambda guests: [size(guest.diskwrite) for guest in guests],
}
