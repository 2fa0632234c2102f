"""Switch a node off when only guests that may sleep run on it."""

from typing import TYPE_CHECKING, Annotated

import typer

from pvectl.cli.options import DryRun, command, leaf, suggesting

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report

app = leaf()


@command(app, "idle-check", schema="idle-check", quietable=True, stateful=True)
def idle_check(
    run: "Run",
    nodes: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NODE]...", autocompletion=suggesting("nodes"), help="Only these of idle_check.nodes."),
    ] = None,
    *,
    dry_run: DryRun = False,
    explain: Annotated[bool, typer.Option("--explain", help="Tell every veto, and what would change the decision.")] = False,
) -> "Report":
    """Look at each node of idle_check.nodes once, and switch one off that has been idle for the whole grace period.

    A timer runs it every few minutes. Any doubt keeps a node on, and the decision says why; pvectl hold keeps one on by hand.
    """
    from pvectl.cli import announcing
    from pvectl.cli.idle import pages as idle_pages
    from pvectl.cli.idle import run as idle_run

    checked = idle_run.check(run, tuple(nodes or ()), dry_run=dry_run)
    remarks: tuple[str, ...] = ()
    if not (checked.rehearsal or checked.disabled or checked.interrupted):
        # a receiver that is slow must not keep the next run waiting
        run.give_back("write")
        remarks = announcing.send_announced(run)
    return idle_pages.report(run, checked, explain=explain, remarks=remarks)
