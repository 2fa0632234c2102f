from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between tries the client waits for real; the tests only want to know that it tries."""
    monkeypatch.setattr("pvectl.pve.transport.PAUSE_S", 0.001)
