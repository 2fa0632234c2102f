"""A webhook of one's own: Alertmanager's body, which every bridge understands, or CloudEvents, or the message as it is; signed."""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from pvectl.clock import Clock
from pvectl.core.secret import Secret
from pvectl.notify import labelled, signing
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.message import Message, Status, stamp
from pvectl.notify.post import MOST_SENT, Request, send
from pvectl.notify.result import Result, TimeLeft
from pvectl.notify.wording import shortened

RAW_SCHEMA = "pvectl/notification/v1"
LONGEST_TEXT = 8 << 10
"""Characters of one text in a body; the subject says what matters."""

_SIGNED_SIZE = 20_000
"""Standard Webhooks recommends bodies below 20 kB; one message is, a large digest is cut to it as long as it keeps a part."""

_SMALLEST_PART = 250
"""Bytes; so that a digest of thousands is not written again and again to find out that it is too large."""


class Form(StrEnum):
    """What the body looks like."""

    ALERTMANAGER = "alertmanager"
    CLOUDEVENTS = "cloudevents"
    RAW = "raw"


class Webhook(Struct, frozen=True, kw_only=True):
    """`keys` sign: the current one first, one that is being replaced after it; without any, nothing is signed."""

    name: str
    endpoint: Endpoint
    form: Form = Form.ALERTMANAGER
    keys: tuple[Secret, ...] = ()

    def __post_init__(self) -> None:
        for key in self.keys:
            signing.key_bytes(key)


def deliver(message: Message, receiver: Webhook, *, deadline: TimeLeft, clock: Clock) -> Result:
    """POST it; `webhook-id` is the notification's own id in every try."""
    body, kind = written(message, receiver)
    timestamp = int(clock.now().timestamp())
    headers = {"Content-Type": kind, "webhook-id": message.id, "webhook-timestamp": str(timestamp)}
    if receiver.keys:
        headers["webhook-signature"] = signing.signatures(message.id, timestamp, body, receiver.keys)
    return send(Request(receiver.endpoint, body, headers=headers, secrets=receiver.keys), deadline=deadline, clock=clock)


def written(message: Message, receiver: Webhook) -> tuple[bytes, str]:
    """The body, of a digest as many parts as fit, and its media type."""
    import msgspec

    most = _SIGNED_SIZE if receiver.keys else MOST_SENT
    longest = LONGEST_TEXT
    parts = min(len(message.parts), most // _SMALLEST_PART)
    while True:
        payload, kind = _payload(message, receiver, parts, longest)
        body = msgspec.json.encode(payload)
        if len(body) <= most or (parts <= 1 and longest < 64):
            return body, kind
        # parts go first: the text of a digest sums all of them up
        parts, longest = (parts // 2, longest) if parts > 1 else (parts, longest // 2)


def _payload(message: Message, receiver: Webhook, parts: int, longest: int) -> tuple[Any, str]:
    match receiver.form:
        case Form.ALERTMANAGER:
            return alertmanager_body(message, receiver.name, parts=parts, longest=longest), "application/json"
        case Form.CLOUDEVENTS:
            return cloud_event(message, parts=parts, longest=longest), "application/cloudevents+json; charset=utf-8"
        case Form.RAW:
            return raw(message, parts=parts, longest=longest), "application/json"


def alertmanager_body(message: Message, receiver: str, *, parts: int, longest: int) -> dict[str, Any]:
    """Alertmanager's webhook body, version 4, as its documentation has it."""
    told = message.parts or (message,)
    shown = [_shorter(part, longest) for part in told[: max(parts, 1)]]
    alerts = [labelled.alert(part) for part in shown]
    group = labelled.group_labels(message)
    common = _common([labelled.label_set(part) for part in told])
    subject, text = shortened(message.subject, longest), shortened(message.text, longest)
    common_said = _common([labelled.said_about(part) for part in shown])
    if message.parts:
        common_said |= {"summary": subject, "description": text}
    return {
        "version": "4",
        "groupKey": labelled.group_key(group),
        "truncatedAlerts": len(told) - len(alerts),
        "status": "resolved" if message.is_over else "firing",
        "receiver": receiver,
        "groupLabels": group,
        "commonLabels": common,
        "commonAnnotations": {name: said for name, said in common_said.items() if said},
        "externalURL": message.link or "",
        "alerts": alerts,
    }


def cloud_event(message: Message, *, parts: int, longest: int) -> dict[str, Any]:
    """CloudEvents 1.0, structured: the notification is the event, its subject the object."""
    event = {
        "specversion": "1.0",
        "id": message.id,
        "source": "/pvectl/" + quote(message.labels.get("cluster", ""), safe=""),
        "type": f"pvectl.alert.{message.status.value}",
        "time": stamp(message.ended if message.status is Status.RESOLVED and message.ended else message.started),
        "datacontenttype": "application/json",
        "data": raw(message, parts=parts, longest=longest),
    }
    subject = message.labels.get("object")
    return event | {"subject": subject} if subject else event


def raw(message: Message, *, parts: int, longest: int) -> dict[str, Any]:
    """The message as it is."""
    shorter = _shorter(message, longest)
    return {
        "schema": RAW_SCHEMA,
        "id": message.id,
        "incident": message.incident,
        "status": message.status.value,
        "severity": message.severity.value,
        "subject": shorter.subject,
        "text": shorter.text,
        "fields": [{"name": name, "value": value} for name, value in shorter.fields],
        "started": stamp(message.started),
        "ended": stamp(message.ended) if message.ended else None,
        "link": message.link,
        "labels": labelled.limited(message),
        "parts": [raw(part, parts=0, longest=longest) for part in message.parts[: max(parts, 1)]],
        "parts_left_out": len(message.parts) - len(message.parts[: max(parts, 1)]),
    }


def _shorter(message: Message, longest: int) -> Message:
    from msgspec.structs import replace

    return replace(
        message,
        subject=shortened(message.subject, longest),
        text=shortened(message.text, longest),
        fields=tuple((shortened(name, 100), shortened(value, longest)) for name, value in message.fields[:25]),
    )


def _common(sets: list[dict[str, str]]) -> dict[str, str]:
    first, *others = sets
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}
