"""Alerts: tell people once per incident, see what is open, why it was or was not told, and keep it quiet for a while."""

from typing import TYPE_CHECKING, Annotated

import typer

from pvectl.cli.options import DryRun, Yes, command, group, suggesting

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report

app = group("Tell people about problems: once per incident, and none is lost.")
silence = group("Keep some findings quiet for a while.")
outbox = group("See and settle the messages that have not arrived.")
export = group("Write the rules down for other programs.")
app.add_typer(silence, name="silence")
app.add_typer(outbox, name="outbox")
app.add_typer(export, name="export")

_AN_INCIDENT = "As alert list shows it, its beginning is enough; or what it is about: node.offline/node/pve2."
Incident = Annotated[str, typer.Argument(metavar="ID", autocompletion=suggesting("incidents"), help=_AN_INCIDENT)]
Incidents = Annotated[list[str], typer.Argument(metavar="ID...", autocompletion=suggesting("incidents"), help=_AN_INCIDENT)]
NoHeader = Annotated[bool, typer.Option("--no-header", help="Leave the titles out.")]


@command(app, "run", schema="alert-run", quietable=True, stateful=True)
def run_(run: "Run", *, dry_run: DryRun = False) -> "Report":
    """Look at the cluster, and tell people what is news.

    It looks as monitor does, and tells what is new, worse, still so, or over. A timer runs this every few minutes. What could not be
    delivered is tried again by the next runs, for three days.
    """
    from pvectl.cli.alerts import run_pages

    return run_pages.report(run, dry_run=dry_run)


@command(app, "test", schema="alert-test", tabular=False, stateful=True)
def try_receiver(
    run: "Run",
    receiver: Annotated[
        str, typer.Argument(metavar="RECEIVER", autocompletion=suggesting("receivers"), help="One of alert.receivers in pvectl.yml.")
    ],
    check: Annotated[
        str | None,
        typer.Option("--check", metavar="CHECK", autocompletion=suggesting("checks"), help="As if this check had found something."),
    ] = None,
) -> "Report":
    """Send a made-up incident to one receiver.

    It goes the way a real one goes: rule, state, outbox, delivery; nobody else is told. The exit code is 1 when it was not delivered; it is
    not tried again.
    """
    from pvectl.cli.alerts import trial

    return trial.tried(run, receiver, check=check)


@command(app, "list", schema="alert-list", stateful=True)
def list_(
    run: "Run",
    *,
    all_: Annotated[bool, typer.Option("--all", help="Also what was over within the last day.")] = False,
    no_header: NoHeader = False,
) -> "Report":
    """List what is open, and who was told of it.

    Where nobody was told, it says why. The cluster is not asked.
    """
    from pvectl.cli.alerts import pages as alert_pages

    return alert_pages.listed(run, everything=all_, header=not no_header)


@command(app, "explain", schema="alert-explain", tabular=False, stateful=True)
def explain(run: "Run", incident: Incident) -> "Report":
    """Tell all about one incident.

    The rule that applies, values, thresholds, what it rests on, its history, and who was told what and when, or why nobody was.
    """
    from pvectl.cli.alerts import explained

    return explained.explained(run, incident)


@command(app, "ack", schema="alert-ack", stateful=True)
def ack(
    run: "Run",
    incidents: Incidents,
    note: Annotated[str, typer.Option("--note", metavar="TEXT", help="What everybody who wonders will read.")] = "",
) -> "Report":
    """Say that an incident is known.

    It is not told again until it gets worse. That it is over is told all the same.
    """
    from pvectl.cli.alerts import changes as alert_changes

    return alert_changes.acknowledged(run, incidents, note=note)


@command(app, "unack", schema="alert-unack", stateful=True)
def unack(run: "Run", incidents: Incidents) -> "Report":
    """Take an acknowledgement back."""
    from pvectl.cli.alerts import changes as alert_changes

    return alert_changes.unacknowledged(run, incidents)


@command(silence, "add", schema="alert-silence-add", stateful=True)
def silence_add(
    run: "Run",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; everybody who wonders will read it.")],
    checks: Annotated[
        list[str] | None,
        typer.Option("--check", metavar="PATTERN", autocompletion=suggesting("checks"), help="Only these checks: backup.*, node.offline."),
    ] = None,
    object_: Annotated[
        str | None, typer.Option("--object", metavar="PATTERN", help="Only what is about this: storage/nfs, guest/1??, disk/pve1/*.")
    ] = None,
    tag: Annotated[
        str | None, typer.Option("--tag", metavar="TAG", autocompletion=suggesting("tags"), help="Only guests with this tag.")
    ] = None,
    pool: Annotated[
        str | None, typer.Option("--pool", metavar="PATTERN", autocompletion=suggesting("pools"), help="Only guests of this pool.")
    ] = None,
    node: Annotated[
        str | None, typer.Option("--node", metavar="PATTERN", autocompletion=suggesting("nodes"), help="Only what is on this node.")
    ] = None,
    for_: Annotated[str | None, typer.Option("--for", metavar="TIME", help="2h, 30m, 3d; 30d at most.")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="18:00, or 2026-12-24 18:00; in this machine's time zone.")
    ] = None,
) -> "Report":
    """Tell nobody of what fits, for a while.

    What is given has to fit together; * and ? are wildcards. Incidents go on being watched and listed. Whoever was told that one began is
    still told that it is over.
    """
    from pvectl.cli.alerts import silences as alert_silences

    matcher = alert_silences.Wanted(checks=tuple(checks or ()), object=object_, tag=tag, pool=pool, node=node)
    return alert_silences.added(run, matcher, reason=reason, until=until, for_=for_)


@command(silence, "list", schema="alert-silence-list", stateful=True)
def silence_list(run: "Run", *, no_header: NoHeader = False) -> "Report":
    """List the silences in force, and what they cover."""
    from pvectl.cli.alerts import silences as alert_silences

    return alert_silences.listed(run, header=not no_header)


@command(silence, "remove", schema="alert-silence-remove", stateful=True)
def silence_remove(
    run: "Run",
    silences: Annotated[
        list[str],
        typer.Argument(
            metavar="ID...", autocompletion=suggesting("silences"), help="As alert silence list shows it; its beginning is enough."
        ),
    ],
) -> "Report":
    """End a silence before its time."""
    from pvectl.cli.alerts import silences as alert_silences

    return alert_silences.removed(run, silences)


_A_MESSAGE = "As alert outbox list shows it; its beginning is enough."


@command(outbox, "list", schema="alert-outbox-list", stateful=True)
def outbox_list(
    run: "Run",
    *,
    all_: Annotated[bool, typer.Option("--all", help="Also what was sent, replaced or dropped within the last 30 days.")] = False,
    no_header: NoHeader = False,
) -> "Report":
    """List the messages that wait, and those that were given up."""
    from pvectl.cli.alerts import outbox as alert_outbox

    return alert_outbox.listed(run, everything=all_, header=not no_header)


@command(outbox, "retry", schema="alert-outbox-retry", stateful=True)
def outbox_retry(
    run: "Run",
    messages: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", autocompletion=suggesting("undelivered"), help=_A_MESSAGE)
    ] = None,
    *,
    dead: Annotated[bool, typer.Option("--dead", help="All that were given up.")] = False,
) -> "Report":
    """Have messages tried again by the next alert run.

    What was given up is tried for three more days; what waits is tried at once, whenever it was to be tried next.
    """
    from pvectl.cli.alerts import outbox as alert_outbox

    return alert_outbox.retried(run, messages or (), dead=dead)


@command(outbox, "drop", schema="alert-outbox-drop", stateful=True)
def outbox_drop(
    run: "Run",
    messages: Annotated[list[str], typer.Argument(metavar="ID...", autocompletion=suggesting("undelivered"), help=_A_MESSAGE)],
    *,
    yes: Yes = False,
) -> "Report":
    """Throw messages away that have not arrived.

    What still lasts is told anew when it would be repeated.
    """
    from pvectl.cli.alerts import outbox as alert_outbox

    return alert_outbox.dropped(run, messages, yes=yes)


@command(app, "replay", schema="alert-replay", stateful=True)
def replay(
    run: "Run",
    rules: Annotated[str, typer.Option("--rules", metavar="FILE", help="A pvectl.yml, or only its alert section.")],
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How far back: 12h, 7d; or a date.")] = "7d",
) -> "Report":
    """Tell what other rules would have sent.

    It goes by what the runs of the last days found. Nothing is sent.
    """
    from pvectl.cli.alerts import replay as alert_replay

    return alert_replay.report(run, rules=rules, since=since)


@command(export, "prometheus", schema="alert-export-prometheus", tabular=False)
def prometheus(run: "Run") -> "Report":
    """Print the same rules as a rule file for Prometheus.

    They are about the metrics of monitor -o prometheus.
    """
    from pvectl.cli.alerts import export as alert_export

    return alert_export.report(run)
