"""Alertmanager as a mirror: what is pushed, and what a real one makes of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pvectl.clock import SystemClock
from pvectl.core.alerts.incident import Records
from pvectl.core.alerts.rules import Rules
from pvectl.core.alerts.step import step
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.finding import Severity
from pvectl.notify.alertmanager import Alertmanager, push
from pvectl.notify.deliver import deliver
from pvectl.notify.labelled import fingerprint, label_set
from pvectl.notify.message import Message
from pvectl.notify.mirror import mirrored
from pvectl.notify.result import Delivered, Permanent, Retry
from pvectl.notify.webhook import Webhook, written
from tests.core.alerts.runs import FINE, bad, saw
from tests.notify.listening import Listener, answering, in_turn
from tests.notify.samples import CLOCK, digest, endpoint, message, resolved, soon

Listen = Callable[..., Listener]


def pushed(listen: Listen, *messages: Message, interval: float = 300.0) -> list[dict[str, Any]]:
    listener = listen()
    receiver = Alertmanager(name="am", endpoint=endpoint(listener.url("/prefix/")), interval=interval)
    assert isinstance(push(messages, receiver, deadline=soon(), clock=CLOCK), Delivered)
    assert listener.only.target == "/prefix/api/v2/alerts"
    alerts: list[dict[str, Any]] = listener.only.json()
    return alerts


def test_what_fires_is_pushed_with_an_end_that_outlives_a_late_run(listen: Listen) -> None:
    assert pushed(listen, message()) == [
        {
            "labels": {"alertname": "node.offline", "cluster": "lab", "node": "pve3", "object": "node/pve3", "severity": "critical"},
            "annotations": {
                "summary": "node pve3 is offline",
                "description": "pve3 has not answered for 12 minutes.\nIts 4 guests are not reachable.",
                "incident": "i-51ab",
                "node": "pve3",
                "last_seen": "2026-11-22 11:18 CET",
            },
            "startsAt": "2026-11-22T10:18:00Z",
            "endsAt": "2026-11-22T10:50:00Z",
            "generatorURL": "https://pve1.lan:8006/#v1:0:=node%2Fpve3",
        }
    ]
    assert pushed(listen, message(), interval=60)[0]["endsAt"] == "2026-11-22T10:45:00Z"


def test_s34_what_is_pushed_was_cleaned(listen: Listen) -> None:
    assert pushed(listen, message(subject="a\x1b[2J"))[0]["annotations"]["summary"] == r"a\x1b[2J"


def test_what_is_over_ends_when_it_did_with_the_same_labels(listen: Listen) -> None:
    before, after = pushed(listen, message(), resolved())
    assert after["endsAt"] == "2026-11-22T10:30:00Z"
    assert after["labels"] == before["labels"]


def test_an_end_never_lies_before_the_start(listen: Listen) -> None:
    # Alertmanager refuses the whole request otherwise; clocks step
    [alert] = pushed(listen, resolved(started=CLOCK.now() + timedelta(hours=1)))
    assert alert["startsAt"] == alert["endsAt"] == "2026-11-22T10:30:00Z"


def test_many_are_pushed_in_as_many_requests_as_it_takes_and_none_is_left_out(listen: Listen) -> None:
    listener = listen()
    receiver = Alertmanager(name="am", endpoint=endpoint(listener.url("")))
    assert isinstance(deliver(digest(400), receiver, deadline=soon(), clock=CLOCK), Delivered)
    assert len(listener.requests) > 1
    assert all(len(request.body) <= 65_536 for request in listener.requests)
    objects = [alert["labels"]["object"] for request in listener.requests for alert in request.json()]
    assert objects == [f"guest/{number}" for number in range(100, 500)]


def test_a_push_that_fails_half_way_is_a_failure(listen: Listen) -> None:
    listener = listen(in_turn(answering(), answering("503 Busy", Retry_After="9")))
    receiver = Alertmanager(name="am", endpoint=endpoint(listener.url("")))
    result = deliver(digest(400), receiver, deadline=soon(), clock=CLOCK)
    assert isinstance(result, Retry)
    assert result.after == 9.0
    assert len(listener.requests) == 2


def test_with_nothing_to_say_it_is_still_asked_whether_it_takes_anything(listen: Listen) -> None:
    receiver = Alertmanager(name="am", endpoint=endpoint(listen(answering("401 Unauthorized")).url("")))
    assert isinstance(push((), receiver, deadline=soon(), clock=CLOCK), Permanent)


@pytest.mark.slow
def test_a_real_alertmanager_takes_an_empty_push(alertmanager: tuple[str, Listener]) -> None:
    url, bridge = alertmanager
    assert isinstance(push((), Alertmanager(name="am", endpoint=endpoint(url)), deadline=soon(), clock=SystemClock()), Delivered)
    assert not bridge.requests


CONFIG = """
route:
  receiver: bridge
  group_by: [alertname, cluster, object]
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
- name: bridge
  webhook_configs:
  - url: {url}
    send_resolved: true
"""


def _get(url: str) -> Any:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10) as answer:
        return json.loads(answer.read() or b"null")


@pytest.fixture
def alertmanager(tmp_path: Path, listen: Listen) -> Iterator[tuple[str, Listener]]:
    """The address of a real Alertmanager on loopback, and the listener it tells."""
    program = shutil.which("prometheus-alertmanager")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("prometheus-alertmanager is not installed, and CI must have it")
        pytest.skip("prometheus-alertmanager is not installed")
    bridge = listen()
    (tmp_path / "alertmanager.yml").write_text(CONFIG.format(url=bridge.url("/bridge")))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={tmp_path / 'alertmanager.yml'}",
                f"--storage.path={tmp_path / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until(lambda: _address(tmp_path / "log") or process.poll() is not None)
        assert process.poll() is None, (tmp_path / "log").read_text()
        yield f"http://{_address(tmp_path / 'log')}", bridge
    finally:
        process.terminate()
        process.wait(20)


def _address(log: Path) -> str | None:
    """Where it says that it listens."""
    found = re.search(r'msg="Listening on" address=(127\.0\.0\.1:\d+)\n', log.read_text())
    return found and found[1]


def _wait_until(true: Callable[[], object]) -> None:
    pause = threading.Event()
    for _ in range(600):
        if true():
            return
        pause.wait(0.05)
    pytest.fail("it did not come about within half a minute")


def _told(bridge: Listener) -> list[tuple[str, str]]:
    return [(body["status"], alert["labels"]["object"]) for body in (heard.json() for heard in bridge.requests) for alert in body["alerts"]]


@pytest.mark.slow
def test_a_real_alertmanager_shows_what_is_pushed_tells_once_and_resolves(alertmanager: tuple[str, Listener]) -> None:
    url, bridge = alertmanager
    receiver = Alertmanager(name="am", endpoint=endpoint(url), interval=300)
    now = datetime.now(UTC)
    fires = message(started=now - timedelta(minutes=7))
    other = message(
        id="n-o",
        incident="i-o",
        severity=Severity.WARNING,
        started=now - timedelta(minutes=3),
        labels={"alertname": "storage.full", "cluster": "lab", "object": 'storage/"n\\fs"', "pve-tag": "ä"},
    )
    # run after run, each time with another notification's id, as the outbox would give them
    for run in range(12):
        told = [message(id=f"n-{run}", started=fires.started), other]
        assert isinstance(push(told, receiver, deadline=soon(), clock=SystemClock()), Delivered)
    shown = {alert["labels"]["object"]: alert for alert in _get(f"{url}/api/v2/alerts")}
    assert set(shown) == {"node/pve3", 'storage/"n\\fs"'}
    for sent in (fires, other):
        alert = shown[sent.labels["object"]]
        assert alert["status"]["state"] in ("active", "unprocessed")
        assert alert["labels"] == label_set(sent.cleaned())
        assert alert["fingerprint"] == fingerprint(alert["labels"])
        assert datetime.fromisoformat(alert["startsAt"]) == sent.started.replace(microsecond=0)
        assert datetime.fromisoformat(alert["endsAt"]) >= now + timedelta(minutes=19)
    _wait_until(lambda: len(_told(bridge)) >= 2)

    over = resolved(started=fires.started, ended=datetime.now(UTC))
    for _ in range(5):
        assert isinstance(push([over, other], receiver, deadline=soon(), clock=SystemClock()), Delivered)
    _wait_until(lambda: ("resolved", "node/pve3") in _told(bridge))
    active = [alert["labels"]["object"] for alert in _get(f"{url}/api/v2/alerts?active=true")]
    assert active == ['storage/"n\\fs"']

    # it came back: that is news again, and once
    again = message(id="n-again", started=datetime.now(UTC))
    for _ in range(5):
        push([again, other], receiver, deadline=soon(), clock=SystemClock())
    _wait_until(lambda: _told(bridge).count(("firing", "node/pve3")) >= 2)
    push([again, other], receiver, deadline=soon(), clock=SystemClock())
    _wait_until(lambda: _get(f"{url}/api/v2/alerts"))
    assert sorted(_told(bridge)) == sorted(
        [("firing", "node/pve3"), ("firing", 'storage/"n\\fs"'), ("resolved", "node/pve3"), ("firing", "node/pve3")]
    )


@pytest.mark.slow
def test_a_real_alertmanager_tells_of_a_mirrored_incident_once_for_each_thing_that_happens(alertmanager: tuple[str, Listener]) -> None:
    url, bridge = alertmanager
    receiver = Alertmanager(name="am", endpoint=endpoint(url), interval=300)
    # half an hour of runs in the past, because Alertmanager's own clock is the real one
    began = datetime.now(UTC) - timedelta(minutes=45)
    records = Records(run_at=began - timedelta(minutes=5), gaps=(300.0,))
    rules = Rules(cluster="lab")

    def run(number: int, evaluation: Evaluation) -> None:
        nonlocal records
        now = began + timedelta(minutes=5 * number)
        records, _told, _why = step(records, evaluation, rules, (), now)
        messages = mirrored(records, rules, "am", now, UTC)
        assert isinstance(push(messages, receiver, deadline=soon(), clock=SystemClock()), Delivered)

    def told() -> list[list[tuple[str, str]]]:
        bodies = [heard.json() for heard in bridge.requests]
        return [sorted((alert["labels"]["severity"], alert["status"]) for alert in body["alerts"]) for body in bodies]

    for number in range(3):
        run(number, saw(bad(severity=Severity.WARNING, value=float(number))))
    _wait_until(lambda: len(told()) == 1)
    for number in range(3, 6):
        # to and fro, which is no news
        severity = Severity.CRITICAL if number != 4 else Severity.WARNING
        run(number, saw(bad(severity=severity, value=float(number))))
    _wait_until(lambda: len(told()) == 2)
    [alert] = _get(f"{url}/api/v2/alerts")
    assert (alert["labels"]["severity"], alert["labels"]["check"]) == ("critical", "disk.smart")
    for number in range(6, 9):
        run(number, FINE)
    _wait_until(lambda: len(told()) == 3)
    assert _get(f"{url}/api/v2/alerts") == []
    assert told() == [[("warning", "firing")], [("critical", "firing"), ("warning", "resolved")], [("critical", "resolved")]]


@pytest.mark.slow
def test_our_webhook_body_is_what_a_real_alertmanager_would_send(alertmanager: tuple[str, Listener]) -> None:
    url, bridge = alertmanager
    fires = message(started=datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=7))
    push([fires], Alertmanager(name="am", endpoint=endpoint(url)), deadline=soon(), clock=SystemClock())
    _wait_until(lambda: bridge.requests)
    theirs = bridge.only.json()
    body, kind = written(fires, Webhook(name="bridge", endpoint=endpoint("https://host/x")))
    ours = json.loads(body)
    assert kind == bridge.only.headers["content-type"]
    assert set(ours) == set(theirs)
    assert {type(value) for value in ours.values()} == {type(value) for value in theirs.values()}
    for same in ("version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels"):
        assert ours[same] == theirs[same], same
    [our_alert], [their_alert] = ours["alerts"], theirs["alerts"]
    assert set(our_alert) == set(their_alert)
    for same in ("status", "labels", "fingerprint", "generatorURL"):
        assert our_alert[same] == their_alert[same], same
    assert datetime.fromisoformat(our_alert["startsAt"]) == datetime.fromisoformat(their_alert["startsAt"])
    # an alert with a known end still has none while it fires
    assert our_alert["endsAt"] == their_alert["endsAt"] == "0001-01-01T00:00:00Z"
