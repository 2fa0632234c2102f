"""Holds: keep a node or a guest on for a while, see what is held, let go again."""

from typing import TYPE_CHECKING, Annotated

import typer

from pvectl.cli.options import command, group, suggesting

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report

app = group("Keep nodes and guests on for a while.")


@command(app, "add", schema="hold-add", stateful=True)
def add(
    run: "Run",
    subject: Annotated[
        str, typer.Argument(metavar="NODE|VMID", autocompletion=suggesting("holdable"), help="The node or the guest that is to stay on.")
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; everybody who wonders will read it.")],
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="18:00, or 2026-12-24 18:00; in this machine's time zone.")
    ] = None,
    for_: Annotated[str | None, typer.Option("--for", metavar="TIME", help="2h, 30m, 3d; 8h unless told, 7d at most.")] = None,
) -> "Report":
    """Keep a node or a guest on for a while.

    No job switches it off until the hold ends. It counts at once, also for a run that is under way.
    """
    from pvectl.cli import hold_pages

    return hold_pages.added(run, subject, reason=reason, until=until, for_=for_)


@command(app, "list", schema="hold-list", stateful=True)
def list_(run: "Run", *, no_header: Annotated[bool, typer.Option("--no-header", help="Leave the titles out.")] = False) -> "Report":
    """List what is held, until when, by whom, and why."""
    from pvectl.cli import hold_pages

    return hold_pages.listed(run, header=not no_header)


@command(app, "remove", schema="hold-remove", stateful=True)
def remove(
    run: "Run",
    hold: Annotated[
        str, typer.Argument(metavar="ID", autocompletion=suggesting("holds"), help="As hold list shows it; or the node or vmid.")
    ],
) -> "Report":
    """Let go of a hold before its time."""
    from pvectl.cli import hold_pages

    return hold_pages.removed(run, hold)
