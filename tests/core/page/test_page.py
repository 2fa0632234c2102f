"""What the page says at its top and its foot, and that nothing on it can do anything but be read."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import timedelta, timezone
from itertools import pairwise

import pytest
from msgspec.structs import replace

from pvectl.core.monitor.checks.evaluation import evaluate
from pvectl.core.monitor.monitored import MonitorView
from pvectl.core.monitor.page.document import failed, verdict_of
from tests.core.monitor.cluster import (
    EVERYTHING,
    NOW,
    relisted_node,
    whole,
)
from tests.core.page import hostile, pages
from tests.core.page.pages import DARK, NOTHING, section, troubled_tree, whole_tree
from tests.support.markup import read


def test_the_verdict_stands_at_the_top_and_on_the_tab_with_the_time_it_is_from() -> None:
    tree = troubled_tree()
    assert tree.one("h1").told == "5 problems, 2 things could not be checked"
    assert tree.one("title").told == "5 problems, 2 things could not be checked - lab"
    assert tree.one("header").one("time").told == "12:00 on Sunday, 2026-11-22"
    assert "critical" in tree.one("div", class_="verdict").classes
    assert [tile.told for tile in tree.one("ul", class_="tally").every("b")][:3] == ["4", "1", "2"]


@pytest.mark.parametrize(
    ("view", "verdict"),
    [
        (whole(), "Everything that was checked is fine"),
        (DARK, "Nothing could be checked"),
        (replace(whole(), ceph=NOTHING), "Nothing wrong was seen, but 1 thing could not be checked"),
        (relisted_node(whole(), "pve1", cpu=0.93), "1 problem"),
    ],
)
def test_the_verdict_never_sounds_better_than_it_is(view: MonitorView, verdict: str) -> None:
    assert verdict_of(evaluate(view, EVERYTHING)) == verdict


def test_a_look_at_some_checks_only_does_not_pass_for_a_whole_one() -> None:
    tree = read(pages.html_of(evaluate(whole(), EVERYTHING, only=("node.cpu", "node.mem"))))
    assert "Only 2 of " in tree.one("header").told
    assert "were asked for" not in whole_tree().one("header").told


def test_the_footer_tells_version_time_and_cost() -> None:
    told = whole_tree().one("footer").told
    assert "pvectl 1.2.3 at 2026-11-22 12:00:00 UTC, in 0.8 s" in told
    assert " in 0" not in pages.tree(whole(), took=None).one("footer").told


def test_moments_are_told_by_the_readers_clock() -> None:
    east = timezone(timedelta(hours=13), "EAST")
    tree = pages.tree(whole(), local=lambda when: when.astimezone(east))
    assert "01:00 on Monday, 2026-11-23 (EAST)" in tree.one("header").told
    assert tree.one("header").one("time").attributes["datetime"] == "2026-11-22T12:00:00+00:00"
    nowhere = pages.tree(whole(), local=lambda when: when.replace(tzinfo=None))
    assert "(" not in nowhere.one("header").one("div", class_="asof").told


def test_a_page_of_a_run_that_failed_says_why_and_shows_nothing_else() -> None:
    tree = read(failed(NOW, "no host answered", hint="is one of them on?", cluster="lab", local=lambda when: when, version="1"))
    assert tree.one("h1").told == "The cluster could not be looked at"
    assert "no host answered" in tree.one("main").told
    assert "What to do: is one of them on?" in tree.one("main").told
    assert tree.every("nav") == []
    bare = read(failed(NOW, "it broke", cluster=None, local=lambda when: when, version="1"))
    assert "What to do" not in bare.one("main").told
    assert bare.one("title").told == "The cluster could not be looked at"


@pytest.mark.parametrize(
    ("cluster", "membership", "place"),
    [(None, True, "lab · Proxmox VE 9.2.11"), ("home", True, "home · Proxmox VE 9.2.11"), (None, False, "Proxmox VE 9.2.11")],
)
def test_the_place_is_named_as_far_as_it_is_known(cluster: str | None, membership: bool, place: str) -> None:
    view = replace(whole(), cluster=cluster, **({} if membership else {"membership": NOTHING}))
    assert pages.tree(view).one("p", class_="place").told == place


def test_a_place_of_which_nothing_is_known_is_a_cluster() -> None:
    assert pages.tree(DARK).one("p", class_="place").told == "Cluster"


ALLOWED = {
    *("html", "head", "meta", "title", "link", "style", "body", "header", "nav", "main", "section", "footer", "div", "span", "p", "a"),
    *("h1", "h2", "h3", "ul", "ol", "li", "dl", "dt", "dd", "b", "bdi", "code", "time", "details", "summary"),
    *("table", "caption", "thead", "tbody", "tr", "th", "td", "svg", "symbol", "use", "rect", "path", "circle"),
}


@pytest.mark.parametrize("which", ["hostile", "troubled", "fine", "failed"])
def test_nothing_on_the_page_runs_loads_or_leads_anywhere_else(which: str) -> None:
    evil = hostile.EVIL
    texts: dict[str, Callable[[], str]] = {
        "hostile": hostile.html,
        "troubled": lambda: pages.html(pages.troubled()),
        "fine": lambda: pages.html(whole()),
        "failed": lambda: failed(NOW, evil, hint=evil, cluster=evil, local=lambda when: when, version=evil),
    }
    text = texts[which]()
    tree = read(text.removeprefix("<!doctype html>\n"))
    for tag in tree.every():
        assert tag.name in ALLOWED
        assert not {name for name in tag.attributes if name.startswith("on") or name in ("style", "src", "action", "srcdoc")}
        link = tag.attributes.get("href", "#")
        assert link.startswith("#") or (tag.name == "link" and link.startswith("data:image/svg+xml,"))
        if tag.name == "a":
            assert tree.every(id=link.removeprefix("#"))
    # every character that steers is spelled out, in text and in attributes
    assert text.replace("\n", "").isprintable()
    ids = [tag.attributes["id"] for tag in tree.every() if "id" in tag.attributes]
    assert len(ids) == len(set(ids))


def test_hostile_names_stand_on_the_page_as_they_are() -> None:
    tree = read(hostile.html())
    shown = hostile.EVIL.replace("\x1b", "\\x1b").replace("\r\n", "\\x0d\\x0a").replace("\u202e", "\\u202e")
    shown = shown.replace("\u2028", "\\u2028").replace("\x00", "\\x00")
    for part in ("problems", "nodes", "storages", "idle", "schedules", "guests", "coverage"):
        assert shown in section(tree, part).told
    for part in ("header", "footer", "title"):
        assert shown in tree.one(part).told


def test_the_policy_allows_this_style_sheet_and_nothing_else() -> None:
    tree = whole_tree()
    (policy,) = [tag.attributes["content"] for tag in tree.every("meta") if tag.attributes.get("http-equiv")]
    sheet = tree.one("style").told
    digest = base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    assert "url(" not in sheet
    assert "@import" not in sheet


def test_landmarks_and_headings_lead_through_the_page() -> None:
    tree = troubled_tree()
    assert tree.one("html").attributes["lang"] == "en"
    for landmark in ("header", "nav", "main", "footer", "h1"):
        assert len(tree.every(landmark)) == 1
    for part in tree.every("section"):
        assert tree.every(id=part.attributes["aria-labelledby"])
    levels = [int(tag.name[1]) for tag in tree.every() if re.fullmatch(r"h\d", tag.name)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert all(table.one("caption").told for table in tree.every("table"))
    assert all(svg.attributes["aria-hidden"] == "true" for svg in tree.every("svg"))
