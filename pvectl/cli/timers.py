"""What runs the jobs every few minutes: print the entries, install them, see how they stand, take them away."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pvectl.cli.options import DryRun, command, group

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report

app = group("Run the jobs every few minutes, with systemd's timers or cron's table.")

Systemd = Annotated[bool, typer.Option("--systemd", help="With systemd's timers.")]
Cron = Annotated[bool, typer.Option("--cron", help="With a table in /etc/cron.d.")]
Root = Annotated[Path, typer.Option("--root", metavar="DIR", help="Take this directory for /, as for an image that is being built.")]


@command(app, "print", schema="timers-print", tabular=False)
def print_(run: "Run", *, systemd: Systemd = False, cron: Cron = False, root: Root = Path("/")) -> "Report":
    """Print the entries of the enabled jobs; nothing is written.

    With systemd where that runs the machine, otherwise with cron. The output of --cron can be put into a file of /etc/cron.d as it is.
    """
    from pvectl.cli.timing import pages as timer_pages
    from pvectl.cli.timing import work

    return timer_pages.printed(work.plan(run, work.chosen(root, systemd=systemd, cron=cron), root))


@command(app, "install", schema="timers-install", tabular=False)
def install(run: "Run", *, systemd: Systemd = False, cron: Cron = False, dry_run: DryRun = False, root: Root = Path("/")) -> "Report":
    """Make what is installed what the configuration says.

    Writes the entries of the enabled jobs, starts their timers, and takes away those of jobs that are not enabled any more. Never
    overwrites a file that pvectl did not write.
    """
    from pvectl.cli.timing import pages as timer_pages
    from pvectl.cli.timing import work

    kinds = work.with_installed(work.chosen(root, systemd=systemd, cron=cron), root)
    plan = work.plan(run, kinds, root)
    return timer_pages.installed(plan, work.install(plan, run.env, dry_run=dry_run))


@command(app, "status", schema="timers-status", tabular=False)
def status(run: "Run", *, systemd: Systemd = False, cron: Cron = False, root: Root = Path("/")) -> "Report":
    """Show whether the installed entries are as configured.

    Give the same --cluster and --config-dir as to install: the entries name them.
    """
    from pvectl.cli.timing import pages as timer_pages
    from pvectl.cli.timing import work

    return timer_pages.status(work.look(run, work.asked(root, systemd=systemd, cron=cron), root))


@command(app, "remove", schema="timers-remove", tabular=False)
def remove(run: "Run", *, systemd: Systemd = False, cron: Cron = False, dry_run: DryRun = False, root: Root = Path("/")) -> "Report":
    """Take away every entry pvectl wrote.

    Whatever the configuration says now. A run that is under way comes to its end.
    """
    from pvectl.cli.timing import pages as timer_pages
    from pvectl.cli.timing import work

    return timer_pages.removed(work.remove(work.asked(root, systemd=systemd, cron=cron), root, run.env, dry_run=dry_run))
