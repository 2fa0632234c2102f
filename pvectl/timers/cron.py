"""The text of cron's table: one line for each job."""

from __future__ import annotations

from pvectl.errors import ConfigError
from pvectl.timers.entries import MARKER, Entry, Job, Setting, plain

TABLE = "/etc/cron.d/pvectl"
_HOUR = 60
_DAY = 24


def entries(jobs: tuple[Job, ...], setting: Setting, *, beside_systemd: bool = False) -> tuple[Entry, ...]:
    """The table for these jobs, none for no jobs.

    `beside_systemd`: the same jobs have timers as well, and cron leaves them alone while systemd runs the machine.
    """
    return (Entry(kind="cron", path=TABLE, text=table(jobs, setting, beside_systemd=beside_systemd)),) if jobs else ()


def table(jobs: tuple[Job, ...], setting: Setting, *, beside_systemd: bool = False) -> str:
    """A table for /etc/cron.d. Nothing is caught up with after a missed run, and whatever pvectl prints is mailed.

    Raises:
        ConfigError: cron has no way to write a job's interval.
    """
    guard = "test -d /run/systemd/system || " if beside_systemd else ""
    words = [*map(plain, setting.program[:1]), *setting.program[1:]]
    behind = ["--quiet", "--config-dir", plain(setting.config_dir), *(["--cluster", setting.cluster] if setting.cluster else [])]
    lines = [
        f"{when(job)} {setting.user} {guard}{' '.join([*words, job.name, *job.words, *behind])}{'' if job.talks else ' > /dev/null'}"
        for job in jobs
    ]
    return "\n".join(
        [MARKER, "SHELL=/bin/sh", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "MAILTO=root", *lines, ""]
    )


def when(job: Job) -> str:
    """The five fields for a job's interval.

    Raises:
        ConfigError: it divides neither an hour nor a day into equal parts of whole minutes.
    """
    minutes, seconds = divmod(job.interval, 60)
    hours, odd = divmod(minutes, _HOUR)
    if not seconds and minutes == 1:
        return "* * * * *"
    if not seconds and 0 < minutes < _HOUR and _HOUR % minutes == 0:
        return f"*/{minutes} * * * *"
    if not seconds and not odd and 0 < hours < _DAY and _DAY % hours == 0:
        return "0 * * * *" if hours == 1 else f"0 */{hours} * * *"
    if not seconds and not odd and hours == _DAY:
        return "0 0 * * *"
    raise ConfigError(
        f"cron cannot run {job.name} every {job.interval} seconds: it only knows equal parts of an hour or a day",
        hint=f"write interval: {_nearest(minutes)}, or use systemd's timers",
    )


def _nearest(minutes: int) -> str:
    parts = [part for part in range(1, _HOUR + 1) if _HOUR % part == 0]
    parts += [_HOUR * hours for hours in range(2, _DAY + 1) if _DAY % hours == 0]
    close = min(parts, key=lambda part: (abs(part - minutes), part))
    return f"{close}m" if close < _HOUR else f"{close // _HOUR}h"
