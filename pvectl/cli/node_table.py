"""Nodes as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.layout import Column, Table
from pvectl.cli.output import Report
from pvectl.cli.selection import remarks
from pvectl.cli.standing import IdleStanding, of_nodes
from pvectl.cli.words import percent, size, span
from pvectl.core.model import Guest, Node
from pvectl.core.select import Picked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pvectl.cli.context import Run


class NodeRow(Struct, frozen=True, kw_only=True):
    """One node as JSON shows it.

    `guests` counts what PVE places there, `running` those that are not stopped, None while the node is silent. `idle_check` tells where
    the node stands for that job; None where the job does not care about it.
    """

    node: str
    status: str
    hastate: str | None
    cpu: float | None
    maxcpu: int | float | None
    mem: int | None
    maxmem: int | None
    disk: int | None
    maxdisk: int | None
    uptime: int | None
    guests: int
    running: int | None
    idle_check: IdleStanding | None = None


def report(run: Run, *, header: bool) -> Report:
    """All nodes by name; one that is not online makes the answer incomplete."""
    view = run.view()
    standing = of_nodes(run)
    nodes = sorted(view.nodes, key=lambda node: node.name)
    rows = [
        _row(node, [guest for guest in view.guests if guest.node == node.name], standing[node.name][0] if node.name in standing else None)
        for node in nodes
    ]
    columns: tuple[Column, ...] = (
        Column(title="NODE"),
        Column(title="STATUS", style=lambda word: "good" if word == "online" else "bad"),
        Column(title="CPU", right=True, need=4),
        Column(title="MEM", right=True, need=5),
        Column(title="OF", right=True, need=3),
        Column(title="UPTIME", right=True, need=2),
        Column(title="GUESTS", right=True, need=7),
        Column(title="RUNNING", right=True, need=8),
    )
    if standing:
        columns += (Column(title="IDLE-CHECK", flexible=True, least=32, need=6, wrap=True),)
    return Report(
        schema="node-list",
        data=rows,
        text=Table(columns=columns, rows=[_cells(row, standing)[: len(columns)] for row in rows], header=header),
        complete=all(row.status == "online" for row in rows),
        cluster=run.cluster,
        remarks=remarks(view, Picked(guests=view.guests)),
    )


def _row(node: Node, guests: list[Guest], standing: IdleStanding | None) -> NodeRow:
    shared = {name: getattr(node, name) for name in ("status", "hastate", "cpu", "maxcpu", "mem", "maxmem", "disk", "maxdisk", "uptime")}
    running = sum(not guest.is_off and not guest.template for guest in guests) if node.status == "online" else None
    return NodeRow(node=node.name, **shared, guests=len(guests), running=running, idle_check=standing)


def _cells(row: NodeRow, standing: Mapping[str, tuple[IdleStanding, str]]) -> tuple[str, ...]:
    # "unknown" is what the HA manager says of any node it does not hear, and the status has said that already
    status = f"{row.status} ({row.hastate})" if row.hastate not in (None, "online", "unknown") else row.status
    return (
        row.node,
        status,
        percent(row.cpu),
        size(row.mem),
        size(row.maxmem),
        span(row.uptime),
        str(row.guests),
        "-" if row.running is None else str(row.running),
        standing[row.node][1] if row.node in standing else "-",
    )
