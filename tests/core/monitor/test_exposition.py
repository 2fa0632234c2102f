"""The exposition, read back by Prometheus' own client library."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from pvectl.core.model import Unknown
from pvectl.core.monitor import exposition
from pvectl.core.monitor.checks.evaluation import evaluate
from pvectl.core.monitor.monitored import Delivery, Disk, Membership, MonitorView, Remembered, Subscription
from pvectl.core.monitor.series import Series, series, shown, written
from tests.core.monitor import troubles
from tests.core.monitor.cluster import EPOCH, GIB, NOW, ago, changed_node, known, members, relisted, relisted_node
from tests.core.monitor.troubles import SOME_QUICKLY, WHOLE, Trouble

HUNG = Unknown(reason="the node did not answer")
Labels = frozenset[tuple[str, str]]


def told(view: MonitorView = WHOLE, which: exposition.Which = "all") -> dict[str, dict[Labels, float]]:
    return read(exposition.text(evaluate(view), which=which))


def read(text: bytes) -> dict[str, dict[Labels, float]]:
    samples: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = frozenset(sample.labels.items())
            assert labels not in samples.setdefault(sample.name, {}), f"{sample.name} twice with {labels}"
            samples[sample.name][labels] = sample.value
    return samples


def at(**labels: str) -> Labels:
    return frozenset(labels.items())


@pytest.mark.parametrize("trouble", SOME_QUICKLY)
def test_every_exposition_is_read_whole(trouble: Trouble) -> None:
    told = exposition.text(evaluate(trouble.view, trouble.settings), took=1.5)

    text = told.decode()
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    assert sum(len(samples) for samples in read(told).values()) == len(lines)
    assert text.endswith("\n")
    assert "\n\n" not in text
    # node_exporter refuses a file with timestamps, and each name has one HELP and one TYPE
    assert all(re.fullmatch(r"[a-z_]+(\{.*\})? [^ ]+", line) for line in lines)
    heads = [line for line in text.split("\n") if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads)) == text.count("# HELP")


def test_the_exporters_names_and_labels() -> None:
    samples = told(relisted(WHOLE, lock="backup", netin=5, diskwrite=7))

    assert samples["pve_up"][at(id="node/pve1")] == 1
    assert samples["pve_up"][at(id="cluster/lab")] == 1
    assert samples["pve_up"][at(id="qemu/100")] == 1
    assert samples["pve_up"][at(id="lxc/200")] == 0
    assert samples["pve_up"][at(id="storage/pve1/nfs")] == 1
    assert at(id="node/pve1", level="", name="pve1", nodeid="1") in samples["pve_node_info"]
    assert at(id="cluster/lab", nodes="3", quorate="1", version="3") in samples["pve_cluster_info"]
    assert at(release="9.2", repoid="14a22df", version="9.2.11") in samples["pve_version_info"]
    assert at(id="qemu/100", node="pve1", name="web", type="qemu", template="0", tags="prod") in samples["pve_guest_info"]
    assert at(id="qemu/900", node="pve1", name="tpl", type="qemu", template="1", tags="") in samples["pve_guest_info"]
    info = at(id="storage/pve1/nfs", node="pve1", storage="nfs", plugintype="nfs", content="backup,images")
    assert info in samples["pve_storage_info"]
    assert samples["pve_storage_shared"][at(id="storage/pve1/nfs")] == 1
    assert samples["pve_qdevice_up"] == {at(id="cluster/lab"): 1}
    assert samples["pve_cpu_usage_ratio"][at(id="node/pve1")] == 0.2
    assert samples["pve_cpu_usage_limit"][at(id="qemu/100")] == 2
    assert samples["pve_memory_usage_bytes"][at(id="qemu/100")] == GIB
    assert samples["pve_memory_size_bytes"][at(id="node/pve1")] == 32 * GIB
    assert samples["pve_disk_usage_bytes"][at(id="storage/pve1/nfs")] == 650 * GIB
    assert samples["pve_disk_size_bytes"][at(id="storage/pve1/nfs")] == 1000 * GIB
    assert samples["pve_uptime_seconds"][at(id="node/pve1")] == 86400
    assert samples["pve_network_receive_bytes_total"] == {at(id="qemu/100"): 5}
    assert samples["pve_disk_written_bytes_total"] == {at(id="qemu/100"): 7}
    assert samples["pve_onboot_status"][at(id="qemu/100", node="pve1", type="qemu")] == 1
    assert samples["pve_ha_state"][at(id="qemu/101", state="started")] == 1
    assert samples["pve_ha_state"][at(id="qemu/101", state="error")] == 0
    assert samples["pve_lock_state"][at(id="qemu/100", state="backup")] == 1
    assert sum(samples["pve_lock_state"].values()) == 1
    both = told(relisted(relisted(WHOLE, lock="backup"), 101, lock="backup"))["pve_lock_state"]
    assert {dict(labels)["id"] for labels, value in both.items() if value} == {"qemu/100", "qemu/101"}
    assert samples["pve_not_backed_up_total"] == {at(id="cluster/lab"): 0}
    replication = at(id="101-0", type="local", source="node/pve1", target="node/pve2", guest="qemu/101")
    assert replication in samples["pve_replication_info"]
    assert samples["pve_replication_failed_syncs"] == {at(id="101-0"): 0}
    assert samples["pve_replication_duration_seconds"] == {at(id="101-0"): 3.2}
    assert samples["pve_replication_last_sync_timestamp_seconds"] == {at(id="101-0"): EPOCH - 600}
    assert samples["pve_subscription_status"][at(id="node/pve1", status="active")] == 1
    assert samples["pve_subscription_next_due_timestamp_seconds"][at(id="node/pve1")] == EPOCH + 200 * 86400


def test_pvectls_own_names() -> None:
    view = replace(troubles.snapshot(10), remembered=Remembered(delivery=Delivery(oldest=ago(minutes=1), dead=2)))
    samples = told(changed_node(view, clock=HUNG), which="own")

    assert samples["pvectl_check_status"][at(check="guest.snapshot_age", id="qemu/100")] == 1
    assert samples["pvectl_check_status"][at(check="node.cpu", id="node/pve1")] == 0
    assert samples["pvectl_check_status"][at(check="self.coverage", id="node/pve1")] == 3
    assert samples["pvectl_check_objects"][at(check="guest.snapshot_age", state="examined")] == 3
    assert samples["pvectl_check_objects"][at(check="node.clock", state="blind")] == 1
    assert samples["pvectl_check_objects"][at(check="guest.onboot_stopped", state="left_out")] == 1
    assert samples["pvectl_findings"] == {at(severity="warning"): 1, at(severity="critical"): 1, at(severity="unknown"): 1}
    assert samples["pvectl_source_up"][at(source="node-clock", id="node/pve1")] == 0
    assert samples["pvectl_source_up"][at(source="node-clock", id="node/pve2")] == 1
    assert samples["pvectl_source_age_seconds"][at(source="node-disks", id="node/pve2")] == 600
    assert samples["pvectl_certificate_not_after_timestamp_seconds"][at(node="pve1", file="pve-ssl.pem")] == EPOCH + 400 * 86400
    assert samples["pvectl_disk_life_remaining_ratio"][at(node="pve1", device="/dev/sda", serial="S-pve1")] == 0.97
    assert samples["pvectl_node_clock_offset_seconds"] == {at(id="node/pve2"): 0, at(id="node/pve3"): 0}
    assert samples["pvectl_backup_last_success_timestamp_seconds"][at(id="qemu/100")] == EPOCH - 36000
    assert samples["pvectl_outbox_oldest_seconds"] == {at(): 60}
    assert samples["pvectl_outbox_dead"] == {at(): 2}
    assert samples["pvectl_monitor_success"] == {at(cluster="lab"): 1}
    assert samples["pvectl_last_run_timestamp_seconds"] == {at(cluster="lab"): EPOCH}
    assert not [name for name in samples if name.startswith("pve_")]


def test_own_and_compatible_names_can_be_had_apart() -> None:
    own, compat = told(which="own"), told(which="compat")
    run = {"pvectl_monitor_success", "pvectl_last_run_timestamp_seconds"}

    assert {name for name in compat if name.startswith("pvectl_")} == run
    assert own.keys() | compat.keys() == told().keys()
    assert own.keys() & compat.keys() == run


def test_a_broken_backup_is_no_success() -> None:
    broken = troubles.backup(1, verified="failed")
    good, gone = troubles.backup(30), troubles.backup(9, vmid=777)
    view = troubles.backups(broken, good, replace(broken, made_at=None), replace(broken, vmid=None), gone)

    assert told(view)["pvectl_backup_last_success_timestamp_seconds"] == {at(id="qemu/100"): EPOCH - 30 * 3600}


def test_a_guest_that_does_not_run_has_no_stale_numbers() -> None:
    samples = told(relisted(WHOLE, status="stopped", cpu=0.7, uptime=5, netin=9))

    assert at(id="qemu/100") not in samples["pve_cpu_usage_ratio"]
    assert at(id="qemu/100") not in samples["pve_uptime_seconds"]
    assert "pve_network_receive_bytes_total" not in samples
    assert at(id="qemu/100") in samples["pve_memory_size_bytes"]


def test_a_state_nobody_knows_yet_is_told_all_the_same() -> None:
    samples = told(relisted(relisted_node(WHOLE, hastate="maintenance"), hastate="levitating"))

    assert samples["pve_ha_state"][at(id="qemu/100", state="levitating")] == 1
    assert samples["pve_ha_state"][at(id="node/pve1", state="maintenance")] == 1


@pytest.mark.parametrize("blind", ["resources", "membership"])
def test_a_blind_run_says_so_and_keeps_no_old_values(blind: str) -> None:
    samples = told(replace(WHOLE, **{blind: HUNG}))

    assert samples["pvectl_monitor_success"] == {at(cluster="lab"): 0}


def test_without_its_sources_a_family_is_not_there() -> None:
    names = set(told(MonitorView(taken_at=NOW)))

    assert not [name for name in names if name.startswith("pve_")]
    assert told(MonitorView(taken_at=NOW))["pvectl_monitor_success"] == {at(): 0}


def test_a_run_that_failed_leaves_nothing_but_that() -> None:
    assert read(exposition.failed(NOW, cluster="lab")) == {
        "pvectl_monitor_success": {at(cluster="lab"): 0},
        "pvectl_last_run_timestamp_seconds": {at(cluster="lab"): EPOCH},
    }


def test_a_single_host_has_no_cluster_row() -> None:
    alone = replace(WHOLE, membership=known(Membership(standalone=True), "x"), device=known(None, "x"))
    alone = replace(alone, uncovered=known(frozenset({100, 5}), "x"))
    samples = told(alone)

    assert "pve_cluster_info" not in samples
    assert samples["pve_not_backed_up_total"] == {at(id="cluster"): 2}
    assert samples["pve_not_backed_up_info"] == {at(id="qemu/100"): 1}
    assert at(id="cluster/lab") not in told(troubles.membership(quorate=None))["pve_up"]
    no_device = told(replace(WHOLE, device=known(None, "x")))
    assert "pve_qdevice_up" not in no_device
    assert at(id="node/pve1") not in told(members(WHOLE, pve1=None))["pve_up"]


def test_what_a_row_does_not_tell_is_left_out() -> None:
    view = changed_node(WHOLE, disks=known((Disk(path="/dev/sda"),), "x"), subscription=known(Subscription(), "x"), replication=HUNG)
    samples = told(replace(view, resources=HUNG, uncovered=HUNG, release=HUNG))

    assert at(node="pve1", device="/dev/sda", serial="") not in samples["pvectl_disk_life_remaining_ratio"]
    assert "pve_replication_info" not in samples
    assert "pve_not_backed_up_total" not in samples


HOSTILE = 'x"} 1\npve_up{id="evil"} 1 \\ \x1b[31m\u202e<b>|\x00'


def test_no_name_can_begin_another_line_or_leave_its_label() -> None:
    view = relisted(WHOLE, name=HOSTILE, tags=(HOSTILE,), pool=HOSTILE, node=HOSTILE, hastate=HOSTILE, lock=HOSTILE, type=HOSTILE)
    view = changed_node(view, disks=known((Disk(path=HOSTILE, serial=HOSTILE, life_left=0.1),), "x"))
    told = exposition.text(evaluate(view))

    text, samples = told.decode(), read(told)
    assert at(id="evil") not in samples["pve_up"]
    assert not [character for character in text if not character.isprintable() and character != "\n"]
    names = {dict(labels)["name"] for labels in samples["pve_guest_info"]}
    assert 'x"} 1\\x0apve_up{id="evil"} 1 \\ \\x1b[31m\\u202e<b>|\\x00' in names


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (0.5, "0.5"), (1e300, "1e+300"), (2**70, "1.1805916207174113e+21"), (-3.0, "-3"), (1e-7, "1e-07")]
)
def test_numbers_are_read_back_the_same(value: float, text: str) -> None:
    assert shown(value) == text
    assert float(text) == value


@pytest.mark.parametrize("many", [499, 500, 501, 1000, 1234])
def test_a_metric_of_many_lines_is_written_whole(many: int) -> None:
    lines = tuple(f'x{{id="qemu/{number}"}} 1' for number in range(many))

    text = written([Series(name="x", help="Many.", lines=lines)]).decode()

    assert text.split("\n") == ["# HELP x Many.", "# TYPE x gauge", *lines, ""]


def test_help_is_escaped_and_an_empty_family_is_left_out() -> None:
    labels: Mapping[str, str] = {"a": "b"}
    text = written([Series(name="one", help="a\\b\nc", lines=(series("one", labels, 1),)), Series(name="two", help="nothing")])

    assert text == b'# HELP one a\\\\b\\nc\n# TYPE one gauge\none{a="b"} 1\n'
