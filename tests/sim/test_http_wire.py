"""pveproxy's manners on the wire: keep-alive, limits, refusals, compression, TLS (recorded on PVE 8.4 and 9.2)."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import time
import zlib
from contextlib import closing
from http.client import HTTPConnection, RemoteDisconnected

import pytest

from pvectl.sim.server import SimServer
from pvectl.sim.wire import Answer
from tests.sim.echo import AUTHORIZATION, TOKEN, Echo, ask, call, client, raw, read_all
from tests.support.servers import TlsFiles

TOKEN_LINE = f"Authorization: PVEAPIToken={TOKEN}\r\n".encode()


def test_an_answer_carries_pveproxys_headers(server: SimServer) -> None:
    reply = call(server, "GET", "/version")
    assert (reply.status, reply.reason) == (200, "OK")
    assert [name for name, _ in reply.headers.items()] == [
        "Cache-Control", "Connection", "Date", "Pragma", "Server", "Content-Length", "Content-Type", "Expires",
    ]  # fmt: skip
    assert reply.headers["Server"] == "pve-api-daemon/3.0"
    assert reply.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert reply.connection == ["Keep-Alive"]
    assert reply.json == {"data": {"method": "GET", "path": "/version", "params": {}, "node": "pve1"}}


def test_a_request_reaches_the_cluster_decoded(server: SimServer, echo: Echo) -> None:
    body = "tags=a%3Bb&vmid=1"
    call(server, "PUT", "/nodes/pve1%2Fqemu//101/config?vmid=2&_dc=9", body=body, Content_Type="application/x-www-form-urlencoded")
    request = echo.asked[-1]
    assert (request.method, request.path, dict(request.params)) == ("PUT", "/nodes/pve1/qemu/101/config", {"tags": "a;b", "vmid": "2"})
    assert request.authorization == AUTHORIZATION["Authorization"]
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


def test_a_connection_serves_a_hundred_requests(server: SimServer) -> None:
    with closing(client(server)) as conn:
        words = [ask(conn, "GET", "/version").connection for _ in range(100)]
    assert words == [["Keep-Alive"]] * 99 + [["close"]]
    assert {record.connection for record in server.requests} == {1}


def test_every_error_closes_the_connection(server: SimServer, echo: Echo) -> None:
    text = "Method 'GET /nosuch' not implemented"
    echo.answers["/nosuch"] = Answer(status=501, reason=text, message=text)
    with closing(client(server)) as conn:
        reply = ask(conn, "GET", "/nosuch")
        assert conn.sock is None
    assert reply.connection == ["close"]
    assert reply.reason == text
    assert reply.json == {"data": None, "message": text}


def test_an_answer_from_pvedaemon_carries_two_connection_headers(server: SimServer, echo: Echo) -> None:
    echo.answers["/nodes/pve1/qemu/101/status/current"] = Answer(data={}, proxied=True)
    with closing(client(server)) as conn:
        assert ask(conn, "GET", "/nodes/pve1/qemu/101/status/current").connection == ["close", "Keep-Alive"]
    # http.client believes the first of the two; the connection is open all the same
    request = b"GET /api2/json/nodes/pve1/qemu/101/status/current HTTP/1.1\r\n" + TOKEN_LINE
    said = raw(server, request + b"\r\n" + request + b"Connection: close\r\n\r\n")
    assert said.count(b"HTTP/1.1 200 OK") == 2


def test_an_idle_connection_is_closed_without_a_word(server: SimServer) -> None:
    server.idle_s = 0.5
    assert raw(server, b"") == b""
    assert raw(server, b"GET /api2/json/version HTTP/1.1\r\n" + TOKEN_LINE + b"\r\n").endswith(b"}}")


@pytest.mark.slow
def test_the_idle_time_is_five_seconds(server: SimServer) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port()), timeout=8) as sock:
        assert sock.recv(1) == b""
    # the node begins to count after we do; a millisecond for the kernel's rounding
    assert time.monotonic() - began > 4.999


def test_pipelined_requests_are_answered_in_order(server: SimServer) -> None:
    request = b"GET /api2/json/%d HTTP/1.1\r\n" + TOKEN_LINE
    said = raw(server, request % 1 + b"\r\n" + request % 2 + b"\r\n" + request % 3 + b"Connection: close\r\n\r\n")
    assert [said.index(b'"path":"/%d"' % number) for number in (1, 2, 3)] == sorted(said.index(b'"path":"/%d"' % n) for n in (1, 2, 3))
    assert said.count(b"Connection: Keep-Alive") == 2
    assert said.count(b"Connection: close") == 1


def test_a_request_may_arrive_byte_by_byte(server: SimServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port()), timeout=5) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"\r\nPUT /api2/json/x HTTP/1.1\r\n" + TOKEN_LINE + b"Content-Length: 3\r\nConnection: close\r\n\r\na=1":
            sock.send(bytes([byte]))
        assert read_all(sock).endswith(b'"params":{"a":"1"},"node":"pve1"}}')


def test_http_1_0_is_spoken_and_closed(server: SimServer) -> None:
    said = raw(server, b"GET /api2/json/version HTTP/1.0\r\n" + TOKEN_LINE + b"\r\n")
    assert said.startswith(b"HTTP/1.0 200 OK\r\nCache-Control: max-age=0\r\nConnection: close\r\n")


@pytest.mark.parametrize(
    ("data", "start", "end"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/1.0 506 http protocol version 2.0 not supported\r\n", b"2.0 not supported"),
        (b"hello\r\n", b"HTTP/1.0 400 bad request\r\n", b"\r\n\r\nbad request"),
        (b"TRACE /api2/json/version HTTP/1.1\r\n\r\n", b"HTTP/1.1 501 method 'TRACE' not available\r\n", b"\r\n\r\n"),
        (
            b"POST /api2/json/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            b"HTTP/1.1 501 chunked transfer encoding not supported\r\n",
            b"\r\n\r\nchunked transfer encoding not supported",
        ),
        (b"GET /nosuch HTTP/1.1\r\n\r\n", b"HTTP/1.1 500 no such file '/nosuch'\r\n", b"\r\n\r\nno such file '/nosuch'\n"),
        (b"GET /api2 HTTP/1.1\r\n\r\n", b"HTTP/1.1 501 no such uri\r\n", b"\r\n\r\nno such uri"),
        (b"GET /api2/xml/version HTTP/1.1\r\n" + TOKEN_LINE + b"\r\n", b"HTTP/1.1 501 no formatter for uri /version, xml\r\n", b", xml"),
    ],
)
def test_refusals_are_worded_as_recorded(server: SimServer, data: bytes, start: bytes, end: bytes) -> None:
    said = raw(server, data)
    assert said.startswith(start)
    assert said.endswith(end)
    assert b"Content-Type" not in said
    assert b"Connection: close" in said


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_body_with_get_or_delete_is_refused(server: SimServer, method: str) -> None:
    reply = call(server, method, "/version", body="a=1")
    assert (reply.status, reply.reason, reply.body) == (501, f"Unexpected content for method '{method}'", reply.reason.encode())


def test_a_body_over_half_a_megabyte_is_refused_even_while_it_is_still_sent(server: SimServer, echo: Echo) -> None:
    reply = call(server, "PUT", "/x", body=b"a=" + b"x" * 30_000_000, Content_Type="application/x-www-form-urlencoded")
    assert (reply.status, reply.reason) == (501, "for data too large")
    assert {request.path for request in echo.asked} == {"/version"}, "only the look at the token"


def test_a_body_of_half_a_megabyte_is_taken(server: SimServer, echo: Echo) -> None:
    reply = call(server, "PUT", "/x", body=b"a=" + b"x" * (512 * 1024 - 2))
    assert reply.status == 200
    assert len(echo.asked[-1].params["a"]) == 512 * 1024 - 2


def test_no_token_beats_a_bad_body(server: SimServer) -> None:
    said = raw(server, b"PUT /api2/json/x HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\nx")
    assert said.startswith(b"HTTP/1.1 401 No ticket\r\n")


def test_a_401_has_neither_body_nor_content_type(server: SimServer) -> None:
    said = raw(server, b"GET /api2/json/version HTTP/1.1\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 401 No ticket\r\n")
    assert b"Content-" not in said
    assert said.endswith(b"\r\n\r\n")


def test_a_401_takes_three_virtual_seconds(echo: Echo) -> None:
    with SimServer(echo) as server:
        before = echo.clock.now()
        raw(server, b"GET /api2/json/version HTTP/1.1\r\n\r\n")
        assert echo.clock.now() - before >= 3.0


def test_without_real_delays_nobody_waits() -> None:
    echo = Echo(speed=0.001)
    with SimServer(echo, real_delays=False) as server:
        assert raw(server, b"GET /api2/json/version HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 401")


def test_expect_100_continue_is_never_answered(server: SimServer) -> None:
    server.idle_s = 0.5
    head = b"PUT /api2/json/x HTTP/1.1\r\n" + TOKEN_LINE + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    assert raw(server, head) == b""


@pytest.mark.parametrize("headers", [{f"X-H{number}": "v" for number in range(70)}, {"X-Big": "v" * 9000}, {"X-Endless": "v" * 90_000}])
def test_too_many_headers_are_met_with_silence(server: SimServer, headers: dict[str, str]) -> None:
    server.idle_s = 0.5
    with closing(client(server)) as conn:
        conn.request("GET", "/api2/json/version", headers=AUTHORIZATION | headers)
        with pytest.raises((RemoteDisconnected, ConnectionResetError)):
            conn.getresponse()
    assert server.requests == []


def test_a_url_of_sixty_kilobytes_is_fine(server: SimServer) -> None:
    assert call(server, "GET", "/version?_dc=" + "a" * 60_000).status == 200


def test_large_answers_are_compressed_when_asked(server: SimServer, echo: Echo) -> None:
    rows = [{"vmid": number, "name": "guest"} for number in range(200)]
    echo.answers["/rows"] = Answer(data=rows)
    plain = call(server, "GET", "/rows", Accept_Encoding="identity")
    packed = call(server, "GET", "/rows", Accept_Encoding="gzip;q=0")
    deflated = call(server, "GET", "/rows", Accept_Encoding="deflate")
    assert plain.headers["Content-Encoding"] is None
    assert packed.headers["Content-Encoding"] == "gzip"
    assert deflated.headers["Content-Encoding"] == "deflate"
    assert json.loads(gzip.decompress(packed.body)) == json.loads(zlib.decompress(deflated.body)) == plain.json == {"data": rows}
    assert len(packed.body) == int(packed.headers["Content-Length"]) < len(plain.body)


def test_extjs_answers_errors_with_200(server: SimServer, echo: Echo) -> None:
    text = "Permission check failed (/, Sys.Audit)"
    echo.answers["/x"] = Answer(status=403, reason=text, message=f"{text}\n")
    with closing(HTTPConnection(server.host())) as conn:
        conn.request("GET", "/api2/extjs/x", headers=AUTHORIZATION)
        response = conn.getresponse()
        assert (response.status, response.reason) == (200, "OK")
        assert json.loads(response.read())["success"] == 0


def test_the_front_page_is_html(server: SimServer) -> None:
    assert b"text/html" in raw(server, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")


def test_tls_is_served_with_1_2_and_later_and_without_alpn(tls_files: TlsFiles, echo: Echo) -> None:
    context = ssl.create_default_context(cafile=tls_files.ca_file)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with SimServer(echo, certfile=tls_files.cert_file, keyfile=tls_files.key_file) as server:
        assert server.url() == f"https://127.0.0.1:{server.port()}"
        with (
            socket.create_connection(("127.0.0.1", server.port()), timeout=5) as sock,
            context.wrap_socket(sock, server_hostname="localhost") as tls,
        ):
            assert tls.selected_alpn_protocol() is None
            tls.sendall(b"GET /api2/json/version HTTP/1.1\r\n" + TOKEN_LINE + b"Connection: close\r\n\r\n")
            assert read_all(tls).endswith(b"}}")
        assert server.connections[0].tls in {"TLSv1.2", "TLSv1.3"}
        with closing(client(server, ca_file=tls_files.ca_file)) as conn:
            assert [ask(conn, "GET", "/version").status for _ in range(3)] == [200, 200, 200]
        assert server.counters.failed_handshakes == 0


def test_a_401_over_tls_ends_in_good_order(tls_files: TlsFiles, echo: Echo) -> None:
    with (
        SimServer(echo, certfile=tls_files.cert_file, keyfile=tls_files.key_file) as server,
        closing(client(server, ca_file=tls_files.ca_file)) as conn,
    ):
        conn.request("GET", "/api2/json/version")
        response = conn.getresponse()
        assert (response.status, response.read()) == (401, b"")


def test_a_client_that_mistrusts_the_certificate_is_counted_and_sends_nothing(tls_files: TlsFiles, echo: Echo) -> None:
    with SimServer(echo, certfile=tls_files.cert_file, keyfile=tls_files.key_file) as server:
        with (
            socket.create_connection(("127.0.0.1", server.port()), timeout=5) as sock,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            ssl.create_default_context().wrap_socket(sock, server_hostname="127.0.0.1")
        server.close()
        assert server.counters.failed_handshakes == 1
        assert server.counters.bytes_received == server.counters.authorization_bytes == 0
        assert server.connections[0].handshake_error
        assert server.requests == []


@pytest.mark.parametrize(("method", "status", "text"), [("GET", 301, "Moved Permanently"), ("POST", 308, "Permanent Redirect")])
def test_plain_http_to_the_tls_port_is_redirected(tls_files: TlsFiles, echo: Echo, method: str, status: int, text: str) -> None:
    with (
        SimServer(echo, certfile=tls_files.cert_file, keyfile=tls_files.key_file) as server,
        closing(HTTPConnection(server.host())) as conn,
    ):
        conn.request(method, "/api2/json/version?a=1", headers=AUTHORIZATION)
        response = conn.getresponse()
        assert (response.status, response.reason, response.read()) == (status, text, text.encode())
        assert response.headers["Location"] == f"https://{server.host()}/api2/json/version?a=1"
        assert response.headers["Content-Type"] is None
        assert echo.asked == []
        assert server.counters.authorization_bytes > 0, "a client that sends its token in the clear is found out"
