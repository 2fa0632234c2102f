"""The tour, and commands against the embedded cluster."""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pvectl.cli.app import main
from pvectl.cli.context import Run
from pvectl.cli.demos import tour as demo_tour
from pvectl.cli.demos.tour import SCENES, Scene
from tests.support.commands import Ended, Home

FAST = ("demo", "--speed", "100")
TELLING = {
    "pvectl tags add safe-shutdown 311 --yes": 1,
    "pvectl vm shutdown @tag-safe-shutdown,tickets,old-windows --timeout 1m --yes": 1,
    "pvectl doctor --quiet": 77,
    "pvectl vm shutdown @node-pve3 --yes": 4,
}
"""The commands of the tour that end with another code than 0, on purpose."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The tour as somebody sees it who pipes it into a file, and whose own configuration is of no use."""
    home = Home(tmp_path_factory.mktemp("home"))
    home.write("proxmox.yml", "no: configuration\n", mode=0o666)
    return home.pvectl(*FAST, PVECTL_CLUSTER="elsewhere")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.slow
def test_the_tour_ends_well_whatever_the_users_own_configuration_is_like(told: Ended) -> None:
    assert (told.code, told.err) == (0, "")
    assert "pvectl config init" in "".join(told.out.splitlines()[-4:])


@pytest.mark.slow
def test_every_scene_shows_its_command_before_its_output(told: Ended) -> None:
    place = 0
    for scene in SCENES:
        place = told.out.find(f"\n$ {scene.command}", place) + 1
        assert place, scene.command


@pytest.mark.slow
def test_every_command_ends_as_the_story_says(home: Home) -> None:
    ended = home.pvectl(*FAST, PVECTL_OUTPUT="json")

    assert {scene["command"]: scene["exit_code"] for scene in ended.json["data"] if scene["exit_code"]} == TELLING
    assert ended.json["cluster"] == "demo"
    assert "VMID  NAME" in ended.err, "what the commands print is for people, whatever the user's own settings say"


@pytest.mark.parametrize(
    "seen",
    [
        r"301  render +qemu  pve3  running \(backup\)",
        r"301  render +pve3  left alone +-  it is locked \(backup\)",
        r"302  old-windows +pve3  timed-out ",
        r"203  kiosk +pve2  (skipped|left alone) +-  it is paused",
        r"310  tickets +pve3  left alone +-  the HA manager runs it",
        r"201  desktop-anna +pve2  off",
        r"Sys.Modify for modifying tag 'safe-shutdown'",
        r"safe-shutdwon +look-alike",
        r"→ pveum acl modify / --tokens 'pvectl@pve!office' --roles PVEAuditor",
        r"pve3  offline",
        r"\(the phone: pve2 goes off at \d\d:\d\d, in 5m \[demo\]\)",
        r"\(the phone: \d+ problems at the first look: \d+ warnings",
        r"300  - +pve3  left alone .*unknown: node pve3 is offline",
        r"pve1: \d+\.\d GiB",
    ],
)
@pytest.mark.slow
def test_the_tour_shows_what_it_promises(told: Ended, seen: str) -> None:
    assert re.search(seen, told.out)


def test_the_phone_is_told_once_that_the_node_is_down_and_once_that_it_is_over(told: Ended) -> None:
    assert [line for line in told.out.splitlines() if re.search(r"the phone: .*pve3", re.sub(r"\d+m \d+s", "N", line))] == [
        "(the phone: node pve3 is offline [demo])",
        *re.findall(r"\(the phone: over, after \d+m.*: node pve3 is offline \[demo\]\)", told.out),
    ]
    assert told.out.count("told phone: over") == 1


def test_a_pipe_gets_neither_colours_nor_log_lines(told: Ended) -> None:
    assert "\x1b" not in told.out
    assert '"event"' not in told.out


def test_what_is_narrated_fits_eighty_columns(told: Ended) -> None:
    spoken = {word for scene in SCENES for word in scene.said.split()}

    assert all(len(line) <= 80 for line in told.out.splitlines() if line and set(line.split()) <= spoken)


@pytest.mark.slow
def test_nothing_is_left_behind(home: Home) -> None:
    scratch = home.folder / "scratch"
    scratch.mkdir()
    threads, settings = set(threading.enumerate()), dict(os.environ)
    out = io.StringIO()

    assert main(FAST, run=Run(env=home.env | {"TMPDIR": str(scratch)}, stdin=io.StringIO(), stdout=out, stderr=out)) == 0
    assert set(threading.enumerate()) <= threads
    assert dict(os.environ) == settings
    assert sorted(home.folder.iterdir()) == sorted([home.config, scratch])
    assert list(scratch.iterdir()) == list(home.config.iterdir()) == []


def test_ctrl_c_ends_the_tour_at_once(home: Home) -> None:
    command = [sys.executable, "-m", "pvectl", "demo"]
    with subprocess.Popen(command, env=home.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if line.startswith("$ pvectl vm shutdown"))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "Traceback" not in out + err
    assert "That was pvectl" not in out


@pytest.mark.parametrize(("signalled", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.slow
def test_a_signal_while_a_command_waits_ends_more_than_that_command(
    home: Home, monkeypatch: pytest.MonkeyPatch, signalled: signal.Signals, code: int
) -> None:
    wait = Scene(
        said="One that never listens.",
        command="pvectl vm shutdown old-windows --timeout 1h --yes",
        happens=lambda cluster: cluster.at(60, lambda: os.kill(os.getpid(), signalled)),
    )
    monkeypatch.setattr(demo_tour, "SCENES", (wait, Scene(said="Never told.", command="pvectl vm list")))
    threads, out = set(threading.enumerate()), io.StringIO()

    assert main(FAST, run=Run(env=home.env, stdin=io.StringIO(), stdout=out, stderr=out)) == code
    assert "Never told" not in out.getvalue()
    assert set(threading.enumerate()) <= threads


@pytest.mark.slow
def test_a_terminal_of_eighty_columns_gets_colours_and_no_line_too_long(home: Home) -> None:
    out = on_terminal(home, *FAST)

    assert "\x1b[1m$ pvectl vm list" in out
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out)
    commands = re.compile(r"^(\$ |pvectl: |hint: | *→ |import |for |  vm shutdown  )")
    table = [line for line in plain.splitlines() if not commands.match(line.split("\r")[-1])]
    assert [line for line in table if len(line.split("\r")[-1]) > 80] == []


def on_terminal(home: Home, *words: str) -> str:
    """What a terminal of 80 columns is sent."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "pvectl", *words]
    shown = b""
    with subprocess.Popen(command, env=home.env | {"TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        while True:
            try:
                chunk = os.read(ours, 65536)
            except OSError:
                break
            if not chunk:
                break
            shown += chunk
        os.close(ours)
    assert process.returncode == 0
    return shown.decode()


# pvectl --demo COMMAND


def test_any_command_runs_against_the_embedded_cluster(home: Home) -> None:
    ended = home.pvectl("--demo", "vm", "list", "-o", "json")

    assert ended.code == 0, ended.err
    assert ended.json["cluster"] == "demo"
    assert len(ended.json["data"]) == 15


def test_the_embedded_cluster_is_used_even_beside_a_broken_configuration(home: Home) -> None:
    home.write("proxmox.yml", "no: configuration\n", mode=0o666)

    assert home.pvectl("--demo", "vm", "list", "--cluster", "mine", "-C", str(home.config)).code == 0


@pytest.mark.parametrize("words", [["show"], ["init"], ["trust"]])
def test_the_users_own_configuration_is_out_of_reach(home: Home, words: list[str]) -> None:
    out = io.StringIO()

    assert main(["--demo", "config", *words], run=Run(env=home.env, stdin=io.StringIO(), stdout=out, stderr=out)) == 2
    assert list(home.config.iterdir()) == []


def test_a_change_in_the_embedded_cluster_takes_its_time_but_not_ours(home: Home) -> None:
    ended = home.pvectl("--demo", "vm", "shutdown", "dns", "--yes", "-o", "json")

    assert ended.code == 0, ended.err
    assert ended.json["data"][0]["status"] == "done"
    assert ended.json["data"][0]["took"] >= 2


def test_the_doctor_finds_the_embedded_cluster_well(home: Home) -> None:
    ended = home.pvectl("--demo", "doctor", "-o", "json")

    assert ended.code == 0
    assert {row["verdict"] for row in ended.json["data"]} <= {"ok", "note"}


def test_the_embedded_cluster_ends_with_the_run() -> None:
    threads = set(threading.enumerate())
    out = io.StringIO()

    assert main(["--demo", "vm", "list"], run=Run(env={}, stdin=io.StringIO(), stdout=out, stderr=out)) == 0
    assert set(threading.enumerate()) <= threads


def test_the_tours_commands_can_be_typed_again_as_they_stand() -> None:
    assert all(shlex.split(scene.command)[0] == "pvectl" for scene in SCENES)
