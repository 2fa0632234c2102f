"""The options commands share, and the decorator that gives them to every command."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from pvectl.errors import UsageError


def suggesting(what: str) -> Callable[[typer.Context, str], list[tuple[str, str]]]:
    """A shell completion by its name in `pvectl.cli.suggestions`, which is only loaded when somebody presses TAB there."""

    def suggest(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
        from pvectl.cli import suggestions

        words: list[tuple[str, str]] = getattr(suggestions, what)(ctx, incomplete)
        return words

    return suggest


Output = Annotated[
    Literal["text", "json", "jsonl", "yaml", "csv"],
    typer.Option("--output", "-o", envvar="PVECTL_OUTPUT", help="How the result is printed."),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="NAME", envvar="PVECTL_CLUSTER", autocompletion=suggesting("clusters"), help="Which cluster of proxmox.yml."
    ),
]
ConfigDir = Annotated[
    str | None, typer.Option("--config-dir", "-C", metavar="DIR", envvar="PVECTL_CONFIG_DIR", help="Where proxmox.yml lies.")
]
DeadlineOption = Annotated[
    str | None,
    typer.Option("--deadline", metavar="TIME", envvar="PVECTL_DEADLINE", help="The run ends by then, whatever happens."),
]
StateDir = Annotated[
    str | None, typer.Option("--state-dir", metavar="DIR", help="Where pvectl remembers; else $STATE_DIRECTORY or $PVECTL_STATE_DIR.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing unless something was done or failed.")]
Verbose = Annotated[int, typer.Option("--verbose", "-v", count=True, show_default=False, help="Log more; twice: every request.")]

_LANGUAGE = "100, 100:110, web*, @all, @tag-x, @pool-x, @node-x, comma lists; a leading - takes away."
Selectors = Annotated[list[str] | None, typer.Argument(metavar="[SELECTOR]...", autocompletion=suggesting("selectors"), help=_LANGUAGE)]
NeededSelectors = Annotated[list[str], typer.Argument(metavar="SELECTOR...", autocompletion=suggesting("selectors"), help=_LANGUAGE)]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="SELECTOR", autocompletion=suggesting("selectors"), help="Take these away from the selection."),
]
GuestWord = Annotated[
    str, typer.Argument(metavar="GUEST", autocompletion=suggesting("guests"), help="A vmid, or a name only one guest has.")
]
TagWords = Annotated[
    str, typer.Argument(metavar="TAG[,TAG]", autocompletion=suggesting("tags"), help="One tag, or several with commas between.")
]
OnNode = Annotated[
    str | None, typer.Option("--node", metavar="NODE", autocompletion=suggesting("nodes"), help="Only guests on this node.")
]
OfPool = Annotated[
    str | None, typer.Option("--pool", metavar="POOL", autocompletion=suggesting("pools"), help="Only guests of this pool.")
]
WithTags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", autocompletion=suggesting("tags"), help="Only guests with this tag, or all of these."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Go ahead without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan; change nothing.")]

_COMMON: dict[str, tuple[Any, Any]] = {
    "output": (Output, "text"),
    "cluster": (Cluster, None),
    "config_dir": (ConfigDir, None),
    "deadline": (DeadlineOption, None),
    "verbose": (Verbose, 0),
}
_QUIETABLE: dict[str, tuple[Any, Any]] = {"quiet": (Quiet, False)}
_STATEFUL: dict[str, tuple[Any, Any]] = {"state_dir": (StateDir, None)}


def group(help_text: str) -> typer.Typer:
    """A Typer app for one command group, in the house's settings."""
    app = leaf()
    app.callback(help=help_text)(lambda: None)
    return app


def leaf() -> typer.Typer:
    """A Typer app for a single command without sub-commands."""
    return typer.Typer(
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["--help", "-h"]},
    )


def command(
    app: typer.Typer,
    name: str,
    *,
    schema: str,
    quietable: bool = False,
    tabular: bool = True,
    stateful: bool = False,
    output: Any = Output,
    **settings: Any,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register `function(run, …) -> Report` as a command that also takes the shared options and finds its `Run` in the context.

    `schema` names the JSON result ("vm-list"), also when the command fails before it has one. `quietable` adds `--quiet`, for commands
    that may have nothing to tell; `tabular` False is for those whose result is no table and so has no CSV form; `stateful` adds
    `--state-dir`, for commands that read or write what pvectl remembers; `output` is the option of a command with further formats.
    """
    common_options = _COMMON | {"output": (output, "text")} | (_QUIETABLE if quietable else {}) | (_STATEFUL if stateful else {})

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(ctx: typer.Context, **values: Any) -> Any:
            from pvectl.cli.context import Options

            run = ctx.obj.run()
            run.command = schema
            common = {key: values.pop(key) for key in common_options}
            run.options = Options(format=common.pop("output"), deadline=_deadline(common.pop("deadline")), **common)
            if run.options.format == "csv" and not tabular:
                raise UsageError(f"{ctx.command_path} has no CSV form", hint="use -o json")
            return function(run, **values)

        own = [parameter for parameter in inspect.signature(function).parameters.values() if parameter.name != "run"]
        shared = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)
            for key, (annotation, default) in common_options.items()
        ]
        keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
        context = inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        call.__signature__ = inspect.Signature([context, *keyword_only, *shared])  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in (context, *keyword_only, *shared)}
        call.__name__ = function.__name__
        call.__doc__ = function.__doc__
        app.command(name, **settings)(call)
        return function

    return register


def _deadline(text: str | None) -> int | None:
    return None if text is None else duration("--deadline", text, at_least=1)


def duration(option: str, text: str, *, at_least: int = 0) -> int:
    """The seconds an option's words stand for.

    Raises:
        UsageError: they are no duration, or too short a one.
    """
    from pvectl.config.durations import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if seconds < at_least:
        raise UsageError(f"{option}: must be at least {at_least}s, got '{text}'")
    return seconds
