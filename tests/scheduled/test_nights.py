"""Nights that go wrong, and what the run makes of them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from pvectl.sim.record import Record
from tests.scheduled.nights import CLUSTER, NIGHT, STAGED, asked, at, before_ten, go_to, guests, off, row, scheduled
from tests.support.stages import Stage


class Killed(BaseException):
    """The process is gone: nothing catches this."""


def _die(*_: object) -> None:
    raise Killed


def _killed(stage: Stage, at_second: float) -> None:
    """A run that is killed this many seconds after it began, while it waits."""
    stage.clock.at(stage.now + at_second, _die)
    with pytest.raises(Killed):
        scheduled(stage)


def test_a_new_schedule_only_arms(tmp_path: Path) -> None:
    with Stage(tmp_path, CLUSTER, pvectl=NIGHT, start=at("2026-12-01 22:05"), sockets=False) as stage:
        ended = scheduled(stage)
        assert ended.code == 0
        assert row(ended)["reason"] == "only-armed"
        assert "2026-12-01 22:00 is left out" in row(ended)["detail"]
        stage.advance(300)
        scheduled(stage)
        assert asked(stage) == []


def test_an_edited_schedule_only_arms(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        go_to(stage, "22:03")
        stage.configure(NIGHT + "      exclude: [200]\n")
        assert row(scheduled(stage))["reason"] == "only-armed"
        go_to(stage, "22:06")
        scheduled(stage)
        assert asked(stage) == []


def test_a_clock_that_was_set_back_asks_nobody_again_and_is_told_as_such(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        go_to(stage, "22:00")
        scheduled(stage)
        stage.admin("start", 200)
        stage.advance(60)
        stage.clock.wall_ahead = -600
        ended = scheduled(stage)
        assert (row(ended)["reason"], row(ended)["detail"]) == (
            "only-armed",
            "this machine's clock was set back, so it begins with its next time",
        )
        stage.clock.wall_ahead = 0
        stage.advance(60)
        scheduled(stage)
        assert sorted(asked(stage)) == [200, 201, 300]


@pytest.mark.parametrize(
    "gone", ["scheduled_shutdown: {enabled: false, schedules: [{", "scheduled_shutdown: {schedules: [{enabled: false, "]
)
def test_a_schedule_that_was_switched_off_for_a_while_only_arms(tmp_path: Path, gone: str) -> None:
    entry = 'name: night, at: "22:00", tz: UTC, select: ["@all"]}]}\n'
    switched_off = gone + entry
    with before_ten(tmp_path) as stage:
        stage.configure(switched_off)
        ended = scheduled(stage)
        assert (ended.code, stage.server.requests) == (0, [])
        stage.configure(NIGHT)
        go_to(stage, "22:01")
        assert row(scheduled(stage))["reason"] == "only-armed"
        go_to(stage, "22:05")
        scheduled(stage)
        assert asked(stage) == []


def test_s16_a_timer_that_was_off_all_night_shuts_nobody_down_at_seven(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        go_to(stage, "2026-12-02 07:00")
        ended = scheduled(stage)
        assert ended.code == 0
        assert ended.json["data"][0]["state"] == "missed"
        assert "night: missed: Tue 2026-12-01 22:00; nothing was shut down" in ended.err
        assert stage.server.requests == []
        stage.advance(300)
        again = scheduled(stage)
        assert [one["state"] for one in again.json["data"]] == ["future"]
        assert "missed" not in again.err


def test_a_run_that_comes_late_but_in_time_carries_it_out(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        go_to(stage, "22:29:50")
        assert scheduled(stage).code == 0
        assert len(asked(stage)) == 3


def test_s16_nobody_is_asked_at_the_deadline_or_later(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        go_to(stage, "22:30")
        ended = scheduled(stage)
        assert ended.json["data"][0]["state"] == "missed"
        assert asked(stage) == []


def test_s16_a_stage_whose_turn_comes_after_the_deadline_stays_up(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:
        go_to(stage, "22:29:50")
        ended = scheduled(stage)
        assert ended.code == 1
        assert row(ended)["state"] == "partial"
        assert row(ended)["reason"] == "deadline-passed"
        assert sorted(asked(stage)) == [200, 201]
        assert [stage["begun"] for stage in row(ended)["stages"]] == [True, False]


def test_s30_a_run_that_was_killed_in_mid_sequence_is_gone_on_with(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:
        go_to(stage, "22:00")
        _killed(stage, 1.5)
        assert sorted(asked(stage)) == [200, 201]
        go_to(stage, "22:05")
        ended = scheduled(stage)
        assert ended.code == 0, ended.err
        assert sorted(asked(stage)) == [200, 201, 300]
        assert row(ended)["state"] == "done"
        assert off(stage) == {200, 201, 300, 301}


def test_s30_a_guest_restarted_since_is_left_alone_and_so_are_the_stages_behind_it(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:
        go_to(stage, "22:00")
        _killed(stage, 20)
        go_to(stage, "22:03")
        stage.admin("start", 200)
        stage.admin("stop", 300)
        stage.advance(30)
        stage.admin("start", 300)
        go_to(stage, "22:05")
        ended = scheduled(stage)
        assert sorted(asked(stage)) == [200, 201]
        assert off(stage) == {201, 301}
        assert row(ended)["state"] == "partial"


def test_s30_one_that_is_too_late_to_go_on_with_has_failed_and_says_so(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:
        go_to(stage, "22:00")
        _killed(stage, 1.5)
        go_to(stage, "22:31")
        ended = scheduled(stage)
        assert ended.code == 1
        assert (ended.json["data"][0]["state"], ended.json["data"][0]["reason"]) == ("failed", "interrupted")
        assert sorted(asked(stage)) == [200, 201]
        assert scheduled(stage).code == 0


def test_a_guest_that_was_asked_by_a_run_that_died_and_hangs_is_not_asked_again(tmp_path: Path) -> None:
    cluster = {**CLUSTER, "guests": [dict(one, acpi=False) if one["vmid"] == 200 else one for one in CLUSTER["guests"]]}
    with before_ten(tmp_path, STAGED, cluster) as stage:
        go_to(stage, "22:00")
        _killed(stage, 20)
        go_to(stage, "22:05")
        ended = scheduled(stage)
        assert ended.code == 1
        assert guests(ended)[200] == "timed-out"
        assert sorted(asked(stage)) == [200, 201]
        assert row(ended)["reason"] == "stage-not-off"
        kept = {one["subject"]: one["status"] for one in stage.pvectl("history", "-o", "json").json["data"] if one["what"] == "action"}
        assert kept == {"guest/200": "timed-out", "guest/201": "done"}


def test_s32_what_runs_that_died_had_asked_has_its_end_in_the_audit_trail(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:
        stage.cluster.guest(300).shutdown_s = 50
        go_to(stage, "22:00")
        _killed(stage, 1.5)
        _killed(stage, 60)
        assert asked(stage)[-1] == 300
        go_to(stage, "22:05")
        assert scheduled(stage).code == 0
        kept = {one["subject"]: one["status"] for one in stage.pvectl("history", "-o", "json").json["data"] if one["what"] == "action"}
        assert kept == {"guest/200": "done", "guest/201": "done", "guest/300": "done"}
        assert sorted(asked(stage)) == [200, 201, 300]


def test_a_look_that_takes_until_the_deadline_is_why_it_was_missed(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        go_to(stage, "22:29")
        stage.server.on_request = lambda _number, _record: stage.clock.sleep(40)
        assert "looking at the cluster took until its deadline" in row(scheduled(stage))["detail"]
        assert asked(stage) == []


def test_a_guest_that_hangs_keeps_the_later_stages_up(tmp_path: Path) -> None:
    cluster = {**CLUSTER, "guests": [dict(one, acpi=False) if one["vmid"] == 200 else one for one in CLUSTER["guests"]]}
    with before_ten(tmp_path, STAGED, cluster) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 1
        assert row(ended)["state"] == "partial"
        assert sorted(asked(stage)) == [200, 201]
        assert [record.params.get("forceStop") for record in stage.shutdowns()] in ([None, None], ["0", "0"])


@pytest.mark.parametrize(
    ("on_timeout", "code", "left"), [("continue", 1, {100, 200}), pytest.param("force", 0, {100}, marks=pytest.mark.slow)]
)
def test_on_timeout_says_what_becomes_of_the_later_stages(tmp_path: Path, on_timeout: str, code: int, left: set[int]) -> None:
    cluster = {**CLUSTER, "guests": [dict(one, acpi=False) if one["vmid"] == 200 else one for one in CLUSTER["guests"]]}
    text = STAGED.replace("wait_after: 30", f"wait_after: 30, on_timeout: {on_timeout}")
    with before_ten(tmp_path, text, cluster) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == code, ended.out
        assert {100, 200, 201, 300, 301} - off(stage) == left


def test_s25_a_hold_placed_while_it_goes_on_keeps_the_guest_on(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:
        go_to(stage, "22:00")
        stage.clock.at(stage.now + 20, lambda: stage.hold("guest/300", 3600))
        ended = scheduled(stage)
        assert ended.code == 0
        assert sorted(asked(stage)) == [200, 201]
        assert guests(ended)[300] == "skipped"


def test_when_all_are_held_it_waits_until_its_deadline(tmp_path: Path) -> None:
    text = NIGHT.replace('["@all"]', "[200]")
    with before_ten(tmp_path, text) as stage:
        hold = stage.hold("guest/200", 7200)
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"], row(ended)["reason"]) == (0, "deferred", "held")
        stage.release(hold)
        go_to(stage, "22:05")
        assert guests(scheduled(stage)) == {200: "done"}


def test_a_stay_up_window_wins_and_what_could_not_begin_is_missed(tmp_path: Path) -> None:
    text = NIGHT + '  stay_up: [{start: "21:00", duration: 2h, tz: UTC}]\n'
    with before_ten(tmp_path, text) as stage:
        go_to(stage, "22:00")
        assert row(scheduled(stage))["state"] == "deferred"
        go_to(stage, "22:10")
        assert stage.pvectl("scheduled-shutdown", "--quiet") == (0, "", "")
        go_to(stage, "22:30")
        missed = scheduled(stage).json["data"][0]
        assert missed["state"] == "missed"
        assert "a stay-up window" in missed["detail"]
        assert stage.server.requests == []


def test_a_stay_up_window_that_ends_in_time_only_delays(tmp_path: Path) -> None:
    text = NIGHT + '  stay_up: [{start: "21:00", duration: 70m, tz: UTC}]\n'
    with before_ten(tmp_path, text) as stage:
        go_to(stage, "22:05")
        assert row(scheduled(stage))["state"] == "deferred"
        go_to(stage, "22:10")
        assert row(scheduled(stage))["state"] == "done"


def test_s09_a_tag_taken_away_at_the_last_moment_protects(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:

        def untag(_number: int, record: Record) -> None:
            if record.path.endswith("/qemu/300/status/current"):
                stage.cluster.set_tags(300, None)

        stage.server.on_request = untag
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert sorted(asked(stage)) == [200, 201]
        assert guests(ended)[300] == "skipped"


def test_s17_a_clock_that_differs_from_the_nodes_keeps_it_from_beginning(tmp_path: Path) -> None:
    with before_ten(tmp_path, minutes=60) as stage:
        stage.clock.wall_ahead = 3000.0
        go_to(stage, "21:10")
        ended = scheduled(stage)
        assert ended.code == 4
        assert row(ended)["reason"] == "clock-wrong"
        assert asked(stage) == []


def test_a_selection_that_finds_nobody_is_skipped_and_says_why(tmp_path: Path) -> None:
    with before_ten(tmp_path, NIGHT.replace("@all", "@tag-safe-shutdwn")) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"]) == (0, "skipped")
        assert "nearest: safe-shutdown" in ended.err
        stage.advance(300)
        assert row(scheduled(stage))["state"] == "future"


@pytest.mark.parametrize("select", ['["@tag-nobody-has-it"]', '["201", "desk2"]', "[desk]"])
def test_stages_that_do_not_fit_the_guests_are_an_error_and_nobody_is_asked(tmp_path: Path, select: str) -> None:
    if "201" in select:
        select = "[desk2]"
    text = NIGHT + f"      stages: [{{name: one, select: [200, 201]}}, {{name: two, select: {select}}}]\n"
    with before_ten(tmp_path, text) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 78
        assert row(ended)["reason"] == "stages-clash"
        assert stage.server.writes() == []


def test_who_is_selected_and_in_no_stage_is_left_alone_and_named(tmp_path: Path) -> None:
    text = NIGHT + "      stages: [{name: one, select: [200]}]\n"
    with before_ten(tmp_path, text) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert asked(stage) == [200]
        assert "in no stage, so left alone: 201, 300" in ended.err


def test_require_tag_null_lifts_the_tag_and_only_that(tmp_path: Path) -> None:
    with before_ten(tmp_path, NIGHT + "      require_tag: null\n      exclude: [200]\n") as stage:
        go_to(stage, "22:00")
        scheduled(stage)
        assert sorted(asked(stage)) == [100, 201, 300]


def test_s13_the_guest_pvectl_runs_in_is_left_alone(tmp_path: Path) -> None:
    with before_ten(tmp_path, NIGHT + "idle_check: {self: {vmid: 300}}\n") as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert sorted(asked(stage)) == [200, 201]
        assert guests(ended)[300] == "skipped"


def test_s13_a_configuration_that_cannot_be_read_does_not_hide_the_guest_pvectl_runs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # where pvectl runs is what the machine says, and not for a simulated cluster to know
    monkeypatch.setattr("pvectl.observe.ourselves", lambda found, configs, _clock: 300 if 300 in configs and len(found) == 2 else None)
    with before_ten(tmp_path) as stage:
        stage.server.fault("status", path="*/200/config", code=500)
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert sorted(asked(stage)) == [200, 201]
        assert guests(ended)[300] == "skipped"


def test_s10_a_tag_that_is_not_registered_does_not_count_where_that_is_asked_for(tmp_path: Path) -> None:
    with before_ten(tmp_path, NIGHT + "tags: {require_registered: true}\n") as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert row(ended)["state"] == "skipped"
        assert asked(stage) == []


def test_s18_a_rehearsal_by_configuration_keeps_books_of_its_own(tmp_path: Path) -> None:
    text = STAGED.replace("  schedules:", "  dry_run: true\n  schedules:")
    with before_ten(tmp_path, text) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert set(guests(ended).values()) == {"dry-run", "skipped"}
        assert stage.server.writes() == []
        stage.configure(STAGED)
        stage.advance(60)
        assert row(scheduled(stage))["reason"] == "only-armed"
        stage.advance(60)
        scheduled(stage)
        assert stage.server.writes() == []


def test_s18_a_dry_run_writes_nothing_anywhere(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:
        go_to(stage, "22:00")
        before = stage.state_file.read_bytes()
        ended = scheduled(stage, "--dry-run")
        assert ended.code == 0, ended.err
        assert row(ended)["state"] == "due"
        assert guests(ended) == {200: "dry-run", 201: "dry-run", 300: "dry-run", 301: "skipped"}
        assert stage.server.writes() == []
        assert stage.state_file.read_bytes() == before


def test_s24_where_nothing_can_be_written_nobody_is_asked(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        go_to(stage, "22:00")
        blocked = tmp_path / "file"
        blocked.write_text("no directory")
        assert scheduled(stage, "--state-dir", str(blocked / "below")).code == 73
        assert stage.server.requests == []


def test_s31_a_state_file_that_was_set_aside_arms_anew(tmp_path: Path) -> None:
    import sqlite3

    with before_ten(tmp_path) as stage:
        go_to(stage, "22:00")
        connection = sqlite3.connect(stage.state_file)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        ended = scheduled(stage)
        assert ended.code == 65
        assert ended.json["errors"][0]["code"] == "bad-state"
        stage.advance(60)
        scheduled(stage)
        assert asked(stage) == []


def test_s27_two_runs_at_once_are_one(tmp_path: Path) -> None:
    from pvectl.store import open_to_write

    with before_ten(tmp_path) as stage:
        go_to(stage, "22:00")
        with open_to_write(stage.state, "lab", stage.clock):
            ended = scheduled(stage)
            assert ended.code == 75
            assert asked(stage) == []
        assert scheduled(stage).code == 0


@pytest.mark.slow
def test_an_api_that_does_not_answer_puts_it_off_until_the_deadline(tmp_path: Path) -> None:
    with before_ten(tmp_path, sockets=True) as stage:
        go_to(stage, "22:00")
        stage.server.fault("status", path="/cluster/resources", code=595)
        ended = scheduled(stage)
        assert ended.code != 0
        assert row(ended)["state"] == "deferred"
        assert asked(stage) == []
        stage.server.clear_faults()
        go_to(stage, "22:05")
        assert row(scheduled(stage))["state"] == "done"


def test_s32_every_decision_replays(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:
        stage.hold("guest/201", 3600)
        go_to(stage, "22:00")
        _killed(stage, 1.5)
        go_to(stage, "22:05")
        scheduled(stage)
        go_to(stage, "2026-12-03 07:00")
        scheduled(stage)
        decisions = [one["id"] for one in stage.pvectl("history", "-o", "json").json["data"] if one["what"] == "decision"]
        assert len(decisions) >= 5
        for decision in decisions:
            told = stage.pvectl("explain", decision, "-o", "json")
            assert told.code == 0, told.err
            assert told.json["data"]["replayed"] is True
            assert "the same decision" in stage.pvectl("explain", decision).out


def test_interrupted_it_goes_on_with_the_next_run(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:

        def interrupt() -> None:
            raise KeyboardInterrupt

        go_to(stage, "22:00")
        stage.clock.at(stage.now + 1.5, interrupt)
        ended = scheduled(stage)
        assert ended.code == 130, ended.err
        assert row(ended)["state"] == "running"
        go_to(stage, "22:05")
        assert row(scheduled(stage))["state"] == "done"
        assert sorted(asked(stage)) == [200, 201, 300]


def test_several_schedules_are_each_told(tmp_path: Path) -> None:
    text = NIGHT + '    - {name: late, at: ["22:00", "23:00"], tz: UTC, select: [300], deadline: 10m}\n'
    with before_ten(tmp_path, text.replace('["@all"]', "[200, 201]")) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert [(one["schedule"], one["state"]) for one in ended.json["data"]] == [("night", "done"), ("late", "done")]
        only = scheduled(stage, "--schedule", "late")
        assert [one["schedule"] for one in only.json["data"]] == ["late"]


@pytest.mark.slow
def test_a_long_absence_is_one_sentence(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        stage.advance(timedelta(days=20).total_seconds())
        ended = scheduled(stage)
        assert ended.code == 0
        assert sum(one["state"] == "missed" for one in json.loads(ended.out)["data"]) == 20
        assert ended.err.count("pvectl: night: 20 times were missed") == 1


@pytest.mark.slow
@pytest.mark.parametrize("sunday", ["2027-03-28", "2027-10-31"])
def test_a_week_around_a_clock_change_has_each_time_once(tmp_path: Path, sunday: str) -> None:
    text = NIGHT.replace('"22:00"', '["02:30", "22:00"]').replace("tz: UTC", "tz: Europe/Berlin")
    start = at(f"{sunday} 12:00") - 4 * 86_400
    with Stage(tmp_path, CLUSTER, pvectl=text, start=start, sockets=False) as stage:
        scheduled(stage)
        for _ in range(7 * 72):
            stage.advance(1200)
            ended = scheduled(stage)
            assert ended.code == 0, ended.err
            if row(ended)["state"] == "done":
                stage.advance(60)
                for vmid in (200, 201, 300):
                    stage.admin("start", vmid)
        asked_at = sorted({round(record.at / 1200) for record in stage.shutdowns()})
        assert len(asked(stage)) == 3 * 14
        assert len(asked_at) == 14


def test_many_guests_go_down_as_fast_as_they_can_and_few_requests_are_spent_on_waiting(tmp_path: Path) -> None:
    many = [
        {"vmid": 400 + one, "node": f"pve{1 + one % 3}", "shutdown_s": 10, "status": "running", "tags": "safe-shutdown"}
        for one in range(60)
    ]
    with before_ten(tmp_path, NIGHT, {"nodes": CLUSTER["nodes"], "guests": many}) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 0, ended.err
        assert len(asked(stage)) == 60
        assert stage.now - at("2026-12-01 22:00") <= 11.5
        waiting = len(stage.server.requests) - 3 * 60
        assert waiting < 60 + 3 * 30


def test_s16_no_request_leaves_once_the_deadline_has_passed(tmp_path: Path) -> None:
    with before_ten(tmp_path, NIGHT.replace('["@all"]', "[300]")) as stage:

        def dawdle(_number: int, record: Record) -> None:
            if record.path.endswith("/300/status/current"):
                stage.advance(5)

        stage.server.on_request = dawdle
        go_to(stage, "22:29:57")
        ended = scheduled(stage)
        assert asked(stage) == []
        assert (ended.code, row(ended)["state"]) == (1, "failed")
        assert "the deadline came before everybody was asked" in ended.err or ended.json["errors"][0]["code"] == "late"
        stage.advance(60)
        assert row(scheduled(stage))["state"] == "future"


def test_d28_a_guest_that_is_restarted_between_the_look_and_its_own_request_is_left_alone(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        restarted: list[Record] = []

        def restart(_number: int, record: Record) -> None:
            if record.path.endswith("/300/status/current") and not restarted:
                restarted.append(record)
                stage.admin("stop", 300)
                stage.advance(3)
                stage.admin("start", 300)
                stage.advance(5)

        stage.server.on_request = restart
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert (ended.code, guests(ended)[300], sorted(asked(stage))) == (0, "skipped", [200, 201])
        assert stage.cluster.guest(300).status == "running"
        (told,) = (one for one in row(ended)["stages"][0]["guests"] if one["vmid"] == 300)
        assert "after it was looked at, so somebody wants it on" in told["error"]


def test_s25_a_hold_on_the_node_counts_right_before_the_request(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:

        def hold(_number: int, record: Record) -> None:
            if record.path.endswith("/300/status/current"):
                stage.hold("node/pve2", 3600)

        stage.server.on_request = hold
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 0
        assert guests(ended)[300] == "skipped"
        assert 300 not in asked(stage)


def test_interrupted_between_two_stages_it_goes_on_with_the_next_run(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:

        def interrupt() -> None:
            raise KeyboardInterrupt

        go_to(stage, "22:00")
        stage.clock.at(stage.now + 20, interrupt)
        ended = scheduled(stage)
        assert (ended.code, row(ended)["state"]) == (130, "running")
        assert guests(ended) == {200: "done", 201: "done"}
        go_to(stage, "22:05")
        assert row(scheduled(stage))["state"] == "done"
        assert sorted(asked(stage)) == [200, 201, 300]


def test_a_guest_that_lost_its_tag_after_it_was_asked_does_not_hold_up_the_others(tmp_path: Path) -> None:
    text = STAGED.replace('["200:210"]', '["@tag-safe-shutdown,-300,-301"]')
    with before_ten(tmp_path, text) as stage:
        go_to(stage, "22:00")
        _killed(stage, 20)
        stage.cluster.set_tags(200, None)
        go_to(stage, "22:05")
        ended = scheduled(stage)
        assert ended.code == 0, ended.out
        assert sorted(asked(stage)) == [200, 201, 300]


def test_a_stay_up_window_that_opens_on_the_way_keeps_the_later_stages_up(tmp_path: Path) -> None:
    text = STAGED + '  stay_up: [{start: "22:00", duration: 1h, tz: Europe/London}]\n'
    with before_ten(tmp_path, text.replace('at: "22:00"', 'at: "21:59"'), minutes=10) as stage:
        go_to(stage, "21:59:50")
        ended = scheduled(stage)
        assert ended.code == 0
        assert (row(ended)["state"], row(ended)["reason"]) == ("partial", "stay-up")
        assert sorted(asked(stage)) == [200, 201]


def test_a_locked_or_paused_guest_is_left_alone_and_told(tmp_path: Path) -> None:
    changed = {200: {"status": "paused"}, 300: {"lock": "backup"}}
    cluster = {**CLUSTER, "guests": [{**one, **changed.get(one["vmid"], {})} for one in CLUSTER["guests"]]}
    with before_ten(tmp_path, NIGHT, cluster) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 0
        reasons = {one["vmid"]: one["reason"] for one in row(ended)["stages"][0]["guests"]}
        assert (reasons[200], reasons[300]) == ("paused", "locked")
        assert asked(stage) == [201]


@pytest.mark.slow
def test_a_lost_answer_is_an_unknown_outcome_and_nobody_is_asked_again(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED, sockets=True) as stage:
        go_to(stage, "22:00")
        stage.server.fault("reset", path="/nodes/*/qemu/200/status/shutdown", method="POST")
        ended = scheduled(stage)
        assert ended.code in (1, 5)
        assert 300 not in asked(stage)
        count = asked(stage).count(200)
        stage.server.clear_faults()
        go_to(stage, "22:05")
        scheduled(stage)
        assert asked(stage).count(200) == count
        assert count <= 1


def test_s18_deeds_and_rehearsals_take_turns_and_each_begins_anew(tmp_path: Path) -> None:
    rehearsed = NIGHT.replace("  schedules:", "  dry_run: true\n  schedules:")
    with before_ten(tmp_path) as stage:
        stage.configure(rehearsed)
        scheduled(stage)
        stage.configure(NIGHT)
        go_to(stage, "22:01")
        ended = scheduled(stage)
        assert [(one["state"], one["reason"]) for one in ended.json["data"]] == [("future", "only-armed")]
        go_to(stage, "22:05")
        scheduled(stage)
        assert stage.server.writes() == []


def test_s18_a_dry_run_beside_a_night_that_was_killed_waits_for_nobody_and_changes_nothing(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:
        go_to(stage, "22:00")
        _killed(stage, 1.5)
        before, now = stage.state_file.read_bytes(), stage.now
        ended = scheduled(stage, "--dry-run")
        assert ended.code == 0, ended.err
        assert row(ended)["state"] == "running"
        assert guests(ended)[300] == "dry-run"
        assert stage.now - now < 5
        assert stage.state_file.read_bytes() == before


def test_many_guests_it_is_not_about_are_one_line(tmp_path: Path) -> None:
    others = [{"vmid": 500 + one, "node": "pve1", "status": "running"} for one in range(20)]
    with before_ten(tmp_path, NIGHT, {**CLUSTER, "guests": [*CLUSTER["guests"], *others]}) as stage:
        go_to(stage, "22:00")
        text = stage.pvectl("scheduled-shutdown").out
        assert "21 others" in text
        assert len(text.splitlines()) == 7


def test_s32_a_night_on_which_nobody_is_asked_is_explained_guest_by_guest(tmp_path: Path) -> None:
    with before_ten(tmp_path, NIGHT.replace('["@all"]', "[100, 301]")) as stage:
        go_to(stage, "22:00")
        assert row(scheduled(stage))["state"] == "skipped"
        kept = [one for one in stage.pvectl("history", "-o", "json").json["data"] if one["phase"] == "stage all guests"]
        page = stage.pvectl("explain", kept[0]["id"])
        assert (page.code, "it does not carry the tag safe-shutdown" in page.out, "it is stopped already" in page.out) == (0, True, True)


def test_an_excluded_guest_may_be_asked_for_by_several_stages(tmp_path: Path) -> None:
    text = NIGHT + '      exclude: [200]\n      stages: [{name: one, select: [200, 201]}, {name: two, select: ["desk", "app"]}]\n'
    with before_ten(tmp_path, text) as stage:
        go_to(stage, "22:00")
        ended = scheduled(stage)
        assert ended.code == 0, ended.err
        assert [[one["vmid"] for one in stage["guests"]] for stage in row(ended)["stages"]] == [[200, 201], [300]]
        assert sorted(asked(stage)) == [201, 300]


def test_what_was_under_way_when_rehearsals_began_is_told_once(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:
        go_to(stage, "22:00")
        _killed(stage, 1.5)
        stage.configure(STAGED.replace("  schedules:", "  dry_run: true\n  schedules:"))
        ended = scheduled(stage)
        assert (ended.code, ended.json["data"][0]["state"], ended.json["data"][0]["reason"]) == (1, "failed", "superseded")
        assert scheduled(stage).code == 0


@pytest.mark.slow
def test_an_api_that_falls_silent_between_two_stages_is_waited_for(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED, sockets=True) as stage:
        go_to(stage, "22:00")
        stage.clock.at(stage.now + 20, lambda: stage.server.fault("status", path="/cluster/resources", code=595))
        ended = scheduled(stage)
        assert ended.code not in (0, 70)
        assert row(ended)["state"] == "running"
        assert guests(ended) == {200: "done", 201: "done"}
        stage.server.clear_faults()
        go_to(stage, "22:05")
        assert row(scheduled(stage))["state"] == "done"
        assert sorted(asked(stage)) == [200, 201, 300]
