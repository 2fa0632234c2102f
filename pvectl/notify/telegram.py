"""Telegram, by a bot's sendMessage."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Struct

from pvectl.clock import Clock
from pvectl.core.secret import Secret
from pvectl.errors import ConfigError
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.message import Message
from pvectl.notify.post import in_json, send
from pvectl.notify.reading import number_at
from pvectl.notify.result import Result, TimeLeft
from pvectl.notify.wording import headline, plain, shortened

LONGEST_TEXT = 4096

_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{20,100}")
_CHAT = re.compile(r"-?[0-9]{1,20}|@[A-Za-z0-9_]{1,64}")
_MENTION = re.compile(r"(?<!\w)@(?=\w)")


class Telegram(Struct, frozen=True, kw_only=True):
    """`chat` is a number or @channel, `thread` a topic in it; `endpoint` is the Bot API's server."""

    name: str
    token: Secret
    chat: str
    thread: int | None = None
    endpoint: Endpoint = Endpoint(url=Secret("https://api.telegram.org"))

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.token.reveal()):
            raise ConfigError("the token is not one of a Telegram bot", hint="BotFather gives it, as 123456:ABC…")
        if not _CHAT.fullmatch(self.chat):
            raise ConfigError("the chat is neither a number nor @channel")


def deliver(message: Message, receiver: Telegram, *, deadline: TimeLeft, clock: Clock) -> Result:
    to = receiver.endpoint.below(f"/bot{receiver.token.reveal()}/sendMessage")
    return send(in_json(to, body(message, receiver), secrets=(receiver.token,), after=_told), deadline=deadline, clock=clock)


def body(message: Message, receiver: Telegram) -> dict[str, Any]:
    """Plain text: without a parse mode there is no markup, and an @ that would call somebody is made a wide one."""
    text = "\n\n".join(part for part in (headline(message), plain(message)) if part)
    sent: dict[str, Any] = {
        "chat_id": receiver.chat,
        "text": shortened(_MENTION.sub("\N{FULLWIDTH COMMERCIAL AT}", text), LONGEST_TEXT, size=_utf16),
        "link_preview_options": {"is_disabled": True},
    }
    return sent if receiver.thread is None else sent | {"message_thread_id": receiver.thread}


def _utf16(text: str) -> int:
    """Telegram counts UTF-16 code units."""
    return len(text.encode("utf-16-le")) // 2


def _told(answer: str) -> float | None:
    return number_at(answer, "parameters", "retry_after")
