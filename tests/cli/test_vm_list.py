"""`vm list` against the simulated cluster."""

import csv
import io
import subprocess
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Connect
from tests.support.scenarios import MIXED

FIELDS = [
    *("vmid", "type", "name", "node", "status", "tags", "pool", "template", "lock", "hastate"),
    *("cpu", "maxcpu", "mem", "maxmem", "disk", "maxdisk", "uptime", "netin", "netout", "diskread", "diskwrite"),
]


def vmids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["vmid"] for row in rows]


def test_every_guest_is_listed_from_one_request(lab: Connect) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("vm", "list", "-o", "json")

    assert (ended.code, ended.err) == (0, "")
    assert vmids(ended.json["data"]) == [100, 101, 102, 103, 104, 105, 106, 107, 200, 201]
    assert [str(record).split(" -> ")[0] for record in server.requests] == ["GET /cluster/resources"]
    assert len(server.connections) == 1


def test_json_has_the_promised_fields_in_pves_own_words(lab: Connect) -> None:
    home, _ = lab(MIXED)

    document = home.pvectl("vm", "list", "100", "103", "107", "-o", "json").json
    db, golden, failover = document["data"]

    assert document["schema"] == "pvectl/vm-list/v1"
    assert (document["cluster"], document["status"], document["complete"], document["exit_code"]) == ("lab", "ok", True, 0)
    assert list(db) == FIELDS
    assert (db["type"], db["name"], db["node"], db["status"], db["tags"], db["pool"]) == (
        "qemu",
        "db",
        "pve1",
        "running",
        ["db", "prod"],
        "customers",
    )
    assert db["template"] is False
    assert golden["template"] is True
    assert db["lock"] is None
    assert failover["hastate"] == "started"
    assert isinstance(db["maxmem"], int)
    assert isinstance(db["cpu"], float)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["100:102"], [100, 101, 102]),
        (["web*"], [101, 102]),
        (["@tag-safe-shutdown"], [200, 201]),
        (["@pool-customers"], [100, 200]),
        (["@node-pve2,-@tag-web"], [103, 104, 105, 106, 201]),
        (["@all", "--exclude", "100:199"], [200, 201]),
        (["--exclude", "100:199"], [200, 201]),
        (["--status", "stopped"], [102, 103, 201]),
        (["--type", "lxc"], [200, 201]),
        (["--node", "pve1", "--tag", "prod"], [100, 101]),
        (["--tag", "prod", "--tag", "WEB"], [101]),
        (["--pool", "customers"], [100, 200]),
        (["--status", "nonsense"], []),
        (["--sort", "-vmid", "--tag", "prod"], [101, 100]),
        (["--sort", "name", "100:102"], [100, 101, 102]),
    ],
)
@pytest.mark.slow
def test_selectors_and_filters_narrow_the_list(lab: Connect, words: list[str], expected: list[int]) -> None:
    home, _ = lab(MIXED)

    ended = home.pvectl("vm", "list", *words, "-o", "json")

    assert ended.code == 0, ended.err
    assert vmids(ended.json["data"]) == expected


def test_guests_come_in_the_order_of_their_vmids(lab: Connect) -> None:
    home, _ = lab({"guests": [{"vmid": vmid} for vmid in (300, 100, 1000, 200)]})

    assert vmids(home.pvectl("vm", "list", "-o", "json").json["data"]) == [100, 200, 300, 1000]


def test_an_empty_selection_says_what_was_looked_for_and_how_many_are_visible(lab: Connect) -> None:
    home, _ = lab(MIXED)

    ended = home.pvectl("vm", "list", "@tag-safe-shutdwn")

    assert ended.code == 2
    assert ended.out == ""
    assert "'@tag-safe-shutdwn'" in ended.err
    assert "10 guests are visible" in ended.err
    assert "safe-shutdown" in ended.err


@pytest.mark.slow
def test_an_empty_cluster_says_that_a_privilege_may_be_missing(lab: Connect) -> None:
    home, _ = lab({"name": "lab"})

    for words in (["vm", "list"], ["tags", "list"], ["tags", "lint"], ["node", "list"]):
        ended = home.pvectl(*words)

        assert ended.code == 0
        assert "VM.Audit" in ended.err

    assert home.pvectl("vm", "list", "-o", "json").json["complete"] is False
    assert home.pvectl("vm", "list", "100").code == 2


@pytest.mark.parametrize(
    ("words", "remark"),
    [
        (["100,nope"], "no guest matches nope"),
        (["--status", "runing"], "no guest has status 'runing'; nearest: running"),
        (["--node", "pve9"], "no guest has node 'pve9'; nearest: pve"),
        (["--tag", "prdo"], "no guest has the tag 'prdo'; nearest: prod"),
        (["--exclude", "nope"], "no guest matches nope"),
    ],
)
@pytest.mark.slow
def test_what_found_nothing_is_said_beside_the_list(lab: Connect, words: list[str], remark: str) -> None:
    home, _ = lab(MIXED)

    ended = home.pvectl("vm", "list", *words, "--no-header")

    assert ended.code == 0
    assert remark in ended.err
    assert "no guest" not in ended.out


def test_a_filter_cannot_make_an_answer_look_complete(lab: Connect) -> None:
    home, server = lab(MIXED, speed=0)
    server.cluster.crash_node("pve2")

    document = home.pvectl("vm", "list", "--status", "running", "-o", "json").json

    assert {row["node"] for row in document["data"]} == {"pve1"}
    assert document["complete"] is False


def test_what_pve_repeats_of_a_node_that_is_off_is_not_believed(lab: Connect) -> None:
    home, server = lab(MIXED, speed=0)
    server.cluster.crash_node("pve2")

    rows = home.pvectl("vm", "list", "@node-pve2", "-o", "json").json["data"]

    assert {(row["status"], row["uptime"], row["cpu"]) for row in rows} == {("unknown", None, None)}
    assert {row["name"] for row in rows} == {"web2", "golden", "vault", "asleep", "deaf", "proxy"}


def test_text_has_every_guest_on_a_line_of_its_own(lab: Connect) -> None:
    home, _ = lab(MIXED)

    lines = home.pvectl("vm", "list").out.splitlines()

    assert lines[0].split() == ["VMID", "NAME", "TYPE", "NODE", "STATUS", "CPU", "MEM", "UPTIME", "TAGS"]
    assert [int(line.split()[0]) for line in lines[1:]] == [100, 101, 102, 103, 104, 105, 106, 107, 200, 201]
    assert any("vault" in line and "running (backup)" in line for line in lines)
    assert any("golden" in line and "template" in line for line in lines)


def test_columns_are_chosen_by_name(lab: Connect) -> None:
    home, _ = lab(MIXED)

    ended = home.pvectl("vm", "list", "100", "--columns", "name,vmid,maxmem", "--no-header")
    typo = home.pvectl("vm", "list", "--columns", "vmid,nmae")

    assert ended.out.split() == ["db", "100", "2.0", "GiB"]
    assert (typo.code, "did you mean name?" in typo.err) == (2, True)


def test_csv_and_yaml_and_json_lines_carry_raw_values(lab: Connect) -> None:
    home, _ = lab(MIXED)

    as_csv = list(csv.DictReader(io.StringIO(home.pvectl("vm", "list", "-o", "csv").out)))
    as_yaml = yaml.safe_load(home.pvectl("vm", "list", "-o", "yaml").out)
    lines = home.pvectl("vm", "list", "-o", "jsonl").out.splitlines()

    assert list(as_csv[0]) == FIELDS
    assert (as_csv[0]["maxmem"], as_csv[0]["tags"], as_csv[0]["lock"]) == ("2147483648", "db;prod", "")
    assert as_yaml["data"][0]["maxmem"] == 2147483648
    assert len(lines) == 10


def test_guests_of_a_silent_node_stay_on_the_list_as_unknown(lab: Connect) -> None:
    home, server = lab(MIXED, speed=0)
    server.cluster.crash_node("pve2")
    server.cluster.clock.advance(400)

    document = home.pvectl("vm", "list", "-o", "json").json
    unknown = [row for row in document["data"] if row["node"] == "pve2"]

    assert vmids(document["data"]) == [100, 101, 102, 103, 104, 105, 106, 107, 200, 201]
    assert {row["status"] for row in unknown} == {"unknown"}
    assert {row["name"] for row in unknown} == {None}
    assert {row["maxmem"] for row in unknown} == {None}
    assert document["complete"] is False


def test_a_reader_that_leaves_early_is_no_error(lab: Connect) -> None:
    guests = [{"vmid": 100 + number, "name": f"guest{number}"} for number in range(3000)]
    home, _ = lab({"guests": guests})

    command = subprocess.Popen(home.command(["vm", "list"]), env=home.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert command.stdout is not None
    first = command.stdout.readline()
    command.stdout.close()
    assert command.stderr is not None
    complaint = command.stderr.read()
    command.stderr.close()

    assert first.startswith(b"VMID")
    assert (command.wait(), complaint) == (0, b"")
