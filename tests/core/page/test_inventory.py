"""Nodes, storages and guests: what is there, how full it is, and what is not known."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pvectl.core.model import Known, Storage
from pvectl.core.monitor.checks.settings import Thresholds
from pvectl.core.monitor.finding import Levels
from pvectl.core.monitor.monitored import GuestDisk, GuestFacts, GuestSettings
from pvectl.core.monitor.page import guests, nodes, storages
from tests.core.monitor.cluster import (
    EVERYTHING,
    GIB,
    changed_guest,
    changed_node,
    guest,
    known,
    listed,
    listing,
    month,
    node,
    relisted,
    relisted_node,
    relisted_storage,
    whole,
)
from tests.core.monitor.troubles import TROUBLES
from tests.core.page import pages
from tests.core.page.pages import DARK, NOTHING, part_of, section
from tests.support.markup import read


def test_nodes_have_bars_with_numbers_and_the_offline_one_has_none() -> None:
    nodes_ = part_of(nodes, pages.troubled())
    assert "2 of 3 online; quorate" in nodes_.told
    busy, plain, off = nodes_.every("li")
    assert "1 critical" in busy.told
    assert "1 warning" in busy.told
    assert "97% 31.0 of 32.0 GiB" in busy.told
    assert "93% of 8 cores" in busy.told
    assert [each.attributes["width"] for each in busy.every("rect", class_="fill")] == ["93", "96.9", "10", "0"]
    assert "critical" not in plain.told
    assert "offline" in off.told
    assert "up 1d" not in off.told
    assert off.every("svg", class_="bar") == []


def test_a_node_that_pvectl_switched_off_is_no_trouble() -> None:
    tree = pages.tree(pages.asleep())
    assert tree.one("h1").told == "Everything that was checked is fine"
    asleep = section(tree, "nodes").every("li")[-1]
    assert asleep.told == "pve3switched off by pvectl at 10:00"
    assert "off" in asleep.classes
    assert "pve3 switched off by pvectl" in section(tree, "nodes").told


def test_what_is_not_known_of_a_node_is_said_and_never_zero() -> None:
    view = changed_node(relisted_node(whole(), "pve1", cpu=None, mem=None, uptime=None, maxcpu=None), "pve1", status=NOTHING)
    card = part_of(nodes, view).every("li")[0]
    assert card.told.count("not known") == 3
    assert "%" not in card.told
    assert len(card.every("svg", class_="unknown")) >= 3
    assert "Swap" not in card.told
    silent = replace(listing(whole(), nodes=()), membership=NOTHING)
    assert "not known" in part_of(nodes, silent).told
    stale = relisted_node(replace(whole(), membership=NOTHING), "pve1", status="unknown")
    assert "unknown" in part_of(nodes, stale).told


@pytest.mark.parametrize(
    ("quorate", "standalone", "told"),
    [(False, False, "not quorate"), (None, False, "quorum not known"), (None, True, "3 of 3 online")],
)
def test_quorum_is_told_where_there_is_one(quorate: bool | None, standalone: bool, told: str) -> None:
    view = whole()
    assert isinstance(view.membership, Known)
    view = replace(view, membership=known(replace(view.membership.value, quorate=quorate, standalone=standalone)))
    summary = part_of(nodes, view).one("div", class_="heading")
    assert told in summary.told
    assert ("quor" in summary.told) is not standalone


def test_of_very_many_nodes_the_worst_are_shown_and_the_others_counted() -> None:
    count = nodes.MOST + 4
    view = listing(whole(), nodes=tuple(node(f"n{number:03}", cpu=0.99 if number == count - 1 else 0.1) for number in range(count)))
    nodes_ = part_of(nodes, view)
    assert len(nodes_.every("li")) == nodes.MOST
    assert f"n{count - 1:03}" in nodes_.told
    assert "7 more nodes not shown here" in nodes_.told


def test_storages_have_a_bar_a_share_and_the_day_they_will_be_full() -> None:
    storages_ = part_of(storages, pages.troubled())
    assert storages_.one("caption").told
    first, *others = storages_.one("tbody").every("tr")
    assert "nfs, 3 nodes" in first.told
    assert "96%960 of 1000 GiB" in first.told
    assert "critical" in first.one("td", class_="state").told
    assert [row.one("td", class_="state").told for row in others] == ["fine"] * 3
    filling = replace(
        whole(), storages=(replace(whole().storages[-1], history=known(month(per_day=17.5 * GIB, last=650 * GIB, total=1000 * GIB))),)
    )
    assert "in 20 days" in part_of(storages, filling).told
    assert "not within a year" in part_of(storages, whole()).told


def test_a_storage_that_tells_no_size_or_is_not_there_says_so() -> None:
    nameless = Storage(storage="san", node="pve1", status="available", shared=False)
    view = listing(relisted_storage(whole(), "nfs", status="unknown"), storages=(*listed(whole()).storages, nameless))
    rows = part_of(storages, view).one("tbody").every("tr")
    (row,) = [row for row in rows if row.told.startswith("san")]
    assert "type not known, on pve1" in row.told
    assert "not known" in row.one("td", class_="measure").told
    assert "not all checked" in row.told
    away = TROUBLES["storage away"].view
    (row,) = [row for row in part_of(storages, away).one("tbody").every("tr") if row.told.startswith("nfs")]
    assert "critical" in row.told


def test_of_very_many_storages_the_fullest_are_shown_and_the_others_counted() -> None:
    row = listed(whole()).storages[0]
    many = tuple(replace(row, storage=f"s{number:03}", disk=number * GIB // 4) for number in range(storages.MOST + 1))
    storages_ = part_of(storages, listing(whole(), storages=many))
    assert "1 more storage not shown here" in storages_.told
    assert f"s{storages.MOST:03}" in storages_.told
    assert "s000" not in storages_.told


def test_guests_show_how_they_stand_and_to_which_point_they_can_go_back() -> None:
    view = relisted(pages.troubled(), 101, tags=tuple(f"tag-{number}" for number in range(8)))
    view = changed_guest(view, 100, settings=known(GuestSettings(disks=(GuestDisk(key="scsi0"), GuestDisk(key="scsi1", backup=False)))))
    guests_ = part_of(guests, view)
    assert "2 running, 1 stopped, 1 template" in guests_.told
    rows = {row.one("th").told.split()[0]: row for row in guests_.one("tbody").every("tr")}
    assert set(rows) == {"100", "101", "200"}
    assert "VM on pve1, locked (backup)" in rows["100"].told
    assert "02:0010h ago, without scsi1" in rows["100"].told
    assert "50%of 2.0 GiB" in rows["100"].told
    assert "and 2 more tags" in rows["101"].told
    assert "container on pve2" in rows["200"].told
    assert rows["200"].every("svg", class_="bar") == []
    assert "stopped" in rows["200"].told


def test_a_guest_without_a_name_a_size_or_a_backup_is_shown_all_the_same() -> None:
    view = listing(whole(), guests=(guest(7, name=None, cpu=None, maxcpu=None, mem=None, maxmem=None, uptime=None),))
    (row,) = part_of(guests, view).one("tbody").every("tr")
    assert row.told.startswith("7VM on pve1")
    assert row.told.count("not known") == 2
    assert "none seen" in row.told
    unread = replace(view, storages=tuple(replace(each, backups=NOTHING) for each in view.storages))
    (row,) = part_of(guests, unread).one("tbody").every("tr")
    assert "none seen" not in row.told
    levels = replace(EVERYTHING, thresholds=Thresholds(guest_cpu=Levels(warn=0.05, crit=0.5)))
    (row,) = part_of(guests, listing(view, guests=(guest(7, cpu=0.1),)), levels).one("tbody").every("tr")
    assert row.every("svg", class_="warning")


def test_of_many_guests_those_that_matter_are_shown_and_the_others_counted() -> None:
    crowd = tuple(guest(1000 + number, status="stopped", lock="backup" if number == 119 else None) for number in range(guests.MOST + 20))
    facts = {each.vmid: replace(whole().guests[200], vmid=each.vmid) for each in crowd}
    view = replace(listing(whole(), guests=crowd), guests=facts)
    told = part_of(guests, view, replace(EVERYTHING, disable=("backup.*",)))
    rows = told.one("tbody").every("tr")
    assert len(rows) == guests.MOST
    assert rows[0].told.startswith("1119")
    assert "20 more guests left out here: all of them fine" in told.told
    uncovered = known(frozenset(range(1000, 1000 + guests.MOST + 15)))
    told = part_of(guests, replace(view, uncovered=uncovered), replace(EVERYTHING, disable=("backup.age",)))
    assert "20 more guests left out here: 15 with a warning" in told.told


def test_a_guest_of_which_nothing_is_seen_is_not_there() -> None:
    tree = pages.tree(DARK)
    assert "No node is known." in section(tree, "nodes").told
    assert "No storage could be seen." in section(tree, "storages").told
    assert "No guest could be seen." in section(tree, "guests").told
    assert "unknown" in tree.one("div", class_="verdict").classes


@pytest.mark.slow
def test_ten_thousand_guests_make_no_larger_a_page_than_one_can_load() -> None:
    crowd = tuple(guest(100 + number, name=f"guest-{number}", cpu=number % 97 / 100, tags=("prod", "web")) for number in range(10_000))
    facts = {each.vmid: GuestFacts(vmid=each.vmid, settings=known(GuestSettings(onboot=True))) for each in crowd}
    text = pages.html(replace(listing(whole(), guests=crowd), guests=facts))
    assert len(text.encode()) < 250_000
    guests_ = section(read(text), "guests")
    assert len(guests_.one("tbody").every("tr")) == guests.MOST
    assert f"{10_000 - guests.MOST:,} more guests left out here" in guests_.told
