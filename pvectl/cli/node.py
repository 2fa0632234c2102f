"""Nodes: list them."""

from typing import TYPE_CHECKING, Annotated

import typer

from pvectl.cli.options import command, group

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report

app = group("List nodes.")


@command(app, "list", schema="node-list")
def list_(run: "Run", *, no_header: Annotated[bool, typer.Option("--no-header", help="Leave the titles out.")] = False) -> "Report":
    """List the nodes of the cluster, with the guests that run on each."""
    from pvectl.cli import node_table

    return node_table.report(run.view(), header=not no_header, cluster=run.cluster)
