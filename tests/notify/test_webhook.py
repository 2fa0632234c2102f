"""What a webhook of one's own is sent: Alertmanager's body to the letter, CloudEvents, the raw message, and the signature."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from pvectl.clock import SystemClock
from pvectl.core.monitor.finding import Severity
from pvectl.core.secret import Secret
from pvectl.errors import ConfigError
from pvectl.notify.deliver import deliver
from pvectl.notify.labelled import fingerprint, label_set
from pvectl.notify.message import Message, Status
from pvectl.notify.result import Delivered
from pvectl.notify.webhook import Form, Webhook, written
from tests.notify.listening import Listener
from tests.notify.samples import CLOCK, digest, endpoint, message, resolved, soon

OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()


def body_of(told: Message, form: Form = Form.ALERTMANAGER, **options: Any) -> Any:
    body, _ = written(told, Webhook(name="ops", endpoint=endpoint("https://host/x"), form=form, **options))
    return json.loads(body)


def test_a_firing_alert_has_alertmanagers_body_to_the_letter() -> None:
    labels = {"alertname": "node.offline", "cluster": "lab", "node": "pve3", "object": "node/pve3", "severity": "critical"}
    annotations = {
        "summary": "node pve3 is offline",
        "description": "pve3 has not answered for 12 minutes.\nIts 4 guests are not reachable.",
        "incident": "i-51ab",
        "notification": "n-7f3a9c",
        "node": "pve3",
        "last_seen": "2026-11-22 11:18 CET",
    }
    assert body_of(message()) == {
        "version": "4",
        "groupKey": '{}:{alertname="node.offline", cluster="lab", object="node/pve3"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "ops",
        "groupLabels": {"alertname": "node.offline", "cluster": "lab", "object": "node/pve3"},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "https://pve1.lan:8006/#v1:0:=node%2Fpve3",
        "alerts": [
            {
                "status": "firing",
                "labels": labels,
                "annotations": annotations,
                "startsAt": "2026-11-22T10:18:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "https://pve1.lan:8006/#v1:0:=node%2Fpve3",
                "fingerprint": fingerprint(labels),
            }
        ],
    }


def test_an_alert_that_is_over_says_when_and_keeps_its_group_and_fingerprint() -> None:
    before, after = body_of(message()), body_of(resolved())
    assert after["status"] == after["alerts"][0]["status"] == "resolved"
    assert after["alerts"][0]["endsAt"] == "2026-11-22T10:30:00Z"
    for key in ("groupKey", "groupLabels"):
        assert after[key] == before[key]
    assert after["alerts"][0]["fingerprint"] == before["alerts"][0]["fingerprint"]


def test_a_reminder_is_firing() -> None:
    assert body_of(message(status=Status.REMINDER))["status"] == "firing"


def test_a_digest_has_an_alert_for_each_part_and_its_own_summary() -> None:
    body = body_of(digest(3))
    assert [alert["labels"]["object"] for alert in body["alerts"]] == ["guest/100", "guest/101", "guest/102"]
    assert body["commonLabels"] == {"alertname": "guest.down", "cluster": "lab", "severity": "critical"}
    assert body["commonAnnotations"]["summary"] == "3 problems"
    assert (body["groupKey"], body["groupLabels"], body["truncatedAlerts"], body["status"]) == ("{}:{}", {}, 0, "firing")


def test_a_digest_is_over_only_when_all_its_parts_are() -> None:
    assert not digest(0).is_over
    assert digest(2, parts=(resolved(id="a"), resolved(id="b"))).is_over
    assert not digest(2, parts=(resolved(id="a"), message(id="b"))).is_over


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize(("keys", "most"), [((), 65_536), ((Secret(NEW),), 20_000)])
def test_a_huge_digest_is_cut_and_says_how_much_is_missing(form: Form, keys: tuple[Secret, ...], most: int) -> None:
    told = digest(700)
    receiver = Webhook(name="ops", endpoint=endpoint("https://host/x"), form=form, keys=keys)
    body, _ = written(told, receiver)
    assert most / 4 < len(body) <= most
    read = json.loads(body)
    raw = read["data"] if form is Form.CLOUDEVENTS else read
    if form is Form.ALERTMANAGER:
        assert len(raw["alerts"]) + raw["truncatedAlerts"] == 700
    else:
        assert len(raw["parts"]) + raw["parts_left_out"] == 700


@pytest.mark.parametrize("form", list(Form))
def test_a_message_of_any_size_fits(form: Form) -> None:
    huge = message(
        subject="é" * 100_000,
        text="line\n" * 50_000 + "ü" * 100_000,
        fields=tuple((f"f{n}" * 100, "v" * 10_000) for n in range(300)),
        labels={f"l{n}": "x" * 20_000 for n in range(100)},
    )
    body, _ = written(huge, Webhook(name="ops", endpoint=endpoint("https://host/x"), form=form, keys=(Secret(NEW),)))
    assert len(body) <= 65_536
    json.loads(body)


def test_names_prometheus_would_not_take_are_spelled_so_that_it_does() -> None:
    labels = body_of(message(labels={"check": "a.b", "pve-tag": "x", "9th": "y", "empty": "", "severity": "lies"}))["commonLabels"]
    assert labels == {"_9th": "y", "alertname": "a.b", "check": "a.b", "pve_tag": "x", "severity": "critical"}


def test_the_fingerprint_is_prometheus_own() -> None:
    # prometheus/common model: the fingerprint of an empty label set is the offset of 64-bit FNV-1a
    assert fingerprint({}) == "cbf29ce484222325"
    # what Alertmanager 0.25 gives to the alert of test_alertmanager.py
    assert fingerprint(label_set(message())) == "3eb7409bc88c5b6a"


def test_a_cloud_event_is_structured_and_bears_the_notifications_id() -> None:
    told = message(started=datetime(2026, 11, 22, 11, 18, tzinfo=timezone(timedelta(hours=1))))
    body, kind = written(told, Webhook(name="ops", endpoint=endpoint("https://host/x"), form=Form.CLOUDEVENTS))
    event = json.loads(body)
    assert kind.startswith("application/cloudevents+json")
    data = event.pop("data")
    assert event == {
        "specversion": "1.0",
        "id": "n-7f3a9c",
        "source": "/pvectl/lab",
        "type": "pvectl.alert.firing",
        "subject": "node/pve3",
        "time": "2026-11-22T10:18:00Z",
        "datacontenttype": "application/json",
    }
    assert data == body_of(told, Form.RAW)
    assert body_of(resolved(), Form.CLOUDEVENTS)["time"] == "2026-11-22T10:30:00Z"
    assert "subject" not in body_of(digest(), Form.CLOUDEVENTS)


def test_the_raw_form_has_everything_as_it_is() -> None:
    assert body_of(resolved(severity=Severity.WARNING), Form.RAW) == {
        "schema": "pvectl/notification/v1",
        "id": "n-7f3a9d",
        "incident": "i-51ab",
        "status": "resolved",
        "severity": "warning",
        "subject": "node pve3 is back",
        "text": "pve3 has not answered for 12 minutes.\nIts 4 guests are not reachable.",
        "fields": [{"name": "Node", "value": "pve3"}, {"name": "Last seen", "value": "2026-11-22 11:18 CET"}],
        "started": "2026-11-22T10:18:00Z",
        "ended": "2026-11-22T10:30:00Z",
        "link": "https://pve1.lan:8006/#v1:0:=node%2Fpve3",
        "labels": {"alertname": "node.offline", "cluster": "lab", "object": "node/pve3", "node": "pve3"},
        "parts": [],
        "parts_left_out": 0,
    }


def test_the_signature_satisfies_standard_webhooks_while_a_key_is_changed(listen: Callable[..., Listener]) -> None:
    listener = listen()
    receiver = Webhook(name="ops", endpoint=endpoint(listener.url()), keys=(Secret(NEW), Secret(OLD)))
    assert isinstance(deliver(message(), receiver, deadline=soon(), clock=SystemClock()), Delivered)
    heard = listener.only
    assert heard.headers["webhook-id"] == "n-7f3a9c"
    for key in (NEW, OLD):
        assert Verifier(key).verify(heard.body, dict(heard.headers))["version"] == "4"
    stranger = "whsec_" + base64.b64encode(b"x" * 32).decode()
    with pytest.raises(WebhookVerificationError):
        Verifier(stranger).verify(heard.body, dict(heard.headers))
    with pytest.raises(WebhookVerificationError):
        Verifier(NEW).verify(heard.body.replace(b"pve3", b"pve4"), dict(heard.headers))


def test_without_a_key_the_id_is_sent_all_the_same(listen: Callable[..., Listener]) -> None:
    listener = listen()
    deliver(message(), Webhook(name="ops", endpoint=endpoint(listener.url())), deadline=soon(), clock=CLOCK)
    headers = listener.only.headers
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("n-7f3a9c", str(int(CLOCK.now().timestamp())))
    assert "webhook-signature" not in headers
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize("key", ["", "whsec_!!!!", "whsec_c2hvcnQ=", "k" * 200, "whsec_" + base64.b64encode(b"x" * 65).decode()])
def test_a_key_that_is_none_is_refused_without_being_repeated(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Webhook(name="ops", endpoint=endpoint("https://host/x"), keys=(Secret(key),))
    assert not key or key not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("bad", ["", "a b", "a.b", "a\r\nb", "ü", "x" * 129, "<a@b>"])
def test_an_id_that_a_header_or_a_signature_would_not_take_is_a_bug(bad: str) -> None:
    for field in ("id", "incident"):
        with pytest.raises(ValueError, match="not an id"):
            message(**{field: bad})


def test_times_without_a_zone_are_a_bug() -> None:
    with pytest.raises(ValueError, match="aware"):
        message(started=datetime(2026, 11, 22))  # noqa: DTZ001
    with pytest.raises(ValueError, match="aware"):
        message(ended=datetime(2026, 11, 22), started=datetime.now(UTC))  # noqa: DTZ001


def test_a_message_survives_being_stored() -> None:
    import msgspec

    told = digest(2)
    assert msgspec.json.decode(msgspec.json.encode(told), type=Message) == told
