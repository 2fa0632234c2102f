"""`pvectl alert test`: a made-up incident takes the way of a real one, reaches one receiver alone, and leaves nothing behind."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from pvectl.core.alerts.outbox import Channel, Limit, Row, State, due
from pvectl.store import open_to_alert
from tests.cli.alerts.desk import CANARY, DOWN, SETTINGS, Desk
from tests.core.alerts.runs import saw
from tests.notify.listening import Listener, answering, listening, saying


def hooked(desk: Desk, listener: Listener, form: str = "raw", kind: str = "webhook") -> None:
    """The desk with a webhook beside its other receivers; its URL is a secret."""
    url = desk.home.write("hook.url", f"{listener.url('/s3cret-hook')}\n")
    body = f"body: {form}, signing_keys: {{secret: topic}}, " if kind == "webhook" else ""
    hook = f"    hook: {{type: {kind}, {body}url: {{file: {url.name}}}}}\n  rules:"
    desk.configure(SETTINGS.format(program=desk.program).replace("  rules:", hook))


def waiting(desk: Desk) -> list[Row]:
    return [row for row in desk.rows() if row.state in (State.PENDING, State.DEAD)]


def test_a_trial_arrives_and_says_which_rule_it_went_by_and_what_it_said(desk: Desk) -> None:
    ended = desk.pvectl("alert", "test", "mail")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("no rule fits it, so the default would treat this: mail, phone would be told, at once\n")
    assert "  this is a test by pvectl, nothing is wrong [lab]\n" in ended.out
    assert ended.out.endswith("mail (sendmail) took it\n")
    mail = desk.mailbox.read_text()
    assert "Subject: [critical] this is a test by pvectl, nothing is wrong [lab]" in mail
    assert mail.count("Message-ID") == 1
    assert [row.state for row in desk.rows()] == [State.SENT]


@pytest.mark.slow
def test_a_trial_goes_by_the_admins_own_rules(desk: Desk) -> None:
    settings = SETTINGS.format(program=desk.program).replace("name: nodes,", "name: nodes, receivers: phone, template: short,")
    desk.configure(settings + '  templates: {short: {subject: "{{ check }} on {{ cluster }}"}}\n')
    trial = desk.pvectl("alert", "test", "mail", "--check", "node.offline", "-o", "json").json["data"]
    page = desk.pvectl("alert", "test", "mail", "--check", "node.offline").out

    assert (trial["rule"], trial["for_s"], trial["receivers"], trial["template"]) == ("nodes", 120, ["phone"], "short")
    assert [message["subject"] for message in trial["messages"]] == ["node.offline on lab"]
    assert page.startswith("rule nodes would treat this: phone would be told, once it has lasted 2m\nit does not name mail, which is told")
    assert "Subject: [critical] node.offline on lab" in desk.mailbox.read_text()


def test_a_trial_that_is_not_delivered_says_why_and_leaves_nothing_waiting(desk: Desk) -> None:
    desk.answers(75, "mailbox is full")
    ended = desk.pvectl("alert", "test", "mail", "-o", "json")

    assert ended.code == 1
    assert ended.json["status"] == "partial"
    assert ended.json["errors"][0]["code"] == "not-delivered"
    assert "mailbox is full" in ended.json["errors"][0]["message"]
    assert ended.json["data"]["delivered"] is False
    assert "NOT delivered: " in desk.pvectl("alert", "test", "mail").out
    assert waiting(desk) == []
    assert {row.state for row in desk.rows()} == {State.DROPPED}


def test_whoever_keeps_incidents_open_is_told_that_the_trial_is_over(desk: Desk) -> None:
    with listening(answering()) as listener:
        hooked(desk, listener)
        ended = desk.pvectl("alert", "test", "hook", "-o", "json")
    told = [heard.json() for heard in listener.requests]

    assert ended.code == 0, ended.err
    assert [message["kind"] for message in ended.json["data"]["messages"]] == ["firing", "resolved"]
    assert [body["status"] for body in told] == ["firing", "resolved"]
    assert told[0]["incident"] == told[1]["incident"]
    assert {heard.target for heard in listener.requests} == {"/s3cret-hook"}


def test_an_alertmanager_is_shown_that_it_fires_and_that_it_is_over(desk: Desk) -> None:
    with listening(answering()) as listener:
        hooked(desk, listener, kind="alertmanager")
        ended = desk.pvectl("alert", "test", "hook")
    (first,), (last,) = (heard.json() for heard in listener.requests)

    assert ended.code == 0, ended.err
    assert ended.out.count("hook (alertmanager) took it") == 2
    assert first["labels"] == last["labels"]
    assert last["endsAt"] < first["endsAt"]
    assert not desk.state.exists()


def test_an_alertmanager_that_refuses_is_not_shown_the_end(desk: Desk) -> None:
    with listening(answering("503 Service Unavailable")) as listener:
        hooked(desk, listener, kind="alertmanager")
        ended = desk.pvectl("alert", "test", "hook")

    assert ended.code == 1
    assert len(listener.requests) == 1


def test_nobody_else_is_told_and_what_waits_for_the_receiver_still_waits(desk: Desk) -> None:
    desk.begin()
    desk.run(saw(DOWN))
    desk.advance(300)
    desk.run(saw(DOWN), failing=("mail", "phone"))
    before = waiting(desk)
    ended = desk.pvectl("alert", "test", "mail")

    assert ended.code == 0, ended.err
    assert len(before) == 2
    assert waiting(desk) == before
    assert desk.mailbox.read_text().count("Subject:") == 1


def test_a_receiver_that_works_again_is_no_longer_left_alone(desk: Desk) -> None:
    desk.begin()
    now = desk.clock.now()
    later = now.replace(hour=23)
    broken = Channel(receiver="mail", failures=7, failed_at=now, not_before=later, broken="410 gone", spent=3.0, spent_at=now)
    with desk.opened() as alerts:
        alerts.put_channels(broken)
    desk.answers(75)
    assert desk.pvectl("alert", "test", "mail").code == 1
    with desk.opened() as alerts:
        assert alerts.channels()["mail"] == broken
    desk.answers(0)
    assert desk.pvectl("alert", "test", "mail").code == 0
    with desk.opened() as alerts:
        mended = alerts.channels()["mail"]
    assert (mended.failures, mended.not_before, mended.broken, mended.spent) == (0, None, None, 3.0)


def test_the_real_incidents_know_nothing_of_a_trial(desk: Desk) -> None:
    desk.begin()
    desk.run(saw(DOWN))
    with desk.opened() as alerts:
        before = alerts.records()
    desk.pvectl("alert", "test", "mail", "--check", "node.offline")
    with desk.opened() as alerts:
        assert alerts.records() == before
    assert "this is a test" not in desk.pvectl("alert", "list", "--all").out


def test_the_link_in_a_trial_leads_to_a_page(desk: Desk) -> None:
    fields = dict(desk.pvectl("alert", "test", "mail", "-o", "json").json["data"]["messages"][0]["fields"])
    page = desk.pvectl(*fields["more"].split()[1:])
    assert page.code == 0
    assert "this is a test by pvectl, nothing is wrong" in page.out


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("mial",), 2, "there is no receiver 'mial' in pvectl.yml\nhint: did you mean mail?"),
        (("x",), 2, "hint: there are: mail, phone"),
        (("mail", "--check", "node.ofline"), 2, "there is no check node.ofline\nhint: did you mean node.offline?"),
    ],
)
def test_a_trial_of_what_there_is_not_is_refused(desk: Desk, words: tuple[str, ...], code: int, complaint: str) -> None:
    ended = desk.pvectl("alert", "test", *words)
    assert (ended.code, ended.out) == (code, "")
    assert complaint in ended.err


def test_without_receivers_it_says_what_to_write(desk: Desk) -> None:
    desk.configure("")
    ended = desk.pvectl("alert", "test", "mail")
    assert ended.code == 78
    assert "hint: write whom to tell into pvectl.yml: alert: {receivers: " in ended.err


def test_s33_a_missing_secret_is_named_by_its_key_and_none_is_shown(desk: Desk) -> None:
    phone = 'phone: {type: ntfy, server: "http://127.0.0.1:9", topic: {secret: topik}, token: {secret: topic}}'
    desk.configure(f"alert: {{receivers: {{{phone}}}}}")
    ended = desk.pvectl("alert", "test", "phone", "-vv")
    assert ended.code == 78
    assert "receiver phone: topic: there is no secret of this name in proxmox.yml" in ended.err
    desk.configure(f"alert: {{receivers: {{{phone.replace('topik', 'topic')}}}}}")
    for format_ in ("text", "json"):
        failed = desk.pvectl("alert", "test", "phone", "-vv", "-o", format_)
        assert failed.code == 1
        assert CANARY not in ended.err + failed.out + failed.err
    assert CANARY.encode() not in (desk.state / "lab" / "state.db").read_bytes()


def test_s33_a_hook_that_fails_shows_neither_its_address_nor_its_keys(desk: Desk) -> None:
    with listening(answering("410 Gone", f"no {CANARY} at /s3cret-hook")) as listener:
        hooked(desk, listener)
        ended = desk.pvectl("alert", "test", "hook", "-vv", "-o", "json")

    assert ended.code == 1
    assert "410" in ended.json["errors"][0]["message"]
    shown = ended.out + ended.err + json.dumps([str(row) for row in desk.rows()])
    assert "s3cret-hook" not in shown
    assert CANARY not in shown


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["webhook", "alertmanager"])
def test_a_receiver_that_hangs_takes_no_longer_than_the_deadline(desk: Desk, kind: str) -> None:
    with listening(saying(then="hang")) as listener:
        hooked(desk, listener, kind=kind)
        ended = desk.pvectl("alert", "test", "hook", "--deadline", "2s", "-o", "json")
        listener.over.set()

    assert ended.code == 1, ended.err
    assert ended.json["errors"][0]["code"] == "not-delivered"
    assert not desk.state.exists() or waiting(desk) == []


def test_a_run_at_work_is_waited_for_and_then_left_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.cli.alerts.trial._PATIENCE_S", 0.1)
    desk.begin()
    with open_to_alert(desk.state, "lab", desk.clock):
        ended = desk.pvectl("alert", "test", "mail")
    assert ended.code == 75
    assert not desk.mailbox.exists()


def test_a_trial_that_was_killed_is_not_sent_by_a_later_run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("pvectl.notify.outbox.drain", killed)
    assert desk.pvectl("alert", "test", "mail").code == 130
    assert waiting(desk) == []
    (row,) = desk.rows()
    # and had it not even come to drop it
    desk.advance(600)
    limits = {"mail": Limit()}
    (late,) = due((replace(row, state=State.PENDING),), {}, limits, desk.clock.now()).rows
    assert late.state is State.DROPPED
