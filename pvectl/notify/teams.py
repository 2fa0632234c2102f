"""Microsoft Teams, by a workflow that takes an Adaptive Card (the older connectors are gone)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from pvectl.clock import Clock
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.message import Message
from pvectl.notify.post import in_json, send
from pvectl.notify.result import Result, TimeLeft
from pvectl.notify.wording import cut, headline, shortened, state

LARGEST_BODY = 28_000
"""Bytes of a card Teams takes."""
LONGEST_TITLE = 500
LONGEST_TEXT = 8000
MOST_FIELDS = 20

_COLOURS = {"critical": "Attention", "warning": "Warning", "unknown": "Default", "info": "Accent", "resolved": "Good"}


class Teams(Struct, frozen=True, kw_only=True):
    """`endpoint` is the workflow's URL, signature included, which is all it takes to write there."""

    name: str
    endpoint: Endpoint


def deliver(message: Message, receiver: Teams, *, deadline: TimeLeft, clock: Clock) -> Result:
    return send(in_json(receiver.endpoint, body(message)), deadline=deadline, clock=clock)


def body(message: Message) -> dict[str, Any]:
    import msgspec

    longest = LONGEST_TEXT
    while True:
        written = _card(message, longest)
        if len(msgspec.json.encode(written)) <= LARGEST_BODY or longest < 64:
            return written
        longest //= 2


def _card(message: Message, longest: int) -> dict[str, Any]:
    title = headline(message)
    blocks = [_text(cut(title, min(LONGEST_TITLE, longest)), weight="Bolder", size="Medium", color=_COLOURS[state(message)])]
    blocks += [_text(line) for line in shortened(message.text, longest).split("\n") if line]
    blocks += [_text(f"{cut(name, 100)}: {shortened(value, min(500, longest))}") for name, value in message.fields[:MOST_FIELDS]]
    blocks.append(_text(f"pvectl {message.incident}", isSubtle=True, size="Small"))
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": blocks,
    }
    if message.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": message.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _text(text: str, **style: Any) -> dict[str, Any]:
    # the text of a TextBlock and of a FactSet is Markdown, that of a TextRun is not
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
