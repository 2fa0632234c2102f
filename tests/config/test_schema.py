"""The Structs are the schema: for the loader, for editors, and for the examples."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml
from msgspec import Meta, Struct, structs
from msgspec.structs import fields

from pvectl.config.check import check
from pvectl.config.installing import install
from pvectl.config.load import ConfigProblems, load_connections, load_jobs, read_document, resolve
from pvectl.config.places import example_text
from pvectl.config.schema import FILES, Activity, OwnPlace, Probe, PvectlFile, json_schema
from pvectl.errors import CannotWrite
from tests.config.folders import GOOD, SECRET, told, write


def _structs(of: Any) -> Iterator[type[Struct]]:
    if isinstance(of, type) and issubclass(of, Struct):
        yield of
        for info in fields(of):
            yield from _structs(info.type)
    for part in get_args(of):
        yield from _structs(part)


ALL_STRUCTS = sorted({struct for file in FILES.values() for struct in _structs(file)}, key=lambda struct: struct.__name__)


@pytest.mark.parametrize("struct", ALL_STRUCTS)
def test_every_key_has_a_type_and_a_sentence(struct: type[Struct]) -> None:
    for info in fields(struct):
        assert get_origin(info.type) is Annotated, info.name
        sentences = [note.description for note in get_args(info.type)[1:] if isinstance(note, Meta) and note.description]
        assert sentences, info.name
        assert sentences[-1].endswith("."), info.name


@pytest.mark.parametrize("word", FILES)
def test_the_json_schema_is_a_valid_one_with_a_description_for_every_key(word: str) -> None:
    schema = json_schema(FILES[word])
    jsonschema.Draft202012Validator.check_schema(schema)
    for definition in schema["$defs"].values():
        assert definition["additionalProperties"] is False
        assert all(one.get("description") for one in definition["properties"].values()), definition["title"]


@pytest.mark.parametrize("word", FILES)
def test_the_examples_satisfy_the_json_schema_and_name_it_for_editors(word: str) -> None:
    text = example_text(f"{word}.example.yml")
    assert text.splitlines()[0] == f"# yaml-language-server: $schema={word}.schema.json"
    jsonschema.validate(yaml.safe_load(text), json_schema(FILES[word]))


def test_the_example_loads_without_error_and_only_its_placeholder_is_left_to_fill_in(tmp_path: Path) -> None:
    write(tmp_path, example_text("proxmox.example.yml"))
    write(tmp_path, example_text("pvectl.example.yml"), name="pvectl.yml")
    load_jobs(tmp_path)
    with pytest.raises(ConfigProblems, match="token_value: is still a placeholder"):
        resolve(load_connections(tmp_path), env={})


def test_the_example_of_pvectl_yml_shows_every_default_and_switches_nothing_off(tmp_path: Path) -> None:
    jobs = load_jobs(write(tmp_path, example_text("pvectl.example.yml"), name="pvectl.yml"))
    assert (jobs.idle_check.dry_run, jobs.scheduled_shutdown.dry_run) == (True, True)
    idle = structs.replace(jobs.idle_check, dry_run=False, nodes=())
    scheduled = structs.replace(jobs.scheduled_shutdown, dry_run=False, schedules=())
    assert structs.replace(jobs, idle_check=idle, scheduled_shutdown=scheduled) == PvectlFile()


def test_what_the_example_of_pvectl_yml_has_in_comments_loads_as_well(tmp_path: Path) -> None:
    text = example_text("pvectl.example.yml").replace("  probes: []\n", "")
    text = text.partition("\nalert:\n")[0]
    for commented in (
        "probes:",
        "  - name",
        "    argv",
        "    timeout",
        "activity:",
        "  cpu",
        "  network",
        "  window",
        "  guests",
        "self: {vmid",
    ):
        assert text.count(f"  # {commented}") == 1, commented
        text = text.replace(f"  # {commented}", f"  {commented}")
    job = load_jobs(write(tmp_path, text, name="pvectl.yml")).idle_check
    assert job.self == OwnPlace(vmid=105)
    assert job.probes == (Probe(name="jellyfin", argv=("/usr/local/bin/nobody-is-streaming", "--quiet"), timeout=10),)
    assert job.activity == Activity(cpu=0.05, network=20_000, window=900, guests="all")


@pytest.mark.parametrize("word", FILES)
def test_the_examples_name_every_key_there_is(word: str) -> None:
    text = example_text(f"{word}.example.yml")
    missing = [info.encode_name for struct in set(_structs(FILES[word])) for info in fields(struct) if f"{info.encode_name}:" not in text]
    assert missing == []


def test_the_short_form_of_the_example_works_when_it_is_uncommented(tmp_path: Path) -> None:
    lines = example_text("proxmox.example.yml").splitlines()
    short = "\n".join(line.removeprefix("# ") for line in lines[lines.index("# proxmox:") :]).replace("change-me", SECRET)
    cluster = resolve(load_connections(write(tmp_path, short)), env={})
    assert (cluster.name, cluster.hosts, cluster.token_id, cluster.insecure) == ("proxmox", ("pve1.lan",), "pvectl@pve!ops", False)


def test_verify_ssl_false_of_the_short_form_means_insecure(tmp_path: Path) -> None:
    text = f"proxmox: {{host: pve1, user: a@pve, token_name: ops, token_value: {SECRET}, verify_ssl: false}}"
    assert resolve(load_connections(write(tmp_path, text)), env={}).insecure is True


@pytest.mark.parametrize(
    "document",
    ["clusters: {lab: {hosts: abc}}", "clusters: {lab: {hosts: [a], tokn_id: x}}", "tls: 1", GOOD + "    tls: {insecure: 'yes'}\n"],
)
def test_what_the_json_schema_refuses_the_loader_refuses_too(tmp_path: Path, document: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(document), json_schema(FILES["proxmox"]))
    with pytest.raises(ConfigProblems):
        load_connections(write(tmp_path, document))


class _Job(Struct, frozen=True, kw_only=True):
    """A section as later jobs will have them."""

    grace: Annotated[int, Meta(extra={"form": "duration"})] = 0
    at: Annotated[str, Meta(extra={"form": "time-of-day"})] = "00:00"
    count: Annotated[int, Meta(ge=1, le=9)] = 1
    ratio: float = 0.5
    wake: Literal["required", "optional"] = "optional"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("grace: soon", "expected a duration such as 90s, 30m, 2h or 1d (a plain number is seconds), got 'soon'", "write 30m, 2h or 1d"),
        ("grace: 22:30", "expected a duration such as 90s, 30m, 2h or 1d (a plain number is seconds), got '22:30'", "write 30m, 2h or 1d"),
        ("at: 22:30", "a time of day must stand in quotes", 'write "22:30": other YAML readers take the bare form for a number'),
        ("at: 2230", "expected a time of day, got the number '2230'", 'write "22:30", in quotes'),
        ("at: '25:00'", "expected a time of day, got '25:00'", 'a day goes from "00:00" to "23:59"'),
        ("at: 10pm", "expected a time of day, got '10pm'", 'write "22:00", in quotes'),
        ("count: 0", "expected a number from 1 to 9, got 0", None),
        ("count: 1.5", "expected a whole number, got '1.5'", None),
        ("count: '5'", "expected a whole number, got '5'", "without quotes"),
        ("ratio: much", "expected a number, got 'much'", None),
        ("wake: optionl", "expected one of required, optional, got 'optionl'", "did you mean optional?"),
        ("grace: [1]", "expected a duration such as 90s, 30m, 2h or 1d (a plain number is seconds), got a list", None),
    ],
)
def test_units_times_numbers_and_words_are_told_what_is_expected(text: str, message: str, hint: str | None) -> None:
    document = read_document(text.encode(), "pvectl.yml")
    assert document is not None
    (problem,) = check(document, _Job, "pvectl.yml").problems
    assert (problem.message, problem.hint, problem.where) == (message, hint, f"pvectl.yml:1:{text.index(' ') + 2}")


def test_units_times_numbers_and_words_in_order_become_values() -> None:
    document = read_document(b"{grace: 30m, at: '22:30', count: 9, ratio: 1, wake: required}", "pvectl.yml")
    assert document is not None
    assert check(document, _Job, "f").value == _Job(grace=1800, at="22:30", count=9, ratio=1.0, wake="required")


def test_a_first_configuration_is_for_its_owner_alone_and_never_overwrites(tmp_path: Path) -> None:
    target = tmp_path / "a" / "pvectl"
    old = os.umask(0)
    try:
        assert all(one.written for one in install(target))
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in target.iterdir()}
    assert modes == dict.fromkeys(["proxmox.yml", "pvectl.yml", "proxmox.schema.json", "pvectl.schema.json"], 0o600)
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    (target / "proxmox.yml").write_text("mine")
    (target / "pvectl.yml").unlink()
    assert [Path(one.file).name for one in install(target) if one.written] == ["pvectl.yml"]
    assert (target / "proxmox.yml").read_text() == "mine"
    assert json.loads((target / "proxmox.schema.json").read_text()) == json_schema(FILES["proxmox"])


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotWrite, match="cannot write") as caught:
        install(tmp_path / "file" / "pvectl")
    assert caught.value.exit_code == 73


def test_importing_the_loader_loads_nothing_that_only_a_file_or_an_error_needs() -> None:
    heavy = {"yaml", "difflib", "subprocess", "ssl", "hashlib", "selectors", "json"}
    program = f"import sys, pvectl.config.load; print(*{heavy!r} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == ""


def test_a_cluster_is_chosen_by_name_by_being_alone_or_by_default(tmp_path: Path) -> None:
    from pvectl.config.load import choose_cluster
    from pvectl.errors import ConfigError, UsageError

    one = load_connections(write(tmp_path, GOOD))
    assert choose_cluster(one) == "lab"
    with pytest.raises(UsageError, match=r"there is no cluster 'lba' in .*proxmox.yml") as usage:
        choose_cluster(one, "lba")
    assert usage.value.hint == "did you mean lab?"
    two = GOOD + GOOD.replace("clusters:\n  lab:", "  home:")
    with pytest.raises(ConfigError, match=r"has several clusters \(lab, home\) and none was chosen"):
        choose_cluster(load_connections(write(tmp_path, two)))
    with pytest.raises(UsageError) as usage:
        choose_cluster(load_connections(tmp_path), "zzz")
    assert usage.value.hint == "known are: lab, home"
    assert choose_cluster(load_connections(tmp_path), "home") == "home"
    assert choose_cluster(load_connections(write(tmp_path, two + "default_cluster: home\n"))) == "home"


def test_a_ca_file_must_be_there_and_be_one(tmp_path: Path) -> None:
    write(tmp_path, GOOD + "    tls: {ca_file: ca.pem}\n")
    connections = load_connections(tmp_path)
    with pytest.raises(ConfigProblems) as caught:
        resolve(connections, env={})
    assert told(caught.value) == [(6, 20, "clusters.lab.tls.ca_file", f"there is no file {tmp_path}/ca.pem")]
    write(tmp_path, "hello", name="ca.pem", mode=0o644)
    with pytest.raises(ConfigProblems, match="holds no certificate in PEM form"):
        resolve(connections, env={})
    write(tmp_path, "-----BEGIN CERTIFICATE-----\n", name="ca.pem", mode=0o644)
    assert resolve(connections, env={}).ca_file == str(tmp_path / "ca.pem")
