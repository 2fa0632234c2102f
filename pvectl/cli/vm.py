"""Guests: list them, look at one, shut them down, start them."""

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
    group,
)

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report

app = group("List, inspect, shut down and start guests (VMs and containers).")

Order = Annotated[
    Literal["startup", "none"], typer.Option("--order", help="startup: stage by stage, by the order PVE has; none: all at once.")
]
Parallel = Annotated[int, typer.Option("--parallel", metavar="N", min=1, max=100, help="Guests at a time within a stage.")]


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


@command(app, "show", schema="vm-show", tabular=False, stateful=True)
def show(run: "Run", guest: GuestWord) -> "Report":
    """Show one guest: its state now, its configuration, and whether it can be shut down."""
    from pvectl.cli import guest_page
    from pvectl.cli.selection import one

    return guest_page.report(run, one(run.view(), guest))


@command(app, "shutdown", schema="vm-shutdown", quietable=True, stateful=True)
def shutdown(
    run: "Run",
    selectors: NeededSelectors,
    exclude: Exclude = None,
    timeout: Annotated[
        str | None,
        typer.Option("--timeout", metavar="TIME", help="How long a guest may take; else a VM's own down= in PVE, else 2m."),
    ] = None,
    order: Order = "startup",
    parallel: Parallel = 8,
    *,
    force_stop: Annotated[bool, typer.Option("--force-stop", help="Pull the plug of a guest that did not shut down in time.")] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return as soon as PVE has accepted the requests.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> "Report":
    """Ask guests to shut down in PVE's startup order, and wait until they are off.

    Shows the plan and asks first. A guest that is off, locked, paused, held, a template or under HA is left alone, and the plan says why.
    """
    from pvectl.cli import power
    from pvectl.cli.changes import Consent

    wish = power.Wish(selectors=tuple(selectors), exclude=tuple(exclude or ()), timeout=timeout, order=order)
    consent = Consent(yes=yes, dry_run=dry_run, wait=not no_wait, at_once=None if order == "none" else parallel)
    return power.shut_down(run, wish, consent, force_stop=force_stop)


@command(app, "start", schema="vm-start", quietable=True, stateful=True)
def start(
    run: "Run",
    selectors: NeededSelectors,
    exclude: Exclude = None,
    timeout: Annotated[str | None, typer.Option("--timeout", metavar="TIME", help="How long to wait for a guest; 2m unless told.")] = None,
    order: Order = "startup",
    parallel: Parallel = 8,
    *,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Return as soon as PVE has accepted the requests; pauses (up=) are left out.")
    ] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> "Report":
    """Start guests in PVE's startup order, and wait until they run.

    Shows the plan and asks first. A guest that runs, is locked or a template is left alone, and the plan says why.
    """
    from pvectl.cli import power
    from pvectl.cli.changes import Consent

    wish = power.Wish(selectors=tuple(selectors), exclude=tuple(exclude or ()), timeout=timeout, order=order)
    consent = Consent(yes=yes, dry_run=dry_run, wait=not no_wait, at_once=None if order == "none" else parallel)
    return power.start(run, wish, consent)
