"""Everything else, by Apprise, which is no part of pvectl: `pip install 'pvectl[apprise]'`.

Apprise runs as a process of its own: it has no deadline, takes proxies from the environment, writes its URLs into log lines, and its
150 plug-ins cost a quarter of a second. It says yes or no and nothing else, so that a receiver that refuses for ever is tried like one
that is away.
"""

from __future__ import annotations

import os
import sys

from msgspec import Struct

from pvectl.clock import Clock
from pvectl.core.secret import Secret
from pvectl.errors import ConfigError
from pvectl.notify.message import Message
from pvectl.notify.result import Countdown, Delivered, Permanent, Result, Retry, TimeLeft
from pvectl.notify.wording import headline, plain, shortened, state

TIMEOUT_S = 30.0
LONGEST_TEXT = 8000

MISSING = 3
NOT_UNDERSTOOD = 4
FAILED = 5

_KINDS = {"critical": "failure", "warning": "warning", "unknown": "warning", "info": "info", "resolved": "success"}
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "no_proxy", "netrc"})


class Apprise(Struct, frozen=True, kw_only=True):
    """One of Apprise's URLs, which is a secret as a whole. One a receiver: of several, nobody could tell which failed."""

    name: str
    url: Secret
    timeout: float = TIMEOUT_S

    def __post_init__(self) -> None:
        if not self.url.reveal().strip() or not self.url.reveal().isprintable():
            raise ConfigError("the URL is not one of Apprise's")


def deliver(message: Message, receiver: Apprise, *, deadline: TimeLeft, clock: Clock) -> Result:  # noqa: ARG001 - as all channels
    import subprocess

    import msgspec

    order = {
        "url": receiver.url.reveal(),
        "title": headline(message),
        "body": shortened(plain(message) or message.subject, LONGEST_TEXT),
        "kind": _KINDS[state(message)],
    }
    limit = Countdown(receiver.timeout, within=deadline)
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "pvectl.notify.apprise_process"],
            input=msgspec.json.encode(order),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=_environment(),
            timeout=limit.left(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Retry(reason=f"Apprise did not end within {round(limit.seconds, 1):g} s", maybe_delivered=True)
    except OSError as error:
        return Retry(reason=f"Apprise cannot be started: {error.strerror}")
    return _judged(ended.returncode)


def _judged(code: int) -> Result:
    if code == 0:
        return Delivered(detail="Apprise delivered it")
    if code == MISSING:
        return Permanent(reason="Apprise is not installed: pip install 'pvectl[apprise]'")
    if code == NOT_UNDERSTOOD:
        return Permanent(reason="Apprise does not know this kind of URL")
    return Retry(reason="Apprise could not deliver it, and does not say why", maybe_delivered=True)


def _environment() -> dict[str, str]:
    # NETRC: requests, which Apprise uses, would send passwords found there
    kept = {name: value for name, value in os.environ.items() if name.lower() not in _PROXIES}
    return kept | {"NETRC": os.devnull, "NO_PROXY": "*"}
