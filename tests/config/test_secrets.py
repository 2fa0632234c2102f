"""S33: where a secret may come from, who may read it, and that no message ever repeats it."""

from __future__ import annotations

import os
import re
import select
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvectl.config import secrets
from pvectl.config.load import ConfigProblems, find_config_dir, load_connections, load_jobs, resolve
from pvectl.config.problems import Misspelt
from pvectl.errors import ConfigError, PvectlError, UnsafeFile
from tests.config.folders import GOOD, SECRET, told, write

LETTERED = "aeb1d2c4-5b4a-4c2d-8e0f-a1b2c3d4e5f6"
"""A secret that begins with a letter, as a token's name does."""

WITH_FILE = GOOD.replace(f"token_value: {SECRET}", "token_file: lab.token")


def test_the_secret_of_a_private_file_is_used(tmp_path: Path) -> None:
    cluster = resolve(load_connections(write(tmp_path, GOOD)), env={})
    assert cluster.token.reveal() == SECRET
    assert SECRET not in repr(cluster)
    assert cluster.token_id == "pvectl@pve!ops"


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o610])
def test_s33_a_proxmox_yml_with_a_secret_others_can_read_is_refused_like_ssh_does(tmp_path: Path, mode: int) -> None:
    write(tmp_path, GOOD, mode=mode)
    with pytest.raises(UnsafeFile) as caught:
        load_connections(tmp_path)
    assert caught.value.message == f"{tmp_path}/proxmox.yml holds a token's secret and is open to others (mode {mode:04o})"
    assert caught.value.hint == f"chmod 600 {tmp_path}/proxmox.yml"
    assert caught.value.exit_code == 77


def test_s33_a_typo_in_the_file_does_not_hide_that_it_is_open(tmp_path: Path) -> None:
    write(tmp_path, GOOD + "  ]: [\n", mode=0o644)
    with pytest.raises(UnsafeFile):
        load_connections(tmp_path)


@pytest.mark.parametrize(
    "text",
    [f'proxmox: {{host: a, user: "a#@pve", token_name: ops, token_value: {SECRET}}}', GOOD.replace("token_value", '"token\\x5fvalue"')],
)
def test_s33_however_the_secret_is_written_an_open_file_is_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path, text, mode=0o644)
    with pytest.raises(UnsafeFile):
        load_connections(tmp_path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_the_modes_of_a_private_file_are_accepted(tmp_path: Path, mode: int) -> None:
    assert load_connections(write(tmp_path, GOOD, mode=mode)).clusters


def test_a_proxmox_yml_without_a_secret_may_be_read_by_all(tmp_path: Path) -> None:
    text = WITH_FILE + "    # token_value: not here\n"
    assert load_connections(write(tmp_path, text, mode=0o644)).clusters["lab"].token_file == "lab.token"


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
@pytest.mark.parametrize("name", ["proxmox.yml", "pvectl.yml"])
def test_a_file_others_can_change_is_refused_even_without_a_secret(tmp_path: Path, name: str, mode: int) -> None:
    write(tmp_path, WITH_FILE if name == "proxmox.yml" else "tags: {}", name=name, mode=mode)
    with pytest.raises(UnsafeFile, match="can be changed by others") as caught:
        load_connections(tmp_path) if name == "proxmox.yml" else load_jobs(tmp_path)
    assert caught.value.hint == f"chmod go-w {tmp_path}/{name}"


def test_a_file_in_a_directory_anybody_can_write_is_refused_unless_it_is_sticky(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    tmp_path.chmod(0o777)
    with pytest.raises(UnsafeFile, match=r"others can replace .* is writable by all") as caught:
        load_connections(tmp_path)
    assert caught.value.hint == f"chmod go-w {tmp_path}"
    tmp_path.chmod(0o1777)
    assert load_connections(tmp_path).clusters


def test_a_file_in_a_directory_its_group_can_write_is_refused(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    tmp_path.chmod(0o770)
    with pytest.raises(UnsafeFile, match="is writable by its group"):
        load_connections(tmp_path)


@pytest.mark.parametrize("open_one", ["link", "target"])
def test_a_linked_file_is_refused_when_others_can_replace_the_link_or_what_it_points_to(tmp_path: Path, open_one: str) -> None:
    for name in ("link", "target"):
        (tmp_path / name).mkdir(mode=0o700)
    write(tmp_path / "target", GOOD)
    (tmp_path / "link/proxmox.yml").symlink_to(tmp_path / "target/proxmox.yml")
    assert load_connections(tmp_path / "link").clusters
    (tmp_path / open_one).chmod(0o777)
    with pytest.raises(UnsafeFile, match=f"the directory {tmp_path / open_one} is writable by all"):
        load_connections(tmp_path / "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_file_in_a_directory_of_another_user_is_refused_even_when_sticky(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    os.chown(tmp_path, 12345, -1)
    tmp_path.chmod(0o1700)
    with pytest.raises(UnsafeFile, match="belongs to uid 12345"):
        load_connections(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    os.chown(tmp_path / "proxmox.yml", 12345, -1)
    with pytest.raises(UnsafeFile, match=r"belongs to another user \(uid 12345\)"):
        load_connections(tmp_path)


def test_a_file_of_another_user_is_refused_by_whoever_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, GOOD)
    if os.geteuid() == 0:
        os.chown(tmp_path / "proxmox.yml", 4711, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(UnsafeFile, match="belongs to another user"):
        load_connections(tmp_path)


def test_a_token_file_is_read_from_beside_the_configuration(tmp_path: Path) -> None:
    write(tmp_path, WITH_FILE, mode=0o644)
    write(tmp_path, SECRET + "\n", name="lab.token")
    assert resolve(load_connections(tmp_path), env={}).token.reveal() == SECRET


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o660])
def test_s33_a_token_file_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    write(tmp_path, WITH_FILE)
    write(tmp_path, SECRET, name="lab.token", mode=mode)
    with pytest.raises(UnsafeFile) as caught:
        resolve(load_connections(tmp_path), env={})
    assert str(tmp_path / "lab.token") in caught.value.message


def test_a_token_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    write(tmp_path, WITH_FILE)
    write(tmp_path, SECRET, name="real.token")
    (tmp_path / "lab.token").symlink_to(tmp_path / "real.token")
    with pytest.raises(UnsafeFile, match="is a symbolic link"):
        resolve(load_connections(tmp_path), env={})


def test_a_missing_token_file_is_told_at_the_key_that_names_it(tmp_path: Path) -> None:
    write(tmp_path, WITH_FILE)
    with pytest.raises(ConfigProblems) as caught:
        resolve(load_connections(tmp_path), env={})
    assert told(caught.value) == [(5, 17, "clusters.lab.token_file", f"there is no file {tmp_path}/lab.token")]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("env", [False, True], ids=["file", "credential"])
@pytest.mark.parametrize("kind", ["directory", "pipe"])
def test_a_token_file_that_is_no_plain_file_is_an_error_and_not_a_hang(tmp_path: Path, kind: str, env: bool) -> None:
    write(tmp_path, WITH_FILE)
    (tmp_path / "lab.token").mkdir(0o700) if kind == "directory" else os.mkfifo(tmp_path / "lab.token", 0o600)
    with pytest.raises(ConfigError, match="is not a plain file"):
        resolve(load_connections(tmp_path), env={"CREDENTIALS_DIRECTORY": str(tmp_path)} if env else {})


@pytest.mark.parametrize(
    ("line", "key"), [("token_file: ~no.such.user/t", "token_file"), ("token_file: t\n    tls: {ca_file: ~no.such.user/ca}", "tls.ca_file")]
)
def test_a_home_nobody_knows_is_told_at_the_key_that_names_it(tmp_path: Path, line: str, key: str) -> None:
    write(tmp_path, GOOD.replace(f"token_value: {SECRET}", line))
    write(tmp_path, SECRET, name="t")
    with pytest.raises(ConfigProblems, match=r"the home directory in '~no\.such\.user/.*' is not known") as caught:
        resolve(load_connections(tmp_path), env={})
    assert [problem.path for problem in caught.value.problems] == [f"clusters.lab.{key}"]


def test_a_credential_of_systemd_is_taken_as_systemd_made_it(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    write(credentials, SECRET + "\n", name="lab.token", mode=0o440)
    write(tmp_path, GOOD.replace(f"token_value: {SECRET}", f"token_file: {credentials}/lab.token"))
    assert resolve(load_connections(tmp_path), env={"CREDENTIALS_DIRECTORY": str(credentials)}).token.reveal() == SECRET
    with pytest.raises(UnsafeFile):
        resolve(load_connections(tmp_path), env={})


def test_a_whole_configuration_may_be_a_credential_of_systemd(tmp_path: Path) -> None:
    write(tmp_path, GOOD, mode=0o440)
    env = {"CREDENTIALS_DIRECTORY": str(tmp_path), "HOME": "/nonexistent"}
    assert resolve(load_connections(find_config_dir(None, env), env), env=env).token.reveal() == SECRET


@pytest.mark.parametrize(
    "value",
    [
        "change-me",
        "changeme",
        "CHANGE_ME",
        "your-token-here",
        "<secret>",
        "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
        "00000000-0000-0000-0000-000000000000",
        "...",
        "…",
        "secret",
    ],
)
def test_a_placeholder_that_was_never_filled_in_is_told_so(tmp_path: Path, value: str) -> None:
    write(tmp_path, GOOD.replace(SECRET, f"'{value}'"))
    with pytest.raises(ConfigProblems) as caught:
        resolve(load_connections(tmp_path), env={})
    assert told(caught.value) == [(5, 18, "clusters.lab.token_value", "is still a placeholder")]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (f"pvectl@pve!ops={SECRET}", "holds more than the secret"),
        (f"PVEAPIToken=pvectl@pve!ops={SECRET}", "holds more than the secret"),
        (f"{SECRET} # mine", "holds something other than one word"),
        (f"{SECRET}\\r\\nX-Header: y", "holds something other than one word"),
        (f"{SECRET}é", "holds something other than one word"),
        ("   ", "is empty, expected the token's secret"),
    ],
)
def test_s33_what_is_more_than_a_secret_is_refused_without_being_repeated(tmp_path: Path, value: str, message: str) -> None:
    write(tmp_path, GOOD.replace(SECRET, f'"{value}"'))
    with pytest.raises(ConfigProblems) as caught:
        resolve(load_connections(tmp_path), env={})
    assert caught.value.problems[0].message == message
    assert SECRET not in f"{caught.value} {caught.value.hint} {caught.value.problems!r}"


def test_s33_a_secret_in_the_place_of_a_name_is_not_repeated_in_any_path(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("lab", SECRET).replace("hosts", "hots"))
    with pytest.raises(ConfigProblems) as caught:
        load_connections(tmp_path)
    assert told(caught.value) == [(2, 3, "clusters", "a cluster's name looks like a token's secret")]
    assert SECRET not in repr(caught.value.problems)


@pytest.mark.parametrize(
    ("before", "after", "path", "message"),
    [
        ("hosts: [pve1.lan,", f"hosts: [{LETTERED},", "clusters.lab.hosts[0]", "a host looks like a token's secret"),
        ("pve2.lan:8006", f"{LETTERED}:8006", "clusters.lab.hosts[1]", "a host looks like a token's secret"),
        ("pve2.lan:8006", f"http://{LETTERED}", "clusters.lab.hosts[1]", "a host looks like a token's secret"),
        ("!ops", f"!{LETTERED}", "clusters.lab.token_id", "has a token's secret where its name should be"),
        (
            "token_id: pvectl@pve!ops",
            f"user: pvectl@pve\n    token_name: {LETTERED}",
            "clusters.lab.token_name",
            "has a token's secret where its name should be",
        ),
    ],
)
def test_s33_a_secret_swapped_with_a_name_that_is_shown_is_refused_and_not_repeated(
    tmp_path: Path, before: str, after: str, path: str, message: str
) -> None:
    write(tmp_path, GOOD.replace(before, after))
    with pytest.raises(ConfigProblems) as caught:
        load_connections(tmp_path)
    assert [(one.path, one.message) for one in caught.value.problems] == [(path, message)]
    assert LETTERED not in f"{caught.value} {caught.value.hint} {caught.value.problems!r}"


def test_a_user_whom_a_realm_names_by_uuid_is_no_secret(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace("pvectl@pve", f"{LETTERED}@keycloak"))
    assert load_connections(tmp_path).clusters["lab"].token_id == f"{LETTERED}@keycloak!ops"


def _command(tmp_path: Path, program: str) -> tuple[str, ...]:
    script = tmp_path / "give.py"
    script.write_text(program)
    return (sys.executable, str(script))


def test_a_token_command_gives_the_secret_without_a_shell(tmp_path: Path) -> None:
    argv = _command(tmp_path, "import sys; print(sys.argv[1])")
    assert secrets.from_command([*argv, "$(id)`id`"], folder=tmp_path).reveal() == "$(id)`id`"


def test_a_token_command_is_found_beside_the_configuration_and_its_secret_reaches_the_cluster(tmp_path: Path) -> None:
    script = tmp_path / "give"
    script.write_text(f"#!/bin/sh\necho {SECRET}\n")
    script.chmod(0o700)
    write(tmp_path, GOOD.replace(f"token_value: {SECRET}", "token_command: [./give]"))
    assert resolve(load_connections(tmp_path), env={}).token.reveal() == SECRET


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (f"print('{SECRET}'); raise SystemExit(3)", "failed with exit code 3"),
        ("", "is empty"),
        ("print('a\\nb')", "holds something other than one word"),
        ("print('x' * 100_000)", "prints more than 4 KiB"),
    ],
)
def test_a_token_command_that_gives_no_secret_is_told_why(tmp_path: Path, program: str, message: str) -> None:
    with pytest.raises(Misspelt, match=message) as caught:
        secrets.from_command(_command(tmp_path, program), folder=tmp_path)
    assert SECRET not in f"{caught.value} {caught.value.hint}"


def test_a_token_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misspelt, match="'no-such-program' cannot be started: No such file"):
        secrets.from_command(["no-such-program"], folder=tmp_path)


@pytest.mark.slow
def test_a_token_command_that_hangs_is_ended_with_everything_it_started(tmp_path: Path) -> None:
    script = tmp_path / "hang"
    script.write_text("#!/bin/sh\nsleep 300 &\necho $! > child\nwait\n")
    script.chmod(0o700)
    with pytest.raises(Misspelt, match="did not end within 2 s"):
        secrets.from_command(["./hang"], folder=tmp_path, limit=2)
    assert _ends(int((tmp_path / "child").read_text()))


@pytest.mark.timeout(30)
@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
@pytest.mark.slow
def test_a_token_command_that_may_not_be_ended_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: int) -> None:
        raise PermissionError

    # the kernel's answer for a program that runs as somebody else, such as sudo asking for a password
    monkeypatch.setattr(os, "killpg", refused)
    script = tmp_path / "sudo"
    script.write_text("#!/bin/sh\necho $$ > number\nexec sleep 300\n")
    script.chmod(0o700)
    with pytest.raises(Misspelt, match="did not end within 1 s"):
        secrets.from_command(["./sudo"], folder=tmp_path, limit=1)
    number = int((tmp_path / "number").read_text())
    os.kill(number, signal.SIGKILL)
    assert os.waitpid(number, 0)[1] == signal.SIGKILL


@pytest.mark.slow
def test_reading_and_waiting_share_one_limit(tmp_path: Path) -> None:
    argv = _command(tmp_path, "import os, time; time.sleep(1.5); os.close(1); time.sleep(1.5); open('late', 'w').close(); time.sleep(300)")
    with pytest.raises(Misspelt, match="did not end within 2 s"):
        secrets.from_command(argv, folder=tmp_path, limit=2)
    assert not (tmp_path / "late").exists()


def test_a_token_command_gets_only_the_time_the_run_has_left_and_never_more_than_its_own(tmp_path: Path) -> None:
    write(tmp_path, GOOD.replace(f"token_value: {SECRET}", "token_command: [sleep, '300']"))
    with pytest.raises(ConfigProblems, match=r"did not end within 0\.25 s"):
        resolve(load_connections(tmp_path), env={}, limit=0.25)


def _ends(process: int) -> bool:
    """Wait for a process that is not our child."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 20)[0])
    finally:
        os.close(descriptor)


def test_a_token_command_that_floods_is_cut_off(tmp_path: Path) -> None:
    with pytest.raises(Misspelt, match="prints more than 4 KiB"):
        secrets.from_command(["yes", SECRET], folder=tmp_path, limit=5)


# where a secret can end up when a person edits the file: glued to its key, in another key, in the middle of broken YAML
def _mangled() -> st.SearchStrategy[str]:
    """The good document with its characters cut, doubled, swapped or replaced, the secret itself left whole."""
    pieces = re.split(r"(\s+|[:\[\],])", GOOD)
    junk = st.sampled_from(
        [
            "",
            ":",
            " ",
            "\n",
            "  ",
            "[",
            "]",
            "{",
            "}",
            "'",
            '"',
            "&",
            "*",
            "!",
            "|",
            ">",
            "-",
            "#",
            "%",
            "@",
            "\t",
            "=",
            "? ",
            "<<",
            "token_value:",
        ]
    )

    @st.composite
    def document(draw: st.DrawFn) -> str:
        chosen = list(pieces)
        for _ in range(draw(st.integers(min_value=1, max_value=4))):
            at = draw(st.integers(min_value=0, max_value=len(chosen) - 1))
            if chosen[at] != SECRET or draw(st.booleans()):
                chosen[at] = draw(junk) + (SECRET if chosen[at] == SECRET else draw(st.sampled_from([chosen[at], "", SECRET]))) + draw(junk)
        return "".join(chosen)

    return document()


@given(_mangled())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.slow
def test_s33_no_mangled_document_makes_a_message_repeat_the_secret(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    try:
        connections = load_connections(tmp_path)
        resolve(connections, env={})
        shown, code = repr([entry.token_value for entry in connections.clusters.values()]), 0
    except PvectlError as error:
        shown, code = f"{error} {error.hint} {error.subject} {getattr(error, 'problems', ())!r}", error.exit_code
    assert SECRET not in shown
    assert code in {0, 77, 78}
