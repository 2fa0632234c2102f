"""The units are what systemd understands, run nothing by surprise, and are shut in as far as a client of an API can be."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from pvectl.errors import ConfigError
from pvectl.timers import systemd
from pvectl.timers.entries import MARKER
from tests.timers.settings import job, needed, setting, values

ASKS_FOR_MORE = {"credentials": {"hook.url": "/etc/pvectl/hook.url", "smtp-password": None}}
IMPLY_NO_NEW_PRIVILEGES = (
    *("DynamicUser", "LockPersonality", "MemoryDenyWriteExecute", "NoNewPrivileges", "PrivateDevices", "ProtectClock", "ProtectHostname"),
    *("ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "RestrictAddressFamilies", "RestrictNamespaces"),
    *("RestrictRealtime", "RestrictSUIDSGID", "SystemCallArchitectures", "SystemCallFilter", "SystemCallLog"),
)
"""As systemd.exec(5) has them."""
EVERY_SHAPE = {
    "hosts by name": setting(),
    "hosts by address": setting(addresses=("10.0.0.1", "fd00::1")),
    "one cluster of several": setting(cluster="home"),
    "started as a module": setting(program=("/usr/bin/python3", "-m", "pvectl")),
}


def test_s16_no_timer_catches_up_with_what_was_missed_and_no_clock_change_fires_it() -> None:
    text = systemd.timer(job(interval=420))
    assert values(text, "Persistent") == ["no"]
    assert (values(text, "OnBootSec"), values(text, "OnUnitActiveSec")) == (["10min"], ["7min"])
    assert "OnCalendar" not in text
    assert "WakeSystem" not in text


def test_the_service_runs_the_job_once_quietly_and_is_never_restarted_in_a_hurry() -> None:
    text = systemd.service(job(), setting(cluster="home"))
    assert values(text, "ExecStart") == ["/usr/local/bin/pvectl idle-check --quiet --cluster home"]
    assert (values(text, "Type"), values(text, "Restart"), values(text, "SuccessExitStatus")) == (["oneshot"], ["no"], ["75"])


def test_the_service_is_not_ended_before_its_longest_run_is_over() -> None:
    assert values(systemd.service(job(longest_run=2700), setting()), "TimeoutStartSec") == ["45min"]


def test_a_missing_configuration_is_told_and_not_skipped_in_silence() -> None:
    text = systemd.service(job(), setting(config_dir="/srv/pvectl"))
    assert values(text, "AssertFileNotEmpty") == ["/srv/pvectl/proxmox.yml"]
    assert "Condition" not in text


def test_s33_the_service_is_handed_its_secrets_and_may_look_nowhere_else() -> None:
    text = systemd.service(job(), setting(credentials={"proxmox.yml": "/etc/pvectl/proxmox.yml", "lab.token": "/root/lab.token"}))
    assert values(text, "LoadCredential") == ["proxmox.yml:/etc/pvectl/proxmox.yml", "lab.token:/root/lab.token"]
    assert (values(text, "ProtectHome"), values(text, "ProtectSystem"), values(text, "UMask")) == (["yes"], ["strict"], ["0077"])
    assert (values(text, "StateDirectory"), values(text, "StateDirectoryMode")) == (["pvectl"], ["0700"])
    assert values(text, "User") == ["pvectl"]


def test_s14_the_boot_id_stays_visible_to_the_service() -> None:
    assert values(systemd.service(job(), setting()), "ProcSubset") == []


def test_s33_a_job_is_handed_its_own_secrets_besides_those_of_all() -> None:
    text = systemd.service(job(**ASKS_FOR_MORE), setting())
    assert values(text, "LoadCredential")[2:] == ["hook.url:/etc/pvectl/hook.url", "smtp-password"]
    assert len(values(systemd.service(job(), setting()), "LoadCredential")) == 2


def test_a_job_reaches_its_receivers_besides_the_cluster() -> None:
    cluster = setting(addresses=("10.0.0.1",))
    text = systemd.service(job(addresses=("10.0.0.9", "localhost", "10.0.0.1")), cluster)
    assert values(text, "IPAddressAllow") == ["10.0.0.1 10.0.0.9 localhost"]
    assert values(systemd.service(job(addresses=None), cluster), "IPAddressDeny") == []


def test_a_service_that_runs_sendmail_lets_it_have_the_rights_it_is_installed_with() -> None:
    text = systemd.service(job(mails=True), setting())
    assert [key for key in IMPLY_NO_NEW_PRIVILEGES if values(text, key)] == []
    # its group is none a user namespace knows, and its queue lies in /var
    assert [key for key in ("PrivateUsers", "CapabilityBoundingSet", "UMask") if values(text, key)] == ["UMask"]
    assert (values(text, "ProtectSystem"), values(text, "User")) == (["full"], ["pvectl"])


def test_what_a_silent_job_prints_goes_nowhere_and_what_it_complains_of_into_the_journal() -> None:
    silent = systemd.service(job(talks=False), setting())
    # left out, it goes where the output goes
    assert (values(silent, "StandardOutput"), values(silent, "StandardError")) == (["null"], ["journal"])
    assert values(systemd.service(job(), setting()), "StandardOutput") == []


def test_packets_are_filtered_only_where_every_host_is_an_address() -> None:
    by_address = systemd.service(job(), setting(addresses=("10.0.0.1", "fd00::1")))
    assert (values(by_address, "IPAddressDeny"), values(by_address, "IPAddressAllow")) == (["any"], ["10.0.0.1 fd00::1"])
    assert values(systemd.service(job(), setting(addresses=None)), "IPAddressDeny") == []


@pytest.mark.parametrize("path", ["/etc/pv ectl", "/etc/%h", "/etc/$HOME", '/etc/"x"', "/etc/a:b", "/etc/a\nUser=root", "relative", ""])
def test_a_path_that_would_mean_something_else_in_a_unit_is_refused(path: str) -> None:
    for bad in (setting(config_dir=path), setting(program=(path,)), setting(credentials={"proxmox.yml": path})):
        with pytest.raises(ConfigError, match="cannot stand in a timer's entry"):
            systemd.service(job(), bad)


def test_every_file_begins_with_the_marker_and_no_job_needs_none() -> None:
    entries = systemd.entries((job(),), setting())
    assert [entry.path for entry in entries] == [
        "/etc/systemd/system/pvectl-idle-check.service",
        "/etc/systemd/system/pvectl-idle-check.timer",
        "/etc/sysusers.d/pvectl.conf",
    ]
    assert all(entry.text.startswith(f"{MARKER}\n") and entry.text.endswith("\n") for entry in entries)
    assert systemd.entries((), setting()) == ()


def test_two_jobs_have_units_of_their_own_and_one_user() -> None:
    entries = systemd.entries((job(), job(name="monitor")), setting())
    assert [Path(entry.path).name for entry in entries] == [
        "pvectl-idle-check.service",
        "pvectl-idle-check.timer",
        "pvectl-monitor.service",
        "pvectl-monitor.timer",
        "pvectl.conf",
    ]


def _unit(folder: Path, shape: str, **needs: Any) -> Path:
    # verify wants the program to be there
    here = EVERY_SHAPE[shape]
    words = ("/bin/true", *here.program[1:])
    text = systemd.service(job(**needs), setting(program=words, cluster=here.cluster, addresses=here.addresses))
    (folder / "pvectl-idle-check.service").write_text(text)
    (folder / "pvectl-idle-check.timer").write_text(systemd.timer(job()))
    return folder / "pvectl-idle-check.service"


@pytest.mark.parametrize(
    ("shape", "needs"),
    [
        *((shape, {}) for shape in EVERY_SHAPE),
        ("hosts by address", {**ASKS_FOR_MORE, "addresses": ("10.0.0.9", "localhost"), "mails": True, "talks": False}),
    ],
)
def test_systemd_understands_every_line(tmp_path: Path, shape: str, needs: dict[str, Any]) -> None:
    unit = _unit(tmp_path, shape, **needs)
    ended = subprocess.run(
        [needed("systemd-analyze"), "verify", "--man=no", str(unit), str(unit.with_suffix(".timer"))],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin", "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("shape", EVERY_SHAPE)
def test_the_exposure_of_the_service_is_at_most_one_point_two(tmp_path: Path, shape: str) -> None:
    unit = _unit(tmp_path, shape)
    ended = subprocess.run(
        [needed("systemd-analyze"), "security", "--offline=true", "--threshold=12", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout.splitlines()[-1:]
    assert ended.stderr == ""


def test_the_threshold_of_that_test_is_a_real_one(tmp_path: Path) -> None:
    unit = _unit(tmp_path, "hosts by name")
    unit.write_text(unit.read_text().replace("ProtectSystem=strict\n", "").replace("User=pvectl\n", ""))
    line = [needed("systemd-analyze"), "security", "--offline=true", "--threshold=12", "--no-pager", str(unit)]
    assert subprocess.run(line, capture_output=True, check=False).returncode == 1


def test_the_user_is_one_systemd_can_make(tmp_path: Path) -> None:
    conf = tmp_path / "pvectl.conf"
    conf.write_text(systemd.user())
    (tmp_path / "etc").mkdir()
    ended = subprocess.run([needed("systemd-sysusers"), f"--root={tmp_path}", str(conf)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (line,) = [line for line in (tmp_path / "etc/passwd").read_text().splitlines() if line.startswith("pvectl:")]
    assert line.split(":")[5:] == ["/var/lib/pvectl", "/usr/sbin/nologin"]
