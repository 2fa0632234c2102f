"""The plugin's line, held against the guidelines and against nagiosplugin's own reading of ranges."""

from __future__ import annotations

import re

import nagiosplugin  # type: ignore[import-untyped]
import pytest
from msgspec.structs import replace

from pvectl.core.model import Storage, Unknown
from pvectl.core.monitor import nagios
from pvectl.core.monitor.checks.evaluation import Evaluation, evaluate
from pvectl.core.monitor.finding import Finding, Levels, Severity, Unit
from pvectl.core.monitor.monitored import MonitorView
from tests.core.monitor import troubles
from tests.core.monitor.cluster import NOW, guest, listing, members, relisted_node, relisted_storage
from tests.core.monitor.troubles import TROUBLES, WHOLE, Trouble

# 'label'=value[UOM];[warn];[crit];[min];[max], with quotes in the label doubled
DATUM = re.compile(r"'((?:[^'=]|'')+)'=(U|-?[0-9]+(?:\.[0-9]+)?)(s|%|B)?(?:;([^; ]*))?(?:;([^; ]*))?(?:;(-?[0-9.]*))?(?:;(-?[0-9.]*))?")
HUNG = Unknown(reason="the node did not answer")


def data(text: str) -> dict[str, tuple[str | None, ...]]:
    first = text.split("\n", maxsplit=1)[0]
    assert first.count("|") == 1
    told = first.split(" | ")[1]
    matches = list(DATUM.finditer(told))
    assert " ".join(match[0] for match in matches) == told
    return {match[1].replace("''", "'"): match.groups()[1:] for match in matches}


def test_a_fine_cluster_in_one_line() -> None:
    result = nagios.result(evaluate(WHOLE))

    assert result.status == 0
    assert result.text == "PVE OK - 118 examined, all fine | 'critical'=0;;;0 'warning'=0;;;0 'unknown'=0;;;0 'examined'=118;;;0"


def test_what_is_wrong_comes_first_and_the_details_follow() -> None:
    view = relisted_storage(relisted_node(members(WHOLE, pve2=False), "pve2", status="offline"), disk=850 * 2**30)
    result = nagios.result(evaluate(view))
    lines = result.text.split("\n")

    assert result.status == 2
    assert lines[0].startswith("PVE CRITICAL - 1 critical, 1 warning, 0 unknown: node pve2 is offline, storage nfs is 85% full | ")
    assert lines[1] == "[CRITICAL] node.offline/node/pve2: node pve2 is offline"
    assert lines[2:] == ["[WARNING] storage.usage/storage/nfs: storage nfs is 85% full"]
    assert data(result.text)["nfs usage"] == ("85", "%", "80", "95", "0", "100")


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_every_verdict_has_its_status_and_reads_back(trouble: Trouble) -> None:
    evaluation = evaluate(trouble.view, trouble.settings)
    result = nagios.result(evaluation, perfdata="all")

    assert result.status == {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}[evaluation.severity]
    assert len(result.text.split("\n")[0].split(" | ")[0]) <= 220
    told = data(result.text)
    labels = [label[:19] for label in told]
    assert len(labels) == len(set(labels)) == 4 + len([each for each in evaluation.findings if each.value is not None])


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
def test_the_ranges_say_what_the_severity_says(trouble: Trouble) -> None:
    evaluation = evaluate(trouble.view, trouble.settings)
    for finding in evaluation.findings:
        if finding.value is not None:
            assert by_ranges(finding) == finding.severity, finding


def by_ranges(finding: Finding) -> str:
    lone = Evaluation(taken_at=NOW, view=WHOLE, findings=(finding,), verdicts=())
    value, _uom, warn, crit, *_ends = list(data(nagios.result(lone, perfdata="all").text).values())[-1]
    assert value is not None
    if crit and not nagiosplugin.Range(crit).match(float(value)):
        return "critical"
    return "warning" if warn and not nagiosplugin.Range(warn).match(float(value)) else "ok"


@pytest.mark.parametrize(
    ("value", "unit", "falling", "datum"),
    [
        (0.5, Unit.RATIO, False, "50%;10;20;0;100"),
        (1e-9, Unit.SECONDS, False, "0s;0.1;0.2"),
        (-0.0, Unit.SECONDS, False, "0s;0.1;0.2"),
        (1e20, Unit.BYTES, False, "100000000000000000000B;0.1;0.2;0"),
        (2, Unit.COUNT, False, "2;-0.9;-0.8"),
        (-1, Unit.DAYS, True, "-1;@~:0.1;@~:0.2"),
        (float("inf"), Unit.DAYS, True, "U;@~:0.1;@~:0.2"),
        (float("nan"), Unit.RATIO, False, "U;10;20;0;100"),
    ],
)
def test_numbers_are_plain(value: float, unit: Unit, falling: bool, datum: str) -> None:
    levels = Levels(warn=0.1, crit=0.2)
    finding = Finding(
        check="a.b", object="x/y", severity=Severity.WARNING, message="m", value=value, unit=unit, levels=levels, falling=falling
    )
    text = nagios.result(Evaluation(taken_at=NOW, view=WHOLE, findings=(finding,), verdicts=())).text

    assert text.split("\n")[0].endswith(f" 'y b'={datum}")


def test_a_value_without_levels_has_no_ranges() -> None:
    finding = Finding(check="a.b", object="cluster", severity=Severity.WARNING, message="m", value=1)
    text = nagios.result(Evaluation(taken_at=NOW, view=WHOLE, findings=(finding, finding), verdicts=())).text

    assert text.split("\n")[0].endswith(" 'cluster b'=1")


def test_long_labels_are_cut_but_stay_apart() -> None:
    full = (replace(each, storage=f"a-very-long-name-{number}", shared=True, maxdisk=10, disk=9) for number, each in enumerate(storages()))
    view = listing(WHOLE, storages=tuple(full))
    labels = [label for label in data(nagios.result(evaluate(view)).text) if "~" in label]

    assert len(labels) == 6
    assert all(len(label) == 19 for label in labels)


def storages() -> tuple[Storage, ...]:
    assert not isinstance(WHOLE.resources, Unknown)
    return WHOLE.resources.value.storages


@pytest.mark.parametrize(("perfdata", "bar"), [("none", 0), ("top", 1), ("all", 1)])
def test_performance_data_can_be_left_out(perfdata: nagios.Perfdata, bar: int) -> None:
    assert nagios.result(evaluate(WHOLE), perfdata=perfdata).text.count("|") == bar


@pytest.mark.parametrize(("unknown_as", "status"), [(Severity.UNKNOWN, 3), (Severity.OK, 0), (Severity.WARNING, 1), (Severity.CRITICAL, 2)])
def test_blind_is_unknown_unless_the_admin_says_otherwise(unknown_as: Severity, status: int) -> None:
    dark = evaluate(replace(WHOLE, ceph=HUNG))

    assert nagios.result(dark, unknown_as=unknown_as).status == status


def test_a_run_that_saw_nothing_is_never_ok() -> None:
    nothing = evaluate(MonitorView(taken_at=NOW))

    assert nagios.result(nothing).status == 3
    assert nagios.result(nothing, unknown_as=Severity.OK).status == 3
    assert "nothing could be examined" in nagios.result(evaluate(WHOLE, only=("no.such",))).text


def test_any_failure_of_pvectl_is_three_in_one_line() -> None:
    result = nagios.failure("no host answered | at\nall\x1b[31m")

    assert result.status == 3
    assert result.text == "PVE UNKNOWN - no host answered / at\\x0aall\\x1b[31m"


def test_many_findings_are_counted_not_listed() -> None:
    lines = with_old_snapshots(300)
    assert len(lines[0]) <= 200
    assert re.search(r"\(\+29\d more\)$", lines[0])
    assert len(lines) == 202
    assert lines[-1] == "and 100 more"

    assert len(with_old_snapshots(200)) == 201


def with_old_snapshots(count: int) -> list[str]:
    guests = tuple(guest(vmid) for vmid in range(1000, 1000 + count))
    facts = {each.vmid: replace(troubles.snapshot(40).guests[100], vmid=each.vmid) for each in guests}
    view = replace(listing(WHOLE, guests=guests), guests=facts)
    return nagios.result(evaluate(view, only=("guest.snapshot_age",)), perfdata="none").text.split("\n")


def test_one_endless_message_is_cut() -> None:
    view = replace(troubles.replica(fail_count=3, error="x" * 5000))
    first = nagios.result(evaluate(view), perfdata="none").text.split("\n")[0]

    assert len(first) <= 200
    assert first.endswith("x…")
