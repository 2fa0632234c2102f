"""The configuration: check it, show it, start one, and pin the certificates of a cluster's hosts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pvectl.cli.options import command, group
from pvectl.errors import UsageError

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report

app = group("Check, explain and create the configuration.")


@command(app, "check", schema="config-check", tabular=False)
def check(run: "Run") -> "Report":
    """Say all that is wrong with the configuration.

    With file, line and column; asks no host and starts no token_command.
    """
    from pvectl.cli import config_pages
    from pvectl.config.places import find_config_dir
    from pvectl.config.survey import survey

    return config_pages.checked(survey(find_config_dir(run.options.config_dir, run.env), run.env), wanted=run.options.cluster)


@command(app, "schema", schema="config-schema", tabular=False)
def schema(
    run: "Run",
    file: Annotated[
        Literal["proxmox", "pvectl"], typer.Argument(metavar="[proxmox|pvectl]", help="The schema of proxmox.yml or of pvectl.yml.")
    ] = "proxmox",
) -> "Report":
    """Print the JSON Schema of a configuration file, for editors.

    Always the bare schema, in no envelope, and as JSON, whatever the output format; jsonl puts it on one line.
    """
    from msgspec.structs import replace

    from pvectl.cli import config_pages
    from pvectl.config.schema import FILES, json_schema

    if run.options.format in ("json", "yaml"):
        # a schema in an envelope is none that an editor knows; the text is the schema itself, and JSON is YAML as well
        run.options = replace(run.options, format="text")
    return config_pages.schema(json_schema(FILES[file]))


@command(app, "init", schema="config-init", tabular=False)
def init(
    run: "Run",
    directory: Annotated[Path | None, typer.Option("--dir", metavar="DIR", help="Where to; otherwise where pvectl looks.")] = None,
) -> "Report":
    """Write a commented configuration to fill in, for you alone. Never overwrites anything."""
    # what the environment says about every command gives way to what this one was told
    if directory and run.options.config_dir not in (None, run.env.get("PVECTL_CONFIG_DIR")):
        raise UsageError("--dir and --config-dir both say where the files go", hint="leave one of them out")
    from pvectl.cli import config_pages
    from pvectl.config.installing import install
    from pvectl.config.places import default_dir, expanded

    asked = directory or run.options.config_dir
    target = expanded(Path(asked)) if asked else default_dir(run.env)
    return config_pages.installed(target, install(target), found_by_itself=not asked)


@command(app, "show", schema="config-show", tabular=False)
def show(run: "Run") -> "Report":
    """Show the configuration as pvectl understands it.

    With every default filled in and every secret hidden.
    """
    from pvectl.cli import config_pages
    from pvectl.config.load import find_config_dir, load_connections, load_jobs

    directory = find_config_dir(run.options.config_dir, run.env)
    return config_pages.effective(directory, load_connections(directory, run.env), load_jobs(directory), wanted=run.options.cluster)


@command(app, "import", schema="config-import", tabular=False)
def import_(
    run: "Run",
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The config.yml of the prototype's scheduled or idle shutdown.")],
    tz: Annotated[str | None, typer.Option("--tz", metavar="ZONE", help="The time zone its times are in; else this machine's.")] = None,
) -> "Report":
    """Print the pvectl.yml an old configuration amounts to.

    For config.yml files of the prototype pvectl grew from. Remarks say where the meaning was dangerous. Nothing is written.
    """
    from pvectl.cli import config_pages
    from pvectl.cli.own_zone import own_zone
    from pvectl.config.importing import imported

    return config_pages.imported(str(file), imported(file, tz=own_zone(run.env, tz)))


@command(app, "trust", schema="config-trust")
def trust(run: "Run") -> "Report":
    """Show each host's certificate and pin it after asking.

    The fingerprints go into proxmox.yml. No credential is sent. Off a terminal nothing is written; the lines to add are printed instead.
    """
    from pvectl.cli import trusting

    return trusting.trust(run)
