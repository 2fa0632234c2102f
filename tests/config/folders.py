"""Configuration directories of a test."""

from __future__ import annotations

from pathlib import Path

from pvectl.config.problems import ConfigProblems, Problem

SECRET = "9f8e7d6c-5b4a-3c2d-1e0f-a1b2c3d4e5f6"
GOOD = f"""\
clusters:
  lab:
    hosts: [pve1.lan, "pve2.lan:8006"]
    token_id: pvectl@pve!ops
    token_value: {SECRET}
"""


def write(folder: Path, text: str | bytes, *, name: str = "proxmox.yml", mode: int = 0o600) -> Path:
    """A file in a configuration directory; returns the directory."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return folder


def told(error: ConfigProblems) -> list[tuple[int, int, str, str]]:
    """Line, column, path and message of each problem."""
    return [(one.line, one.column, one.path, one.message) for one in error.problems]


def hints(problems: tuple[Problem, ...]) -> list[str | None]:
    return [one.hint for one in problems]
