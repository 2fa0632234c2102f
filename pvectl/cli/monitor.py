"""One honest look at a whole cluster."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pvectl.cli.options import command, leaf, suggesting

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report

app = leaf()

Output = Annotated[
    Literal["text", "json", "jsonl", "yaml", "csv", "nagios", "prometheus"],
    typer.Option("--output", "-o", envvar="PVECTL_OUTPUT", help="How the result is printed; nagios and prometheus speak to those."),
]


@command(app, "monitor", schema="monitor", quietable=True, stateful=True, output=Output)
def monitor(
    run: "Run",
    *,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="CHECKS", autocompletion=suggesting("checks"), help="Only these checks: node.*, backup.age, ..."),
    ] = None,
    coverage: Annotated[bool, typer.Option("--coverage", help="Tell how far each check got, and what it lacks.")] = False,
    fail_on: Annotated[
        Literal["warning", "critical", "unknown"] | None,
        typer.Option("--fail-on", help="End with 1 when there is this or worse; unknown: also with 4 when something could not be checked."),
    ] = None,
    write: Annotated[
        str | None, typer.Option("--write", metavar="FILE", help="Put the result into this file, whole or not at all, instead of stdout.")
    ] = None,
    html: Annotated[
        str | None,
        typer.Option("--html", metavar="FILE", help="Also put a page with the whole cluster at a glance into this file, for a browser."),
    ] = None,
    metrics: Annotated[
        Literal["all", "own", "compat"],
        typer.Option("--metrics", help="With -o prometheus: pvectl's own, those of prometheus-pve-exporter (compat), or all."),
    ] = "all",
    perfdata: Annotated[
        Literal["all", "top", "none"],
        typer.Option("--perfdata", help="With -o nagios: all that is measured, counts and what is not fine (top), or none."),
    ] = "top",
    unknown_as: Annotated[
        Literal["ok", "warning", "critical", "unknown"],
        typer.Option("--unknown-as", help="With -o nagios: what counts in the place of unknown; a run that saw nothing stays 3."),
    ] = "unknown",
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema of the result; nobody is asked.")] = False,
) -> "Report":
    """Look at the whole cluster once: what is wrong, what is fine, and what could not be checked. Nothing is changed.

    What is found does not change the exit code, unless --fail-on says so. With -o nagios it is that of a plugin: 0 fine, 1 warning,
    2 critical, 3 unknown, and every failure of pvectl itself is 3.
    """
    from pvectl.cli.monitoring import pages as monitor_pages
    from pvectl.cli.monitoring import run as monitor_run
    from pvectl.core.monitor.finding import Severity

    if schema:
        return monitor_pages.schema(run)
    chosen = monitor_run.Chosen(
        only=tuple(only or ()),
        fail_on=fail_on,
        write=write,
        html=html,
        perfdata=perfdata,
        unknown_as=Severity(unknown_as),
        metrics=metrics,
    )
    return monitor_pages.report(run, chosen, coverage=coverage)
