"""Every power action ever taken, and what was refused."""

from typing import TYPE_CHECKING, Annotated

import typer

from pvectl.cli.options import command, leaf

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report

app = leaf()


@command(app, "history", schema="history", stateful=True)
def history(
    run: "Run",
    subject: Annotated[str | None, typer.Argument(metavar="[NODE|VMID]", help="Only what concerns this node or guest.")] = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How far to look back: 36h, 7d.")] = "7d",
    *,
    no_header: Annotated[bool, typer.Option("--no-header", help="Leave the titles out.")] = False,
) -> "Report":
    """Tell what pvectl did, what it decided anew, and what was held, the latest first. The cluster is not asked."""
    from pvectl.cli import history_pages

    return history_pages.told(run, subject, since=since, header=not no_header)
