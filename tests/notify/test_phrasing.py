"""A notification in the words every channel gets: subject, labels, state, parts."""

from __future__ import annotations

import json
from datetime import UTC, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pvectl.core.alerts.incident import Kind, began
from pvectl.core.alerts.message import LONGEST_SUBJECT
from pvectl.core.alerts.notification import Notification, Story, about, digest, notice, story
from pvectl.core.monitor.finding import Finding, Severity
from pvectl.core.text import clean
from pvectl.notify.alertmanager import posted
from pvectl.notify.labelled import fingerprint, label_set
from pvectl.notify.letter import letter
from pvectl.notify.message import Message, Status
from pvectl.notify.phrasing import message_of
from pvectl.notify.webhook import Form, Webhook, written
from pvectl.notify.wording import headline, plain, state
from tests.core.alerts.runs import CRITICAL, NOW, UNKNOWN, WARNING, Runs, bad, saw
from tests.core.alerts.test_message import DOWN, told
from tests.notify.samples import endpoint

BERLIN = ZoneInfo("Europe/Berlin")
HALF_AN_HOUR = timedelta(minutes=30)


def said(kind: Kind, finding: object = DOWN, *, lasted: int = 1800, **changes: Any) -> Message:
    return message_of(about(told(kind, finding, lasted=lasted, **changes), "mail", cluster="lab", made_at=NOW), BERLIN)


@pytest.mark.parametrize(
    ("kind", "status", "on_a_phone"),
    [
        (Kind.FIRING, Status.FIRING, "[critical] node pve1 is offline [lab]"),
        (Kind.WORSE, Status.FIRING, "[critical] worse than before: node pve1 is offline [lab]"),
        (Kind.AGAIN, Status.FIRING, "[critical] again: node pve1 is offline [lab]"),
        (Kind.FLAPPING, Status.FIRING, "[critical] comes and goes: node pve1 is offline [lab]"),
        (Kind.REPEAT, Status.REMINDER, "[critical] for 30m: node pve1 is offline [lab]"),
        (Kind.RESOLVED, Status.RESOLVED, "[resolved] after 30m: node pve1 is offline [lab]"),
        (Kind.PASSED, Status.RESOLVED, "[resolved] came and went: node pve1 is offline [lab]"),
    ],
)
def test_every_kind_has_its_status_and_says_what_happened_to_whom(kind: Kind, status: Status, on_a_phone: str) -> None:
    message = said(kind)
    over = kind in (Kind.RESOLVED, Kind.PASSED)
    assert (message.status, message.severity, message.is_over) == (status, CRITICAL, over)
    assert (message.started, message.ended) == (NOW - HALF_AN_HOUR, NOW if over else None)
    assert headline(message) == on_a_phone
    assert dict(message.fields)["since"] == "2026-11-22 12:30 CET (30m)"


@pytest.mark.parametrize(("severity", "word"), [(CRITICAL, "critical"), (WARNING, "warning"), (UNKNOWN, "unknown")])
def test_how_bad_it_is_is_said_in_one_word(severity: Severity, word: str) -> None:
    assert state(said(Kind.FIRING, bad(severity=severity))) == word


def test_a_mail_says_all_a_person_needs() -> None:
    text = plain(said(Kind.FIRING, explains=3))
    assert text.startswith("Node pve1 is offline.\n3 further problems would follow from it and are not told.\n\nwhat: node/pve1\n")
    assert "to do: look at its console" in text
    assert "more: pvectl alert explain " in text


def test_mails_of_one_incident_make_one_thread_and_a_repeated_one_is_recognised() -> None:
    mails = [
        letter(said(kind), sender="pvectl@lan", recipients=["ann@lan"], sent_at=NOW) for kind in (Kind.FIRING, Kind.REPEAT, Kind.RESOLVED)
    ]
    other = letter(said(Kind.FIRING, bad()), sender="pvectl@lan", recipients=["ann@lan"], sent_at=NOW)
    assert len({mail["References"] for mail in mails}) == 1
    assert len({mail["Message-ID"] for mail in mails}) == 3
    assert other["References"] != mails[0]["References"]
    again = letter(said(Kind.FIRING), sender="pvectl@lan", recipients=["ann@lan"], sent_at=NOW + timedelta(hours=5))
    assert again["Message-ID"] == mails[0]["Message-ID"]
    assert mails[0]["Subject"] == "[critical] node pve1 is offline [lab]"


class TestLabels:
    def test_they_say_what_it_is_about(self) -> None:
        assert said(Kind.FIRING).labels == {
            "alertname": "node.offline",
            "check": "node.offline",
            "object": "node/pve1",
            "node": "pve1",
            "cluster": "lab",
        }

    def test_they_stay_the_same_unless_it_gets_worse(self) -> None:
        runs = Runs()
        seen = []
        for seconds, finding in (
            (0, bad("backup.age", "guest/100", WARNING, node="pve1", tags=("lab",), pool="a", value=1.0)),
            (60, bad("backup.age", "guest/100", CRITICAL, node="pve2", tags=("prod",), pool="b", value=9.0, message="worse")),
            (25 * 3600, bad("backup.age", "guest/100", WARNING, node="pve3", value=2.0)),
        ):
            runs.at(seconds, saw(finding))
            seen += [message_of(each, UTC) for each in runs.told]
        for minutes in (1501, 1502, 1510):
            runs.at(minutes * 60, saw(fine={"backup.age": ["guest/100"]}))
            seen += [message_of(each, UTC) for each in runs.told]
        assert [each.status for each in seen] == [Status.FIRING, Status.FIRING, Status.REMINDER, Status.RESOLVED]
        # how bad it is at the moment is said all the same
        assert [each.severity for each in seen] == [WARNING, CRITICAL, WARNING, WARNING]
        assert headline(seen[2]).startswith("[warning] for 1d 1h: ")
        same = {"alertname": "backup.age", "check": "backup.age", "object": "guest/100", "cluster": "lab"}
        assert [each.labels for each in seen] == [same | {"severity": known} for known in ("warning", "critical", "critical", "critical")]
        prints = [fingerprint(label_set(each)) for each in seen]
        assert prints[1] == prints[2] == prints[3] != prints[0]
        assert len({each.incident for each in seen}) == 1

    @pytest.mark.parametrize(
        ("name", "node"),
        [("disk/pve1/sda", "pve1"), ("storage/pve1/local", "pve1"), ("guest/100", None), ("storage/nfs", None), ("cluster", None)],
    )
    def test_only_what_cannot_move_is_labelled_with_its_node(self, name: str, node: str | None) -> None:
        assert said(Kind.FIRING, bad(object=name, node="pve1")).labels.get("node") == node

    def test_that_nobody_can_look_is_another_alert_than_what_is_seen(self) -> None:
        incident = began("lab", bad(severity=UNKNOWN), NOW, blind=True)
        blind = message_of(about(story(incident, 1, Kind.FIRING), "mail", cluster="lab", made_at=NOW), UTC)
        assert blind.labels["blind"] == "true"
        assert "blind" not in said(Kind.FIRING, bad(severity=UNKNOWN)).labels

    def test_without_a_cluster_s_name_there_is_none(self) -> None:
        message = message_of(about(told(Kind.FIRING), "mail", cluster="", made_at=NOW), UTC)
        assert "cluster" not in message.labels
        assert message.subject == "node pve1 is offline"


class TestSummedUp:
    def summary(self, *stories: Story, kind: Kind = Kind.DIGEST) -> tuple[Notification, Message]:
        notification = digest(stories, "mail", kind, cluster="lab", made_at=NOW)
        return notification, message_of(notification, BERLIN)

    def test_a_digest_has_what_it_stands_for_as_parts(self) -> None:
        first, second = told(Kind.RESOLVED, bad(), lasted=600), told(Kind.REPEAT, DOWN, lasted=7200)
        notification, message = self.summary(first, second)
        assert (message.status, message.severity, message.is_over) == (Status.DIGEST, CRITICAL, False)
        assert headline(message) == "[critical] 2 messages in one: 1 critical, 1 over [lab]"
        assert (message.id, message.incident) == (notification.id, notification.id)
        assert (message.started, message.ended) == (NOW - timedelta(hours=2), None)
        assert message.labels == {"cluster": "lab"}
        alone = [message_of(about(one, "mail", cluster="lab", made_at=NOW), BERLIN) for one in notification.stories]
        assert message.parts == tuple(alone)
        assert [part.status for part in alone] == [Status.RESOLVED, Status.REMINDER]

    def test_a_digest_is_over_when_all_of_it_is(self) -> None:
        _, message = self.summary(told(Kind.RESOLVED, bad(), lasted=600), told(Kind.PASSED, DOWN, lasted=7200))
        assert message.is_over
        assert message.ended == NOW
        assert headline(message) == "[resolved] 2 messages in one: 2 over [lab]"

    def test_a_first_look_is_one_message(self) -> None:
        _, message = self.summary(*(told(Kind.FIRING, bad(object=f"disk/pve1/{n}")) for n in range(40)), kind=Kind.BASELINE)
        assert headline(message) == "[critical] 40 problems at the first look: 40 critical [lab]"
        assert len(message.parts) == 40
        assert len({part.id for part in message.parts}) == 40
        assert message.status is Status.DIGEST


class TestNotices:
    def word(self, key: str = "k") -> Message:
        told = notice("mail", "pve2 goes off in 5 minutes", "To keep it on: pvectl hold add pve2", cluster="lab", key=key, made_at=NOW)
        return message_of(told, BERLIN)

    def test_a_notice_is_for_information(self) -> None:
        message = self.word()
        assert (message.status, message.severity, message.is_over) == (Status.FIRING, Severity.OK, False)
        assert headline(message) == "[info] pve2 goes off in 5 minutes [lab]"
        assert message.text == "To keep it on: pvectl hold add pve2"
        assert message.started == NOW

    def test_two_notices_are_two_things(self) -> None:
        first, second = self.word("a"), self.word("b")
        assert first.incident != second.incident
        assert fingerprint(label_set(first)) != fingerprint(label_set(second))
        assert self.word("a") == first

    def test_a_notice_that_says_how_bad_it_is_keeps_it(self) -> None:
        bare = notice("mail", "state lost", "set aside", cluster="lab", key="k", made_at=NOW)
        assert headline(message_of(replace(bare, severity=CRITICAL), BERLIN)) == "[critical] state lost [lab]"


TEXTS = st.text(st.characters(codec=None), max_size=120) | st.text("aB/:\r\n\x1b\u202e@<!{}%\ud800 ", max_size=300)
FINDINGS = st.builds(
    bad,
    check=TEXTS.filter(bool),
    object=TEXTS.filter(bool),
    severity=st.sampled_from([CRITICAL, WARNING, UNKNOWN]),
    message=TEXTS.filter(bool),
    hint=st.none() | TEXTS,
    node=st.none() | TEXTS,
    value=st.none() | st.floats(),
    tags=st.lists(TEXTS, max_size=2).map(tuple),
)
KINDS = st.sampled_from([kind for kind in Kind if kind not in (Kind.BASELINE, Kind.DIGEST, Kind.NOTICE)])


@given(st.lists(st.tuples(KINDS, FINDINGS), min_size=1, max_size=3), TEXTS, st.sampled_from([Kind.DIGEST, None]))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_s34_whatever_others_wrote_every_channel_can_say_it(told_of: list[tuple[Kind, Finding]], cluster: str, summed: Kind | None) -> None:
    stories = [told(kind, finding, lasted=600, ending=cluster) for kind, finding in told_of]
    if summed is None:
        notification = about(stories[0], "mail", cluster=cluster, made_at=NOW)
    else:
        notification = digest(stories, "mail", summed, cluster=cluster, made_at=NOW)
    message = message_of(notification, BERLIN)
    for each in (message, *message.parts):
        assert each.subject
        assert len(each.subject) <= LONGEST_SUBJECT
        assert clean(each.subject) == each.subject
        assert all(clean(line) == line for line in each.text.split("\n"))
    sent = message.cleaned()
    for form in Form:
        body, _kind = written(sent, Webhook(name="w", endpoint=endpoint("https://host/x"), form=form))
        assert json.loads(body)
    mail = letter(sent, sender="pvectl@lan", recipients=["ann@lan"], sent_at=NOW)
    assert b"\x1b" not in mail.as_bytes()
    for part in sent.parts or (sent,):
        assert json.dumps(posted(part, NOW, 300.0))
