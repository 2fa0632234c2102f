"""What systemd has to be told about our units, and what it says about them; it is asked only where it runs the machine."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from pvectl.errors import PvectlError

_LIMIT = 60
_PROPERTIES = ("LoadState", "UnitFileState", "ActiveState", "LastTriggerUSec")


class Standing(Struct, frozen=True, kw_only=True):
    """What systemd says about a timer, in its own words; None where it says nothing."""

    unit: str
    enabled: str | None
    active: str | None
    last_run: str | None


def runs(root: Path, env: Mapping[str, str]) -> bool:
    """Whether systemd runs this machine, as sd_booted(3) tells it, and can be asked."""
    return (root / "run/systemd/system").is_dir() and shutil.which("systemctl", path=env.get("PATH")) is not None


def runs_machine(root: Path) -> bool:
    return (root / "run/systemd/system").is_dir()


def to_begin(timers: Sequence[str], *, user: str) -> tuple[tuple[str, ...], ...]:
    """After the files are there: the user, the units, and the timers; a restart makes a changed interval count."""
    return (
        ("systemd-sysusers", user),
        ("systemctl", "daemon-reload"),
        ("systemctl", "enable", *timers),
        ("systemctl", "restart", *timers),
    )


def to_end(timers: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Before the files are taken away; a run that is under way comes to its own end."""
    return (("systemctl", "disable", "--now", *timers),)


AFTERWARDS: tuple[tuple[str, ...], ...] = (("systemctl", "daemon-reload"),)
"""After the files were taken away."""


def run(lines: Sequence[Sequence[str]], env: Mapping[str, str]) -> None:
    """Run these, one after the other, each without a shell.

    Raises:
        PvectlError: one failed; those behind it were not run.
    """
    for line in lines:
        _asked(line, env)


def standing(unit: str, env: Mapping[str, str]) -> Standing:
    """What systemd says about one timer of the system, never about a user's own.

    Raises:
        PvectlError: it cannot be asked.
    """
    said = _asked(("systemctl", "show", f"--property={','.join(_PROPERTIES)}", unit), env)
    values = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return Standing(
        unit=unit,
        enabled=values.get("UnitFileState") or None,
        active=values.get("ActiveState") or None,
        last_run=values.get("LastTriggerUSec") or None,
    )


def _asked(line: Sequence[str], env: Mapping[str, str]) -> str:
    told = " ".join(line)
    program = shutil.which(line[0], path=env.get("PATH"))
    if program is None:
        raise PvectlError(f"{line[0]} is not there", hint=f"run it by hand: {told}")
    try:
        ended = subprocess.run(  # noqa: S603 - our own words
            [program, *line[1:]],
            env={**env, "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = f"did not end within {_LIMIT} s" if isinstance(error, subprocess.TimeoutExpired) else str(error.strerror)
        raise PvectlError(f"{told}: {reason}", hint="run it by hand to see what is wrong") from None
    if ended.returncode:
        first = next((text.strip() for text in ended.stderr.splitlines() if text.strip()), f"exit code {ended.returncode}")
        raise PvectlError(f"{told} failed: {first}", hint="run it by hand to see what is wrong")
    return ended.stdout
