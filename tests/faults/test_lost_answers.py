"""A change is sent once, whatever becomes of its answer; an answer cut anywhere is never taken for a whole one (safety rule S24)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pvectl.core.model import Guest
from pvectl.core.secret import Secret
from pvectl.errors import (
    ApiRefusal,
    AuthenticationFailed,
    NodeUnreachable,
    OutcomeUnknown,
    PermissionDenied,
    ProtocolError,
    PvectlError,
    Unavailable,
)
from pvectl.pve.client import ProxmoxClient
from pvectl.pve.transport import Connection, Deadline
from tests.pve.listener import Listener, resets, says, sends
from tests.support.scenarios import MIXED
from tests.support.servers import TestServer

Serve = Callable[..., TestServer]
Connect = Callable[..., ProxmoxClient]
Write = Callable[[ProxmoxClient], None]
DB = Guest(vmid=100, type="qemu", node="pve1", status="running")
DNS = Guest(vmid=200, type="lxc", node="pve1", status="running")

LOSES_THE_ANSWER: list[tuple[str, dict[str, Any]]] = [
    ("hang", {"after": "request"}),
    ("hang", {"after": "headers"}),
    ("hang", {"after": "body"}),
    ("drip", {"where": "head"}),
    ("drip", {"where": "body"}),
    ("reset", {"after": 0}),
    ("reset", {"after": 30}),
    ("truncate", {}),
    ("truncate", {"length": False}),
    ("html", {}),
    ("empty_body", {}),
    ("empty_object", {}),
    ("null_body", {}),
    ("list_body", {}),
    ("no_data", {}),
    ("nan", {}),
    ("duplicate_keys", {}),
    ("huge", {}),
    ("gzip", {}),
    *(("status", {"code": code}) for code in (204, 502, 503, 504, 596, 597, 598, 599, 999)),
    ("wrong_content_type", {}),
    ("garbage", {}),
    ("header_flood", {"of": "line"}),
    ("wrong_length", {"how": "short"}),
    ("wrong_length", {"how": "two"}),
]
SAYS_NO: list[tuple[str, dict[str, Any], type[PvectlError]]] = [
    ("redirect", {"code": 302}, ProtocolError),
    ("redirect", {"code": 308}, ProtocolError),
    ("status", {"code": 400}, ApiRefusal),
    ("status", {"code": 401}, AuthenticationFailed),
    ("status", {"code": 403}, PermissionDenied),
    ("status", {"code": 404}, ApiRefusal),
    ("status", {"code": 500}, ApiRefusal),
    ("status", {"code": 501}, ApiRefusal),
    ("status", {"code": 595}, NodeUnreachable),
    ("refuse", {}, Unavailable),
]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.pve.transport.PAUSE_S", 0.001)


@pytest.fixture
def connect() -> Iterator[Callable[..., ProxmoxClient]]:
    def start(*hosts: str, token: str = "pvectl@pve!ops=5eb1", deadline: float = 20) -> ProxmoxClient:
        token_id, _, secret = token.partition("=")
        connection = Connection(cluster="lab", hosts=hosts, token_id=token_id, token=Secret(secret), allow_http_loopback=True)
        return ProxmoxClient.get_instance(connection, deadline=Deadline(deadline))

    yield start
    ProxmoxClient.reset_instance()


def _shutdown(client: ProxmoxClient) -> None:
    client.shutdown(DB, timeout=60, force_stop=False)


def _set_tags(client: ProxmoxClient) -> None:
    client.set_tags(DNS, tags=("a", "b"), digest=client.guest_config(DNS).digest)


def _set_tags_at_once(client: ProxmoxClient) -> None:
    client.set_tags(DNS, tags=("a", "b"), digest="")


WRITES = [pytest.param(_shutdown, "POST", id="shutdown"), pytest.param(_set_tags, "PUT", id="tags")]


def _names(entry: object) -> str | None:
    return " ".join(f"{key}={value}" for key, value in entry.items()) or "always" if isinstance(entry, dict) else None


@pytest.mark.parametrize(("write", "method"), WRITES)
@pytest.mark.parametrize(("kind", "details"), LOSES_THE_ANSWER, ids=_names)
@pytest.mark.slow
def test_s24_a_change_whose_answer_is_lost_is_sent_once_and_its_outcome_is_unknown(
    serve: Serve, connect: Connect, kind: str, details: dict[str, Any], write: Write, method: str
) -> None:
    server = serve(MIXED)
    server.fault(kind, method=method, **details)
    # time enough for the change to leave, on any machine
    client = connect(server.url("pve1"), server.url("pve2"), token=server.token, deadline=1 if kind in ("hang", "drip") else 20)
    with pytest.raises(OutcomeUnknown, match="may or may not have happened"):
        write(client)
    assert [record.method for record in server.writes()] == [method]


@pytest.mark.parametrize("write", [_shutdown, _set_tags_at_once])
@pytest.mark.parametrize(("kind", "details", "error"), SAYS_NO, ids=_names)
def test_a_change_that_was_refused_is_sent_once_and_known_not_to_have_happened(
    serve: Serve, connect: Connect, kind: str, details: dict[str, Any], error: type[PvectlError], write: Write
) -> None:
    server = serve(MIXED)
    server.fault(kind, **details)
    client = connect(server.url("pve1"), token=server.token)
    with pytest.raises(PvectlError) as caught:
        write(client)
    assert type(caught.value) is error
    assert len(server.writes()) <= 1


WHOLE = (
    b"HTTP/1.1 200 OK\r\nCache-Control: max-age=0\r\nConnection: Keep-Alive\r\nServer: pve-api-daemon/3.0\r\nContent-Length: %d\r\n"
    b"Content-Type: application/json;charset=UTF-8\r\n\r\n%s"
)
RESOURCES = b'{"data":[{"id":"qemu/100","type":"qemu","vmid":100,"node":"pve1","status":"running"}]}'
UPID = b'{"data":"UPID:pve1:000003F0:05265D31:6B034AA2:qmshutdown:100:pvectl@pve!ops:"}'


@pytest.mark.parametrize("cut", ["reset", "close"])
def test_a_short_answer_cut_after_any_byte_is_never_taken_for_a_whole_one(connect: Connect, cut: str) -> None:
    whole = WHOLE % (len(RESOURCES), RESOURCES)
    cuts = [resets(whole[:k]) if cut == "reset" else sends(whole[:k]) for k in range(len(whole))]
    # each cut strikes once; then the question is asked again and answered
    scripts = [script for one in cuts for script in (one, says(body=RESOURCES))]
    with Listener(*scripts) as server:
        client = connect(server.url)
        for _ in cuts:
            assert [guest.vmid for guest in client.guests()] == [100]
        assert len(server.received) == 2 * len(cuts)


def test_s24_a_change_is_sent_once_wherever_its_answer_is_cut(connect: Connect) -> None:
    whole = WHOLE % (len(UPID), UPID)
    with Listener(*(resets(whole[:k]) for k in range(len(whole)))) as server:
        client = connect(server.url)
        for sent in range(1, len(whole) + 1):
            with pytest.raises(OutcomeUnknown):
                client.shutdown(DB, timeout=60, force_stop=False)
            assert len(server.received) == sent


def test_another_guests_answer_is_refused(connect: Connect) -> None:
    with Listener(says({"vmid": 101, "status": "stopped"})) as server, pytest.raises(ProtocolError, match="about guest 101"):
        connect(server.url).guest_now(DB)


def test_another_tasks_answer_is_refused(connect: Connect) -> None:
    upid = "UPID:pve1:000003F0:05265D31:6B034AA2:qmshutdown:100:pvectl@pve!ops:"
    with Listener(says(upid), says({"upid": upid.replace("100", "101"), "status": "stopped", "exitstatus": "OK"})) as server:
        client = connect(server.url)
        task = client.shutdown(DB, timeout=60, force_stop=False)
        with pytest.raises(ProtocolError, match="another task"):
            client.task(task)


def test_a_config_answer_of_another_node_cannot_be_written_back(serve: Serve, connect: Connect) -> None:
    """The digest is the other guest's, so PVE turns the write away."""
    server = serve({**MIXED, "guests": [*MIXED["guests"], {"vmid": 300, "type": "lxc", "node": "pve2", "name": "x", "tags": "keep"}]})
    client = connect(server.url("pve1"), token=server.token)
    foreign = client.guest_config(Guest(vmid=300, type="lxc", node="pve2", status="stopped"))
    with pytest.raises(ApiRefusal, match="detected modified configuration"):
        client.set_tags(DNS, tags=("a",), digest=foreign.digest)
