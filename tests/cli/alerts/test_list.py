"""`pvectl alert list`: what is open, since when, who was told, or why nobody was."""

from __future__ import annotations

import csv
import io

import pytest

from pvectl.cli.alerts import words as alert_words
from pvectl.core.alerts.incident import Records
from pvectl.core.alerts.telling import Explanation, Why
from tests.cli.alerts.desk import FINE, NODE, NOON, Desk


def test_the_list_says_what_is_open_and_who_was_told(night: Desk) -> None:
    ended = night.pvectl("alert", "list")
    titles, node, storage, guest, empty, summary = ended.out.splitlines()

    assert (ended.code, ended.err) == (0, "")
    assert titles.split() == ["ID", "SEVERITY", "PHASE", "FOR", "WHAT", "TOLD"]
    assert "  critical  firing    6m  node pve2 is offline  " in node
    assert node.endswith("told mail 12:06; on its way to phone")
    assert "warning   pending" in storage
    assert storage.endswith("told when it still lasts at 12:11")
    assert guest.endswith("not told by itself: it follows from node.offline/node/pve2")
    assert (empty, summary) == ("", "1 critical open; 1 pending; 1 incident that merely follows; last run 12:06")


def test_the_list_tells_scripts_the_same(night: Desk) -> None:
    document = night.pvectl("alert", "list", "-o", "json").json
    node = document["data"][0]

    assert (document["schema"], document["cluster"], document["status"]) == ("pvectl/alert-list/v1", "lab", "ok")
    assert [row["finding"] for row in document["data"]] == [NODE, "storage.usage/storage/nfs", "guest.onboot_stopped/guest/120"]
    assert (node["severity"], node["phase"], node["since"], node["rule"], node["why"]) == (
        "critical",
        "firing",
        "2026-11-22T12:01:00Z",
        "nodes",
        "told",
    )
    assert [(word["receiver"], word["delivered_at"], word["on_its_way"]) for word in node["told"]] == [
        ("mail", "2026-11-22T12:06:00Z", False),
        ("phone", None, True),
    ]
    assert document["data"][2]["inhibited_by"] == NODE
    rows = list(csv.DictReader(io.StringIO(night.pvectl("alert", "list", "-o", "csv").out)))
    assert [(row["object"], row["told"], row["value"]) for row in rows] == [
        ("node/pve2", "mail", ""),
        ("storage/nfs", "", "0.87"),
        ("guest/120", "", ""),
    ]


def test_on_a_screen_of_80_columns_the_list_fits_and_loses_nothing(night: Desk) -> None:
    page = night.pvectl("alert", "list", terminal=80).out

    assert max(map(len, page.splitlines())) <= 80
    assert "told mail 12:06; on its way to phone" in page
    assert "told when it still lasts at 12:11" in page
    assert max(map(len, night.pvectl("alert", "outbox", "list", terminal=80).out.splitlines())) <= 80
    assert max(map(len, night.pvectl("alert", "explain", NODE, terminal=80).out.splitlines())) <= 80


def test_without_titles_only_the_rows_are_printed(night: Desk) -> None:
    assert len(night.pvectl("alert", "list", "--no-header").out.splitlines()) == 3
    assert len(night.pvectl("alert", "outbox", "list", "--no-header").out.splitlines()) == 1


def test_what_is_over_is_listed_for_a_day_with_all(night: Desk) -> None:
    night.run(FINE)
    night.advance(600)
    night.run(FINE)

    assert night.pvectl("alert", "list").out == "nothing is open; last run 12:17\n"
    row = night.pvectl("alert", "list", "--all").out.splitlines()[1]
    assert "  ok        over   16m  node pve2 is offline" in row
    assert "over since 12:17" in row


def test_nothing_was_ever_looked_at(desk: Desk) -> None:
    ended = desk.pvectl("alert", "list")

    assert (ended.code, ended.out) == (0, "no alert run has looked yet: pvectl alert run --dry-run shows what it would tell\n")
    assert not desk.state.exists()


@pytest.mark.parametrize(
    ("settings", "remark"),
    [
        ("", "nobody is told of anything: write whom to tell into pvectl.yml: alert: {receivers: {mail: {type: sendmail, to: root}}}"),
        ("alert: {enabled: false}", "alert.enabled is false in pvectl.yml: nobody is told of anything"),
        ("alert: {recievers: {}}", "pvectl.yml could not be read: "),
    ],
)
def test_whoever_reads_the_list_learns_why_nobody_is_told(night: Desk, settings: str, remark: str) -> None:
    night.configure(settings)
    ended = night.pvectl("alert", "list")

    assert ended.code == 0
    assert f"pvectl: {remark}" in ended.err
    assert "node pve2 is offline" in ended.out


def test_the_settings_it_suggests_work(desk: Desk) -> None:
    suggestion = alert_words.HOW_TO_TELL.partition("pvectl.yml: ")[2].partition("; then")[0]
    desk.configure(suggestion)

    assert desk.pvectl("config", "check").code == 0


def test_a_list_of_long_ago_says_so(night: Desk) -> None:
    night.advance(3 * 300)
    assert "the last alert run was 16m ago: pvectl timers status" in night.pvectl("alert", "list").err


def test_an_alertmanager_that_is_shown_everything_is_named(night: Desk) -> None:
    mirror = "receivers: {am: {type: alertmanager, url: 'http://127.0.0.1:9093'}}"
    night.configure(f"alert: {{{mirror}, rules: [{{checks: storage.*, receivers: []}}]}}")
    rows = {row["finding"]: row["shown_to"] for row in night.pvectl("alert", "list", "-o", "json").json["data"]}

    assert rows == {NODE: ["am"], "storage.usage/storage/nfs": [], "guest.onboot_stopped/guest/120": []}
    assert "shown to am" in night.pvectl("alert", "list").out
    assert "  am           shown to it by every run" in night.pvectl("alert", "explain", NODE).out


@pytest.mark.parametrize("why", Why)
def test_every_reason_has_words(night: Desk, why: Why) -> None:
    incident = night.incident()
    explanation = Explanation(
        name=NODE, incident=incident.id, phase=incident.phase, severity=incident.severity, why=why, rule="x", detail="d", until=NOON
    )
    memory = alert_words.Remembered(records=Records(), explanations={NODE: explanation}, silences=())
    said = alert_words.reason(incident, memory, NOON)

    assert bool(said) == (why not in (Why.TOLD, Why.ON_ITS_WAY, Why.ACKNOWLEDGED, Why.OVER, Why.INHIBITED))
