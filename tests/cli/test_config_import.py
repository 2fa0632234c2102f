"""`pvectl config import`: the pvectl.yml that a configuration of the prototype amounts to."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pvectl.cli.app import main
from pvectl.cli.context import Run
from pvectl.config.load import load_jobs
from pvectl.config.schema import PvectlFile
from tests.config.folders import SECRET, write
from tests.support.commands import Ended

OLD = f"""\
proxmox: {{host: pve, user: root@pam, token_name: x, token_value: {SECRET}, verify_ssl: false}}
shutdown:
  enabled: yes
  shutdown_time: "22:00"
  check_interval: 300
  grace_period: 60
  excluded_vms: ["100", 101]
  tag: Safe-Shutdown
  shutdown_order:
    - name: "Stage one"
      vmids: ["200", 201, 100]
      wait_after: 30
    - vmids: [201, 300]
    - vmids: [201]
  colour: red
node_idle_shutdown:
  monitored_nodes: [pve2.lan, pve3]
  grace_period: 60
  min_uptime: 60
  check_interval: 300
  dry_run: false
"""


def _imported(folder: Path, text: str, *words: str, tz: str = "Europe/Berlin") -> Ended:
    file = folder / "config.yml"
    file.write_text(text)
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    code = main(["config", "import", str(file), *words], run=Run(env={"TZ": tz}, stdin=io.StringIO(), stdout=out, stderr=err))
    written = []
    for stream in (out, err):
        stream.flush()
        assert isinstance(stream.buffer, io.BytesIO)
        written.append(stream.buffer.getvalue().decode())
    return Ended(code, *written)


def _jobs(folder: Path, ended: Ended) -> PvectlFile:
    assert ended.code == 0, ended.err
    new = folder / "new"
    new.mkdir(exist_ok=True)
    return load_jobs(write(new, ended.out, name="pvectl.yml"), {})


def test_both_services_become_one_file_that_loads(tmp_path: Path) -> None:
    jobs = _jobs(tmp_path, _imported(tmp_path, OLD))
    assert (jobs.idle_check.nodes, jobs.idle_check.grace_period, jobs.idle_check.min_uptime) == (("pve2", "pve3"), 600, 300)
    assert (jobs.idle_check.dry_run, jobs.scheduled_shutdown.dry_run, jobs.scheduled_shutdown.enabled) == (True, True, True)
    (night,) = jobs.scheduled_shutdown.schedules
    assert (night.at, night.tz, night.exclude, night.timeout) == (("22:00",), "Europe/Berlin", ("100", "101"), 60)
    assert night.require_tag == "safe-shutdown"
    assert [(stage.name, stage.select, stage.wait_after) for stage in night.stages] == [
        ("Stage-one", ("200", "201"), 30),
        ("stage-2", ("300",), 30),
    ]


def test_every_dangerous_meaning_has_a_remark_with_its_line(tmp_path: Path) -> None:
    ended = _imported(tmp_path, OLD, "-o", "json")
    notes = {(one["line"], one["key"]): one["message"] for one in ended.json["data"]["remarks"]}
    assert "100 stood in quotes, so this guest was shut down all the same" in notes[7, "excluded_vms"]
    assert "200 stood in quotes, so this guest was never found" in notes[11, "vmids"]
    assert "it is how long each guest may take" in notes[6, "grace_period"]
    assert "lower case" in notes[8, "tag"]
    assert "never matched the node pve2" in notes[17, "monitored_nodes"]
    assert "two looks at most" in notes[18, "grace_period"]
    assert "nothing here corresponds to it" in notes[15, "colour"]
    assert "this stage has no guest" in notes[14, "shutdown_order"]
    text = ended.json["data"]["pvectl_yml"]
    assert all(f"# line {line}, {key}: " in text for line, key in notes)


def test_s33_the_secret_beside_it_is_never_shown(tmp_path: Path) -> None:
    for words in ((), ("-o", "json")):
        ended = _imported(tmp_path, OLD, *words)
        assert SECRET not in ended.out + ended.err
    assert "proxmox.yml, whose proxmox: section takes the old form" in _imported(tmp_path, OLD).out


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("22:00", "22:00"),
        ("1320", "22:00"),
        ('"7:30"', "07:30"),
        ("07:30", "07:30"),
        ("79200", "22:00"),
        ("22.30", "22:30"),
        ("soon", "22:00"),
        ("2230", "22:00"),
        ("1830", "22:00"),
        ("0830", "22:00"),
    ],
)
def test_defect_38_a_time_is_read_as_it_was_meant(tmp_path: Path, written: str, meant: str) -> None:
    ended = _imported(tmp_path, f"shutdown_time: {written}\n")
    assert _jobs(tmp_path, ended).scheduled_shutdown.schedules[0].at == (meant,)
    if written == "1320":
        assert "the number 1320 is what YAML makes of 22:00 without quotes" in ended.out
    if written == "22:00":
        assert "without quotes this was read as a number, and nothing was ever shut down" in ended.out
    if written in ("soon", "2230", "1830", "0830"):
        assert "22:00 is only a guess" in ended.out


def test_defect_21_no_nodes_mean_none(tmp_path: Path) -> None:
    ended = _imported(tmp_path, "monitored_nodes: []\nexcluded_vms: 100\n")
    assert _jobs(tmp_path, ended).idle_check.nodes == ()
    assert _jobs(tmp_path, ended).idle_check.exclude == (100,)
    assert "here it means none" in ended.out


@pytest.mark.parametrize(
    "text",
    [
        "monitored_nodes: [pve2, 'a b']\ncheck_interval: 5\ngrace_period: 7200\nmin_uptime: 900\ntag: '!'\n",
        (
            "shutdown_time: '23:00'\nenabled: off\ncheck_interval: 100000\n"
            "shutdown_order: [x, {vmids: [abc, 99, [1]]}, {name: '..', vmids: 105}]\n"
        ),
        "shutdown_order: []\n",
        "a: {b: {c: {shutdown_time: '01:00', shutdown_order: [{name: s, vmids: [100]}, {name: s, vmids: [101], other: 1}]}}}\n",
    ],
)
def test_whatever_it_was_what_comes_out_loads(tmp_path: Path, text: str) -> None:
    jobs = _jobs(tmp_path, _imported(tmp_path, text))
    assert jobs.idle_check.dry_run or jobs.scheduled_shutdown.dry_run


def test_s09_a_tag_that_yaml_would_take_for_nothing_stays_a_tag(tmp_path: Path) -> None:
    jobs = _jobs(tmp_path, _imported(tmp_path, "shutdown_time: '22:00'\ntag: 'null'\nmonitored_nodes: ['no', pve2]\n"))
    assert (jobs.scheduled_shutdown.schedules[0].require_tag, jobs.idle_check.tag) == ("null", "null")
    assert jobs.idle_check.nodes == ("no", "pve2")


def test_long_waits_and_stages_with_odd_names_load(tmp_path: Path) -> None:
    stages = "[{name: 'true', vmids: [200], wait_after: 7200}, {name: '1', vmids: [201], wait_after: 90000}, {name: x, vmids: [202]}]"
    ended = _imported(tmp_path, f"shutdown_time: '22:00'\nshutdown_order: {stages}\n")
    (night,) = _jobs(tmp_path, ended).scheduled_shutdown.schedules
    assert [(stage.name, stage.wait_after) for stage in night.stages] == [("true", 7200), ("1", 14400), ("x", 30)]
    assert night.deadline == 1800 + 7200 + 14400
    assert "leave no time for the stages behind it" in ended.out


def test_the_zone_can_be_given_and_is_else_that_of_the_machine(tmp_path: Path) -> None:
    text = "shutdown_time: '22:00'\n"
    asked = _jobs(tmp_path, _imported(tmp_path, text, "--tz", "Asia/Kathmandu"))
    assert asked.scheduled_shutdown.schedules[0].tz == "Asia/Kathmandu"
    assert _jobs(tmp_path, _imported(tmp_path, text, tz="nonsense")).scheduled_shutdown.schedules[0].tz
    wrong = _imported(tmp_path, text, "--tz", "Europe/Berln")
    assert (wrong.code, "did you mean Europe/Berlin?" in wrong.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("colour: red\n", "holds neither a scheduled nor an idle shutdown"),
        ("", "holds neither a scheduled nor an idle shutdown"),
        ("a: [\n", "is not YAML"),
        ("shutdown_time: '22:00'\nshutdown_time: '23:00'\n", "stands here twice"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    ended = _imported(tmp_path, text)
    assert ended.code == 78
    assert complaint in ended.err


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    err = io.StringIO()
    code = main(["config", "import", str(tmp_path / "none.yml")], run=Run(env={}, stdin=io.StringIO(), stdout=io.StringIO(), stderr=err))
    assert code == 78
    assert "none.yml cannot be read: No such file" in err.getvalue()
