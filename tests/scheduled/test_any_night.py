"""Nights made up at random: whatever happens, nobody is asked early, late, twice, or without a right to it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pvectl.sim.record import Record
from tests.scheduled.nights import CLUSTER, STAGED, asked, at, before_ten, scheduled
from tests.scheduled.test_nights import Killed
from tests.support.stages import Stage

THEN_OFF = "      then_power_off: [pve2]\nidle_check: {nodes: [pve2], min_uptime: 0, self: elsewhere}\n"
BEGINS, ENDS = at("2026-12-01 22:00"), at("2026-12-01 22:30")
EVERY = 180


def _kill() -> None:
    raise Killed


def _plan(dice: random.Random, stage: Stage, held: dict[int, float], first: float) -> None:
    """Some things that will happen around the first run of the night, at any second, also in the middle of it."""

    def hold(vmid: int) -> None:
        held[vmid] = stage.now
        stage.hold(f"guest/{vmid}", 7200)

    def untag(vmid: int) -> None:
        held[vmid] = stage.now
        stage.cluster.set_tags(vmid, None)

    def restart(vmid: int) -> None:
        stage.admin("stop", vmid)
        stage.clock.at(stage.now + 20, partial(stage.admin, "start", vmid))

    def fault(path: str) -> None:
        stage.server.fault("status", path=path, code=595, times=4)

    vmid = dice.choice((200, 201, 300))
    path = dice.choice(("/cluster/resources", "/nodes/pve2/*", "/nodes/pve3/*"))
    kinds: list[Callable[[], object]] = [
        _kill,
        _kill,
        partial(hold, vmid),
        partial(untag, vmid),
        partial(stage.admin, "start", vmid),
        partial(stage.admin, "stop", vmid),
        partial(restart, vmid),
        partial(restart, vmid),
        partial(stage.admin, "start", 301),
        stage.clock.reboot,
        partial(fault, path),
    ]
    for _ in range(dice.randint(2, 8)):
        stage.clock.at(first - 60 + dice.random() * 600, dice.choice(kinds))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_in_a_night(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    spoilt = {vmid: dice.choice(({}, {}, {"acpi": False}, {"shutdown_s": 100})) for vmid in (200, 201, 300)}
    cluster = {**CLUSTER, "guests": [{**one, **spoilt.get(one["vmid"], {})} for one in CLUSTER["guests"]]}
    on_timeout = dice.choice(("abort", "continue"))
    text = STAGED.replace("wait_after: 30", f"wait_after: {dice.choice((0, 30, 400))}, on_timeout: {on_timeout}")
    text += dice.choice(("", THEN_OFF, THEN_OFF))
    held: dict[int, float] = {}
    with before_ten(tmp_path, text, cluster) as stage:
        running_at: dict[float, set[int]] = {}

        def note(_number: int, record: Record) -> None:
            if record.is_write and record.path.endswith("/nodes/pve2/status"):
                on_it = (guest for guest in stage.cluster.world.guests.values() if guest.node == "pve2")
                running_at[stage.now] = {guest.vmid for guest in on_it if guest.status != "stopped"}

        stage.server.on_request = note
        first = BEGINS + dice.choice((0, 0, 170, 1600, 1700, 1780, 1797))
        _plan(dice, stage, held, first)
        try:
            stage.advance(first - EVERY - stage.now)
        except Killed:
            stage.advance(max(first - EVERY - stage.now, 0))
        while stage.now < ENDS + 600:
            try:
                stage.advance(EVERY)
                scheduled(stage)
            except Killed:
                continue
        counts = Counter(asked(stage))
        assert set(counts) <= {200, 201, 300, 301}, seed
        assert max(counts.values(), default=1) == 1, (seed, counts)
        for record in stage.shutdowns():
            vmid = int(record.path.split("/")[4])
            assert BEGINS <= record.at < ENDS, (seed, record)
            assert record.at <= held.get(vmid, ENDS) + 1, (seed, record)
        assert len(stage.power_offs()) <= 1, seed
        for record in stage.power_offs():
            assert BEGINS <= record.at < ENDS + 120, (seed, record)
            assert running_at[record.at] == set(), (seed, record)
        ended = scheduled(stage)
        assert (ended.code, [one["state"] for one in ended.json["data"]]) == (0, ["future"]), (seed, ended.err)
        for one in stage.pvectl("history", "-o", "json").json["data"]:
            if one["what"] == "decision":
                assert stage.pvectl("explain", one["id"], "-o", "json").json["data"]["replayed"] is True, (seed, one)
