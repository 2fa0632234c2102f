"""What a person puts in place for a while, a hold or a silence: until when it is in force, and who that person is."""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from pvectl.cli.options import duration
from pvectl.core.text import clean
from pvectl.errors import UsageError

_CLOCK_TIME = re.compile(r"(?:(?P<day>\d{4}-\d{2}-\d{2})[ T])?(?P<hour>\d{1,2}):(?P<minute>\d{2})\Z")


def end_of(until: str | None, for_: str | None, now: datetime, *, usual_s: int | None = None) -> datetime:
    """The moment `--until` or `--for` stands for, `usual_s` from now where neither is given.

    Raises:
        UsageError: both are given, or neither where there is no usual time, or a time makes no sense.
    """
    if until is not None and for_ is not None:
        raise UsageError("--until and --for: give one of the two")
    if until is not None:
        return _clock_time(until, now).astimezone(UTC)
    if for_ is None and usual_s is None:
        raise UsageError("say how long: --for 2h or --until 18:00")
    seconds = (usual_s or 0) if for_ is None else duration("--for", for_, at_least=60)
    return (now + timedelta(seconds=seconds)).astimezone(UTC)


def who(env: Mapping[str, str]) -> str:
    """The person at the command line, also behind sudo."""
    try:
        user = env.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return clean(f"{user}@{socket.gethostname()}")


def _clock_time(text: str, now: datetime) -> datetime:
    """The next moment at which clocks here show this; a day may be given."""
    wrong = UsageError(f"--until: expected a time like 18:00 or '2026-12-24 18:00', got '{clean(text)}'", hint="--for 2h counts from now")
    found = _CLOCK_TIME.match(text.strip())
    if found is None:
        raise wrong
    here = now.astimezone()
    try:
        day = datetime.strptime(found["day"], "%Y-%m-%d").date() if found["day"] else here.date()  # noqa: DTZ007 - the zone follows
        # without a zone: astimezone takes that of this machine on that very day, so summer time counts
        end = datetime(day.year, day.month, day.day, int(found["hour"]), int(found["minute"])).astimezone()
    except ValueError:
        raise wrong from None
    if end <= now and not found["day"]:
        tomorrow = day + timedelta(days=1)
        end = datetime(tomorrow.year, tomorrow.month, tomorrow.day, end.hour, end.minute).astimezone()
    if end <= now:
        raise UsageError(f"--until: {clean(text)} is over already")
    return end
