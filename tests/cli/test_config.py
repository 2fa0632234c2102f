"""`config check|schema|init|show` as a person runs them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from tests.support.commands import Home

SECRET = "9f8e7d6c-5b4a-3c2d-1e0f-a1b2c3d4e5f6"
GOOD = f"""\
clusters:
  lab:
    hosts: [pve1.lan, pve2.lan]
    token_id: pvectl@pve!ops
    token_value: {SECRET}
"""


def test_check_says_ok_and_what_it_looked_at_without_asking_any_host(home: Home) -> None:
    home.write("proxmox.yml", GOOD)
    ended = home.pvectl("config", "check")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        f"ok: {home.config}/proxmox.yml",
        f"missing (defaults apply): {home.config}/pvectl.yml",
        "ok: cluster lab: pve1.lan, pve2.lan as pvectl@pve!ops, certificates checked by the system's store",
    ]


def test_check_names_the_receivers_and_which_of_their_secrets_it_cannot_see(home: Home) -> None:
    home.write("proxmox.yml", GOOD + "secrets: {topic: t}\n")
    phone, chat = "{type: ntfy, topic: {secret: topic}}", "{type: slack, url: {command: [x]}}"
    duty, local = "{type: pagerduty, key: {credential: k}}", "{type: sendmail}"
    home.write("pvectl.yml", f"alert: {{receivers: {{phone: {phone}, chat: {chat}, duty: {duty}, local: {local}}}}}\n")
    ended = home.pvectl("config", "check")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines()[-4:] == [
        "ok: receiver phone: ntfy",
        "ok: receiver chat: slack (a program prints its secret when it is used)",
        "ok: receiver duty: pagerduty (systemd hands its secret to the service)",
        "ok: receiver local: sendmail",
    ]
    told = home.pvectl("config", "check", "-o", "json").json["data"]["receivers"]
    assert told[0] == {"name": "phone", "type": "ntfy", "secrets": ["secret"]}


def test_check_tells_every_problem_of_every_file_at_once(home: Home) -> None:
    home.write("proxmox.yml", GOOD.replace("hosts: [pve1.lan, pve2.lan]", "hosts: pve1").replace("token_id", "tokn_id"))
    home.write("pvectl.yml", "alerts: {}\nidle_check:\n  noddes: [pve2]\n  grace_period: soon\n")
    ended = home.pvectl("config", "check", "-o", "json")
    assert ended.code == 78
    assert [(Path(one["file"]).name, one["line"], one["column"], one["path"], one["hint"]) for one in ended.json["data"]["problems"]] == [
        ("proxmox.yml", 3, 12, "clusters.lab.hosts", "write it in brackets: [..., ...]"),
        ("proxmox.yml", 4, 5, "clusters.lab.tokn_id", "did you mean token_id?"),
        ("pvectl.yml", 1, 1, "alerts", "did you mean alert?"),
        ("pvectl.yml", 3, 3, "idle_check.noddes", "did you mean nodes?"),
        ("pvectl.yml", 4, 17, "idle_check.grace_period", "write 30m, 2h or 1d"),
    ]
    assert len(ended.json["errors"]) == 5
    assert ended.json["exit_code"] == 78
    assert SECRET not in ended.out + ended.err


def test_check_shows_each_problem_with_its_place_and_hint_to_a_person(home: Home) -> None:
    home.write("proxmox.yml", GOOD.replace("token_id", "tokn_id"))
    ended = home.pvectl("config", "check")
    assert ended.code == 78
    assert ended.err == f"pvectl: {home.config}/proxmox.yml:4:5: clusters.lab.tokn_id: unknown key\nhint: did you mean token_id?\n"
    assert ended.out.splitlines()[0] == f"wrong: {home.config}/proxmox.yml"


def test_check_of_a_file_open_to_others_ends_with_77_and_the_command_that_closes_it(home: Home) -> None:
    home.write("proxmox.yml", GOOD, mode=0o644)
    ended = home.pvectl("config", "check")
    assert ended.code == 77
    assert f"hint: chmod 600 {home.config}/proxmox.yml\n" in ended.err


def test_check_reads_token_files_but_starts_no_token_command(home: Home) -> None:
    marker = home.folder / "started"
    home.write("proxmox.yml", GOOD.replace(f"token_value: {SECRET}", f"token_command: [touch, {marker}]"))
    assert home.pvectl("config", "check").code == 0
    assert not marker.exists()
    home.write("proxmox.yml", GOOD.replace(f"token_value: {SECRET}", "token_file: lab.token"))
    ended = home.pvectl("config", "check")
    assert ended.code == 78
    assert f"clusters.lab.token_file: there is no file {home.config}/lab.token" in ended.err


@pytest.mark.parametrize("words", [["vm", "list"], ["config", "check"], ["config", "show"], ["config", "trust"]])
def test_without_a_configuration_every_command_says_what_to_do(home: Home, words: list[str]) -> None:
    ended = home.pvectl(*words)
    assert ended.code == 78
    assert ended.err == (
        f"pvectl: there is no proxmox.yml in {home.config}\nhint: pvectl config init --dir {home.config} writes one to fill in\n"
    )


@pytest.mark.parametrize("flags", [[], ["-o", "json"], ["-o", "yaml"]])
def test_show_fills_in_every_default_and_hides_every_secret(home: Home, flags: list[str]) -> None:
    home.write(
        "proxmox.yml", GOOD + "  away:\n    hosts: [a]\n    token_id: a@pve!ops\n    token_command: [echo, hunter2]\ndefault_cluster: lab\n"
    )
    ended = home.pvectl("config", "show", *flags)
    assert ended.code == 0
    assert "***" in ended.out
    assert "allow_http_loopback" in ended.out
    assert SECRET not in ended.out + ended.err
    assert "hunter2" not in ended.out + ended.err


def test_show_of_one_cluster_leaves_the_others_out_and_names_the_nearest(home: Home) -> None:
    home.write("proxmox.yml", GOOD + "  away:\n    hosts: [a]\n    token_id: a@pve!ops\n    token_file: t\n")
    assert list(home.pvectl("config", "show", "--cluster", "away", "-o", "json").json["data"]["clusters"]) == ["away"]
    ended = home.pvectl("config", "show", "--cluster", "awy")
    assert (ended.code, ended.err.splitlines()[1]) == (2, "hint: did you mean away?")


@pytest.mark.parametrize("text", ["", "# nothing to say\n"])
def test_a_pvectl_yml_that_says_nothing_is_in_order(home: Home, text: str) -> None:
    home.write("proxmox.yml", GOOD)
    home.write("pvectl.yml", text)
    ended = home.pvectl("config", "check")
    assert (ended.code, ended.err) == (0, "")
    assert f"ok: {home.config}/pvectl.yml" in ended.out


def test_show_has_every_default_of_the_jobs_with_times_in_seconds(home: Home) -> None:
    home.write("proxmox.yml", GOOD)
    home.write("pvectl.yml", "idle_check: {nodes: [pve2], grace_period: 1h}\n")
    jobs = home.pvectl("config", "show", "-o", "json").json["data"]["jobs"]
    assert (jobs["idle_check"]["nodes"], jobs["idle_check"]["grace_period"], jobs["idle_check"]["max_gap"]) == (["pve2"], 3600, 900)
    assert jobs["tags"] == {"require_registered": False}
    shown = home.pvectl("config", "show").out
    assert f"\n# {home.config}/pvectl.yml\n" in shown
    assert '\n  nodes: ["pve2"]\n' in shown


def test_check_remarks_on_a_job_without_nodes_and_finds_no_fault(home: Home) -> None:
    home.write("proxmox.yml", GOOD)
    file = home.write("pvectl.yml", "idle_check:\n  nodes: []\n")
    ended = home.pvectl("config", "check")
    assert (ended.code, ended.out.splitlines()[1]) == (0, f"ok: {file}")
    assert ended.err == (
        f"pvectl: {file}:2:10: idle_check.nodes: names no node, so none is ever switched off; name those that may be: nodes: [pve2]\n"
    )
    assert [one["path"] for one in home.pvectl("config", "check", "-o", "json").json["data"]["remarks"]] == ["idle_check.nodes"]


def test_check_of_a_cluster_there_is_not_names_the_nearest(home: Home) -> None:
    home.write("proxmox.yml", GOOD)
    ended = home.pvectl("config", "check", "--cluster", "lba")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"pvectl: there is no cluster 'lba' in {home.config}/proxmox.yml\nhint: did you mean lab?\n"
    assert home.pvectl("config", "check", "--cluster", "lab").code == 0


@pytest.mark.parametrize("format_", ["text", "json", "jsonl", "yaml"])
@pytest.mark.parametrize("file", ["proxmox", "pvectl"])
@pytest.mark.slow
def test_schema_prints_a_json_schema_that_can_be_redirected_into_a_file(home: Home, file: str, format_: str) -> None:
    ended = home.pvectl("config", "schema", file, PVECTL_OUTPUT=format_)
    assert (ended.code, ended.err) == (0, "")
    schema = json.loads(ended.out)
    assert yaml.safe_load(ended.out) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


def test_init_writes_files_for_their_owner_alone_and_the_next_check_names_what_is_left_to_do(home: Home) -> None:
    target = home.folder / "new" / "pvectl"
    ended = home.pvectl("config", "init", "--dir", str(target))
    assert (ended.code, ended.err) == (0, "")
    assert f"wrote {target}/proxmox.yml" in ended.out
    assert f"pvectl config check -C {target}" in ended.out
    assert stat.S_IMODE((target / "proxmox.yml").stat().st_mode) == 0o600
    checked = home.pvectl("config", "check", "-C", str(target))
    assert checked.code == 78
    assert "token_value: is still a placeholder" in checked.err


def test_init_never_overwrites(home: Home) -> None:
    home.write("proxmox.yml", GOOD)
    ended = home.pvectl("config", "init")
    assert ended.code == 0
    assert f"kept {home.config}/proxmox.yml" in ended.out
    assert (home.config / "proxmox.yml").read_text() == GOOD


def test_init_into_two_directories_at_once_is_refused(home: Home) -> None:
    one, other = home.folder / "one", home.folder / "other"
    ended = home.pvectl("config", "init", "--dir", str(one), "-C", str(other))
    assert ended.code == 2
    assert "--dir and --config-dir" in ended.err
    assert not one.exists()
    assert not other.exists()


def test_init_goes_where_config_dir_says_too(home: Home) -> None:
    assert home.pvectl("config", "init", "-C", str(home.folder / "q")).code == 0
    assert (home.folder / "q" / "proxmox.yml").exists()


def test_init_where_nothing_can_be_written_ends_with_73(home: Home) -> None:
    (home.folder / "file").touch()
    ended = home.pvectl("config", "init", "--dir", str(home.folder / "file" / "x"))
    assert ended.code == 73
    assert ended.err.startswith(f"pvectl: cannot write {home.folder}/file/x: Not a directory")


@pytest.mark.parametrize("command", ["check", "schema", "init", "show", "trust"])
def test_every_config_command_has_help(home: Home, command: str) -> None:
    ended = home.pvectl("config", command, "--help")
    assert ended.code == 0
    assert "Usage: pvectl config" in ended.out


def test_the_help_of_schema_names_the_files_it_knows(home: Home) -> None:
    shown = home.pvectl("config", "schema", "--help").out
    assert "Usage: pvectl config schema [OPTIONS] [proxmox|pvectl]\n" in shown
    assert "[file]" not in shown


@pytest.mark.parametrize("command", ["check", "schema", "init", "show"])
def test_what_is_no_table_has_no_csv_form_and_nothing_is_done(home: Home, command: str) -> None:
    ended = home.pvectl("config", command, "-o", "csv")
    assert (ended.code, ended.out) == (2, "")
    assert f"pvectl config {command} has no CSV form" in ended.err
    assert list(home.config.iterdir()) == []
