"""`pvectl scheduled-shutdown` as a person and a script meet it: refusals, pages, the coming times."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scheduled.nights import CLUSTER, NIGHT, STAGED, asked, at, before_ten, go_to, row, scheduled
from tests.support.stages import Stage


def _coming(stage: Stage, *words: str) -> list[dict[str, object]]:
    ended = stage.pvectl("scheduled-shutdown", "next", "-o", "json", *words)
    assert ended.code == 0, ended.err
    found: list[dict[str, object]] = ended.json["data"]
    return found


def test_without_a_schedule_it_refuses(tmp_path: Path) -> None:
    for text in ("", "scheduled_shutdown: {schedules: []}\n"):
        with Stage(tmp_path, CLUSTER, pvectl=text, sockets=False) as stage:
            for words in (("scheduled-shutdown",), ("scheduled-shutdown", "next")):
                ended = stage.pvectl(*words)
                assert ended.code == 78
                assert "scheduled_shutdown.schedules has no schedule" in ended.err
            assert stage.server.requests == []


def test_an_unknown_schedule_is_a_wrong_command_line_and_nobody_is_asked(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        go_to(stage, "22:00")
        for words in (("--schedule", "nigth"), ("run", "--schedule", "nigth"), ("next", "--schedule", "nigth")):
            ended = stage.pvectl("scheduled-shutdown", *words)
            assert ended.code == 2
            assert "there is no schedule 'nigth'; nothing was shut down" in ended.err
            assert "known are: night" in ended.err
        assert stage.server.requests == []


@pytest.mark.parametrize("word", ["nxt", "--nxt"])
def test_an_unknown_word_is_a_wrong_command_line(tmp_path: Path, word: str) -> None:
    with before_ten(tmp_path) as stage:
        go_to(stage, "22:00")
        assert stage.pvectl("scheduled-shutdown", word).code == 2
        assert stage.server.requests == []


def test_run_may_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with before_ten(tmp_path) as stage:
        plain, named = stage.pvectl("scheduled-shutdown", "-o", "json"), stage.pvectl("scheduled-shutdown", "run", "-o", "json")
        assert plain.json["data"] == named.json["data"]
        stage.pvectl("scheduled-shutdown", "--help")
        assert "List the coming times" in capsys.readouterr().out


def test_s28_with_insecure_it_refuses(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        file = stage.home.config / "proxmox.yml"
        file.write_text(file.read_text().replace("allow_http_loopback: true", "allow_http_loopback: true\n    tls: {insecure: true}"))
        ended = stage.pvectl("scheduled-shutdown")
        assert ended.code == 78
        assert "nobody knows who is listening" in ended.err


def test_a_job_that_is_switched_off_says_so_and_is_no_failure(tmp_path: Path) -> None:
    with Stage(tmp_path, CLUSTER, pvectl=NIGHT + "  enabled: false\n", sockets=False) as stage:
        ended = stage.pvectl("scheduled-shutdown")
        assert (ended.code, ended.err) == (0, "")
        assert "switched off (enabled: false)" in ended.out
        assert stage.server.requests == []


def test_a_quiet_run_speaks_only_of_what_was_done_missed_or_failed(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        assert stage.pvectl("scheduled-shutdown", "--quiet") == (0, "", "")
        go_to(stage, "22:00")
        told = stage.pvectl("scheduled-shutdown", "--quiet")
        assert "done" in told.out
        assert stage.pvectl("scheduled-shutdown", "--quiet") == (0, "", "")
        go_to(stage, "2026-12-03 07:00")
        assert "missed: Wed 2026-12-02 22:00" in stage.pvectl("scheduled-shutdown", "--quiet").err


def test_the_table_tells_each_guest(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:
        go_to(stage, "22:00")
        lines = [line.split() for line in stage.pvectl("scheduled-shutdown").out.splitlines()]
        assert lines[0] == ["SCHEDULE", "TIME", "STAGE", "GUEST", "RESULT", "WHY"]
        assert lines[1][:5] == ["night", "Tue", "2026-12-01", "22:00", "done"]
        assert [line[4:8] for line in lines[2:]] == [
            ["desks", "200", "(desk)", "off"],
            ["desks", "201", "(desk2)", "off"],
            ["apps", "300", "(app)", "off"],
            ["apps", "301", "(spare)", "left"],
        ]


def test_a_dry_run_before_its_time_shows_whom_it_would_be_about(tmp_path: Path) -> None:
    with before_ten(tmp_path, STAGED) as stage:
        ended = scheduled(stage, "--dry-run")
        assert row(ended)["state"] == "future"
        assert [one["vmid"] for one in row(ended)["stages"][0]["guests"]] == [200, 201]
        text = stage.pvectl("scheduled-shutdown", "--dry-run").out
        assert "3 guests would shut down" in text
        assert text.count("would shut down  ") == 3
        assert stage.server.writes() == []
        go_to(stage, "22:00")
        scheduled(stage)
        assert len(asked(stage)) == 3


def test_csv_and_jsonl_are_there(tmp_path: Path) -> None:
    with before_ten(tmp_path) as stage:
        assert stage.pvectl("scheduled-shutdown", "-o", "csv").out.startswith("schedule,time,stage,guest,result,why\n")
        assert '"schedule":"night"' in stage.pvectl("scheduled-shutdown", "next", "-o", "jsonl").out


def test_next_shows_local_time_and_utc(tmp_path: Path) -> None:
    with Stage(tmp_path, CLUSTER, pvectl=NIGHT.replace("UTC", "America/New_York"), start=at("2026-12-01 12:00"), sockets=False) as stage:
        rows = _coming(stage, "-n", "2")
        assert [(one["local"], one["occurrence"]) for one in rows] == [
            ("2026-12-01T22:00-05:00", "2026-12-02T03:00:00Z"),
            ("2026-12-02T22:00-05:00", "2026-12-03T03:00:00Z"),
        ]
        text = stage.pvectl("scheduled-shutdown", "next").out.splitlines()
        assert len(text) == 11
        assert text[1].split()[:8] == ["night", "Tue", "2026-12-01", "22:00", "America/New_York", "2026-12-02", "03:00", "15h"]
        assert stage.server.requests == []


@pytest.mark.parametrize(
    ("start", "mark", "utc"),
    [
        ("2027-03-28 00:00", "02:30 does not exist on this day", "2027-03-28T01:00:00Z"),
        ("2027-10-30 23:00", "02:30 comes twice; the first counts", "2027-10-31T00:30:00Z"),
    ],
)
def test_next_marks_what_a_clock_change_moves(tmp_path: Path, start: str, mark: str, utc: str) -> None:
    text = NIGHT.replace("22:00", "02:30").replace("UTC", "Europe/Berlin")
    with Stage(tmp_path, CLUSTER, pvectl=text, start=at(start), sockets=False) as stage:
        first, second = _coming(stage, "-n", "2")
        assert (first["occurrence"], first["moved"], second["moved"]) == (utc, mark, None)
        assert f"clock change: {mark}" in stage.pvectl("scheduled-shutdown", "next").out


def test_next_marks_stay_up_windows_and_holds(tmp_path: Path) -> None:
    text = NIGHT + '  stay_up: [{start: "21:00", duration: 70m, tz: UTC}, {days: wed, start: "21:00", duration: 4h, tz: UTC}]\n'
    with before_ten(tmp_path, text) as stage:
        stage.hold("guest/200", 3600)
        stage.hold("node/pve3", 3600)
        first, second = _coming(stage, "-n", "2")
        assert (first["stay_up_until"], first["held"]) == ("2026-12-01T22:10:00Z", ["guest/200", "node/pve3"])
        assert (second["stay_up_until"], second["held"]) == ("2026-12-03T01:00:00Z", [])
        page = stage.pvectl("scheduled-shutdown", "next", "-n", "2").out
        assert "a stay-up window is open until 22:10, so it begins then; held: guest 200, pve3" in page
        assert "so it will be missed" in page


def test_the_end_of_a_stay_up_window_is_told_as_the_clock_shows_it_then(tmp_path: Path) -> None:
    text = NIGHT.replace("22:00", "02:30").replace("UTC", "Europe/Berlin")
    text += '  stay_up: [{start: "01:00", duration: 2h, tz: Europe/Berlin}]\n'
    with Stage(tmp_path, CLUSTER, pvectl=text, start=at("2026-10-24 12:00"), sockets=False) as stage:
        (first,) = _coming(stage, "-n", "1")
        assert (first["local"], first["stay_up_until"]) == ("2026-10-25T02:30+02:00", "2026-10-25T02:00:00Z")
        assert "a stay-up window is open until 03:00, so it will be missed" in stage.pvectl("scheduled-shutdown", "next", "-n", "1").out


def test_next_says_what_will_not_happen(tmp_path: Path) -> None:
    with Stage(tmp_path, CLUSTER, pvectl=NIGHT, sockets=False) as stage:
        assert "night is new or was changed" in stage.pvectl("scheduled-shutdown", "next").err
        stage.configure(NIGHT + "  enabled: false\n")
        assert "none of this will happen" in stage.pvectl("scheduled-shutdown", "next").err
        stage.configure(NIGHT + "  dry_run: true\n")
        assert "only shows what it would do" in stage.pvectl("scheduled-shutdown", "next").err
        stage.configure(NIGHT + "      enabled: false\n")
        assert stage.pvectl("scheduled-shutdown", "next").out == "no schedule is switched on\n"


def test_several_schedules_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    text = NIGHT + '    - {name: noon, at: ["12:00", "13:00"], tz: UTC, select: [300]}\n'
    with before_ten(tmp_path, text) as stage:
        assert [one["schedule"] for one in _coming(stage, "-n", "4")] == ["night", "noon", "noon", "night"]


@pytest.mark.parametrize(
    ("text", "jobs"),
    [
        (NIGHT, ["scheduled-shutdown"]),
        (NIGHT + "  enabled: false\n", []),
        (NIGHT + "      enabled: false\n", []),
        (NIGHT + "idle_check: {nodes: [pve2]}\n", ["idle-check", "scheduled-shutdown"]),
    ],
)
def test_a_timer_runs_it_where_there_is_a_schedule(tmp_path: Path, text: str, jobs: list[str]) -> None:
    with Stage(tmp_path, CLUSTER, pvectl=text, sockets=False) as stage:
        printed = stage.pvectl("timers", "print", "--cron").out
        assert [job for job in ("idle-check", "scheduled-shutdown") if f" {job} --quiet" in printed] == jobs


def test_s22_systemd_does_not_cut_off_the_longest_run_there_can_be(tmp_path: Path) -> None:
    import re

    from pvectl import act

    text = STAGED + "      timeout: 10m\n      deadline: 2h\n"
    with Stage(tmp_path, CLUSTER, pvectl=text, sockets=False) as stage:
        (line,) = re.findall(r"TimeoutStartSec=(.*)", stage.pvectl("timers", "print", "--systemd").out)
        sizes = {"d": 86_400, "h": 3600, "min": 60, "s": 1}
        limit = sum(int(count) * sizes[unit] for count, unit in re.findall(r"(\d+)([a-z]+)", line))
        assert limit >= 2 * act.longest_wait(600) + 30


def test_vm_show_tells_where_a_guest_stands_for_the_schedules(tmp_path: Path) -> None:
    with before_ten(tmp_path, NIGHT + "      exclude: [201]\n    - {name: noon, at: '12:00', tz: UTC, select: [300]}\n") as stage:
        stage.hold("guest/200", 7200)
        told = {
            vmid: stage.pvectl("vm", "show", str(vmid), "-o", "json").json["data"]["scheduled_shutdown"] for vmid in (100, 200, 201, 300)
        }
        assert {vmid: [(one["schedule"], one["reason"]) for one in rows] for vmid, rows in told.items()} == {
            100: [("night", "not-tagged")],
            200: [("night", "held")],
            201: [("night", "excluded")],
            300: [("night", "scheduled"), ("noon", "scheduled")],
        }
        page = stage.pvectl("vm", "show", "300").out
        assert "schedules    night, Tue 2026-12-01 22:00: shut down within 2m" in page
        assert "noon, Wed 2026-12-02 12:00: shut down within 2m" in page
        stage.configure(NIGHT + "  enabled: false\n")
        assert stage.pvectl("vm", "show", "300", "-o", "json").json["data"]["scheduled_shutdown"] == []
