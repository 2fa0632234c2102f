"""At each single request of a whole run something happens; once it has happened the node is not switched off any more (safety rule S3)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pvectl.sim.record import Record
from tests.idle.days import INTERVAL, about_to_act, idle_check
from tests.support.stages import Stage

Event = Callable[[Stage], object]


def _untag(stage: Stage) -> None:
    for vmid in (200, 201):
        stage.cluster.set_tags(vmid, None)


def _reboot(stage: Stage) -> None:
    stage.cluster.crash_node("pve2")
    stage.cluster.wake("pve2")


EVENTS: dict[str, Event] = {
    "a critical guest starts": lambda stage: stage.admin("start", 110),
    "the tags are taken away": _untag,
    "the node is held": lambda stage: stage.hold("node/pve2", 3600),
    "a guest is held": lambda stage: stage.hold("guest/201", 3600),
    "the node reboots": _reboot,
    "the node is behind 595": lambda stage: stage.server.fault("status", path="/nodes/pve2/*", method="GET", code=595),
    "the node hangs": lambda stage: stage.cluster.hang_node("pve2"),
    "the cluster loses quorum": lambda stage: stage.cluster.lose_quorum(),
    "another node goes off": lambda stage: stage.cluster.crash_node("pve3"),
    "a backup begins": lambda stage: stage.cluster.add_task(type="vzdump", node="pve2", took=600),
}
HARMLESS_WHEN_OFF = {"the tags are taken away", "a guest is held"}
"""These protect guests that run; those that are off already keep no node on."""
TOLD_BY = {"the cluster loses quorum": "/cluster/ha/status/current", "another node goes off": "/cluster/status"}
"""A look is many requests, and only what begins on the node itself is asked for last: these must be seen by the next look."""
COSTLY = {"the node hangs": 12, "the node is behind 595": 3}
"""These cost real seconds, so only each so-manyth request is tried."""


def _requests_of_a_whole_run(folder: Path, keep: Path) -> list[Record]:
    with about_to_act(folder, keep=keep) as stage:
        ended = idle_check(stage)
        assert ended.code == 0, ended.err + ended.out
        assert [record.path for record in stage.power_offs()] == ["/nodes/pve2/status"]
        return list(stage.server.requests)


def _with_interference(folder: Path, keep: Path, event: Event, at: int) -> tuple[list[Record], list[Record], int]:
    """The requests before and from the `at`-th on, when that is when it happens."""
    folder.mkdir()
    with about_to_act(folder, keep=keep) as stage:

        def interfere(number: int, _record: Record) -> None:
            if number == at:
                event(stage)
                stage.server.sync()

        stage.server.on_request = interfere
        ended = idle_check(stage, "--deadline", "2s")
        return list(stage.server.requests[: at - 1]), list(stage.server.requests[at - 1 :]), ended.code


def _is_power_off(record: Record) -> bool:
    return record.is_write and record.path == "/nodes/pve2/status"


def _asked_before_power_off(records: list[Record], path: str) -> bool:
    until = next((number for number, record in enumerate(records) if _is_power_off(record)), len(records))
    return any(record.path == path for record in records[:until])


def _check(tmp_path: Path, event: str, points: Callable[[int], range]) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "whole").mkdir()
    whole = _requests_of_a_whole_run(tmp_path / "whole", tmp_path / "kept")
    last = next(number for number, record in enumerate(whole, 1) if _is_power_off(record))
    for at in points(last):
        before, after, code = _with_interference(tmp_path / str(at), tmp_path / "kept", EVENTS[event], at)
        assert code != 70, (event, at)
        here = f"{event}, at request {at} of {last}: {after[0] if after else '(never came)'}"
        # what was on its way already when it happened cannot be called back
        off = [record.path.split("/")[4] for record in (*before, *after[:1]) if record.path.endswith("/shutdown")]
        if event in HARMLESS_WHEN_OFF and (set(off) >= {"200", "201"} or (event == "a guest is held" and "201" in off)):
            continue
        if event in TOLD_BY and not _asked_before_power_off(after[1:], TOLD_BY[event]):
            continue
        assert not any(_is_power_off(record) for record in after[1:]), here
        asked_later = [record.path.split("/")[4] for record in after[1:] if record.path.endswith("/shutdown")]
        assert len(asked_later) == len(set(asked_later)), here
        assert not (set(off) & set(asked_later)), here


@pytest.mark.slow
@pytest.mark.parametrize("event", EVENTS)
def test_s03_whatever_happens_at_whichever_request_the_node_stays_on(tmp_path: Path, event: str) -> None:
    _check(tmp_path, event, lambda last: range(1, last, COSTLY.get(event, 1)))


def test_s03_a_guest_that_starts_right_before_the_power_off_is_seen(tmp_path: Path) -> None:
    _check(tmp_path, "a critical guest starts", lambda last: range(last - 1, last))


@pytest.mark.slow
def test_s29_nothing_goes_on_after_a_run_that_has_given_up(tmp_path: Path) -> None:
    """The original's timed-out calls went on in their threads (defect 17)."""
    import threading

    from pvectl.pve.client import ProxmoxClient

    def time_is_nearly_over(_number: int, record: Record) -> None:
        # the last look before the first request that hangs
        if record.path.endswith("/status/current"):
            ProxmoxClient.get_instance()._deadline.begin_again(2)

    with about_to_act(tmp_path) as stage:
        stage.server.fault("hang", path="*/status/shutdown")
        stage.server.on_request = time_is_nearly_over
        before = threading.active_count()
        ended = idle_check(stage)
        assert ended.code == 5, ended.out
        asked = len(stage.server.requests)
        stage.advance(INTERVAL)
        # each connection of the server is a thread of its own, and the run has closed its end of all of them
        for thread in threading.enumerate():
            if thread.name.startswith("pvesim-pve"):
                thread.join(timeout=10)
        assert threading.active_count() <= before
        assert len(stage.server.requests) == asked
        assert stage.power_offs() == []
