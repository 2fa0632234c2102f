"""What Prometheus itself makes of what pvectl writes for it: its own tool reads the metrics and plays the exported rules over them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.cli.conftest import Connect
from tests.support.commands import Home

PROMTOOL = shutil.which("promtool")
CLUSTER: dict[str, Any] = {
    "name": "lab",
    "nodes": {"pve1": {}, "pve2": {"services": {"pvestatd": "failed"}}},
    "guests": [
        {"vmid": 100, "type": "qemu", "node": "pve1", "name": "db", "status": "running", "tags": "prod"},
        {"vmid": 200, "type": "lxc", "node": "pve2", "name": "dns", "status": "running", "onboot": 1},
    ],
    "storages": [{"name": "nas", "type": "nfs", "shared": 1, "content": "images", "used": 490 * 2**30}],
    "backup_jobs": [{"id": "nightly", "all": 1, "schedule": "21:00"}],
}
IDS = {"guest/100": "qemu/100", "guest/200": "lxc/200"}
RULES = """
alert:
  receivers:
    ops: {type: sendmail, from: root@example.org, to: [root]}
  rules:
    - {name: vm, checks: ["backup.*"], object: "guest/1?0", for: 0s, receivers: [ops]}
    - {name: nas, checks: ["storage.*"], object: "storage/n[!x]*", severity: critical}
"""
ENDS = 7_200
"""Seconds: later than what waits longest has waited."""
LIKE_THE_EXPORTER = 'pve_not_backed_up_total non-counter metrics should not have "_total" suffix'

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROMTOOL is None and not os.environ.get("CI"), reason="promtool is not installed: apt-get install prometheus"),
]


def promtool(*words: str, given: str = "", folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None, "promtool is not installed, and CI must have it"
    return subprocess.run([PROMTOOL, *words], input=given, capture_output=True, text=True, timeout=60, check=False, cwd=folder)


@pytest.fixture
def home(lab: Connect) -> Home:
    home, _server = lab(CLUSTER)
    home.write("pvectl.yml", RULES)
    return home


def exported(home: Home, folder: Path) -> list[dict[str, Any]]:
    """The rules of the file that is written into this folder."""
    text = home.pvectl("alert", "export", "prometheus").out
    (folder / "rules.yml").write_text(text)
    (group,) = yaml.safe_load(text)["groups"]
    return list(group["rules"])


def played(folder: Path, rules: list[dict[str, Any]], series: dict[str, str], fires: dict[str, list[dict[str, Any]]], *, at: int) -> None:
    """Play the rules over these series, one value a minute from time 0: exactly these alerts fire at a time, in seconds."""
    expected = [
        {"eval_time": f"{at}s", "alertname": name, "exp_alerts": fires.get(name, [])} for name in sorted({each["alert"] for each in rules})
    ]
    test = {"interval": "1m", "input_series": [{"series": name, "values": values} for name, values in series.items()]}
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [{**test, "alert_rule_test": expected}]}
    (folder / "play.yml").write_text(yaml.safe_dump(document))
    ended = promtool("test", "rules", "play.yml", folder=folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def statuses(exposition: str) -> dict[str, str]:
    """Each status as it is, for as long as the play takes."""
    (family,) = [each for each in text_string_to_metric_families(exposition) if each.name == "pvectl_check_status"]
    written = {f'{{check="{one.labels["check"]}",id="{one.labels["id"]}"}}': one.value for one in family.samples}
    return {f"pvectl_check_status{labels}": f"{value:.0f}+0x{ENDS // 60}" for labels, value in written.items()}


ALIVE = {
    'pvectl_monitor_success{cluster="lab"}': f"1+0x{ENDS // 60}",
    'pvectl_last_run_timestamp_seconds{cluster="lab"}': f"0+60x{ENDS // 60}",
}


def test_the_metrics_are_as_prometheus_wants_them(home: Home) -> None:
    told = promtool("check", "metrics", given=home.pvectl("monitor", "-o", "prometheus").out)
    assert (told.stdout + told.stderr).splitlines() == [LIKE_THE_EXPORTER]


def test_the_rules_are_as_prometheus_wants_them(home: Home, tmp_path: Path) -> None:
    exported(home, tmp_path)
    told = promtool("check", "rules", "--lint=all", "--lint-fatal", "rules.yml", folder=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr


def test_what_the_monitor_found_fires_once_under_the_rule_it_belongs_to(home: Home, tmp_path: Path) -> None:
    rules = exported(home, tmp_path)
    titles = {(each["alert"], each["labels"].get("rule")): each["annotations"]["summary"] for each in rules}
    findings = home.pvectl("monitor", "-o", "json").json["data"]["checks"]
    fires: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for finding in findings:
        check, object_, severity = finding["check"], finding["object"], finding["status"]
        rule, receivers = "default", {}
        if check.startswith("backup.") and object_ == "guest/100":
            rule, receivers = "vm", {"receivers": "ops"}
        elif check.startswith("storage.") and object_.startswith("storage/nas") and severity == "critical":
            rule = "nas"
        if severity == "ok" or (severity == "unknown" and check != "self.coverage"):
            continue
        seen_as = "warning" if severity == "unknown" else severity
        name = "Pvectl" + "".join(word.capitalize() for word in check.replace(".", "_").split("_"))
        id_ = IDS.get(object_, object_)
        fires[name].append(
            {
                "exp_labels": {"check": check, "id": id_, "severity": seen_as, "rule": rule, **receivers},
                "exp_annotations": {"summary": titles[name, rule].replace("{{ $labels.id }}", id_)},
            }
        )
    assert {alert["exp_labels"]["rule"] for alerts in fires.values() for alert in alerts} == {"vm", "nas", "default"}
    played(tmp_path, rules, statuses(home.pvectl("monitor", "-o", "prometheus").out) | ALIVE, fires, at=ENDS)


@pytest.mark.parametrize(
    ("series", "at", "fires"),
    [
        (ALIVE, ENDS, None),
        ({}, 14 * 60, None),
        ({}, 15 * 60, ("PvectlAbsent", "Prometheus sees nothing of pvectl")),
        ({**ALIVE, 'pvectl_last_run_timestamp_seconds{cluster="lab"}': "0+0x60"}, 15 * 60, None),
        (
            {**ALIVE, 'pvectl_last_run_timestamp_seconds{cluster="lab"}': "0+0x60"},
            16 * 60,
            ("PvectlSilent", "pvectl has not looked for 15 minutes"),
        ),
        ({**ALIVE, 'pvectl_monitor_success{cluster="lab"}': "0+0x60"}, 4 * 60, None),
        ({**ALIVE, 'pvectl_monitor_success{cluster="lab"}': "0+0x60"}, 5 * 60, ("PvectlBlind", "pvectl could not see the cluster")),
    ],
)
def test_that_nobody_looks_any_more_is_told_and_not_too_early(
    home: Home, tmp_path: Path, series: dict[str, str], at: int, fires: tuple[str, str] | None
) -> None:
    expected = (
        {fires[0]: [{"exp_labels": {"cluster": "lab", "severity": "critical"}, "exp_annotations": {"summary": fires[1]}}]} if fires else {}
    )
    played(tmp_path, exported(home, tmp_path), series, expected, at=at)
