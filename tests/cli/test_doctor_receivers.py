"""`pvectl doctor` about whom pvectl tells: whether each receiver's secrets can be fetched, before anything has to be told."""

from __future__ import annotations

import io
import json
from pathlib import Path

from pvectl.cli.app import main
from pvectl.cli.context import Run
from pvectl.cli.examination_receivers import of_receivers
from pvectl.config.load import load_jobs
from tests.config.folders import GOOD, write

CANARY = "cAnArY7f3e"


def looked(folder: Path, text: str, env: dict[str, str] | None = None) -> list[tuple[str, str, str]]:
    write(folder, GOOD + f"secrets: {{topic: {CANARY}, hook: 'https://x.lan/{CANARY}'}}\n")
    jobs = load_jobs(write(folder, text, name="pvectl.yml"))
    return [(check.subject, check.health.value, check.message) for check in of_receivers(jobs.alert, folder, env or {})]


def test_receivers_with_their_secrets_are_one_good_line(tmp_path: Path) -> None:
    text = "alert: {receivers: {heartbeat: {type: sendmail}, b: {type: ntfy, topic: {secret: topic}}}}\n"
    assert looked(tmp_path, text) == [
        ("cluster", "ok", "2 receivers have their secrets; pvectl alert test NAME tells whether a message arrives")
    ]
    assert looked(tmp_path, "alert: {heartbeat: {type: healthchecks, url: {secret: hook}}}\n")[0][2].startswith("1 receiver has its")


def test_a_secret_that_cannot_be_fetched_is_a_problem_with_its_receiver_and_key_and_programs_are_asked(tmp_path: Path) -> None:
    text = f"""
alert:
  receivers:
    heartbeat: {{type: slack, url: {{file: gone}}}}
    asked: {{type: slack, url: {{command: [sh, -c, 'echo {CANARY} >&2; exit 3']}}}}
    systemd: {{type: slack, url: {{credential: hook}}}}
  heartbeat: {{type: healthchecks, url: {{secret: topic}}}}
"""
    told = looked(tmp_path, text)

    assert told == [
        ("receiver/heartbeat", "problem", f"receiver heartbeat: url: there is no file {tmp_path}/gone"),
        ("receiver/asked", "problem", "receiver asked: url: the command: 'sh' failed with exit code 3"),
        ("receiver/systemd", "not-checked", "because systemd hands its secret to the service alone"),
        ("heartbeat", "problem", "heartbeat: the URL is not one"),
    ]
    assert CANARY not in str(told)


def test_the_doctor_tells_it_beside_the_configuration(tmp_path: Path) -> None:
    hosts = "hosts: ['http://127.0.0.1:1']\n    allow_http_loopback: true"
    write(tmp_path, GOOD.replace('hosts: [pve1.lan, "pve2.lan:8006"]', hosts))
    write(tmp_path, "alert: {receivers: {a: {type: slack, url: {secret: hook}}}}\n", name="pvectl.yml")
    stdout = io.StringIO()
    run = Run(env={}, stdin=io.StringIO(), stdout=stdout, stderr=io.StringIO())

    code = main(["doctor", "-C", str(tmp_path), "-o", "json"], run=run)

    told = {row["subject"]: (row["check"], row["verdict"], row["mend"]) for row in json.loads(stdout.getvalue())["data"]}
    assert told["receiver/a"] == ("config", "problem", ["write it under secrets: in proxmox.yml"])
    assert code == 78
