"""A row that is not as PVE makes it is refused, and the refusal names guest and field."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from pvectl.errors import ProtocolError
from pvectl.pve import rows
from pvectl.pve.tasks import Upid, parse_upid

ROW: Mapping[str, Any] = MappingProxyType(
    {"id": "qemu/100", "type": "qemu", "vmid": 100, "node": "pve1", "status": "running", "template": 0, "tags": "b;a"}
)
UPID = "UPID:pve1:000003F0:05265D31:6B034AA2:qmshutdown:100:pvectl@pve!ops:"


@pytest.mark.parametrize("field", ["vmid", "node", "status"])
def test_a_guest_without_what_every_guest_has_is_refused_by_name(field: str) -> None:
    row = {key: value for key, value in ROW.items() if key != field}
    with pytest.raises(ProtocolError, match=f"/cluster/resources: .*{field}"):
        rows.guests([{**ROW}, row], what="/cluster/resources")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vmid", "100"),
        ("vmid", 100.5),
        ("vmid", True),
        ("vmid", None),
        ("node", 5),
        ("node", None),
        ("status", None),
        ("name", 5),
        ("tags", ["a"]),
        ("tags", 5),
        ("template", "yes"),
        ("template", 2),
        ("uptime", "5"),
        ("cpu", "0.5"),
        ("maxmem", 1.5),
        ("lock", 1),
    ],
)
def test_a_field_of_the_wrong_type_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ProtocolError, match=field):
        rows.guests([{**ROW, field: value}], what="/cluster/resources")


def test_what_is_missing_is_not_known_and_what_is_new_is_left_alone() -> None:
    (guest,) = rows.guests([{"type": "lxc", "vmid": 200, "node": "pve1", "status": "unknown", "brand-new": 1}], what="x")
    assert (guest.name, guest.template, guest.uptime, guest.cpu, guest.tags) == (None, None, None, None, ())


def test_tags_are_split_as_pve_splits_them_and_sorted() -> None:
    (guest,) = rows.guests([{**ROW, "tags": ";;Prod, db\tx;;"}], what="x")
    assert guest.tags == ("Prod", "db", "x")


def test_kinds_of_rows_we_do_not_know_are_left_out() -> None:
    seen = rows.resources([{**ROW}, {"type": "sdn", "id": "sdn/x"}, {"type": "network", "id": "network/x"}, {"type": "quux"}], what="x")
    assert [guest.vmid for guest in seen.guests] == [100]


def test_a_row_without_a_type_is_refused() -> None:
    with pytest.raises(ProtocolError, match="without a type"):
        rows.resources([{"id": "x"}], what="x")


@pytest.mark.parametrize("kind", [["qemu"], [], {}, {"a": 1}, 5, True])
def test_a_row_whose_type_is_no_word_is_refused(kind: object) -> None:
    for odd in ({**ROW, "type": kind}, {"id": "x", "type": kind}):
        with pytest.raises(ProtocolError, match="type"):
            rows.resources([{**ROW}, odd], what="/cluster/resources")
    with pytest.raises(ProtocolError, match="type"):
        rows.guests([{**ROW}, {**ROW, "type": kind}], what="/cluster/resources")


def test_a_guest_tells_its_name_and_tags_as_they_are_now() -> None:
    now = rows.guest_now({"vmid": 100, "status": "running", "name": "web", "tags": "b;a"}, vmid=100, what="x")
    assert (now.name, now.tags) == ("web", ("a", "b"))
    silent = rows.guest_now({"vmid": 100, "status": "running"}, vmid=100, what="x")
    assert (silent.name, silent.tags) == (None, None)
    for odd in ({"tags": ["a"]}, {"tags": 5}, {"name": 5}):
        with pytest.raises(ProtocolError, match=next(iter(odd))):
            rows.guest_now({"vmid": 100, "status": "running", **odd}, vmid=100, what="x")


def test_a_paused_vm_is_paused_when_its_node_is_asked_in_full() -> None:
    (guest,) = rows.node_guests([{"vmid": 100, "status": "running", "qmpstatus": "paused", "cpus": 2}], node="pve1", kind="qemu", what="x")
    assert (guest.status, guest.node, guest.type, guest.maxcpu) == ("paused", "pve1", "qemu", 2)


NODE = {"type": "node", "name": "pve1", "nodeid": 1, "online": 1, "local": 1, "ip": "10.0.0.1"}
CLUSTER = {"type": "cluster", "name": "lab", "quorate": 1, "nodes": 1}


def test_a_host_without_a_cluster_row_is_standalone_and_knows_no_quorum() -> None:
    status = rows.cluster_status([{**NODE, "nodeid": 0}], what="x")
    assert (status.standalone, status.name, status.quorate) == (True, None, None)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [CLUSTER],
        [CLUSTER, CLUSTER, NODE],
        [NODE, {**NODE, "name": "pve2"}],
        [{**CLUSTER, "quorate": None}, NODE],
        [{**CLUSTER, "quorate": "maybe"}, NODE],
        [{**CLUSTER, "name": None}, NODE],
        [CLUSTER, {**NODE, "online": None}],
        [CLUSTER, {**NODE, "name": None}],
    ],
)
def test_a_cluster_status_that_makes_no_sense_is_refused(answer: list[dict[str, Any]]) -> None:
    with pytest.raises(ProtocolError):
        rows.cluster_status(answer, what="/cluster/status")


def test_a_node_that_is_not_online_is_offline_and_quorum_is_as_told() -> None:
    status = rows.cluster_status([{**CLUSTER, "quorate": 0}, NODE, {**NODE, "name": "pve2", "online": 0, "local": 0}], what="x")
    assert status.quorate is False
    assert [(node.name, node.status, node.local) for node in status.nodes] == [("pve1", "online", True), ("pve2", "offline", False)]


def test_a_privilege_with_zero_is_held_here_only_and_not_denied() -> None:
    held = rows.permissions({"/vms/101": {"VM.Audit": 0, "VM.PowerMgmt": 1}}, what="x")
    assert held == {"/vms/101": {"VM.Audit": False, "VM.PowerMgmt": True}}
    assert rows.permissions([], what="x") == {}


@pytest.mark.parametrize("answer", [None, 5, "x", [1], {"/": 5}, {"/": {"VM.Audit": "yes"}}])
def test_permissions_of_another_shape_are_refused(answer: object) -> None:
    with pytest.raises(ProtocolError):
        rows.permissions(answer, what="x")


@pytest.mark.parametrize("vmid", [None, "x", "-5", True, 1.5, "²"])
def test_a_network_card_of_no_guest_is_refused(vmid: object) -> None:
    with pytest.raises(ProtocolError):
        rows.netstat([{"vmid": vmid, "dev": "net0"}], what="x")


@pytest.mark.parametrize("answer", [{}, {"time": "5"}, {"time": None}, [], None])
def test_a_clock_that_does_not_tell_the_time_is_refused(answer: object) -> None:
    with pytest.raises(ProtocolError):
        rows.node_time(answer, what="x")


@pytest.mark.parametrize("answer", [None, {}, {"digest": ""}, {"digest": 5}, {"digest": "d", "tags": 5}])
def test_a_configuration_without_a_digest_is_refused(answer: object) -> None:
    with pytest.raises(ProtocolError):
        rows.guest_config(answer, what="x")


@pytest.mark.parametrize(
    "answer",
    [None, {}, {"status": "paused"}, {"status": 1}, {"status": "stopped", "exitstatus": 0}, {"status": "running", "upid": "UPID:x"}],
)
def test_a_task_that_is_neither_running_nor_stopped_is_refused(answer: object) -> None:
    with pytest.raises(ProtocolError):
        rows.task_state(answer, upid=parse_upid(UPID), what="x")


@pytest.mark.parametrize(
    ("state", "ok"),
    [
        ({"status": "running"}, False),
        ({"status": "stopped", "exitstatus": "OK"}, True),
        ({"status": "stopped", "exitstatus": "WARNINGS: 3"}, True),
        ({"status": "stopped", "exitstatus": "VM quit/powerdown failed - got timeout"}, False),
        ({"status": "stopped", "exitstatus": "unexpected status"}, False),
        ({"status": "stopped"}, False),
    ],
)
def test_only_ok_and_warnings_are_success(state: dict[str, str], ok: bool) -> None:
    assert rows.task_state(state, upid=parse_upid(UPID), what="x").ok is ok


def test_what_a_task_says_at_its_end_cannot_steer_a_terminal() -> None:
    state = rows.task_state({"status": "stopped", "exitstatus": "\x1b[2Joops"}, upid=parse_upid(UPID), what="x")
    assert state.exitstatus == "\\x1b[2Joops"


def test_a_task_id_shows_itself_as_it_is() -> None:
    assert str(Upid(text=UPID, node="pve1", type="qmshutdown", id="100", user="u", starttime=0)) == UPID


@pytest.mark.parametrize(
    "row", [{"id": "qemu/100", "type": "machine"}, {"id": "node/pve1", "type": "host"}, {"id": "storage/pve1/nas", "type": "x"}]
)
def test_what_is_ours_by_its_id_is_not_left_out_under_another_type(row: dict[str, str]) -> None:
    with pytest.raises(ProtocolError, match="is of type"):
        rows.resources([row], what="/cluster/resources")


def test_a_storage_that_does_not_tell_what_it_holds_is_not_known_to_hold_nothing() -> None:
    row = {"type": "storage", "storage": "nas", "node": "pve1", "status": "available"}
    assert [each.content for each in rows.resources([row, {**row, "content": ""}], what="x").storages] == [None, ()]
    with pytest.raises(ProtocolError, match="content is"):
        rows.resources([{**row, "content": ["backup"]}], what="x")
