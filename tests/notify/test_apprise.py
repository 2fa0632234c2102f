"""Everything else, by Apprise in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pvectl.core.secret import Secret
from pvectl.notify.apprise import Apprise
from pvectl.notify.deliver import deliver
from pvectl.notify.result import Countdown, Delivered, Permanent, Retry
from tests.notify.listening import Listener, answering, saying
from tests.notify.samples import CLOCK, message, resolved, soon

Listen = Callable[..., Listener]


def receiver(listener: Listener) -> Apprise:
    return Apprise(name="else", url=Secret(f"json://127.0.0.1:{listener.port}/hook"))


def test_without_apprise_it_is_said_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "apprise.py").write_text("raise ImportError('not here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    result = deliver(message(), Apprise(name="else", url=Secret("json://x/")), deadline=soon(), clock=CLOCK)
    assert result == Permanent(reason="Apprise is not installed: pip install 'pvectl[apprise]'")


def test_no_channel_loads_what_it_does_not_need() -> None:
    heavy = {"apprise", "ssl", "smtplib", "http.client", "email.message", "asyncio", "requests", "sqlite3", "subprocess"}
    program = f"import sys, pvectl.notify.deliver, pvectl.notify.heartbeat; print(sorted({heavy} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


@pytest.mark.slow
def test_apprise_delivers_without_asking_a_proxy(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, listener = listen(answering("502 Proxy")), listen(answering("200 OK"))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url(""))
    for told, kind in ((message(), "failure"), (resolved(), "success")):
        assert isinstance(deliver(told, receiver(listener), deadline=soon(60), clock=CLOCK), Delivered)
        body = listener.requests[-1].json()
        assert body["type"] == kind
        assert "node pve3" in body["title"]
        assert "Node: pve3" in body["message"]
    assert proxy.connections == 0


@pytest.mark.slow
def test_what_apprise_cannot_deliver_is_tried_again_and_what_it_does_not_know_is_not(listen: Listen) -> None:
    assert isinstance(deliver(message(), receiver(listen(answering("500 No"))), deadline=soon(60), clock=CLOCK), Retry)
    unknown = Apprise(name="else", url=Secret("nosuchthing://x/y"))
    assert isinstance(deliver(message(), unknown, deadline=soon(60), clock=CLOCK), Permanent)


@pytest.mark.slow
def test_an_apprise_that_does_not_end_is_ended(listen: Listen) -> None:
    listener = listen(saying(then="hang"))
    result = deliver(message(), receiver(listener), deadline=Countdown(3), clock=CLOCK)
    assert isinstance(result, Retry)
    assert result.maybe_delivered
