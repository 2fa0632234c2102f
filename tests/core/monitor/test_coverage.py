"""Green because checked: what a token may not see is unknown, named, and comes with the line that opens it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec.json
import pytest
from msgspec.structs import replace

from pvectl.core.model import BlindSpot, Unknown
from pvectl.core.monitor import coverage
from pvectl.core.monitor.checks import sources
from pvectl.core.monitor.checks.evaluation import evaluate
from pvectl.core.monitor.checks.sources import SOURCES, lacking, mends_of
from pvectl.core.monitor.checks.spoken import spoken, spoken_together
from pvectl.core.monitor.coverage import Row
from pvectl.core.monitor.finding import Finding, Severity
from pvectl.core.monitor.monitored import NOT_ASKED, GuestFacts, MonitorView, readings
from pvectl.core.permits import Rights
from tests.core.monitor.cluster import AUDITOR, BACKUP_SIGHT, EVERYTHING, PATHS, changed_guest, changed_node, found, judged, known
from tests.core.monitor.troubles import TROUBLES, WHOLE

HUNG = Unknown(reason="the node did not answer", source="/some/path")
ALL_AUDITOR = dict.fromkeys(PATHS, AUDITOR)


def with_rights(rights: Mapping[str, Rights], view: MonitorView = WHOLE) -> MonitorView:
    return replace(view, rights=known(rights, "/access/permissions"))


def self_coverage(view: MonitorView, object_: str) -> Finding:
    return next(each for each in evaluate(view).findings if each.id == f"self.coverage/{object_}")


def row(view: MonitorView, check: str) -> Row:
    return next(row for row in coverage.rows(evaluate(view, EVERYTHING)) if row.check == check)


def without(privilege: str, path: str) -> dict[str, Rights]:
    whole: dict[str, Rights] = dict.fromkeys(PATHS, BACKUP_SIGHT)
    return {**whole, path: {held: on for held, on in BACKUP_SIGHT.items() if held != privilege}}


def test_everything_seen_is_covered_without_a_reason() -> None:
    rows = coverage.rows(evaluate(WHOLE, EVERYTHING))

    assert all(row.examined == row.eligible and not row.lacks and not row.reasons and row.whole for row in rows)
    assert {row.check for row in rows if not row.on} == {"guest.cpu", "guest.mem"}


@pytest.mark.parametrize(
    ("privilege", "path", "check", "object_"),
    [
        # each of these answers 200 with less in it
        ("VM.Audit", "/vms", "backup.uncovered", "guest/100"),
        ("Sys.Audit", "/", "guest.lock_orphan", "guest/100"),
        ("Sys.Audit", "/nodes/pve1", "task.failed", "task/pve1/qmstart/100"),
        ("Datastore.Audit", "/storage", "storage.inactive", "storage/pve1/nfs"),
        ("VM.Backup", "/vms", "backup.verify", "guest/100"),
        ("Datastore.AllocateSpace", "/storage/nfs", "backup.verify", "guest/100"),
    ],
)
def test_an_answer_that_may_have_been_shortened_is_no_answer(privilege: str, path: str, check: str, object_: str) -> None:
    rights = without(privilege, path)
    if path == "/storage":
        rights["/storage"] = {"Pool.Audit": True}
    # a guest has to be locked for the task behind it to matter
    view = with_rights(rights, TROUBLES["orphan lock"].view)

    assert judged(view, check, object_) != "ok"
    told = row(view, check)
    assert told.blind > 0
    assert any(privilege in lack for lack in told.lacks)
    assert any("pveum acl modify" in line for line in told.mends)


def test_a_healthy_cluster_is_not_called_healthy_by_a_blind_token() -> None:
    view = with_rights({})

    assert evaluate(view).severity is Severity.UNKNOWN
    assert evaluate(replace(WHOLE, rights=HUNG)).severity is Severity.UNKNOWN


def test_an_auditor_sees_all_but_the_backups_themselves() -> None:
    evaluation = evaluate(with_rights(ALL_AUDITOR))
    blind = [each for each in evaluation.own if each.severity is Severity.UNKNOWN]

    assert [each.id for each in blind] == ["self.coverage/storage/nfs"]
    assert blind[0].hint == (
        'pveum role add PvectlMonitorMore --privs "Datastore.AllocateSpace VM.Backup VM.Audit Sys.Audit Datastore.Audit" && '
        "pveum acl modify /storage/nfs --users pvectl@pve --roles PvectlMonitorMore && "
        "pveum acl modify /storage/nfs --tokens 'pvectl@pve!mon' --roles PvectlMonitorMore && "
        "pveum acl modify /vms --users pvectl@pve --roles PvectlMonitorMore && "
        "pveum acl modify /vms --tokens 'pvectl@pve!mon' --roles PvectlMonitorMore"
    )
    # a young backup that is seen proves itself; that there is no broken one is what nobody knows
    assert row(with_rights(ALL_AUDITOR), "backup.verify").blind == 3


def test_a_store_keeper_needs_nothing_more() -> None:
    rights = {**ALL_AUDITOR, "/storage/nfs": {**AUDITOR, "Datastore.Allocate": True}}

    assert evaluate(with_rights(rights)).severity is Severity.OK


def test_blind_spots_of_the_proof_of_completeness_are_told() -> None:
    spot = BlindSpot(subject="guest/104", reason="an access rule on /vms/104 takes VM.Audit away", mend="pveum one && pveum two")
    view = replace(WHOLE, sight=known((spot,), "/access/acl"))
    finding = self_coverage(view, "guest/104")

    assert (finding.severity, finding.message, finding.hint) == ("unknown", spot.reason, spot.mend)
    assert evaluate(view).severity is Severity.UNKNOWN
    assert not row(view, "guest.lock_age").whole
    assert row(view, "node.cpu").whole


def test_sight_that_is_not_proven_is_told() -> None:
    view = replace(WHOLE, sight=HUNG)

    assert "whether all guests are seen is not proven: the node did not answer" in self_coverage(view, "cluster").message
    assert not row(view, "backup.age").whole


def test_storages_a_token_may_not_see_are_told() -> None:
    view = with_rights({**ALL_AUDITOR, "/storage": {"Datastore.Audit": False}})

    assert "may leave out storages without a word" in self_coverage(view, "cluster").message


def test_one_object_is_told_once_with_all_it_does_not_answer() -> None:
    view = changed_node(WHOLE, status=HUNG, clock=HUNG, services=HUNG, disks=HUNG, zfs=HUNG, tasks=HUNG)
    finding = self_coverage(view, "node/pve1")

    assert finding.message == "the state, clock, services, disks and 2 more of node pve1 could not be read: the node did not answer"
    assert evaluate(view).counts.unknown == 1


def test_four_sources_are_all_named() -> None:
    view = changed_node(WHOLE, status=HUNG, clock=HUNG, services=HUNG, tasks=HUNG)

    assert self_coverage(view, "node/pve1").message == (
        "the state, clock, services and tasks of node pve1 could not be read: the node did not answer"
    )


def test_a_right_that_all_nodes_lack_is_told_once() -> None:
    refused = Unknown(reason="Permission check failed (/, Sys.Audit)")
    dark = changed_node(with_rights({**ALL_AUDITOR, "/": {"VM.Audit": True}}), zfs=refused)
    dark = changed_node(changed_node(dark, "pve2", zfs=refused), "pve3", zfs=HUNG)

    assert blind_spots(dark, "zfs.*") == {
        "cluster": "the ZFS pools of the nodes could not be read: Permission check failed (/, Sys.Audit)",
        "node/pve3": "the ZFS pools of node pve3 could not be read: the node did not answer",
    }


def test_a_right_that_one_node_lacks_is_told_there() -> None:
    refused = Unknown(reason="Permission check failed (/nodes/pve1, Sys.Audit)")
    lone = changed_node(with_rights({**ALL_AUDITOR, "/nodes/pve1": {"VM.Audit": True}}), status=refused)

    assert list(blind_spots(lone, "node.rootfs")) == ["node/pve1"]


def blind_spots(view: MonitorView, only: str) -> dict[str, str]:
    return {each.object: each.message for each in evaluate(view, only=(only,)).own if each.severity is Severity.UNKNOWN}


def test_ten_reasons_of_a_thousand_guests_are_summed_up() -> None:
    facts = {vmid: GuestFacts(vmid=vmid, settings=Unknown(reason=f"403 for {vmid}"), snapshots=HUNG) for vmid in WHOLE.guests}
    many = replace(WHOLE, guests=facts)
    message = next(each.message for each in evaluate(many).findings if each.id == "self.coverage/guests")
    assert message.startswith("the settings of the guests could not be read: 403 for 100; ")

    guests = {vmid: Unknown(reason=f"403 for {vmid}") for vmid in range(1000, 1010)}
    assert not isinstance(WHOLE.resources, Unknown)
    rows = tuple(replace(WHOLE.resources.value.guests[0], vmid=vmid) for vmid in guests)
    crowd = replace(
        WHOLE,
        resources=known(replace(WHOLE.resources.value, guests=rows), "/cluster/resources"),
        guests={vmid: GuestFacts(vmid=vmid, settings=why, snapshots=why) for vmid, why in guests.items()},
    )
    evaluation = evaluate(crowd)
    message = next(each.message for each in evaluation.findings if each.id == "self.coverage/guests")
    assert message == "the settings and snapshots of the guests could not be read: 403 for 1000 (and 9 other reasons)"
    blind = next(each for each in evaluation.findings if each.id == "guest.snapshot_age/guests")
    assert blind.message.startswith(
        "10 guests not examined: the snapshots of the guests could not be read: 403 for 1000 (and 9 other reasons)"
    )
    assert blind.objects == tuple(f"guest/{vmid}" for vmid in guests)
    assert evaluation.severity_of("guest.snapshot_age", "guest/1003") is Severity.UNKNOWN
    told = next(row for row in coverage.rows(evaluation) if row.check == "guest.snapshot_age")
    assert (told.blind, len(told.reasons), told.reasons[-1]) == (10, 6, "and 5 other reasons")


def test_one_blind_guest_is_told_in_the_singular() -> None:
    view = changed_guest(WHOLE, snapshots=HUNG)

    assert found(view, "guest.snapshot_age", "guests").message.startswith("1 guest not examined: ")


@pytest.mark.parametrize(
    ("rights", "path", "held"),
    [
        ({"/nodes/pve1": {"Sys.Audit": False}}, "/nodes/pve1", True),
        ({"/nodes": {"Sys.Audit": True}}, "/nodes/pve1", True),
        ({"/nodes": {"Sys.Audit": False}}, "/nodes/pve1", False),
        # without /nodes on the list, something took it away there
        ({"/": {"Sys.Audit": True}}, "/nodes/pve1", False),
        ({"/": {"Sys.Audit": True}}, "/nodes", False),
        ({"/": {"Sys.Audit": True}, "/nodes": {}}, "/nodes/pve1", False),
        ({"/": {"Sys.Audit": True}, "/nodes/pve1": {}}, "/nodes/pve1", False),
        ({}, "/nodes/pve1", False),
        ({"/node": {"Sys.Audit": True}}, "/nodes/pve1", False),
        ({"/vms": {"Sys.Audit": False}}, "/vms", False),
    ],
)
def test_rights_go_down_from_above_unless_something_is_said_below(rights: Mapping[str, Rights], path: str, held: bool) -> None:
    assert sources.held(rights, "Sys.Audit", path) is held


def test_a_missing_right_is_mended_where_it_is_missing() -> None:
    view = with_rights({})

    assert lacking(view, "node-updates", "node/pve1") == (("Sys.Modify", "/nodes/pve1"),)
    assert mends_of(view, "node-updates", "node/pve1")[0] == (
        'pveum role add PvectlMonitorMore --privs "Sys.Modify VM.Audit Sys.Audit Datastore.Audit"'
    )
    assert lacking(view, "guest-settings", "guests") == (("VM.Audit", "/vms"),)
    assert lacking(view, "storage-history", "storage/pve1/local") == (("Datastore.Audit", "/storage/local"),)
    assert mends_of(view, "membership", "cluster") == (
        "pveum acl modify / --users pvectl@pve --roles PVEAuditor",
        "pveum acl modify / --tokens 'pvectl@pve!mon' --roles PVEAuditor",
    )
    assert mends_of(WHOLE, "membership", "cluster") == ()
    assert lacking(view, "release", "cluster") == ()
    assert lacking(replace(view, rights=HUNG), "membership", "cluster") == ()
    assert sources.mends(replace(view, rights=HUNG), (("Sys.Audit", "/"),))


def test_the_paths_to_ask_are_those_the_sources_need() -> None:
    assert sources.paths_to_ask(("pve1", "pve1"), ("nfs",)) == ("/", "/vms", "/storage", "/nodes/pve1", "/storage/nfs")
    assert sources.SOURCES["ceph"].told() == "Sys.Audit on / or Datastore.Audit on /"


def test_each_source_is_told_with_its_age_and_duration() -> None:
    view = replace(changed_node(WHOLE, clock=HUNG, zfs=NOT_ASKED), took={"/nodes/pve1/status": 0.25, "/some/path": 30.0})
    rows = {(row.name, row.object): row for row in readings(view)}

    status = rows["node-status", "node/pve1"]
    assert (status.status, status.age, status.took, status.path) == ("ok", 2.0, 0.25, "/nodes/pve1/status")
    clock = rows["node-clock", "node/pve1"]
    assert (clock.status, clock.error, clock.took) == ("unknown", "the node did not answer", 30.0)
    assert ("node-zfs", "node/pve1") not in rows
    assert ("guest-settings", "guest/100") in rows
    assert not any(row.object.startswith("guest/") for row in readings(view, guests=False))


def test_an_answer_from_the_future_is_not_younger_than_now() -> None:
    view = replace(WHOLE, ceph=known(None, "/cluster/ceph/status", age=-60))

    assert next(row.age for row in readings(view) if row.name == "ceph") == 0


def test_an_object_is_gone_only_when_everything_could_be_looked_at() -> None:
    spot = BlindSpot(subject="cluster", reason="the token lacks VM.Audit on /vms")
    hidden, dark = replace(WHOLE, sight=known((spot,), "x")), replace(WHOLE, resources=HUNG)

    assert evaluate(WHOLE).is_gone("guest.lock_age", "guest/777")
    assert not evaluate(WHOLE).is_gone("guest.lock_age", "guest/100")
    assert not evaluate(WHOLE).is_gone("no.such", "guest/777")
    assert not evaluate(WHOLE).is_gone("node.updates", "node/pve9")
    assert not evaluate(hidden).is_gone("guest.lock_age", "guest/777")
    assert evaluate(hidden).is_gone("ceph.health", "ceph/OSD_DOWN")
    assert not evaluate(dark).is_gone("guest.lock_age", "guest/777")
    assert not evaluate(replace(WHOLE, sight=HUNG)).is_gone("storage.usage", "storage/old")


def test_a_view_can_be_kept_and_read_back() -> None:
    view = replace(WHOLE, ceph=HUNG)

    assert msgspec.json.decode(msgspec.json.encode(view), type=MonitorView) == view


@pytest.mark.parametrize(
    ("source", "age", "severity"),
    [
        ("status", 15 * 60, "ok"),
        ("status", 15 * 60 + 1, "unknown"),
        ("disks", 26 * 3600, "ok"),
        ("disks", 26 * 3600 + 1, "unknown"),
    ],
)
def test_an_answer_that_is_too_old_is_no_answer(source: str, age: float, severity: str) -> None:
    fact = getattr(WHOLE.nodes[0], source)
    old = replace(WHOLE.nodes[0], **{source: known(fact.value, fact.source, age=age)})
    view = replace(WHOLE, nodes=(old, *WHOLE.nodes[1:]))
    check, object_ = {"status": ("node.rootfs", "node/pve1"), "disks": ("disk.smart", "disk/pve1/S-pve1")}[source]

    if severity == "ok":
        assert judged(view, check, object_) == "ok"
    else:
        assert judged(view, check, "node/pve1") == "unknown"
        assert "the last answer is" in self_coverage(view, "node/pve1").message


def test_what_was_asked_of_guests_grows_old_too() -> None:
    fact = WHOLE.guests[100].snapshots
    assert not isinstance(fact, Unknown)
    view = changed_guest(WHOLE, snapshots=known(fact.value, fact.source, age=26 * 3600 + 1))

    assert judged(view, "guest.snapshot_age", "guest/100") == "unknown"
    assert judged(view, "guest.snapshot_age", "guest/101") == "ok"


def test_findings_can_be_kept_and_read_back() -> None:
    findings = evaluate(TROUBLES["old snapshot"].view).findings

    assert msgspec.json.decode(msgspec.json.encode(findings), type=tuple[Finding, ...]) == findings


@pytest.mark.parametrize(
    ("sources", "of", "words"),
    [
        (("storage-backups",), "storage/nfs", "the backups of storage nfs"),
        (("storage-backups", "storage-history"), "storage/pve1/local", "the backups and history of storage local of node pve1"),
        (("storage-backups",), "cluster", "the backups of the storages"),
        (("node-services",), "node/pve1", "the services of node pve1"),
        (("running", "node-tasks"), "cluster", "the running tasks and the tasks of the nodes"),
        (("guest-snapshots",), "guests", "the snapshots of the guests"),
        (("guest-snapshots",), "guest/100", "the snapshots of guest 100"),
    ],
)
def test_a_person_is_told_in_words_what_could_not_be_read(sources: tuple[str, ...], of: str, words: str) -> None:
    assert spoken_together(sources, of) == words


def test_every_source_has_a_name_in_words() -> None:
    for name in SOURCES:
        scope = name.partition("-")[0]
        of = {"node": "node/pve1", "storage": "storage/nfs", "guest": "guests"}.get(scope if "-" in name else "", "cluster")
        assert spoken(name, of).startswith(("the ", "Ceph"))
