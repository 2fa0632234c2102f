"""cron's table runs each job in equal steps, mails what is said, and holds nothing that cron would take for something else."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from pvectl.errors import ConfigError
from pvectl.timers import cron
from pvectl.timers.entries import MARKER
from tests.timers.settings import job, setting

_LINE = re.compile(r"(?P<when>(?:\S+ ){5})(?P<user>[a-z_][a-z0-9_-]*) (?P<command>/.*|test .*)")


def _matches(field: str, value: int) -> bool:
    """One field of crontab(5) as far as these tables use it."""
    return field == "*" or (value % int(field[2:]) == 0 if field.startswith("*/") else value == int(field))


def _minutes_of_two_days(when: str) -> list[int]:
    minute, hour, *days = when.split()
    assert days == ["*", "*", "*"]
    return [at for at in range(2 * 1440) if _matches(minute, at % 60) and _matches(hour, at // 60 % 24)]


EQUAL_PARTS = [minutes for minutes in range(1, 61) if 60 % minutes == 0] + [hours * 60 for hours in range(2, 25) if 24 % hours == 0]


@pytest.mark.parametrize("minutes", EQUAL_PARTS)
def test_a_job_runs_in_equal_steps(minutes: int) -> None:
    runs = _minutes_of_two_days(cron.when(job(interval=minutes * 60)))
    assert {later - earlier for earlier, later in pairwise(runs)} <= {minutes}
    assert len(runs) == 2 * 1440 // minutes


def test_every_other_step_is_refused_and_none_is_rounded() -> None:
    for minutes in sorted({*range(1, 1500), 2880} - set(EQUAL_PARTS)):
        with pytest.raises(ConfigError, match="it only knows equal parts"):
            cron.when(job(interval=minutes * 60))


@pytest.mark.parametrize(
    ("seconds", "near"), [(90, "1m"), (7 * 60, "6m"), (40 * 60, "30m"), (100 * 60, "2h"), (7 * 3600, "6h"), (3601, "1h")]
)
def test_a_step_cron_has_no_way_to_write_is_refused_with_the_nearest_it_has(seconds: int, near: str) -> None:
    with pytest.raises(ConfigError, match=f"every {seconds} seconds") as caught:
        cron.when(job(interval=seconds))
    assert caught.value.hint == f"write interval: {near}, or use systemd's timers"


def test_the_table_has_a_line_for_each_job_with_user_and_absolute_paths() -> None:
    text = cron.table((job(), job(name="monitor", interval=60)), setting(user="ops", cluster="home"))
    head, *rest = text.splitlines()
    assert head == MARKER
    assert rest == [
        "SHELL=/bin/sh",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "MAILTO=root",
        "*/5 * * * * ops /usr/local/bin/pvectl idle-check --quiet --config-dir /etc/pvectl --cluster home",
        "* * * * * ops /usr/local/bin/pvectl monitor --quiet --config-dir /etc/pvectl --cluster home",
    ]
    assert text.endswith("\n")
    assert "%" not in text
    assert all(_LINE.fullmatch(line) for line in rest[3:])


def test_beside_timers_of_systemd_cron_leaves_the_jobs_alone_while_systemd_runs() -> None:
    (entry,) = cron.entries((job(),), setting(), beside_systemd=True)
    assert entry.path == "/etc/cron.d/pvectl"
    assert "*/5 * * * * root test -d /run/systemd/system || /usr/local/bin/pvectl idle-check --quiet" in entry.text
    assert "systemd" not in cron.table((job(),), setting())
    assert cron.entries((), setting()) == ()


@pytest.mark.parametrize("path", ["/etc/100%", "/etc/pv ectl", "/etc/$(reboot)", "/etc/x;y", "/etc/a\n* * * * * root reboot", "etc"])
def test_a_path_that_cron_or_its_shell_would_read_differently_is_refused(path: str) -> None:
    for bad in (setting(config_dir=path), setting(program=(path,))):
        with pytest.raises(ConfigError, match="cannot stand in a timer's entry"):
            cron.table((job(),), bad)


def test_cron_reads_the_file_because_its_name_has_no_dot() -> None:
    assert re.fullmatch(r"/etc/cron\.d/[A-Za-z0-9_-]+", cron.TABLE)
