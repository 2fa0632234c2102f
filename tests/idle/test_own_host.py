"""A node that is called like the machine pvectl runs on goes off like any other: through the API, never by a command here (S8).

The original ran `shutdown -h now` on any machine whose host name was that of an idle node (its defect 8).
"""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path
from typing import Any

from tests.idle.days import INTERVAL, PVECTL, idle_check
from tests.support.stages import Stage

_PROGRAMS = frozenset({"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.fork", "os.forkpty"})
_listening: list[list[str]] = []


def _listen(event: str, _arguments: tuple[Any, ...]) -> None:
    if _listening and event in _PROGRAMS:
        _listening[-1].append(event)


sys.addaudithook(_listen)


def test_s08_a_node_named_like_this_machine_is_switched_off_through_the_api_only(tmp_path: Path) -> None:
    name = re.sub("[^a-zA-Z0-9-]", "", socket.gethostname().partition(".")[0])[:63].strip("-") or "pve"
    first, last = [other for other in ("pve1", "pve3", "pve5") if other != name.lower()][:2]
    scenario = {"nodes": {first: {}, name: {}, last: {}}, "guests": [{"vmid": 100, "node": first, "status": "running"}]}
    started: list[str] = []
    _listening.append(started)
    try:
        with Stage(tmp_path, scenario, pvectl=PVECTL.replace("[pve2]", f'["{name}"]')) as stage:
            for _ in range(5):
                stage.advance(INTERVAL)
                assert idle_check(stage).code == 0
            assert [record.path for record in stage.server.writes()] == [f"/nodes/{name}/status"]
    finally:
        _listening.remove(started)
    assert started == []
