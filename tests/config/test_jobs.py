"""pvectl.yml: what its jobs accept, and what they say about the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from pvectl.config.load import ConfigProblems, load_jobs
from pvectl.config.schema import Activity, IdleCheck, OwnPlace, Probe, PvectlFile, json_schema
from pvectl.config.survey import survey
from tests.config.folders import GOOD, told, write


def _loaded(folder: Path, text: str) -> PvectlFile:
    return load_jobs(write(folder, text, name="pvectl.yml"), {})


def _job(folder: Path, *lines: str) -> IdleCheck:
    return _loaded(folder, "idle_check:\n" + "".join(f"  {line}\n" for line in lines)).idle_check


def _refused(folder: Path, *lines: str) -> ConfigProblems:
    with pytest.raises(ConfigProblems) as caught:
        _job(folder, *lines)
    return caught.value


def test_everything_of_idle_check_can_be_written(tmp_path: Path) -> None:
    job = _job(
        tmp_path,
        "enabled: false",
        "dry_run: true",
        "nodes: [pve2, PVE-3]",
        "tag: may-sleep",
        "exclude: [100, 105]",
        "grace_period: 1h30m",
        "min_uptime: 0",
        "max_gap: 20m",
        "notice: 90s",
        "shutdown_timeout: 120",
        "wake: required",
        "ha: request-stop",
        "controller: per-node",
        "self: {node: pve2}",
        "max_guests_per_run: 0",
        "max_nodes_off: 2",
        "allow_ceph: [pve2]",
        "boot_time: 15m",
        "interval: 10m",
        "probes: [{name: p, argv: [/bin/true], timeout: 1m}]",
        "activity: {cpu: 0.05, network: 20000, window: 30m, guests: tagged}",
    )
    assert job == IdleCheck(
        enabled=False,
        dry_run=True,
        nodes=("pve2", "PVE-3"),
        tag="may-sleep",
        exclude=(100, 105),
        grace_period=5400,
        min_uptime=0,
        max_gap=1200,
        notice=90,
        shutdown_timeout=120,
        wake="required",
        ha="request-stop",
        controller="per-node",
        self=OwnPlace(node="pve2"),
        max_guests_per_run=0,
        max_nodes_off=2,
        allow_ceph=("pve2",),
        boot_time=900,
        interval=600,
        probes=(Probe(name="p", argv=("/bin/true",), timeout=60),),
        activity=Activity(cpu=0.05, network=20_000, window=1800, guests="tagged"),
    )


def test_s08_without_a_configuration_no_node_is_listed_and_no_tag_is_trusted_beyond_its_guest(tmp_path: Path) -> None:
    jobs = load_jobs(tmp_path)
    assert (jobs, jobs.idle_check.nodes, jobs.idle_check.allow_ceph) == (PvectlFile(), (), ())
    assert jobs.idle_check.activity is None
    assert jobs.tags.require_registered is False


@pytest.mark.parametrize(
    ("line", "path", "message", "hint"),
    [
        ('exclude: ["100"]', "exclude[0]", "expected a whole number, got '100'", "without quotes"),
        ("exclude: [true]", "exclude[0]", "expected a whole number, got 'true'", None),
        ("exclude: [1e2]", "exclude[0]", "expected a whole number, got '1e2'", None),
        ("exclude: [0100]", "exclude[0]", "expected a whole number, got '0100'", None),
        ("exclude: [100.0]", "exclude[0]", "expected a whole number, got '100.0'", None),
        ("exclude: [99]", "exclude[0]", "expected a number from 100 to 999999999, got 99", None),
        ("exclude: [-100]", "exclude[0]", "expected a number from 100 to 999999999, got -100", None),
        ("exclude: [100, 101, 100]", "exclude[2]", "the guest '100' stands there twice", "take one of them out"),
        ("exclude: 100", "exclude", "expected a list, got a number", "write it in brackets: [..., ...]"),
    ],
)
def test_s11_vmids_are_strict_whole_numbers(tmp_path: Path, line: str, path: str, message: str, hint: str | None) -> None:
    error = _refused(tmp_path, line)
    assert [(one.path, one.message, one.hint) for one in error.problems] == [(f"idle_check.{path}", message, hint)]


@pytest.mark.parametrize(
    ("line", "path", "message", "hint"),
    [
        ("nodes: [pve2.lan]", "nodes[0]", "'pve2.lan' is a name with its domain", "write the node's name alone: pve2"),
        ("nodes: [../pve2]", "nodes[0]", "'../pve2' is not the name of a node", "write the name Proxmox VE shows, for example pve2"),
        ("nodes: [-pve2]", "nodes[0]", "'-pve2' is not the name of a node", "write the name Proxmox VE shows, for example pve2"),
        ('nodes: ["pve2\\n"]', "nodes[0]", "'pve2\\x0a' is not the name of a node", "write the name Proxmox VE shows, for example pve2"),
        ("nodes: [2]", "nodes[0]", "expected text, got a number", 'put it in quotes: "2"'),
        ("nodes: [no]", None, "", None),
        ("nodes: [pve2, pve3, pve2]", "nodes[2]", "the node 'pve2' stands there twice", "take one of them out"),
        ("nodes: pve2", "nodes", "expected a list, got text", "write it in brackets: [..., ...]"),
        ("allow_ceph: [pve2, pve2]", "allow_ceph[1]", "the node 'pve2' stands there twice", "take one of them out"),
        (
            "tag: Safe-Shutdown",
            "tag",
            "the tag 'Safe-Shutdown' has capitals, and Proxmox VE stores tags in lower case",
            "write safe-shutdown",
        ),
        ("tag: a;b", "tag", "'a;b' is more than one tag", "give one"),
        ("tag: -x", "tag", "'-x' is not a tag", "a tag begins with a letter, a digit or _, and goes on with those, -, + and ."),
        ("tag: ''", "tag", "'' is not a tag", "a tag begins with a letter, a digit or _, and goes on with those, -, + and ."),
        ("wake: requird", "wake", "expected one of required, optional, got 'requird'", "did you mean required?"),
        ("enabled: yes", "enabled", "expected true or false, got 'yes'", "write true"),
        (
            "notice: -5m",
            "notice",
            "expected a duration such as 90s, 30m, 2h or 1d (a plain number is seconds), got '-5m'",
            "write 30m, 2h or 1d",
        ),
        (
            "notice: 5min",
            "notice",
            "expected a duration such as 90s, 30m, 2h or 1d (a plain number is seconds), got '5min'",
            "write 30m, 2h or 1d",
        ),
        ("shutdown_timeout: 0", "shutdown_timeout", "expected at least 1s, got '0'", None),
        ("shutdown_timeout: 2h", "shutdown_timeout", "expected at most 1h, got '2h'", None),
        ("interval: 30s", "interval", "expected at least 1m, got '30s'", None),
        ("max_nodes_off: 0", "max_nodes_off", "expected a number from 1 to 1000, got 0", None),
        ("gracce_period: 1h", "gracce_period", "unknown key", "did you mean grace_period?"),
        ("excluded_vms: [100]", "excluded_vms", "unknown key", "write exclude: [100, 105]"),
        ("activity: {}", "activity", "has no limit", "give cpu, network or both, or take activity out"),
        ("activity: {cpu: 5}", "activity.cpu", "expected a number from 0 to 1, got 5", None),
        ("activity: {cpu: 5%}", "activity.cpu", "expected a number, got '5%'", None),
        ("activity: {cpu: 0.1, window: 2h}", "activity.window", "expected at most 1h, got '2h'", None),
        ("activity: on", "activity", "expected a map, got text", "known here are: cpu, network, window, guests"),
        ("probes: [{name: a, argv: []}]", "probes[0].argv", "is an empty list", "give at least one"),
        ("probes: [{name: a, argv: /bin/true}]", "probes[0].argv", "expected a list, got text", "write it in brackets: [..., ...]"),
        ("probes: [{name: a, argv: [x], command: x}]", "probes[0].command", "unknown key", "write argv: [program, argument, ...], a list"),
        (
            "probes: [{name: a, argv: [x]}, {name: a, argv: [y]}]",
            "probes[1].name",
            "a probe 'a' stands there already",
            "give each probe its own name",
        ),
        ("self: elswhere", "self", "expected elsewhere, {vmid: 105} or {node: pve2}, got 'elswhere'", "did you mean elsewhere?"),
        ("self: [pve2]", "self", "expected elsewhere, {vmid: 105} or {node: pve2}, got a list", None),
        ("self: 105", "self", "expected elsewhere, {vmid: 105} or {node: pve2}, got '105'", None),
        ("self: {vmid: '105'}", "self.vmid", "expected a whole number, got '105'", "without quotes"),
        ("self: {vmid: 105, node: pve2}", "self.node", "stands beside vmid, and only one can be meant", "in a guest, vmid is enough"),
        ("self: {}", "self", "says nothing", "write {vmid: 105} or {node: pve2}, or take self out: pvectl then finds out"),
    ],
)
def test_what_cannot_be_meant_is_told_with_what_can(tmp_path: Path, line: str, path: str | None, message: str, hint: str | None) -> None:
    if path is None:
        assert _job(tmp_path, line).nodes == ("no",)
        return
    error = _refused(tmp_path, line)
    told_first = error.problems[0]
    assert (told_first.path, told_first.message, told_first.hint) == (f"idle_check.{path}", message, hint)
    assert told_first.line == 2


@pytest.mark.parametrize(
    ("text", "value"),
    [("elsewhere", "elsewhere"), ("{vmid: 105}", OwnPlace(vmid=105)), ("{node: pve2}", OwnPlace(node="pve2")), ("", None)],
)
def test_s13_where_pvectl_runs_can_be_said_or_left_to_it(tmp_path: Path, text: str, value: object) -> None:
    assert _job(tmp_path, f"self: {text}").self == value


def test_s14_a_grace_period_that_three_observations_cannot_fit_into_is_refused(tmp_path: Path) -> None:
    error = _refused(tmp_path, "nodes: [pve2]", "grace_period: 60")
    assert told(error) == [
        (3, 17, "idle_check.grace_period", "three observations cannot fit into 1m: with a run every 5m they take 10m"),
    ]
    assert error.hint == "write at least 10m, or a shorter interval"
    assert told(_refused(tmp_path, "grace_period: 599"))[0][2] == "idle_check.grace_period"
    assert _job(tmp_path, "grace_period: 600").grace_period == 600


def test_s14_a_default_grace_period_is_held_against_the_interval_that_was_written(tmp_path: Path) -> None:
    error = _refused(tmp_path, "interval: 20m", "max_gap: 1h")
    assert [(one.path, one.line) for one in error.problems] == [("idle_check.grace_period", 2)]


@pytest.mark.parametrize("gap", ["5m", "299", "0"])
def test_s14_a_gap_no_longer_than_the_interval_would_never_count_and_is_refused(tmp_path: Path, gap: str) -> None:
    error = _refused(tmp_path, f"max_gap: {gap}")
    assert [(one.path, one.hint) for one in error.problems] == [("idle_check.max_gap", "write 15m, which lets two runs in a row be missed")]
    assert _job(tmp_path, "max_gap: 301").max_gap == 301


def test_s15_times_that_leave_nobody_time_to_log_in_after_a_boot_are_refused(tmp_path: Path) -> None:
    lines = ["interval: 1m", "grace_period: 2m", "max_gap: 3m", "min_uptime: 2m"]
    error = _refused(tmp_path, *lines, "notice: 179")
    assert told(error) == [
        (5, 15, "idle_check.min_uptime", "a node would go off 4m59s after a boot, before anybody could stop it"),
    ]
    assert _job(tmp_path, *lines, "notice: 180").notice == 180


@pytest.mark.slow
def test_a_list_of_tens_of_thousands_is_read_at_once(tmp_path: Path) -> None:
    assert len(_job(tmp_path, f"exclude: [{', '.join(str(vmid) for vmid in range(100, 30_100))}]").exclude) == 30_000


def test_a_value_that_is_wrong_in_itself_is_not_judged_again_with_the_others(tmp_path: Path) -> None:
    error = _refused(tmp_path, "interval: soon", "grace_period: 1", "max_gap: 1")
    assert [one.path for one in error.problems] == ["idle_check.interval"]


def test_all_that_is_wrong_with_a_job_is_told_at_once_in_the_order_it_stands_there(tmp_path: Path) -> None:
    error = _refused(tmp_path, "nodes: [pve 2]", "tag: BIG", "exclude: ['100']", "wake: no", "probs: []", "grace_period: 5m")
    assert [(one.line, one.path.removeprefix("idle_check.")) for one in error.problems] == [
        (2, "nodes[0]"),
        (3, "tag"),
        (4, "exclude[0]"),
        (5, "wake"),
        (6, "probs"),
        (7, "grace_period"),
    ]


@pytest.mark.parametrize("key", ["nodes", "grace_period", "dry_run", "tag"])
def test_a_key_of_the_job_beside_its_section_is_sent_into_it(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigProblems) as caught:
        _loaded(tmp_path, f"{key}: 1\n")
    assert caught.value.hint == "it belongs under idle_check:"


@pytest.mark.parametrize(
    ("job", "accepted"),
    [
        ({"grace_period": "45m"}, True),
        ({"grace_period": 2700}, True),
        ({"grace_period": "1h30m"}, True),
        ({"grace_period": "soon"}, False),
        ({"grace_period": 1800.5}, False),
        ({"notice": -1}, False),
        ({"interval": 59}, False),
        ({"exclude": [100]}, True),
        ({"exclude": ["100"]}, False),
        ({"exclude": [True]}, False),
        ({"nodes": ["pve2"]}, True),
        ({"nodes": ["pve2.lan"]}, False),
        ({"tag": "Big"}, False),
        ({"self": "elsewhere"}, True),
        ({"self": {"vmid": 105}}, True),
        ({"self": "here"}, False),
        ({"self": {"vmid": "105"}}, False),
        ({"activity": {"cpu": 0.05}}, True),
        ({"activity": {"cpu": 5}}, False),
        ({"probes": [{"name": "a", "argv": ["x"], "timeout": "5s"}]}, True),
        ({"probes": [{"name": "a", "argv": "x"}]}, False),
        ({"probes": [{"name": "a"}]}, False),
        ({"unknown": 1}, False),
    ],
)
def test_editors_and_the_loader_agree(tmp_path: Path, job: dict[str, Any], *, accepted: bool) -> None:
    document = {"idle_check": job}
    validator = jsonschema.Draft202012Validator(json_schema(PvectlFile))
    assert validator.is_valid(document) is accepted
    if accepted:
        _loaded(tmp_path, yaml.safe_dump(document))
    else:
        with pytest.raises(ConfigProblems):
            _loaded(tmp_path, yaml.safe_dump(document))


def test_an_editor_shows_durations_the_way_people_write_them() -> None:
    keys = json_schema(PvectlFile)["$defs"]["IdleCheck"]["properties"]
    assert (keys["grace_period"]["default"], keys["grace_period"]["type"], keys["grace_period"]["minimum"]) == (
        "30m",
        ["integer", "string"],
        0,
    )
    assert (keys["exclude"]["items"]["type"], keys["max_nodes_off"]["type"]) == ("integer", "integer")


@pytest.mark.parametrize(
    ("text", "remarks"),
    [
        ("", []),
        ("tags: {require_registered: true}\n", []),
        ("idle_check: {nodes: [pve2], allow_ceph: [pve2]}\n", []),
        ("idle_check: {enabled: false}\n", []),
        ("idle_check: {nodes: []}\n", [("idle_check.nodes", 1, 21)]),
        ("idle_check:\n  tag: x\n", [("idle_check.nodes", 2, 3)]),
        ("idle_check:\n  nodes: [pve2]\n  allow_ceph: [pve3, pve2]\n", [("idle_check.allow_ceph[0]", 3, 16)]),
    ],
)
def test_what_is_in_order_but_hardly_meant_is_remarked_on(tmp_path: Path, text: str, remarks: list[tuple[str, int, int]]) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, text, name="pvectl.yml")
    found = survey(tmp_path, {})
    assert [(one.path, one.line, one.column) for one in found.remarks] == remarks
    assert found.problems == ()
