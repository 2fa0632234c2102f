"""A desk with nothing on it, and the same after a bad night."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from pvectl.cli.app import LazyGroup
from tests.cli.alerts.desk import DOWN, FULL, STOPPED, Desk
from tests.core.alerts.runs import saw


@pytest.fixture(autouse=True, scope="module")
def one_tree() -> Iterator[None]:
    """A process builds its tree of commands once; hundreds of commands run in this one."""
    build = LazyGroup.get_command
    built: dict[str, Any] = {}

    def get(group: LazyGroup, context: Any, name: str) -> Any:
        if name not in built:
            built[name] = build(group, context, name)
        return built[name]

    with mock.patch.object(LazyGroup, "get_command", get):
        yield


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    opened = Desk(tmp_path)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def lived_through(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A node is down since 12:01 and told to the mail at 12:06; its guest follows; a storage is pending since then."""
    desk = Desk(tmp_path_factory.mktemp("night"))
    desk.begin()
    desk.run(saw(DOWN, STOPPED))
    desk.advance(300)
    desk.run(saw(DOWN, STOPPED, FULL), failing=("phone",))
    desk.advance(60)
    yield desk
    desk.close()


@pytest.fixture
def night(desk: Desk, lived_through: Desk) -> Desk:
    """The same at a desk of its own."""
    shutil.copytree(lived_through.state, desk.state)
    desk.clock.at = lived_through.clock.at
    return desk
