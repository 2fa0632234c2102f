"""The monitor's look at a simulated cluster: each fault is named, each gap is told, and nothing costs more than it must."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from pvectl.core.model import Known, Unknown
from pvectl.core.monitor.checks.evaluation import Evaluation, evaluate
from pvectl.core.monitor.checks.registry import wanted
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.finding import Severity
from pvectl.core.monitor.monitored import MonitorView
from pvectl.errors import AuthenticationFailed, Unavailable
from pvectl.observe.monitor import Asking, Memory, look, stores
from pvectl.sim.wire import Request
from tests.support.labs import Lab, lab

PARAMETERS: dict[str, dict[str, Any]] = {
    "rrddata": {"timeframe": "hour", "cf": "AVERAGE"},
    "content": {"content": "backup"},
    "tasks": {"source": "all", "limit": "500"},
}
EVERYTHING = MonitorSettings(enable=("node.subscription", "node.updates"))
GIB = 2**30
NOW = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp())
HEALTHY: dict[str, Any] = {
    "now": NOW,
    "nodes": {
        name: {"zfs": [{}], "thin_pools": [{}], "subscription": {"status": "active", "nextduedate": "2028-01-01"}}
        for name in ("pve1", "pve2", "pve3")
    },
    "guests": [
        {
            "vmid": 100,
            "type": "qemu",
            "node": "pve1",
            "name": "db",
            "status": "running",
            "onboot": 1,
            "snapshots": {"s": {"snaptime": NOW - 3600}},
        },
        {"vmid": 200, "type": "lxc", "node": "pve2", "name": "dns", "status": "running"},
    ],
    "storages": [
        {"name": "local", "content": "iso,images"},
        {
            "name": "nas",
            "type": "nfs",
            "shared": 1,
            "config": {"server": "192.0.2.250"},
            "content": "backup",
            "volumes": [
                {"volid": f"nas:backup/{vmid}", "content": "backup", "vmid": vmid, "ctime": NOW - 7200, "size": 1} for vmid in (100, 200)
            ],
        },
    ],
    "backup_jobs": [{"id": "nightly", "all": 1, "schedule": "21:00", "storage": "nas"}],
    "replication": [{"id": "100-0", "target": "pve2"}],
    "qdevice": {"algorithm": "Fifty-Fifty split"},
}


class Watched:
    """One lab, looked at again and again."""

    def __init__(self, one: Lab, settings: MonitorSettings = EVERYTHING) -> None:
        self.lab = one
        self.settings = settings
        self.memory = Memory()
        self.view: MonitorView

    def look(self, **asking: Any) -> Evaluation:
        self.view, self.memory = look(
            self.lab.client, self.lab.clock, asking=Asking(wanted=wanted(self.settings), **asking), before=self.memory
        )
        return evaluate(self.view, self.settings)

    def asked(self, **asking: Any) -> list[str]:
        """The paths of one more look."""
        before = len(self.lab.asked())
        self.look(**asking)
        return [line.removeprefix("GET ") for line in self.lab.asked()[before:]]


@contextmanager
def watched(scenario: Mapping[str, Any], **options: Any) -> Iterator[Watched]:
    with lab(scenario, speed=options.pop("speed", 0), **options) as one:
        yield Watched(one)


def changed(**parts: Any) -> dict[str, Any]:
    return {**HEALTHY, **parts}


def node(name: str = "pve2", **values: Any) -> dict[str, Any]:
    return changed(nodes={**HEALTHY["nodes"], name: {**HEALTHY["nodes"][name], **values}})


def guest(vmid: int, **values: Any) -> dict[str, Any]:
    return changed(guests=[{**one, **values} if one["vmid"] == vmid else one for one in HEALTHY["guests"]])


def storage(name: str, **values: Any) -> dict[str, Any]:
    return changed(storages=[{**one, **values} if one["name"] == name else one for one in HEALTHY["storages"]])


def bad(evaluation: Evaluation) -> dict[str, Severity]:
    return {finding.id: finding.severity for finding in evaluation.own if finding.severity is not Severity.OK}


def test_a_healthy_cluster_is_wholly_seen_and_wholly_fine() -> None:
    with watched(HEALTHY) as one:
        evaluation = one.look()

    assert bad(evaluation) == {}
    assert evaluation.severity is Severity.OK
    assert [verdict.check for verdict in evaluation.verdicts if verdict.blind] == []
    idle = {verdict.check for verdict in evaluation.verdicts if not verdict.examined and not verdict.off}
    assert idle <= {"self.delivery", "cluster.n1", "ha.service", "ha.manager", "ha.disarmed", "task.failed", "ceph.health", "node.swap"}


FAULTS: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("an offline node", node(status="offline"), "node.offline/node/pve2", "critical"),
    ("a dead service", node(services={"pvestatd": "failed"}), "node.services/service/pve2/pvestatd", "critical"),
    ("a certificate about to end", node(certificate_days=5), "node.cert/certificate/pve2", "critical"),
    ("a failing disk", node(disks=[{"health": "FAILED"}]), "disk.smart/disk/pve2/SIMPVE20", "critical"),
    ("a worn disk", node(disks=[{"wearout": 20}]), "disk.wear/disk/pve2/SIMPVE20", "warning"),
    ("a degraded pool", node(zfs=[{"health": "DEGRADED"}]), "zfs.health/zfs/pve2/rpool", "critical"),
    ("full thin metadata", node(thin_pools=[{"metadata_used": 97 * 10**8}]), "lvmthin.meta/thin-pool/pve2/pve/data", "critical"),
    ("a full root", node(maxdisk=100 * GIB, disk=99 * GIB), "node.rootfs/node/pve2", "critical"),
    ("full swap", node(swap={"total": 100, "used": 95, "free": 5}), "node.swap/node/pve2", "warning"),
    ("waiting for disks", node(wait=0.4), "node.iowait/node/pve2", "critical"),
    ("a clock that is off", node(clock_off=45), "node.clock/node/pve2", "critical"),
    ("pressure", node(rrd={"pressureiofull": 40}), "node.psi_io/node/pve2", "critical"),
    ("an expired subscription", node(subscription={"status": "expired"}), "node.subscription/node/pve2", "warning"),
    ("a security update", node(updates=[{"Package": "openssl", "Origin": "Debian-Security"}]), "node.updates/node/pve2", "warning"),
    ("a full storage", storage("nas", used=96 * GIB, total=100 * GIB), "storage.usage/storage/nas", "critical"),
    ("a storage that is not there", storage("nas", per_node={"pve3": {"active": 0}}), "storage.inactive/storage/pve3/nas", "critical"),
    ("a guest that should run", guest(100, status="stopped"), "guest.onboot_stopped/guest/100", "warning"),
    ("an old snapshot", guest(100, snapshots={"s": {"snaptime": NOW - 40 * 86400}}), "guest.snapshot_age/guest/100", "critical"),
    ("no backup job", changed(backup_jobs=[]), "backup.uncovered/guest/100", "warning"),
    ("an old backup", storage("nas", volumes=[{"volid": "nas:backup/1", "content": "backup", "vmid": 100, "ctime": NOW - 9 * 86400}]),
     "backup.age/guest/100", "critical"),
    ("a broken backup",
     storage("nas", volumes=[{"volid": "nas:b/1", "content": "backup", "vmid": 100, "ctime": NOW, "verification": {"state": "failed"}}]),
     "backup.verify/guest/100", "critical"),
    ("a failed backup", changed(tasks=[{"node": "pve2", "started_ago": 7200, "took": 60, "status": "job errors"}]),
     "task.failed/task/pve2/vzdump/all", "critical"),
    ("a failed replication", changed(replication=[{"id": "100-0", "target": "pve2", "fail_count": 4, "error": "no route"}]),
     "replication.failed/replication/100-0", "critical"),
    ("a lost quorum device", changed(qdevice={"state": "Disconnected"}), "cluster.qdevice/cluster", "warning"),
    ("a guest HA gave up", guest(100, ha={"state": "started", "crm_state": "error"}), "ha.service/ha/vm:100", "critical"),
    ("unhealthy Ceph", changed(ceph={"mons": ["pve1"], "mgrs": ["pve1"], "health": "HEALTH_ERR"}), "ceph.health/ceph", "critical"),
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "id_", "severity"), [pytest.param(*fault, id=name) for name, *fault in FAULTS])
def test_the_verdict_names_each_fault(scenario: dict[str, Any], id_: str, severity: str) -> None:
    with watched(scenario) as one:
        found = bad(one.look())

    assert found.get(id_) == severity, found


def fields_of(data: Any) -> set[tuple[str, ...]]:
    """The fields of an answer's rows, those of objects within them included."""
    found: set[tuple[str, ...]] = set()
    for row in data if isinstance(data, list) else [data]:
        found |= {(key,) for key in row}
        found |= {(key, inner) for key, value in row.items() if isinstance(value, dict) for inner in value}
    return found


def spoilt(data: Any, field: tuple[str, ...], value: Any) -> Any:
    """The answer without the field, or with another value in its place."""
    rows = json.loads(json.dumps(data))
    for row in rows if isinstance(rows, list) else [rows]:
        holder = row
        for key in field[:-1]:
            holder = holder.get(key, {})
        if field[-1] in holder:
            holder.pop(field[-1])
            if value is not None:
                holder[field[-1]] = value
    return rows


@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "id_"), [pytest.param(*fault[:2], id=name) for name, *fault in FAULTS])
def test_whatever_is_dropped_or_retyped_in_an_answer_a_fault_never_becomes_fine(scenario: dict[str, Any], id_: str) -> None:
    fine: list[Any] = []
    with watched(scenario) as one:
        found = next(finding for finding in one.look().findings if finding.id == id_)
        asking = Asking(wanted=wanted(EVERYTHING, (found.check,)))
        for path in {evidence.path for evidence in found.evidence}:
            header = f"PVEAPIToken={one.lab.server.token}"
            params = PARAMETERS.get(path.rpartition("/")[2], {})
            request = Request(method="GET", path=path, params=params, authorization=header, cookie=None, node="pve1", headers={})
            data = one.lab.cluster.answer(request).data
            for field in sorted(fields_of(data)):
                for value in (None, ["odd"]):
                    one.lab.server.fault("body", path=path, body=json.dumps({"data": spoilt(data, field, value)}).encode())
                    view, _ = look(one.lab.client, one.lab.clock, asking=asking, before=Memory())
                    if evaluate(view, EVERYTHING, only=(found.check,)).severity is Severity.OK:
                        fine.append((path, field, value))
                    one.lab.server.clear_faults()
    assert fine == []


def test_the_verdict_names_many_faults_at_once() -> None:
    nodes = {
        **HEALTHY["nodes"],
        "pve2": {"services": {"pvestatd": "failed"}, "disks": [{"health": "FAILED"}], "clock_off": 45, "wait": 0.4},
    }
    nodes["pve3"] = {"certificate_days": 5, "zfs": [{"health": "DEGRADED"}]}
    backups = [{"volid": "nas:backup/1", "content": "backup", "vmid": 100, "ctime": NOW - 9 * 86400}]
    storages = storage("nas", used=96 * GIB, total=100 * GIB, volumes=backups)["storages"]
    failed = [{"node": "pve2", "started_ago": 7200, "took": 60, "status": "job errors"}]
    with watched(changed(nodes=nodes, storages=storages, tasks=failed)) as one:
        found = bad(one.look())

    assert found.keys() >= {
        "node.services/service/pve2/pvestatd",
        "disk.smart/disk/pve2/SIMPVE20",
        "node.clock/node/pve2",
        "node.iowait/node/pve2",
        "node.cert/certificate/pve3",
        "zfs.health/zfs/pve3/rpool",
        "storage.usage/storage/nas",
        "backup.age/guest/100",
        "backup.age/guest/200",
        "task.failed/task/pve2/vzdump/all",
    }


@pytest.mark.slow
def test_a_storage_that_fills_up_is_told_how_long_it_will_last() -> None:
    filling = {"used": lambda moment: (90 - (NOW - moment) / 86400) * GIB, "total": 100 * GIB}
    with watched(storage("nas", used=90 * GIB, total=100 * GIB, rrd=filling)) as one:
        found = bad(one.look())

    assert found["storage.days_to_full/storage/nas"] == Severity.WARNING


def test_a_run_with_a_fresh_memory_asks_eight_questions_and_five_of_each_node() -> None:
    with watched(changed(tasks=[{"node": "pve1", "id": "100", "type": "qmstart", "started_ago": 600}])) as one:
        one.look()
        paths = one.asked()

    assert len(paths) <= 8 + 5 * 3, paths
    assert not [path for path in paths if path.endswith(("/config", "/snapshot", "/content", "/netstat", "/disks/list"))]


@pytest.mark.slow
def test_the_number_of_guests_does_not_change_what_a_run_with_a_memory_asks() -> None:
    crowd = [{"vmid": 1000 + number, "node": "pve1", "status": "running"} for number in range(60)]
    with watched(changed(guests=crowd)) as one:
        one.look()
        assert len(one.asked()) <= 8 + 5 * 3


def test_slow_answers_are_asked_for_again_after_an_hour_and_carry_their_own_age_until_then() -> None:
    with watched(HEALTHY) as one:
        one.look()
        disks = one.view.nodes[0].disks
        assert isinstance(disks, Known)
        later = MovedClock(one.lab.clock, 1800)
        view, _ = look(one.lab.client, later, asking=Asking(wanted=wanted(EVERYTHING)), before=one.memory)
        assert view.nodes[0].disks == disks
        assert view.taken_at - disks.taken_at >= timedelta(minutes=30)
        later = MovedClock(one.lab.clock, 3700)
        view, _ = look(one.lab.client, later, asking=Asking(wanted=wanted(EVERYTHING)), before=one.memory)
        assert isinstance(view.nodes[0].disks, Known)
        assert view.nodes[0].disks.taken_at > disks.taken_at


def test_what_an_earlier_answer_still_tells_does_not_hold_up_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of thousands of guests all would be due at the same moment; those that are new come first and get all the time there is."""
    monkeypatch.setattr(stores, "REFRESH_S", 0.0)
    with watched(HEALTHY) as one:
        one.look()
        new = {"vmid": 300, "type": "qemu", "node": "pve3", "name": "new", "status": "running"}
        one.lab.cluster.add_guest(**new)
        before = len(one.lab.asked())
        later = MovedClock(one.lab.clock, 3700)
        view, _ = look(one.lab.client, later, asking=Asking(wanted=wanted(EVERYTHING)), before=one.memory)
        asked = {line.rpartition("/")[0].rpartition("/")[2] for line in one.lab.asked()[before:] if line.endswith(("/config", "/snapshot"))}

    assert asked == {"300"}
    assert all(isinstance(facts.settings, Known) and isinstance(facts.snapshots, Known) for facts in view.guests.values())


class MovedClock:
    """Another clock, put forward."""

    def __init__(self, clock: Any, seconds: float) -> None:
        self._clock = clock
        self._ahead = timedelta(seconds=seconds)

    def now(self) -> Any:
        return self._clock.now() + self._ahead

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)


def test_a_six_hour_backup_that_fails_between_two_looks_is_found_and_once() -> None:
    with watched(changed(tasks=[{"node": "pve1", "started_ago": 6 * 3600, "took": 6 * 3600 + 60, "status": "job errors"}])) as one:
        assert "task.failed/task/pve1/vzdump/all" not in bad(one.look())
        one.lab.cluster.clock.advance(120)
        findings = [finding for finding in one.look().findings if finding.check == "task.failed"]
        assert [(finding.severity, finding.key is not None) for finding in findings] == [(Severity.CRITICAL, True)]
        again = [finding for finding in one.look().findings if finding.check == "task.failed"]
        assert [finding.key for finding in again] == [finding.key for finding in findings]


def test_nodes_that_hang_cost_one_question_each_and_the_others_answer() -> None:
    nodes = {f"pve{number}": {"status": "hangs"} if number in (3, 5, 7) else {} for number in range(1, 9)}
    with watched(changed(nodes=nodes, guests=[]), speed=1000) as one:
        evaluation = one.look()
        asked = [line for line in one.lab.asked() if "/nodes/pve3/" in line]

    assert {line.removeprefix("GET ") for line in asked} == {"/nodes/pve3/status"}
    statuses = {facts.name: isinstance(facts.status, Known) for facts in one.view.nodes}
    assert statuses == {f"pve{number}": number not in (3, 5, 7) for number in range(1, 9)}
    told = bad(evaluation)
    assert {f"self.coverage/node/pve{number}" for number in (3, 5, 7)} <= set(told)
    assert evaluation.severity is Severity.UNKNOWN


def test_an_offline_node_is_not_asked_at_all() -> None:
    with watched(node(status="offline")) as one:
        one.look()
        assert not [line for line in one.lab.asked() if "/nodes/pve2/" in line]


@pytest.mark.parametrize("fault", ["html", "truncate", "empty_object", "nan", "garbage"])
def test_one_source_that_answers_nonsense_takes_no_other_along(fault: str) -> None:
    with watched(HEALTHY) as one:
        one.lab.server.fault(fault, path="/nodes/pve2/services")
        evaluation = one.look()

    unknown = [facts.name for facts in one.view.nodes if isinstance(facts.services, Unknown)]
    assert unknown == ["pve2"]
    assert bad(evaluation).keys() == {"self.coverage/node/pve2"}


@pytest.mark.slow
def test_a_node_without_the_tools_of_zfs_has_no_pools() -> None:
    with watched(HEALTHY) as one:
        one.lab.server.fault("status", path="/nodes/pve2/disks/zfs", code=500, reason="zfsutils-linux not installed")
        assert bad(one.look()) == {}
        one.lab.server.clear_faults()
        one.memory = Memory()
        one.lab.server.fault("status", path="/nodes/pve2/disks/zfs", code=500, reason="command failed")
        assert bad(one.look()).keys() == {"self.coverage/node/pve2"}


@pytest.mark.slow
def test_ceph_that_only_other_nodes_have_is_not_taken_for_none() -> None:
    with watched(HEALTHY) as one:
        one.look()
        assert isinstance(one.view.ceph, Known)
        assert one.view.ceph.value is None
    elsewhere = {"mons": ["pve2"], "mgrs": ["pve2"], "installed": ["pve2"]}
    with watched(changed(ceph=elsewhere)) as one:
        one.lab.server.fault("status", path="/cluster/ceph/status", code=500, reason="binary not installed: /usr/bin/ceph-mon")
        one.look()
        assert isinstance(one.view.ceph, Unknown)
        assert "pve2" in one.view.ceph.reason


AUDITOR = "watch@pve!mon"


def limited(*rules: dict[str, Any]) -> dict[str, Any]:
    """The healthy cluster, seen by a token that holds only what these rules give its user."""
    return {
        **HEALTHY,
        "users": {"watch@pve": {}},
        "tokens": {AUDITOR: {"secret": "5eb1d2c4-0000-4000-8000-000000000001", "privsep": 0}},
        "acl": [{"type": "user", "ugid": "watch@pve", "propagate": 1, **rule} for rule in rules],
    }


def test_an_auditor_sees_all_but_the_backups_and_is_told_the_lines_that_show_them() -> None:
    with watched(limited({"path": "/", "roleid": "PVEAuditor"}), token=AUDITOR) as one:
        one.settings = MonitorSettings()
        evaluation = one.look()

    told = {finding.id: finding for finding in evaluation.own if finding.severity is not Severity.OK}
    assert list(told) == ["self.coverage/storage/nas"]
    hint = told["self.coverage/storage/nas"].hint or ""
    assert "pveum role add" in hint
    assert f"pveum acl modify /storage/nas --tokens '{AUDITOR}'" in hint


def test_without_sys_audit_nothing_that_pve_hides_counts_as_fine() -> None:
    with watched(limited({"path": "/vms", "roleid": "PVEAuditor"}), token=AUDITOR) as one:
        one.settings = MonitorSettings()
        evaluation = one.look()
        unknown = {verdict.check for verdict in evaluation.verdicts if verdict.blind}
        paths = one.asked()

    assert {"task.failed", "node.services", "backup.uncovered", "cluster.quorum", "storage.inactive"} <= unknown
    assert evaluation.severity is Severity.UNKNOWN
    hints = " ".join(finding.hint or "" for finding in evaluation.own)
    assert "pveum acl modify / --users watch@pve --roles PVEAuditor" in hints
    # what was refused for want of a right is not asked again in every run
    assert not [path for path in paths if path.endswith("/disks/list")]


def test_a_guest_hidden_by_one_rule_is_told_by_the_node_it_runs_on() -> None:
    rules = ({"path": "/", "roleid": "PVEAdmin"}, {"path": "/vms/100", "roleid": "NoAccess"})
    with watched(limited(*rules), token=AUDITOR) as one:
        evaluation = one.look()

    assert "self.coverage/guest/100" in bad(evaluation)


def test_a_run_that_reaches_nobody_has_nothing_to_say() -> None:
    with watched(HEALTHY) as one:
        one.lab.server.fault("refuse")
        with pytest.raises(Unavailable):
            one.look()


def test_a_token_that_is_not_accepted_ends_the_run() -> None:
    with watched(HEALTHY, speed=1000) as one:
        one.lab.server.fault("status", code=401)
        with pytest.raises(AuthenticationFailed):
            one.look()


@pytest.mark.slow
def test_guests_that_time_was_too_short_for_wait_for_the_next_run_and_say_so() -> None:
    crowd = [{"vmid": 1000 + number, "node": "pve1", "status": "running"} for number in range(20)]
    with watched(changed(guests=crowd)) as one:
        evaluation = one.look(slow_for=0.0)
        assert "20 guests wait for the next runs" in " ".join(finding.message for finding in evaluation.findings)
        assert not [line for line in one.lab.asked() if line.endswith("/config")]
        one.look()
        assert all(isinstance(one.view.guests[vmid].settings, Known) for vmid in range(1000, 1020))


def test_the_only_checks_that_were_asked_for_are_the_only_sources_that_are() -> None:
    with watched(HEALTHY) as one:
        wants = wanted(MonitorSettings(), ("node.services",))
        look(one.lab.client, one.lab.clock, asking=Asking(wanted=wants), before=Memory())
        paths = {line.removeprefix("GET ").removeprefix("/nodes/pve1") for line in one.lab.asked() if "pve1" in line or "nodes" not in line}

    assert not [path for path in paths if path.endswith(("/disks/list", "/config", "/rrddata", "/replication", "/backup"))]
    assert "/services" in paths


def test_a_run_that_asks_for_less_forgets_nothing() -> None:
    with watched(HEALTHY) as one:
        one.look()
        before = one.memory
        for only in ("node.services", "disk.smart", "guest.snapshot_age", "storage.days_to_full"):
            asking = Asking(wanted=wanted(EVERYTHING, (only,)))
            _, one.memory = look(one.lab.client, one.lab.clock, asking=asking, before=one.memory)

    assert (one.memory.nodes, one.memory.guests, one.memory.cluster) == (before.nodes, before.guests, before.cluster)
    assert (one.memory.storages, one.memory.seen.tasks) == (before.storages, before.seen.tasks)


def test_a_lock_is_remembered_from_the_first_look_that_saw_it() -> None:
    with watched(guest(100, lock="backup")) as one:
        one.look()
        first = one.memory.seen.locks[100]
        later = MovedClock(one.lab.clock, 2 * 3600)
        view, memory = look(one.lab.client, later, asking=Asking(wanted=wanted(EVERYTHING)), before=one.memory)

    assert memory.seen.locks[100] == first
    assert bad(evaluate(view, EVERYTHING))["guest.lock_orphan/guest/100"] == Severity.WARNING


@pytest.mark.slow
def test_ha_that_was_left_disarmed_is_remembered_as_well() -> None:
    with watched(changed(ha={"armed": "disarmed"})) as one:
        one.look()
        later = MovedClock(one.lab.clock, 3 * 3600)
        view, _ = look(one.lab.client, later, asking=Asking(wanted=wanted(EVERYTHING)), before=one.memory)

    assert bad(evaluate(view, EVERYTHING))["ha.disarmed/cluster"] == Severity.WARNING


def test_a_memory_comes_back_out_of_a_file_as_it_went_in() -> None:
    import msgspec

    with watched(HEALTHY) as one:
        one.look()
        memory = one.memory
    back = msgspec.json.decode(msgspec.json.encode(memory), type=Memory).awake()

    assert back == memory
    assert replace(back).nodes == memory.nodes


@pytest.mark.slow
def test_a_standalone_host_has_no_quorum_to_lose() -> None:
    with watched(
        {**HEALTHY, "name": None, "nodes": {"pve1": {}}, "guests": [HEALTHY["guests"][0]], "replication": [], "qdevice": None}
    ) as one:
        evaluation = one.look()

    assert bad(evaluation) == {}
    assert isinstance(one.view.membership, Known)
    assert one.view.membership.value.standalone
