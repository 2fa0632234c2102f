"""README and help know every command, option, exit code and configuration key, and every figure they name is true."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from pvectl import __version__
from pvectl.cli import app as cli
from pvectl.errors import ExitCode

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> Iterator[tuple[str, Any]]:
    root = typer.main.get_command(cli.app)
    for name in cli.COMMANDS:
        yield from _below(name, root.get_command(None, name))  # type: ignore[attr-defined]


def _below(name: str, found: Any) -> Iterator[tuple[str, Any]]:
    children = getattr(found, "commands", None)
    if not children:
        yield name, found
    for child, command in (children or {}).items():
        yield from _below(f"{name} {child}", command)


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_names_every_command(name: str) -> None:
    group, _, verb = name.partition(" ")
    lines = [line for line in README.splitlines() if f"`pvectl {group}" in line]

    assert any(re.search(rf"(?:^|[ |\\`]){re.escape(verb)}(?:[ |\\`]|$)", line.split(f"pvectl {group}")[1]) for line in lines), name


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_names_every_option(name: str) -> None:
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts if option.startswith("--")}

    assert [option for option in sorted(options - {"--help"}) if option not in README] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_a_sentence(name: str) -> None:
    command = COMMANDS[name]

    assert command.help
    assert [parameter.name for parameter in command.params if parameter.name != "help" and not parameter.help] == []


@pytest.mark.parametrize("code", ExitCode)
def test_the_readme_names_every_exit_code(code: ExitCode) -> None:
    rows = re.findall(r"^\| ([\d, ]+) \|", README, flags=re.MULTILINE)

    assert str(int(code)) in {number for row in rows for number in row.split(", ")}


@pytest.mark.parametrize("marker", ["run-command", "test-command"])
def test_the_two_commands_are_one_line_each(marker: str) -> None:
    block = re.search(rf"<!-- {marker} -->\n```sh\n(.*?)```", README, flags=re.DOTALL)

    assert block
    assert len(block[1].strip().splitlines()) == 1
    assert block[1].startswith("python3 -m venv .venv && ")


def test_the_version_is_a_released_or_unreleased_heading_away() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_what_the_project_needs_is_what_it_imports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[<>=]", requirement)[0].lower() for requirement in project["dependencies"]}
    spellings = {"yaml": "pyyaml"}
    imported = {
        spellings.get(name, name)
        for file in (ROOT / "pvectl").rglob("*.py")
        for name in re.findall(r"^\s*(?:import|from) (\w+)", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    }

    assert needed - imported - {"tzdata"} == set()
    assert {"msgspec", "proxmoxer", "pyyaml", "rich", "structlog", "typer"} <= imported


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_no_secret_is_tracked() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()

    assert "config/proxmox.yml" not in tracked
    assert "config/proxmox.yml" in "".join((ROOT / ".gitignore").read_text(encoding="utf-8"))


def test_the_example_of_the_readme_is_what_it_prints() -> None:
    block = re.search(r"```console\n\$ pvectl (.*?)\n(.*?)```", README, flags=re.DOTALL)
    assert block
    shown = subprocess.run([sys.executable, "-m", "pvectl", *shlex.split(block[1])], capture_output=True, text=True, check=True)

    assert shown.stdout == block[2]
