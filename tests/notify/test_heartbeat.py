"""Signs of life, as healthchecks and Uptime Kuma want them."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from pvectl.notify.heartbeat import Beat, Healthchecks, Sign, UptimeKuma, beat
from pvectl.notify.result import Countdown, Delivered, Permanent, Retry
from tests.notify.listening import Listener, answering
from tests.notify.samples import CLOCK, endpoint, soon

Listen = Callable[..., Listener]
RUN = UUID("5eb1d2c4-0000-4000-8000-00000000a11e")


@pytest.mark.parametrize(("sign", "path"), [(Sign.START, "/start"), (Sign.SUCCESS, ""), (Sign.FAIL, "/fail")])
def test_healthchecks_hears_of_the_start_and_of_how_it_ended(listen: Listen, sign: Sign, path: str) -> None:
    listener = listen(answering("200 OK", "OK"))
    heart = Healthchecks(name="dead-man", endpoint=endpoint(listener.url("/ping/abc-def")))
    assert isinstance(beat(Beat(sign=sign, run=RUN, note="3 sent\n\x1b[2J"), heart, deadline=soon(), clock=CLOCK), Delivered)
    assert (listener.only.method, listener.only.target) == ("POST", f"/ping/abc-def{path}?rid={RUN}")
    assert listener.only.body == rb"3 sent" + b"\n" + rb"\x1b[2J"


@pytest.mark.parametrize(("sign", "status"), [(Sign.SUCCESS, "up"), (Sign.FAIL, "down")])
def test_uptime_kuma_hears_whether_it_is_up(listen: Listen, sign: Sign, status: str) -> None:
    listener = listen()
    heart = UptimeKuma(name="kuma", endpoint=endpoint(listener.url("/api/push/tok?status=up&msg=OK&ping=&keep=1")))
    assert isinstance(beat(Beat(sign=sign, run=RUN, note="1 & 2\nä", took=1.2345), heart, deadline=soon(), clock=CLOCK), Delivered)
    heard = listener.only
    assert (heard.method, heard.body, urlsplit(heard.target).path) == ("GET", b"", "/api/push/tok")
    assert parse_qs(urlsplit(heard.target).query) == {"keep": ["1"], "status": [status], "msg": ["1 & 2 ä"], "ping": ["1234"]}


def test_uptime_kuma_knows_no_start_and_is_not_asked(listen: Listen) -> None:
    listener = listen()
    heart = UptimeKuma(name="kuma", endpoint=endpoint(listener.url()))
    assert isinstance(beat(Beat(sign=Sign.START, run=RUN), heart, deadline=soon()), Delivered)
    assert listener.connections == 0


def test_a_sign_nobody_took_is_not_taken_for_one(listen: Listen) -> None:
    heart = Healthchecks(name="dead-man", endpoint=endpoint(listen(answering("404 Not Found", "no")).url()))
    given = Beat(sign=Sign.SUCCESS, run=RUN, note="x" * 100_000)
    assert isinstance(beat(given, heart, deadline=soon(), clock=CLOCK), Permanent)
    assert isinstance(beat(given, heart, deadline=Countdown(0), clock=CLOCK), Retry)


def test_a_sign_is_cut_to_what_is_kept_of_it(listen: Listen) -> None:
    listener = listen()
    heart = Healthchecks(name="dead-man", endpoint=endpoint(listener.url()))
    beat(Beat(sign=Sign.FAIL, run=RUN, note="ü" * 100_000), heart, deadline=soon(), clock=CLOCK)
    assert 9_000 < len(listener.only.body) <= 10_000
