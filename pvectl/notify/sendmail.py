"""Mail by the machine's own sendmail; on a Proxmox VE node mail to root reaches the targets configured in PVE's notifications."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from msgspec import Struct

from pvectl.clock import Clock
from pvectl.core.text import clean
from pvectl.errors import ConfigError
from pvectl.notify.letter import checked_mailbox, letter
from pvectl.notify.message import Message
from pvectl.notify.result import Countdown, Delivered, Permanent, Result, Retry, TimeLeft

TIMEOUT_S = 30.0

_LASTING = frozenset({os.EX_USAGE, os.EX_NOUSER, os.EX_NOHOST, os.EX_NOPERM, os.EX_CONFIG})


class Sendmail(Struct, frozen=True, kw_only=True):
    """`recipients` are addresses or local users (pve-docs, notifications: "System Mail Forwarding" takes what goes to root)."""

    name: str
    recipients: tuple[str, ...] = ("root",)
    sender: str | None = None
    program: str = "/usr/sbin/sendmail"
    timeout: float = TIMEOUT_S

    def __post_init__(self) -> None:
        if not self.recipients:
            raise ConfigError("a mail needs a recipient")
        for address in (*self.recipients, *(() if self.sender is None else (self.sender,))):
            checked_mailbox(address)
        if not Path(self.program).is_absolute() or not self.program.isprintable():
            raise ConfigError(f"{self.program[:100]!r} is not the whole path of a program")


def deliver(message: Message, receiver: Sendmail, *, deadline: TimeLeft, clock: Clock) -> Result:
    """Give it to the program on its standard input; nothing of the message is on its command line."""
    import subprocess

    mail = letter(message, sender=receiver.sender, recipients=receiver.recipients, sent_at=clock.now()).as_bytes()
    # -i: a line with only a dot does not end the mail
    argv = [receiver.program, "-i", *(() if receiver.sender is None else ("-f", receiver.sender)), "--", *receiver.recipients]
    limit = Countdown(receiver.timeout, within=deadline)
    try:
        process = subprocess.Popen(  # noqa: S603 - an argument list, the program configured by the administrator
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            process_group=0,
        )
    except OSError as error:
        return Permanent(reason=f"{receiver.program} cannot be started: {error.strerror}")
    with process:
        try:
            _, said = process.communicate(mail.replace(b"\r\n", b"\n"), timeout=limit.left())
        except subprocess.TimeoutExpired:
            _end(process.pid)
            return Retry(reason=f"{receiver.program} did not end within {round(limit.seconds, 1):g} s", maybe_delivered=True)
        except BaseException:
            _end(process.pid)
            raise
    return _judged(receiver.program, process.returncode, said)


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _judged(program: str, code: int, said: bytes) -> Result:
    if code == os.EX_OK:
        return Delivered(detail=f"accepted by {program}")
    ended = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    words = clean(" ".join(said.decode("utf-8", "replace").split()))[:200]
    reason = f"{program} {ended}: {words}" if words else f"{program} {ended}"
    return Permanent(reason=reason) if code in _LASTING else Retry(reason=reason, maybe_delivered=True)
