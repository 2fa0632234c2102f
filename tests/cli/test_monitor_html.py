"""`pvectl monitor --html FILE`: the page is there whole or not at all, and never tells of an earlier look what only holds for this one."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from tests.idle.days import IDLE, INTERVAL
from tests.idle.days import PVECTL as IDLE_CHECK
from tests.support.markup import Tag, read
from tests.support.stages import Stage

SCHEDULES = """\
scheduled_shutdown:
  stay_up:
    - {days: [tue], start: "22:00", tz: UTC, duration: 2h}
  schedules:
    - {name: weekend, days: [sat], at: "13:00", tz: Europe/Berlin, select: ["@tag-safe-shutdown", 100]}
    - {name: night, at: "22:30", tz: UTC, stages: [{name: desktops, select: [200]}, {name: apps, select: [201]}], then_power_off: [pve2]}
    - {name: never, enabled: false, at: "01:00", tz: UTC, select: ["@all"]}
"""


def page(file: Path) -> Tag:
    return read(file.read_text(encoding="utf-8").removeprefix("<!doctype html>\n"))


def part(file: Path, id_: str) -> str:
    return page(file).one("section", id=id_).told


def test_the_page_is_written_beside_the_result_for_any_web_server_to_read(tmp_path: Path) -> None:
    file = tmp_path / "www" / "index.html"
    file.parent.mkdir()
    with Stage(tmp_path, IDLE, sockets=False) as stage:
        ended = stage.pvectl("monitor", "-o", "json", "--html", str(file))
        assert ended.code == 0, ended.err
        summary = ended.json["data"]["summary"]
        assert ended.json["schema"] == "pvectl/monitor/v1"
        assert stage.server.writes() == []
    told = page(file)
    assert [each.told for each in told.one("ul", class_="tally").every("b")][:3] == [
        str(summary["critical"]),
        str(summary["warning"]),
        str(summary["unknown"]),
    ]
    assert [card.one("h3").told for card in told.one("section", id="nodes").every("li")] == ["pve1", "pve2", "pve3"]
    assert "201 films" in part(file, "guests")
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert [each.name for each in file.parent.iterdir()] == ["index.html"]


@pytest.mark.slow
def test_one_look_makes_the_page_and_the_metrics(tmp_path: Path) -> None:
    html, metrics = tmp_path / "index.html", tmp_path / "pvectl.prom"
    with Stage(tmp_path, IDLE, sockets=False) as stage:
        ended = stage.pvectl("monitor", "-o", "prometheus", "--write", str(metrics), "--html", str(html))
    assert (ended.code, ended.out) == (0, ""), ended.err
    assert "pvectl_monitor_success{" in metrics.read_text()
    assert page(html).one("h1").told


def test_the_page_shows_what_pvectls_own_jobs_are_about_to_do(tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    with Stage(tmp_path, IDLE, sockets=False, pvectl=IDLE_CHECK + SCHEDULES) as stage:
        stage.pvectl("idle-check")
        stage.advance(INTERVAL)
        stage.pvectl("idle-check")
        ended = stage.pvectl("monitor", "--html", str(file))
        assert ended.code == 0, ended.err
    idle = page(file).one("section", id="idle")
    assert idle.one("h3").told == "pve2"
    (now,) = [step.told for step in idle.one("ol").every("li") if step.attributes.get("aria-current") == "step"]
    assert now == "idle"
    assert "off at" in idle.told
    night, weekend = page(file).one("section", id="schedules").one("ul").every("li")
    assert "shuts down stage desktops, stage apps, then switches off pve2" in night.told
    assert "nothing is shut down in a stay-up window" in night.told
    assert "shuts down @tag-safe-shutdown, 100" in weekend.told
    assert "in Europe/Berlin" in weekend.told
    assert "never" not in part(file, "schedules")


@pytest.mark.slow
def test_jobs_that_are_switched_off_say_so(tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    off = IDLE_CHECK + "  enabled: false\n" + SCHEDULES.replace("scheduled_shutdown:\n", "scheduled_shutdown:\n  enabled: false\n")
    with Stage(tmp_path, IDLE, sockets=False, pvectl=off) as stage:
        assert stage.pvectl("monitor", "--html", str(file)).code == 0
    assert "idle-check is switched off in pvectl.yml" in part(file, "idle")
    assert "Every schedule is switched off in pvectl.yml" in part(file, "schedules")


def _directory(place: Path) -> None:
    place.mkdir()


def _symlink(place: Path) -> None:
    (place.parent / "precious").write_text("kept")
    place.symlink_to("precious")


def _pipe(place: Path) -> None:
    os.mkfifo(place)


def _nowhere(place: Path) -> None:
    place.parent.rmdir()


def _within_a_file(place: Path) -> None:
    place.parent.rmdir()
    place.parent.write_text("kept")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_directory, "it is a directory"),
        (_symlink, "it is a symlink"),
        (_pipe, "it is no ordinary file"),
        (_nowhere, "there is no directory"),
        (_within_a_file, "not a directory"),
    ],
)
def test_a_place_that_is_no_ordinary_file_is_refused_before_anybody_is_asked(tmp_path: Path, make: Any, why: str) -> None:
    place = tmp_path / "www" / "index.html"
    place.parent.mkdir()
    make(place)
    with Stage(tmp_path, IDLE, sockets=False) as stage:
        ended = stage.pvectl("monitor", "--html", str(place))
        assert ended.code == 73
        assert why in ended.err
        assert stage.server.requests == []
    if place.is_symlink():
        assert place.read_text() == "kept"


def test_when_no_host_answers_the_page_says_so_instead_of_showing_an_earlier_look(tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    with Stage(tmp_path, IDLE, sockets=False) as stage:
        assert stage.pvectl("monitor", "--html", str(file)).code == 0
        assert "films" in file.read_text()
        stage.server.fault("refuse")
        ended = stage.pvectl("monitor", "--html", str(file))
        assert ended.code == 69
    told = page(file)
    assert told.one("h1").told == "The cluster could not be looked at"
    assert "films" not in told.told
    assert ended.err.partition("pvectl: ")[2].splitlines()[0] in told.told


def test_a_wrong_command_line_leaves_the_page_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "index.html"
    file.write_text("the page of an earlier look")
    with Stage(tmp_path, IDLE, sockets=False) as stage:
        assert stage.pvectl("monitor", "--only", "node.cpuu", "--html", str(file)).code == 2
    assert file.read_text() == "the page of an earlier look"


def test_a_bug_in_pvectl_is_no_reason_to_go_on_showing_an_earlier_look(tmp_path: Path, mocker: MockerFixture) -> None:
    file = tmp_path / "index.html"
    mocker.patch("pvectl.cli.monitoring.run.look", side_effect=ZeroDivisionError("hidden"))
    with Stage(tmp_path, IDLE, sockets=False) as stage:
        assert stage.pvectl("monitor", "--html", str(file)).code == 70
    told = page(file).one("main").told
    assert "pvectl itself failed: ZeroDivisionError" in told
    assert "hidden" not in told


@pytest.mark.slow
def test_ctrl_c_leaves_the_page_as_it_is(tmp_path: Path, mocker: MockerFixture) -> None:
    file = tmp_path / "index.html"
    file.write_text("the page of an earlier look")
    mocker.patch("pvectl.cli.monitoring.run.look", side_effect=KeyboardInterrupt)
    with Stage(tmp_path, IDLE, sockets=False) as stage:
        assert stage.pvectl("monitor", "--html", str(file)).code == 130
    assert file.read_text() == "the page of an earlier look"


@pytest.mark.slow
@pytest.mark.parametrize(("answers", "code"), [(True, 73), (False, 69)])
def test_a_directory_that_goes_away_meanwhile_is_said(tmp_path: Path, answers: bool, code: int) -> None:
    file = tmp_path / "www" / "index.html"
    file.parent.mkdir()
    with Stage(tmp_path, IDLE, sockets=False) as stage:
        stage.server.on_request = lambda number, _record: file.parent.rmdir() if number == 1 else None
        if not answers:
            stage.server.fault("status", code=502)
        ended = stage.pvectl("monitor", "--html", str(file))
    assert ended.code == code
    assert "the page cannot be written to" in ended.err
    assert not file.parent.exists()
