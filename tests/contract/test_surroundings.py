"""What a real Proxmox VE answered about tasks, HA, jobs and history, read by our own eyes; and how little a damaged answer may say."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pvectl.errors import ProtocolError
from pvectl.pve import rows, surroundings
from tests.contract.recordings import Recording, all_recordings

ODD: tuple[Any, ...] = (None, 5, -1, 1.5, True, "odd", "", [], {})


def recorded(path: str) -> list[Any]:
    """The successful answers for a path (a pattern), as test parameters."""
    found = [
        recording
        for recording in all_recordings()
        if recording.get("status") == 200
        and recording.method == "GET"
        and re.fullmatch(rf"/api2/json{path}(\?.*)?", recording.url)
        and isinstance(recording.get("body_json"), dict)
    ]
    assert found, path
    return [pytest.param(recording, id=recording.key) for recording in found]


def data(recording: Recording) -> Any:
    return copy.deepcopy(recording.fields["body_json"]["data"])


def damaged(answer: list[dict[str, Any]]) -> Iterator[tuple[list[dict[str, Any]], str]]:
    """The answer with one field of one row left out or of another kind; rows of the same make once."""
    seen = set()
    for position, row in enumerate(answer):
        make = (row.get("type") if "sid" not in row else "service", *sorted(row))
        if make in seen:
            continue
        seen.add(make)
        for field in row:
            without = {key: value for key, value in row.items() if key != field}
            yield [*answer[:position], without, *answer[position + 1 :]], field
            for value in ODD:
                if type(value) is not type(row[field]) or isinstance(value, str):
                    yield [*answer[:position], {**row, field: value}, *answer[position + 1 :]], field


@pytest.mark.parametrize("recording", recorded("/nodes/pve1/tasks"))
def test_every_recorded_task_list_is_read_whole(recording: Recording) -> None:
    answer = data(recording)
    found = surroundings.node_tasks(answer, node="pve1", what="x")
    assert [task.upid for task in found] == [row["upid"] for row in answer]
    assert {task.upid for task in found if task.runs} == {row["upid"] for row in answer if row.get("status") == "RUNNING"}
    for task, row in zip(found, answer, strict=True):
        # who started it stands in the task's id as well, whole
        assert task.upid.split(":")[7] == task.user
        assert (task.type, task.id, task.started, task.ended) == (row["type"], row["id"], row["starttime"], row.get("endtime"))


@pytest.mark.parametrize("recording", recorded("/cluster/tasks"))
def test_every_recorded_broadcast_of_tasks_is_read_whole(recording: Recording) -> None:
    answer = data(recording)
    found = surroundings.cluster_tasks(answer, what="x")
    assert [(node, task.upid, task.runs) for node, task in found] == [(row["node"], row["upid"], "endtime" not in row) for row in answer]


@pytest.mark.parametrize("recording", recorded("/nodes/pve1/tasks.source=(all|active)"))
def test_s02_a_damaged_task_list_hides_no_task_that_runs(recording: Recording) -> None:
    answer = data(recording)
    running = {row["upid"] for row in answer if "endtime" not in row}
    for spoiled, field in damaged(answer):
        try:
            found = surroundings.node_tasks(copy.deepcopy(spoiled), node="pve1", what="x")
        except ProtocolError:
            continue
        assert field not in ("node", "type", "starttime", "id") or all(isinstance(row.get(field), str) for row in spoiled), field
        assert running <= {task.upid for task in found if task.runs} or field == "upid", field
        assert len(found) == len(answer)


def test_a_task_list_of_another_node_is_refused() -> None:
    (recording,) = [one.values[0] for one in recorded("/nodes/pve1/tasks") if one.id == "9.2/tasks/running_in_list_all"]
    assert isinstance(recording, Recording)
    with pytest.raises(ProtocolError, match="about node 'pve1'"):
        surroundings.node_tasks(data(recording), node="pve2", what="x")


@pytest.mark.parametrize("recording", recorded("/cluster/ha/status/current"))
def test_every_recorded_ha_page_is_read_and_no_damage_hides_a_service_or_mends_a_quorum(recording: Recording) -> None:
    answer = data(recording)
    true = surroundings.ha_status(data(recording), what="x")
    services = [row for row in answer if row["type"] == "service"]
    assert [(one.sid, one.node, one.state, one.request_state) for one in true.services] == [
        (row["sid"], row["node"], row["state"], row["request_state"]) for row in services
    ]
    assert true.quorate is bool(next(row["quorate"] for row in answer if row["type"] == "quorum"))
    assert true.armed == next((row["armed-state"] for row in answer if row["type"] == "fencing"), None)
    for spoiled, field in damaged(answer):
        try:
            found = surroundings.ha_status(copy.deepcopy(spoiled), what="x")
        except ProtocolError:
            continue
        assert [one.sid for one in found.services] == [one.sid for one in true.services], field
        assert found.quorate in (true.quorate, None) or any(row.get("quorate") is True for row in spoiled)
        for after, before in zip(found.services, true.services, strict=True):
            assert field in ("state", "node", "request_state") or after == before


@pytest.mark.parametrize("recording", recorded("/cluster/backup"))
def test_every_recorded_list_of_backup_jobs_is_read(recording: Recording) -> None:
    assert len(surroundings.vzdump_jobs(data(recording), what="x")) == len(data(recording))


@pytest.mark.parametrize("recording", recorded("/nodes/pve1/qemu/101/rrddata"))
def test_recorded_history_is_read_and_a_minute_nobody_measured_has_no_values(recording: Recording) -> None:
    answer = data(recording)
    found = surroundings.samples(data(recording), what="x")
    assert [(sample.time, sample.cpu, sample.netin, sample.netout) for sample in found] == [
        (row["time"], row.get("cpu"), row.get("netin"), row.get("netout")) for row in answer
    ]


@pytest.mark.parametrize("recording", recorded("/nodes/(pve1|localhost)/status"))
def test_a_recorded_node_tells_how_long_it_has_been_up_or_nothing(recording: Recording) -> None:
    answer = data(recording)
    assert surroundings.node_now(answer, what="x").uptime == answer["uptime"]
    for odd in (*ODD[:1], *ODD[3:], "863999"):
        with pytest.raises(ProtocolError, match="uptime"):
            surroundings.node_now({**answer, "uptime": odd}, what="x")


# what was not recorded, as PVE's own code builds it (pve-cluster, pve-manager, pve-storage)

CEPH = {
    "mon": {"pve2@pve2": {"hostname": "pve2", "host": "pve2"}},
    "mgr": {},
    "mds": {"pve2@pve2": {"service": 1}},
    "osd": [{"id": 3, "hostname": "pve2"}],
}
REPLICATION = [{"id": "110-0", "guest": 110, "target": "pve2", "pid": 4711, "next_sync": 1_795_370_400}]
BACKUP = [{"id": "nightly", "enabled": 1, "next-run": 1_795_370_400, "vmid": "100,110", "exclude": "5"}]
STORAGE = [{"storage": "nas", "type": "nfs", "server": "192.0.2.12"}]
NODES = [{"node": "pve2", "name": "pve2", "quorum_votes": "1", "ring0_addr": "192.0.2.12"}]
DEVICE = {"State": "Connected", "Algorithm": "Fifty-Fifty split"}

Decode = Callable[[Any], Any]
BUILT: dict[str, tuple[Any, Decode, dict[str, tuple[Any, ...]]]] = {
    # answer, decoder, and the fields whose loss may only ever leave something unknown, with what is known of it then
    "replication": (REPLICATION, lambda rows_: surroundings.replication(rows_, what="x"), {"pid": (), "next_sync": (None,)}),
    "backup": (BACKUP, lambda rows_: surroundings.vzdump_jobs(rows_, what="x"), {"next-run": (None,), "enabled": (True,)}),
    "storage": (STORAGE, lambda rows_: surroundings.storages(rows_, what="x"), {}),
    "nodes": (NODES, lambda rows_: surroundings.corosync_nodes(rows_, what="x"), {}),
}
ESSENTIAL = {
    "replication": ("id", "guest", "target"),
    "backup": ("id",),
    "storage": ("storage", "type"),
    "nodes": ("quorum_votes",),
}


@pytest.mark.parametrize("kind", BUILT)
def test_s02_a_row_without_what_it_must_have_is_refused(kind: str) -> None:
    answer, decode, _ = BUILT[kind]
    assert len(decode(copy.deepcopy(answer))) == 1
    for field in ESSENTIAL[kind]:
        odd: Any
        for odd in ([], {}, True, None):
            with pytest.raises(ProtocolError):
                decode([{**answer[0], field: odd}])
        with pytest.raises(ProtocolError):
            decode([{key: value for key, value in answer[0].items() if key != field}])


@pytest.mark.parametrize("kind", BUILT)
def test_s02_no_field_of_another_kind_passes_for_a_value(kind: str) -> None:
    answer, decode, missing = BUILT[kind]
    true = decode(copy.deepcopy(answer))
    for spoiled, field in damaged(answer):
        try:
            found = decode(copy.deepcopy(spoiled))
        except ProtocolError:
            continue
        said = spoiled[0].get(field)
        # what is not said at all may be missing; a text may be another text, and PVE writes numbers either way
        assert said is None or type(said) in (str, int) or found == true, (field, said)
    for field, left in missing.items():
        (found,) = decode([{key: value for key, value in answer[0].items() if key != field}])
        assert not left or getattr(found, field.replace("-", "_")) in left


def test_a_backup_job_is_enabled_and_for_whoever_it_names_unless_it_says_otherwise() -> None:
    (job,) = surroundings.vzdump_jobs([{"id": "x"}], what="x")
    assert (job.enabled, job.all, job.vmids, job.exclude) == (True, False, None, frozenset())
    (one,) = surroundings.vzdump_jobs([{"id": "x", "vmid": 100, "enabled": "0", "all": 0}], what="x")
    assert (one.enabled, one.vmids) == (False, frozenset({100}))
    for odd in ([100], "100,x", 1.5):
        with pytest.raises(ProtocolError):
            surroundings.vzdump_jobs([{"id": "x", "vmid": odd}], what="x")


def test_s07_ceph_daemons_are_read_from_their_keys_and_any_contradiction_is_refused() -> None:
    found = surroundings.ceph_daemons(CEPH, what="x")
    assert [(daemon.kind, daemon.id, daemon.host) for daemon in found] == [
        ("mon", "pve2", "pve2"),
        ("mds", "pve2", "pve2"),
        ("osd", "3", "pve2"),
    ]
    (lost,) = surroundings.ceph_daemons({**CEPH, "mon": {}, "mds": {}, "osd": [{"id": 3}]}, what="x")
    assert lost.host is None
    for damage in (
        *({key: value for key, value in CEPH.items() if key != gone} for gone in CEPH),
        *({**CEPH, kind: odd} for kind in CEPH for odd in (5, "odd", [1], None)),
        {**CEPH, "mon": {"pve2@pve2": {"hostname": "pve3"}}},
        {**CEPH, "mon": {"pve2": {}}},
        {**CEPH, "mon": {"@pve2": {}}},
        {**CEPH, "mon": {"pve2@pve2": 5}},
        {**CEPH, "osd": [{"hostname": "pve2"}]},
        {**CEPH, "osd": [{"id": "3", "hostname": "pve2"}]},
        {**CEPH, "osd": [{"id": 3, "hostname": 5}]},
    ):
        with pytest.raises(ProtocolError):
            surroundings.ceph_daemons(damage, what="x")


def test_s07_only_a_plain_yes_makes_a_daemon_safe_to_stop() -> None:
    assert surroundings.ceph_safe({"safe": 1}, what="x") is True
    assert surroundings.ceph_safe({"safe": False, "status": "no"}, what="x") is False
    odd: Any
    for odd in ({}, [], {"safe": "yes"}, {"safe": None}, {"safe": 2}):
        with pytest.raises(ProtocolError):
            surroundings.ceph_safe(odd, what="x")
    assert surroundings.ceph_versions({"node": {"pve2": {}}}, what="x") == {"pve2"}
    assert surroundings.ceph_versions({}, what="x") == frozenset()
    with pytest.raises(ProtocolError):
        surroundings.ceph_versions({"node": 5}, what="x")


def test_a_quorum_device_counts_only_with_a_state() -> None:
    assert rows.quorum_device(DEVICE, what="x").algorithm == "Fifty-Fifty split"
    assert rows.quorum_device({"State": "Connected"}, what="x").algorithm is None
    for odd in ({"Algorithm": "x"}, {**DEVICE, "State": 5}, {**DEVICE, "Algorithm": 5}):
        with pytest.raises(ProtocolError):
            rows.quorum_device(odd, what="x")
    assert rows.quorum_device([], what="x").state is None


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("pve1 (active, watchdog active, Sun Nov 22 10:00:00 2026)", "active"),
        ("pve1 (maintenance mode, watchdog standby, Sun Nov 22 10:00:00 2026)", "maintenance mode"),
        ("pve1 (old timestamp - dead?, Sun Nov 22 10:00:00 2026)", "old timestamp - dead?"),
        ("pve1 (unable to read lrm status)", "unable to read lrm status"),
        ("odd", "odd"),
    ],
)
def test_the_ha_managers_word_for_a_node_stands_first_in_its_brackets(status: str, word: str) -> None:
    page: list[dict[str, Any]] = [
        {"id": "lrm:pve1", "type": "lrm", "node": "pve1", "status": status},
        {"id": "master", "type": "master", "node": "pve1", "status": status},
        {"id": "brand-new", "type": "brand-new"},
    ]
    found = surroundings.ha_status(page, what="x")
    assert (found.lrm, found.manager, found.quorate) == ((("pve1", word),), word, None)


@pytest.mark.parametrize(
    "row",
    [{"id": "service:vm:100", "type": "odd"}, {"id": "odd", "type": "service", "sid": "vm:100"}, {"id": "lrm:pve1", "type": "service"}],
)
def test_s02_a_row_of_the_ha_page_that_contradicts_itself_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        surroundings.ha_status([row], what="x")


@pytest.mark.parametrize("count", ["1" * 5000, "-1", "", "²", "1.0", -1, 1.5, True, None, ["1"], {}])
def test_votes_that_are_no_number_are_refused(count: object) -> None:
    member: dict[str, Any] = {"name": "pve1", "quorum_votes": count}
    with pytest.raises(ProtocolError, match="quorum_votes"):
        surroundings.corosync_nodes([member], what="/cluster/config/nodes")


def test_votes_are_numbers_whether_they_come_as_text_or_not() -> None:
    members: list[dict[str, Any]] = [{"name": "pve1", "quorum_votes": "2"}, {"node": "pve2", "quorum_votes": 0}]
    found = surroundings.corosync_nodes(members, what="/cluster/config/nodes")
    assert [(node.name, node.votes, node.addresses) for node in found] == [("pve1", 2, ()), ("pve2", 0, ())]
