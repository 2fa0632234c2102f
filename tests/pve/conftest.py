"""What the tests of the client share: simulated clusters, and a client that forgets everything afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pvectl.core.secret import Secret
from pvectl.pve.client import ProxmoxClient
from pvectl.pve.transport import Connection, Deadline, Trust
from tests.support.servers import TOKEN_ID, TOKEN_SECRET, serve, tls_files

__all__ = ["connect", "serve", "tls_files"]


@pytest.fixture
def connect() -> Iterator[Callable[..., ProxmoxClient]]:
    """`connect("http://127.0.0.1:1234", …)` -> the client of this test; closed when it ends."""

    def start(
        *hosts: str, trust: Trust | None = None, deadline: float = 30.0, read_only: bool = False, token: str = f"{TOKEN_ID}={TOKEN_SECRET}"
    ) -> ProxmoxClient:
        token_id, _, secret = token.partition("=")
        connection = Connection(
            cluster="lab", hosts=hosts, token_id=token_id, token=Secret(secret), trust=trust or Trust(), allow_http_loopback=True
        )
        return ProxmoxClient.get_instance(connection, deadline=Deadline(deadline), read_only=read_only)

    yield start
    ProxmoxClient.reset_instance()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between tries the client waits for real; the tests only want to know that it tries."""
    monkeypatch.setattr("pvectl.pve.transport.PAUSE_S", 0.001)
