"""`timers print|install|status|remove` as a person runs them, on a machine that is a directory."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pvectl import act
from pvectl.cli import patience
from pvectl.cli.app import main
from pvectl.cli.context import Run
from pvectl.config.places import example_text
from pvectl.core.plan import Shutdown, SwitchOff
from pvectl.timers import systemctl
from pvectl.timers.entries import MARKER
from tests.cli.conftest import Connect
from tests.core.guests import guest
from tests.support.commands import Ended, Home
from tests.support.scenarios import MIXED
from tests.timers.settings import allowed_calls, needed, values

CONTRIB = Path(__file__).parents[2] / "contrib"
SECRET = "9f8e7d6c-5b4a-3c2d-1e0f-a1b2c3d4e5f6"
CONNECTIONS = f"clusters: {{lab: {{hosts: [pve1.lan], token_id: pvectl@pve!ops, token_value: {SECRET}}}}}\n"
JOBS = "idle_check: {nodes: [pve2]}\n"
SERVICE, TIMER = "/etc/systemd/system/pvectl-idle-check.service", "/etc/systemd/system/pvectl-idle-check.timer"
USER, TABLE = "/etc/sysusers.d/pvectl.conf", "/etc/cron.d/pvectl"


class Machine:
    """A root directory, a home with a configuration, and a systemctl that writes down what it was told."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.root = home.folder / "root"
        self.programs = home.folder / "programs"
        self.told = home.folder / "told"
        self.root.mkdir()
        self.programs.mkdir()
        home.write("proxmox.yml", CONNECTIONS)
        home.write("pvectl.yml", JOBS)

    def boot_systemd(self, *, enabled: str = "enabled", active: str = "active", fails: str = "never") -> None:
        (self.root / "run/systemd/system").mkdir(parents=True, exist_ok=True)
        for program in ("systemctl", "systemd-sysusers"):
            file = self.programs / program
            file.write_text(
                f'#!/bin/sh\necho "{program} $*" >> {self.told}\n'
                f'case "$1" in {fails}) echo "Failed to do it." >&2; exit 3;;\n'
                f"show) printf 'UnitFileState={enabled}\\nActiveState={active}\\nLastTriggerUSec=Sun 2026-11-22 10:00:00 UTC\\n';; esac\n"
            )
            file.chmod(0o755)

    def timers(self, *words: str, path: str | None = None) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        env = self.home.env | {"PATH": path or f"{self.programs}:{os.environ['PATH']}"}
        code = main(["timers", *words, "--root", str(self.root)], run=Run(env=env, stdin=io.StringIO(), stdout=out, stderr=err))
        return Ended(code, out.getvalue(), err.getvalue())

    def there(self) -> list[str]:
        return sorted(f"/{file.relative_to(self.root)}" for file in (self.root / "etc").rglob("*") if file.is_file())

    def text(self, path: str) -> str:
        return (self.root / path[1:]).read_text()

    def put(self, path: str, text: str) -> None:
        file = self.root / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def heard(self) -> list[str]:
        lines = self.told.read_text().splitlines() if self.told.exists() else []
        self.told.unlink(missing_ok=True)
        return [line for line in lines if " show " not in line]


@pytest.fixture
def machine(home: Home) -> Machine:
    return Machine(home)


@pytest.mark.parametrize("kind", ["systemd", "cron"])
def test_contrib_holds_what_print_prints_for_the_example_configuration(home: Home, kind: str) -> None:
    home.write("proxmox.yml", example_text("proxmox.example.yml"))
    home.write("pvectl.yml", _everything_on(example_text("pvectl.example.yml")))
    files = home.pvectl("timers", "print", f"--{kind}", "-o", "json").json["data"]["files"]
    program = str(Path(sys.executable).parent / "pvectl")
    printed = {
        Path(file["path"]).name: file["text"].replace(program, "/usr/local/bin/pvectl").replace(str(home.config), "/etc/pvectl")
        for file in files
    }
    assert printed == {file.name: file.read_text() for file in (CONTRIB / kind).iterdir()}


def _everything_on(example: str) -> str:
    """The example with what has to be uncommented for a job to have a timer."""
    for off, on in (
        ("  # write: /", "  write: /"),
        ("  # html: /", "  html: /"),
        ("  receivers: {} ", "  receivers: {phone: {type: ntfy, topic: {secret: ntfy-topic}}} "),
    ):
        assert example.count(off) == 1
        example = example.replace(off, on)
    return example


def test_print_of_a_table_can_be_put_into_a_file_as_it_is(machine: Machine) -> None:
    ended = machine.timers("print", "--cron")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == machine.timers("print", "--cron", "-o", "json").json["data"]["files"][0]["text"]
    assert ended.out.startswith(f"{MARKER}\nSHELL=/bin/sh\n")
    assert machine.timers("print", "--systemd").out.splitlines()[0] == f"# {SERVICE}"
    assert list(machine.root.iterdir()) == []


@pytest.mark.parametrize(("place", "kind"), [("run/systemd/system", "systemd"), ("etc/cron.d", "cron"), (None, "systemd")])
def test_without_a_word_the_kind_is_the_one_that_fits_the_machine(machine: Machine, place: str | None, kind: str) -> None:
    if place:
        (machine.root / place).mkdir(parents=True)
    assert {file["kind"] for file in machine.timers("print", "-o", "json").json["data"]["files"]} == {kind}


def test_install_writes_the_entries_and_starts_the_timer_where_systemd_runs(machine: Machine) -> None:
    machine.boot_systemd(enabled="", active="inactive")
    ended = machine.timers("install")
    assert (ended.code, machine.there()) == (0, [SERVICE, TIMER, USER])
    assert machine.heard() == [
        "systemd-sysusers pvectl.conf",
        "systemctl daemon-reload",
        "systemctl enable pvectl-idle-check.timer",
        "systemctl restart pvectl-idle-check.timer",
    ]
    assert ended.out.splitlines()[:4] == [f"wrote {SERVICE}", f"wrote {TIMER}", f"wrote {USER}", "ran: systemd-sysusers pvectl.conf"]


def test_installing_again_changes_nothing_and_wakes_only_a_timer_that_sleeps(machine: Machine) -> None:
    machine.boot_systemd()
    machine.timers("install")
    machine.heard()
    assert {line.split()[0] for line in machine.timers("install").out.splitlines()} == {"kept"}
    assert machine.heard() == []
    machine.boot_systemd(enabled="disabled")
    assert machine.timers("install").code == 0
    assert "systemctl enable pvectl-idle-check.timer" in machine.heard()


def test_where_systemd_does_not_run_install_says_what_to_run(machine: Machine) -> None:
    ended = machine.timers("install", "--systemd")
    assert ended.code == 0
    assert [line for line in ended.out.splitlines() if line.startswith("now run: ")] == [
        "now run: systemd-sysusers pvectl.conf",
        "now run: systemctl daemon-reload",
        "now run: systemctl enable pvectl-idle-check.timer",
        "now run: systemctl restart pvectl-idle-check.timer",
    ]


@pytest.mark.parametrize("command", ["install", "remove"])
def test_s18_a_dry_run_shows_all_and_changes_nothing(machine: Machine, command: str) -> None:
    machine.boot_systemd()
    if command == "remove":
        machine.timers("install")
        machine.heard()
    before = machine.there()
    ended = machine.timers(command, "--dry-run")
    assert (ended.code, machine.there(), machine.heard()) == (0, before, [])
    assert f"would {'write' if command == 'install' else 'remove'} {TIMER}" in ended.out
    assert "would run: systemctl" in ended.out
    assert ("OnUnitActiveSec=5min" in ended.out) is (command == "install")
    assert machine.timers(command, "--dry-run", "-o", "json").json["data"]["dry_run"] is True


def test_a_changed_configuration_makes_the_entries_stale_until_they_are_installed_again(machine: Machine) -> None:
    machine.boot_systemd()
    machine.timers("install")
    assert machine.timers("status", "-o", "json").json["data"]["matches"] is True
    machine.home.write("pvectl.yml", "idle_check: {nodes: [pve2], interval: 10m}\n")
    ended = machine.timers("status")
    assert f"{TIMER}: stale: not as the configuration has it now" in ended.out.splitlines()
    assert f"{SERVICE}: as configured" in ended.out.splitlines()
    assert "pvectl-idle-check.timer: enabled, active, last run Sun 2026-11-22 10:00:00 UTC" in ended.out.splitlines()
    machine.heard()
    machine.timers("install")
    assert "OnUnitActiveSec=10min" in machine.text(TIMER)
    assert "systemctl restart pvectl-idle-check.timer" in machine.heard()
    assert machine.timers("status", "-o", "json").json["data"]["matches"] is True


@pytest.mark.parametrize("jobs", ["idle_check: {enabled: false, nodes: [pve2]}\n", "idle_check: {nodes: []}\n", ""])
def test_a_job_that_is_off_loses_its_entries_with_the_next_install(machine: Machine, jobs: str) -> None:
    machine.boot_systemd()
    machine.timers("install")
    machine.heard()
    machine.home.write("pvectl.yml", jobs)
    assert f"{TIMER}: left over" in machine.timers("status").out
    ended = machine.timers("install")
    assert (ended.code, machine.there()) == (0, [])
    assert machine.heard() == ["systemctl disable --now pvectl-idle-check.timer", "systemctl daemon-reload"]
    assert "is enabled and has nodes, schedules, receivers or files to write, so nothing is to run" in ended.err


def test_remove_takes_away_what_is_installed_and_not_what_is_configured(machine: Machine) -> None:
    machine.boot_systemd()
    machine.timers("install")
    machine.timers("install", "--cron")
    machine.put("/etc/systemd/system/pvectl-from-long-ago.timer", f"{MARKER}\n[Timer]\n")
    machine.heard()
    (machine.home.config / "proxmox.yml").unlink()
    machine.home.write("pvectl.yml", "idle_check: nonsense\n")
    ended = machine.timers("remove")
    assert (ended.code, machine.there()) == (0, [])
    assert machine.heard() == [
        "systemctl disable --now pvectl-from-long-ago.timer pvectl-idle-check.timer",
        "systemctl daemon-reload",
    ]
    assert machine.timers("remove").out == "nothing of pvectl's is installed\n"


def test_remove_of_one_kind_leaves_the_other(machine: Machine) -> None:
    machine.timers("install", "--systemd")
    machine.timers("install", "--cron")
    assert machine.timers("remove", "--cron").code == 0
    assert machine.there() == [SERVICE, TIMER, USER]


@pytest.mark.parametrize("path", [SERVICE, TIMER, USER])
def test_a_file_pvectl_did_not_write_is_never_written_over_and_nothing_else_is_written_either(machine: Machine, path: str) -> None:
    machine.put(path, "[Unit]\nDescription=mine\n")
    ended = machine.timers("install", "--systemd")
    assert (ended.code, machine.there()) == (73, [path])
    assert machine.text(path) == "[Unit]\nDescription=mine\n"
    assert f"{machine.root}{path} was not written by pvectl" in ended.err
    ended = machine.timers("remove")
    assert (ended.code, machine.there()) == (0, [path])
    assert f"pvectl: {path} was not written by pvectl, and stays\n" in ended.err


def test_cron_leaves_the_jobs_to_systemd_only_where_both_are_installed(machine: Machine) -> None:
    machine.timers("install", "--cron")
    assert "run/systemd" not in machine.text(TABLE)
    machine.timers("install", "--systemd")
    assert "test -d /run/systemd/system || " in machine.text(TABLE)
    assert machine.timers("status", "-o", "json").json["data"]["matches"] is True
    machine.timers("remove", "--systemd")
    assert f"{TABLE}: stale" in machine.timers("status").out


def test_status_without_anything_says_so_and_asks_no_configuration(machine: Machine) -> None:
    (machine.home.config / "proxmox.yml").unlink()
    ended = machine.timers("status")
    assert (ended.code, ended.out, ended.err) == (0, "nothing is installed\n", "")


def test_status_tells_what_is_there_also_when_the_configuration_is_broken(machine: Machine) -> None:
    machine.timers("install", "--systemd")
    machine.home.write("pvectl.yml", "idle_check: {nodes: all}\n")
    ended = machine.timers("status", "-o", "json")
    assert ended.code == 0
    assert ended.json["data"]["matches"] is None
    assert [file["path"] for file in ended.json["data"]["files"]] == [USER, SERVICE, TIMER]
    assert "whether they are what the configuration says is not known" in ended.err


def test_systemd_is_asked_about_the_systems_timers_and_never_about_a_users(machine: Machine) -> None:
    machine.boot_systemd()
    machine.timers("install")
    machine.timers("status")
    machine.timers("remove")
    assert "--user" not in machine.told.read_text()


def test_a_systemctl_that_fails_is_told_with_what_it_said(machine: Machine) -> None:
    machine.boot_systemd(fails="enable")
    ended = machine.timers("install")
    assert ended.code == 1
    assert ended.err.splitlines()[-2] == "pvectl: systemctl enable pvectl-idle-check.timer failed: Failed to do it."


def test_a_systemctl_that_hangs_is_not_waited_for_for_ever(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.boot_systemd()
    monkeypatch.setattr(systemctl, "_LIMIT", 0.2)
    (machine.programs / "systemctl").write_text("#!/bin/sh\nexec sleep 60\n")
    ended = machine.timers("status")
    assert ended.code == 0
    machine.put(TIMER, f"{MARKER}\n")
    ended = machine.timers("status")
    assert ended.code == 1
    assert "did not end within 0.2 s" in ended.err


def test_a_program_of_systemd_that_is_not_there_is_named_with_the_line_to_run(machine: Machine) -> None:
    machine.boot_systemd()
    (machine.programs / "systemd-sysusers").unlink()
    ended = machine.timers("install", path=str(machine.programs))
    assert (ended.code, machine.there()) == (1, [SERVICE, TIMER, USER])
    assert ended.err.splitlines()[-2:] == ["pvectl: systemd-sysusers is not there", "hint: run it by hand: systemd-sysusers pvectl.conf"]


def test_without_an_enabled_job_there_is_nothing_to_print_and_it_says_why(machine: Machine) -> None:
    machine.home.write("pvectl.yml", "idle_check: {enabled: false, nodes: [pve2]}\n")
    ended = machine.timers("print", "--cron")
    assert (ended.code, ended.out.strip()) == (0, "")
    assert ended.err == (
        f"pvectl: no job in {machine.home.config}/pvectl.yml is enabled"
        " and has nodes, schedules, receivers or files to write, so nothing is to run\n"
    )


def test_a_secret_that_a_program_prints_is_remarked_on_where_the_program_may_not_be_reached(machine: Machine) -> None:
    machine.home.write("proxmox.yml", CONNECTIONS.replace(f"token_value: {SECRET}", "token_command: [pass, show, x]"))
    assert "token_command is run inside the service" in machine.timers("print", "--systemd").err
    assert machine.timers("print", "--cron").err == ""


def test_the_entries_start_the_pvectl_that_wrote_them(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    linked = machine.home.folder / "bin/pvectl"
    linked.parent.mkdir()
    linked.symlink_to("/bin/true")
    monkeypatch.setattr(sys, "argv", [str(linked)])
    assert f"root {linked} idle-check" in machine.timers("print", "--cron").out
    monkeypatch.setattr(sys, "argv", ["/somewhere/pvectl/__main__.py"])
    monkeypatch.setattr(sys, "executable", "/nowhere/bin/python3")
    assert "root /nowhere/bin/python3 -m pvectl idle-check" in machine.timers("print", "--cron").out


def test_the_service_is_handed_the_files_of_its_cluster_under_their_bare_names(machine: Machine) -> None:
    machine.home.write(
        "proxmox.yml",
        "clusters:\n  lab: {hosts: [pve1.lan], token_id: a@pve!b, token_file: lab.token, tls: {ca_file: /etc/pve/pve-root-ca.pem}}\n"
        "  away: {hosts: [pve9.lan], token_id: a@pve!b, token_file: away.token}\ndefault_cluster: lab\n",
    )
    config = machine.home.config
    text = machine.timers("print", "--systemd").out
    assert [line for line in text.splitlines() if line.startswith("LoadCredential=")] == [
        f"LoadCredential=proxmox.yml:{config}/proxmox.yml",
        f"LoadCredential=pvectl.yml:{config}/pvectl.yml",
        f"LoadCredential=lab.token:{config}/lab.token",
        "LoadCredential=pve-root-ca.pem:/etc/pve/pve-root-ca.pem",
    ]
    away = machine.timers("print", "--systemd", "--cluster", "away").out
    assert f"LoadCredential=away.token:{config}/away.token" in away
    assert "idle-check --quiet --cluster away\n" in away


@pytest.mark.parametrize(("guests", "timeout"), [(0, 1), (10, 180), (100, 3600)])
def test_s22_systemd_does_not_cut_off_the_longest_run_there_can_be(machine: Machine, guests: int, timeout: int) -> None:
    machine.home.write("pvectl.yml", f"idle_check: {{nodes: [pve2], max_guests_per_run: {guests}, shutdown_timeout: {timeout}}}\n")
    (line,) = [line for line in machine.timers("print", "--systemd").out.splitlines() if line.startswith("TimeoutStartSec=")]
    sizes = {"d": 86_400, "h": 3600, "min": 60, "s": 1}
    limit = sum(int(count) * sizes[unit] for count, unit in re.findall(r"(\d+)([a-z]+)", line.partition("=")[2]))
    asked = [
        Shutdown(guest=guest(vmid, type=kind, hastate="started"), timeout=timeout, through_ha=True)
        for vmid, kind in zip(range(100, 100 + guests), itertools.cycle(("qemu", "lxc")), strict=False)
    ]
    slowest = SwitchOff(node="pve2", stages=tuple((one,) for one in asked))
    assert limit >= patience.LOOK_S + act.longest_switch_off(slowest, 1) + patience.LOOK_S * (2 + guests)


def test_two_files_of_one_name_cannot_be_handed_to_a_service(machine: Machine) -> None:
    machine.home.write("proxmox.yml", "clusters: {lab: {hosts: [a], token_id: a@pve!b, token_file: x/ca, tls: {ca_file: y/ca}}}\n")
    ended = machine.timers("print", "--systemd")
    assert ended.code == 78
    assert "they have the same name" in ended.err


@pytest.mark.parametrize(
    ("hosts", "jobs", "allowed"),
    [
        ('[10.0.0.1, "10.0.0.2:8006", "[fd00::1]:8006"]', JOBS, "10.0.0.1 10.0.0.2 fd00::1"),
        ("[10.0.0.1, pve2.lan]", JOBS, None),
        ("[10.0.0.1]", "idle_check: {nodes: [pve2], probes: [{name: p, argv: [x]}]}\n", None),
    ],
)
def test_a_packet_filter_is_written_where_all_hosts_are_addresses(machine: Machine, hosts: str, jobs: str, allowed: str | None) -> None:
    machine.home.write("proxmox.yml", CONNECTIONS.replace("[pve1.lan]", hosts))
    machine.home.write("pvectl.yml", jobs)
    text = machine.timers("print", "--systemd").out
    assert (f"\nIPAddressDeny=any\nIPAddressAllow={allowed}\n" in text) is (allowed is not None)
    assert ("\nIPAddressDeny=" in text) is (allowed is not None)


def test_an_interval_cron_cannot_keep_is_refused_before_anything_is_written(machine: Machine) -> None:
    machine.home.write("pvectl.yml", "idle_check: {nodes: [pve2], interval: 7m}\n")
    ended = machine.timers("install", "--cron")
    assert (ended.code, machine.there() if (machine.root / "etc").exists() else []) == (78, [])
    assert "cron cannot run idle-check every 420 seconds" in ended.err


def test_s33_no_secret_stands_in_any_entry(machine: Machine) -> None:
    for kind in ("--systemd", "--cron"):
        machine.timers("install", kind)
    assert machine.there()
    assert all(SECRET not in machine.text(path) for path in machine.there())


@pytest.mark.parametrize("command", ["print", "install", "status", "remove"])
def test_both_kinds_at_once_are_refused(machine: Machine, command: str) -> None:
    ended = machine.timers(command, "--systemd", "--cron")
    assert (ended.code, ended.err.splitlines()[0]) == (2, "pvectl: --systemd and --cron exclude each other")


def test_the_simulated_cluster_has_no_timers(machine: Machine) -> None:
    ended = machine.home.pvectl("--demo", "timers", "print")
    assert ended.code == 2
    assert "leave --demo out" in ended.err


def test_where_nothing_may_be_written_install_ends_with_73(machine: Machine) -> None:
    (machine.root / "etc").write_text("no directory")
    ended = machine.timers("install", "--systemd", "-o", "json")
    assert ended.code == 73
    assert json.loads(ended.out)["errors"][0]["code"] == "cannot-write"


def _stage(lab: Connect) -> Home:
    home, _ = lab(MIXED)
    home.write("lab.token", (home.config / "proxmox.yml").read_text().split('token_value: "')[1].split('"')[0])
    connections = re.sub(r"token_value: .*", "token_file: lab.token", (home.config / "proxmox.yml").read_text())
    home.write("proxmox.yml", connections)
    home.write("pvectl.yml", "idle_check: {nodes: [pve2], self: elsewhere}\n")
    return home


def _as_systemd_starts_it(home: Home, folder: Path) -> tuple[list[str], dict[str, str]]:
    """The service's command line and environment, with the files it is handed and without those it is not."""
    text = home.pvectl("timers", "print", "--systemd").out
    credentials, state = folder / "credentials", folder / "state"
    credentials.mkdir()
    state.mkdir(mode=0o700)
    for name, _, source in (line.partition(":") for line in values(text, "LoadCredential")):
        shutil.copyfile(source, credentials / name)
        (credentials / name).chmod(0o440)
    shutil.rmtree(home.config)
    env = {"PATH": "/usr/bin:/bin", "CREDENTIALS_DIRECTORY": str(credentials), "STATE_DIRECTORY": str(state), "LANG": "C.UTF-8"}
    return values(text, "ExecStart")[0].split(), env


def test_the_service_does_its_job_with_nothing_but_what_systemd_hands_it(lab: Connect, tmp_path: Path) -> None:
    words, env = _as_systemd_starts_it(_stage(lab), tmp_path)
    ended = subprocess.run(words, env=env, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["lab"]


@pytest.mark.slow
def test_the_services_filter_lets_through_every_system_call_a_run_makes(lab: Connect, tmp_path: Path) -> None:
    home = _stage(lab)
    allowed = allowed_calls(home.pvectl("timers", "print", "--systemd").out)
    words, env = _as_systemd_starts_it(home, tmp_path)
    trace = tmp_path / "trace"
    line = [needed("strace"), "-f", "-qq", "-o", str(trace), *words]
    ended = subprocess.run(line, env=env, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    made = {found[1] for found in re.finditer(r"^\d+ +([a-z_0-9]+)\(", trace.read_text(), flags=re.MULTILINE)}
    assert {"openat", "connect", "flock", "pwrite64", "fsync"} - made == set()
    # execve starts the process before the filter holds; SQLite gives its journal to the file's owner when it runs as root, and only then
    assert made - allowed - {"execve", "fchown"} == set()


def test_the_line_of_cron_does_its_job_in_crons_bare_environment(lab: Connect, tmp_path: Path) -> None:
    home = _stage(lab)
    *head, line = home.pvectl("timers", "print", "--cron").out.splitlines()
    env = {**dict(setting.split("=", 1) for setting in head[1:]), "HOME": str(tmp_path), "PVECTL_STATE_DIR": str(tmp_path / "state")}
    ended = subprocess.run(
        [env["SHELL"], "-c", line.split(None, 6)[6]],
        env=env,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    # cron mails every line
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (tmp_path / "state" / "lab" / "state.db").exists()


@pytest.mark.parametrize("command", ["print", "install", "status", "remove"])
def test_a_root_that_does_not_exist_is_not_made(machine: Machine, command: str) -> None:
    machine.root = machine.root / "typo"
    ended = machine.timers(command)
    assert ended.code == 2
    assert "--root: there is no directory" in ended.err
    assert not machine.root.exists()
