"""One look at a directory finds everything wrong with all its files."""

from __future__ import annotations

from pathlib import Path

from pvectl.config.survey import survey
from pvectl.errors import UnsafeFile
from tests.config.folders import GOOD, SECRET, write

TWO = GOOD + GOOD.replace("clusters:\n  lab:", "  away:").replace(
    f"token_value: {SECRET}", "token_file: away.token\n    tls: {ca_file: ca.pem}"
)


def test_a_directory_in_order_has_nothing_to_complain_about(tmp_path: Path) -> None:
    found = survey(write(tmp_path, GOOD), {})
    assert (found.problems, found.faults, dict(found.files)) == ((), (), {"proxmox.yml": True, "pvectl.yml": False})
    assert found.connections is not None
    assert found.jobs is not None


def test_problems_of_both_files_and_of_every_cluster_come_together(tmp_path: Path) -> None:
    write(tmp_path, TWO.replace(SECRET, "change-me"))
    write(tmp_path, "tags: 1\n", name="pvectl.yml")
    found = survey(tmp_path, {})
    assert [(Path(one.file).name, one.path) for one in found.problems] == [
        ("proxmox.yml", "clusters.lab.token_value"),
        ("proxmox.yml", "clusters.away.token_file"),
        ("proxmox.yml", "clusters.away.tls.ca_file"),
        ("pvectl.yml", "tags"),
    ]


def test_an_open_file_does_not_keep_the_others_from_being_checked(tmp_path: Path) -> None:
    write(tmp_path, GOOD, mode=0o644)
    write(tmp_path, "tags: 1\n", name="pvectl.yml")
    found = survey(tmp_path, {})
    assert [type(fault) for fault in found.faults] == [UnsafeFile]
    assert [one.path for one in found.problems] == ["tags"]


def test_an_open_token_file_is_found_and_the_other_cluster_still_checked(tmp_path: Path) -> None:
    write(tmp_path, TWO.replace(SECRET, "change-me"))
    write(tmp_path, SECRET, name="away.token", mode=0o644)
    found = survey(tmp_path, {})
    assert [fault.exit_code for fault in found.faults] == [77]
    assert [one.path for one in found.problems] == ["clusters.lab.token_value"]
