"""What is to be told: one notification about one incident, or a digest of several, before any channel gives it a form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct, field
from msgspec.structs import replace

from pvectl.core.monitor.finding import Severity
from pvectl.core.text import clean

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
# what a mail header, a Standard Webhooks signature (which joins with dots) and a URL all take as it is
_LINK = re.compile(r"https?://[!-~]{1,2000}")


class Status(StrEnum):
    """Why people are told now."""

    FIRING = "firing"
    RESOLVED = "resolved"
    REMINDER = "reminder"
    DIGEST = "digest"


class Message(Struct, frozen=True, kw_only=True):
    """One notification. `id` names it for ever, through every try; `incident` is what it shares with the others about the same thing.

    `severity` ok means: for your information. `text` is prose of one or more lines, `fields` are the facts beside it, `labels` say what it
    is about in the words of rules (alertname, object, node, …). A digest has the notifications it stands for as `parts`.
    """

    id: str
    incident: str
    status: Status
    severity: Severity
    subject: str
    started: datetime
    text: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    ended: datetime | None = None
    link: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Message, ...] = ()

    def __post_init__(self) -> None:
        for given in (self.id, self.incident):
            if not _ID.fullmatch(given):
                raise ValueError(f"{given!r} is not an id of up to 128 letters, digits, - and _")
        if self.started.tzinfo is None or (self.ended is not None and self.ended.tzinfo is None):
            raise ValueError("the times of a message are aware")

    @property
    def is_over(self) -> bool:
        """What it tells of has ended; a digest is over when all its parts are."""
        if self.status is Status.DIGEST:
            return bool(self.parts) and all(part.is_over for part in self.parts)
        return self.status is Status.RESOLVED

    def cleaned(self) -> Message:
        """The same, everything spelled out that would steer a terminal, a mail header or a chat instead of showing (safety rule S34)."""
        return replace(
            self,
            subject=" ".join(_one_line(self.subject).split()),
            text=_lines(self.text),
            fields=tuple((_one_line(name), _lines(value)) for name, value in self.fields),
            labels={_one_line(name): _one_line(value) for name, value in self.labels.items()},
            link=self.link if self.link and _LINK.fullmatch(self.link) else None,
            parts=tuple(part.cleaned() for part in self.parts),
        )


def stamp(moment: datetime) -> str:
    """A time as RFC 3339 has it, in UTC, to the second."""
    return moment.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def _lines(text: str) -> str:
    return "\n".join(_one_line(line) for line in text.replace("\r\n", "\n").split("\n")).strip("\n")


def _one_line(text: str) -> str:
    return clean(text.replace("\t", " "))
