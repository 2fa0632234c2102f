"""Whatever a release of Proxmox VE leaves out of an answer, renames or writes as another kind of value: no trouble turns fine."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any

import pytest

from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.checks.registry import CHECKS
from pvectl.core.monitor.checks.sources import SOURCES
from pvectl.core.monitor.finding import Severity
from pvectl.observe.monitor import Memory
from tests.contract.monitor_answers import LATER_THAN, RELEASES, Answers, judged, mended, troubled

# what one of them works out the others use
pytestmark = pytest.mark.xdist_group("releases")

BAD = (Severity.WARNING, Severity.CRITICAL)
Field = tuple[str, ...]
"""The way to a field within a row: "*" stands for whatever key is there."""


def no_quorum(release: str) -> Answers:
    """The HA manager says so, and /cluster/status not yet."""
    answers = troubled(release)
    for row in answers["/cluster/ha/status/current"]:
        if row["type"] == "quorum":
            row["quorate"] = 0
    return answers


def no_quorum_any_more(release: str) -> Answers:
    answers = troubled(release)
    answers["/cluster/status"][0]["quorate"] = 0
    return answers


WORLDS: dict[str, Callable[[str], Answers]] = {"troubled": troubled, "no quorum": no_quorum, "quorum told in two ways": no_quorum_any_more}
ONLY: dict[str, tuple[str, ...]] = {
    "no quorum": ("/cluster/status", "/cluster/ha/status/current"),
    "quorum told in two ways": ("/cluster/status", "/cluster/ha/status/current"),
}
"""The answers that are spoilt in worlds that differ from the first in these only."""

LEFT_OUT = "PVE says no by leaving it out, so nobody could tell"
ANOTHER = "another word there is another thing"
MEANT: dict[tuple[str, str], tuple[str, str]] = {
    ("/cluster/backup", "all"): ("backup.age", "then the job takes no guest, which backup.uncovered tells of every one of them"),
    ("/cluster/ceph/status", "health.checks.*"): ("ceph.health", "the codes are no fields: Ceph names those it has"),
    ("/cluster/resources", "content"): ("backup.verify backup.age", ANOTHER),
    ("/cluster/resources", "hastate"): ("cluster.n1", LEFT_OUT),
    ("/cluster/resources", "lock"): ("guest.lock_age guest.lock_orphan", LEFT_OUT),
    ("/cluster/tasks", "id"): ("guest.lock_age", ANOTHER),
    ("/nodes/pve1/apt/update", "Origin"): ("node.updates", ANOTHER),
    ("/nodes/pve1/qemu/*/config", "onboot"): ("guest.onboot_stopped", LEFT_OUT),
    ("/nodes/pve1/lxc/*/config", "onboot"): ("guest.onboot_stopped", LEFT_OUT),
    ("/nodes/pve1/storage/pbs/content", "content"): ("backup.verify backup.age", ANOTHER),
    ("/nodes/pve1/storage/pbs/content", "verification"): ("backup.verify backup.age", LEFT_OUT),
}
"""(path, field) -> the checks whose trouble may vanish with it, and why; each entry has to be needed."""
RIGHTS = "/access/permissions"
READ_RIGHTS = ("Sys.Audit", "VM.Audit", "Datastore.Audit", "Datastore.AllocateSpace", "VM.Backup")
"""What the monitor may need; the names of the other rights are no fields it reads."""
UNREAD = ("dropped", "an object")
"""When neither changes what is found, nobody reads the field."""


@functools.cache
def bad_in(world: str, release: str) -> dict[tuple[str, str], Severity]:
    """What is wrong, by check and object."""
    found = judged(WORLDS[world](release)).findings
    return {(finding.check, finding.object): finding.severity for finding in found if finding.severity in BAD}


@pytest.mark.parametrize("release", RELEASES)
def test_every_check_finds_its_trouble_in_the_answers_of_each_release(release: str) -> None:
    found = {check for world in WORLDS for check, _object in bad_in(world, release)}
    without = LATER_THAN.get(release, set())
    assert found == set(CHECKS) - {"self.delivery"} - without
    # what a release does not tell is no trouble, and no gap either
    assert not {finding.check for finding in judged(troubled(release)).findings if finding.object == "node/pve1"} & without


def spoilt(data: Any, field: Field, how: str) -> Any:
    """The answer with this field dropped, renamed, or of another kind, in all rows that have it."""
    other = copy.deepcopy(data)
    return other if spoil(other, field, how) else None


def fields_of(data: Any) -> set[Field]:
    if isinstance(data, list):
        return set().union(*map(fields_of, data)) if data else set()
    if not isinstance(data, dict):
        return set()
    return {(key,) for key in data} | {(key, *inner) for key, value in data.items() for inner in fields_of(value)}


def spoil(data: Any, field: Field, how: str) -> bool:
    """Whether anything is another value now."""
    if isinstance(data, list):
        rows = [spoil(row, field, how) for row in data]
        return any(rows)
    if not isinstance(data, dict) or field[0] not in data:
        return False
    key, *rest = field
    if rest:
        return spoil(data[key], tuple(rest), how)
    value = data.pop(key)
    match how:
        case "dropped":
            return True
        case "renamed":
            data[f"{key}-now"] = value
        case "null":
            data[key] = None
        case "a list":
            data[key] = [value]
        case "an object":
            data[key] = {"is": value}
        case "a word":
            data[key] = str(value) if isinstance(value, int | float) else "odd"
        case "a number":
            data[key] = 7 if isinstance(value, str) else value
    return how == "renamed" or data[key] != value


@pytest.mark.parametrize("release", RELEASES)
def test_no_check_finds_anything_in_the_same_answers_with_good_values(release: str) -> None:
    evaluation = judged(mended(release), before=Memory())
    assert [finding.id for finding in evaluation.findings if finding.severity is not Severity.OK] == []
    unseen = {verdict.check for verdict in evaluation.verdicts if not verdict.examined}
    assert unseen == {"self.delivery"} | LATER_THAN.get(release, set())


@functools.cache
def turned_fine(world: str, release: str, path: str) -> tuple[tuple[str, str, str, str], ...]:
    """The troubles that are not told any more, and in whose place nothing is, by what was done to the answer."""
    answers, before = packed(WORLDS[world](release)), bad_in(world, release)
    told = {(finding.check, finding.object, finding.message) for finding in judged(answers).findings}
    data = json.loads(answers[path])["data"]
    lost = []
    for field in sorted(fields_of(data)):
        if path == RIGHTS and len(field) > 1 and field[1] not in READ_RIGHTS:
            continue
        changed = False
        for how in (*UNREAD, "renamed", "null", "a list", "a word", "a number"):
            if how not in UNREAD and not changed:
                break
            other = spoilt(data, field, how)
            if other is None:
                continue
            evaluation = judged({**answers, path: other})
            found = {(finding.check, finding.object, finding.message) for finding in evaluation.findings}
            changed = changed or found != told
            lost += [(".".join(field), how, *one) for one in before if is_lost(evaluation, *one, told=told)]
    return tuple(lost)


def packed(answers: Answers) -> dict[str, Any]:
    """The same, each encoded once and for all."""
    return {path: json.dumps({"data": data}).encode() for path, data in answers.items()}


def is_lost(evaluation: Evaluation, check: str, object_: str, *, told: set[tuple[str, str, str]]) -> bool:
    stands = evaluation.severity_of(check, object_)
    if stands is not None:
        return stands is Severity.OK
    # an object that is called otherwise now, or a check that says it is blind, is no loss
    others = [finding for finding in evaluation.findings if finding.check == check and finding.severity is not Severity.OK]
    return not any((finding.check, finding.object, finding.message) not in told for finding in others)


def cases() -> Iterator[Any]:
    """Each answer once, those of an older release only where they have other fields than the newest one's."""
    newest = troubled(RELEASES[-1])
    for release in RELEASES:
        for world, answers_of in WORLDS.items():
            for path, answer in answers_of(release).items():
                if path not in ONLY.get(world, (path,)) or path in ALIKE or (path == RIGHTS and release != RELEASES[-1]):
                    continue
                if answer and (release == RELEASES[-1] or fields_of(answer) != fields_of(newest[path])):
                    yield pytest.param(
                        world, release, path, id=f"{release}-{world}-{path}", marks=() if path in QUICK else pytest.mark.slow
                    )


QUICK = ("/cluster/config/qdevice", "/nodes/pve1/disks/lvmthin")
ALIKE = {
    f"/nodes/pve1/{guest}/config"
    for guest in ("qemu/102", "qemu/103", "qemu/104", "qemu/105", "qemu/106", "qemu/108", "lxc/201", "lxc/202")
} | {"/nodes/pve1/lxc"}
"""What these guests are asked is spoilt for others of their kind, and the list of containers as that of VMs."""


@pytest.mark.parametrize(("world", "release", "path"), list(cases()))
def test_no_trouble_turns_fine_when_a_field_is_dropped_renamed_or_retyped(world: str, release: str, path: str) -> None:
    assert [one for one in turned_fine(world, release, path) if meant(path, *one) is None] == []


@pytest.mark.slow
def test_what_may_vanish_is_still_needed() -> None:
    lost = [(path, *one) for world, release, path in (case.values for case in cases()) for one in turned_fine(world, release, path)]
    needed = {meant(*one) for one in lost}
    assert set(MEANT) <= needed


def meant(path: str, field: str, _how: str, check: str, _object: str) -> tuple[str, str] | None:
    """The entry that explains why this trouble may vanish."""
    for (place, name), (checks, _why) in MEANT.items():
        if fnmatchcase(path, place) and (fnmatchcase(field, name) or field.startswith(f"{name}.")) and check in checks.split():
            return place, name
    return None


def test_every_source_is_answered() -> None:
    """Each kind of request the monitor makes is among the answers, so that none is left out of the above."""
    paths = set(troubled("9.2"))
    for source in SOURCES.values():
        asked = [source.path.format(node="pve1", storage=name, type="qemu", vmid=101) for name in ("local", "pbs")]
        assert paths.intersection(asked), source.name
