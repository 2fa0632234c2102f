"""Which levels apply to whom: defaults, overrides by id, tag, pool and node, what is switched off, and who is exempt."""

from __future__ import annotations

import pytest
from msgspec.json import schema
from msgspec.structs import fields, replace

from pvectl.core.monitor.checks.evaluation import evaluate
from pvectl.core.monitor.checks.registry import CHECKS, IDS, chosen, unmatched, wanted
from pvectl.core.monitor.checks.settings import MonitorSettings, Override, Thresholds
from pvectl.core.monitor.checks.sources import SOURCES
from pvectl.core.monitor.finding import Levels, Severity, worst
from tests.core.monitor import troubles
from tests.core.monitor.cluster import found, judged, relisted, relisted_node, relisted_storage
from tests.core.monitor.troubles import WHOLE

OLD_SNAPSHOT = troubles.snapshot(10)


@pytest.mark.parametrize(
    "override",
    [
        Override(object="guest/100"),
        Override(object="guest/1*"),
        Override(tag="prod"),
        Override(tag="PROD"),
        Override(node="pve1"),
        Override(check="guest.snapshot_age"),
        Override(check="guest.*", tag="prod", node="pve1"),
    ],
)
def test_an_override_reaches_whom_it_names(override: Override) -> None:
    settings = MonitorSettings(overrides=(replace(override, warn=20 * 86400.0),))

    assert judged(OLD_SNAPSHOT, "guest.snapshot_age", "guest/100", settings) == "ok"


@pytest.mark.parametrize(
    "override",
    [
        Override(object="guest/101"),
        Override(tag="lab"),
        Override(pool="core"),
        Override(node="pve2"),
        Override(check="backup.*"),
        Override(tag="prod", node="pve2"),
    ],
)
def test_an_override_reaches_nobody_else(override: Override) -> None:
    settings = MonitorSettings(overrides=(replace(override, enabled=False),))

    assert judged(OLD_SNAPSHOT, "guest.snapshot_age", "guest/100", settings) == "warning"


def test_pools_are_known_from_both_sides() -> None:
    settings = MonitorSettings(overrides=(Override(pool="core", enabled=False),))
    view = relisted(WHOLE, 101, pool=None)

    assert judged(WHOLE, "guest.lock_age", "guest/101", settings) is None
    assert judged(view, "guest.lock_age", "guest/101", settings) is None


def test_the_last_override_that_fits_wins() -> None:
    first, second = Override(check="node.cpu", warn=0.1), Override(check="node.cpu", node="pve1", warn=0.5)

    assert judged(WHOLE, "node.cpu", "node/pve1", MonitorSettings(overrides=(first, second))) == "ok"
    assert judged(WHOLE, "node.cpu", "node/pve2", MonitorSettings(overrides=(first, second))) == "warning"
    assert judged(WHOLE, "node.cpu", "node/pve1", MonitorSettings(overrides=(second, first))) == "warning"


def test_a_level_that_moves_takes_its_end_with_it() -> None:
    settings = MonitorSettings(overrides=(Override(check="storage.usage", warn=0.5),))
    levels = found(WHOLE, "storage.usage", "storage/nfs", settings).levels
    assert levels == Levels(warn=0.5, crit=0.95, clear_crit=0.90)

    settings = MonitorSettings(overrides=(Override(check="storage.usage", crit=0.99, clear=0.7),))
    levels = found(WHOLE, "storage.usage", "storage/nfs", settings).levels
    assert levels == Levels(warn=0.80, crit=0.99, clear=0.7)


def test_checks_and_single_findings_can_be_switched_off() -> None:
    busy = relisted_node(WHOLE, cpu=0.99)

    assert judged(busy, "node.cpu", "node/pve1", MonitorSettings(disable=("node.cpu",))) is None
    assert judged(busy, "node.cpu", "node/pve1", MonitorSettings(disable=("node.*",))) is None
    assert judged(busy, "node.cpu", "node/pve1", MonitorSettings(disable=("node.cpu/node/pve1",))) is None
    assert judged(busy, "node.cpu", "node/pve1", MonitorSettings(disable=("*/node/pve2",))) == "critical"


def test_what_is_off_by_default_is_off_until_asked_for() -> None:
    view = troubles.subscription("active", 5)

    assert judged(view, "node.subscription", "node/pve1", MonitorSettings()) is None
    assert judged(view, "node.subscription", "node/pve1", MonitorSettings(enable=("node.subscription",))) == "critical"
    only_there = MonitorSettings(overrides=(Override(check="node.subscription", node="pve1", enabled=True),))
    assert judged(view, "node.subscription", "node/pve1", only_there) == "critical"
    assert judged(view, "node.subscription", "node/pve2", only_there) is None
    elsewhere = MonitorSettings(overrides=(Override(check="node.subscription", node="pve1", enabled=False),))
    assert judged(view, "node.subscription", "node/pve1", elsewhere) is None


def test_guests_can_be_compared_where_an_override_gives_a_level() -> None:
    settings = MonitorSettings(overrides=(Override(check="guest.cpu", tag="prod", warn=0.5),))
    view = relisted(relisted(WHOLE, cpu=0.9), 101, cpu=0.9)

    assert judged(view, "guest.cpu", "guest/100", settings) == "warning"
    assert judged(view, "guest.cpu", "guest/101", settings) is None


def test_exempting_tags_are_the_admins_choice() -> None:
    settings = MonitorSettings(exempt_tags={"guest.snapshot_age": ("Prod",)})

    assert judged(OLD_SNAPSHOT, "guest.snapshot_age", "guest/100", settings) is None
    assert judged(OLD_SNAPSHOT, "guest.snapshot_age", "guest/100", MonitorSettings(exempt_tags={})) == "warning"


def test_a_blind_spot_can_be_left_out_too() -> None:
    dark = replace(WHOLE, ceph=troubles.NO_CEPH_ANSWER)

    assert evaluate(dark).counts.unknown == 1
    assert evaluate(dark, MonitorSettings(disable=("ceph.health",))).counts.unknown == 0
    # without the finding that explains it, what follows from it counts for itself
    left = evaluate(dark, MonitorSettings(disable=("self.coverage",)))
    assert [each.id for each in left.own if each.severity is Severity.UNKNOWN] == ["ceph.health/ceph"]


def test_only_some_checks_are_made() -> None:
    assert [check.id for check in chosen(("node.c*", "ceph.health"))] == ["node.cpu", "node.clock", "node.cert", "ceph.health"]
    assert len(chosen()) == len(CHECKS) == len(IDS) - 1


def test_a_misspelt_check_is_found_out() -> None:
    patterns = ("node.cpu", "nodes.*", "*/node/pve3", "storage.usage/storage/nfs", "self.coverage", "zfs", "zfs.*")

    assert unmatched(patterns) == ("nodes.*", "zfs")


def test_only_what_the_checks_need_is_wanted() -> None:
    assert wanted(MonitorSettings()) == set(SOURCES) - {"node-updates", "node-subscription", "release"}
    assert wanted(MonitorSettings(enable=("node.updates",))) >= {"node-updates"}
    assert wanted(MonitorSettings(), ("ceph.*",)) == {"ceph", "rights", "sight", "resources", "membership"}
    assert "guest-snapshots" not in wanted(MonitorSettings(disable=("guest.*",)))


def test_every_level_has_its_check_and_its_sentence() -> None:
    levels = {field.encode_name for field in fields(Thresholds)}
    measuring = {check.id for check in CHECKS.values() if check.unit is not None}

    assert levels == measuring | {"backup.floor"}
    described = schema(MonitorSettings)["$defs"]
    assert all("description" in each for each in described["Thresholds"]["properties"].values())
    assert all("description" in each for each in described["MonitorSettings"]["properties"].values())


def test_a_check_that_does_not_measure_has_no_levels() -> None:
    assert Thresholds().of("zfs.health") == Levels()


@pytest.mark.parametrize(
    ("found_", "unknown_as", "verdict"),
    [
        ((), Severity.UNKNOWN, Severity.OK),
        ((Severity.OK, Severity.UNKNOWN), Severity.UNKNOWN, Severity.UNKNOWN),
        ((Severity.WARNING, Severity.UNKNOWN), Severity.UNKNOWN, Severity.WARNING),
        ((Severity.WARNING, Severity.CRITICAL, Severity.UNKNOWN), Severity.UNKNOWN, Severity.CRITICAL),
        ((Severity.WARNING, Severity.UNKNOWN), Severity.CRITICAL, Severity.CRITICAL),
        ((Severity.UNKNOWN,), Severity.OK, Severity.OK),
    ],
)
def test_the_worst_comes_first(found_: tuple[Severity, ...], unknown_as: Severity, verdict: Severity) -> None:
    assert worst(found_, unknown_as=unknown_as) is verdict


def test_findings_are_told_worst_first() -> None:
    view = relisted_storage(relisted_node(troubles.snapshot(10), cpu=0.99), disk=1, maxdisk=None)
    severities = [each.severity for each in evaluate(view).findings]

    assert severities == sorted(severities, key=["critical", "warning", "unknown", "ok"].index)
    assert {"critical", "warning", "unknown", "ok"} == set(severities)


def test_an_object_the_check_is_not_about_has_no_severity() -> None:
    evaluation = evaluate(WHOLE, only=("ceph.health",))

    assert evaluation.severity_of("ceph.health", "node/pve1") is None
    assert evaluation.severity_of("node.cpu", "node/pve1") is None
