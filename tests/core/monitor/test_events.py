"""Tasks, replication, HA, Ceph and messages: what is told of them, and what is no news."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from pvectl.core.evidence import HaService
from pvectl.core.model import Unknown
from pvectl.core.monitor.monitored import (
    Ceph,
    CephCheck,
    Delivery,
    MonitorView,
    Remembered,
    TaskLog,
)
from tests.core.monitor import troubles
from tests.core.monitor.cluster import (
    NOW,
    ago,
    changed_node,
    found,
    judged,
    known,
    members,
    task,
)
from tests.core.monitor.troubles import WHOLE

HUNG = Unknown(reason="the node did not answer")
NO_DEVICE = known(None, "/cluster/config/qdevice")


@pytest.mark.parametrize(
    ("status", "severity"),
    [
        ("OK", "ok"),
        ("WARNINGS: 2", "ok"),
        ("got timeout", "critical"),
        ("unexpected status", "unknown"),
        (None, "unknown"),
    ],
)
def test_tasks(status: str | None, severity: str) -> None:
    assert judged(troubles.tasks(task("pve1", "vzdump", status=status)), "task.failed", "task/pve1/vzdump/all") == severity


def test_a_failure_that_was_made_good_is_none() -> None:
    bad, good = task("pve1", "qmstart", "100", status="failed", ended=300), task("pve1", "qmstart", "100", ended=200)

    assert judged(troubles.tasks(bad, good), "task.failed", "task/pve1/qmstart/100") == "ok"
    assert judged(troubles.tasks(good, bad), "task.failed", "task/pve1/qmstart/100") == "ok"
    assert judged(troubles.tasks(good, replace(bad, ended=good.ended)), "task.failed", "task/pve1/qmstart/100") == "warning"


def test_a_failed_task_is_an_event_of_its_own() -> None:
    bad = task("pve1", "vzdump", status="job errors")
    finding = found(troubles.tasks(bad), "task.failed", "task/pve1/vzdump/all")

    assert finding.key == bad.upid
    assert finding.since == ago(seconds=500)
    assert finding.hint == f"on pve1: pvenode task log {bad.upid}"


def test_a_console_that_was_closed_is_no_failure() -> None:
    closed = task("pve1", "vncproxy", "100", status="connection closed")

    assert judged(troubles.tasks(closed), "task.failed", "task/pve1/vncproxy/100") is None


def test_a_task_list_that_was_rotated_away_says_what_may_be_missing() -> None:
    view = changed_node(WHOLE, tasks=known(TaskLog(ended=(), gap_since=ago(hours=9)), "x"))

    finding = found(view, "task.failed", "node/pve1")
    assert finding.severity == "unknown"
    assert "failures since 2026-11-22 03:00 UTC may be missing" in finding.message


@pytest.mark.parametrize(
    ("told", "severity"),
    [
        ({"fail_count": 0}, "ok"),
        ({"fail_count": 1}, "warning"),
        ({"fail_count": 2}, "warning"),
        ({"fail_count": 3}, "critical"),
        ({"fail_count": 0, "error": "odd"}, "warning"),
        ({"fail_count": None}, "unknown"),
        ({"fail_count": 9, "disabled": True}, None),
    ],
)
def test_replications_that_fail(told: dict[str, int | str | bool | None], severity: str | None) -> None:
    assert judged(troubles.replica(**told), "replication.failed", "replication/101-0") == severity


@pytest.mark.parametrize(
    ("told", "severity"),
    [
        ({"last_sync": ago(minutes=30)}, "ok"),
        ({"last_sync": ago(minutes=30, seconds=1)}, "warning"),
        ({"last_sync": ago(minutes=30), "schedule": None}, "ok"),
        ({"last_sync": ago(hours=47), "schedule": "02:00"}, "ok"),
        ({"last_sync": ago(hours=49), "schedule": "02:00"}, "warning"),
        ({"last_sync": None, "never_ran": True, "next_sync": NOW + timedelta(minutes=10)}, "ok"),
        ({"last_sync": None, "never_ran": True, "next_sync": ago(minutes=31)}, "warning"),
        ({"last_sync": None, "never_ran": True, "next_sync": None}, "unknown"),
        ({"last_sync": None}, "unknown"),
        ({"schedule": "whenever"}, "unknown"),
        ({"last_sync": ago(days=9), "disabled": True}, None),
    ],
)
def test_replicas_that_are_old(told: dict[str, object], severity: str | None) -> None:
    assert judged(troubles.replica(**told), "replication.age", "replication/101-0") == severity


@pytest.mark.parametrize(
    ("state", "severity"),
    [("started", "ok"), ("stopped", "ok"), ("error", "critical"), ("fence", "critical"), ("recovery", "critical"), (None, "unknown")],
)
def test_ha_services(state: str | None, severity: str) -> None:
    assert judged(troubles.ha(services=(HaService(sid="vm:101", state=state),)), "ha.service", "ha/vm:101") == severity


def test_only_a_service_in_error_has_to_be_disabled_first() -> None:
    hints = {
        state: found(troubles.ha(services=(HaService(sid="vm:101", state=state),)), "ha.service", "ha/vm:101").hint
        for state in ("error", "fence")
    }

    assert hints == {"error": "ha-manager set vm:101 --state disabled, then mend it and set it to started", "fence": None}


@pytest.mark.parametrize(
    ("armed", "since", "severity"),
    [
        ("armed", None, "ok"),
        ("standby", None, "ok"),
        ("disarmed", None, "ok"),
        ("disarmed", ago(hours=2), "ok"),
        ("disarmed", ago(hours=2, seconds=1), "warning"),
        ("disarming", ago(hours=3), "warning"),
        (None, None, None),
    ],
)
def test_ha_left_disarmed(armed: str | None, since: object, severity: str | None) -> None:
    view = replace(troubles.ha(armed=armed), remembered=Remembered(disarmed_since=since))  # type: ignore[arg-type]

    assert judged(view, "ha.disarmed", "cluster") == severity


def test_the_ha_manager_of_an_offline_node_is_dead_because_of_that() -> None:
    dead = troubles.ha(lrm=(("pve2", "old timestamp - dead?"),))

    assert found(dead, "ha.manager", "ha/lrm/pve2").cause is None
    assert found(members(dead, pve2=False), "ha.manager", "ha/lrm/pve2").cause == "node.offline/node/pve2"


def test_an_ha_manager_that_cannot_be_read_is_not_fine() -> None:
    view = troubles.ha(lrm=(("pve2", "unable to read lrm status"),))

    assert judged(view, "ha.manager", "ha/lrm/pve2") == "unknown"


@pytest.mark.parametrize(
    ("view", "check", "object_"),
    [
        (troubles.ha(lrm=(("pve2", "asleep"),)), "ha.manager", "ha/lrm/pve2"),
        (troubles.ha(armed="loaded"), "ha.disarmed", "cluster"),
        (troubles.ha(services=(HaService(sid="vm:101", node="pve1", state="levitating"),)), "ha.service", "ha/vm:101"),
    ],
)
def test_a_word_of_the_ha_manager_that_nobody_knows_is_not_fine(view: MonitorView, check: str, object_: str) -> None:
    assert judged(view, check, object_) == "unknown"


@pytest.mark.parametrize("word", ["restart mode", "maintenance mode", "idle", "wait_for_agent_lock"])
def test_a_manager_that_has_nothing_to_do_is_alive(word: str) -> None:
    assert judged(troubles.ha(lrm=(("pve2", word),)), "ha.manager", "ha/lrm/pve2") == "ok"


def test_ha_that_was_never_used_has_no_manager_to_miss() -> None:
    assert judged(troubles.ha(manager=None, lrm=()), "ha.manager", "ha/manager") is None


@pytest.mark.parametrize(
    ("told", "object_", "severity"),
    [
        (Ceph(health="HEALTH_OK"), "ceph", "ok"),
        (Ceph(health="HEALTH_WARN"), "ceph", "warning"),
        (Ceph(health="HEALTH_ERR"), "ceph", "critical"),
        (Ceph(health="HEALTH_SOMETHING"), "ceph", "warning"),
        (Ceph(), "ceph", "unknown"),
        (None, "ceph", None),
        (Ceph(health="HEALTH_ERR", checks=(CephCheck(code="PG_DAMAGED", severity="HEALTH_ERR"),)), "ceph/PG_DAMAGED", "critical"),
        (Ceph(health="HEALTH_WARN", checks=(CephCheck(code="OSD_DOWN"),)), "ceph/OSD_DOWN", "warning"),
        (Ceph(health="HEALTH_OK", checks=(CephCheck(code="OSD_DOWN", muted=True),)), "ceph/OSD_DOWN", None),
        (Ceph(health="HEALTH_OK", checks=(CephCheck(code="OSD_DOWN", muted=True),)), "ceph", "ok"),
    ],
)
def test_ceph(told: Ceph | None, object_: str, severity: str | None) -> None:
    assert judged(replace(WHOLE, ceph=known(told, "/cluster/ceph/status")), "ceph.health", object_) == severity


@pytest.mark.parametrize(
    ("delivery", "severity"),
    [
        (None, None),
        (Delivery(), "ok"),
        (Delivery(oldest=ago(hours=1)), "ok"),
        (Delivery(oldest=ago(hours=1, seconds=1)), "critical"),
        (Delivery(dead=1), "critical"),
    ],
)
def test_messages(delivery: Delivery | None, severity: str | None) -> None:
    assert judged(replace(WHOLE, remembered=Remembered(delivery=delivery)), "self.delivery", "outbox") == severity
