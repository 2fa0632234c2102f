"""Faults of the connection do on the wire what their names say."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPException, IncompleteRead, RemoteDisconnected

import pytest

from pvectl.sim.server import SimServer
from pvectl.sim.wire import Answer
from tests.sim.echo import GET, POST, Echo, ask, client, connect, get, read_all
from tests.support.servers import TlsFiles


def receive(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (more := sock.recv(count - len(data))):
        data += more
    return data


def receive_until_silence(sock: socket.socket, ends: bytes) -> bytes:
    """What comes up to this end of it; fails when the peer closes, or says more."""
    said = b""
    while not said.endswith(ends):
        more = sock.recv(4096)
        assert more, f"the connection ended after {said!r}"
        said += more
    sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        sock.recv(1)
    return said


def test_refuse_with_a_count_resets_that_many_connections(server: SimServer) -> None:
    server.fault("refuse", times=1)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        get(server)
    assert get(server).status == 200


def test_mute_never_says_a_word_and_ends_with_the_client(server: SimServer, tls_files: TlsFiles) -> None:
    rule = server.fault("mute", times=1)
    with connect(server, GET) as sock:
        sock.settimeout(0.2)
        assert rule.struck.wait(5)
        with pytest.raises(TimeoutError):
            sock.recv(1)
    assert server.requests == []


def test_slow_accept_and_latency_only_delay(server: SimServer) -> None:
    slow = server.fault("slow_accept", seconds=0.01, times=1)
    late = server.fault("latency", seconds=0.01, times=1)
    server.fault("status", code=502, times=1)
    assert [get(server).status for _ in range(2)] == [502, 200]
    assert (slow.hits, late.hits) == (1, 1)


@pytest.mark.parametrize("how", ["fin", "rst"])
def test_close_idle_ends_a_kept_connection_as_the_next_request_comes(server: SimServer, echo: Echo, how: str) -> None:
    server.fault("close_idle", how=how, times=1)
    with closing(client(server)) as conn:
        assert ask(conn, "GET", "/first").status == 200
        with pytest.raises((RemoteDisconnected, ConnectionResetError)):
            ask(conn, "POST", "/second")
    assert [request.path for request in echo.asked] == ["/first"]
    assert [(record.path, record.status, record.executed) for record in server.writes()] == [("/second", None, False)]


@pytest.mark.parametrize(("after", "ends"), [("request", b""), ("headers", b"\r\n\r\n"), ("body", b'{"data":{"me')])
@pytest.mark.slow
def test_hang_says_so_much_and_no_more(server: SimServer, echo: Echo, after: str, ends: bytes) -> None:
    echo.answers["/version"] = Answer(data={"method": "GET"})
    rule = server.fault("hang", after=after)
    with connect(server, GET) as sock:
        assert rule.struck.wait(5)
        said = receive_until_silence(sock, ends)
    assert bool(said) == (after != "request")
    assert [record.executed for record in server.requests] == [after != "request"]


def test_a_hung_request_may_have_been_carried_out(server: SimServer, echo: Echo) -> None:
    rule = server.fault("hang", execute=True)
    with connect(server, POST):
        assert rule.struck.wait(5)
    server.close()
    assert [request.method for request in echo.asked] == ["POST"]


@pytest.mark.parametrize("execute", [True, False])
def test_a_lost_answer_differs_from_a_lost_request(server: SimServer, echo: Echo, execute: bool) -> None:
    server.fault("reset", execute=execute)
    with connect(server, POST) as sock, pytest.raises(ConnectionResetError):
        read_all(sock)
    assert len(echo.asked) == (1 if execute else 0)
    assert [record.executed for record in server.writes()] == [execute]


def test_reset_comes_after_so_many_bytes(server: SimServer) -> None:
    server.fault("reset", after=20)
    with connect(server, GET) as sock:
        assert receive(sock, 20) == b"HTTP/1.1 200 OK\r\nCac"
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


@pytest.mark.parametrize("where", ["head", "body"])
def test_drip_sends_the_true_answer_in_small_pieces(server: SimServer, where: str) -> None:
    server.fault("drip", where=where, interval=0.0)
    assert get(server).json["data"]["path"] == "/version"


def test_drip_waits_between_the_pieces(server: SimServer) -> None:
    server.fault("drip", where="head", interval=60)
    with connect(server, GET) as sock:
        assert sock.recv(100) == b"H"
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)


@pytest.mark.parametrize("keep", [None, 0, 5, 100_000])
def test_truncate_promises_more_than_it_sends(server: SimServer, keep: int | None) -> None:
    server.fault("truncate", keep=keep)
    with pytest.raises(IncompleteRead):
        get(server)


def test_truncate_without_a_length_looks_complete(server: SimServer) -> None:
    server.fault("truncate", keep=7, length=False)
    reply = get(server)
    assert (reply.body, reply.headers["Content-Length"]) == (b'{"data"', None)


@pytest.mark.parametrize("length", [True, False])
def test_huge_is_valid_json_of_that_size(server: SimServer, length: bool) -> None:
    server.fault("huge", size=3_000_000, length=length)
    reply = get(server)
    assert len(reply.body) == 3_000_000
    assert reply.headers["Content-Length"] == ("3000000" if length else None)
    assert set(reply.json["data"]) == {"x"}


def test_huge_stops_when_the_client_has_enough(server: SimServer) -> None:
    server.fault("huge")
    with connect(server, GET) as sock:
        assert sock.recv(100)
    server.close()


def test_garbage_is_no_http(server: SimServer) -> None:
    server.fault("garbage")
    with pytest.raises(HTTPException):
        get(server)


def test_headers_may_flood(server: SimServer) -> None:
    server.fault("header_flood", limit=200_000)
    with pytest.raises(HTTPException):
        get(server)


def test_one_header_line_may_be_endless(server: SimServer) -> None:
    server.fault("header_flood", of="line")
    with pytest.raises(HTTPException):
        get(server)


def test_100_continue_may_come_again_and_again(server: SimServer) -> None:
    server.fault("header_flood", of="continue", limit=10_000)
    with connect(server, GET) as sock:
        said = read_all(sock)
    assert set(said.split(b"\r\n\r\n")) == {b"HTTP/1.1 100 Continue", b""}
    assert len(said) >= 10_000


@pytest.mark.parametrize(
    ("how", "lengths"), [("short", ["half"]), ("long", ["more"]), ("negative", ["-5"]), ("text", ["many"]), ("two", ["half", "true"])]
)
def test_a_content_length_may_lie(server: SimServer, echo: Echo, how: str, lengths: list[str]) -> None:
    echo.answers["/version"] = Answer(data="x" * 88)
    server.fault("wrong_length", how=how)
    with connect(server, GET) as sock:
        said = b""
        while not said.endswith(b'"}'):
            said += sock.recv(4096)
    head, _, body = said.partition(b"\r\n\r\n")
    named = {"true": str(len(body)), "half": str(len(body) // 2), "more": str(len(body) + 10)}
    assert [line.partition(": ")[2] for line in head.decode().split("\r\n") if line.startswith("Content-Length")] == [
        named.get(word, word) for word in lengths
    ]


def test_an_answer_nobody_asked_for_follows_the_true_one(server: SimServer) -> None:
    server.fault("extra_answer", times=1)
    with connect(server, GET) as sock:
        said = b""
        while not said.endswith(b'{"data":[]}'):
            piece = sock.recv(4096)
            assert piece, said
            said += piece

    assert said.count(b"HTTP/1.1 200 OK") == 2


@pytest.fixture
def secure(echo: Echo, tls_files: TlsFiles) -> Iterator[SimServer]:
    with SimServer(echo, certfile=tls_files.cert_file, keyfile=tls_files.key_file) as running:
        yield running


def tls_get(server: SimServer, tls_files: TlsFiles) -> bytes:
    """All a TLS client gets that, unlike http.client, minds a missing goodbye."""
    context = ssl.create_default_context(cafile=tls_files.ca_file)
    with (
        socket.create_connection(("127.0.0.1", server.port()), timeout=5) as sock,
        context.wrap_socket(sock, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as tls,
    ):
        tls.sendall(GET)
        said = b""
        while data := tls.recv(65536):
            said += data
        return said


def test_over_tls_a_cut_answer_ends_with_a_goodbye_or_without(secure: SimServer, tls_files: TlsFiles) -> None:
    secure.fault("truncate", keep=3, times=1)
    secure.fault("truncate", keep=3, notify=False)
    assert tls_get(secure, tls_files).endswith(b'\r\n\r\n{"d')
    with pytest.raises(ssl.SSLEOFError):
        tls_get(secure, tls_files)


def test_over_tls_a_reset_is_no_goodbye(secure: SimServer, tls_files: TlsFiles) -> None:
    secure.fault("reset", after=10)
    # Python 3.11 calls a reset in the middle of a TLS stream an EOF in violation of protocol
    with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
        tls_get(secure, tls_files)


def test_over_tls_a_refused_or_mute_connection_has_no_handshake(secure: SimServer, tls_files: TlsFiles) -> None:
    secure.fault("refuse", times=1)
    with pytest.raises((ConnectionError, ssl.SSLError)):
        tls_get(secure, tls_files)
    rule = secure.fault("mute")
    with connect(secure, b"") as sock:
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            ssl.create_default_context(cafile=tls_files.ca_file).wrap_socket(sock, server_hostname="127.0.0.1")
    assert rule.struck.wait(5)
    assert (secure.counters.connections, secure.counters.handshakes, secure.counters.authorization_bytes) == (2, 0, 0)
