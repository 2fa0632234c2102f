"""Where a token's secret comes from: the configuration, a file of its own, or a program that prints it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pvectl.config.guarded import is_credential, read_guarded
from pvectl.config.problems import Misspelt, shown
from pvectl.core.secret import Secret

if TYPE_CHECKING:
    import subprocess

COMMAND_LIMIT = 10.0
"""Seconds a token_command may take."""

_TO_DIE = 0.5
_LONGEST = 4096
_PLACEHOLDER = re.compile(
    r"(?:change|fill|replace|your|insert|put|enter)[-_ ]?.*|[<\[{].*[>\]}]|x+(?:-x+)*|0+(?:-0+)*|\.+|…|secret|token|todo", re.IGNORECASE
)


_CHANGE_ME = r"(?i:change[-_ ]?me|[<\[{].*[>\]}]|x{3,}(?:-x+)*|\.{3,}|…|todo)"

Accept = Callable[[Secret], Secret]
"""The secret itself, when it can be one; raises Misspelt (never repeating it) when it cannot."""


def one_line(secret: Secret) -> Secret:
    """Any secret but a token's: a password may hold nearly everything, but not another line."""
    text = secret.reveal().strip()
    if not text:
        raise Misspelt("is empty", "put in the secret alone, on one line")
    if re.fullmatch(_CHANGE_ME, text):
        raise Misspelt("is still a placeholder", "put in the secret itself")
    if not text.isprintable() or len(text) > _LONGEST:
        raise Misspelt("holds more than one line, or control characters", "put in the secret alone, on one line")
    return Secret(text)


def accepted(secret: Secret) -> Secret:
    """The secret itself, when it can be one; Misspelt (never repeating it) when it cannot."""
    text = secret.reveal().strip()
    if not text:
        raise Misspelt("is empty", "Proxmox VE showed the secret once, when the token was made")
    if _PLACEHOLDER.fullmatch(text):
        raise Misspelt("is still a placeholder", "put in the secret Proxmox VE showed when the token was made: pveum user token add …")
    if ("!" in text and "=" in text) or text.startswith("PVEAPIToken"):
        raise Misspelt(
            "holds more than the secret", "put in only the part that looks like 8-4-4-4-12 hexadecimal digits; the rest goes into token_id"
        )
    if not text.isascii() or not text.isprintable() or re.search("[ ;]", text) or len(text) > _LONGEST:
        raise Misspelt("holds something other than one word", "put in the secret alone, on one line")
    return Secret(text)


def from_file(path: Path, env: Mapping[str, str], *, accept: Accept = accepted, what: str = "a token's secret") -> Secret:
    """The secret alone in a file; one of systemd's credentials is taken as systemd made it.

    Raises:
        Misspelt: there is no such file, or no secret in it.
        UnsafeFile: others can read or replace it.
        ConfigError: it is no plain file, or cannot be read.
    """
    credential = is_credential(path, env)
    try:
        guarded = read_guarded(path, limit=_LONGEST, follow=credential)
    except FileNotFoundError:
        raise Misspelt(f"there is no file {path}", f"write the secret into it, then: chmod 600 {path}") from None
    if not credential:
        guarded.refuse_when_others_read(what)
    return accept(Secret(guarded.content.decode("utf-8", "replace")))


def from_command(
    argv: Sequence[str], *, folder: Path, limit: float = COMMAND_LIMIT, accept: Accept = accepted, heard: bool = True
) -> Secret:
    """What the program prints, started in `folder` without a shell and without input; its complaints go to our stderr if `heard`.

    Raises:
        Misspelt: it is not there, fails, takes too long, or prints no secret.
    """
    import subprocess
    import time

    end = time.monotonic() + limit
    try:
        # a process group of its own, so that nothing it started outlives the limit and keeps the pipe open
        process = subprocess.Popen(  # noqa: S603 - the administrator's own command line, as a list
            list(argv),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if heard else subprocess.DEVNULL,
            process_group=0,
        )
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a command"
        raise Misspelt(f"{shown(argv[0])} cannot be started: {reason}", "give a program and its arguments as a list") from None
    try:
        printed = _printed(process, end)
        code = process.wait(max(0.0, end - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired):
        raise Misspelt(f"{shown(argv[0])} did not end within {limit:.3g} s") from None
    finally:
        _end(process)
    if code != 0:
        raise Misspelt(f"{shown(argv[0])} failed with exit code {code}")
    return accept(Secret(printed.decode("utf-8", "replace")))


def _printed(process: subprocess.Popen[bytes], end: float) -> bytes:
    """All of its output, at most a few KiB: a program that floods is cut off."""
    import selectors
    import time

    assert process.stdout is not None
    collected = b""
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while True:
            if not ready.select(max(0.0, end - time.monotonic())):
                raise TimeoutError
            chunk = os.read(process.stdout.fileno(), _LONGEST)
            if not chunk:
                return collected
            collected += chunk
            if len(collected) > _LONGEST:
                raise Misspelt(f"the program prints more than {_LONGEST // 1024} KiB", "it must print the secret and nothing else")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing of a program that did not end by itself stays behind, unless the kernel protects it from us."""
    import contextlib
    import signal
    import subprocess

    if process.stdout is not None:
        process.stdout.close()
    # once it was waited for, its number may belong to somebody else
    if process.returncode is not None:
        return
    # EPERM for one that runs as somebody else (sudo asking for a password): nothing we could do would end it
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_TO_DIE)
