"""How moments of the state file are told on the screen."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from pvectl.cli.words import here

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ("backup job x is due at 2026-11-22 13:30 UTC, before it could be back", "backup job x is due at 14:30, before it could be back"),
        ("due at 2026-11-22 23:30 UTC", "due at 2026-11-23 00:30"),
        ("due at 2026-13-40 23:30 UTC", "due at 2026-13-40 23:30 UTC"),
        ("nothing is due", "nothing is due"),
    ],
)
def test_a_kept_sentence_shows_its_moments_by_the_readers_clock(kept: str, shown: str) -> None:
    assert here(kept, NOON) == shown
