"""What the receivers of messages and the page for a browser ask of the timers' entries."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pvectl.cli.alerts import run as alert_run
from pvectl.cli.app import main
from pvectl.cli.context import Run
from pvectl.cli.monitoring import run as monitor_run
from tests.cli.conftest import Connect
from tests.notify.listening import listening
from tests.support.commands import Ended, Home
from tests.support.scenarios import MIXED
from tests.timers.settings import allowed_calls, needed, values

CONNECTIONS = "clusters: {lab: {hosts: [10.0.0.1], token_id: pvectl@pve!ops, token_value: 9f8e7d6c-5b4a-3c2d-1e0f-a1b2c3d4e5f6}}\n"
IDLE = "idle_check: {nodes: [pve2]}\n"
HOOK = "type: webhook, url: {file: hook.url}"
MAIL = "type: smtp, host: 10.0.0.9, from: a@lab.lan, to: b@lab.lan, security: plain, port: 25"


@pytest.fixture
def configured(home: Home) -> Home:
    home.write("proxmox.yml", CONNECTIONS)
    home.write("hook.url", "https://hook.lan/x\n")
    return home


def printed(home: Home, *words: str) -> Ended:
    """`timers print`, in this process."""
    out, err = io.StringIO(), io.StringIO()
    code = main(["timers", "print", *words], run=Run(env=home.env, stdin=io.StringIO(), stdout=out, stderr=err))
    return Ended(code, out.getvalue(), err.getvalue())


def units(home: Home, jobs: str) -> dict[str, str]:
    """The texts of the services, by the job."""
    home.write("pvectl.yml", jobs)
    ended = printed(home, "--systemd", "-o", "json")
    assert ended.code == 0, ended.err
    names = {Path(file["path"]).name: file["text"] for file in ended.json["data"]["files"]}
    return {name.removeprefix("pvectl-").removesuffix(".service"): text for name, text in names.items() if name.endswith(".service")}


def alert(*receivers: str, **more: str) -> str:
    named = ", ".join(f"r{place}: {{{keys}}}" for place, keys in enumerate(receivers, 1))
    return f"alert: {{receivers: {{{named}}}{''.join(f', {key}: {value}' for key, value in more.items())}}}\n"


def remarks(home: Home, jobs: str, kind: str = "--systemd") -> list[str]:
    home.write("pvectl.yml", jobs)
    lines = printed(home, kind).err.splitlines()
    return [line.removeprefix("pvectl: ") for line in lines if "cannot see into homes" not in line]


@pytest.mark.parametrize(
    ("jobs", "there"),
    [
        (alert(HOOK), True),
        (alert("type: alertmanager, url: 'http://127.0.0.1:9093'"), True),
        (alert(HOOK, enabled="false"), False),
        ("alert: {receivers: {}}\n", False),
        ("", False),
    ],
)
def test_the_alerts_have_a_timer_when_there_is_somebody_to_tell(configured: Home, jobs: str, *, there: bool) -> None:
    assert ("alert" in units(configured, jobs)) is there


def test_the_timer_of_the_alerts_runs_them_by_the_clock_and_makes_up_for_a_run_it_missed(configured: Home) -> None:
    configured.write("pvectl.yml", alert(HOOK, interval="2m"))
    files = printed(configured, "--systemd", "-o", "json").json["data"]["files"]
    (timer,) = [file["text"] for file in files if file["path"].endswith("pvectl-alert.timer")]
    assert (values(timer, "OnCalendar"), values(timer, "Persistent")) == (["*:0/2:00"], ["yes"])
    service = units(configured, alert(HOOK))["alert"]
    assert values(service, "ExecStart")[0].endswith("/pvectl alert run --quiet")
    line = printed(configured, "--cron").out.splitlines()[-1]
    assert line.startswith("*/5 * * * * root ")
    assert line.endswith(f"/pvectl alert run --quiet --config-dir {configured.config}")


def test_s33_each_service_is_handed_the_secrets_it_sends_with_and_no_others(configured: Home) -> None:
    receivers = alert(
        f"{HOOK}, tls: {{ca_file: ca/hook.pem}}",
        "type: ntfy, topic: {credential: ntfy-topic}",
        "type: alertmanager, url: {file: /srv/am.url}",
        heartbeat="{type: healthchecks, url: {file: beat.url}}",
    )
    text = units(configured, f"{IDLE}monitor: {{html: /srv/www/pve.html}}\n{receivers}")
    folder = configured.config
    common = [f"proxmox.yml:{folder}/proxmox.yml", f"pvectl.yml:{folder}/pvectl.yml"]
    messages = [f"hook.url:{folder}/hook.url", "ntfy-topic"]
    assert values(text["monitor"], "LoadCredential") == common
    assert values(text["idle-check"], "LoadCredential") == [*common, *messages, f"hook.pem:{folder}/ca/hook.pem"]
    assert values(text["alert"], "LoadCredential") == [
        *common,
        *messages,
        "am.url:/srv/am.url",
        f"beat.url:{folder}/beat.url",
        f"hook.pem:{folder}/ca/hook.pem",
    ]


@pytest.mark.parametrize("silent", [alert(HOOK, enabled="false"), alert("type: alertmanager, url: {file: am.url}")])
def test_a_job_that_sends_nothing_is_handed_no_secret_of_a_receiver(configured: Home, silent: str) -> None:
    alone, beside = units(configured, IDLE)["idle-check"], units(configured, IDLE + silent)["idle-check"]
    assert beside == alone


def test_a_job_without_notices_can_still_send_what_waits(configured: Home) -> None:
    service = units(configured, IDLE + alert(HOOK, notices="[]"))["idle-check"]
    assert f"hook.url:{configured.config}/hook.url" in values(service, "LoadCredential")


def test_a_job_that_sends_notices_has_the_time_for_it(configured: Home) -> None:
    alone, beside = units(configured, IDLE)["idle-check"], units(configured, IDLE + alert(HOOK))["idle-check"]
    assert values(alone, "TimeoutStartSec") != values(beside, "TimeoutStartSec")


@pytest.mark.parametrize("other", ["alert", "proxmox"])
def test_two_files_of_one_name_cannot_be_handed_to_a_service(configured: Home, other: str) -> None:
    if other == "proxmox":
        configured.write("proxmox.yml", CONNECTIONS.replace("token_value: 9f8e7d6c-5b4a-3c2d-1e0f-a1b2c3d4e5f6", "token_file: x/hook.url"))
        configured.write("pvectl.yml", alert(HOOK))
    else:
        configured.write("pvectl.yml", alert(HOOK, "type: slack, url: {file: other/hook.url}"))
    ended = printed(configured)
    assert ended.code == 78
    assert "they have the same name" in ended.err


def test_a_credential_and_a_file_of_one_name_cannot_both_be_handed_over(configured: Home) -> None:
    configured.write("pvectl.yml", alert(HOOK, "type: slack, url: {credential: hook.url}"))
    ended = printed(configured)
    assert ended.code == 78
    assert "systemd's credential hook.url" in ended.err


@pytest.mark.parametrize(
    ("receivers", "allowed"),
    [
        ([MAIL], "10.0.0.1 10.0.0.9"),
        ([MAIL.replace("10.0.0.9", "localhost")], "10.0.0.1 localhost"),
        ([MAIL, "type: alertmanager, url: 'http://[::1]:9093'"], "10.0.0.1 10.0.0.9 ::1"),
        (["type: ntfy, topic: {secret: t}, server: 'https://10.0.0.7'"], "10.0.0.1 10.0.0.7"),
        ([MAIL.replace("10.0.0.9", "mail.lan")], None),
        ([MAIL, "type: ntfy, topic: {secret: t}"], None),
        ([MAIL, HOOK], None),
        ([MAIL, "type: alertmanager, url: {file: am.url}"], None),
        ([MAIL, "type: sendmail, to: root"], None),
    ],
)
def test_a_packet_filter_lets_through_to_the_receivers_where_all_are_addresses(
    configured: Home, receivers: list[str], allowed: str | None
) -> None:
    text = units(configured, f"monitor: {{html: /srv/www/pve.html}}\n{alert(*receivers)}")
    assert values(text["alert"], "IPAddressAllow") == ([] if allowed is None else [allowed])
    assert values(text["monitor"], "IPAddressAllow") == ["10.0.0.1"]


def test_nothing_is_known_of_where_a_heartbeat_goes(configured: Home) -> None:
    beating = alert(MAIL, heartbeat="{type: healthchecks, url: {secret: beat}}")
    assert values(units(configured, beating)["alert"], "IPAddressDeny") == []
    assert values(units(configured, IDLE + beating)["idle-check"], "IPAddressAllow") == ["10.0.0.1 10.0.0.9"]


def test_a_service_that_runs_sendmail_is_open_to_it_and_says_so(configured: Home) -> None:
    jobs = f"{IDLE}monitor: {{html: {configured.config}/pve.html}}\n{alert('type: sendmail, to: root')}"
    text = units(configured, jobs)
    open_to_it = {name for name, unit in text.items() if not values(unit, "NoNewPrivileges")}
    assert open_to_it == {"alert", "idle-check"}
    (remark,) = remarks(configured, jobs)
    assert "runs sendmail (receiver r1) is not shut in as the others are" in remark


def test_what_a_service_cannot_be_handed_is_remarked_on(configured: Home) -> None:
    told = remarks(
        configured,
        alert("type: slack, url: {command: [pass, x]}", "type: ntfy, topic: {credential: ntfy-topic}", "type: teams, url: {file: gone}"),
    )
    assert [line.partition(":")[0] for line in told[:2]] == ["alert.receivers.r1.url", "alert.receivers.r2.topic"]
    assert "run inside the service" in told[0]
    assert "/etc/credstore/ntfy-topic" in told[1]
    assert told[2] == f"there is no file {configured.config}/gone, and without it no service that is handed it can start"
    assert remarks(configured, IDLE + alert("type: slack, url: {command: [x]}", enabled="false")) == []


def test_cron_hands_no_credentials_over_and_that_is_remarked_on(configured: Home) -> None:
    jobs = alert("type: ntfy, topic: {credential: ntfy-topic}", HOOK)
    (remark,) = remarks(configured, jobs, "--cron")
    assert remark.startswith("alert.receivers.r1.topic: credentials are handed over by systemd, never by cron")
    assert remarks(configured, IDLE + alert("type: ntfy, topic: {credential: t}", enabled="false"), "--cron") == []


def test_systemd_does_not_cut_off_a_run_that_waits_for_all_its_receivers(configured: Home) -> None:
    (limit,) = values(units(configured, alert(MAIL, "type: alertmanager, url: 'http://127.0.0.1:9093'"))["alert"], "TimeoutStartSec")
    assert limit == "5min"
    assert monitor_run.DEADLINE_S + 2 * alert_run.DELIVERY_S + 2 * 15 < 300


def test_the_page_for_a_browser_is_written_by_a_timer_that_says_nothing(configured: Home) -> None:
    service = units(configured, "monitor: {html: /srv/www/pve.html}\n")["monitor"]
    assert values(service, "ExecStart")[0].endswith("/pvectl monitor --html /srv/www/pve.html --quiet")
    assert (values(service, "ReadWritePaths"), values(service, "StandardOutput")) == (["-/srv/www"], ["null"])
    line = printed(configured, "--cron").out.splitlines()[-1]
    assert line.endswith(f"monitor --html /srv/www/pve.html --quiet --config-dir {configured.config} > /dev/null")


def test_one_run_writes_both_the_metrics_and_the_page(configured: Home) -> None:
    service = units(configured, "monitor: {write: /srv/www/pve.prom, html: /srv/www/pve.html}\n")["monitor"]
    words = "/pvectl monitor --output prometheus --write /srv/www/pve.prom --html /srv/www/pve.html --quiet"
    assert values(service, "ExecStart")[0].endswith(words)
    assert (values(service, "ReadWritePaths"), values(service, "StandardOutput")) == (["-/srv/www"], [])
    assert values(service, "Description")[0].endswith("for Prometheus and as a page for a browser")


def test_a_directory_to_write_to_that_is_not_there_is_remarked_on(configured: Home) -> None:
    jobs = f"monitor: {{write: {configured.config}/pve.prom, html: /srv/not-there/pve.html}}\n"
    (remark,) = remarks(configured, jobs)
    assert remark.startswith("/srv/not-there is not there")
    assert remark.endswith(": install -d -o pvectl /srv/not-there")
    (remark,) = remarks(configured, jobs, "--cron")
    assert f"install -d -o {configured.config.owner()} " in remark


@pytest.mark.parametrize("key", ["write", "html"])
def test_a_timer_writes_to_an_absolute_path_only(configured: Home, key: str) -> None:
    configured.write("pvectl.yml", f"monitor: {{{key}: pve.file}}\n")
    ended = printed(configured)
    assert ended.code == 78
    assert f"monitor.{key}: pve.file is no absolute path" in ended.err


@pytest.mark.slow
def test_crons_line_of_the_page_writes_it_and_prints_nothing(lab: Connect, tmp_path: Path) -> None:
    home, _ = lab(MIXED)
    home.write("pvectl.yml", f"monitor: {{html: {tmp_path}/pve.html}}\n")
    *head, line = home.pvectl("timers", "print", "--cron").out.splitlines()
    env = {**dict(setting.split("=", 1) for setting in head[1:]), "HOME": str(tmp_path), "PVECTL_STATE_DIR": str(tmp_path / "state")}
    ended = subprocess.run(
        [env["SHELL"], "-c", line.split(None, 6)[6]], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    # cron mails every line
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert "<html" in (tmp_path / "pve.html").read_text()


@pytest.mark.slow
def test_the_service_tells_people_with_nothing_but_what_systemd_hands_it(lab: Connect, tmp_path: Path) -> None:
    home, _ = lab(MIXED)
    with listening() as hook:
        home.write("hook.url", hook.url())
        home.write("pvectl.yml", alert(HOOK))
        text = units(home, alert(HOOK))["alert"]
        allowed = allowed_calls(text)
        credentials, state, trace = tmp_path / "credentials", tmp_path / "state", tmp_path / "trace"
        credentials.mkdir()
        state.mkdir(mode=0o700)
        for name, _, source in (line.partition(":") for line in values(text, "LoadCredential")):
            shutil.copyfile(source, credentials / name)
            (credentials / name).chmod(0o440)
        shutil.rmtree(home.config)
        env = {"PATH": "/usr/bin:/bin", "CREDENTIALS_DIRECTORY": str(credentials), "STATE_DIRECTORY": str(state), "LANG": "C.UTF-8"}
        line = [needed("strace"), "-f", "-qq", "-o", str(trace), *values(text, "ExecStart")[0].split()]
        ended = subprocess.run(line, env=env, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        (heard,) = hook.requests
    assert "first look" in heard.body.decode()
    made = {found[1] for found in re.finditer(r"^\d+ +([a-z_0-9]+)\(", trace.read_text(), flags=re.MULTILINE)}
    # execve starts the process before the filter holds; SQLite gives its journal to the file's owner when it runs as root, and only then
    assert made - allowed - {"execve", "fchown"} == set()
