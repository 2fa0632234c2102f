"""ntfy: a push message on a phone, published as JSON to the server's root."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from pvectl.clock import Clock
from pvectl.core.secret import Secret
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.message import Message
from pvectl.notify.post import in_json, send
from pvectl.notify.result import Result, TimeLeft
from pvectl.notify.wording import cut, octets, plain, shortened, state

LONGEST_MESSAGE = 4096
"""Bytes; a longer one arrives as an attachment."""
LONGEST_TITLE = 250

_PRIORITIES = {"critical": 5, "warning": 4, "unknown": 4, "info": 3, "resolved": 3}
_TAGS = {
    "critical": "rotating_light",
    "warning": "warning",
    "unknown": "grey_question",
    "info": "information_source",
    "resolved": "white_check_mark",
}


class Ntfy(Struct, frozen=True, kw_only=True):
    """`endpoint` is the server; `topic` is a secret, because on a public server whoever knows it reads along."""

    name: str
    topic: Secret
    endpoint: Endpoint = Endpoint(url=Secret("https://ntfy.sh/"))


def deliver(message: Message, receiver: Ntfy, *, deadline: TimeLeft, clock: Clock) -> Result:
    return send(in_json(receiver.endpoint, body(message, receiver), secrets=(receiver.topic,)), deadline=deadline, clock=clock)


def body(message: Message, receiver: Ntfy) -> dict[str, Any]:
    how = state(message)
    published: dict[str, Any] = {
        "topic": receiver.topic.reveal(),
        "title": cut(message.subject, LONGEST_TITLE),
        "message": shortened(plain(message) or message.subject, LONGEST_MESSAGE, size=octets),
        "priority": _PRIORITIES[how],
        "tags": [_TAGS[how]],
    }
    return published | {"click": message.link} if message.link else published
