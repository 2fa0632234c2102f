"""What a real PVE answered becomes true values of the model; and the same view comes out of the simulated cluster and of fakepve."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pvectl import observe
from pvectl.clock import SystemClock
from pvectl.core.model import ClusterView, Guest, Node
from pvectl.core.secret import Secret
from pvectl.errors import PvectlError
from pvectl.pve import rows, strict_json
from pvectl.pve.client import ProxmoxClient
from pvectl.pve.connection import Connection, Trust
from pvectl.pve.deadline import Deadline
from pvectl.pve.tasks import parse_upid
from tests.contract.exchange import Door
from tests.contract.recordings import Recording, all_recordings
from tests.contract.side_by_side import FULL, SECRET, both_doors
from tests.contract.stage import Stage

pytestmark = pytest.mark.xdist_group("observation")

FIGURES = ("cpu", "maxcpu", "mem", "maxmem", "disk", "maxdisk", "uptime", "netin", "netout", "diskread", "diskwrite")
OK = [recording for recording in all_recordings() if recording.get("status") == 200 and isinstance(recording.get("body_json"), dict)]


def answered(pattern: str) -> list[Any]:
    """Every recorded 200 of GET on such a path."""
    found = [recording for recording in OK if recording.method == "GET" and re.fullmatch(pattern, recording.url)]
    assert found
    return [pytest.param(recording, id=recording.key) for recording in found]


def body(recording: Recording) -> bytes:
    return json.dumps(recording.get("body_json")).encode()


def plain(recording: Recording) -> Any:
    return copy.deepcopy(recording.get("body_json")["data"])


def assert_same_guest(row: dict[str, Any], guest: Guest) -> None:
    """What PVE says is there unchanged; what it does not say is not known."""
    assert (guest.vmid, guest.name, guest.lock, guest.hastate, guest.pool) == (
        row["vmid"],
        *(row.get(key) for key in ("name", "lock", "hastate", "pool")),
    )
    assert guest.template == (bool(row["template"]) if "template" in row else None)
    assert set(guest.tags) == set(re.split(r"[;,\s]+", row.get("tags", ""))) - {""}
    assert list(guest.tags) == sorted(guest.tags)
    for figure in FIGURES:
        key = "cpus" if figure == "maxcpu" and "cpus" in row else figure
        assert getattr(guest, figure) == row.get(key), figure


@pytest.mark.parametrize("recording", answered(r"/api2/json/cluster/resources(\?type=(vm|node|storage|sdn))?"))
def test_every_recorded_resource_becomes_what_it_is(recording: Recording) -> None:
    found = rows.resources(strict_json.rows(body(recording)), what="/cluster/resources")
    recorded = plain(recording)
    there = {row["vmid"]: row for row in recorded if row["type"] in {"qemu", "lxc"}}
    assert {guest.vmid for guest in found.guests} == there.keys()
    for guest in found.guests:
        row = there[guest.vmid]
        assert (guest.type, guest.node, guest.status) == (row["type"], row["node"], row["status"])
        assert_same_guest(row, guest)
        assert guest.is_off == (row["status"] == "stopped")
    assert {(node.name, node.status, node.uptime) for node in found.nodes} == {
        (row["node"], row["status"], row.get("uptime")) for row in recorded if row["type"] == "node"
    }
    assert {(storage.node, storage.storage, storage.status, storage.disk) for storage in found.storages} == {
        (row["node"], row["storage"], row["status"], row.get("disk")) for row in recorded if row["type"] == "storage"
    }
    assert found.pools.keys() >= {row["pool"] for row in recorded if row["type"] == "pool"}


@pytest.mark.parametrize("recording", answered(r"/api2/json/cluster/resources\?type=vm"))
def test_every_recorded_guest_row_can_be_read_alone(recording: Recording) -> None:
    found = rows.guests(strict_json.rows(body(recording)), what="/cluster/resources")
    assert {guest.vmid for guest in found} == {row["vmid"] for row in plain(recording)}


@pytest.mark.parametrize("recording", answered(r"/api2/json/nodes/pve1/(qemu|lxc)(\?full=1)?"))
def test_every_recorded_list_of_a_node_becomes_guests(recording: Recording) -> None:
    kind = recording.url.split("/")[5].partition("?")[0]
    there = {row["vmid"]: row for row in plain(recording)}
    found = rows.node_guests(strict_json.rows(body(recording)), node="pve1", kind=kind, what="list")
    assert {guest.vmid for guest in found} == there.keys()
    for guest in found:
        assert (guest.type, guest.node, guest.status) == (kind, "pve1", there[guest.vmid].get("qmpstatus") or there[guest.vmid]["status"])
        assert_same_guest(there[guest.vmid], guest)


@pytest.mark.parametrize("recording", answered(r"/api2/json/cluster/status"))
def test_every_recorded_cluster_status_tells_quorum_or_a_standalone_host(recording: Recording) -> None:
    found = rows.cluster_status(strict_json.rows(body(recording)), what="/cluster/status")
    cluster = next((row for row in plain(recording) if row["type"] == "cluster"), None)
    assert found.standalone == (cluster is None)
    assert found.quorate == (None if cluster is None else bool(cluster["quorate"]))
    assert found.name == (None if cluster is None else cluster["name"])
    assert {(node.name, node.status) for node in found.nodes} == {
        (row["name"], "online" if row["online"] else "offline") for row in plain(recording) if row["type"] == "node"
    }


@pytest.mark.parametrize("recording", answered(r"/api2/json/nodes"))
def test_every_recorded_list_of_nodes_becomes_nodes(recording: Recording) -> None:
    found: tuple[Node, ...] = rows.nodes(strict_json.rows(body(recording)), what="/nodes")
    assert {(node.name, node.status, node.uptime, node.mem) for node in found} == {
        (row["node"], row["status"], row.get("uptime"), row.get("mem")) for row in plain(recording)
    }


@pytest.mark.parametrize("recording", answered(r"/api2/json/access/permissions.*"))
def test_every_recorded_right_is_held_even_where_its_flag_is_0(recording: Recording) -> None:
    found = rows.permissions(strict_json.anything(body(recording)), what="/access/permissions")
    assert found == {path: {right: bool(flag) for right, flag in held.items()} for path, held in plain(recording).items()}


@pytest.mark.parametrize("recording", answered(r"/api2/json/access/acl"))
def test_every_recorded_acl_entry_is_kept(recording: Recording) -> None:
    found = rows.acl(strict_json.rows(body(recording)), what="/access/acl")
    assert [(entry.path, entry.ugid, entry.roleid, entry.propagate) for entry in found] == [
        (row["path"], row["ugid"], row["roleid"], bool(row["propagate"])) for row in plain(recording)
    ]


@pytest.mark.parametrize("recording", answered(r"/api2/json/nodes/pve1/(qemu|lxc)/\d+/config(\?.*)?"))
def test_every_recorded_configuration_keeps_its_digest_and_its_tags_line(recording: Recording) -> None:
    found = rows.guest_config(strict_json.anything(body(recording)), what="configuration")
    assert found.digest == plain(recording)["digest"]
    assert found.tags_raw == plain(recording).get("tags")
    assert dict(found.options) == {key: value for key, value in plain(recording).items() if key != "digest"}


@pytest.mark.parametrize("recording", answered(r"/api2/json/nodes/pve1/(qemu|lxc)/\d+/status/current"))
def test_every_recorded_status_is_about_its_guest_and_no_other(recording: Recording) -> None:
    row = plain(recording)
    found = rows.guest_now(strict_json.anything(body(recording)), vmid=row["vmid"], what="status")
    assert (found.status, found.qmpstatus, found.lock, found.pid) == (row["status"], row.get("qmpstatus"), row.get("lock"), row.get("pid"))
    assert found.ha_managed == bool(row["ha"]["managed"])
    with pytest.raises(PvectlError):
        rows.guest_now(strict_json.anything(body(recording)), vmid=row["vmid"] + 1, what="status")


@pytest.mark.parametrize("recording", answered(r"/api2/json/cluster/options"))
def test_every_recorded_option_about_tags_is_read(recording: Recording) -> None:
    found = rows.cluster_options(strict_json.anything(body(recording)), what="/cluster/options")
    row = plain(recording)
    assert list(found.allowed_tags or ()) == row["allowed-tags"]
    assert list(found.registered_tags or ()) == row.get("registered-tags", [])
    assert found.user_allow == row.get("user-tag-access", {}).get("user-allow")


@pytest.mark.parametrize("recording", answered(r"/api2/json/nodes/pve1/netstat"))
def test_every_recorded_network_counter_names_its_guest(recording: Recording) -> None:
    assert rows.netstat(strict_json.rows(body(recording)), what="netstat") == {int(row["vmid"]) for row in plain(recording)}


@pytest.mark.parametrize("recording", answered(r"/api2/json/nodes/pve1/tasks\?source=active.*"))
def test_every_recorded_active_task_is_running(recording: Recording) -> None:
    found = rows.active_tasks(strict_json.rows(body(recording)), what="tasks")
    assert [task.upid for task in found if task.is_running] == [row["upid"] for row in plain(recording)]


@pytest.mark.parametrize("recording", answered(r"/api2/json/cluster/ha/resources"))
def test_every_recorded_ha_resource_is_read(recording: Recording) -> None:
    found = rows.ha_resources(strict_json.rows(body(recording)), what="ha")
    assert [(entry.sid, entry.state) for entry in found] == [(row["sid"], row["state"]) for row in plain(recording)]


@pytest.mark.parametrize("recording", answered(r"/api2/json/version"))
def test_every_recorded_version_is_read(recording: Recording) -> None:
    assert rows.version(strict_json.anything(body(recording)), what="version").release == recording.version


ENDED = [recording for recording in OK if recording.get("task_status_changes")]


@pytest.mark.parametrize("recording", [pytest.param(recording, id=recording.key) for recording in ENDED])
def test_every_recorded_task_ends_as_its_exit_status_says(recording: Recording) -> None:
    upid = parse_upid(recording.get("task_upid"))
    for _, row in recording.get("task_status_changes"):
        state = rows.task_state(row, upid=upid, what="task")
        assert state.running == (row["status"] == "running")
        assert state.exitstatus == row.get("exitstatus")
        assert state.ok == (row.get("exitstatus", "").split(":")[0] in {"OK", "WARNINGS"})
    assert rows.task_log(recording.get("task_log")["data"])[-1].startswith(("TASK OK", "TASK ERROR", "TASK WARNINGS"))


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stage, Door, Path]]:
    folder = tmp_path_factory.mktemp("sides")
    with both_doors(folder) as (stage, door):
        yield stage, door, folder / "ca.pem"


def client_of(door: Door, authority: Path, *, read_only: bool = True) -> ProxmoxClient:
    ProxmoxClient.reset_instance()
    connection = Connection(
        cluster="lab", hosts=(f"{door.host}:{door.port}",), token_id=FULL, token=Secret(SECRET), trust=Trust(ca_file=str(authority))
    )
    return ProxmoxClient.get_instance(connection, deadline=Deadline(30), read_only=read_only)


def essence(view: ClusterView) -> dict[str, Any]:
    """A view without the figures of the moment; of guests on silent nodes only what PVE itself would still tell."""
    return {
        "guests": {
            guest.vmid: (guest.type, guest.node, guest.status, guest.tags, guest.lock)
            + ((guest.name, guest.template, guest.maxcpu, guest.maxmem) if guest.status != "unknown" else ())
            for guest in view.guests
        },
        "nodes": {node.name: node.status for node in view.nodes},
        "quorum": (view.cluster, view.standalone, view.quorate),
        "blind_spots": view.blind_spots,
    }


@pytest.mark.slow
def test_the_same_view_comes_out_of_the_simulated_cluster_and_of_fakepve(sides: tuple[Stage, Door, Path]) -> None:
    stage, theirs, authority = sides
    views = []
    for door in (stage.door, theirs):
        with client_of(door, authority) as client:
            views.append(essence(observe.look(client, SystemClock(), quorum=True)))
    assert views[0] == views[1]
    assert len(views[0]["guests"]) == 9


def test_the_client_tags_and_shuts_down_alike_on_both(sides: tuple[Stage, Door, Path]) -> None:
    stage, theirs, authority = sides
    outcomes = []
    for door in (stage.door, theirs):
        with client_of(door, authority, read_only=False) as client:
            guest = next(guest for guest in client.guests() if guest.vmid == 100)
            before = client.guest_config(guest)
            client.set_tags(guest, tags=("alpha", "beta"), digest=before.digest)
            with pytest.raises(PvectlError) as refused:
                client.set_tags(guest, tags=("gamma",), digest=before.digest)
            upid = client.shutdown(guest, timeout=30, force_stop=False)
            while client.task(upid).running:
                stage.advance(1)
            outcomes.append(
                (client.guest_config(guest).tags_raw, refused.value.message, client.task(upid).exitstatus, client.guest_now(guest).status)
            )
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0] == "alpha;beta"
    assert outcomes[0][2:] == ("OK", "stopped")
