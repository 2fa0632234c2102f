"""The strict HTTP poster against a server that fails in every way."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime

import pytest

from pvectl.core.secret import Secret
from pvectl.errors import ConfigError
from pvectl.notify.deliver import deliver
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.post import Request, send
from pvectl.notify.result import Countdown, Delivered, Permanent, Result, Retry
from pvectl.notify.tls import Tls
from pvectl.notify.webhook import Webhook
from tests.notify.listening import Act, Heard, Listener, answering, dripping, flooding, in_turn, listening, saying
from tests.notify.samples import CLOCK, NOW, endpoint, message, soon
from tests.support.servers import TlsFiles

Listen = Callable[..., Listener]


def told(listener: Listener, *, timeout: float = 5.0, path: str = "/hook", **options: object) -> Result:
    receiver = Webhook(name="ops", endpoint=endpoint(listener.url(path), timeout=timeout, **options))
    return deliver(message(), receiver, deadline=soon(), clock=CLOCK)


@pytest.mark.parametrize("status", ["200 OK", "201 Created", "202 Accepted", "204 No Content"])
def test_every_success_is_a_delivery(listen: Listen, status: str) -> None:
    assert isinstance(told(listen(answering(status))), Delivered)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529, 599])
def test_what_passes_is_tried_again(listen: Listen, status: int) -> None:
    result = told(listen(answering(f"{status} Whatever")))
    assert isinstance(result, Retry)
    assert result.after is None
    assert result.reason.startswith(f"HTTP {status}")
    assert result.maybe_delivered is (status >= 500)


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 407, 410])
def test_what_a_person_has_to_mend_is_permanent(listen: Listen, status: int) -> None:
    result = told(listen(answering(f"{status} No")))
    assert isinstance(result, Permanent)
    assert not result.of_message


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_message_that_is_not_taken_is_no_fault_of_the_receiver(listen: Listen, status: int) -> None:
    result = told(listen(answering(f"{status} No", "invalid_payload", Content_Type="text/plain")))
    assert isinstance(result, Permanent)
    assert result.of_message
    assert result.reason.endswith(": invalid_payload")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_t17_a_redirect_is_not_followed(listen: Listen, status: int) -> None:
    elsewhere = listen()
    result = told(listen(answering(f"{status} Elsewhere", Location=elsewhere.url("/stolen"))))
    assert isinstance(result, Permanent)
    assert "redirects are not followed" in result.reason
    assert "stolen" not in result.reason
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    ("header", "after"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("99999999999999999999", 86_400.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=False), 90.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        ("-5", None),
        ("soon", None),
        ("Wed, 99 Foo 2026 10:00:00 GMT", None),
        ("Sun, 22 Nov 2026 10:31:30", None),
        ("٣", None),
        ("nan", None),
    ],
)
def test_the_receiver_says_how_long_to_leave_it_alone(listen: Listen, header: str, after: float | None) -> None:
    result = told(listen(answering("429 Too Many Requests", Retry_After=header)))
    assert isinstance(result, Retry)
    assert result.after == after


def test_a_time_to_wait_for_is_read_by_the_receivers_own_clock(listen: Listen) -> None:
    ahead = NOW + timedelta(hours=3)
    until = format_datetime(ahead + timedelta(seconds=40), usegmt=True)
    result = told(listen(answering("503 Busy", Retry_After=until, Date=format_datetime(ahead, usegmt=True))))
    assert isinstance(result, Retry)
    assert result.after == 40.0


ENDLESS: dict[str, Act] = {
    "hangs": saying(then="hang"),
    "hangs in the head": saying(b"HTTP/1.1 200 OK\r\nContent-", then="hang"),
    "drips in the status line": dripping(b"HTTP/1.1 200 "),
    "drips headers": dripping(b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
}
"""Only the time-out ends these; it leaves time enough for the request to get there, on any machine."""
BROKEN: dict[str, Act] = {
    **ENDLESS,
    "hangs up without a word": saying(),
    "resets after the body": saying(then="reset"),
    "ends in the head": saying(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "floods in the head": flooding(b"HTTP/1.1 200 OK\r\nX-Long: "),
    "speaks no HTTP": saying(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "speaks HTTP 0.9": saying(b"ok"),
    "switches protocols": saying(b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
}


@pytest.mark.parametrize("act", BROKEN.values(), ids=BROKEN)
@pytest.mark.slow
def test_without_an_answer_it_may_have_arrived_and_is_tried_again(listen: Listen, act: Act) -> None:
    listener = listen(act)
    result = told(listener, timeout=1.0 if act in ENDLESS.values() else 5.0)
    assert isinstance(result, Retry)
    assert result.maybe_delivered
    assert len(listener.requests) == 1


ACCEPTED: dict[str, Act] = {
    "hangs in the body": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab", then="hang"),
    "resets in the body": saying(b"HTTP/1.1 202 Accepted\r\nContent-Length: 10\r\n\r\nab", then="reset"),
    "a body without end": flooding(b"HTTP/1.1 200 OK\r\n\r\n"),
    "drips the body": dripping(b"HTTP/1.1 200 OK\r\n\r\n"),
    "a huge length": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
    "goes on first": saying(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
}


@pytest.mark.parametrize("act", ACCEPTED.values(), ids=ACCEPTED)
def test_once_it_was_taken_the_rest_of_the_answer_changes_nothing(listen: Listen, act: Act) -> None:
    assert isinstance(told(listen(act)), Delivered)


def test_the_rest_of_a_good_answer_is_not_waited_for(listen: Listen) -> None:
    hung_up: list[bool] = []

    def waiting(sock: socket.socket, _listener: Listener, _heard: Heard) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab")
        sock.settimeout(3)
        try:
            hung_up.append(sock.recv(1) == b"")
        except ConnectionError:
            hung_up.append(True)
        except TimeoutError:
            hung_up.append(False)

    with listening(waiting) as listener:
        assert isinstance(told(listener, timeout=60), Delivered)
    assert hung_up == [True]


def test_t17_a_header_with_a_line_end_never_leaves(listen: Listen) -> None:
    listener = listen()
    request = Request(endpoint(listener.url()), b"", headers={"X-A": "b\r\nX-Evil: c"})
    assert isinstance(send(request, deadline=soon(), clock=CLOCK), Permanent)
    assert listener.requests == []


@pytest.mark.parametrize(
    ("act", "timeout"),
    [
        (flooding(b"HTTP/1.1 500 No\r\nContent-Type: text/plain\r\n\r\n"), 5.0),
        (dripping(b"HTTP/1.1 500 No\r\nContent-Type: text/plain\r\n\r\n"), 1.0),
    ],
    ids=["flood", "drip"],
)
def test_a_refusal_without_end_is_still_one_and_nothing_of_it_is_repeated(listen: Listen, act: Act, timeout: float) -> None:
    assert told(listen(act), timeout=timeout) == Retry(reason="HTTP 500 Internal Server Error", maybe_delivered=True)


def test_nobody_there_is_tried_again_and_nothing_was_delivered(listen: Listen) -> None:
    with_port = listen()
    receiver = Webhook(name="ops", endpoint=endpoint("http://127.0.0.1:1/hook"))
    assert with_port.connections == 0
    assert deliver(message(), receiver, deadline=soon(), clock=CLOCK) == Retry(reason="connection refused")


def test_a_name_nobody_knows_is_tried_again() -> None:
    receiver = Webhook(name="ops", endpoint=endpoint("https://nobody.invalid/hook"))
    result = deliver(message(), receiver, deadline=soon(), clock=CLOCK)
    assert isinstance(result, Retry)
    assert "invalid" not in result.reason
    assert not result.maybe_delivered


def test_without_time_nothing_is_sent(listen: Listen) -> None:
    listener = listen()
    receiver = Webhook(name="ops", endpoint=endpoint(listener.url()))
    assert isinstance(deliver(message(), receiver, deadline=Countdown(0), clock=CLOCK), Retry)
    assert listener.connections == 0


def test_the_runs_deadline_ends_what_the_receivers_own_limit_would_not(listen: Listen) -> None:
    class ALittleLeft:
        def left(self) -> float:
            return 0.2

    receiver = Webhook(name="ops", endpoint=endpoint(listen(saying(then="hang")).url(), timeout=3600))
    result = deliver(message(), receiver, deadline=ALittleLeft(), clock=CLOCK)
    assert isinstance(result, Retry)
    assert result.reason == "no answer within 0.2 s"


def test_t17_proxies_and_netrc_are_not_asked(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = listen(answering("502 Proxy"))
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url(""))
    listener = listen()
    assert isinstance(told(listener), Delivered)
    assert proxy.connections == 0
    assert "authorization" not in listener.only.headers


def test_t17_http_has_to_be_asked_for(listen: Listen) -> None:
    with pytest.raises(ConfigError, match="not https"):
        Endpoint(url=Secret(listen().url()))


def test_each_request_says_who_asks_and_keeps_nothing_open(listen: Listen) -> None:
    listener = listen()
    told(listener, path="/a/b?c=d&e=%2F")
    assert listener.only.target == "/a/b?c=d&e=%2F"
    assert listener.only.method == "POST"
    assert listener.only.headers["connection"] == "close"
    assert listener.only.headers["accept-encoding"] == "identity"
    assert listener.only.headers["user-agent"].startswith("pvectl/")
    assert listener.only.headers["host"] == f"127.0.0.1:{listener.port}"


def test_a_token_a_login_and_headers_are_sent_as_they_should_be(listen: Listen) -> None:
    listener = listen(in_turn(answering()))
    told(listener, token=Secret("t0ken"))
    told(listener, user="ops", password=Secret("pä:ss"))
    told(listener, headers={"X-Api-Key": Secret("k3y")})
    assert [request.headers.get("authorization") for request in listener.requests] == ["Bearer t0ken", "Basic b3BzOnDDpDpzcw==", None]
    assert listener.requests[2].headers["x-api-key"] == "k3y"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://host/x",
        "https://",
        "https:///x",
        "https://ho st/",
        "https://host/\r\nX-Evil: 1",
        "https://host/\n",
        "https://host/ä",
        "https://höst/",
        "https://host:port/",
        "https://host:0/",
        "https://host:99999/",
        "https://host\\@other/",
        "https://host/#part",
        "https://user@host/",
        "https://user:pw@host/",
        "https://[::1/",
        "host/path",
    ],
)
def test_a_url_that_is_none_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Endpoint(url=Secret(url))
    assert "host/" not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "options",
    [
        {"headers": {"X-A": Secret("a\r\nX-Evil: 1")}},
        {"headers": {"X-A\r\nX-Evil": Secret("a")}},
        {"headers": {"Host": Secret("other")}},
        {"headers": {"Content-Length": Secret("5")}},
        {"headers": {"Transfer-Encoding": Secret("chunked")}},
        {"token": Secret("a\nb")},
        {"user": "ops"},
        {"password": Secret("pw")},
        {"user": "ops", "password": Secret("pw"), "token": Secret("t")},
        {"tls": lambda: Tls(fingerprints=("AA:BB",))},
    ],
)
def test_t17_no_line_end_and_no_second_request_can_be_smuggled_in(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Endpoint(url=Secret("https://host/x"), **{name: value() if callable(value) else value for name, value in options.items()})  # type: ignore[arg-type]


def test_s28_a_certificate_is_verified_and_not_a_byte_is_sent_to_a_stranger(listen: Listen) -> None:
    listener = listen(tls=True)
    result = told(listener)
    assert isinstance(result, Permanent)
    assert "does not verify" in result.reason
    assert listener.requests == []


def test_s28_a_ca_file_proves_the_receiver_and_its_name(listen: Listen, tls_files: TlsFiles) -> None:
    listener = listen(tls=True)
    assert isinstance(told(listener, tls=Tls(ca_file=str(tls_files.ca_file))), Delivered)
    # the same address by a name the certificate does not have
    receiver = Webhook(name="ops", endpoint=endpoint(listener.url(host="127.0.0.2"), tls=Tls(ca_file=str(tls_files.ca_file))))
    assert deliver(message(), receiver, deadline=soon(), clock=CLOCK) == Retry(reason="connection refused")
    named = Webhook(name="ops", endpoint=endpoint(listener.url(host="0.0.0.0"), tls=Tls(ca_file=str(tls_files.ca_file))))
    result = deliver(message(), named, deadline=soon(), clock=CLOCK)
    assert isinstance(result, Permanent)
    assert len(listener.requests) == 1


def test_s28_a_fingerprint_proves_the_receiver_and_another_one_does_not(listen: Listen, tls_files: TlsFiles) -> None:
    listener = listen(tls=True)
    assert isinstance(told(listener, tls=Tls(fingerprints=("00" * 32, tls_files.fingerprint))), Delivered)
    result = told(listener, tls=Tls(fingerprints=("00" * 32,)))
    assert isinstance(result, Permanent)
    assert "fingerprint" in result.reason
    assert len(listener.requests) == 1


def test_a_ca_file_that_is_not_there_is_said(listen: Listen, tls_files: TlsFiles) -> None:
    listener = listen(tls=True)
    for path in ("/nonexistent/ca.pem", str(tls_files.key_file)):
        result = told(listener, tls=Tls(ca_file=path))
        assert isinstance(result, Permanent)
        assert path in result.reason


def test_a_server_without_tls_gets_nothing(listen: Listen) -> None:
    listener = listen()
    receiver = Webhook(name="ops", endpoint=endpoint(listener.url().replace("http:", "https:"), timeout=0.3))
    result = deliver(message(), receiver, deadline=soon(), clock=CLOCK)
    assert isinstance(result, Retry)
    assert not result.maybe_delivered
    assert listener.requests == []
