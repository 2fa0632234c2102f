"""Schedules and moments for the tests of what is due when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from pvectl.core.schedules.schedule import Schedule
from pvectl.core.schedules.when import DAYS

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "America/Havana",
    "Africa/Casablanca",
    "Asia/Kathmandu",
)

CHANGES = (
    ("Europe/Berlin", "2026-03-29 01:00"),
    ("Europe/Berlin", "2026-10-25 01:00"),
    ("America/New_York", "2026-03-08 07:00"),
    ("America/New_York", "2026-11-01 06:00"),
    ("Australia/Lord_Howe", "2026-04-04 15:00"),
    ("Australia/Lord_Howe", "2026-10-03 15:30"),
    ("America/Sao_Paulo", "2018-02-18 02:00"),
    ("America/Sao_Paulo", "2018-11-04 03:00"),
    ("Pacific/Apia", "2011-12-30 10:00"),
    ("Pacific/Apia", "2012-03-31 14:00"),
    ("America/Havana", "2026-03-08 05:00"),
    ("America/Havana", "2026-11-01 05:00"),
    ("Africa/Casablanca", "2025-02-23 02:00"),
    ("Africa/Casablanca", "2025-04-06 02:00"),
    ("Asia/Kathmandu", "1985-12-31 18:30"),
    ("America/Scoresbysund", "2026-03-29 01:00"),
    ("America/Scoresbysund", "2026-10-25 01:00"),
    ("America/St_Johns", "2010-03-14 03:31"),
    ("America/St_Johns", "2010-11-07 02:31"),
    ("Pacific/Kwajalein", "1993-08-21 12:00"),
)
"""Zones and the instants, in UTC, at which their clocks change; the last of them around midnight, or by a day."""


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def schedule(*at: str, **known: Any) -> Schedule:
    return Schedule(**{"name": "night", "at": at or ("22:30",), "tz": "Europe/Berlin", **known})


def schedules() -> st.SearchStrategy[Schedule]:
    times = st.builds("{:02}:{:02}".format, st.integers(0, 23) | st.integers(0, 3), st.integers(0, 59))
    return st.builds(
        Schedule,
        name=st.just("night"),
        days=st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True).map(tuple) | st.just(("daily",)),
        at=st.lists(times, min_size=1, max_size=4).map(tuple),
        tz=st.sampled_from(ZONES),
    )


def moments() -> st.SearchStrategy[datetime]:
    """Any moment from 1985 to 2040, more often one within three days of a clock change."""
    anywhen = st.datetimes(datetime(1985, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
    near = st.builds(
        lambda change, seconds: datetime.fromtimestamp(utc(change[1]).timestamp() + seconds, UTC),
        st.sampled_from(CHANGES),
        st.integers(-3 * 86_400, 3 * 86_400),
    )
    return near | anywhen
