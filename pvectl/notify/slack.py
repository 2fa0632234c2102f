"""Slack, by an incoming webhook (Mattermost and Rocket.Chat take the same)."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from pvectl.clock import Clock
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.message import Message
from pvectl.notify.post import in_json, send
from pvectl.notify.result import Result, TimeLeft
from pvectl.notify.wording import cut, headline, shortened, state

LONGEST_TITLE = 1024
LONGEST_TEXT = 3000
LONGEST_VALUE = 500
MOST_FIELDS = 10

_COLOURS = {"critical": "#d00000", "warning": "#e8a200", "unknown": "#808080", "info": "#2f6fb0", "resolved": "#2e8b57"}


class Slack(Struct, frozen=True, kw_only=True):
    """`endpoint` is the webhook's URL, which is all it takes to write there."""

    name: str
    endpoint: Endpoint


def deliver(message: Message, receiver: Slack, *, deadline: TimeLeft, clock: Clock) -> Result:
    return send(in_json(receiver.endpoint, body(message)), deadline=deadline, clock=clock)


def body(message: Message) -> dict[str, Any]:
    """An attachment with nothing in it that Slack would take for a mention or for markup: a VM named `<!channel>` wakes nobody."""
    title = headline(message)
    attachment: dict[str, Any] = {
        "color": _COLOURS[state(message)],
        "fallback": _escaped(cut(title, LONGEST_TITLE)),
        "title": _escaped(cut(title, LONGEST_TITLE)),
        "text": _escaped(shortened(message.text, LONGEST_TEXT)),
        "fields": [
            {"title": _escaped(cut(name, 100)), "value": _escaped(shortened(value, LONGEST_VALUE)), "short": len(value) <= 40}
            for name, value in message.fields[:MOST_FIELDS]
        ],
        "footer": f"pvectl {message.incident}",
        "ts": int((message.ended or message.started).timestamp()),
        "mrkdwn_in": [],
    }
    if message.link:
        attachment["title_link"] = message.link
    return {"attachments": [attachment], "link_names": False, "mrkdwn": False, "parse": "none", "unfurl_links": False}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
