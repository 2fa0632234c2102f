"""One listener per node, what is recorded of each request, the way down, and `python -m pvectl.sim`."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from pvectl.sim.record import token_id
from pvectl.sim.server import SimServer
from pvectl.sim.wire import Answer, Request
from tests.sim.echo import GET, TOKEN, Echo, ask, call, client, connect
from tests.support.servers import TestServer, TlsFiles, serving


def is_over(sock: socket.socket) -> bool:
    """Whether the node ends the connection, with FIN or RST; fails with TimeoutError when it does not."""
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_every_node_has_a_port_of_its_own_on_loopback(server: SimServer) -> None:
    assert server.nodes == ("pve1", "pve2")
    assert len({server.host(node) for node in server.nodes}) == 2
    assert {call(server, "GET", "/x", node=node).json["data"]["node"] for node in server.nodes} == {"pve1", "pve2"}
    assert server.url() == f"http://127.0.0.1:{server.port('pve1')}" == f"http://{server.host()}"


def test_a_node_without_power_refuses_and_comes_back_on_the_same_port(server: SimServer, echo: Echo) -> None:
    address = server.host("pve2")
    echo.states["pve2"] = "refuses"
    server.sync()
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            connect(server, node="pve2").close()
    echo.states["pve2"] = "up"
    assert server.host("pve2") == address
    assert call(server, "GET", "/version", node="pve2").status == 200


def test_the_watcher_sees_a_node_go_down_without_being_told(server: SimServer, echo: Echo) -> None:
    with connect(server, node="pve2") as sock:
        while not server.connections:
            time.sleep(0.01)
        echo.states["pve2"] = "refuses"
        assert is_over(sock), "an open connection ends when the power goes"
    # the port goes right after the connections
    with pytest.raises(ConnectionRefusedError):  # noqa: PT012
        while True:
            connect(server, node="pve2").close()


def test_a_request_that_switches_a_node_off_closes_its_port_before_the_next_one(echo: Echo) -> None:
    def switch_off(request: Request) -> Answer:
        if request.method == "POST":
            echo.states["pve2"] = "refuses"
        return Answer()

    echo.answer = switch_off  # type: ignore[method-assign]
    with SimServer(echo) as server, closing(client(server)) as conn:
        ask(conn, "POST", "/nodes/pve2/status")
        ask(conn, "GET", "/version")
        with pytest.raises(ConnectionRefusedError):
            connect(server, node="pve2").close()


def test_a_hanging_node_takes_connections_and_says_nothing(server: SimServer, echo: Echo) -> None:
    with closing(client(server)) as kept:
        ask(kept, "GET", "/version")
        echo.states["pve1"] = "hangs"
        kept.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            ask(kept, "GET", "/version")
        with connect(server) as sock:
            sock.settimeout(0.2)
            sock.sendall(GET)
            with pytest.raises(TimeoutError):
                sock.recv(1)
    assert call(server, "GET", "/version", node="pve2").status == 200


def test_a_request_is_recorded_with_everything_but_the_secret(server: SimServer, echo: Echo) -> None:
    before = echo.clock.now()
    call(server, "POST", "/access/ticket?a=1", body="username=root%40pam&password=hunter2")
    record = server.requests[0]
    assert (record.method, record.path, record.node, record.status, record.executed) == ("POST", "/access/ticket", "pve1", 200, True)
    assert record.params == {"a": "1", "username": "root@pam", "password": "***"}
    assert (record.token_id, record.authorization_bytes) == ("root@pam!full", len(f"PVEAPIToken={TOKEN}"))
    assert before <= record.at <= echo.clock.now()
    secret = TOKEN.partition("=")[2]
    assert secret not in repr(server.requests) + repr(server.connections) + repr(server.counters)
    assert "hunter2" not in repr(server.requests)


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, None),
        (f"PVEAPIToken={TOKEN}", "root@pam!full"),
        (f"PVEAPIToken {TOKEN}", "root@pam!full"),
        (f"PVEAPIToken={TOKEN.replace('@', '%40').replace('!', '%21')}", "root@pam!full"),
        (f"PVEAPIToken={TOKEN.replace('=', ':')}", None),
        ("PVEAPIToken=11111111-1111-4111-8111-111111111111", None),
        ("Bearer 11111111-1111-4111-8111-111111111111", None),
    ],
)
def test_what_does_not_look_like_a_token_id_is_not_recorded_as_one(header: str | None, found: str | None) -> None:
    assert token_id(header) == found


def test_one_get_and_no_write_can_be_said(server: SimServer) -> None:
    call(server, "GET", "/cluster/resources?type=vm")
    assert ([str(record) for record in server.reads()], server.writes()) == (["GET /cluster/resources -> 200"], [])
    call(server, "DELETE", "/x")
    assert [record.method for record in server.writes()] == ["DELETE"]
    server.clear()
    assert server.requests == []
    assert (server.counters.requests, server.counters.connections) == (2, 2)


def test_a_connection_without_a_request_is_counted_too(server: SimServer) -> None:
    connect(server).close()
    call(server, "GET", "/version")
    assert (server.counters.connections, server.counters.requests) == (2, 1)
    assert [record.received > 0 for record in server.connections] == [False, True]


def test_many_clients_are_served_at_once(server: SimServer) -> None:
    found: list[int] = []

    def work() -> None:
        with closing(client(server)) as conn:
            found.extend(ask(conn, "GET", f"/{number}").status for number in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found.count(200), len(server.requests), len({record.connection for record in server.requests})) == (400, 400, 8)


def test_closing_ends_hung_and_idle_connections_and_every_thread(echo: Echo) -> None:
    server = SimServer(echo).start()
    rule = server.fault("hang")
    with connect(server) as hung, connect(server, node="pve2") as idle:
        hung.sendall(GET)
        assert rule.struck.wait(5)
        server.close()
        assert is_over(hung)
        assert is_over(idle)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pvesim")] == []
    server.close()


def test_closing_does_not_wait_for_a_slow_answer() -> None:
    echo = Echo(speed=0.001)
    server = SimServer(echo).start()
    with connect(server) as sock:
        sock.sendall(b"GET /api2/json/version HTTP/1.1\r\n\r\n")
        while not server.requests:
            time.sleep(0.01)
        server.close()
        assert is_over(sock)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1: Address already in use"):
            SimServer(Echo(), nodes={"pve1": port}).start()


def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing")
    with pytest.raises(ValueError, match=r"certificate .*cert\.pem: no PEM certificate"):
        SimServer(Echo(), certfile=tmp_path / "cert.pem")
    with pytest.raises(ValueError, match=r"certificate .*nosuch\.pem: No such file"):
        SimServer(Echo(), certfile=tmp_path / "nosuch.pem")


def test_a_real_scenario_is_served_with_a_token_that_opens_it(serve: Callable[..., TestServer], tls_files: TlsFiles) -> None:
    server = serve({"nodes": {"pve1": {}, "pve2": {"status": "offline"}}, "guests": [{"vmid": 100}]}, tls=True)
    with closing(client(server, ca_file=tls_files.ca_file)) as conn:
        conn.request("GET", "/api2/json/nodes/pve1/qemu", headers=server.authorization)
        response = conn.getresponse()
        assert response.status == 200
        assert [guest["vmid"] for guest in json.loads(response.read())["data"]] == [100]
    with pytest.raises(ConnectionRefusedError):
        connect(server, node="pve2").close()
    der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", server.port()), ca_certs=str(tls_files.ca_file)))
    assert re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", tls_files.fingerprint)
    assert tls_files.cert_file.read_text().startswith(ssl.DER_cert_to_PEM_cert(der).strip())


def test_a_node_switched_off_over_the_api_refuses_until_it_is_woken() -> None:
    nodes = {"pve1": {}, "pve2": {"wakeonlan": "bc:24:11:00:00:02", "boot_s": 60}, "pve3": {}}
    with serving({"name": "lab", "nodes": nodes}, speed=0) as server:

        def post(path: str, body: str = "") -> int:
            with closing(HTTPConnection(server.host("pve1"), timeout=5)) as conn:
                conn.request("POST", f"/api2/json{path}", body=body, headers=server.authorization)
                return conn.getresponse().status

        assert post("/nodes/pve2/status", "command=shutdown") == 200
        connect(server, node="pve2").close()
        server.cluster.clock.advance(600)
        server.sync()
        with pytest.raises(ConnectionRefusedError):
            connect(server, node="pve2").close()
        assert post("/nodes/pve2/wakeonlan") == 200
        server.cluster.clock.advance(120)
        server.sync()
        connect(server, node="pve2").close()


@contextmanager
def by_hand(*arguments: str, stdin: str = "") -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-X", "dev", "-m", "pvectl.sim", *arguments]
    pipe = subprocess.PIPE
    env = {"PATH": os.environ["PATH"]}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=env) as process:
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        process.stdin = None
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_by_hand_it_prints_a_curl_line_that_works_and_ends_quietly(number: int) -> None:
    scenario = {"nodes": {"n1": {"status": "offline"}, "n2": {}}, "tokens": {"root@pam!t1": {"secret": "s3cret", "privsep": 0}}}
    with by_hand("--scenario", "-", "--speed", "10", stdin=json.dumps(scenario)) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        assert re.fullmatch(r" +n1 +http://127\.0\.0\.1:\d+ +\(refuses\)\n", lines[1])
        assert lines[3] == "Token: root@pam!t1=s3cret\n"
        curl = re.fullmatch(r"curl -H 'Authorization: (.*)' (http://(127\.0\.0\.1:\d+)(/.*))\n", lines[4])
        assert curl is not None
        assert curl[3] in lines[2]
        with closing(HTTPConnection(curl[3], timeout=5)) as conn:
            conn.request("GET", curl[4], headers={"Authorization": curl[1]})
            assert conn.getresponse().status == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    assert (out, err, process.returncode) == ("", "", 0)


@pytest.mark.parametrize(
    ("arguments", "stdin", "text"),
    [
        (("--scenario", "/nosuch.json"), "", r"pvectl\.sim: /nosuch\.json: No such file or directory\n"),
        (("--scenario", "-"), "{", r"pvectl\.sim: - is no JSON: .*\n"),
        (("--scenario", "-"), "[]", r"pvectl\.sim: -: a scenario is an object, not a list\n"),
        (("--scenario", "-"), '{"node": {}}', r"pvectl\.sim: a scenario has no node;.*\n"),
        (("--scenario", "-"), '{"nodes": 3}', r"pvectl\.sim: the scenario does not fit: .*\n"),
        (("--cert", "/nosuch.pem"), "", r"pvectl\.sim: certificate /nosuch\.pem: No such file or directory\n"),
        (("--key", "/nosuch.pem"), "", r"pvectl\.sim: --key needs --cert\n"),
        (("--port", "99999"), "", r"usage: [\s\S]*a port is a number from 1 to 65535, not '99999'\n"),
        (("--speed", "-1"), "", r"usage: [\s\S]*a speed is 0 or more, not '-1'\n"),
        (("--recorded", "7.4"), "", r"usage: [\s\S]*invalid choice: '7\.4'.*\n"),
    ],
)
@pytest.mark.slow
def test_by_hand_bad_input_is_one_sentence_and_exit_2(arguments: tuple[str, ...], stdin: str, text: str) -> None:
    with by_hand(*arguments, stdin=stdin) as process:
        out, err = process.communicate(timeout=10)
    assert (out, process.returncode) == ("", 2)
    assert re.fullmatch(text, err), err


@pytest.mark.parametrize("arguments", [("--demo",), ("--recorded", "8.4"), ("--recorded", "9.2")])
@pytest.mark.slow
def test_by_hand_the_embedded_clusters_are_served(arguments: tuple[str, ...]) -> None:
    with by_hand(*arguments) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert first.startswith(f"A simulated Proxmox VE {arguments[1] if len(arguments) > 1 else '9.2'} cluster on loopback")
    assert (err, process.returncode) == ("", 0)


@pytest.mark.slow
def test_ten_thousand_guests_are_sent_in_one_piece(echo: Echo) -> None:
    rows = [{"vmid": number, "type": "qemu", "name": f"guest-{number}", "pad": "x" * 300} for number in range(10_000)]
    echo.answers["/cluster/resources"] = Answer(data=rows)
    with SimServer(echo) as server:
        assert call(server, "GET", "/cluster/resources").json == {"data": rows}


def test_a_broken_cluster_is_not_hidden(echo: Echo) -> None:
    def explode(request: Request) -> Answer:
        raise RuntimeError("the simulation is broken")

    echo.answer = explode  # type: ignore[method-assign]
    with SimServer(echo) as server:
        reply = call(server, "GET", "/version")
        assert (reply.status, reply.reason) == (500, "pvectl.sim failed: RuntimeError: the simulation is broken")
        with pytest.raises(RuntimeError, match="the simulation is broken"):
            server.close()


def test_a_client_that_leaves_in_the_middle_does_no_harm(server: SimServer, echo: Echo) -> None:
    echo.answers["/big"] = Answer(data="x" * 20_000_000)
    with connect(server) as sock:
        sock.sendall(GET.replace(b"/version", b"/big"))
        assert sock.recv(10)
    with connect(server) as sock:
        sock.sendall(b"PUT /api2/json/x HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc")
    with connect(server) as sock:
        sock.sendall(GET[:30])
    assert call(server, "GET", "/version").status == 200


def test_a_cluster_that_breaks_while_it_is_watched_is_not_hidden(echo: Echo) -> None:
    server = SimServer(echo).start()
    echo.states.clear()
    server.sync()
    with pytest.raises(KeyError, match="pve1"):
        server.close()


def test_a_server_that_never_started_is_closed_without_a_word(echo: Echo) -> None:
    SimServer(echo).close()


def test_records_do_not_grow_for_ever(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.sim.server._KEPT_RECORDS", 3)
    with SimServer(echo) as server, closing(client(server)) as conn:
        for number in range(5):
            ask(conn, "GET", f"/{number}")
        assert [record.path for record in server.requests] == ["/2", "/3", "/4"]
        assert server.counters.requests == 5
