"""Why a decision fell as it did."""

from typing import TYPE_CHECKING, Annotated

import typer

from pvectl.cli.options import command, leaf

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report

app = leaf()


@command(app, "explain", schema="explain", tabular=False, stateful=True)
def explain(
    run: "Run",
    decision: Annotated[str, typer.Argument(metavar="ID", help="As idle-check and history show it; its beginning is enough.")],
) -> "Report":
    """Tell why a decision fell as it did: make it once more from the evidence it was made from, and show what came of it.

    The cluster is not asked; a decision that does not come out the same is a bug, and exits 70.
    """
    from pvectl.cli import explain_pages

    return explain_pages.explained(run, decision)
