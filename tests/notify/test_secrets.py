"""Safety rule S33: a canary in every secret of every receiver is found in nothing that anybody can read."""

from __future__ import annotations

import base64
import json
import logging
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest

from pvectl.core.secret import Secret
from pvectl.errors import ConfigError
from pvectl.notify.alertmanager import Alertmanager
from pvectl.notify.apprise import Apprise
from pvectl.notify.deliver import Receiver, deliver
from pvectl.notify.discord import Discord
from pvectl.notify.discretion import Discretion
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.heartbeat import Beat, Healthchecks, Sign, UptimeKuma, beat
from pvectl.notify.ntfy import Ntfy
from pvectl.notify.pagerduty import PagerDuty
from pvectl.notify.post import Request, in_json
from pvectl.notify.slack import Slack
from pvectl.notify.smtp import Smtp
from pvectl.notify.teams import Teams
from pvectl.notify.telegram import Telegram
from pvectl.notify.tls import Tls
from pvectl.notify.webhook import Webhook
from tests.notify.listening import Act, Heard, Listener, answering, saying
from tests.notify.samples import CLOCK, endpoint, message, soon
from tests.notify.talking import talking

Listen = Callable[..., Listener]
CANARY = "C4nary7Zq"
KEY = "whsec_" + base64.b64encode(f"{CANARY}{'k' * 20}".encode()).decode()
TRACES = (CANARY, base64.b64encode(CANARY.encode()).decode().rstrip("="), base64.b64encode(f"ops:{CANARY}".encode()).decode(), KEY)


def receivers(url: str) -> dict[str, Receiver]:
    secret = Secret(CANARY)
    where = f"{url}/services/T{CANARY}/x?sig={CANARY}&{CANARY}={CANARY}"
    return {
        "webhook": Webhook(name="w", endpoint=endpoint(where, token=secret), keys=(Secret(KEY),)),
        "webhook with a login": Webhook(name="w", endpoint=endpoint(url, user="ops", password=secret)),
        "webhook with a header": Webhook(name="w", endpoint=endpoint(url, headers={"X-Api-Key": secret})),
        "alertmanager": Alertmanager(name="a", endpoint=endpoint(where, user="ops", password=secret)),
        "ntfy": Ntfy(name="n", topic=secret, endpoint=endpoint(url, token=secret)),
        "slack": Slack(name="s", endpoint=endpoint(where)),
        "discord": Discord(name="d", endpoint=endpoint(where)),
        "teams": Teams(name="t", endpoint=endpoint(where)),
        "telegram": Telegram(name="t", token=Secret(f"123456:{CANARY}{'A' * 26}"), chat="1", endpoint=endpoint(url)),
        "pagerduty": PagerDuty(name="p", key=secret, endpoint=endpoint(url)),
    }


def echo(status: str, change: Callable[[str], str] = lambda said: said) -> Act:
    """A server that quotes the whole request in its refusal, and in its phrase and headers as far as they go."""

    def act(sock: socket.socket, listener: Listener, heard: Heard) -> None:
        # what holds a secret first: only the beginning of an answer is ever repeated
        lines = sorted(heard.raw.decode("latin-1").split("\r\n"), key=lambda line: not any(trace in line for trace in TRACES))
        quoted = change("\n".join(lines))
        phrase = heard.target.replace("/", "_")
        answering(f"{status} {phrase}", quoted, Content_Type="text/plain", Retry_After=heard.target, Location=heard.target)(
            sock, listener, heard
        )

    return act


def cut_off(sock: socket.socket, _listener: Listener, heard: Heard) -> None:
    """A refusal that promises more than it says, and ends within the secret."""
    said = heard.raw[: heard.raw.find(CANARY.encode()) + len(CANARY) - 2]
    sock.sendall(b"HTTP/1.1 400 No\r\nContent-Type: text/plain\r\nContent-Length: 9999\r\n\r\n" + said[-150:])


def ending_early(sock: socket.socket, _listener: Listener, heard: Heard) -> None:
    """The same without a length, so that nobody can tell."""
    said = heard.raw[: heard.raw.find(CANARY.encode()) + len(CANARY) - 2]
    sock.sendall(b"HTTP/1.1 400 No\r\nContent-Type: text/plain\r\n\r\n" + said[-150:])


FAILURES: dict[str, Act] = {
    "400": echo("400"),
    "401": echo("401"),
    "404": echo("404"),
    "429": echo("429"),
    "500": echo("500"),
    "302": echo("302"),
    "200": echo("200"),
    "400 in JSON": echo("400", lambda said: json.dumps({"error": said}).replace("/", "\\/")),
    "400 escaped": echo("400", quote),
    "400 shouting": echo("400", str.upper),
    "400 cut off": cut_off,
    "400 ending early": ending_early,
    "hangs up": saying(),
    "resets": saying(then="reset"),
    "no HTTP": saying(CANARY.encode() + b"\r\n\r\n"),
}


def assert_nowhere(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, *shown: object) -> None:
    out = capsys.readouterr()
    seen = "\n".join([*(form(each) for each in shown for form in (repr, str)), out.out, out.err, caplog.text]).lower()
    for trace in (*TRACES, CANARY[:-2]):
        assert trace.lower() not in seen


@pytest.mark.parametrize("act", FAILURES.values(), ids=FAILURES)
def test_s33_no_secret_is_in_what_any_failure_says(
    listen: Listen, act: Act, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    listener = listen(act)
    for name, receiver in receivers(listener.url("")).items():
        before = len(listener.requests)
        result = deliver(message(), receiver, deadline=soon(), clock=CLOCK)
        assert len(listener.requests) > before, name
        assert any(trace.encode() in listener.requests[-1].raw for trace in TRACES), f"{name} sends no secret, so this proves nothing"
        assert_nowhere(capsys, caplog, result, receiver)
    for heart in (
        Healthchecks(name="h", endpoint=endpoint(listener.url(f"/{CANARY}"))),
        UptimeKuma(name="k", endpoint=endpoint(listener.url(f"/api/push/{CANARY}"))),
    ):
        ended = beat(Beat(sign=Sign.FAIL, run=uuid4()), heart, deadline=soon(), clock=CLOCK)
        assert_nowhere(capsys, caplog, ended, heart)


@pytest.mark.parametrize("url", [f"http://127.0.0.1:1/{CANARY}", f"https://{CANARY}.invalid/", f"https://127.0.0.1:1/{CANARY}"])
def test_s33_no_secret_is_in_what_is_said_when_nobody_is_there(
    url: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Slack(name="s", endpoint=endpoint(url))
    assert_nowhere(capsys, caplog, deliver(message(), receiver, deadline=soon(), clock=CLOCK), receiver)


def test_s33_no_secret_is_in_what_is_said_of_a_wrong_certificate(
    listen: Listen, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    listener = listen(tls=True)
    for tls in (Tls(), Tls(fingerprints=("00" * 32,)), Tls(ca_file="/nonexistent")):
        receiver = Slack(name="s", endpoint=endpoint(listener.url(f"/{CANARY}"), tls=tls))
        assert_nowhere(capsys, caplog, deliver(message(), receiver, deadline=soon(), clock=CLOCK), receiver)
    assert listener.requests == []


WRONG: dict[str, Callable[[], object]] = {
    "url": lambda: Endpoint(url=Secret(f"https://{CANARY} x/")),
    "port": lambda: Endpoint(url=Secret(f"https://x:{CANARY}/")),
    "bracket": lambda: Endpoint(url=Secret(f"https://[{CANARY}/")),
    "http": lambda: Endpoint(url=Secret(f"http://x/{CANARY}")),
    "user": lambda: Endpoint(url=Secret(f"https://ops:{CANARY}@x/")),
    "header": lambda: Endpoint(url=Secret("https://x/"), headers={"X-A": Secret(f"{CANARY}\n")}),
    "token": lambda: Endpoint(url=Secret("https://x/"), token=Secret(f"{CANARY}\n")),
    "lonely password": lambda: Endpoint(url=Secret("https://x/"), password=Secret(CANARY)),
    "key": lambda: Webhook(name="w", endpoint=endpoint("https://x/"), keys=(Secret(f"whsec_{CANARY}!"),)),
    "bot": lambda: Telegram(name="t", token=Secret(CANARY), chat="1"),
    "apprise": lambda: Apprise(name="a", url=Secret(f"{CANARY}\n")),
    "password in no ASCII": lambda: Smtp(name="m", host="h", sender="a@b", recipients=("a@b",), user="ops", password=Secret(f"{CANARY}ä")),
    "password of two lines": lambda: Smtp(
        name="m", host="h", sender="a@b", recipients=("a@b",), user="ops", password=Secret(f"{CANARY}\nx")
    ),
    "password in the clear": lambda: Smtp(
        name="m", host="h", sender="a@b", recipients=("a@b",), security="plain", user="ops", password=Secret(CANARY)
    ),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
def test_s33_no_secret_is_in_what_is_said_of_a_wrong_setting(
    make: Callable[[], object], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError) as caught:
        make()
    error = caught.value
    assert error.__context__ is None
    lines = "".join(line for line in traceback.format_exception(error) if "tests/notify" not in line)
    assert_nowhere(capsys, caplog, error, error.hint, lines)


def test_s33_a_secret_in_the_body_is_not_repeated(
    listen: Listen, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def quoting(sock: socket.socket, listener: Listener, heard: Heard) -> None:
        said = heard.json()
        answering("400 No", f"unknown: {said.get('routing_key') or said['topic']}", Content_Type="text/plain")(sock, listener, heard)

    where = endpoint(listen(quoting).url())
    for receiver in (PagerDuty(name="p", key=Secret(CANARY), endpoint=where), Ntfy(name="n", topic=Secret(CANARY), endpoint=where)):
        assert_nowhere(capsys, caplog, deliver(message(), receiver, deadline=soon(), clock=CLOCK))


def test_s33_a_mail_server_that_repeats_the_password_is_not_repeated(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    encoded = base64.b64encode(f"\0ops\0{CANARY}".encode())
    for said in (CANARY.encode(), encoded, encoded.lower()):
        discretion = Discretion([Secret(CANARY), Secret(f"\0ops\0{CANARY}")])
        assert discretion.excerpt(f"wrong: {said.decode()}") == ""
        assert_nowhere(capsys, caplog, discretion)
    with talking(b"220 x\r\n", b"250 x\r\n", b"550 " + CANARY.encode() + b"\r\n", then="close") as port:
        receiver = Smtp(name="m", host="127.0.0.1", port=port, sender="a@b", recipients=("a@b",), security="plain")
        deliver(message(), receiver, deadline=soon(), clock=CLOCK)
    secured = Smtp(name="m", host="127.0.0.1", port=port, sender="a@b", recipients=("a@b",), user="ops", password=Secret(CANARY))
    assert_nowhere(capsys, caplog, secured, deliver(message(), secured, deadline=soon(), clock=CLOCK))


def test_s33_what_is_about_to_be_sent_does_not_show_itself(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    request: Request = in_json(endpoint("https://x/"), {"routing_key": CANARY})
    assert CANARY.encode() in (request.body or b"")
    assert_nowhere(capsys, caplog, request, request.endpoint)


def test_what_has_no_trace_of_a_secret_may_be_repeated() -> None:
    discretion = Discretion([Secret(f"https://hooks.example/services/T0/{CANARY}")])
    assert discretion.excerpt("  invalid\npayload: \x1b[2J ") == r"invalid payload: \x1b[2J"
    assert discretion.excerpt("long " * 100).endswith("…")
    assert len(discretion.excerpt("long " * 100)) <= 200
    assert discretion.excerpt("no such hook at hooks.example") == ""
    assert discretion.excerpt(f"x {' '.join(CANARY)}") == ""


@pytest.mark.parametrize(
    "form", [str, str.upper, quote, lambda said: quote(said, safe=""), lambda said: said.replace("/", "\\/"), " ".join]
)
def test_s33_a_secret_is_recognised_in_every_form_in_which_it_may_be_quoted(form: Callable[[str], str]) -> None:
    for secret in ("p/w d%é", "ab/cd/ef", "a+b&c=d", "x"):
        assert Discretion([Secret(secret)]).excerpt(f"rejected: {form(secret)}") == ""


@pytest.mark.parametrize(
    "options", [{"token": Secret(CANARY)}, {"user": "ops", "password": Secret(CANARY)}, {"headers": {"X-Api-Key": Secret(CANARY)}}]
)
def test_s33_an_authorization_that_is_quoted_alone_is_recognised(options: dict[str, object]) -> None:
    opened = endpoint("https://host/", **options)
    for _, value in opened.authorization():
        assert Discretion(opened.secrets()).excerpt(f"bad: {value}") == ""


@pytest.mark.slow
def test_s33_apprise_is_told_its_url_where_no_process_list_shows_it(
    listen: Listen, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[bytes] = []

    def look(sock: socket.socket, listener: Listener, heard: Heard) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    seen.append((process / name).read_bytes())
                except OSError:
                    continue
        answering("500 No", heard.raw.decode("latin-1"), Content_Type="text/plain")(sock, listener, heard)

    listener = listen(look)
    receiver = Apprise(name="a", url=Secret(f"json://ops:{CANARY}@127.0.0.1:{listener.port}/{CANARY}"))
    result = deliver(message(), receiver, deadline=soon(60), clock=CLOCK)
    assert CANARY.encode() in listener.requests[0].raw
    assert any(b"apprise_process" in each for each in seen)
    assert not any(CANARY.encode() in each for each in seen)
    assert_nowhere(capfd, caplog, result, receiver)
