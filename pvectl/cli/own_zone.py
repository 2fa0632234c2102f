"""The time zone of this machine, by its name."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pvectl.core.schedules.when import ScheduleError, parse_zone
from pvectl.errors import UsageError

_LINK = "/etc/localtime"
_FOLDER = "zoneinfo/"


def own_zone(env: Mapping[str, str], asked: str | None = None) -> str:
    """The zone that was asked for, else that of $TZ or of /etc/localtime, else UTC.

    Raises:
        UsageError: there is none of the name that was asked for.
    """
    if asked is not None:
        try:
            return parse_zone(asked)
        except ScheduleError as error:
            raise UsageError(f"--tz: {error.message}", hint=error.hint) from None
    link = os.path.realpath(_LINK)
    # what is no zone costs a walk through all there are
    for name in filter(None, (env.get("TZ", "").lstrip(":"), link.rpartition(_FOLDER)[2] if _FOLDER in link else "")):
        try:
            return parse_zone(name)
        except ScheduleError:
            continue
    return "UTC"
