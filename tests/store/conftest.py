"""A state directory that is ours alone, as the store wants it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.store.stage import State

# every commit waits for the disk, and a busy one makes these tests ten times as slow without proving more
_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


@pytest.fixture
def state() -> Iterator[State]:
    with TemporaryDirectory(prefix="pvectl-test-", dir=_MEMORY) as folder:
        directory = Path(folder, "state")
        directory.mkdir(mode=0o700)
        yield State(directory)
