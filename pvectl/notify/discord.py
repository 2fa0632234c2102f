"""Discord, by a channel's webhook."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from pvectl.clock import Clock
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.message import Message, stamp
from pvectl.notify.post import in_json, send
from pvectl.notify.reading import number_at
from pvectl.notify.result import Result, TimeLeft
from pvectl.notify.wording import headline, shortened, state

LONGEST_TITLE = 256
LONGEST_DESCRIPTION = 4096
LONGEST_NAME = 256
LONGEST_VALUE = 1024
MOST_FIELDS = 25
LONGEST_EMBED = 6000
"""Characters of title, description, fields and footer together."""

_COLOURS = {"critical": 0xD00000, "warning": 0xE8A200, "unknown": 0x808080, "info": 0x2F6FB0, "resolved": 0x2E8B57}
_MARKUP = re.compile(r"([\\*_~`|<>\[\]()#@:-])")


class Discord(Struct, frozen=True, kw_only=True):
    """`endpoint` is the webhook's URL, which is all it takes to write there."""

    name: str
    endpoint: Endpoint


def deliver(message: Message, receiver: Discord, *, deadline: TimeLeft, clock: Clock) -> Result:
    return send(in_json(receiver.endpoint, body(message), after=_told), deadline=deadline, clock=clock)


def body(message: Message) -> dict[str, Any]:
    """An embed whose text is shown as it is: markup is escaped, and nobody can be mentioned."""
    footer = f"pvectl {message.incident}"
    embed: dict[str, Any] = {
        "title": _fitting(headline(message), LONGEST_TITLE),
        "color": _COLOURS[state(message)],
        "timestamp": stamp(message.ended or message.started),
        "footer": {"text": footer},
    }
    left = LONGEST_EMBED - len(embed["title"]) - len(footer)
    text = _fitting(message.text, LONGEST_DESCRIPTION)
    if text:
        embed["description"] = text
        left -= len(text)
    fields = []
    for name, value in message.fields[:MOST_FIELDS]:
        # Discord refuses a field without a name or a value
        shown = {"name": _fitting(name, LONGEST_NAME) or "-", "value": _fitting(value, LONGEST_VALUE) or "-", "inline": len(value) <= 40}
        left -= len(str(shown["name"])) + len(str(shown["value"]))
        if left < 0:
            break
        fields.append(shown)
    if fields:
        embed["fields"] = fields
    if message.link:
        embed["url"] = message.link
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def _fitting(text: str, most: int) -> str:
    """Escaped, and short enough after that: cutting the escaped text could leave half an escape."""
    room = most
    while True:
        shown = _MARKUP.sub(r"\\\1", shortened(text, room))
        if len(shown) <= most:
            return shown
        room -= len(shown) - most


def _told(answer: str) -> float | None:
    return number_at(answer, "retry_after")
