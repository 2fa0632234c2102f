"""The root command: lazily loaded groups, and the single exit every run takes."""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from pvectl import __version__
from pvectl.errors import ExitCode, PvectlError, UsageError

if TYPE_CHECKING:
    from pvectl.cli.context import Run


class Lazy(NamedTuple):
    """A command or group that is imported when it is used; `attribute` is its Typer app."""

    module: str
    help: str
    attribute: str = "app"


COMMANDS = {
    "vm": Lazy("pvectl.cli.vm", "List, inspect, shut down and start guests (VMs and containers)."),
    "tags": Lazy("pvectl.cli.tags", "List, edit and check the tags of guests."),
    "node": Lazy("pvectl.cli.node", "List nodes, wake one."),
    "idle-check": Lazy("pvectl.cli.idle_check", "Switch nodes off on which nothing important has run for a while."),
    "scheduled-shutdown": Lazy("pvectl.cli.scheduled_shutdown", "Shut guests down at set times, in stages, each time once."),
    "hold": Lazy("pvectl.cli.hold", "Keep nodes and guests on for a while."),
    "monitor": Lazy("pvectl.cli.monitor", "Look at the whole cluster: what is wrong, what is fine, what could not be checked."),
    "alert": Lazy("pvectl.cli.alert", "Tell people about problems: once per incident, and none is lost."),
    "explain": Lazy("pvectl.cli.explain", "Tell why a decision fell as it did."),
    "history": Lazy("pvectl.cli.history", "Tell what was done, decided and held."),
    "doctor": Lazy("pvectl.cli.doctor", "Check reach, TLS, clock, token, privileges and completeness."),
    "timers": Lazy("pvectl.cli.timers", "Run the jobs every few minutes, with systemd's timers or cron's table."),
    "config": Lazy("pvectl.cli.config_cmd", "Check, explain and create the configuration."),
    "demo": Lazy("pvectl.cli.demo", "See pvectl at work on an embedded simulated cluster."),
}


class LazyGroup(TyperGroup):
    """The root group: knows its commands by name and imports the one that is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  (typer's signature)
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  (typer's signature)
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        loaded = typer.main.get_command(getattr(importlib.import_module(lazy.module), lazy.attribute))
        loaded.name = cmd_name
        return loaded

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UsageError(f"no such command: {args[0]}", hint=_nearest(args[0]))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002  (typer's signature)
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in COMMANDS.items()])


app = typer.Typer(
    cls=LazyGroup,
    help="See, tag and safely switch off what runs on Proxmox VE.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(*, value: bool) -> None:
    if value:
        sys.stdout.write(f"pvectl {__version__}\n")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Run the command against the embedded simulated cluster.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,  # noqa: ARG001
) -> None:
    """See, tag and safely switch off what runs on Proxmox VE."""
    if demo:
        if ctx.invoked_subcommand == "config":
            raise UsageError("the simulated cluster has no configuration files", hint="leave --demo out")
        from pvectl.cli.demo import against_the_simulated_cluster

        against_the_simulated_cluster(ctx.obj.run())


class Starter:
    """Makes the run when a command begins; help and completion never do, and so load nothing heavy."""

    def __init__(self, run: Run | None = None) -> None:
        self._run = run

    def run(self) -> Run:
        if self._run is None:
            from pvectl.cli.context import Run

            self._run = Run()
        return self._run

    def interrupt(self, code: ExitCode) -> None:
        """Remember which signal ended the run, should there be one."""
        if self._run is not None:
            self._run.interrupted_by = code

    def close(self) -> None:
        if self._run is not None:
            self._run.close()


def main(arguments: Sequence[str] | None = None, *, run: Run | None = None) -> int:
    """Run one command line and return its exit code; the only place where errors become exit codes."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "_PVECTL_COMPLETE" in os.environ:
        from pvectl.cli.completion import complete

        return complete(app)
    starter = Starter(run)
    previous = _on_sigterm(starter)
    try:
        return _finish(starter, words or ["--help"])
    finally:
        starter.close()
        if previous is not None:
            signal.signal(signal.SIGTERM, previous)


def _on_sigterm(starter: Starter) -> Any:
    """Let SIGTERM end a run the way Ctrl-C does: in words, with what is still going on, and with its own exit code."""
    if threading.current_thread() is not threading.main_thread():
        return None

    def terminate(_number: int, _frame: object) -> None:
        starter.interrupt(ExitCode.TERMINATED)
        raise KeyboardInterrupt

    return signal.signal(signal.SIGTERM, terminate)


def _out_of_reach() -> PvectlError:
    """Root goes on as the owner of the state, who cannot read what lies in root's home."""
    from pvectl.errors import NotPermitted

    return NotPermitted(
        f"pvectl itself lies where the owner of the state directory (uid {os.geteuid()}) cannot read it",
        hint="install pvectl system-wide, or give a directory of your own with --state-dir",
    )


def _finish(starter: Starter, words: list[str]) -> int:
    try:
        try:
            result = app(args=words, prog_name="pvectl", standalone_mode=False, obj=starter)
        except typer.TyperException as error:
            return _misused(starter.run(), error, words)
        if result is None or isinstance(result, int):
            # typer's own: 0 after --help or --version, 130 after Ctrl-C
            return _interrupted(starter.run(), words) if result == ExitCode.INTERRUPTED else int(result or 0)
        _print(starter.run(), result)
    except PvectlError as error:
        return _fail(starter.run(), error, words)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(starter.run(), words)
    except SystemExit:
        return int(ExitCode.OK)  # typer's way out when the reader of a help page has gone
    except Exception as error:  # noqa: BLE001  (the single exit: whatever is left is a bug, and says so)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF):
            starter.run().say(f"pvectl: the output cannot be written: {error.strerror}")
            return _as_plugin(starter.run(), words, "the output cannot be written") or int(ExitCode.FAILED)
        if isinstance(error, ImportError) and os.geteuid() != os.getuid():
            return _fail(starter.run(), _out_of_reach(), words)
        import traceback

        starter.run().say(traceback.format_exc() + "pvectl: this is a bug in pvectl; the lines above say where")
        return _as_plugin(starter.run(), words, f"this is a bug in pvectl: {type(error).__name__}") or int(ExitCode.BUG)
    return int(result.exit_code if result.code is None else result.code)


def _misused(run: Run, error: Any, words: list[str]) -> int:
    """A command line typer cannot make sense of: one sentence, or the help where a command is missing."""
    context = getattr(error, "ctx", None)
    if context is not None and (type(error).__name__ == "NoArgsIsHelpError" or str(error) == "Missing command."):
        run.say(context.get_help())
        return int(ExitCode.USAGE)
    hint = f"{context.command_path} --help shows what it takes" if context is not None else None
    option = getattr(error, "option_name", None)
    if option and context is not None and context.parent is None:
        hint = f"{option} stands behind the command, as in: pvectl vm list {option}"
    return _fail(run, UsageError(error.format_message(), hint=hint), words)


def _interrupted(run: Run, words: list[str]) -> int:
    run.say("pvectl: interrupted")
    return _as_plugin(run, words, "interrupted before there was an answer") or int(run.interrupted_by)


def _as_plugin(run: Run, words: list[str], message: str) -> int | None:
    """The failure as a plugin of Nagios tells it: a line on stdout and 3; None where nobody asked for a plugin."""
    if "monitor" not in words or _asked_format(run, words) != "nagios":
        return None
    from pvectl.cli import output
    from pvectl.core.monitor import nagios

    failure = nagios.failure(message)
    with suppress(output.CannotPrint):
        output.write(run.stdout, f"{failure.text}\n".encode())
    return failure.status


def _print(run: Run, report: Any) -> None:
    from pvectl.cli import layout, output

    format_ = run.options.format
    if run.options.quiet and format_ == "text" and not report.news:
        return
    if format_ in ("text", "csv", "jsonl"):
        for problem in report.problems:
            run.say(output.complaint(problem))
    for remark in report.remarks:
        run.say(f"pvectl: {remark}")
    terminal = layout.Terminal() if report.written_to else layout.Terminal.of(run.stdout, run.env)
    payload = output.render(report, format_, now=run.clock.now(), terminal=terminal)
    if report.written_to is None:
        output.write(run.stdout, payload)
    else:
        output.write_file(report.written_to, payload)


def _fail(run: Run, error: PvectlError, words: list[str]) -> int:
    from pvectl.cli import layout, output

    if (status := _as_plugin(run, words, error.message)) is not None:
        return status
    report = output.failure(error, schema=run.command, cluster=run.cluster)
    for problem in report.problems:
        run.say(output.complaint(problem))
    format_ = _asked_format(run, words)
    if format_ in ("json", "jsonl", "yaml") and not isinstance(error, output.CannotPrint):
        output.write(run.stdout, output.render(report, format_, now=run.clock.now(), terminal=layout.Terminal.of(run.stdout, run.env)))
    return int(error.exit_code)


def _asked_format(run: Run, words: list[str]) -> Any:
    """The output format, also when the command line was too wrong to be parsed."""
    if run.options.format != "text":
        return run.options.format
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word in ("-o", "--output"):
            return following
        if word.startswith("--output="):
            return word.removeprefix("--output=")
        if word.startswith("-o") and len(word) > 2:
            return word[2:]
    return run.env.get("PVECTL_OUTPUT", "text")


def _nearest(word: str) -> str:
    from difflib import get_close_matches

    matches = get_close_matches(word, COMMANDS, n=1)
    return f"did you mean {matches[0]}?" if matches else "pvectl --help lists the commands"
