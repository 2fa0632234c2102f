"""Guests as a table: which columns there are, how they sort, what a filter keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from pvectl.cli.layout import Column, Table
from pvectl.cli.output import Report, plain
from pvectl.cli.selection import remarks
from pvectl.cli.words import percent, size, span
from pvectl.core import tags
from pvectl.core.model import ClusterView, Guest
from pvectl.core.select import Picked
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


class Wanted(Struct, frozen=True, kw_only=True):
    """What the filters ask for; None is anything. `tags` may hold comma lists, and all of them are needed."""

    status: str | None = None
    type: str | None = None
    node: str | None = None
    pool: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def fields(self) -> dict[str, str]:
        asked = {"status": self.status, "type": self.type, "node": self.node, "pool": self.pool}
        return {field: value for field, value in asked.items() if value is not None}

    @property
    def needed_tags(self) -> frozenset[str]:
        return frozenset(tags.fold(tag) for word in self.tags for tag in tags.split(word))


def report(view: ClusterView, found: Picked, wanted: Wanted, shape: Shape, *, cluster: str | None) -> Report:
    """The listing in every format.

    It is incomplete when a guest it is about has no known status, even one that a filter leaves out, and when not one guest is visible.
    """
    ordered = _sorted(_filtered(found.guests, wanted), shape)
    return Report(
        schema="vm-list",
        data=ordered,
        text=lambda: _table(ordered, shape),
        complete=bool(view.guests) and all(guest.status != "unknown" for guest in found.guests),
        cluster=cluster,
        csv=lambda: _raw(ordered, shape),
        remarks=(*remarks(view, found), *_fruitless(found.guests, wanted)),
    )


def _filtered(guests: Sequence[Guest], wanted: Wanted) -> Sequence[Guest]:
    fields, needed = wanted.fields, wanted.needed_tags
    for field, value in fields.items():
        guests = [guest for guest in guests if getattr(guest, field) == value]
    return [guest for guest in guests if needed <= set(tags.normalise(guest.tags))] if needed else guests


def _fruitless(guests: Sequence[Guest], wanted: Wanted) -> Iterable[str]:
    """A sentence for each filter no guest passes, with what somebody may have meant."""
    for field, value in wanted.fields.items():
        there = sorted({known for guest in guests if (known := getattr(guest, field)) is not None})
        if value not in there:
            near = tags.nearest(value, there)
            instead = f"; nearest: {near}" if near else f"; there are: {', '.join(there)}" if there else ""
            yield f"no guest has {field} '{value}'{instead}"
    if not wanted.needed_tags:
        return
    carried = {tag for guest in guests for tag in tags.normalise(guest.tags)}
    for tag in sorted(wanted.needed_tags - carried):
        near = tags.nearest(tag, carried)
        yield f"no guest has the tag '{tag}'" + (f"; nearest: {near}" if near else "")


def _column(word: str) -> str:
    if word.lower() in Guest.__struct_fields__:
        return word.lower()
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
    if shape.columns != DEFAULT:
        # what somebody asked for by name is never left out
        columns = tuple(replace(column, need=9) for column in columns)
    cells = [_CELLS.get(name) or _anything(name) for name in shape.columns]
    rows = list(zip(*(cell(guests) for cell in cells), strict=True))
    return Table(columns=columns, rows=rows, header=shape.header)


def _raw(guests: Sequence[Guest], shape: Shape) -> Table:
    """For spreadsheets: plain numbers instead of "1.5 GiB", and every field when no columns were asked for."""
    names = Guest.__struct_fields__ if shape.columns == DEFAULT else shape.columns
    rows = [tuple(plain(getattr(guest, name)) for name in names) for guest in guests]
    return Table(columns=tuple(Column(title=name) for name in names), rows=rows, header=shape.header)


def _anything(name: str) -> Cells:
    return lambda guests: _cleaned(["-" if (value := getattr(guest, name)) is None else plain(value) or "-" for guest in guests])


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
