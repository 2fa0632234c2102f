from __future__ import annotations

from collections.abc import Iterator

import pytest

from pvectl.sim.server import SimServer
from tests.sim.echo import Echo
from tests.support.servers import serve, tls_files

__all__ = ["serve", "tls_files"]


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def server(echo: Echo) -> Iterator[SimServer]:
    with SimServer(echo) as running:
        yield running
