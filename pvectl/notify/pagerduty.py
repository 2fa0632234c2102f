"""PagerDuty, by the Events API v2: our incident is its alert, by `dedup_key`."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from pvectl.clock import Clock
from pvectl.core.secret import Secret
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.message import Message, stamp
from pvectl.notify.post import in_json, send
from pvectl.notify.result import Result, TimeLeft
from pvectl.notify.wording import cut, shortened

LONGEST_SUMMARY = 1024
LONGEST_TEXT = 16_000
MOST_FIELDS = 30

_SEVERITIES = {"critical": "critical", "warning": "warning", "unknown": "error", "ok": "info"}


class PagerDuty(Struct, frozen=True, kw_only=True):
    """`key` is the integration's routing key; `endpoint` is another one in the EU (events.eu.pagerduty.com)."""

    name: str
    key: Secret
    endpoint: Endpoint = Endpoint(url=Secret("https://events.pagerduty.com/v2/enqueue"))


def deliver(message: Message, receiver: PagerDuty, *, deadline: TimeLeft, clock: Clock) -> Result:
    return send(in_json(receiver.endpoint, body(message, receiver), secrets=(receiver.key,)), deadline=deadline, clock=clock)


def body(message: Message, receiver: PagerDuty) -> dict[str, Any]:
    event: dict[str, Any] = {
        "routing_key": receiver.key.reveal(),
        "event_action": "resolve" if message.is_over else "trigger",
        "dedup_key": message.incident,
        "client": "pvectl",
        "payload": {
            "summary": cut(message.subject, LONGEST_SUMMARY),
            "source": cut(message.labels.get("node") or message.labels.get("cluster") or "pvectl", 255),
            "severity": _SEVERITIES[message.severity.value],
            "timestamp": stamp(message.started),
            "custom_details": _details(message),
        },
    }
    for name, label in (("component", "object"), ("group", "cluster"), ("class", "alertname")):
        if value := message.labels.get(label):
            event["payload"][name] = cut(value, 255)
    if message.link:
        event["client_url"] = message.link
        event["links"] = [{"href": message.link, "text": "Open"}]
    return event


def _details(message: Message) -> dict[str, str]:
    facts = {cut(name, 100): shortened(value, 1000) for name, value in message.fields[:MOST_FIELDS]}
    return facts | {"text": shortened(message.text, LONGEST_TEXT), "notification": message.id}
