"""A tour of pvectl against a simulated cluster: its real commands, their real output, and a sentence in between."""

import io
import os
import shlex
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from pvectl.cli.options import command, leaf

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.demos.cluster import Stage
    from pvectl.cli.demos.tour import Scene
    from pvectl.cli.output import Report

SPEED = 30
_READING_S = 1.2
"""A moment to read what has been said, on a terminal only."""

_ABOVE_EVERYTHING = 100
_INTERVAL_S = 300

app = leaf()


@command(app, "demo", schema="demo")
def demo(
    run: "Run",
    speed: Annotated[int, typer.Option("--speed", metavar="N", min=1, max=300, help="How many times as fast its time passes.")] = SPEED,
) -> "Report":
    """See pvectl at work: a tour of its real commands against an embedded simulated cluster, in under a minute."""
    from pvectl.cli.demos.cluster import on_stage
    from pvectl.cli.demos.tour import ENDING, OPENING, SCENES
    from pvectl.cli.output import Report

    with on_stage(speed) as stage, _without_settings():
        hosts = ", ".join(stage.server.host(node) for node in stage.server.nodes)
        _narrate(run, OPENING.format(speed=speed, hosts=hosts))
        told = [{"command": scene.command, "exit_code": _play(run, stage, scene)} for scene in SCENES]
    return Report(schema="demo", data=told, text="\n" + ENDING, cluster="demo")


def against_the_simulated_cluster(run: "Run") -> None:
    """Let this run speak to the embedded cluster instead of the one in proxmox.yml; it starts here and ends with the run."""
    from pvectl.cli.demos.cluster import on_stage

    staging = on_stage(SPEED)
    stage = staging.__enter__()
    run.speak_to(
        stage.connection(),
        clock=stage.clock,
        jobs=stage.jobs(),
        state_dir=stage.memory,
        at_the_end=lambda: staging.__exit__(None, None, None),
    )


def _play(run: "Run", stage: "Stage", scene: "Scene") -> int:
    """Say what comes, run the command as a shell would, and give its exit code."""
    from pvectl.cli.output import is_terminal

    if scene.happens is not None:
        scene.happens(stage.cluster)
    for _ in range(scene.before):
        _run(run, stage, scene, io.StringIO())
        stage.cluster.advance(_INTERVAL_S)
    _narrate(run, scene.said)
    _say(run, _prompt(run, scene))
    code = _piped(run, stage, scene) if scene.into else _run(run, stage, scene, _narrator(run))
    if code:
        _say(run, _dim(run, f"(exit code {code})"))
    for title in stage.phone.read():
        _say(run, _dim(run, f"(the phone: {title})"))
    if is_terminal(run.stdout):
        import time

        time.sleep(_READING_S)
    return code


def _run(run: "Run", stage: "Stage", scene: "Scene", stdout: TextIO) -> int:
    """The real command line, through the same door as from a shell; only the connection and the clock are given."""
    from pvectl.cli.app import main
    from pvectl.cli.context import Run
    from pvectl.errors import ExitCode
    from pvectl.logs import Log

    env = {name: value for name, value in run.env.items() if not name.startswith("PVECTL_")} | {"STATE_DIRECTORY": str(stage.memory)}
    inner = Run(
        env=env,
        stdin=io.StringIO(),
        stdout=stdout,
        # one stream for both, so that they come in the order they were written
        stderr=_narrator(run),
        clock=stage.clock,
        connection=stage.connection(scene.token_id, scene.secret),
        jobs=stage.jobs(),
        # what would be log lines in a file is on the page already
        log=Log(run.stderr, level=_ABOVE_EVERYTHING),
    )
    code = main(shlex.split(scene.command)[1:], run=inner)
    if inner.was_interrupted or code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        # the signal reached the command; it is meant for the tour as well
        run.interrupted_by = inner.interrupted_by
        raise KeyboardInterrupt
    return code


def _piped(run: "Run", stage: "Stage", scene: "Scene") -> int:
    """The command's output into a Python program, as a pipe in a shell would."""
    import subprocess

    from pvectl.cli.output import write

    buffer = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    code = _run(run, stage, scene, buffer)
    buffer.seek(0)
    ended = subprocess.run(  # noqa: S603 - this very Python, and a program that stands in the tour
        [sys.executable, "-c", scene.into or ""], input=buffer.read(), stdout=subprocess.PIPE, text=True, check=False
    )
    write(_narrator(run), ended.stdout.encode())
    return code or ended.returncode


def _narrator(run: "Run") -> TextIO:
    """Where the tour is told: stdout, unless that is kept free for a result in JSON."""
    return run.stdout if run.options.format == "text" else run.stderr


def _say(run: "Run", text: str) -> None:
    from pvectl.cli.output import write

    write(_narrator(run), (text + "\n").encode("utf-8", "backslashreplace"))


def _narrate(run: "Run", text: str) -> None:
    from pvectl.cli.layout import Terminal

    width = min(Terminal.of(_narrator(run), run.env).width or 80, 80)
    _say(run, "\n" + textwrap.fill(" ".join(text.split()), width, break_on_hyphens=False, break_long_words=False))


def _prompt(run: "Run", scene: "Scene") -> str:
    from pvectl.cli.layout import Terminal, paint

    line = scene.command
    if scene.into:
        line += ' | python3 -c "\n' + scene.into + '"'
    return "\n" + paint(f"$ {line}", "bold", Terminal.of(_narrator(run), run.env))


def _dim(run: "Run", text: str) -> str:
    from pvectl.cli.layout import Terminal, paint

    return paint(text, "dim", Terminal.of(_narrator(run), run.env))


@contextmanager
def _without_settings() -> Iterator[None]:
    """The user's PVECTL_* are about their own clusters; the tour's commands must not obey them."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PVECTL_")}
    try:
        yield
    finally:
        os.environ.update(kept)
