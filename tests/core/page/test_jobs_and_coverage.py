"""What pvectl is up to, and what it could and could not check."""

from __future__ import annotations

from msgspec.structs import replace

from pvectl.core.monitor.monitored import Listing, NodeFacts
from pvectl.core.monitor.page.seen import Beside, IdleNode, Planned
from tests.core.monitor.cluster import (
    NOW,
    known,
    listing,
    whole,
)
from tests.core.page import pages
from tests.core.page.pages import DARK, NOTHING, section, troubled_tree, whole_tree
from tests.support.markup import Tag


def test_idle_check_shows_the_way_each_node_is_on() -> None:
    idle = section(whole_tree(), "idle")
    first, second = [each for each in idle.one("ul").content if isinstance(each, Tag)]
    steps = first.one("ol").every("li")
    assert [step.told for step in steps] == ["busy", "idle", "notice", "drain", "off"]
    assert [step.attributes.get("aria-current") for step in steps] == [None, "step", None, None, None]
    assert "past" in steps[0].classes
    assert "off at 12:10 at the earliest" in first.told
    assert "phase: held" in second.told
    assert second.every("ol") == []
    undecided = Beside(idle=(IdleNode(node="pve2", detail="idle-check has not looked at it yet", at=NOW),))
    assert section(pages.tree(whole(), undecided), "idle").one("li").told == "pve2idle-check has not looked at it yet"


def test_the_next_schedules_are_told_by_the_readers_clock_and_by_their_own() -> None:
    night, weekend = section(whole_tree(), "schedules").one("ul").every("li")
    assert "in 9h 30m" in night.told
    assert night.one("p", class_="when").told == "21:30"
    assert "2026-11-22 22:30 in Europe/Berlin" in night.told
    assert "shuts down stage desktops, stage apps, then switches off pve2" in night.told
    assert weekend.one("p", class_="when").told == "2026-11-27 12:00"
    assert "UTC" not in weekend.told
    assert "dry run: only shown, not carried out" in weekend.told


def test_a_job_that_is_off_says_so_and_one_that_is_not_set_up_takes_no_room() -> None:
    off = pages.tree(whole(), Beside(idle_note="idle-check is switched off", planned_note="all are switched off"))
    assert "idle-check is switched off" in section(off, "idle").told
    assert "all are switched off" in section(off, "schedules").told
    none = pages.tree(whole(), Beside())
    assert none.every("section", id="idle") == []
    assert none.every("section", id="schedules") == []
    assert "Next schedules" not in none.one("nav").told


def test_of_very_many_nodes_and_times_the_first_are_shown_and_the_others_counted() -> None:
    idle = tuple(IdleNode(node=f"n{number}", detail="busy", at=NOW) for number in range(30))
    planned = tuple(Planned(schedule=f"s{number}", at=NOW, wall="", tz="UTC") for number in range(25))
    tree = pages.tree(whole(), Beside(idle=idle, planned=planned))
    assert "6 more nodes not shown here" in section(tree, "idle").told
    assert "1 more time not shown here" in section(tree, "schedules").told


def test_coverage_names_what_could_not_be_seen_and_the_lines_that_grant_it() -> None:
    coverage = section(troubled_tree(), "coverage")
    partial = coverage.every("table")[0]
    (row,) = [row for row in partial.one("tbody").every("tr") if "disk.smart" in row.told]
    assert "2 of 3" in row.told
    assert "the node did not answer within 5 s" in row.told
    assert "partly blind" in row.told
    (row,) = [row for row in partial.one("tbody").every("tr") if "backup.uncovered" in row.told]
    assert "lacks Sys.Audit on /" in row.told
    assert "blind" in row.one("td", class_="state").told
    assert "pveum acl modify / --tokens 'pvectl@pve!mon' --roles PVEAuditor" in [code.told for code in coverage.every("code")]
    everything = coverage.every("details")[0].one("tbody").every("tr")
    assert len(everything) > 40
    assert any("switched off" in row.told for row in everything)


def test_coverage_of_a_cluster_seen_whole_says_so_with_the_age_of_slow_answers() -> None:
    coverage = section(whole_tree(), "coverage")
    assert "every check saw everything it is about" in coverage.told
    slow = coverage.every("details")[1]
    assert "the oldest 10m" in slow.one("summary").told
    (row,) = [row for row in slow.one("tbody").every("tr") if row.told.startswith("the disks of the nodes")]
    assert [cell.told for cell in row.every("td")] == ["3", "10m", "10m"]
    assert "The oldest answer on it was 10m old then" in whole_tree().one("footer").told
    unproven = pages.tree(replace(whole(), sight=NOTHING))
    assert "the list of guests is not proven complete" in section(unproven, "coverage").told
    assert "nothing to look at" in section(pages.tree(listing(whole(), guests=())), "coverage").told


def test_a_page_of_answers_just_given_tells_no_ages() -> None:
    view = replace(
        DARK, membership=replace(whole().membership, taken_at=NOW), resources=known(Listing(), age=0), nodes=(NodeFacts(name="pve1"),)
    )
    assert len(section(pages.tree(view), "coverage").every("details")) == 1
