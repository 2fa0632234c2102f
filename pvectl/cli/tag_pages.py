"""Tags as pages: who carries which, and what is odd about them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from pvectl.cli.layout import Column, Table
from pvectl.cli.output import Report
from pvectl.core import tags
from pvectl.core.model import Guest
from pvectl.core.text import clean


class TagRow(Struct, frozen=True, kw_only=True):
    """One tag and the guests that carry it, as JSON shows it."""

    tag: str
    vmids: tuple[int, ...]


def listing(guests: Sequence[Guest], *, cluster: str | None) -> Report:
    """Tag to guests."""
    rows = [TagRow(tag=tag, vmids=vmids) for tag, vmids in tags.by_tag(guests).items()]
    columns = (Column(title="TAG"), Column(title="GUESTS", right=True, need=5), Column(title="VMIDS", flexible=True, wrap=True))
    table = Table(
        columns=columns,
        rows=[(clean(row.tag), str(len(row.vmids)), " ".join(map(str, row.vmids))) for row in rows],
        note="" if rows else f"none of {len(guests)} guests has a tag",
    )
    return Report(schema="tags-list", data=rows, text=table, cluster=cluster)


def lint(guests: Sequence[Guest], registered: Collection[str] | None, *, cluster: str | None) -> Report:
    """What is odd about the tags in use, and which tag to use instead."""
    remarks = tags.lint(guests, registered)
    columns = (
        Column(title="TAG", flexible=True),
        Column(title="REMARK", need=8),
        Column(title="VMIDS", flexible=True, need=6),
        Column(title="WHY", flexible=True, least=24, wrap=True),
    )
    table = Table(
        columns=columns,
        rows=[
            (clean(remark.tag), remark.kind.value, " ".join(map(str, remark.vmids)), clean(remark.detail)) for remark in remarks
        ],
        note="" if remarks else f"nothing to remark on the tags of {len(guests)} guests",
    )
    return Report(schema="tags-lint", data=remarks, text=table, cluster=cluster)
