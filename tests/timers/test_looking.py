"""A job that only looks runs by the clock, and at once where a run was missed."""

from __future__ import annotations

import pytest

from pvectl.timers import cron, systemd
from tests.timers.settings import job, setting, values

LOOKS = {"name": "monitor", "only_looks": True, "words": ("--output", "prometheus", "--write", "/srv/metrics/pvectl.prom")}


@pytest.mark.parametrize(
    ("interval", "calendar"),
    [(60, "*:0/1:00"), (300, "*:0/5:00"), (1800, "*:0/30:00"), (3600, "0/1:00:00"), (21600, "0/6:00:00"), (86400, "00:00:00")],
)
def test_equal_parts_of_an_hour_or_a_day_are_caught_up_with(interval: int, calendar: str) -> None:
    timer = systemd.timer(job(interval=interval, **LOOKS))

    assert values(timer, "OnCalendar") == [calendar]
    assert values(timer, "Persistent") == ["yes"]


@pytest.mark.parametrize("interval", [61, 420, 5400])
def test_any_other_interval_counts_from_the_last_run(interval: int) -> None:
    timer = systemd.timer(job(interval=interval, **LOOKS))

    assert values(timer, "OnCalendar") == []
    assert values(timer, "Persistent") == ["no"]


def test_a_job_that_acts_is_never_made_up_for() -> None:
    assert values(systemd.timer(job()), "Persistent") == ["no"]


def test_the_service_may_write_where_the_metrics_go_and_nowhere_else() -> None:
    service = systemd.service(job(writes=("/srv/metrics", "/srv/www"), **LOOKS), setting())

    assert values(service, "ReadWritePaths") == ["-/srv/metrics -/srv/www"]
    assert values(service, "ExecStart") == [
        "/usr/local/bin/pvectl monitor --output prometheus --write /srv/metrics/pvectl.prom --quiet",
    ]
    assert values(systemd.service(job(writes=("/var/lib/pvectl/metrics", "/var/lib/pvectl"), **LOOKS), setting()), "ReadWritePaths") == []
    assert values(systemd.service(job(), setting()), "ReadWritePaths") == []


def test_cron_is_told_the_same_words() -> None:
    assert "monitor --output prometheus --write /srv/metrics/pvectl.prom --quiet" in cron.table((job(**LOOKS),), setting())
