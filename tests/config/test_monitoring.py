"""`monitor:` in pvectl.yml: levels on top of the defaults, and no name that means nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvectl.config.load import ConfigProblems, load_jobs
from pvectl.config.schema import Monitor
from pvectl.config.schema.monitoring import settings_of
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.finding import Levels
from tests.config.folders import write


def monitor(folder: Path, text: str) -> Monitor:
    return load_jobs(write(folder, text, name="pvectl.yml")).monitor


def test_without_the_section_the_checks_go_by_their_own_defaults(tmp_path: Path) -> None:
    assert settings_of(monitor(tmp_path, "tags: {}\n")) == MonitorSettings()


def test_a_level_that_is_left_out_keeps_its_default_and_one_that_is_moved_takes_its_end_along(tmp_path: Path) -> None:
    levels = "{node.cpu: {warn: 0.7}, storage.usage: {crit: 0.99}, guest.mem: {warn: 0.9}, node.mem: {clear: 0.5}}"
    told = settings_of(monitor(tmp_path, f"monitor:\n  thresholds: {levels}\n")).thresholds

    assert told.node_cpu == Levels(warn=0.7, crit=0.95)
    assert told.storage_usage == Levels(warn=0.8, crit=0.99, clear=0.78)
    assert told.guest_mem == Levels(warn=0.9)
    assert told.node_mem == Levels(warn=0.9, crit=0.95, clear=0.5)
    assert told.node_swap == MonitorSettings().thresholds.node_swap


def test_everything_else_reaches_the_checks_as_it_was_written(tmp_path: Path) -> None:
    text = """
monitor:
  disable: [node.swap, "node.cert/node/pve3"]
  enable: [node.updates]
  exempt_tags: {"backup.*": [lab], guest.*: [lab, test]}
  overrides: [{check: storage.usage, node: pve3, warn: 0.9}, {tag: lab, enabled: false}]
  onboot_patience: 5m
  failover_of: all
"""
    told = settings_of(monitor(tmp_path, text))

    assert (told.disable, told.enable) == (("node.swap", "node.cert/node/pve3"), ("node.updates",))
    assert told.exempt_tags == {"backup.*": ("lab",), "guest.*": ("lab", "test")}
    assert [(override.check, override.node, override.tag, override.enabled) for override in told.overrides] == [
        ("storage.usage", "pve3", None, None),
        ("*", None, "lab", False),
    ]
    assert (told.onboot_patience, told.failover_of) == (300, "all")


@pytest.mark.parametrize(
    ("text", "path", "message", "hint"),
    [
        ("disable: [node.cpx]", "monitor.disable[0]", "there is no check 'node.cpx'", "did you mean node.cpu?"),
        ("enable: [updates]", "monitor.enable[0]", "there is no check 'updates'", "did you mean node.updates?"),
        ("overrides: [{check: storage.us}]", "monitor.overrides[0].check", "there is no check 'storage.us'", "did you mean storage.usage?"),
        ("enable: [xyz]", "monitor.enable[0]", "there is no check 'xyz'", "pvectl monitor --coverage lists the checks"),
        ("exempt_tags: {bakup: [x]}", "monitor.exempt_tags", "there is no check 'bakup'", None),
        ("slow_every: 1s", "monitor.slow_every", "expected at least 5m, got '1s'", None),
        ("thresholds: {node.cpu: {warn: high}}", "monitor.thresholds.node.cpu.warn", "expected a number, got 'high'", None),
        ("textfile: /x", "monitor.textfile", "unknown key", "did you mean write?"),
    ],
)
def test_what_nothing_can_be_meant_by_is_refused_where_it_stands(
    tmp_path: Path, text: str, path: str, message: str, hint: str | None
) -> None:
    with pytest.raises(ConfigProblems) as caught:
        monitor(tmp_path, f"monitor:\n  {text}\n")
    problem = caught.value.problems[0]

    assert (problem.path, problem.message) == (path, message)
    assert hint is None or problem.hint == hint


def test_the_example_shows_the_defaults(tmp_path: Path) -> None:
    from pvectl.config.places import example_text

    assert monitor(tmp_path, example_text("pvectl.example.yml")) == Monitor()
