"""Every problem is told with its object, its measure and its next step, and none twice."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from pvectl.core.model import Known
from pvectl.core.monitor.checks.evaluation import evaluate
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.finding import Severity
from pvectl.core.monitor.monitored import Ceph, CephCheck
from pvectl.core.monitor.page import problems
from pvectl.core.monitor.page.seen import Beside, Seen
from tests.core.monitor.cluster import (
    changed_node,
    guest,
    known,
    listing,
    members,
    whole,
)
from tests.core.monitor.troubles import SOME_QUICKLY, TROUBLES, Trouble
from tests.core.page import pages
from tests.core.page.pages import part_of, section
from tests.support.markup import read


@pytest.mark.parametrize("trouble", SOME_QUICKLY)
def test_every_kind_of_trouble_is_told_with_its_object_and_its_hint(trouble: Trouble) -> None:
    evaluation = evaluate(trouble.view, trouble.settings)
    told = read(problems.section(Seen(evaluation, trouble.settings, Beside(), lambda when: when))).told
    for finding in evaluation.own:
        if finding.severity is not Severity.OK:
            assert finding.message in told
            assert finding.object in told
            for line in (finding.hint or "").split(" && "):
                assert line.rpartition(": ")[2] in told


def test_problems_are_grouped_by_how_bad_they_are_and_words_say_so_besides_colour() -> None:
    problems_ = part_of(problems, pages.troubled())
    assert [heading.told for heading in problems_.every("h3")] == ["Critical (4)", "Warning (1)", "Could not be checked (2)"]
    (memory,) = [card for card in problems_.every("li") if "97% of its memory" in card.told]
    assert "warning above 90%, critical above 95%" in memory.told
    assert memory.one("rect", class_="fill").attributes["width"] == "96.9"
    assert memory.one("path", class_="level").attributes["d"] == "M90 0v8M95 0v8"
    (task,) = [card for card in problems_.every("li") if "vzdump" in card.told]
    assert "Since11:51 (8m 20s)" in task.told


def test_what_to_do_is_given_as_lines_to_copy() -> None:
    problems_ = part_of(problems, pages.troubled())
    lines = [code.told for code in problems_.every("code")]
    assert "pveum acl modify / --users pvectl@pve --roles PVEAuditor" in lines
    assert any(line.startswith("pvenode task log UPID:pve1:") for line in lines)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("orphan lock", "What to do, once sure that nothing works on it, on pve1:qm unlock 100"),
        ("disk fails", "What to do: replace it before it fails"),
        ("messages stuck", "What to do:pvectl alert outbox list"),
        ("disk worn", "warning down from 30%, critical down from 15%"),
        ("replication failed", "warning from 1, critical from 3"),
        ("certificate ends", "warning down from 30 days, critical down from 7 days"),
        ("old snapshot", "warning above 7d, critical above 30d"),
    ],
)
def test_steps_and_levels_are_told_in_words(name: str, told: str) -> None:
    trouble = TROUBLES[name]
    assert told in part_of(problems, trouble.view, trouble.settings).told


def test_a_problem_seen_long_before_tells_when() -> None:
    (node, *_) = whole().nodes
    assert isinstance(node.zfs, Known)
    worn = known((replace(node.zfs.value[0], health="DEGRADED"),), node.zfs.source, age=2400)
    assert "Seen40m before" in part_of(problems, changed_node(whole(), zfs=worn)).told


def test_a_cause_tells_how_much_it_explains_and_its_symptoms_are_not_told_again() -> None:
    problems_ = part_of(problems, members(whole(), pve3=False))
    (offline,) = [card for card in problems_.every("li") if card.one("p", class_="what").told == "node pve3 is offline"]
    assert re.search(r"Explains\d+ other findings", offline.told)
    assert not [card for card in problems_.every("li") if "node.cpu" in card.told]


def test_many_problems_of_one_kind_are_counted_instead_of_listed() -> None:
    many = tuple(guest(1000 + number) for number in range(40))
    view = replace(listing(whole(), guests=many), uncovered=known(frozenset(each.vmid for each in many)))
    told = part_of(problems, view).told
    left = 40 - problems.ALIKE
    assert f"{left} more problems like these (backup.uncovered)" in told
    assert f"and {left - problems.NAMED} others" in told
    few = listing(whole(), guests=many[:10])
    told = part_of(problems, replace(few, uncovered=view.uncovered)).told
    assert f"{10 - problems.ALIKE} more problems like these (backup.uncovered)" in told
    assert "other" not in told.partition("like these (backup.uncovered)")[2].partition("Object")[0]


def test_a_run_that_checked_nothing_does_not_say_that_all_is_fine() -> None:
    evaluation = evaluate(whole(), MonitorSettings(disable=("*",)))
    tree = read(pages.html_of(evaluation))
    assert tree.one("h1").told == "Nothing could be checked"
    assert "Nothing could be checked, so nothing can be said." in section(tree, "problems").told


def test_ceph_and_other_findings_without_a_measure_have_no_bar() -> None:
    view = replace(whole(), ceph=known(Ceph(health="HEALTH_WARN", checks=(CephCheck(code="OSD_DOWN", severity="HEALTH_WARN"),))))
    assert part_of(problems, view).every("svg", class_="bar") == []
