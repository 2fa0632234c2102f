"""Whatever a server says, what comes of it is a Result, in time and in bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvectl.notify.deliver import deliver
from pvectl.notify.result import Delivered, Permanent, Retry
from pvectl.notify.smtp import Smtp
from pvectl.notify.webhook import Webhook
from tests.notify.listening import listening, saying
from tests.notify.samples import CLOCK, endpoint, message, soon
from tests.notify.talking import talking

LINES = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 400 No",
        b"HTTP/1.1 503",
        b"HTTP/9 abc",
        b"HTTP/1.1 100 Continue",
        b"Content-Length: -5",
        b"Content-Length: 3",
        b"Content-Length: 3, 4",
        b"Transfer-Encoding: chunked",
        b"Content-Type: application/json",
        b"Content-Encoding: gzip",
        b"Retry-After: 5",
        b"Retry-After: Sun, 99 Nov",
        b"Date: never",
        b": no name",
        b" folded",
        b"-5",
        b"5;x",
        b"zz",
        b"",
    ]
)


@pytest.mark.slow
@given(st.lists(st.one_of(LINES, st.binary(max_size=20)), max_size=12).map(b"\r\n".join))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_answer_of_a_web_server_is_a_result(said: bytes) -> None:
    with listening(saying(said)) as listener:
        receiver = Webhook(name="w", endpoint=endpoint(listener.url(), timeout=5.0))
        assert isinstance(deliver(message(), receiver, deadline=soon(), clock=CLOCK), Delivered | Retry | Permanent)


REPLIES = st.sampled_from(
    [
        b"220 hi",
        b"250-x\r\n250 STARTTLS",
        b"250 OK",
        b"354 go",
        b"421 bye",
        b"450 later",
        b"550 no",
        b"999",
        b"-",
        b"250-",
        b"\xff",
    ]
)


@pytest.mark.slow
@given(st.lists(st.one_of(REPLIES, st.binary(max_size=20)).map(lambda line: line + b"\r\n"), max_size=8))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_answers_of_a_mail_server_are_a_result(said: list[bytes]) -> None:
    with talking(*said, then="close") as port:
        receiver = Smtp(name="m", host="127.0.0.1", port=port, sender="a@b", recipients=("a@b",), security="plain", timeout=0.05)
        assert isinstance(deliver(message(), receiver, deadline=soon(), clock=CLOCK), Delivered | Retry | Permanent)
