"""The real command line at a simulated cluster."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import Home
from tests.support.servers import TestServer, serve, tls_files  # noqa: F401

Connect = Callable[..., tuple[Home, TestServer]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def lab(home: Home, serve: Callable[..., TestServer]) -> Connect:  # noqa: F811
    """`home, server = lab(scenario)`: a served cluster, and a home whose configuration points at it."""

    def connected(scenario: Any, **options: Any) -> tuple[Home, TestServer]:
        server = serve(scenario, **options)
        home.connect(server.url(), token_id=server.token_id, secret=server.token_secret)
        return home, server

    return connected
