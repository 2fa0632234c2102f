"""What is asked again, what never is, and when it all ends (safety rules S24 and S29)."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvectl.core.model import Guest
from pvectl.core.secret import Secret
from pvectl.errors import (
    ApiRefusal,
    AuthenticationFailed,
    ConfigError,
    DeadlineExceeded,
    NodeUnreachable,
    OutcomeUnknown,
    ProtocolError,
    PvectlError,
    Unavailable,
    WriteForbidden,
)
from pvectl.pve.client import ProxmoxClient
from pvectl.pve.strict_json import MAX_BODY
from pvectl.pve.transport import Connection, Exchange
from tests.pve.listener import Listener, Script, drips, hangs, resets, says, sends
from tests.support.servers import TestServer

Connect = Callable[..., ProxmoxClient]
Serve = Callable[..., TestServer]
Nobody = Callable[[], str]
VERSION = {"version": "9.2.11", "release": "9.2"}
UPID = "UPID:pve1:000003F0:05265D31:6B034AA2:qmshutdown:100:pvectl@pve!ops:"
GUEST = Guest(vmid=100, type="qemu", node="pve1", status="running")
BODY = b'{"data":{"version":"9.2.11","release":"9.2"}}'
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


@pytest.fixture
def nobody() -> Iterator[Nobody]:
    """`nobody()` -> another address nobody listens at."""
    with ExitStack() as held:

        def somewhere() -> str:
            # bound, and never listening: nobody else can be given the port either
            sock = held.enter_context(socket.socket())
            sock.bind(("127.0.0.1", 0))
            return f"http://127.0.0.1:{sock.getsockname()[1]}"

        yield somewhere


def _writes(client: ProxmoxClient) -> list[Callable[[], Any]]:
    return [
        lambda: client.shutdown(GUEST, timeout=60, force_stop=False),
        lambda: client.start(GUEST),
        lambda: client.set_tags(GUEST, tags=("a", "b"), digest="d" * 40),
    ]


# reading: again, within bounds


@pytest.mark.parametrize(
    "fault",
    [
        resets(),
        resets(b"HTTP/1.1 200 OK\r\nContent-Le"),
        sends(b""),
        sends(WHOLE[:-5]),
        says(status="502 Bad Gateway"),
        says(status="503 Service Unavailable"),
        says(status="504 Gateway Timeout"),
        says(status="595 Connection refused"),
        says(status="596 Connection timed out"),
        says(status="599 Too many redirections"),
    ],
    ids=["reset", "reset in the head", "closed", "truncated", "502", "503", "504", "595", "596", "599"],
)
def test_a_question_is_asked_again_after_a_fault_that_passes(connect: Connect, fault: Script) -> None:
    with Listener(fault, says(VERSION)) as server:
        assert connect(server.url).version().version == "9.2.11"
        assert len(server.received) == 2


def test_a_question_is_asked_three_times_and_no_more(connect: Connect) -> None:
    with Listener(resets()) as server:
        with pytest.raises(Unavailable, match="closed the connection without an answer"):
            connect(server.url).version()
        assert len(server.received) == 3


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (says(status="401 No ticket"), AuthenticationFailed),
        (says(status="500 nope"), ApiRefusal),
        (says(status="501 not implemented"), ApiRefusal),
        (says(status="302 Found", headers="Location: /elsewhere\r\n"), ProtocolError),
        (says(body=b"<html>", headers="Content-Type: text/html\r\n"), ProtocolError),
        (says(body=b"{}"), ProtocolError),
        (says(body=b'{"data":NaN}'), ProtocolError),
        (sends(b"SSH-2.0-OpenSSH_9.2p1\r\n"), ProtocolError),
    ],
)
def test_an_answer_that_will_not_change_is_not_asked_for_again(connect: Connect, answer: Script, error: type[PvectlError]) -> None:
    with Listener(answer) as server:
        with pytest.raises(error):
            connect(server.url).version()
        assert len(server.received) == 1


def test_a_connection_is_kept_for_the_next_question(connect: Connect) -> None:
    with Listener(says(VERSION)) as server:
        client = connect(server.url)
        for _ in range(5):
            client.version()
        assert (server.connections, len(server.received)) == (1, 5)


def test_a_kept_connection_that_the_server_has_closed_is_no_fault(connect: Connect) -> None:
    with Listener(says(VERSION, keep=False)) as server:
        client = connect(server.url)
        for _ in range(5):
            client.version()
        assert (server.connections, len(server.received)) == (5, 5)


def test_an_answer_nobody_asked_for_is_never_taken_for_the_next_one(connect: Connect) -> None:
    stray = WHOLE.replace(b"9.2.11", b"6.6.66")
    sent = threading.Event()

    def answers_again_later(sock: socket.socket, _request: bytes) -> bool:
        sock.sendall(WHOLE)
        sock.sendall(stray)
        sent.set()
        return True

    for answers_twice in (sends(WHOLE + stray, keep=True), answers_again_later):
        sent.clear()
        with Listener(answers_twice, says(VERSION)) as server:
            client = connect(server.url)
            assert client.version().version == "9.2.11"
            assert answers_twice is not answers_again_later or sent.wait(5)
            assert client.version().version == "9.2.11"
            assert server.connections == 2
        ProxmoxClient.reset_instance()


# hosts of one cluster

LAB = [
    {"type": "cluster", "name": "lab", "quorate": 1},
    {"type": "node", "name": "pve1", "online": 1},
    {"type": "node", "name": "pve2", "online": 1},
]


def _told(rows: list[dict[str, Any]]) -> Script:
    """Tells which cluster it belongs to, and the version to whoever asks for that."""
    nodes = [{"node": row["name"], "type": "node"} for row in rows if row["type"] == "node"]

    def play(sock: socket.socket, request: bytes) -> bool:
        return says(rows if b"/cluster/status" in request else nodes if b"/nodes " in request else VERSION)(sock, request)

    return play


class _Host(Listener):
    """A host that tells which cluster it belongs to until it falls ill, which it does at once and for good."""

    def __init__(self, rows: list[dict[str, Any]] = LAB, *, well: Script | None = None) -> None:
        self._now = well or _told(rows)
        super().__init__(self._play)

    def _play(self, sock: socket.socket, request: bytes) -> bool:
        return self._now(sock, request)

    def falls_ill(self, how: Script) -> None:
        self._now = how

    def asked(self, what: bytes) -> int:
        return sum(what in request.partition(b" HTTP/")[0] for request in self.received)


def test_a_dead_host_is_passed_over_and_remembered(connect: Connect, nobody: Nobody) -> None:
    with Listener(says(VERSION)) as server:
        client = connect(nobody(), server.url)
        assert [client.version().major for _ in range(3)] == [9, 9, 9]


def test_a_host_that_fails_is_not_tried_again_while_another_answers(connect: Connect) -> None:
    with Listener(says(VERSION), says(LAB), resets()) as one, Listener(_told(LAB)) as two:
        client = connect(one.url, two.url)
        client.version()
        client.version()
        tried = len(one.received)
        for _ in range(4):
            client.version()
        assert len(one.received) == tried


def test_one_request_asks_nobody_which_cluster_it_is(connect: Connect) -> None:
    with Listener(_told(LAB)) as one, Listener(_told(LAB)) as two:
        connect(one.url, two.url).version()
        assert (len(one.received), len(two.received)) == (1, 0)


def test_a_single_host_is_never_asked_which_cluster_it_is(connect: Connect) -> None:
    with Listener(_told(LAB)) as server:
        client = connect(server.url)
        for _ in range(3):
            client.version()
        assert len(server.received) == 3


def test_a_host_that_dies_is_replaced_by_another_of_the_same_cluster(connect: Connect) -> None:
    with Listener(_told(LAB)) as two:
        with Listener(_told(LAB)) as one:
            client = connect(one.url, two.url)
            client.version()
            client.version()
        assert client.version().major == 9
        assert [b"/cluster/status" in request for request in two.received] == [True, False]


@pytest.mark.parametrize(
    "other",
    [
        [{**LAB[0], "name": "prod"}, *LAB[1:]],
        [LAB[0], LAB[1], {**LAB[2], "name": "pve3"}],
        [{"type": "node", "name": "pve1", "online": 1}],
    ],
    ids=["name", "nodes", "standalone"],
)
def test_a_host_of_another_cluster_is_refused(connect: Connect, other: list[dict[str, Any]]) -> None:
    with Listener(_told(other)) as two:
        with Listener(_told(LAB)) as one:
            client = connect(one.url, two.url)
            client.version()
            client.version()
        for ask in (client.version, *_writes(client)):
            with pytest.raises(ConfigError, match="not of one cluster"):
                ask()
        assert all(request.startswith((b"GET /api2/json/cluster/status ", b"GET /api2/json/nodes ")) for request in two.received)


def test_hosts_that_do_not_show_their_cluster_are_compared_by_their_nodes(connect: Connect) -> None:
    def auditor(nodes: list[str]) -> Script:
        def play(sock: socket.socket, request: bytes) -> bool:
            if b"/cluster/status" in request:
                return says(status="403 Permission check failed (/, Sys.Audit)", keep=False)(sock, request)
            return says([{"node": node, "type": "node"} for node in nodes] if b"/nodes " in request else VERSION)(sock, request)

        return play

    with Listener(auditor(["pve1", "pve2"])) as same, Listener(auditor(["pve7"])) as other:
        for second, works in ((same, True), (other, False)):
            with Listener(auditor(["pve2", "pve1"])) as one:
                client = connect(one.url, second.url)
                client.version()
                client.version()
            if works:
                assert client.version().major == 9
            else:
                with pytest.raises(ConfigError):
                    client.version()
            ProxmoxClient.reset_instance()


def test_a_second_host_is_not_asked_when_the_first_never_told_its_cluster(connect: Connect) -> None:
    with Listener(_told(LAB)) as two:
        with Listener(says(VERSION)) as one:
            client = connect(one.url, two.url)
            client.version()
        with pytest.raises(Unavailable, match="before it told which cluster"):
            client.version()
        assert two.received == []


@pytest.mark.parametrize(
    "sick",
    [
        says(status="503 Service Unavailable"),
        says(status="500 oops"),
        says(body=b"<html>"),
        says(body=b'{"data":{}}'),
        sends(b"garbage\r\n\r\n"),
        resets(),
    ],
    ids=["503", "500", "html", "no list", "garbage", "reset"],
)
def test_a_second_host_that_cannot_tell_its_cluster_does_not_hide_the_third(connect: Connect, sick: Script) -> None:
    def well(sock: socket.socket, request: bytes) -> bool:
        return says(UPID)(sock, request) if request.startswith(b"POST") else _told(LAB)(sock, request)

    with _Host() as one, _Host(well=sick) as two, _Host(well=well) as three:
        client = connect(one.url, two.url, three.url)
        client.version()
        client.version()
        one.falls_ill(resets())
        assert client.version().major == 9
        assert client.shutdown(GUEST, timeout=60, force_stop=False).text == UPID
        assert (two.asked(b"/version"), two.asked(b"POST"), three.asked(b"POST")) == (0, 0, 1)


def test_a_node_one_host_cannot_reach_is_asked_of_the_third_when_the_second_is_sick(connect: Connect) -> None:
    def blocked(sock: socket.socket, request: bytes) -> bool:
        return says(status="595 Connection refused")(sock, request) if b"netstat" in request else _told(LAB)(sock, request)

    def reaches(sock: socket.socket, request: bytes) -> bool:
        return says([{"vmid": "100"}])(sock, request) if b"netstat" in request else _told(LAB)(sock, request)

    with _Host(well=blocked) as one, _Host(well=says(body=b"<html>")) as two, _Host(well=reaches) as three:
        assert connect(one.url, two.url, three.url).netstat("pve3") == {100}
        assert two.asked(b"netstat") == 0


@pytest.mark.parametrize("fault", [says(status="503 Service Unavailable"), says(status="500 oops"), says(body=b"<html>"), resets()])
def test_a_fault_that_passes_is_no_last_word_on_which_cluster_it_is(connect: Connect, fault: Script) -> None:
    turns = [fault]

    def play(sock: socket.socket, request: bytes) -> bool:
        if b"/cluster/status" in request and turns:
            return turns.pop()(sock, request)
        return _told(LAB)(sock, request)

    with _Host(well=play) as one, _Host() as two:
        client = connect(one.url, two.url)
        for _ in range(3):
            client.version()
        assert one.asked(b"/cluster/status") == 2
        one.falls_ill(resets())
        assert client.version().major == 9


def test_two_standalone_hosts_of_one_name_are_not_of_one_cluster(connect: Connect) -> None:
    def alone(certificate: str) -> Script:
        def play(sock: socket.socket, request: bytes) -> bool:
            if b"/nodes " in request:
                return says([{"node": "pve", "type": "node", "ssl_fingerprint": certificate}])(sock, request)
            return says([{"type": "node", "name": "pve", "online": 1}] if b"/cluster/status" in request else VERSION)(sock, request)

        return play

    with _Host(well=alone("AA:01")) as itself, _Host(well=alone("BB:02")) as other:
        for second, works in ((itself, True), (other, False)):
            with _Host(well=alone("AA:01")) as one:
                client = connect(one.url, second.url)
                client.version()
                client.version()
                one.falls_ill(resets())
                if works:
                    assert client.version().major == 9
                else:
                    for ask in (client.version, *_writes(client)):
                        with pytest.raises(ConfigError, match="not of one cluster"):
                            ask()
            ProxmoxClient.reset_instance()
        assert (other.asked(b"/version"), other.asked(b"POST"), other.asked(b"PUT")) == (0, 0, 0)


def test_two_questions_at_once_do_not_take_two_clusters_for_one(connect: Connect) -> None:
    both_here = threading.Event()
    turns = [resets()]

    def first(sock: socket.socket, request: bytes) -> bool:
        if b"/version" in request:
            if turns:
                return turns.pop()(sock, request)
            both_here.wait(0.3)  # the other, sent on to the second host, would be there by now
        return _told(LAB)(sock, request)

    def second(sock: socket.socket, request: bytes) -> bool:
        both_here.set()
        return _told([{**LAB[0], "name": "prod"}, *LAB[1:]])(sock, request)

    with _Host(well=first) as one, _Host(well=second) as two:
        client = connect(one.url, two.url)
        client.in_parallel([client.version, client.version])
        assert min(one.asked(b"/version") - 1, two.asked(b"/version")) == 0


def test_all_hosts_dead_are_all_named(connect: Connect, nobody: Nobody) -> None:
    hosts = (nobody(), nobody())
    with pytest.raises(Unavailable) as caught:
        connect(*hosts).version()
    told = ", ".join(host.removeprefix("http://") for host in hosts)
    assert caught.value.message == f"no API host answered: {told}: connection refused"


def test_a_node_that_one_host_cannot_reach_is_tried_from_one_other_only(connect: Connect) -> None:
    def down(sock: socket.socket, request: bytes) -> bool:
        answer = says(LAB) if b"/cluster/status" in request else says(status="595 Connection refused", keep=False)
        return answer(sock, request)

    with Listener(down) as one, Listener(down) as two, Listener(down) as three:
        with pytest.raises(NodeUnreachable, match="node pve3 cannot be reached") as caught:
            connect(one.url, two.url, three.url).netstat("pve3")
        assert sorted(sum(b"netstat" in request for request in server.received) for server in (one, two, three)) == [0, 1, 1]
    assert caught.value.subject == "node/pve3"


def test_a_node_seen_from_another_host_answers(connect: Connect) -> None:
    def split(reachable: bool) -> Script:
        def play(sock: socket.socket, request: bytes) -> bool:
            if b"netstat" in request and not reachable:
                return says(status="595 Connection refused", keep=False)(sock, request)
            return says(LAB if b"/cluster/status" in request else [{"vmid": "100"}] if b"netstat" in request else VERSION)(sock, request)

        return play

    with Listener(split(reachable=False)) as one, Listener(split(reachable=True)) as two:
        client = connect(one.url, two.url)
        client.version()
        assert client.netstat("pve3") == {100}


# writing: never twice


@pytest.mark.parametrize("which", [0, 1, 2], ids=["shutdown", "start", "tags"])
@pytest.mark.parametrize(
    "fault",
    [
        resets(),
        sends(b""),
        sends(WHOLE[:-5]),
        resets(WHOLE[:30]),
        says(status="502 Bad Gateway"),
        says(status="503 Service Unavailable"),
        says(status="504 Gateway Timeout"),
        says(status="596 Connection timed out"),
        says(status="599 Broken"),
        says(body=b"<html>", headers="Content-Type: text/html\r\n"),
        says(body=b"{}"),
        says(body=b'{"data":"x","data":"y"}'),
        sends(b"garbage\r\n\r\n"),
        says(status="204 No Content", body=b""),
        says(status="700 What"),
        says(status="408 Request Timeout"),
        says(status="505 HTTP Version Not Supported"),
        says(status="507 Insufficient Storage"),
        says(status="520 Web server returned an unknown error"),
        says(status="524 A timeout occurred"),
        says(status="527 Railgun error"),
        says(status="561 "),
    ],
    ids="reset,closed,truncated,reset in the head,502,503,504,596,599,html,no data,twice,garbage,204,700,408,505,507,520,524,527,561".split(","),  # noqa: SIM905, E501
)
def test_s24_a_write_whose_answer_is_lost_is_never_sent_again(connect: Connect, fault: Script, which: int) -> None:
    with Listener(fault) as server:
        client = connect(server.url)
        with pytest.raises(OutcomeUnknown, match="may or may not have happened") as caught:
            _writes(client)[which]()
        assert len(server.received) == 1
    assert caught.value.subject == "guest/100"
    assert caught.value.exit_code == 5


def test_s24_a_write_goes_to_another_host_only_before_a_byte_has_left(connect: Connect, nobody: Nobody) -> None:
    with Listener(says(UPID)) as server:
        assert connect(nobody(), server.url).shutdown(GUEST, timeout=60, force_stop=False).text == UPID
        assert len(server.received) == 1


def test_s24_a_write_lost_by_one_host_is_not_sent_to_the_next(connect: Connect) -> None:
    with Listener(resets()) as one, Listener(says(UPID)) as two:
        with pytest.raises(OutcomeUnknown):
            connect(one.url, two.url).shutdown(GUEST, timeout=60, force_stop=False)
        assert (len(one.received), len(two.received)) == (1, 0)


def test_s24_an_answer_that_is_no_task_id_leaves_the_outcome_unknown(connect: Connect) -> None:
    with Listener(says("done")) as server:
        with pytest.raises(OutcomeUnknown, match="not the id of a task"):
            connect(server.url).shutdown(GUEST, timeout=60, force_stop=False)
        assert len(server.received) == 1


@pytest.mark.parametrize(
    "task",
    [
        "UPID:pve1:000003F0:05265D31:6B034AA2:qmdestroy:200:pvectl@pve!ops:",
        "UPID:pve1:000003F0:05265D31:6B034AA2:qmshutdown:200:pvectl@pve!ops:",
        "UPID:pve2:000003F0:05265D31:6B034AA2:qmshutdown:100:pvectl@pve!ops:",
        "UPID:pve1:000003F0:05265D31:6B034AA2:qmstop:100:pvectl@pve!ops:",
        "UPID:pve1:000003F0:05265D31:6B034AA2:vzshutdown:100:pvectl@pve!ops:",
        "UPID:pve1:000003F0:05265D31:6B034AA2:qmshutdown::pvectl@pve!ops:",
    ],
    ids=["another guest's end", "another guest", "another node", "another verb", "another kind", "nobody"],
)
def test_s20_the_task_of_somebody_else_is_not_taken_for_ours(connect: Connect, task: str) -> None:
    with Listener(says(task)) as server, pytest.raises(OutcomeUnknown, match="another's") as caught:
        connect(server.url).shutdown(GUEST, timeout=60, force_stop=False)
    assert caught.value.subject == "guest/100"


@pytest.mark.parametrize(
    ("kind", "verb", "work"),
    [
        ("qemu", "start", "qmstart"),
        ("qemu", "start", "hastart"),
        ("qemu", "shutdown", "hastop"),
        ("lxc", "start", "vzstart"),
        ("lxc", "start", "hastart"),
        ("lxc", "shutdown", "vzshutdown"),
        ("lxc", "shutdown", "hastop"),
    ],
)
def test_a_guest_is_started_and_shut_down_by_its_own_kind_of_task_or_by_the_ha_manager(
    connect: Connect, kind: str, verb: str, work: str
) -> None:
    guest = Guest(vmid=100, type=kind, node="pve1", status="running")
    with Listener(says(UPID.replace("qmshutdown", work))) as server:
        client = connect(server.url)
        upid = client.start(guest) if verb == "start" else client.shutdown(guest, timeout=60, force_stop=False)
        assert upid.type == work


def test_nobody_there_for_a_write_is_known_to_have_done_nothing(connect: Connect, nobody: Nobody) -> None:
    with pytest.raises(Unavailable, match="connection refused"):
        connect(nobody()).start(GUEST)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("595 Connection refused", NodeUnreachable),
        ("400 Parameter verification failed.", ApiRefusal),
        ("500 VM is locked (backup)", ApiRefusal),
        ("501 Method 'POST /x' not implemented", ApiRefusal),
        ("506 Unsupported content", ApiRefusal),
        ("308 Permanent Redirect", ProtocolError),
    ],
)
def test_a_refusal_of_a_write_is_no_unknown_outcome(connect: Connect, status: str, error: type[PvectlError]) -> None:
    with Listener(says(status=status, headers="Location: https://elsewhere/\r\n")) as server:
        with pytest.raises(error):
            connect(server.url).start(GUEST)
        assert len(server.received) == 1


def test_a_write_takes_no_connection_that_has_rested_for_two_seconds(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    def play(sock: socket.socket, request: bytes) -> bool:
        return says(UPID if request.startswith(b"POST") else VERSION)(sock, request)

    with Listener(play) as server:
        client = connect(server.url)
        client.version()
        client.shutdown(GUEST, timeout=None, force_stop=False)
        assert server.connections == 1
        monkeypatch.setattr("pvectl.pve.line.Line.idle_for", lambda _: 2.1)
        client.shutdown(GUEST, timeout=None, force_stop=False)
        assert server.connections == 2
        client.version()
        assert server.connections == 2
        monkeypatch.setattr("pvectl.pve.line.Line.idle_for", lambda _: 4.1)
        client.version()
        assert server.connections == 3


def test_s18_a_reading_run_sends_no_write_at_all(connect: Connect) -> None:
    with Listener(says(UPID)) as server:
        client = connect(server.url, read_only=True)
        for write in _writes(client):
            with pytest.raises(WriteForbidden, match="only reads"):
                write()
        assert server.connections == 0


# the end


SLOW = [
    ("silence", hangs()),
    ("silence in the head", hangs(WHOLE[:20])),
    ("silence in the body", hangs(WHOLE[:-10])),
    ("dripping head", drips(WHOLE, every_s=0.05)),
    ("dripping endless head", drips(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 10_000, every_s=0.05)),
    ("dripping body", drips(WHOLE[:40] + b"\r\n\r\n" + b" " * 10_000, every_s=0.05)),
    ("continue for ever", drips(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, every_s=0.05)),
]


@pytest.mark.parametrize("script", [script for _, script in SLOW], ids=[name for name, _ in SLOW])
@pytest.mark.slow
def test_s29_a_question_ends_by_the_deadline_whatever_the_server_does(connect: Connect, script: Script) -> None:
    with Listener(script) as server:
        client = connect(server.url, deadline=0.25)
        begun = time.monotonic()
        with pytest.raises(DeadlineExceeded, match="may take"):
            client.version()
        # not a figure of speed: a read time-out is 35 s, a drip has none
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize("script", [script for _, script in SLOW], ids=[name for name, _ in SLOW])
@pytest.mark.slow
def test_s29_a_write_ends_by_the_deadline_and_its_outcome_is_unknown(connect: Connect, script: Script) -> None:
    with Listener(script) as server:
        # time enough for the request to leave, on any machine
        client = connect(server.url, deadline=1)
        with pytest.raises(OutcomeUnknown):
            client.start(GUEST)
        assert len(server.received) == 1


def test_s29_a_deadline_that_has_passed_sends_nothing(connect: Connect) -> None:
    with Listener(says(UPID)) as server:
        client = connect(server.url, deadline=0)
        for ask in (client.version, *_writes(client)):
            with pytest.raises(DeadlineExceeded):
                ask()
        assert server.connections == 0


def test_s29_a_resolver_that_hangs_is_left_behind(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    done = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_args, **_kwargs: done.wait(60) and [])
    with pytest.raises(DeadlineExceeded):
        connect("pve1.lan", deadline=0.2).version()
    done.set()


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1),
        b"Content-Length: 999999999999999999999\r\n\r\n",
        b"\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n1000000000\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\n",
        b"Content-Length: 10\r\nContent-Length: 20\r\n\r\n",
        b"X: " + b"y" * 70_000 + b"\r\n\r\n",
        b"X: y\r\n" * 20_000 + b"\r\n",
        b"X: y\r\n" * 200 + b"\r\n",
    ],
    ids=["length", "absurd length", "endless", "chunked", "gzip", "two lengths", "long header", "flood", "many headers"],
)
@pytest.mark.slow
def test_s29_an_answer_without_measure_is_refused(connect: Connect, head: bytes) -> None:
    flood = b"[" + b"0," * 10_000_000

    def play(sock: socket.socket, _request: bytes) -> bool:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + head + flood)
        return False

    with Listener(play) as server, pytest.raises(ProtocolError):
        connect(server.url).version()


@pytest.mark.slow
def test_s29_an_answer_in_tiny_pieces_takes_no_more_memory_than_one_in_a_piece(connect: Connect) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    size = 512 << 10
    pieces = head + b"2\r\n  \r\n" * (size // 2) + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    with Listener(sends(pieces)) as server:
        client = connect(server.url)
        tracemalloc.start()
        try:
            assert client.version().major == 9
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 6 * size


def test_headers_are_bounded_as_a_whole(connect: Connect) -> None:
    head = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 5000) for number in range(90))
    whole = WHOLE.replace(b"Content-Length", head + b"Content-Length")
    with Listener(sends(whole)) as server, pytest.raises(ProtocolError, match="headers are larger"):
        connect(server.url).version()


def test_a_compressed_answer_is_refused_though_its_content_be_right(connect: Connect) -> None:
    with Listener(says(VERSION, headers="Content-Encoding: gzip\r\n")) as server, pytest.raises(ProtocolError, match="compressed"):
        connect(server.url).version()


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.integers(0, len(WHOLE)),
    gone=st.integers(0, 40),
    put=st.binary(max_size=12)
    | st.sampled_from([b"\r\n", b"\r\n\r\n", b":", b"HTTP/1.1 100 Continue\r\n\r\n", b"Transfer-Encoding: chunked\r\n"]),
)
def test_whatever_bytes_come_the_end_is_the_answer_or_an_error_with_an_exit_code(connect: Connect, at: int, gone: int, put: bytes) -> None:
    with Listener(sends(WHOLE[:at] + put + WHOLE[at + gone :])) as server:
        client = connect(server.url, deadline=5)
        (ended,) = client.in_parallel([client.version])
        ProxmoxClient.reset_instance()
    if isinstance(ended, PvectlError):
        assert ended.exit_code in (1, 69, 76, 77)
        assert ended.message.isprintable()


def test_no_redirect_is_followed(connect: Connect) -> None:
    with Listener(says(VERSION)) as trap:
        for status in ("301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"):
            with Listener(says(status=status, headers=f"Location: {trap.url}/api2/json/version\r\n")) as server:
                with pytest.raises(ProtocolError, match="redirect"):
                    connect(server.url).version()
                ProxmoxClient.reset_instance()
        assert trap.connections == 0


# what is sent


def test_whoever_watches_is_told_of_every_request_and_of_no_secret() -> None:
    seen: list[Exchange] = []
    with Listener(resets(), says([])) as server:
        connection = Connection(
            cluster="lab", hosts=(server.url,), token_id="pvectl@pve!ops", token=Secret("c4n4ry"), allow_http_loopback=True
        )
        with ProxmoxClient.get_instance(connection, on_exchange=seen.append) as client:
            client.guests()
        assert [(one.method, one.path, one.host, one.status) for one in seen] == [
            ("GET", "/api2/json/cluster/resources?type=vm", server.host, status) for status in (None, 200)
        ]
    assert "c4n4ry" not in repr(seen)


def test_a_request_says_no_more_than_it_must(connect: Connect) -> None:
    with Listener(says(None)) as server:
        connect(server.url).set_tags(GUEST, tags=("b;x", "a=1"), digest="d1")
        head, _, body = server.received[0].partition(b"\r\n\r\n")
    assert body == b"tags=b%3Bx%3Ba%3D1&digest=d1"
    first, *headers = head.decode().split("\r\n")
    assert first == "PUT /api2/json/nodes/pve1/qemu/100/config HTTP/1.1"
    names = [line.partition(":")[0] for line in headers]
    assert names == ["Host", "Authorization", "Accept", "Accept-Encoding", "User-Agent", "Content-Type", "Content-Length"]
    assert "Accept-Encoding: identity" in headers


def test_no_tags_at_all_delete_the_option(connect: Connect) -> None:
    with Listener(says(None)) as server:
        connect(server.url).set_tags(GUEST, tags=(), digest="d1")
        assert server.received[0].endswith(b"\r\n\r\ndelete=tags&digest=d1")


def test_a_question_carries_its_parameters_in_the_path_and_has_no_body(connect: Connect) -> None:
    with Listener(says([])) as server:
        connect(server.url).guests()
        assert server.received[0].startswith(b"GET /api2/json/cluster/resources?type=vm HTTP/1.1\r\n")
        assert b"Content-Length" not in server.received[0]


def test_threads_have_a_connection_each_and_answers_stay_in_order(connect: Connect) -> None:
    together = threading.Barrier(8, timeout=20)

    def play(sock: socket.socket, request: bytes) -> bool:
        together.wait()
        node = request.split(b"/")[4].decode().removeprefix("n")
        return says({"time": int(node)})(sock, request)

    with Listener(play) as server:
        client = connect(server.url)
        answers = client.in_parallel([partial(client.node_time, f"n{number}") for number in range(16)], workers=50)
        assert answers == list(range(16))
        assert server.connections == 8


def test_errors_of_parallel_calls_are_values_and_anything_else_is_raised(connect: Connect) -> None:
    with Listener(says({"time": 5})) as server:
        client = connect(server.url)
        answers = client.in_parallel([lambda: client.node_time("pve1"), lambda: client.node_time("../x")])
        assert answers[0] == 5
        assert isinstance(answers[1], ProtocolError)
        with pytest.raises(ZeroDivisionError):
            client.in_parallel([lambda: 1 // 0, lambda: 2])
        assert client.in_parallel([]) == []
