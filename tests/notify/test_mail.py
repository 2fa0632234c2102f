"""Mail, through a real server with and without TLS, through servers that fail, and through the machine's sendmail."""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from pvectl.core.monitor.finding import Severity
from pvectl.core.secret import Secret
from pvectl.errors import ConfigError
from pvectl.notify.deliver import deliver
from pvectl.notify.letter import letter
from pvectl.notify.message import Status
from pvectl.notify.result import Countdown, Delivered, Permanent, Result, Retry
from pvectl.notify.sendmail import Sendmail
from pvectl.notify.smtp import Smtp
from pvectl.notify.tls import Tls
from tests.notify.mailing import Mailbox, mail_server
from tests.notify.samples import CLOCK, NOW, message, resolved, soon
from tests.notify.talking import talking
from tests.support.servers import TlsFiles


def receiver(mailbox: Mailbox, **changes: Any) -> Smtp:
    values: dict[str, Any] = {
        "name": "mail",
        "host": "127.0.0.1",
        "port": mailbox.port,
        "sender": "pvectl@lab.example",
        "recipients": ("ops@lab.example",),
        "security": "plain",
        "timeout": 5.0,
    }
    return Smtp(**values | changes)


def told(mailbox: Mailbox, **changes: Any) -> Result:
    return deliver(message(), receiver(mailbox, **changes), deadline=soon(), clock=CLOCK)


def test_a_mail_arrives_with_all_that_is_to_be_said() -> None:
    with mail_server() as mailbox:
        assert isinstance(told(mailbox, recipients=("ops@lab.example", "night@lab.example")), Delivered)
    assert (mailbox.only().mail_from, mailbox.only().rcpt_tos) == ("pvectl@lab.example", ["ops@lab.example", "night@lab.example"])
    mail = mailbox.mail()
    assert mail["Subject"] == "[critical] node pve3 is offline"
    assert mail["From"] == "pvectl <pvectl@lab.example>"
    assert mail["To"] == "ops@lab.example, night@lab.example"
    assert mail["Date"].datetime == NOW
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content().replace("\r\n", "\n") == (
        "pve3 has not answered for 12 minutes.\nIts 4 guests are not reachable.\n\nNode: pve3\nLast seen: 2026-11-22 11:18 CET\n\n"
        "https://pve1.lan:8006/#v1:0:=node%2Fpve3\n\n-- \npvectl, incident i-51ab\n"
    )


def test_mails_of_an_incident_are_one_thread_and_each_keeps_its_id_in_every_try() -> None:
    def made(**changes: Any) -> Any:
        return letter(message(**changes), sender="pvectl@lab.example", recipients=("a@b.example",), sent_at=NOW)

    first, again, later = made(), made(), made(id="n-2", status=Status.REMINDER)
    assert first["Message-ID"] == again["Message-ID"] == "<n-7f3a9c@lab.example>"
    assert later["Message-ID"] == "<n-2@lab.example>"
    assert first["References"] == later["References"] == first["In-Reply-To"] == "<incident.i-51ab@lab.example>"
    other = made(incident="i-other")
    assert other["References"] != first["References"]


def test_what_is_said_in_other_letters_and_in_endless_lines_arrives_as_it_was() -> None:
    text = "Knoten 3 — größer: 漢字 😀\n" + "x" * 5000 + "\n.\n..dots\nFrom here"
    with mail_server() as mailbox:
        sent = message(subject="Speicher »nfs« ist voll 😀", text=text, fields=(), link=None)
        assert isinstance(deliver(sent, receiver(mailbox), deadline=soon(), clock=CLOCK), Delivered)
    assert mailbox.mail()["Subject"] == "[critical] Speicher »nfs« ist voll 😀"
    assert mailbox.mail().get_content().replace("\r\n", "\n").startswith(text + "\n\n-- \n")
    content = mailbox.only().content
    assert isinstance(content, bytes)
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998


def test_an_endless_line_of_ascii_is_broken_on_its_way_and_whole_again_after_it() -> None:
    mail = letter(message(text="x" * 5000, fields=()), sender="a@b.example", recipients=("c@d.example",), sent_at=NOW)
    assert max(map(len, mail.as_bytes().splitlines())) <= 998
    assert mail.get_content().startswith("x" * 5000)


def test_t3_no_header_can_be_slipped_in() -> None:
    evil = "x\r\nBcc: thief@evil.example\r\n\r\nbody\u2028\x1b[2J\u202e"
    with mail_server() as mailbox:
        sent = message(subject=evil, text=evil, fields=((evil, evil),), labels={evil: evil}, link=f"https://a/{evil}")
        assert isinstance(deliver(sent, receiver(mailbox), deadline=soon(), clock=CLOCK), Delivered)
    assert mailbox.only().rcpt_tos == ["ops@lab.example"]
    mail = mailbox.mail()
    assert mail["Bcc"] is None
    assert mail["Subject"] == r"[critical] x\x0d\x0aBcc: thief@evil.example\x0d\x0a\x0d\x0abody\u2028\x1b[2J\u202e"
    assert "\x1b" not in mail.get_content()
    # not even when somebody forgets to clean it
    with pytest.raises(ValueError, match="linefeed"):
        letter(message(subject=evil), sender="a@b.example", recipients=("a@b.example",), sent_at=NOW)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_s28_under_tls_the_server_is_proven_before_the_password_leaves(
    security: str, server_tls: ssl.SSLContext, tls_files: TlsFiles
) -> None:
    offered = {"starttls": server_tls} if security == "starttls" else {"tls": server_tls}
    login = {"user": "ops", "password": Secret("right"), "security": security}
    with mail_server(login=True, **offered) as mailbox:
        assert isinstance(told(mailbox, **login, tls=Tls(ca_file=str(tls_files.ca_file))), Delivered)
        assert isinstance(told(mailbox, **login, tls=Tls(fingerprints=(tls_files.fingerprint,))), Delivered)
        assert mailbox.under_tls == [True, True]
        assert mailbox.logins == [("ops", "right")] * 2
        for stranger in (Tls(), Tls(fingerprints=("ab" * 32,))):
            result = told(mailbox, **login, tls=stranger)
            assert isinstance(result, Permanent)
            assert "certificate" in result.reason
        assert len(mailbox.logins) == 2
        wrong = told(mailbox, **login | {"password": Secret("wr0ng-pass")}, tls=Tls(ca_file=str(tls_files.ca_file)))
        assert isinstance(wrong, Permanent)
        assert wrong.reason.startswith("the login was refused: 535")
        assert "wr0ng-pass" not in repr(wrong)


def test_s28_a_server_without_starttls_gets_no_mail_by_default() -> None:
    with mail_server() as mailbox:
        result = told(mailbox, security="starttls")
        assert isinstance(result, Permanent)
        assert "offers no STARTTLS" in result.reason
        assert mailbox.mails == []


def test_a_server_that_offers_no_login_gets_no_password(server_tls: ssl.SSLContext, tls_files: TlsFiles) -> None:
    with mail_server(tls=server_tls) as mailbox:
        result = told(mailbox, security="tls", user="ops", password=Secret("pw"), tls=Tls(ca_file=str(tls_files.ca_file)))
        assert isinstance(result, Permanent)
        assert mailbox.mails == []


@pytest.mark.parametrize(
    ("answers", "kind", "of_message"),
    [
        ({"MAIL": "451 4.3.0 try later"}, Retry, None),
        ({"MAIL": "550 5.7.1 not you"}, Permanent, False),
        ({"DATA": "451 4.3.0 try later"}, Retry, None),
        ({"DATA": "552 5.3.4 too large"}, Permanent, True),
        ({"DATA": "421 closing"}, Retry, None),
    ],
)
def test_4_means_later_and_5_means_no(answers: dict[str, str], kind: type, of_message: bool | None) -> None:
    with mail_server() as mailbox:
        mailbox.answers |= answers
        result = told(mailbox)
    assert isinstance(result, kind)
    assert not isinstance(result, Permanent) or result.of_message is of_message
    assert next(iter(answers.values()))[:3] in repr(result)


def test_a_recipient_who_is_refused_keeps_nobody_else_from_knowing() -> None:
    with mail_server() as mailbox:
        mailbox.refused["gone@lab.example"] = "550 5.1.1 no such user"
        result = told(mailbox, recipients=("gone@lab.example", "ops@lab.example"))
        assert result == Delivered(trouble="gone@lab.example was refused: 550 5.1.1 no such user")
        assert mailbox.only().rcpt_tos == ["ops@lab.example"]
        assert isinstance(told(mailbox, recipients=("gone@lab.example",)), Permanent)
        mailbox.refused["grey@lab.example"] = "450 4.2.0 greylisted"
        assert isinstance(told(mailbox, recipients=("gone@lab.example", "grey@lab.example")), Retry)


GREET = b"220 mail\r\n"
HELLO = b"250-mail\r\n250 STARTTLS\r\n"


@pytest.mark.parametrize(
    ("said", "then", "maybe"),
    [
        ((), "hang", False),
        ((b"220 ma",), "drip", False),
        ((b"220-more\r\n",), "flood", False),
        ((), "close", False),
        ((b"554 go away\r\n",), "close", False),
        ((b"421 busy\r\n",), "close", False),
        ((b"not SMTP\r\n",), "close", False),
        ((GREET,), "close", False),
        ((GREET, b"250 mail\r\n"), "hang", False),
        ((GREET, b"250 mail\r\n", b"250 OK\r\n", b"250 OK\r\n"), "close", True),
        ((GREET, b"250 mail\r\n", b"250 OK\r\n", b"250 OK\r\n", b"354 go\r\n"), "hang", True),
        ((GREET, b"250 mail\r\n", b"250 OK\r\n", b"250 OK\r\n", b"354 go\r\n"), "reset", True),
    ],
)
@pytest.mark.slow
def test_a_server_that_fails_in_mid_conversation_is_tried_again(said: tuple[bytes, ...], then: str, maybe: bool) -> None:
    with talking(*said, then=then) as port:
        # only the time-out ends some of these; it leaves time enough to get that far, on any machine
        result = told(Mailbox(port=port), timeout=1.0 if then in ("hang", "drip") else 5.0)
    if said and said[0].startswith(b"554"):
        assert isinstance(result, Permanent)
        return
    assert isinstance(result, Retry)
    assert result.maybe_delivered is maybe


def test_a_server_that_never_stops_talking_is_not_listened_to_for_ever() -> None:
    with talking(b"220-more\r\n", then="flood") as port:
        assert told(Mailbox(port=port), timeout=10) == Retry(reason="the mail server says more than anybody needs")


def test_once_the_mail_was_taken_a_missing_goodbye_changes_nothing() -> None:
    with talking(GREET, b"250 mail\r\n", b"250 OK\r\n", b"250 OK\r\n", b"354 go\r\n", b"250 taken\r\n", then="hang") as port:
        assert isinstance(told(Mailbox(port=port), timeout=1.0), Delivered)


def test_what_is_slipped_in_before_tls_is_not_taken_for_the_servers_word() -> None:
    with talking(GREET, HELLO, b"220 go\r\n250-mail\r\n250 AUTH PLAIN\r\n", then="hang") as port:
        result = told(Mailbox(port=port), security="starttls")
    assert isinstance(result, Permanent)
    assert "before TLS" in result.reason


def test_starttls_refused_ends_it() -> None:
    with talking(GREET, HELLO, b"454 TLS not available\r\n", then="close") as port:
        assert isinstance(told(Mailbox(port=port), security="starttls"), Retry)


def test_nobody_there_is_tried_again() -> None:
    assert told(Mailbox(port=1)) == Retry(reason="connection refused")


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": "a@b\r\nBcc: c@d"},
        {"sender": "pvectl <a@b.example>"},
        {"recipients": ()},
        {"recipients": ("a b@c",)},
        {"recipients": ("-oQ/tmp@x",)},
        {"host": "mail server"},
        {"host": "mail\r\n"},
        {"user": "ops"},
        {"user": "ops", "password": Secret("pw")},
    ],
)
def test_what_cannot_be_a_mail_receiver_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        receiver(Mailbox(port=25), **changes)


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """`program(body)` -> the path of a stand-in for sendmail, written in Python."""

    def write(body: str) -> str:
        path = tmp_path / "sendmail"
        path.write_text(f"#!{sys.executable} -SE\nimport os, sys\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return write


def test_sendmail_gets_the_mail_on_its_standard_input_and_nothing_else(
    program: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PVECTL_CANARY", "c4nary")
    fake = program(
        f"open({str(tmp_path / 'mail')!r}, 'wb').write(sys.stdin.buffer.read())\n"
        f"open({str(tmp_path / 'seen')!r}, 'w').write(repr((sys.argv[1:], os.getcwd(), sorted(os.environ))))"
    )
    sent = message(text="a\n.\nb", severity=Severity.WARNING)
    assert isinstance(deliver(sent, Sendmail(name="local", program=fake), deadline=soon(), clock=CLOCK), Delivered)
    argv, folder, environment = eval((tmp_path / "seen").read_text())
    assert (argv, folder) == (["-i", "--", "root"], "/")
    assert set(environment) <= {"PATH", "LC_CTYPE"}
    mail = message_from_bytes((tmp_path / "mail").read_bytes(), policy=default)
    assert (mail["To"], mail["From"], mail["Subject"]) == ("root", None, "[warning] node pve3 is offline")
    assert mail["Message-ID"] == "<n-7f3a9c@pvectl.invalid>"
    assert b"\r" not in (tmp_path / "mail").read_bytes()
    with_sender = Sendmail(name="local", program=fake, sender="pve@lab.example", recipients=("a@b.example", "root"))
    assert isinstance(deliver(resolved(), with_sender, deadline=soon(), clock=CLOCK), Delivered)
    assert eval((tmp_path / "seen").read_text())[0] == ["-i", "-f", "pve@lab.example", "--", "a@b.example", "root"]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("sys.stderr.write('queue\\x1b[2J full'); sys.exit(75)", Retry),
        ("sys.exit(69)", Retry),
        ("sys.exit(1)", Retry),
        ("os.kill(os.getpid(), 9)", Retry),
        ("sys.exit(67)", Permanent),
        ("sys.exit(78)", Permanent),
    ],
)
def test_sendmail_says_by_its_exit_code_whether_to_try_again(program: Callable[[str], str], body: str, kind: type) -> None:
    result = deliver(message(), Sendmail(name="local", program=program(body)), deadline=soon(), clock=CLOCK)
    assert isinstance(result, kind)
    assert "\x1b" not in repr(result)


def test_a_sendmail_that_does_not_end_is_ended_with_all_it_started(program: Callable[[str], str]) -> None:
    fake = program("import subprocess\nsubprocess.run(['sleep', '3600'])")
    result = deliver(message(), Sendmail(name="local", program=fake), deadline=Countdown(0.3), clock=CLOCK)
    assert isinstance(result, Retry)
    assert result.maybe_delivered


def test_without_a_sendmail_that_is_said() -> None:
    result = deliver(message(), Sendmail(name="local", program="/nonexistent/sendmail"), deadline=soon(), clock=CLOCK)
    assert isinstance(result, Permanent)
    with pytest.raises(ConfigError):
        Sendmail(name="local", program="sendmail")
    with pytest.raises(ConfigError):
        Sendmail(name="local", recipients=())
    with pytest.raises(ConfigError):
        Sendmail(name="local", recipients=("-oQ/tmp",))
