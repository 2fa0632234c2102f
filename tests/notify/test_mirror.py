"""What a receiver that keeps the list itself is sent, run after run."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest
from msgspec.structs import replace

from pvectl.core.alerts.rules import Rule, Rules
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.finding import Finding, Severity
from pvectl.notify.labelled import label_set, said_about
from pvectl.notify.message import Message, Status
from pvectl.notify.mirror import mirrored
from tests.core.alerts.runs import BAD, CRITICAL, DARK, FINE, NODE_DOWN, NOW, WARNING, Runs, bad, saw

RULES = Rules(cluster="lab", receivers=("mail",))


class Mirror(Runs):
    def shown(self, seconds: float, evaluation: Evaluation) -> tuple[Message, ...]:
        self.at(seconds, evaluation)
        return mirrored(self.records, self.rules, "am", NOW + timedelta(seconds=seconds), UTC)

    def seen(self, seconds: float, evaluation: Evaluation) -> list[tuple[str, str, str]]:
        shown = self.shown(seconds, evaluation)
        return [(each.labels["object"], label_set(each)["severity"], "over" if each.is_over else "firing") for each in shown]


def disk(severity: Severity) -> Finding:
    return bad(severity=severity)


SDA = "disk/pve1/sda"


def test_what_fires_is_shown_in_every_run_until_five_minutes_after_it_is_over() -> None:
    mirror = Mirror(RULES)
    firing, over = [(SDA, "critical", "firing")], [(SDA, "critical", "over")]
    assert [mirror.seen(seconds, BAD) for seconds in (0, 60, 3600)] == [firing] * 3
    # fine, but not yet for long enough
    assert mirror.seen(3660, FINE) == firing
    assert mirror.seen(3660 + 300, FINE) == over
    assert mirror.seen(3660 + 599, FINE) == over
    assert mirror.seen(3660 + 600, FINE) == []


def test_it_is_over_from_when_it_was() -> None:
    mirror = Mirror(RULES)
    mirror.at(0, BAD)
    mirror.at(60, FINE)
    mirror.at(360, FINE)
    [message] = mirror.shown(420, FINE)
    assert (message.started, message.ended, message.status) == (NOW, NOW + timedelta(seconds=360), Status.RESOLVED)


def test_what_has_not_lasted_long_enough_is_not_shown() -> None:
    mirror = Mirror(replace(RULES, rules=(Rule(hold=600),)))
    assert mirror.seen(0, BAD) == []
    assert mirror.seen(300, FINE) == []
    assert mirror.seen(360, BAD) == []
    assert mirror.seen(660, BAD) == []
    assert mirror.seen(960, BAD) == [(SDA, "critical", "firing")]


def test_what_nobody_can_look_at_stays_shown() -> None:
    mirror = Mirror(RULES)
    mirror.at(0, BAD)
    assert (SDA, "critical", "firing") in mirror.seen(60, DARK)


def test_what_follows_from_another_is_not_shown() -> None:
    mirror = Mirror(RULES)
    down = saw(*NODE_DOWN.findings, bad("guest.onboot_stopped", "guest/100", node="pve1"))
    for seconds in (0, 300, 600):
        mirror.at(seconds, down)
    assert mirror.seen(900, down) == [("node/pve1", "critical", "firing")]


def test_what_was_there_before_what_explains_it_now_stays() -> None:
    mirror = Mirror(RULES)
    was_there = bad(node="pve1")
    assert mirror.seen(0, saw(was_there)) == [(SDA, "critical", "firing")]
    down = saw(was_there, *NODE_DOWN.findings)
    for seconds in (300, 600):
        assert (SDA, "critical", "firing") in mirror.seen(seconds, down)
    assert mirror.seen(900, down) == [(SDA, "critical", "firing"), ("node/pve1", "critical", "firing")]
    assert mirror.incident().inhibited_by == "node.offline/node/pve1"


def test_the_rules_say_what_a_mirror_shows() -> None:
    evaluation = saw(bad(), bad("storage.usage", "storage/nfs"))
    for receivers, shown in ((None, 2), (("am",), 2), (("mail",), 1), ((), 1)):
        mirror = Mirror(replace(RULES, rules=(Rule(checks=("disk.*",), receivers=receivers),)))
        mirror.at(0, evaluation)
        mirror.at(900, evaluation)
        assert len(mirror.seen(1200, evaluation)) == shown, receivers


def test_what_gets_worse_is_another_alert_and_ends_the_one_it_was() -> None:
    mirror = Mirror(RULES)
    assert mirror.seen(0, saw(disk(WARNING))) == [(SDA, "warning", "firing")]
    assert mirror.seen(300, saw(disk(CRITICAL))) == [(SDA, "critical", "firing"), (SDA, "warning", "over")]
    before = mirror.shown(599, saw(disk(CRITICAL)))[1]
    assert (before.started, before.ended) == (NOW, NOW + timedelta(seconds=300))
    assert mirror.seen(600, saw(disk(CRITICAL))) == [(SDA, "critical", "firing")]


def test_what_gets_better_stays_what_it_was_until_it_is_over() -> None:
    # Alertmanager would tell of an end and of a beginning each time it goes to and fro
    mirror = Mirror(RULES)
    mirror.at(0, saw(disk(CRITICAL)))
    for minutes in range(1, 40):
        severity = WARNING if minutes % 2 else CRITICAL
        assert mirror.seen(minutes * 60, saw(disk(severity))) == [(SDA, "critical", "firing")]
    mirror.at(40 * 60, FINE)
    assert mirror.seen(45 * 60, FINE) == [(SDA, "critical", "over")]


@pytest.mark.parametrize("receivers", [("mail",), ()])
def test_it_stays_so_after_more_than_its_history_remembers(receivers: tuple[str, ...]) -> None:
    mirror = Mirror(replace(RULES, receivers=receivers))
    mirror.at(0, saw(disk(WARNING)))
    assert len(mirror.seen(60, saw(disk(CRITICAL)))) == 2
    for minutes in range(6, 90):
        severity = WARNING if minutes % 2 else CRITICAL
        assert mirror.seen(minutes * 60, saw(disk(severity))) == [(SDA, "critical", "firing")]


def test_what_people_were_told_counts_where_the_history_no_longer_says_it() -> None:
    mirror = Mirror(RULES)
    mirror.at(0, saw(disk(CRITICAL)))
    mirror.at(60, saw(disk(WARNING)))
    mirror.change("disk.smart/disk/pve1/sda", timeline=mirror.incident().timeline[-1:])
    assert mirror.seen(120, saw(disk(WARNING))) == [(SDA, "critical", "firing")]


def test_its_words_change_only_when_what_is_wrong_does() -> None:
    mirror = Mirror(RULES)
    first = [mirror.shown(seconds, BAD) for seconds in (0, 3600, 90_000)]
    assert len({str(sorted(said_about(message).items())) for [message] in first}) == 1
    said = said_about(first[0][0])
    assert said["summary"] == "disk/pve1/sda is bad"
    assert said["description"] == "Disk/pve1/sda is bad."
    assert said["since"] == "2026-11-22 12:00 UTC"
    [other] = mirror.shown(90_060, saw(bad(message="disk/pve1/sda is worn out")))
    assert said_about(other)["summary"] == "disk/pve1/sda is worn out"


def test_s34_its_words_and_labels_steer_nothing() -> None:
    mirror = Mirror(RULES)
    mirror.at(0, saw(bad(message="a\x1b[2J\nb")))
    [message] = mirror.shown(60, saw(bad(message="a\x1b[2J\nb")))
    assert message.subject == r"a\x1b[2J\x0ab"
