"""What TAB offers, in a real bash, and what it never does."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pvectl.cli import suggestions
from pvectl.cli.app import main
from tests.support.commands import Home
from tests.support.servers import TestServer, serving

pytestmark = pytest.mark.slow

BASH = shutil.which("bash")
PATIENCE_S = 30.0
PATIENT = f"""
import sys
from pvectl.cli import suggestions
from pvectl.cli.app import main
suggestions.LIMIT_S = {PATIENCE_S}
sys.exit(main())
"""
"""The program itself, but that a machine with much else to do has time for an answer."""
HEAVY = ("msgspec", "proxmoxer", "requests", "ssl", "yaml", "rich", "structlog", "sqlite3")
SCENARIO = {
    "name": "lab",
    "nodes": {"pve1": {}, "pve2": {}},
    "guests": [
        {"vmid": 100, "name": "db", "node": "pve1", "status": "running", "tags": "prod;safe-shutdown"},
        {"vmid": 101, "name": "web", "node": "pve2", "status": "running", "tags": "prod"},
        {"vmid": 200, "name": "$(touch owned)", "node": "pve2", "tags": "x"},
        {"vmid": 201, "name": "it's`id`", "node": "pve2", "tags": "x"},
    ],
    "pools": {"office": [101]},
}


@pytest.fixture
def server() -> Iterator[TestServer]:
    with serving(SCENARIO) as running:
        yield running


@pytest.fixture
def home(tmp_path: Path, server: TestServer) -> Home:
    return Home(tmp_path).connect(f"http://{server.host()}", token_id=server.token_id, secret=server.token_secret)


@pytest.fixture
def press_tab(tmp_path: Path) -> Callable[..., list[str]]:
    """Type a line into a bash that has our script, press TAB, and see what it offers."""
    if BASH is None:
        pytest.skip("there is no bash")
    program = tmp_path / "pvectl"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(PATIENT)} "$@"\n')
    program.chmod(0o755)

    def press(home: Home, line: str) -> list[str]:
        # readline's own splitting of the words is what the script must not rely on, so bash is asked with the whole line only
        script = f"""
            set -euo pipefail
            source <(_PVECTL_COMPLETE=source_bash {program})
            COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)} COMP_WORDS=({line.replace("@", " @ ")}) COMP_CWORD=1
            _pvectl_completion {program}
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        ended = subprocess.run([BASH, "--norc", "-c", script], env=home.env, capture_output=True, text=True, timeout=30, check=True)
        assert ended.stderr == ""
        return ended.stdout.split()

    return press


Tab = Callable[..., tuple[str, str]]


@pytest.fixture
def tab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tab:
    """The same without a shell around it and in this process: what the program writes to stdout and stderr."""

    def ask(home: Home, line: str, *, shell: str = "bash", patience: float = PATIENCE_S) -> tuple[str, str]:
        monkeypatch.setattr(suggestions, "LIMIT_S", patience)
        others = set(threading.enumerate())
        for name in [name for name in os.environ if name.startswith(("PVECTL_", "XDG_"))]:
            monkeypatch.delenv(name)
        asked = {"_PVECTL_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        for name, value in (home.env | asked).items():
            monkeypatch.setenv(name, value)
        main([])
        told = capsys.readouterr()
        # a thread that was given up has its client still, and the next to ask in this process would be handed that one
        for given_up in set(threading.enumerate()) - others:
            if given_up.name.startswith("Thread-"):
                given_up.join(PATIENCE_S)
        return told

    return ask


def test_bash_completes_commands_and_options(home: Home, press_tab: Callable[..., list[str]]) -> None:
    assert set(press_tab(home, "pvectl ")) >= {"vm", "tags", "node", "doctor", "config", "demo"}
    assert press_tab(home, "pvectl vm sho") == ["show"]
    assert press_tab(home, "pvectl vm list --sta") == ["--status"]


def test_bash_completes_guests_by_number_and_by_name(home: Home, press_tab: Callable[..., list[str]]) -> None:
    assert press_tab(home, "pvectl vm show 10") == ["100", "101"]
    assert press_tab(home, "pvectl vm list w") == ["web"]


@pytest.mark.slow
def test_bash_completes_behind_the_at_sign_where_readline_begins_a_new_word(home: Home, press_tab: Callable[..., list[str]]) -> None:
    assert press_tab(home, "pvectl vm list @tag-s") == ["tag-safe-shutdown"]
    assert press_tab(home, "pvectl vm list @node-") == ["node-pve1", "node-pve2"]
    assert press_tab(home, "pvectl vm list @pool-") == ["pool-office"]


def test_bash_completes_behind_a_comma_and_behind_a_minus(home: Home, press_tab: Callable[..., list[str]]) -> None:
    assert press_tab(home, "pvectl vm list 100,10") == ["100,100", "100,101"]
    assert press_tab(home, "pvectl vm list web,-d") == ["web,-db"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pvectl vm list --node ", ["pve1", "pve2"]),
        ("pvectl vm list --tag p", ["prod"]),
        ("pvectl vm list --pool ", ["office"]),
        ("pvectl vm list --exclude d", ["db"]),
        ("pvectl tags add prod,s", ["prod,safe-shutdown"]),
        ("pvectl vm list --cluster ", ["lab"]),
    ],
)
def test_options_offer_what_the_cluster_has(home: Home, line: str, words: list[str], tab: Tab) -> None:
    out, err = tab(home, line)

    assert (out.split(), err) == (words, "")


def test_a_tab_only_reads(home: Home, server: TestServer, tab: Tab) -> None:
    tab(home, "pvectl vm shutdown @")

    assert server.writes() == []
    assert [record.path for record in server.reads()] == ["/cluster/resources"]


def test_the_demo_cluster_completes_without_any_configuration(tmp_path: Path, tab: Tab) -> None:
    out, err = tab(Home(tmp_path), "pvectl --demo vm show fire")

    assert (out.split(), err) == (["firewall"], "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_name_that_means_something_to_a_shell_is_not_offered(home: Home, shell: str, tab: Tab) -> None:
    out, _ = tab(home, "pvectl vm show ", shell=shell)

    assert "200" in out
    assert not any(character in out.replace("'*: :((", "").replace("))'", "") for character in "$`';&|")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_what_a_number_stands_for(home: Home, shell: str, tab: Tab) -> None:
    out, err = tab(home, "pvectl vm show 10", shell=shell)

    assert "db running on pve1" in out
    assert err == ""


@pytest.mark.parametrize("line", ["pvectl vm list ", "pvectl vm list --node ", "pvectl tags add "])
def test_nothing_is_offered_and_nothing_said_when_there_is_no_configuration(tmp_path: Path, line: str, tab: Tab) -> None:
    assert [word.strip() for word in tab(Home(tmp_path), line)] == ["", ""]


def test_nothing_is_offered_and_nothing_said_when_nobody_answers(home: Home, server: TestServer, tab: Tab) -> None:
    server.close()

    assert [word.strip() for word in tab(home, "pvectl vm list ")] == ["", ""]


def test_a_server_that_hangs_is_given_up(home: Home, server: TestServer, tab: Tab) -> None:
    server.fault("hang", path="/cluster/resources")

    assert [word.strip() for word in tab(home, "pvectl vm list ", patience=suggestions.LIMIT_S)] == ["", ""]


def test_an_answer_that_does_not_come_in_time_is_not_waited_for() -> None:
    for_ever = threading.Event()

    assert suggestions._within_the_limit(lambda: [("late", "")] if for_ever.wait() else []) == []
    for_ever.set()


def test_a_token_that_is_refused_is_no_matter_for_a_tab(home: Home, server: TestServer, tab: Tab) -> None:
    home.connect(f"http://{server.host()}", token_id=server.token_id, secret="wrong")

    assert [word.strip() for word in tab(home, "pvectl vm list ")] == ["", ""]


def test_a_program_that_fetches_the_secret_is_never_started_by_a_tab(home: Home, server: TestServer, tab: Tab) -> None:
    asked = home.folder / "asked"
    home.write(
        "proxmox.yml",
        "clusters:\n  lab:\n"
        f'    hosts: ["http://{server.host()}"]\n    token_id: "{server.token_id}"\n'
        f"    token_command: [sh, -c, 'touch {asked}; echo {server.token_secret}']\n    allow_http_loopback: true\n",
    )

    assert tab(home, "pvectl vm list ")[0].strip() == ""
    assert not asked.exists()
    assert home.pvectl("vm", "list").code == 0
    assert asked.exists()


def test_a_command_there_is_not_offers_nothing(home: Home, tab: Tab) -> None:
    assert [word.strip() for word in tab(home, "pvectl nosuch ")] == ["", ""]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed(tmp_path: Path, shell: str) -> None:
    ended = Home(tmp_path).pvectl(_PVECTL_COMPLETE=f"source_{shell}")

    assert ended.code == 0
    assert f"_PVECTL_COMPLETE=complete_{shell}" in ended.out
    assert ended.err == ""


def _loaded(home: Home, *words: str, **env: str) -> set[str]:
    """Which of the heavy modules a run of the command line loads."""
    program = (
        "import json, sys\n"
        "from pvectl.cli.app import main\n"
        "try:\n    main()\n"
        f"finally:\n    print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)\n"
    )
    command = [sys.executable, "-c", program, *words]
    ended = subprocess.run(command, env=home.env | env, capture_output=True, text=True, timeout=30, check=False)
    assert ended.stdout.strip()
    return set(json.loads(ended.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("shell", "line"), [("bash", "pvectl "), ("zsh", "pvectl vm "), ("fish", "pvectl vm list --"), ("bash", "pvectl tags add --")]
)
def test_completing_commands_and_options_loads_nothing_heavy(tmp_path: Path, shell: str, line: str) -> None:
    env = {"_PVECTL_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}

    assert _loaded(Home(tmp_path), **env) == set()


@pytest.mark.parametrize("words", [["--help"], ["vm", "--help"], ["vm", "shutdown", "--help"], ["doctor", "--help"], ["demo", "--help"]])
@pytest.mark.slow
def test_help_loads_nothing_heavy(tmp_path: Path, words: list[str]) -> None:
    assert _loaded(Home(tmp_path), *words) == set()
