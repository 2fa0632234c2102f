"""The `tags` commands against the simulated cluster."""

import pytest

from tests.cli.conftest import Connect
from tests.support.scenarios import MIXED


def test_tags_are_listed_with_their_guests(lab: Connect) -> None:
    home, _ = lab(MIXED)

    document = home.pvectl("tags", "list", "-o", "json").json

    assert document["schema"] == "pvectl/tags-list/v1"
    assert document["data"] == [
        {"tag": "db", "vmids": [100]},
        {"tag": "prod", "vmids": [100, 101]},
        {"tag": "safe-shutdown", "vmids": [200, 201]},
        {"tag": "web", "vmids": [101, 102]},
    ]


def test_a_tag_is_put_on_every_selected_guest_and_read_back(lab: Connect) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("tags", "add", "nightly,lab", "web*,200", "--yes", "-o", "json")

    assert ended.code == 0, ended.err
    assert [(row["vmid"], row["status"], row["tags"]) for row in ended.json["data"]] == [
        (101, "done", ["lab", "nightly", "prod", "web"]),
        (102, "done", ["lab", "nightly", "web"]),
        (200, "done", ["lab", "nightly", "safe-shutdown"]),
    ]
    assert sorted(record.path for record in server.writes()) == [
        "/nodes/pve1/lxc/200/config",
        "/nodes/pve1/qemu/101/config",
        "/nodes/pve2/qemu/102/config",
    ]
    assert home.pvectl("tags", "list", "@tag-nightly", "-o", "json").json["data"][1] == {"tag": "nightly", "vmids": [101, 102, 200]}


def test_a_tag_that_is_there_already_is_not_written(lab: Connect) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("tags", "add", "prod", "100,102", "--yes", "-o", "json")

    assert [(row["vmid"], row["reason"], row["status"]) for row in ended.json["data"]] == [
        (100, "tags-unchanged", "skipped"),
        (102, "tags-differ", "done"),
    ]
    assert [record.path for record in server.writes()] == ["/nodes/pve2/qemu/102/config"]


def test_removing_the_last_tag_leaves_no_tag(lab: Connect) -> None:
    home, _ = lab(MIXED)

    assert home.pvectl("tags", "remove", "Web", "102", "--yes").code == 0
    assert home.pvectl("vm", "list", "102", "-o", "json").json["data"][0]["tags"] == []


@pytest.mark.slow
def test_set_replaces_the_whole_list_and_nothing_empties_it(lab: Connect) -> None:
    home, _ = lab(MIXED)

    assert home.pvectl("tags", "set", "gold", "100", "--yes", "-o", "json").json["data"][0]["tags"] == ["gold"]
    assert home.pvectl("tags", "set", "", "100", "--yes").code == 0
    assert home.pvectl("vm", "list", "100", "-o", "json").json["data"][0]["tags"] == []


@pytest.mark.parametrize("word", ["Safe_Shutdown", "two--hyphens", "-lead", "dot.ted", "UPPER"])
def test_a_new_tag_that_is_not_kebab_case_is_refused_with_the_better_spelling(lab: Connect, word: str) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("tags", "add", "--yes", "--", word, "100")

    assert ended.code == 2
    assert word in ended.err
    assert "hint: write " in ended.err
    assert server.requests == []


def test_force_writes_what_pve_allows_and_nothing_else(lab: Connect) -> None:
    home, server = lab(MIXED)

    assert home.pvectl("tags", "add", "dot.ted", "100", "--force", "--yes").code == 0
    assert home.pvectl("tags", "add", "ümlaut", "100", "--force", "--yes").code == 2
    assert len(server.writes()) == 1


def test_s18_a_dry_run_writes_nothing(lab: Connect) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("tags", "add", "nightly", "@all", "--dry-run", "-o", "json")

    assert ended.code == 0, ended.err
    assert {row["status"] for row in ended.json["data"]} == {"dry-run"}
    assert server.writes() == []


def test_without_a_terminal_a_change_needs_yes(lab: Connect) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("tags", "add", "nightly", "100")

    assert ended.code == 2
    assert "--yes" in ended.err
    assert "+nightly" in ended.err
    assert server.writes() == []


@pytest.mark.parametrize("words", [["add", ""], ["remove", ""], ["add", "my tag"]])
def test_a_word_that_is_no_tag_changes_nothing(lab: Connect, words: list[str]) -> None:
    home, server = lab(MIXED)

    assert home.pvectl("tags", *words, "@all", "--yes").code == 2
    assert server.requests == []


def test_s03_a_name_is_looked_up_where_it_is_true(lab: Connect) -> None:
    home, server = lab(MIXED, speed=0)
    for node in ("pve1", "pve2"):
        server.cluster.stop_pvestatd(node)
    server.cluster.set_config(100, name="web1")
    server.cluster.set_config(101, name="db")

    ended = home.pvectl("tags", "remove", "prod", "db", "--yes", "-o", "json")

    assert ended.code == 2
    assert server.writes() == []


def test_half_of_a_typo_changes_nothing(lab: Connect) -> None:
    home, server = lab(MIXED)

    ended = home.pvectl("tags", "add", "nightly", "100,wbe1", "--yes")

    assert ended.code == 2
    assert "wbe1" in ended.err
    assert server.writes() == []


def test_a_guest_locked_by_a_backup_fails_alone_in_pves_words(lab: Connect) -> None:
    home, _ = lab(MIXED)

    ended = home.pvectl("tags", "add", "nightly", "101,104", "--yes", "-o", "json")

    assert ended.code == 1
    assert [(row["vmid"], row["status"]) for row in ended.json["data"]] == [(101, "done"), (104, "failed")]
    assert "VM is locked (backup)" in ended.json["errors"][0]["message"]
    assert "VM is locked (backup)" in ended.err


@pytest.mark.slow
def test_an_edit_survives_somebody_elses_edit(lab: Connect) -> None:
    home, server = lab(MIXED)
    text = "checksum mismatch (file change by other user?)"
    server.fault("status", method="PUT", path="*/config", times=1, code=500, reason=text)

    ended = home.pvectl("tags", "add", "nightly", "100", "--yes", "-o", "json")

    assert ended.code == 0, ended.err
    assert ended.json["data"][0]["status"] == "done"
    assert len(server.writes()) == 2


def test_a_registered_tag_is_refused_in_pves_words_with_the_right_that_is_missing(lab: Connect) -> None:
    scenario = {
        **MIXED,
        "options": {"registered-tags": ["safe-shutdown"]},
        "users": {"ops@pve": {}},
        "tokens": {"ops@pve!tagger": {"secret": "5eb1d2c4-0000-4000-8000-00000000a11e", "privsep": 0}},
        "roles": {"Tagger": "VM.Audit VM.Config.Options"},
        "acl": [{"path": "/vms", "type": "user", "ugid": "ops@pve", "roleid": "Tagger", "propagate": 1}],
    }
    home, _ = lab(scenario)

    ended = home.pvectl("tags", "add", "safe-shutdown", "100", "--yes")

    assert ended.code == 1
    assert "Sys.Modify" in ended.err


def test_lint_names_what_is_odd(lab: Connect) -> None:
    scenario = {**MIXED, "guests": [*MIXED["guests"], {"vmid": 300, "name": "odd", "tags": "Safe_Shutdown"}]}
    home, _ = lab(scenario)

    document = home.pvectl("tags", "lint", "-o", "json").json

    assert document["schema"] == "pvectl/tags-lint/v1"
    assert {remark["tag"].lower() for remark in document["data"]} == {"safe_shutdown"}
    assert {remark["suggestion"] for remark in document["data"]} == {"safe-shutdown"}


def test_a_token_without_the_right_to_edit_is_told_which_right_and_how_to_get_it(lab: Connect) -> None:
    scenario = {
        **MIXED,
        "users": {"ops@pve": {}},
        "tokens": {"ops@pve!auditor": {"secret": "5eb1d2c4-0000-4000-8000-00000000a11e", "privsep": 0}},
        "acl": [{"path": "/", "type": "user", "ugid": "ops@pve", "roleid": "PVEAuditor", "propagate": 1}],
    }
    home, server = lab(scenario)

    ended = home.pvectl("tags", "add", "nightly", "100", "--yes", "-o", "json")

    assert ended.code == 1
    assert "VM.Config.Options" in ended.json["errors"][0]["message"]
    assert "lacks VM.Config.Options on /vms/100: `pvectl doctor` gives the lines" in ended.json["errors"][0]["hint"]
    assert server.cluster.guest(100).config["tags"] == "prod;db"
