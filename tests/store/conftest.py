"""A state directory that is ours alone, as the store wants it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.store.stage import MEMORY, State


@pytest.fixture
def state() -> Iterator[State]:
    with TemporaryDirectory(prefix="pvectl-test-", dir=MEMORY) as folder:
        directory = Path(folder, "state")
        directory.mkdir(mode=0o700)
        yield State(directory)
