"""Jobs and settings of the tests of timers, and the programs of systemd they are held against."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any

import pytest

from pvectl.timers.entries import Job, Setting


def job(**changes: Any) -> Job:
    values: dict[str, Any] = {"name": "idle-check", "sentence": "switch off nodes", "interval": 300, "longest_run": 2700}
    return Job(**values | changes)


def setting(**changes: Any) -> Setting:
    values: dict[str, Any] = {
        "program": ("/usr/local/bin/pvectl",),
        "config_dir": "/etc/pvectl",
        "credentials": {"proxmox.yml": "/etc/pvectl/proxmox.yml", "pvectl.yml": "/etc/pvectl/pvectl.yml"},
    }
    return Setting(**values | changes)


def needed(program: str) -> str:
    """The path of a program a test cannot do without; in CI its absence is a failure, elsewhere the test is skipped."""
    found = shutil.which(program)
    if found is None:
        message = f"{program} is not installed"
        if os.environ.get("CI"):
            pytest.fail(f"{message}, and CI must have it")
        pytest.skip(message)
    return found


def values(unit: str, key: str) -> list[str]:
    """What a unit's text says for a key, each time it does."""
    return [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{key}=")]


def allowed_calls(unit: str) -> set[str]:
    """The system calls the filter of a unit lets through, as this machine's systemd knows its groups."""
    analyze = needed("systemd-analyze")
    (allowed, denied) = values(unit, "SystemCallFilter")
    calls = _group(analyze, allowed)
    for name in denied.removeprefix("~").split():
        calls -= _group(analyze, name)
    # systemd.exec(5): always let through, whatever the filter says
    return calls | _group(analyze, "@default")


def _group(analyze: str, name: str) -> set[str]:
    said = subprocess.run([analyze, "syscall-filter", name], capture_output=True, text=True, check=True).stdout
    words = {line.strip() for line in said.splitlines()[1:] if line.startswith("    ") and not line.strip().startswith("#")}
    return {word for word in words if not word.startswith("@")}.union(*(_group(analyze, word) for word in words if word.startswith("@")))
