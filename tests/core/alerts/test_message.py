"""What people read: on a phone, in a mail, in their own time zone."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from pvectl.core.alerts.incident import Kind, began
from pvectl.core.alerts.message import LONGEST_SUBJECT, Text, written
from pvectl.core.alerts.notification import Notification, Story, about, digest, notice, story
from tests.core.alerts.runs import CRITICAL, NOW, OK, UNKNOWN, WARNING, bad

BERLIN = ZoneInfo("Europe/Berlin")
DOWN = bad("node.offline", "node/pve1", node="pve1", message="node pve1 is offline", hint="look at its console")


def told(kind: Kind, finding: object = DOWN, *, lasted: int = 0, **changes: Any) -> Story:
    incident = began("lab", finding, NOW - timedelta(seconds=lasted))  # type: ignore[arg-type]
    if kind in (Kind.RESOLVED, Kind.PASSED):
        incident = replace(incident, ended_at=NOW)
    return replace(story(incident, 1, kind), **changes)


def text(kind: Kind, finding: object = DOWN, *, lasted: int = 0, cluster: str = "lab", **changes: Any) -> Text:
    return written(about(told(kind, finding, lasted=lasted, **changes), "mail", cluster=cluster, made_at=NOW), BERLIN)


@pytest.mark.parametrize(
    ("kind", "lasted", "subject"),
    [
        (Kind.FIRING, 0, "critical: node pve1 is offline [lab]"),
        (Kind.WORSE, 60, "critical, worse than before: node pve1 is offline [lab]"),
        (Kind.AGAIN, 60, "critical, again: node pve1 is offline [lab]"),
        (Kind.FLAPPING, 60, "critical, comes and goes: node pve1 is offline [lab]"),
        (Kind.REPEAT, 14400, "critical, for 4h: node pve1 is offline [lab]"),
        (Kind.RESOLVED, 720, "over, after 12m: node pve1 is offline [lab]"),
        (Kind.PASSED, 720, "over, came and went: node pve1 is offline [lab]"),
    ],
)
def test_a_subject_says_what_happened_to_whom(kind: Kind, lasted: int, subject: str) -> None:
    said = text(kind, lasted=lasted)
    assert said.subject == subject
    assert said.title == subject.removeprefix("critical").removeprefix("over")[2:]


def test_a_message_says_what_since_when_and_what_to_do() -> None:
    said = text(Kind.FIRING, lasted=120, explains=12)
    assert said.body == (
        "Node pve1 is offline.\n"
        "12 further problems would follow from it and are not told.\n\n"
        "what:    node/pve1\n"
        "since:   2026-11-22 12:58 CET (2m)\n"
        "to do:   look at its console\n"
        "check:   node.offline\n"
        f"more:    pvectl alert explain {told(Kind.FIRING, lasted=120).incident}\n"
        "cluster: lab\n"
    )
    assert dict(said.facts)["to do"] == "look at its console"
    assert "1 further problem would follow from it and is not told." in text(Kind.FIRING, explains=1).body


def test_the_end_says_how_and_when() -> None:
    said = text(Kind.RESOLVED, lasted=3660)
    assert "That is over: it is fine again, after 1h 1m." in said.body
    assert ("until", "2026-11-22 13:00 CET") in said.facts
    assert "to do" not in said.body
    gone = text(Kind.RESOLVED, bad("backup.age", "guest/100", node="pve2", message="Too old!"), ending="it is no longer there")
    assert "That is over: it is no longer there" in gone.body
    assert ("what", "guest/100 on node pve2") in gone.facts
    assert gone.body.startswith("Too old!\n")


def test_flapping_says_when_it_will_be_heard_of_again() -> None:
    assert "It has begun 3 times within an hour." in text(Kind.FLAPPING, fires=3).body


def test_a_long_subject_is_cut_where_a_phone_ends_and_the_cluster_goes_first() -> None:
    long = bad(message="x" * 65)
    assert text(Kind.FIRING, long).subject == f"critical: {'x' * 65}"
    cut = text(Kind.FIRING, bad(message="y" * 200)).subject
    assert len(cut) == LONGEST_SUBJECT
    assert cut.endswith("…")
    assert "y" * 200 in text(Kind.FIRING, bad(message="y" * 200)).body.lower()


def test_without_a_clusters_name_none_is_told() -> None:
    said = text(Kind.FIRING, cluster="")
    assert said.subject == "critical: node pve1 is offline"
    assert "cluster" not in dict(said.facts)


@pytest.mark.parametrize("evil", ["a\r\nBcc: you@example.org", "\x1b]0;x\x07", "a\u2028b", "\u202eevil"])
def test_s34_text_from_outside_steers_no_mail_header_and_no_terminal(evil: str) -> None:
    finding = bad(object=f"disk/{evil}", message=f"disk {evil} is bad", hint=evil, node=evil)
    for said in (text(Kind.FIRING, finding, cluster=evil), text(Kind.RESOLVED, finding, cluster=evil, ending=evil)):
        assert said.subject.isprintable()
        assert all(line.isprintable() for line in said.body.split("\n"))


def test_a_clock_that_was_set_back_makes_no_negative_length() -> None:
    assert text(Kind.REPEAT, lasted=-60).subject.startswith("critical, for 0s")


def summary(kind: Kind, *stories: Story) -> Text:
    return written(digest(stories, "mail", kind, cluster="lab", made_at=NOW), UTC)


def test_a_first_look_is_summed_up_worst_first() -> None:
    stories = [told(Kind.FIRING, bad(object=f"disk/{n}", severity=WARNING, message=f"disk {n} is bad")) for n in range(37)]
    said = summary(Kind.BASELINE, *stories, *(told(Kind.FIRING, replace(DOWN, object=f"node/{n}")) for n in range(3)))
    assert said.subject == "40 problems at the first look: 3 critical, 37 warnings [lab]"
    lines = said.body.splitlines()
    assert lines[0].startswith("This is what pvectl found when it looked for the first time.")
    assert lines[2] == "- critical: node pve1 is offline (since 2026-11-22 12:00 UTC)"
    assert lines[27] == "and 15 more: pvectl alert list"


def test_a_digest_counts_what_lasts_and_what_is_over() -> None:
    said = summary(
        Kind.DIGEST, told(Kind.FIRING, replace(DOWN, severity=WARNING)), told(Kind.PASSED), told(Kind.FIRING, bad(severity=UNKNOWN))
    )
    assert said.subject == "3 messages in one: 1 warning, 1 unknown, 1 over [lab]"
    assert "came and went: node pve1 is offline" in said.body
    assert "and 0 more" not in said.body


def test_a_digest_is_told_of_no_single_incident() -> None:
    wrong: Notification = about(replace(told(Kind.FIRING), kind=Kind.NOTICE), "mail", cluster="lab", made_at=NOW)
    with pytest.raises(ValueError, match="notice"):
        written(digest(wrong.stories, "mail", Kind.DIGEST, cluster="lab", made_at=NOW), UTC)


def test_a_notice_is_told_in_its_own_words() -> None:
    said = written(
        notice("mail", "pve2 goes off in 5 minutes", "pvectl hold add pve2\nkeeps it on\x07", cluster="lab", key="k", made_at=NOW), UTC
    )
    assert said.subject == said.title == "pve2 goes off in 5 minutes [lab]"
    assert said.body == "pvectl hold add pve2\nkeeps it on\\x07\n\ncluster: lab\n"
    bare = written(notice("mail", "a", "b", cluster="", key="k", made_at=NOW), UTC)
    assert bare == Text(subject="a", title="a", prose="b")
    assert bare.body == "b\n"
    assert notice("mail", "a", "b", cluster="lab", key="k", made_at=NOW).severity is OK
    assert CRITICAL.value not in said.subject
