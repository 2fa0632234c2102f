"""Guests: list them, look at one, shut them down."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pvectl.cli.options import (
    DryRun,
    Exclude,
    GuestWord,
    NeededSelectors,
    OfPool,
    OnNode,
    Selectors,
    WithTags,
    Yes,
    command,
    duration,
    group,
)

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report
    from pvectl.core.model import ClusterView
    from pvectl.core.plan import Plan

_TALK_S = 120
"""Seconds for everything but the waiting: one look, and the requests for a long selection."""

app = group("List, inspect and shut down guests (VMs and containers).")


@command(app, "list", schema="vm-list")
def list_(
    run: "Run",
    selectors: Selectors = None,
    exclude: Exclude = None,
    status: Annotated[str | None, typer.Option("--status", metavar="STATUS", help="Only guests in this status.")] = None,
    type_: Annotated[Literal["qemu", "lxc"] | None, typer.Option("--type", help="Only VMs or only containers.")] = None,
    node: OnNode = None,
    pool: OfPool = None,
    tag: WithTags = None,
    columns: Annotated[str | None, typer.Option("--columns", metavar="A,B", help="Which columns, in this order.")] = None,
    sort: Annotated[str | None, typer.Option("--sort", metavar="COLUMN", help="Sort by it; -COLUMN: the largest first.")] = None,
    *,
    no_header: Annotated[bool, typer.Option("--no-header", help="Leave the titles out.")] = False,
) -> "Report":
    """List guests, VMs and containers alike, on every node."""
    from pvectl.cli import guest_table
    from pvectl.cli.selection import among

    shape = guest_table.shape(columns, sort, header=not no_header)
    view = run.view()
    wanted = guest_table.Wanted(status=status, type=type_, node=node, pool=pool, tags=tuple(tag or ()))
    return guest_table.report(view, among(view, selectors, exclude=exclude), wanted, shape, cluster=run.cluster)


@command(app, "show", schema="vm-show", tabular=False)
def show(run: "Run", guest: GuestWord) -> "Report":
    """Show one guest: its state now, its configuration, and whether it can be shut down."""
    from pvectl.cli import guest_page
    from pvectl.cli.selection import one

    return guest_page.report(run, one(run.view(), guest))


@command(app, "shutdown", schema="vm-shutdown", quietable=True)
def shutdown(
    run: "Run",
    selectors: NeededSelectors,
    exclude: Exclude = None,
    timeout: Annotated[str, typer.Option("--timeout", metavar="TIME", help="How long a guest may take.")] = "2m",
    *,
    force_stop: Annotated[bool, typer.Option("--force-stop", help="Pull the plug of a guest that did not shut down in time.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return as soon as PVE has accepted the requests.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> "Report":
    """Ask guests to shut down, and wait until they are off.

    Shows the plan and asks first. A guest that is off, locked, paused, a template or under HA is left alone, and the plan says why.
    """
    from pvectl import act
    from pvectl.cli.changes import Consent, Wording, carry_through
    from pvectl.cli.selection import to_change
    from pvectl.config.durations import show_duration
    from pvectl.core import shutdown as core_shutdown

    seconds = duration("--timeout", timeout, at_least=1)
    client = run.client(read_only=dry_run, deadline=act.longest_wait(seconds) + _TALK_S)

    def plan() -> "tuple[ClusterView, Plan]":
        view, found = to_change(client, run.clock, selectors, exclude or ())
        now = run.clock.now()
        return view, core_shutdown.plan(found.guests, excluded=found.excluded, timeout=seconds, force_stop=force_stop, now=now)

    wording = Wording(
        question="Shut down {guests}, and pull the plug of those that do not obey?" if force_stop else "Shut down {guests}?",
        progress="shutting down",
        event="guest.shutdown",
        planned=lambda _: f"shut down within {show_duration(seconds)}" + (", else by force" if force_stop else ""),
        outcome_fields=lambda outcome: {"forced": outcome.forced if outcome else None},
        done="off",
        rehearsed="would shut down",
    )
    return carry_through(run, client, plan, wording, Consent(yes=yes, dry_run=dry_run, wait=not no_wait))
