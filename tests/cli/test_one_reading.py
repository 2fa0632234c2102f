"""A run reads each of its files once, so that one that changes meanwhile cannot make it speak to one cluster and remember another."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from pvectl.config import load
from tests.support.stages import Stage

JOBS = """
idle_check: {nodes: [pve2]}
scheduled_shutdown: {schedules: [{name: night, at: "22:00", tz: UTC, select: ["@tag-safe-shutdown"]}]}
"""


@pytest.mark.parametrize("words", [("idle-check",), ("scheduled-shutdown",), ("monitor",), ("vm", "list"), ("hold", "list")])
def test_each_file_is_read_once(tmp_path: Path, mocker: MockerFixture, words: tuple[str, ...]) -> None:
    read = mocker.spy(load, "read_guarded")
    with Stage(tmp_path, {"nodes": {"pve1": {}, "pve2": {}}}, pvectl=JOBS, sockets=False) as stage:
        ended = stage.pvectl(*words)
    assert ended.code in (0, 4), ended.err
    times = Counter(call.args[0].name for call in read.call_args_list)
    assert times["proxmox.yml"] == 1
    assert times["pvectl.yml"] <= 1
