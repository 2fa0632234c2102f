"""A real mail server (aiosmtpd) on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass
class Mailbox:
    """What arrived, and what the server says to it."""

    port: int = 0
    mails: list[Envelope] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    """Answers to RCPT, by address."""
    answers: dict[str, str] = field(default_factory=dict)
    """Answers to EHLO, MAIL and DATA in place of the usual ones."""
    under_tls: list[bool] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]) -> str:  # noqa: N802
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_MAIL(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]) -> str:  # noqa: N802
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return self.answers.get("MAIL", "250 OK")

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.mails.append(envelope)
        assert isinstance(server.transport, asyncio.Transport)
        self.under_tls.append(server.transport.get_extra_info("sslcontext") is not None)
        return self.answers.get("DATA", "250 OK")

    def authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        user, password = data.login.decode(), data.password.decode()
        self.logins.append((user, password))
        good = password == "right"
        # a server that repeats what it was sent, as servers do
        said = self.answers.get("AUTH", f"535 5.7.8 {mechanism} {password} is wrong")
        return AuthResult(success=good, handled=False, message=None if good else said)

    def only(self) -> Envelope:
        assert len(self.mails) == 1, self.mails
        return self.mails[0]

    def mail(self) -> EmailMessage:
        return BytesParser(policy=default).parsebytes(cast("bytes", self.only().content))


@contextmanager
def mail_server(*, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, login: bool = False) -> Iterator[Mailbox]:
    """A server for as long as the block lasts: in the clear, with STARTTLS, or under TLS from the first byte."""
    mailbox = Mailbox()
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    made: list[SMTP] = []

    def make() -> SMTP:
        server = SMTP(
            mailbox,
            hostname="mail.test",
            loop=loop,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=mailbox.authenticate if login else None,
            auth_required=login and tls is None,
            auth_require_tls=tls is None,
        )
        made.append(server)
        return server

    async def serve() -> None:
        server = await loop.create_server(make, "127.0.0.1", 0, ssl=tls)
        mailbox.port = server.sockets[0].getsockname()[1]
        ready.set()
        await stop.wait()
        server.close()
        for each in made:
            if isinstance(each.transport, asyncio.Transport):
                each.transport.abort()
        pending = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    stop = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(20)
        yield mailbox
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()
