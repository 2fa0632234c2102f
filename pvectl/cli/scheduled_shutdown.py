"""Shut guests down at set times, in stages, each time once."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from pvectl.cli.options import DryRun, command, suggesting

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report


class _RunsByDefault(TyperGroup):
    """The group of a job whose name alone means `run`, with all its options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not ctx.resilient_parsing and (not args or args[0] not in (*self.commands, "--help", "-h")):
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_RunsByDefault,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
app.callback(help="Shut guests down at set times, in stages, each time once. Without a command: run.")(lambda: None)

Schedule = Annotated[
    str | None,
    typer.Option(
        "--schedule",
        metavar="NAME",
        autocompletion=suggesting("schedules"),
        help="Only this one of scheduled_shutdown.schedules.",
    ),
]


@command(app, "run", schema="scheduled-shutdown", quietable=True, stateful=True)
def run_(run: "Run", schedule: Schedule = None, *, dry_run: DryRun = False) -> "Report":
    """Shut down whom a schedule says, once its time has come.

    A timer runs this every few minutes; pvectl alone decides what is due. A time that nobody came by for is missed and said so, never
    made up for. A new or edited schedule begins with its next time.
    """
    from pvectl.cli import announcing
    from pvectl.cli.schedules import pages as schedule_pages
    from pvectl.cli.schedules import run as schedule_run

    ran = schedule_run.carry_out(run, schedule, dry_run=dry_run)
    remarks: tuple[str, ...] = ()
    if not (dry_run or ran.rehearsal or ran.interrupted):
        # a receiver that is slow must not keep the next run waiting
        run.give_back("write")
        remarks = announcing.send_announced(run)
    return schedule_pages.report(run, ran, remarks=remarks)


@command(app, "next", schema="scheduled-shutdown-next", stateful=True)
def next_(
    run: "Run",
    schedule: Schedule = None,
    count: Annotated[int, typer.Option("--number", "-n", min=1, max=1000, help="How many of the coming times.")] = 10,
) -> "Report":
    """List the coming times, in local time and in UTC.

    Marked are those that a clock change moves, those in a stay-up window, and what holds will keep on then. The cluster is not asked.
    """
    from pvectl.cli.schedules import coming as schedule_coming

    return schedule_coming.coming(run, schedule, count)
