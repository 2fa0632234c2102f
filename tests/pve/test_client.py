"""One client per run, every verb against the simulated cluster, and a secret nobody ever sees."""

from __future__ import annotations

import json
import socket
import traceback
from collections.abc import Callable
from urllib.parse import quote

import pytest

from pvectl.core.model import Guest
from pvectl.core.secret import Secret
from pvectl.errors import ApiRefusal, PermissionDenied, PvectlError, UsageError
from pvectl.pve.client import ProxmoxClient
from pvectl.pve.tasks import parse_upid
from pvectl.pve.transport import Connection
from tests.pve.listener import Listener, resets, says
from tests.support.scenarios import MIXED
from tests.support.servers import TOKEN_SECRET, TestServer

Connect = Callable[..., ProxmoxClient]
Serve = Callable[..., TestServer]


@pytest.fixture
def server(serve: Serve) -> TestServer:
    # time stands still: what a task has done by the next question is no matter of who is faster
    return serve(MIXED, speed=0)


@pytest.fixture
def client(server: TestServer, connect: Connect) -> ProxmoxClient:
    return connect(server.url("pve1"), token=server.token)


def _connection(cluster: str) -> Connection:
    return Connection(cluster=cluster, hosts=("pve1.lan",), token_id="a@pve!ops", token=Secret("s3cret"))


def test_a_run_has_one_client_and_names_its_cluster_once(connect: Connect) -> None:
    with pytest.raises(UsageError, match="no cluster"):
        ProxmoxClient.get_instance()
    first = connect("pve1.lan")
    assert ProxmoxClient.get_instance() is first
    assert ProxmoxClient.get_instance(_connection("lab")) is first
    with pytest.raises(UsageError, match="lab, not to prod"):
        ProxmoxClient.get_instance(_connection("prod"))


def test_a_client_that_was_closed_makes_room_for_the_next(connect: Connect) -> None:
    with connect("pve1.lan"):
        pass
    with ProxmoxClient.get_instance(_connection("prod")) as second:
        assert second.connection.cluster == "prod"


def test_a_list_of_guests_is_one_request(server: TestServer, client: ProxmoxClient) -> None:
    guests = client.guests()
    assert [guest.vmid for guest in guests] == sorted(entry["vmid"] for entry in MIXED["guests"])
    assert [(record.method, record.path) for record in server.requests] == [("GET", "/cluster/resources")]


def test_everything_of_the_cluster_is_one_request_too(server: TestServer, client: ProxmoxClient) -> None:
    seen = client.resources()
    assert (len(seen.guests), [node.name for node in seen.nodes]) == (10, ["pve1", "pve2"])
    assert seen.pools["customers"] == {100, 200}
    assert {storage.node for storage in seen.storages} == {"pve1", "pve2"}
    assert len(server.requests) == 1


def test_a_node_tells_of_its_own_guests_as_they_are_now(client: ProxmoxClient) -> None:
    by_vmid = {guest.vmid: guest for guest in client.node_guests("pve2", full=True)}
    assert set(by_vmid) == {102, 103, 104, 105, 106, 201}
    assert by_vmid[105].status == "paused"
    assert by_vmid[103].template is True
    assert by_vmid[201].type == "lxc"


def test_a_guest_is_shut_down_by_a_task_that_can_be_followed(server: TestServer, client: ProxmoxClient) -> None:
    db = next(guest for guest in client.guests() if guest.vmid == 100)
    upid = client.shutdown(db, timeout=30, force_stop=False)
    assert (upid.type, upid.id, upid.node) == ("qmshutdown", "100", "pve1")
    assert [task.upid for task in client.active_tasks("pve1") if task.is_running] == [upid.text]
    server.cluster.clock.advance(60)
    assert client.task(upid).ok
    assert client.task_log(upid)[-1] == "TASK OK"
    assert client.guest_now(db).status == "stopped"
    assert [(record.path, record.params) for record in server.writes()] == [("/nodes/pve1/qemu/100/status/shutdown", {"timeout": "30"})]


def test_force_is_only_ever_sent_when_asked_for(server: TestServer, client: ProxmoxClient) -> None:
    db = next(guest for guest in client.guests() if guest.vmid == 100)
    client.shutdown(db, timeout=None, force_stop=True)
    assert server.writes()[-1].params == {"forceStop": "1"}


def test_a_start_waits_as_long_as_told_where_pve_knows_how_to(server: TestServer, client: ProxmoxClient) -> None:
    vm, container = (next(guest for guest in client.guests() if guest.vmid == vmid) for vmid in (102, 201))
    client.start(vm, timeout=90)
    client.start(container, timeout=90)
    client.start(vm)
    assert [record.params for record in server.writes()] == [{"timeout": "90"}, {}, {}]


def test_what_surrounds_a_node_has_its_answers(client: ProxmoxClient) -> None:
    assert client.votes() == {"pve1": 1, "pve2": 1}
    assert client.corosync_nodes()[0].addresses == ("192.0.2.11",)
    assert (client.quorum_device().state, client.ceph_nodes()) == (None, frozenset())
    assert (client.backup_jobs(), client.replication_jobs()) == ((), ())
    assert [service.sid for service in client.ha_status().services] == ["vm:107"]
    assert client.node_now("pve1").uptime > 0
    assert [storage.storage for storage in client.storages()] == ["local"]
    assert (client.node_tasks("pve1", limit=500), client.cluster_tasks(), client.node_replication("pve1")) == ((), (), ())
    db = next(guest for guest in client.guests() if guest.vmid == 100)
    assert len(client.guest_samples(db)) == 60
    assert 0 < client.time_left() <= 30


def test_tags_are_changed_only_while_the_configuration_is_as_it_was_read(client: ProxmoxClient) -> None:
    for vmid, words in ((100, "checksum mismatch"), (200, "detected modified configuration")):
        guest = next(guest for guest in client.guests() if guest.vmid == vmid)
        config = client.guest_config(guest)
        client.set_tags(guest, tags=("b", "a"), digest=config.digest)
        assert client.guest_config(guest).tags_raw == "a;b"
        with pytest.raises(ApiRefusal, match=words):
            client.set_tags(guest, tags=("c",), digest=config.digest)
        client.set_tags(guest, tags=(), digest=client.guest_config(guest).digest)
        assert client.guest_config(guest).tags_raw is None


def test_the_small_questions_have_their_answers(client: ProxmoxClient) -> None:
    assert client.version().major == 9
    status = client.cluster_status()
    assert (status.name, status.standalone, status.quorate) == ("lab", False, True)
    assert client.permissions("/vms/100")["/vms/100"]["VM.Audit"] in (True, False)
    assert client.acl()[0].roleid == "Administrator"
    assert client.netstat("pve1") >= {100, 101, 107, 200}
    assert client.node_time("pve1") > 1_700_000_000
    assert client.node_config("pve1").wakeonlan is None
    assert client.cluster_options().tags_case_sensitive is False
    assert [resource.sid for resource in client.ha_resources()] == ["vm:107"]


def test_a_token_without_the_privilege_is_told_which(serve: Serve, connect: Connect) -> None:
    server = serve(
        {
            **MIXED,
            "users": {"eve@pve": {"enable": 1}},
            "tokens": {"eve@pve!look": {"secret": TOKEN_SECRET, "privsep": 0}},
            "acl": [{"path": "/vms", "type": "user", "ugid": "eve@pve", "roleid": "PVEAuditor", "propagate": 1}],
        }
    )
    client = connect(server.url("pve1"), token=server.token)
    guest = client.guests()[0]
    with pytest.raises(PermissionDenied) as caught:
        client.start(guest)
    assert (caught.value.path, caught.value.privilege) == ("/vms/100", "VM.PowerMgmt")
    lacking = "the token eve@pve!look or its user lacks VM.PowerMgmt on /vms/100: `pvectl doctor` gives the lines that grant it"
    assert caught.value.hint == lacking
    assert caught.value.subject == "guest/100"


@pytest.mark.parametrize("script", [resets(), says(status="401 No ticket"), says(status="500 x"), says(body=b"{}")])
def test_s33_the_secret_stands_in_no_error_no_repr_and_no_traceback(connect: Connect, script: Callable[..., bool]) -> None:
    canary = "c4n4ry-0000-1111"
    with Listener(script) as server:
        client = connect(server.url, token=f"pvectl@pve!ops={canary}")
        try:
            client.version()
        except PvectlError as error:
            shown = "".join(traceback.format_exception(error)) + repr(error) + repr(error.args) + str(error.hint) + repr(vars(error))
        else:
            pytest.fail("no error")
        assert canary.encode() in server.received[0]
    assert canary not in shown + repr(client) + repr(client.connection) + str(client.connection) + repr(vars(client))


def _echoes(status: str, *, where: str) -> Callable[..., bool]:
    def play(sock: socket.socket, request: bytes) -> bool:
        header = next(line for line in request.decode().split("\r\n") if line.startswith("Authorization: "))
        said = {"message": header, "errors": {header[-50:]: header}} if where == "message" else {}
        kind = f"Content-Type: {header.partition('=')[2]}\r\n" if where == "content type" else ""
        body = header.encode() if where == "text" else json.dumps({"data": None, **said}).encode()
        kind = "Content-Type: text/plain\r\n" if where == "text" else kind
        return says(status=f"{status} {header if where == 'reason' else 'no'}", headers=kind, body=body)(sock, request)

    return play


@pytest.mark.parametrize("secret", ["5eb1d2c4-0000-4000-8000-00000000a11e", 'c4n4ry+/%"\\x'], ids=["as PVE makes them", "odd"])
@pytest.mark.parametrize("where", ["reason", "message", "text", "content type"])
@pytest.mark.parametrize("status", ["200", "302", "400", "401", "403", "500", "503", "595", "596", "700"])
@pytest.mark.slow
def test_s33_a_server_that_repeats_what_it_was_sent_does_not_have_the_secret_shown(
    connect: Connect, status: str, where: str, secret: str
) -> None:
    with Listener(_echoes(status, where=where)) as server:
        client = connect(server.url, token=f"pvectl@pve!ops={secret}")
        guest = Guest(vmid=100, type="qemu", node="pve1", status="running")
        errors = []
        for ask in (client.version, lambda: client.netstat("pve1"), lambda: client.start(guest)):
            with pytest.raises(PvectlError) as caught:
                ask()
            errors.append(caught.value)
    shown = "".join("".join(traceback.format_exception(error)) + str(error.hint) + str(vars(error)) for error in errors)
    for spelled in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
        assert spelled not in shown


def test_s33_a_percent_encoded_secret_is_hidden_too(connect: Connect) -> None:
    secret = "c4n4ry/+=x".replace("=", "~")
    for spelled in (secret, "c4n4ry%2F%2B~x", "c4n4ry%2f%2b~x"):
        with Listener(says(status=f"400 cannot read token={spelled}")) as server:
            with pytest.raises(ApiRefusal, match=r"cannot read token=\*\*\*"):
                connect(server.url, token=f"pvectl@pve!ops={secret}").version()
            ProxmoxClient.reset_instance()


def test_s33_neither_the_end_nor_the_log_of_a_task_shows_the_secret(connect: Connect) -> None:
    upid = parse_upid("UPID:pve1:000003F0:05265D31:6B034AA2:qmshutdown:100:pvectl@pve!ops:")

    def play(sock: socket.socket, request: bytes) -> bool:
        lines = [{"n": 1, "t": f"hook called with {TOKEN_SECRET}"}]
        state = {"status": "stopped", "exitstatus": f"hook called with {TOKEN_SECRET}"}
        return says(lines if b"/log" in request else state)(sock, request)

    with Listener(play) as server:
        client = connect(server.url)
        assert client.task(upid).exitstatus == "hook called with ***"
        assert client.task_log(upid) == ("hook called with ***",)


def test_the_client_brings_in_nothing_heavy() -> None:
    import subprocess
    import sys

    code = "import sys, pvectl.pve.client; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = "requests asyncio concurrent.futures dataclasses json hashlib structlog rich typer yaml sqlite3 encodings.idna"
    assert not set(heavy.split()) & set(done.stdout.split())
