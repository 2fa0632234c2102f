"""A message as an e-mail, which programs can thread by incident and recognise when it comes twice."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pvectl.errors import ConfigError
from pvectl.notify.message import Message
from pvectl.notify.wording import cut, headline, plain, state

if TYPE_CHECKING:
    from email.message import EmailMessage

LONGEST_SUBJECT = 200
_LONGEST_LINE = 900
"""SMTP takes 998."""
_MAILBOX = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~][A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{0,63}(?:@(?:[A-Za-z0-9-]+\.)*[A-Za-z0-9-]+)?")


def checked_mailbox(address: str) -> None:
    """An address alone, without a name or brackets; a local user's name is one too.

    Raises:
        ConfigError: it is something else.
    """
    if not _MAILBOX.fullmatch(address) or len(address) > 254:
        raise ConfigError(f"{address[:100]!r} is not a mail address", hint="name@example.org, without a name or brackets")


def letter(message: Message, *, sender: str | None, recipients: Sequence[str], sent_at: datetime) -> EmailMessage:
    """The mail; without a sender the local mail system puts its own."""
    from email import policy
    from email.message import EmailMessage
    from email.utils import format_datetime

    # EmailMessage refuses line ends in a header, and the message was cleaned before: two locks on one door
    mail = EmailMessage(policy=policy.SMTP)
    domain = (sender or "").partition("@")[2] or "pvectl.invalid"
    if sender is not None:
        mail["From"] = f"pvectl <{sender}>"
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = cut(headline(message), LONGEST_SUBJECT)
    mail["Date"] = format_datetime(sent_at)
    mail["Message-ID"] = f"<{message.id}@{domain}>"
    # no mail has this id: all those of an incident hang on it as siblings, whichever of them arrives first
    thread = f"<incident.{message.incident}@{domain}>"
    mail["In-Reply-To"] = thread
    mail["References"] = thread
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Pvectl-Incident"] = message.incident
    mail["X-Pvectl-Status"] = message.status.value
    mail["X-Pvectl-Severity"] = state(message)
    if state(message) == "critical":
        mail["Importance"] = "high"
    text = "\n\n".join(part for part in (plain(message) or message.subject, f"-- \npvectl, incident {message.incident}") if part)
    short = text.isascii() and max(map(len, text.split("\n"))) <= _LONGEST_LINE
    mail.set_content(text, cte="7bit" if short else "quoted-printable")
    return mail
