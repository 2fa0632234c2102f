"""Nodes: list them, wake one."""

from typing import TYPE_CHECKING, Annotated

import typer

from pvectl.cli.options import command, duration, group, suggesting

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report

app = group("List nodes, wake one.")


@command(app, "list", schema="node-list", stateful=True)
def list_(run: "Run", *, no_header: Annotated[bool, typer.Option("--no-header", help="Leave the titles out.")] = False) -> "Report":
    """List the nodes of the cluster, with the guests that run on each."""
    from pvectl.cli import node_table

    return node_table.report(run, header=not no_header)


@command(app, "wake", schema="node-wake", stateful=True)
def wake(
    run: "Run",
    node: Annotated[str, typer.Argument(metavar="NODE", autocompletion=suggesting("nodes"), help="The node that is to be on.")],
    within: Annotated[str, typer.Option("--within", metavar="TIME", help="How long to wait for it.")] = "10m",
    *,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is back and its API answers.")] = True,
) -> "Report":
    """Wake a node and wait until it is back.

    Another node sends it a magic packet, to the address that `pvenode config set --wakeonlan` gave it. That it worked is
    remembered: idle_check with `wake: required` switches a node off only then, and a quarantine ends with it.
    """
    from pvectl.cli import waking

    return waking.report(run, node, wait=wait, within=duration("--within", within, at_least=1))
