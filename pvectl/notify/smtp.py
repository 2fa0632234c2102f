"""Mail by SMTP: STARTTLS unless told otherwise, the server proven, one deadline over the whole conversation."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from pvectl.clock import Clock
from pvectl.core.secret import Secret
from pvectl.errors import ConfigError
from pvectl.notify.discretion import Discretion
from pvectl.notify.letter import checked_mailbox, letter
from pvectl.notify.message import Message
from pvectl.notify.result import Countdown, Delivered, Permanent, Result, Retry, TimeLeft
from pvectl.notify.tls import Tls
from pvectl.notify.wire import Unreached, connect

if TYPE_CHECKING:
    import smtplib

    from pvectl.notify.session import Session

TIMEOUT_S = 30.0
"""Mail servers take their time: some greet late on purpose."""
PORTS = {"starttls": 587, "tls": 465, "plain": 25}

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")


class Smtp(Struct, frozen=True, kw_only=True):
    """A mail server. `security` plain sends mail in the clear, for a relay on this machine; a password is never sent that way."""

    name: str
    host: str
    sender: str
    recipients: tuple[str, ...]
    security: Literal["starttls", "tls", "plain"] = "starttls"
    port: int | None = None
    user: str | None = None
    password: Secret | None = None
    tls: Tls = Tls()
    timeout: float = TIMEOUT_S

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise ConfigError(f"{self.host[:100]!r} is not the name of a mail server")
        if not self.recipients:
            raise ConfigError("a mail needs a recipient")
        for address in (self.sender, *self.recipients):
            checked_mailbox(address)
        if (self.user is None) != (self.password is None):
            raise ConfigError("a user and a password go together")
        # smtplib would raise an error that holds the password
        if self.user is not None and self.password is not None and not (_is_ascii(self.user) and _is_ascii(self.password.reveal())):
            raise ConfigError("the user and the password of a mail server have to be ASCII")
        if self.password is not None and self.security == "plain":
            raise ConfigError("a password is not sent in the clear", hint="security: starttls or tls")


def deliver(message: Message, receiver: Smtp, *, deadline: TimeLeft, clock: Clock) -> Result:
    """Hand it to the server, for all recipients in one go."""
    from email import policy

    mail = letter(message, sender=receiver.sender, recipients=receiver.recipients, sent_at=clock.now())
    limit = Countdown(receiver.timeout, within=deadline)
    try:
        return _handed_over(mail.as_bytes(policy=policy.SMTP), receiver, limit)
    except Unreached as error:
        return Permanent(reason=error.words) if error.lasting else Retry(reason=error.words)
    except ConfigError as error:
        return Permanent(reason=error.message)


def _handed_over(mail: bytes, receiver: Smtp, limit: Countdown) -> Result:
    import smtplib

    from pvectl.notify.session import Refused, Session

    discretion = Discretion(_secrets(receiver))
    wire = connect(receiver.host, receiver.port or PORTS[receiver.security], limit)
    with contextlib.closing(Session(wire, limit)) as session:
        try:
            session.open(receiver.host, receiver.security, receiver.tls)
            if receiver.user is not None and receiver.password is not None:
                session.login(receiver.user, receiver.password.reveal())
            refused = session.sendmail(receiver.sender, list(receiver.recipients), mail)
        except Refused as error:
            return Permanent(reason=error.words)
        except smtplib.SMTPException as error:
            return _judged(error, session, discretion)
        except OSError:
            return Retry(reason=session.trouble(), maybe_delivered=session.handing_over)
        session.leave()
    if refused:
        return Delivered(trouble=_told_recipients(refused, discretion))
    return Delivered(detail="accepted by the mail server")


def _secrets(receiver: Smtp) -> Iterator[Secret]:
    if receiver.password is not None:
        yield receiver.password
        # as AUTH PLAIN sends it
        yield Secret(f"\0{receiver.user}\0{receiver.password.reveal()}")


def _judged(error: smtplib.SMTPException, session: Session, discretion: Discretion) -> Result:
    import smtplib

    if isinstance(error, smtplib.SMTPRecipientsRefused):
        reason = _told_recipients(error.recipients, discretion)
        # one that may be taken later is worth another try for all
        later = any(code < 500 for code, _ in error.recipients.values())
        return Retry(reason=reason) if later else Permanent(reason=reason)
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return Retry(reason=session.trouble(), maybe_delivered=session.handing_over)
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return Permanent(reason="the mail server does not offer what the receiver asks of it (a login)")
    if isinstance(error, smtplib.SMTPResponseException):
        doing = {smtplib.SMTPAuthenticationError: "the login was refused", smtplib.SMTPSenderRefused: "the sender was refused"}
        reason = f"{doing.get(type(error), 'the mail was refused')}: {_told(error.smtp_code, error.smtp_error, discretion)}"
        if 500 <= error.smtp_code < 600:
            return Permanent(reason=reason, of_message=isinstance(error, smtplib.SMTPDataError))
        return Retry(reason=reason)
    return Permanent(reason="the mail server offers no way to log in that pvectl knows")


def _told_recipients(refused: dict[str, tuple[int, bytes]], discretion: Discretion) -> str:
    return "; ".join(f"{address} was refused: {_told(code, said, discretion)}" for address, (code, said) in sorted(refused.items()))


def _told(code: int, said: bytes | str, discretion: Discretion) -> str:
    text = said if isinstance(said, str) else said.decode("utf-8", "replace")
    return f"{code} {discretion.excerpt(text)}".strip()


def _is_ascii(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable()
