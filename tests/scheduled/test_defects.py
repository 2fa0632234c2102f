"""The prototype's defects 28 to 40, each as the night it would have spoilt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scheduled.nights import CLUSTER, INTERVAL, NIGHT, STAGED, TAGGED, asked, at, before_ten, go_to, guests, off, row, scheduled
from tests.support.stages import Stage


def _runs(stage: Stage, until: str, *, every: int = INTERVAL) -> None:
    """The timer's runs up to this moment."""
    end = at(until)
    while stage.now + every <= end:
        stage.advance(every)
        ended = scheduled(stage)
        assert ended.code == 0, ended.err


def test_defect_28_it_never_begins_early_and_asks_nobody_twice(tmp_path: Path) -> None:
    with before_ten(tmp_path, minutes=20) as stage:
        go_to(stage, "21:59:59")
        assert scheduled(stage).code == 0
        assert asked(stage) == []
        _runs(stage, "2026-12-01 22:40", every=600)
        assert sorted(asked(stage)) == [200, 201, 300]


def test_defect_28_a_guest_the_admin_restarts_at_22_03_stays_on(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        go_to(stage, "22:00")
        scheduled(stage)
        go_to(stage, "22:03")
        stage.admin("start", 200)
        _runs(stage, "2026-12-01 22:45")
        assert asked(stage).count(200) == 1
        assert 200 not in off(stage)


@pytest.mark.parametrize("time", ["00:00", pytest.param("23:58", marks=pytest.mark.slow), pytest.param("00:03", marks=pytest.mark.slow)])
def test_defect_29_times_around_midnight_come_once_every_night(tmp_path: Path, time: str) -> None:
    with Stage(tmp_path, CLUSTER, pvectl=NIGHT.replace("22:00", time), start=at("2026-12-01 23:30"), sockets=False) as stage:
        scheduled(stage)
        _runs(stage, "2026-12-02 00:30", every=600)
        assert sorted(asked(stage)) == [200, 201, 300]
        for vmid in (200, 201, 300):
            stage.admin("start", vmid)
        _runs(stage, "2026-12-02 23:30", every=7200)
        assert len(asked(stage)) == 3
        _runs(stage, "2026-12-03 00:30", every=600)
        assert len(asked(stage)) == 6


@pytest.mark.slow
@pytest.mark.parametrize(("day", "utc"), [("2027-03-28", "2027-03-28 01:00"), ("2027-10-31", "2027-10-31 00:30")])
def test_defect_30_at_a_time_that_a_clock_change_skips_or_repeats_it_comes_once(tmp_path: Path, day: str, utc: str) -> None:
    text = NIGHT.replace("22:00", "02:30").replace("tz: UTC", "tz: Europe/Berlin")
    with Stage(tmp_path, CLUSTER, pvectl=text, start=at(f"{day} 00:00") - 3600, sockets=False) as stage:
        scheduled(stage)
        _runs(stage, f"{day} 06:00", every=600)
        assert sorted(asked(stage)) == [200, 201, 300]
        assert min(record.at for record in stage.shutdowns()) - at(utc) < 60
        assert min(record.at for record in stage.shutdowns()) >= at(utc)


def test_defect_31_a_stage_asks_nobody_without_the_tag_and_nobody_who_is_off(tmp_path: Path) -> None:
    text = NIGHT + '      stages: [{name: all-of-them, select: ["100:400"]}]\n'
    with before_ten(tmp_path, text) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert guests(ended) == {100: "skipped", 200: "done", 201: "done", 300: "done", 301: "skipped"}
        assert sorted(asked(stage)) == [200, 201, 300]


def test_defect_32_a_number_in_quotes_is_refused_and_an_excluded_guest_stays_on(tmp_path: Path) -> None:
    with Stage(tmp_path, CLUSTER, pvectl=NIGHT + '      exclude: ["200"]\n') as stage:
        ended = scheduled(stage)
        assert ended.code == 78
        assert "a vmid is a number, got the text '200'" in ended.err
        assert stage.server.requests == []
    with before_ten(tmp_path, NIGHT + "      exclude: [200]\n") as stage:
        go_to(stage, "22:00")
        assert guests(scheduled(stage))[200] == "skipped"
        assert sorted(asked(stage)) == [201, 300]


def test_defect_33_a_schedule_can_be_for_some_nodes_and_can_be_rehearsed(tmp_path: Path) -> None:
    with before_ten(tmp_path, NIGHT + "      nodes: [pve3]\n") as stage:
        go_to(stage, "22:00")
        rehearsed = scheduled(stage, "--dry-run")
        assert guests(rehearsed)[201] == "dry-run"
        assert stage.server.writes() == []
        scheduled(stage)
        assert asked(stage) == [201]


def test_defect_34_the_next_stage_waits_until_all_of_the_one_before_are_off(tmp_path: Path) -> None:
    cluster = {**CLUSTER, "guests": [dict(one, shutdown_s=90) if one["vmid"] == 200 else one for one in CLUSTER["guests"]]}
    with before_ten(tmp_path, STAGED, cluster) as stage:
        seen: list[str] = []

        def look(_number: int, record: object) -> None:
            if "/300/status/shutdown" in str(getattr(record, "path", "")):
                seen.append(stage.cluster.guest(200).status)

        stage.server.on_request = look
        go_to(stage, "22:00")
        assert scheduled(stage).code == 0
        assert seen == ["stopped"]
        assert stage.now >= at("2026-12-01 22:02")


def test_defect_35_an_offline_node_keeps_nobody_on_elsewhere(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:
        stage.cluster.crash_node("pve3")
        stage.advance(60)
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 1, ended.err
        assert guests(ended) == {200: "done", 201: "unseen", 300: "done", 301: "skipped"}
        assert row(ended)["state"] == "partial"
        assert ended.json["complete"] is False


def test_defect_36_what_fails_is_told_and_kept(tmp_path: Path) -> None:
    cluster = {**CLUSTER, "guests": [dict(one, acpi=False) if one["vmid"] == 300 else one for one in CLUSTER["guests"]]}
    with before_ten(tmp_path, NIGHT, cluster) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 1
        assert guests(ended)[300] == "timed-out"
        assert row(ended)["state"] == "partial"
        assert [one["subject"] for one in ended.json["errors"]] == ["guest/300"]
        kept = stage.pvectl("history", "300", "-o", "json").json["data"]
        assert kept[0]["status"] == "timed-out"


def test_defect_37_a_run_that_begins_anew_within_the_window_asks_nobody_again(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        go_to(stage, "22:00")
        scheduled(stage)
        for vmid in (200, 201):
            stage.admin("start", vmid)
        stage.clock.reboot()
        _runs(stage, "2026-12-01 22:29")
        assert len(asked(stage)) == 3


def test_defect_38_a_time_without_quotes_is_refused_with_its_line(tmp_path: Path) -> None:
    for written in ("22:00", "1320", "22.00", '"24:00"', '"7:30"'):
        with Stage(tmp_path, CLUSTER, pvectl=NIGHT.replace('"22:00"', written)) as stage:
            ended = scheduled(stage)
            assert ended.code == 78
            assert "pvectl.yml:4:11: scheduled_shutdown.schedules[0].at" in ended.err
            assert stage.server.requests == []


@pytest.mark.slow
def test_defect_39_the_guests_of_a_stage_go_down_together(tmp_path: Path) -> None:
    many = [{"vmid": 400 + number, "node": "pve2", "name": f"g{number}", "shutdown_s": 10, **TAGGED} for number in range(24)]
    with before_ten(tmp_path, NIGHT, {"nodes": CLUSTER["nodes"], "guests": many}) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 0
        assert len(asked(stage)) == 24
        assert stage.now - at("2026-12-01 22:00") <= 15


def test_defect_40_somebody_who_works_late_keeps_what_is_needed_on(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        stage.hold("guest/200", 7200)
        stage.hold("node/pve3", 7200)
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 0
        assert asked(stage) == [300]
        assert guests(ended) == {100: "skipped", 200: "skipped", 201: "skipped", 300: "done", 301: "skipped"}
