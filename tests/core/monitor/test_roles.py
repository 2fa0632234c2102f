"""What config/roles.md says that each check needs is what the checks need."""

from __future__ import annotations

import re
from pathlib import Path

from pvectl.core.monitor.checks.registry import CHECKS
from pvectl.core.monitor.checks.sources import SOURCES

ROLES = (Path(__file__).parents[3] / "config" / "roles.md").read_text("utf-8")
PATHS = {"/nodes/NODE": "/nodes/{node}", "/storage/NAME": "/storage/{storage}"}
ROW = re.compile(r"^\| (?:`(?P<right>[A-Za-z.]+)` \| `(?P<path>[^`]+)`|none \|) \| (?P<checks>.+) \|$", re.MULTILINE)


def told() -> dict[str, set[tuple[str, str]]]:
    found: dict[str, set[tuple[str, str]]] = {}
    for row in ROW.finditer(ROLES):
        for check in re.findall("`([^`]+)`", row["checks"]):
            needs = found.setdefault(check, set())
            if row["right"]:
                needs.add((row["right"], PATHS.get(row["path"], row["path"])))
    return found


def needed(check: str) -> set[tuple[str, str]]:
    """The least powerful rights, as far as one of a whole tree does not cover that of a part."""
    needs = {pair for source in CHECKS[check].sources for need in SOURCES[source].needs[:1] for pair in need}
    # the role of See is granted at the roots, and the storages on the list are Datastore.Audit's
    needs = {(right, {"/vms/{vmid}": "/vms"}.get(path, path)) for right, path in needs}
    if check.startswith("storage."):
        needs = {pair for pair in needs if pair[0] != "Datastore.Audit"} | {("Datastore.Audit", "/storage")}
    return needs


def test_the_roles_page_names_for_each_check_the_rights_its_sources_need() -> None:
    assert {check: needed(check) for check in CHECKS} == told()


def test_the_roles_page_grants_them_all() -> None:
    granted = {right for line in re.findall(r'pveum role add \S+ --privs "([^"]+)"', ROLES) for right in line.split()}
    assert {right for check in CHECKS for right, _path in needed(check)} <= granted
