"""The witness sees what is wrong with a request, whoever sent it; a witness who saw nothing would be no proof."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.idle.days import IDLE, INTERVAL
from tests.idle.witness import Clocks, Wishes, Witness
from tests.support.stages import Stage

WISHES = Wishes(nodes=("pve2",), grace=600, notice=200, min_uptime=300, max_gap=450)
GUEST, NODE = "/nodes/pve2/lxc/200/status/shutdown", "/nodes/pve2/status"
EMPTY = {**IDLE, "guests": [{**guest, "status": "stopped"} for guest in IDLE["guests"]]}


def _complaints(
    folder: Path,
    scenario: dict[str, Any],
    path: str,
    happens: Callable[[Stage, Witness], object] = lambda _stage, _witness: None,
    *,
    runs: int = 5,
    times: int = 1,
    wishes: Wishes = WISHES,
    **params: Any,
) -> list[str]:
    with Stage(folder, scenario, sockets=False) as stage:
        clock = stage.clock
        witness = Witness(
            stage.cluster, wishes, lambda: Clocks(boot=clock.boot_id() or "", boottime=clock.boottime(), wall_ahead=clock.wall_ahead)
        )
        for _ in range(runs):
            stage.advance(INTERVAL)
            witness.a_run_begins()
        happens(stage, witness)
        stage.server.on_request = lambda _, record: witness.a_request_arrives(record)
        from pvectl.pve.deadline import Deadline
        from pvectl.pve.hosts import Host
        from tests.support.directly import DirectLine

        line = DirectLine(Host(name="127.0.0.1", port=stage.server.port("pve1"), tls=False), "pve1", stage.server)
        form = "&".join(f"{key}={value}" for key, value in params.items()).encode()
        head = [f"POST /api2/json{path} HTTP/1.1", f"Authorization: PVEAPIToken={stage.server.token}", f"Content-Length: {len(form)}"]
        for _ in range(times):
            line.exchange("POST", ("\r\n".join(head) + "\r\n\r\n").encode(), form, Deadline.never())
        witness.a_run_ends()
        return witness.complaints


@pytest.mark.parametrize(("scenario", "path", "params"), [(IDLE, GUEST, {}), (EMPTY, NODE, {"command": "shutdown"})])
def test_what_is_right_is_not_complained_of(tmp_path: Path, scenario: dict[str, Any], path: str, params: dict[str, Any]) -> None:
    assert _complaints(tmp_path, scenario, path, **params) == []


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (lambda stage, _: stage.cluster.set_tags(200, "prod"), "its tags are 'prod'"),
        (lambda stage, _: stage.cluster.set_tags(200, "safe-shutdown-not"), "its tags are"),
        (lambda stage, witness: witness.hold("guest/200", stage.now + 1), "it is held"),
        (lambda stage, witness: witness.hold("node/pve2", stage.now + 1), "the node is held"),
        (lambda stage, _: stage.cluster.set_guest_status(200, "paused"), "it is paused"),
        (lambda stage, _: stage.cluster.lock(200, "backup"), "it is locked (backup)"),
        (lambda stage, _: stage.cluster.change_guest(200, ha={"state": "started"}), "HA owns it"),
        (lambda stage, _: stage.cluster.lose_quorum(), "the cluster is not quorate"),
        (lambda stage, _: stage.cluster.start(110), "[110] keep the node on"),
        (lambda stage, _: setattr(stage.clock, "wall_ahead", 3600.0), "the clocks are apart"),
    ],
)
def test_a_guest_that_must_not_be_shut_down(tmp_path: Path, happens: Any, words: str) -> None:
    assert any(words in complaint for complaint in _complaints(tmp_path, IDLE, GUEST, happens))


@pytest.mark.parametrize(
    ("happens", "words"),
    [
        (lambda stage, _: stage.cluster.start(200), "[200] run there"),
        (lambda stage, _: stage.cluster.add_task(type="vzdump", node="pve2", took=60), "run there"),
        (lambda stage, _: stage.cluster.crash_node("pve3"), "['pve3'] are off, and not by pvectl's doing"),
        (lambda stage, _: stage.cluster.crash_node("pve3"), "1 of 3 votes would be left"),
        (lambda stage, _: (stage.cluster.crash_node("pve3"), stage.cluster.wake("pve3")), "['pve3'] are on their way"),
        (lambda stage, witness: witness.hold("node/pve2", stage.now + 1), "the node is held"),
        (lambda stage, _: stage.cluster.lose_quorum(), "the cluster is not quorate"),
    ],
)
def test_a_node_that_must_stay_on(tmp_path: Path, happens: Any, words: str) -> None:
    assert any(words in complaint for complaint in _complaints(tmp_path, EMPTY, NODE, happens, command="shutdown"))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"runs": 4}, "seen idle 4 times, over 600 s"),
        ({"command": "reboot"}, "it says {'command': 'reboot'}"),
        ({"runs": 0}, "not idle when the run began"),
        ({"times": 2}, "was sent 0 s ago"),
        ({"wishes": Wishes(nodes=("pve3",))}, "not listed"),
        ({"wishes": Wishes(nodes=("pve2",), dry_run=True)}, "in a dry run"),
        ({"wishes": Wishes(nodes=("pve2",), grace=600, notice=200, max_gap=199)}, "seen idle 1 times"),
    ],
)
def test_a_power_off_that_comes_too_soon_or_twice(tmp_path: Path, how: dict[str, Any], words: str) -> None:
    assert any(words in complaint for complaint in _complaints(tmp_path, EMPTY, NODE, **({"command": "shutdown"} | how)))


@pytest.mark.parametrize(
    "between",
    [
        lambda stage: (stage.cluster.start(110), stage.advance(30), stage.cluster.stop_guest(110)),
        lambda stage: (stage.cluster.crash_node("pve2"), stage.cluster.wake("pve2"), stage.advance(70)),
        lambda stage: stage.clock.reboot(),
        lambda stage: stage.advance(300),
    ],
    ids=["an untagged guest ran", "the node rebooted", "the runner rebooted", "a long gap"],
)
def test_s14_what_breaks_the_grace_period(tmp_path: Path, between: Any) -> None:
    def happens(stage: Stage, witness: Witness) -> None:
        between(stage)
        stage.advance(INTERVAL)
        witness.a_run_begins()

    assert any("seen idle 1 times" in complaint for complaint in _complaints(tmp_path, EMPTY, NODE, happens, command="shutdown"))
