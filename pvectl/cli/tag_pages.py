"""Tags as pages: who carries which, and what is odd about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.layout import Column, Table
from pvectl.cli.output import Report
from pvectl.cli.selection import remarks
from pvectl.core import tags
from pvectl.core.model import ClusterView
from pvectl.core.select import Picked
from pvectl.core.text import clean

if TYPE_CHECKING:
    from pvectl.pve.answers import ClusterOptions


class TagRow(Struct, frozen=True, kw_only=True):
    """One tag and the guests that carry it, as JSON shows it."""

    tag: str
    vmids: tuple[int, ...]


def listing(view: ClusterView, found: Picked, *, cluster: str | None) -> Report:
    """Tag to guests, in the spelling the guests carry."""
    rows = [TagRow(tag=tag, vmids=vmids) for tag, vmids in tags.by_tag(found.guests, case_sensitive=True).items()]
    columns = (Column(title="TAG"), Column(title="GUESTS", right=True, need=5), Column(title="VMIDS", flexible=True, wrap=True))
    table = Table(
        columns=columns,
        rows=[(clean(row.tag), str(len(row.vmids)), " ".join(map(str, row.vmids))) for row in rows],
    )
    none = () if rows or not found.guests else (f"{_counted(len(found.guests))} and no tag",)
    told = (*remarks(view, found), *none)
    return Report(schema="tags-list", data=rows, text=table, complete=bool(view.guests), cluster=cluster, remarks=told)


def lint(view: ClusterView, found: Picked, options: ClusterOptions, *, cluster: str | None) -> Report:
    """What is odd about the tags in use, and which tag to use instead."""
    odd = tags.lint(found.guests, options.registered_tags, case_sensitive=options.tags_case_sensitive)
    columns = (
        Column(title="TAG", flexible=True),
        Column(title="REMARK", need=8),
        Column(title="VMIDS", flexible=True, need=6),
        Column(title="WHY", flexible=True, least=24, wrap=True),
    )
    table = Table(
        columns=columns,
        rows=[(clean(one.tag), one.kind.value, " ".join(map(str, one.vmids)), clean(one.detail)) for one in odd],
    )
    none = () if odd or not found.guests else (f"{_counted(len(found.guests))} and nothing odd about the tags",)
    told = (*remarks(view, found), *none)
    return Report(schema="tags-lint", data=odd, text=table, complete=bool(view.guests), cluster=cluster, remarks=told)


def _counted(guests: int) -> str:
    return "1 guest" if guests == 1 else f"{guests} guests"
