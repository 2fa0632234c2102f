"""`pvectl alert explain`: the one incident somebody means, and all about it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from msgspec.structs import replace

from pvectl.cli.alerts import explained_page
from pvectl.core.alerts.incident import Records
from pvectl.core.alerts.notification import notice
from pvectl.core.alerts.outbox import Row
from pvectl.core.monitor.finding import Levels, Severity, Unit
from tests.cli.alerts.desk import DOWN, FINE, FULL, NODE, STOPPED, STORAGE, Desk
from tests.core.alerts.runs import bad, saw


def test_an_incident_is_found_by_what_it_is_about_and_by_its_id(night: Desk) -> None:
    id_ = night.incident().id
    for word in (NODE, id_, id_[:6], id_.upper()):
        assert night.pvectl("alert", "explain", word, "-o", "json").json["data"]["incident"]["id"] == id_


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("node.ofline/node/pve2", f"did you mean {NODE}?"),
        ("pve2", f"did you mean {NODE}?"),
        ("xyz", "pvectl alert list --all shows what there is"),
        (" ", "pvectl alert list --all shows what there is"),
    ],
)
def test_a_typo_finds_what_was_meant(night: Desk, word: str, hint: str) -> None:
    ended = night.pvectl("alert", "explain", word)
    assert (ended.code, ended.out) == (2, "")
    assert f"pvectl: there is no incident '{word}'\nhint: {hint}" in ended.err


def test_the_beginning_of_several_ids_is_none_of_them(night: Desk) -> None:
    records = _records(night)
    twin = replace(records.incidents[NODE], id=records.incidents[NODE].id[:4] + "0" * 12)
    with night.opened() as alerts:
        incidents = {**records.incidents, "storage.usage/storage/nfs": replace(twin, finding=FULL)}
        alerts.write_records(records, replace(records, incidents=incidents))
    ended = night.pvectl("alert", "explain", twin.id[:4])

    assert ended.code == 2
    assert all(name in ended.err for name in (NODE, "storage.usage/storage/nfs", "give more of the id"))


def test_explain_tells_rule_value_evidence_history_and_each_receiver(night: Desk) -> None:
    page = night.pvectl("alert", "explain", NODE).out

    for line in (
        "critical, firing for 6m",
        "node pve2 is offline",
        "  check        node.offline, which looks whether the node is there",
        "  rests on     /cluster/resources status, 3s old",
        "  to do        pvectl node wake pve2",
        "  explains     1 further problem: guest.onboot_stopped/guest/120",
        "  name         nodes",
        "  told         once it has lasted 2m",
        "  over         once it has been fine for 5m",
        "  repeated     every 1h while it lasts",
        "  mail         told 12:06 (firing); again 13:06",
        "  phone        firing waits: 1 try, last 12:06: no route to host; tried by the next run",
        "history  (UTC)",
        "  2026-11-22 12:01:00  seen       critical",
        "  2026-11-22 12:06:00  queued     firing to phone",
    ):
        assert line in page, page
    assert (
        "value        87%; warning above 85%, critical above 95%, good again down to 80%"
        in night.pvectl("alert", "explain", "storage.usage/storage/nfs").out
    )


def test_the_dates_of_a_page_are_in_the_readers_zone(night: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    page = night.pvectl("alert", "explain", NODE).out

    assert "history  (CET)\n  2026-11-22 13:01:00  seen" in page
    assert "mail         told 13:06 (firing); again 14:06" in page


def test_explain_works_without_rules_that_can_be_read(night: Desk) -> None:
    night.configure("alert: {rules: [{nmae: x}]}")
    ended = night.pvectl("alert", "explain", NODE)

    assert ended.code == 0
    assert "which rule applies is not known" in ended.err
    assert "mail         told 12:06 (firing)" in ended.out


def test_explain_tells_each_reason_why_nobody_is_told(night: Desk) -> None:
    def told(word: str, receiver: str = "mail") -> dict[str, Any]:
        rows = night.pvectl("alert", "explain", word, "-o", "json").json["data"]["receivers"]
        found: dict[str, Any] = next(row for row in rows if row["receiver"] == receiver)
        return found

    storage = "storage.usage/storage/nfs"
    assert (told(NODE)["why"], told(NODE)["until"]) == ("known", "2026-11-22T13:06:00Z")
    assert (told(NODE, "phone")["why"], told(NODE, "phone")["waiting"]["error"]) == ("on-its-way", "no route to host")
    assert (told(storage)["why"], told(storage)["until"]) == ("pending", "2026-11-22T12:11:00Z")
    assert told("guest.onboot_stopped/guest/120")["why"] == "inhibited"
    night.pvectl("alert", "ack", NODE)
    assert told(NODE)["why"] == "acknowledged"
    night.pvectl("alert", "silence", "add", "--node", "pve2", "--for", "1h", "--reason", "x")
    assert told(NODE)["why"] == "silenced"
    night.configure("alert: {receivers: {new: {type: sendmail}}}")
    assert told(NODE)["why"] == "nobody"


def test_an_incident_nobody_remembers_is_told_from_its_messages(night: Desk) -> None:
    id_ = night.incident().id
    night.run(FINE)
    night.advance(600)
    night.run(FINE)
    night.advance(90_000)
    night.run(FINE)
    page = night.pvectl("alert", "explain", id_[:8]).out

    assert f"incident {id_}: ok, over after 16m" in page
    assert "by its messages; the rest is no longer known" in page
    assert "sent  resolved to mail" in page


def _records(desk: Desk) -> Records:
    with desk.opened() as alerts:
        return alerts.records()


def test_a_page_tells_what_it_follows_from_who_knows_it_and_which_event_it_was(night: Desk) -> None:
    upid = "UPID:pve1:0001:00AB:6521A0B1:vzdump:100:root@pam:"
    failed = bad("task.failed", "task/pve1/vzdump/100", Severity.WARNING, key=upid, node="pve1", objects=("guest/100",))
    night.run(saw(DOWN, STOPPED, failed))
    night.pvectl("alert", "ack", "task.failed/task/pve1/vzdump/100", "--note", "disk swapped")
    rule = "{checks: task.*, receivers: [], repeat: 0, template: t}"
    night.configure(f"alert: {{receivers: {{mail: {{type: sendmail}}}}, rules: [{rule}], templates: {{t: {{subject: x}}}}}}")
    event = night.pvectl("alert", "explain", "task.failed/task/pve1/vzdump/100").out
    guest = night.pvectl("alert", "explain", "guest.onboot_stopped/guest/120").out

    assert "  what         task/pve1/vzdump/100 on node pve1: guest/100\n" in event
    assert f"  event        {upid}\n" in event
    assert ", unless it gets worse than warning: disk swapped\n" in event
    assert "  told         at once\n  over         at once\n  repeated     never\n  template     t\n" in event
    assert "  mail         told 12:07 (firing); the rule does not name it" in event
    assert "  follows from node.offline/node/pve2\n" in guest
    assert "  mail         not told; it follows from another incident" in guest


def test_the_id_of_a_message_leads_to_what_it_is_about(night: Desk) -> None:
    row = next(row for row in night.rows() if row.notification.stories[0].name == NODE)
    assert night.pvectl("alert", "explain", row.id).out == night.pvectl("alert", "explain", NODE).out


def test_the_id_of_a_message_about_several_incidents_or_none_is_called_so(desk: Desk) -> None:
    desk.run(saw(DOWN, FULL))
    ids = {row.id for row in desk.rows()}
    with desk.opened() as alerts:
        note = notice("mail", "pve2 is off", "", cluster="lab", key="x", made_at=desk.clock.now())
        alerts.put_rows(Row(notification=note, queued_at=note.made_at, waiting_since=note.made_at))

    several = desk.pvectl("alert", "explain", ids.pop())
    assert (several.code, "this is a message about 2 incidents\nhint: pvectl alert list" in several.err) == (2, True)
    none = desk.pvectl("alert", "explain", note.id)
    assert (none.code, "this is no incident but a message: pve2 is off" in none.err) == (2, True)


def test_a_page_without_anybody_to_tell_says_so(night: Desk) -> None:
    night.configure("alert: {receivers: {mail: {type: sendmail}}, rules: [{checks: storage.*, receivers: []}]}")
    assert "receivers\n  nobody is told of it\n" in night.pvectl("alert", "explain", STORAGE).out


def test_a_page_of_what_is_over_says_until_when_and_why(night: Desk) -> None:
    night.run(saw(off=("node.offline",)))
    night.advance(300)
    night.run(saw(off=("node.offline",)))
    page = night.pvectl("alert", "explain", NODE).out
    assert "ok, over after 11m" in page
    assert "  until        12:12: it is no longer checked\n" in page
    assert "to do" not in page


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.874, Unit.RATIO, "87%"),
        (7200, Unit.SECONDS, "2h"),
        (1536, Unit.BYTES, "1.5 KiB"),
        (3.25, Unit.DAYS, "3.2 days"),
        (30.0, Unit.DAYS, "30 days"),
        (12.0, Unit.COUNT, "12"),
        (1.5, None, "1.5"),
    ],
)
def test_a_value_has_its_unit(value: float, unit: Unit | None, words: str) -> None:
    assert explained_page.amount(value, unit) == words


def test_levels_say_in_which_direction_they_are_bad() -> None:
    falling = bad(levels=Levels(warn=30, crit=7, clear=35), unit=Unit.DAYS, falling=True)
    counted = bad(levels=Levels(warn=3, clear=2), unit=Unit.COUNT)
    assert explained_page.levels_of(falling) == "warning down from 30 days, critical down from 7 days, good again above 35 days"
    assert explained_page.levels_of(counted) == "warning from 3, good again below 2"
    assert explained_page.levels_of(bad()) == ""
