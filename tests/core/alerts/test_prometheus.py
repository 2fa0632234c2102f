"""The rule file for Prometheus: the same rules, read back by a YAML parser."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from pvectl.core.alerts.prometheus import rule_file
from pvectl.core.alerts.rules import Rule, Rules
from pvectl.core.monitor.checks.registry import CHECKS, IDS
from tests.core.alerts.runs import RULES


def alerts(rules: Rules) -> list[dict[str, Any]]:
    groups = yaml.load(rule_file(rules), Loader=yaml.CSafeLoader)["groups"]
    assert len(groups) == 1
    read: list[dict[str, Any]] = groups[0]["rules"]
    return read


def of(rules: Rules, check: str) -> list[dict[str, Any]]:
    return [each for each in alerts(rules) if f'check="{check}"' in each["expr"]]


def test_every_check_has_its_rules_and_holds_as_long_as_here() -> None:
    named = [match[1] for each in alerts(RULES) if (match := re.search(r'check="([^"]*)"', each["expr"]))]
    assert {check: named.count(check) for check in IDS} == {check: 2 if check in CHECKS else 1 for check in IDS}
    critical, warning = of(RULES, "node.offline")
    assert critical == {
        "alert": "PvectlNodeOffline",
        "expr": 'pvectl_check_status{check="node.offline"} == 2',
        "for": "120s",
        "keep_firing_for": "300s",
        "labels": {"severity": "critical", "rule": "default"},
        "annotations": {"summary": "{{ $labels.id }}: not so that the node is there (node.offline)"},
    }
    assert warning["expr"].endswith("== 1")
    assert "for" not in of(RULES, "disk.smart")[0]
    assert of(RULES, "self.coverage")[0]["expr"].endswith("== 3")
    assert of(RULES, "self.coverage")[0]["for"] == "600s"


def test_that_pvectl_itself_is_silent_or_blind_is_told_too() -> None:
    blind, silent, absent = alerts(RULES)[:3]
    assert blind["expr"] == 'pvectl_monitor_success{cluster="lab"} == 0'
    assert silent["expr"] == 'time() - pvectl_last_run_timestamp_seconds{cluster="lab"} > 900'
    assert absent["expr"] == 'absent(pvectl_last_run_timestamp_seconds{cluster="lab"})'
    assert alerts(Rules())[0]["expr"] == "pvectl_monitor_success == 0"


def test_an_earlier_rule_takes_its_objects_out_of_the_later_ones() -> None:
    rules = Rules(rules=(Rule(name="vm", checks=("backup.age",), object="guest/1?0", receivers=("pager",), hold=0, keep_firing_for=0),))
    first = of(rules, "backup.age")
    assert [each["labels"]["rule"] for each in first] == ["vm", "vm", "default", "default"]
    assert first[0]["labels"] == {"severity": "critical", "rule": "vm", "receivers": "pager"}
    assert not {"for", "keep_firing_for"} & set(first[0])
    pattern = re.search(r'id=~"([^"]*)"', first[0]["expr"])
    assert pattern is not None
    assert [bool(re.fullmatch(pattern[1], each)) for each in ("qemu/110", "lxc/100", "qemu/1100", "guest/110")] == [
        True,
        True,
        False,
        False,
    ]
    assert f'id!~"{pattern[1]}"' in first[2]["expr"]


def test_a_rule_for_all_objects_leaves_nothing_to_the_later_ones() -> None:
    rules = Rules(rules=(Rule(checks=("backup.age",), severity="critical"), Rule(checks=("zfs.*",), receivers=())))
    found = of(rules, "backup.age")
    assert [(each["labels"]["rule"], each["labels"]["severity"]) for each in found] == [("rule 1", "critical"), ("default", "warning")]
    assert of(rules, "zfs.cap") == []
    assert "# rule 2: nobody is told" in rule_file(rules)


@pytest.mark.parametrize("matcher", ["tag", "pool", "node"])
def test_what_the_metrics_do_not_know_is_said_and_left_out(matcher: str) -> None:
    rules = Rules(rules=(Rule(name="lab\nonly", receivers=("x",), **{matcher: "lab"}),))  # type: ignore[arg-type]
    assert f"# lab only: left out, the metrics have no {matcher}" in rule_file(rules)
    assert len(of(rules, "backup.age")) == 2


@pytest.mark.parametrize(
    ("pattern", "fits", "not_"),
    [
        ("storage/*", "storage/nfs", "disk/nfs"),
        ("disk/sd[ab]", "disk/sda", "disk/sdc"),
        ("disk/sd[!a]", "disk/sdb", "disk/sda"),
        ("a[", "a[", "ab"),
    ],
)
def test_wildcards_become_expressions_prometheus_knows(pattern: str, fits: str, not_: str) -> None:
    (found, *_rest) = of(Rules(rules=(Rule(checks=("storage.usage",), object=pattern),)), "storage.usage")
    expression = re.search(r'id=~("(?:[^"\\]|\\.)*")', found["expr"])
    assert expression is not None
    matcher = yaml.safe_load(expression[1])
    assert re.fullmatch(matcher, fits)
    assert not re.fullmatch(matcher, not_)
    assert "(?" not in matcher
