"""scheduled_shutdown in pvectl.yml: what it accepts, and what it says about the rest."""

from __future__ import annotations

from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from pvectl.config.load import ConfigProblems, load_jobs
from pvectl.config.schema import PvectlFile, ScheduledShutdown, ScheduleEntry, StageEntry, StayUpEntry, json_schema
from pvectl.config.survey import survey
from tests.config.folders import GOOD, hints, told, write

NIGHT = {"name": "night", "at": '"22:30"', "tz": "Europe/Berlin", "select": '["@all"]'}
FULL = """\
scheduled_shutdown:
  enabled: false
  dry_run: true
  interval: 10m
  stay_up: [{days: [fri, sat], start: "20:00", duration: 8h, tz: UTC}]
  schedules:
    - name: night
      enabled: false
      days: mon-fri
      at: ["12:00", "22:30"]
      tz: Europe/Berlin
      deadline: 1h
      select: [100, "200:310", web*, "@tag-x,-@pool-y"]
      exclude: 105
      require_tag: null
      nodes: []
      timeout: 90
      stages:
        - {name: one, select: ["200:210"], wait_after: 30s, on_timeout: force}
        - {name: two, select: 300}
"""


def _load(folder: Path, text: str) -> PvectlFile:
    return load_jobs(write(folder, text, name="pvectl.yml"), {})


def _refused(folder: Path, more: str = "", **keys: str) -> ConfigProblems:
    lines = "".join(f"      {key}: {value}\n" for key, value in (NIGHT | keys).items())
    with pytest.raises(ConfigProblems) as caught:
        _load(folder, "scheduled_shutdown:\n  schedules:\n    -\n" + lines + more)
    return caught.value


def _only(error: ConfigProblems) -> tuple[int, str, str, str | None]:
    """Line, key below the schedule, message and hint of the one problem."""
    (one,) = error.problems
    return one.line, one.path.removeprefix("scheduled_shutdown.schedules[0]."), one.message, one.hint


def test_everything_can_be_written(tmp_path: Path) -> None:
    assert _load(tmp_path, FULL).scheduled_shutdown == ScheduledShutdown(
        enabled=False,
        dry_run=True,
        interval=600,
        stay_up=(StayUpEntry(days=("fri", "sat"), start="20:00", duration=28_800, tz="UTC"),),
        schedules=(
            ScheduleEntry(
                name="night",
                enabled=False,
                days=("mon-fri",),
                at=("12:00", "22:30"),
                tz="Europe/Berlin",
                deadline=3600,
                select=("100", "200:310", "web*", "@tag-x,-@pool-y"),
                exclude=("105",),
                require_tag=None,
                nodes=(),
                timeout=90,
                stages=(
                    StageEntry(name="one", select=("200:210",), wait_after=30, on_timeout="force"),
                    StageEntry(name="two", select=("300",)),
                ),
            ),
        ),
    )
    jsonschema.validate(yaml.safe_load(FULL), json_schema(PvectlFile))


def test_the_tag_is_required_unless_null_lifts_it(tmp_path: Path) -> None:
    text = 'scheduled_shutdown: {schedules: [{name: n, at: "22:30", tz: UTC, select: ["@all"]%s}]}\n'
    assert _load(tmp_path, text % "").scheduled_shutdown.schedules[0].require_tag == "safe-shutdown"
    assert _load(tmp_path, text % ", require_tag: null").scheduled_shutdown.schedules[0].require_tag is None
    assert _load(tmp_path, text % ", require_tag: nap").scheduled_shutdown.schedules[0].require_tag == "nap"


@pytest.mark.parametrize(
    ("keys", "key", "message", "hint"),
    [
        ({"at": "22:30"}, "at", "must stand in quotes", 'write "22:30": other YAML readers take the bare form for a number'),
        ({"at": "22.30"}, "at", "got the number '22.30'", 'write "22:30", in quotes'),
        ({"at": "1320"}, "at", "got the number '1320'", 'write "22:00", in quotes: YAML 1.1 reads a bare 22:00 as the number 1320'),
        ({"at": '"24:00"'}, "at", "got '24:00'", 'midnight is "00:00", and belongs to the day that begins'),
        ({"at": '["22:30", "7:30"]'}, "at[1]", "got '7:30'", 'write "07:30", in quotes'),
        ({"at": "[]"}, "at", "is an empty list", "give at least one"),
        ({"at": '["22:30", "22:30"]'}, "at[1]", "22:30 stands there twice", "take one of them out"),
        ({"tz": "Europe/Berln"}, "tz", "'Europe/Berln' is no time zone", "did you mean Europe/Berlin?"),
        ({"tz": "Berlin"}, "tz", "'Berlin' is no time zone", "did you mean Europe/Berlin?"),
        ({"days": "[mon, tus]"}, "days[1]", "'tus' names no day", "did you mean tue?"),
        ({"days": "[]"}, "days", "is an empty list", "give at least one"),
        ({"at": '["22:30", "22:50"]'}, "at", "its deadline of 1800 s reaches past its own next time", "write deadline: 20m"),
        ({"deadline": "25h"}, "deadline", "its deadline of 90000 s reaches past its own next time", "write deadline: 1d"),
        ({"deadline": "8d"}, "deadline", "expected at most 7d", None),
        ({"at": '["23:50", "00:10"]'}, "at", "its deadline of 1800 s reaches past its own next time", "write deadline: 20m"),
        ({"select": '["100"]'}, "select[0]", "a vmid is a number, got the text '100'", "write 100, without quotes"),
        ({"exclude": '["100"]'}, "exclude[0]", "a vmid is a number, got the text '100'", "write 100, without quotes"),
        ({"select": "[99]"}, "select[0]", "'99' is no vmid", "vmids go from 100 to 999999999"),
        ({"select": "[true]"}, "select[0]", "expected a vmid or a selector", 'write 100, "100:110", "@tag-x"'),
        ({"select": '["@tga-x"]'}, "select[0]", "'@tga-x' is no selector", "there are @all, @tag-x, @pool-x and @node-x"),
        ({"select": "[]"}, "select", "asks for nobody", 'write select: ["@tag-safe-shutdown"], or give stages that select somebody'),
        ({"select": "[100]", "exclude": '["100:110"]'}, "select", "the schedule selects no guest: all of 100 is excluded again", None),
        ({"name": "a b"}, "name", "a name is made of letters", "choose a short one, for example night"),
        ({"vmids": "[100]"}, "vmids", "unknown key", "write select: [100, 105], numbers without quotes"),
        ({"timeout": "0"}, "timeout", "expected at least 1s", None),
        ({"require_tag": "Nap"}, "require_tag", "has capitals", "write nap"),
        ({"then_power_off": "[pve2]"}, "then_power_off[0]", "is not among idle_check.nodes", "idle_check: {nodes: [pve2]} permits it"),
    ],
)
def test_what_cannot_be_meant_is_told_with_its_place(
    tmp_path: Path, keys: dict[str, str], key: str, message: str, hint: str | None
) -> None:
    line, path, told_, hinted = _only(_refused(tmp_path, **keys))
    changed = list(NIGHT | keys).index(next(iter(keys))) + 4
    assert (path, line >= 4) == (key, True)
    assert message in told_
    assert hinted == hint or (hint is not None and hinted is not None and hinted.startswith(hint))
    if len(keys) == 1 and path.partition("[")[0] in keys:
        assert line == changed


@pytest.mark.parametrize(
    ("stages", "key", "message"),
    [
        ("[{name: a, select: []}]", "stages[0].select", "is an empty list"),
        ("[{name: a, select: [100]}, {name: b, select: [100]}]", "stages[1].select", "100 is in the stage 'a' as well"),
        ('[{name: a, select: ["100:200"]}, {name: b, select: ["150:300"]}]', "stages[1].select", "150:200 is in the stage 'a' as well"),
        ('[{name: a, select: ["@all"]}, {name: b, select: ["@tag-x"]}]', "stages[1].select", "@tag-x is in the stage 'a' as well"),
        ("[{name: a, select: [100]}, {name: a, select: [101]}]", "stages[1].name", "a stage 'a' stands there already"),
        ("[{name: a, select: [100], wait_after: 31m}, {name: b, select: [101]}]", "stages[0].wait_after", "could never begin"),
        ("[{name: a, select: [100], on_timeout: kill}]", "stages[0].on_timeout", "expected one of abort, continue, force"),
        ("[{name: a, select: [100], vmids: [100]}]", "stages[0].vmids", "unknown key"),
    ],
)
def test_stages_that_cannot_be_meant_are_told(tmp_path: Path, stages: str, key: str, message: str) -> None:
    _, path, told_, _ = _only(_refused(tmp_path, stages=stages))
    assert path == key
    assert message in told_


def test_a_stage_that_can_select_nobody_is_told(tmp_path: Path) -> None:
    error = _refused(tmp_path, select='[100, "200:210"]', exclude="[205]", stages="[{name: a, select: [300]}, {name: b, select: [205]}]")
    assert [one.message for one in error.problems] == [
        "the stage 'a' selects no guest: none of 300 is among the schedule's 200:210,100",
        "the stage 'b' selects no guest: all of 205 is excluded again",
    ]


def test_a_name_or_a_tag_may_select_anybody_and_is_for_the_cluster_to_say(tmp_path: Path) -> None:
    text = 'scheduled_shutdown: {schedules: [{name: n, at: "22:30", tz: UTC, select: ["@tag-x"], exclude: [100], stages: [%s]}]}\n'
    stages = "{name: a, select: [web]}, {name: b, select: [200]}, {name: c, select: ['@tag-y']}"
    assert len(_load(tmp_path, text % stages).scheduled_shutdown.schedules[0].stages) == 3


def test_two_schedules_of_one_name_are_told(tmp_path: Path) -> None:
    one = '{name: n, at: "22:30", tz: UTC, select: ["@all"]}'
    with pytest.raises(ConfigProblems) as caught:
        _load(tmp_path, f"scheduled_shutdown: {{schedules: [{one}, {one}]}}\n")
    assert told(caught.value)[0][2:] == ("scheduled_shutdown.schedules[1].name", "a schedule 'n' stands there already")


def test_a_node_of_idle_check_may_be_switched_off_afterwards(tmp_path: Path) -> None:
    text = 'scheduled_shutdown: {schedules: [{name: n, at: "22:30", tz: UTC, select: ["@all"], then_power_off: [pve2]}]}\n'
    assert _load(tmp_path, text + "idle_check: {enabled: false, nodes: [pve2]}\n").scheduled_shutdown.schedules[0].then_power_off == (
        "pve2",
    )
    with pytest.raises(ConfigProblems) as caught:
        _load(tmp_path, text + "idle_check: {nodes: [pve3]}\n")
    assert hints(caught.value.problems) == ["did you mean pve3?"]


def test_every_problem_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    lines = "".join(f"      {key}: {value}\n" for key, value in (NIGHT | {"at": "22:30", "tz": "Nowhere", "days": "[someday]"}).items())
    write(tmp_path, "scheduled_shutdown:\n  schedules:\n    -\n" + lines, name="pvectl.yml")
    found = survey(tmp_path, {})
    assert [(one.line, one.column) for one in found.problems] == [(5, 11), (6, 11), (8, 14)]


def test_the_keys_of_the_old_configuration_are_shown_the_way(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        _load(tmp_path, 'scheduled_shutdown: {shutdown_time: "22:00", excluded_vms: [100], schedule: []}\n')
    assert hints(caught.value.problems)[:2] == ["pvectl config import FILE translates the configuration this is from"] * 2


@pytest.mark.parametrize(
    ("text", "remarks"),
    [
        ("scheduled_shutdown: {enabled: false}\n", []),
        ("scheduled_shutdown:\n  interval: 5m\n", [("scheduled_shutdown.schedules", 2, 3)]),
        (
            (
                'scheduled_shutdown: {schedules: [{name: n, at: "22:30", tz: UTC, select: ["@all"], nodes: [], then_power_off: [pve2]}]}\n'
                "idle_check: {nodes: [pve2], dry_run: true}\n"
            ),
            [("scheduled_shutdown.schedules[0].nodes", 1, 91), ("scheduled_shutdown.schedules[0].then_power_off", 1, 111)],
        ),
        (
            (
                'scheduled_shutdown: {schedules: [{name: n, at: "22:30", tz: UTC, select: ["@all"], then_power_off: [pve2]}]}\n'
                "idle_check: {nodes: [pve2], enabled: false}\n"
            ),
            [("scheduled_shutdown.schedules[0].then_power_off", 1, 100)],
        ),
    ],
)
def test_what_is_in_order_but_hardly_meant_is_remarked_on(tmp_path: Path, text: str, remarks: list[tuple[str, int, int]]) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, text, name="pvectl.yml")
    found = survey(tmp_path, {})
    assert [(one.path, one.line, one.column) for one in found.remarks] == remarks
    assert found.problems == ()


def test_a_file_with_schedules_is_read_at_once(tmp_path: Path) -> None:
    one = '{name: n%d, days: [mon-fri], at: ["06:00", "22:30"], tz: Europe/Berlin, select: [100]}'
    text = f"scheduled_shutdown: {{schedules: [{', '.join(one % number for number in range(300))}]}}\n"
    assert len(_load(tmp_path, text).scheduled_shutdown.schedules) == 300


@pytest.mark.parametrize(
    ("window", "complaint"),
    [
        ('{start: "20:00", duration: 25h, tz: UTC}', "the window opens again after 1d, before it has closed"),
        ('{start: "20:00", duration: 24h, tz: Europe/Berlin}', "the window opens again after 23h, before it has closed"),
        ('{days: [mon, tue], start: "20:00", duration: 2d, tz: UTC}', "the window opens again after 1d, before it has closed"),
        ('{days: [mon, thu], start: "20:00", duration: 2d, tz: UTC}', None),
        ('{start: "20:00", duration: 10h, tz: UTC}', None),
        ('{start: "20:00", duration: 8d, tz: UTC}', "expected at most 7d"),
        ('{start: "20:00", end: "22:00", tz: UTC}', "unknown key"),
        ("{start: 20:00, duration: 2h, tz: UTC}", "a time of day must stand in quotes"),
    ],
)
def test_a_stay_up_window_closes_before_it_opens_again(tmp_path: Path, window: str, complaint: str | None) -> None:
    text = f"scheduled_shutdown: {{stay_up: [{window}]}}\n"
    if complaint is None:
        assert len(_load(tmp_path, text).scheduled_shutdown.stay_up) == 1
        return
    with pytest.raises(ConfigProblems) as caught:
        _load(tmp_path, text)
    assert complaint in " ".join(one.message for one in caught.value.problems)
