"""Random findings, receivers that fail in every way, gaps and crashes, against an oracle that knows only the truth and the mailbox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from msgspec import Struct

from pvectl.core.alerts import outbox
from pvectl.core.alerts.incident import Kind, Records
from pvectl.core.alerts.message import written
from pvectl.core.alerts.notification import Notification, Story
from pvectl.core.alerts.outbox import Answer, Channel, Limit, Result, Row, State
from pvectl.core.alerts.rules import Rules
from pvectl.core.alerts.silence import Silence
from pvectl.core.alerts.step import step
from pvectl.core.alerts.telling import delivered, given_up
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.checks.registry import CHECKS
from pvectl.core.monitor.finding import Finding
from tests.core.alerts.runs import CRITICAL, NOW, UNKNOWN, WARNING, bad, saw
from tests.support.machines import played
from tests.support.whole import WHOLE

OBJECTS = (("disk.smart", "disk/pve1/sda"), ("backup.age", "guest/100"), ("storage.usage", "storage/nfs"), ("node.offline", "node/pve9"))
RULES = Rules(cluster="lab", receivers=("mail", "pager"))
LIMITS = {"mail": Limit(), "pager": Limit(per_hour=100_000, burst=1000)}
REPEATS = {CRITICAL: 4 * 3600, WARNING: 24 * 3600}
TRUTHS = ("good", "warning", "critical", "dark")
HELD_BACK = 900


class Disk(Struct, frozen=True, kw_only=True):
    """What is written down, in one transaction each time."""

    records: Records = Records()
    rows: tuple[Row, ...] = ()
    channels: dict[str, Channel] = {}


class Mailbox:
    """A receiver: what came in, each id once."""

    def __init__(self) -> None:
        self.works = True
        self.mode = "works"
        self.got: dict[str, tuple[datetime, Notification]] = {}
        self.copies = 0

    def take(self, notification: Notification, now: datetime) -> Answer:
        if self.mode in ("works", "swallows"):
            if notification.id in self.got:
                self.copies += 1
                assert self.got[notification.id][1] == notification, "the same id with other contents"
            else:
                self.got[notification.id] = (now, notification)
        match self.mode:
            case "works":
                return Answer(result=Result.ARRIVED)
            case "swallows":
                return Answer(result=Result.RETRY, error="timeout", uncertain=True)
            case "refuses":
                return Answer(result=Result.MISCONFIGURED, error="401")
            case _:
                return Answer(result=Result.RETRY, error="503", retry_after=40 if self.mode == "later" else None)

    def stories(self) -> Iterator[tuple[datetime, Story]]:
        for at, notification in self.got.values():
            for story in notification.stories:
                yield at, story

    def believes_bad(self, check: str, name: str) -> bool:
        """By the last word on each incident; the word on an older one may come after that on a newer one."""
        last = {story.incident: story.kind for _at, story in self.stories() if story.name == f"{check}/{name}"}
        return any(kind not in (Kind.RESOLVED, Kind.PASSED) for kind in last.values())

    def heard_of(self, check: str, name: str, at: datetime) -> bool:
        return any(
            story.name == f"{check}/{name}" and story.since <= at and (story.ended_at is None or story.ended_at >= at)
            for _at, story in self.stories()
        )


class World(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.now = NOW
        self.disk = Disk()
        self.truth = dict.fromkeys(OBJECTS, "good")
        self.boxes = {"mail": Mailbox(), "pager": Mailbox()}
        self.silences: tuple[Silence, ...] = ()
        self.bad_since: dict[tuple[str, str], datetime] = {}
        self.must_hear: list[tuple[str, str, datetime]] = []
        self.last_success: dict[tuple[str, str], datetime] = {}
        self.opened: set[tuple[str, str]] = set()

    @rule(which=st.sampled_from(OBJECTS), to=st.sampled_from(TRUTHS), minutes=st.integers(1, 14))
    def something_changes(self, which: tuple[str, str], to: str, minutes: int) -> None:
        self.truth[which] = to
        self.run_after(60 * minutes)

    @rule(minutes=st.integers(1, 14), times=st.integers(1, 6))
    def time_goes_by(self, minutes: int, times: int) -> None:
        for _ in range(times):
            self.run_after(60 * minutes)

    @rule(hours=st.integers(1, 40))
    def nothing_runs_for_long(self, hours: int) -> None:
        self.run_after(3600 * hours)

    @rule(mode=st.sampled_from(("works", "swallows", "refuses", "fails", "later")))
    def the_mail_server_changes(self, mode: str) -> None:
        self.boxes["mail"].mode = mode
        self.run_after(60)

    @rule(which=st.sampled_from(OBJECTS), blink=st.integers(1, 9))
    def something_flaps(self, which: tuple[str, str], blink: int) -> None:
        for turn in range(6):
            self.truth[which] = "critical" if turn % 2 == 0 else "good"
            self.run_after(60 * blink)

    @rule(which=st.sampled_from(OBJECTS), minutes=st.integers(1, 200))
    def somebody_silences(self, which: tuple[str, str], minutes: int) -> None:
        until = self.now + timedelta(minutes=minutes)
        self.silences = (Silence(id="s", checks=(which[0],), until=until, author="ann", reason="work", made_at=self.now),)
        self.run_after(60)

    @rule(sent=st.integers(0, 3), which=st.sampled_from(OBJECTS), to=st.sampled_from(TRUTHS))
    def a_run_is_killed(self, sent: int, which: tuple[str, str], to: str) -> None:
        """After so many messages have left, and before the last of them is written down."""
        self.truth[which] = to
        self.run_after(60, killed_after=sent)

    @rule(which=st.sampled_from(OBJECTS))
    def the_mail_server_is_away_for_a_day(self, which: tuple[str, str]) -> None:
        self.boxes["mail"].mode = "fails"
        for turn in range(96):
            self.truth[which] = "critical" if 10 < turn < 20 or turn > 80 else "good"
            self.run_after(900)
        assert len([row for row in self.disk.rows if row.state is State.PENDING and row.receiver == "mail"]) <= 30
        self.everything_calms_down()

    @rule()
    def everything_calms_down(self) -> None:
        """With a mail server that works, everybody knows within its longest back-off what is wrong, and what was."""
        self.boxes["mail"].mode = "works"
        for _ in range(18):
            self.run_after(300)
        for check, name, at in self.must_hear:
            assert self.boxes["mail"].heard_of(check, name, at), f"nobody heard of {check}/{name} at {at}"
        self.must_hear.clear()
        for (check, name), truth in self.truth.items():
            if truth == "good":
                assert not self.boxes["mail"].believes_bad(check, name), f"{check}/{name} never ended"
            elif truth != "dark" and not self.silenced(check):
                assert self.boxes["mail"].believes_bad(check, name), f"{check}/{name} is not known"

    def run_after(self, seconds: int, *, killed_after: int | None = None) -> None:
        self.now += timedelta(seconds=seconds)
        now, disk = self.now, msgspec.json.decode(msgspec.json.encode(self.disk), type=Disk)
        assert disk == self.disk
        self.look(seconds)
        records, notifications, explanations = step(disk.records, self.evaluation(), RULES, self.silences, now)
        assert {each.name for each in explanations} == set(records.incidents)
        self.check(notifications)
        due = outbox.due(outbox.enqueued(disk.rows, notifications, now), disk.channels, LIMITS, now)
        # what ended is kept for an hour here, so that a long life costs no more than a short one
        rows = {row.id: row for row in due.rows if row.ended_at is None or now - row.ended_at < timedelta(hours=1)}
        waiting = [(row.receiver, row.notification.incident) for row in rows.values() if row.state is State.PENDING]
        single = [each for each in waiting if each[1] is not None]
        assert len(single) == len(set(single)), "two messages wait about one incident"
        for row in due.dead:
            records = given_up(records, row.notification, now)
        self.write(records, rows, disk.channels)
        channels = dict(disk.channels)
        for count, row in enumerate(due.now):
            channel = channels.get(row.receiver, Channel(receiver=row.receiver))
            if not channel.is_open(now):
                rows[row.id] = outbox.untried(row)
                continue
            answer = self.boxes[row.receiver].take(row.notification, now)
            assert written(row.notification, UTC).subject
            if count == killed_after:
                return
            rows[row.id], channels[row.receiver] = outbox.settled(row, channel, answer, LIMITS[row.receiver], now, 0.5)
            if rows[row.id].state is State.SENT:
                records = delivered(records, row.notification, now)
                for story in row.notification.stories:
                    self.last_success[row.receiver, story.incident] = now
            self.write(records, rows, channels)
        self.write(records, rows, channels)
        for check, name in self.truth:
            if killed_after is None and self.is_due(check, name, seconds):
                assert self.boxes["pager"].believes_bad(check, name), f"{check}/{name} is silent"

    def write(self, records: Records, rows: dict[str, Row], channels: dict[str, Channel]) -> None:
        self.disk = Disk(records=records, rows=tuple(rows.values()), channels=dict(channels))

    def look(self, seconds: int) -> None:
        """What a patient observer with a notebook would say has lasted long enough by now."""
        for which, truth in self.truth.items():
            if truth in ("good", "dark"):
                self.bad_since.pop(which, None)
                continue
            if seconds > HELD_BACK:
                self.bad_since.pop(which, None)
            self.bad_since.setdefault(which, self.now)
            if self.is_due(*which, seconds):
                self.must_hear.append((*which, self.now))

    def is_due(self, check: str, name: str, seconds: int) -> bool:
        since = self.bad_since.get((check, name))
        if since is None or self.silenced(check):
            return False
        return self.now - since >= timedelta(seconds=CHECKS[check].hold + seconds)

    def silenced(self, check: str) -> bool:
        return any(check in each.checks and each.in_force(self.now) for each in self.silences)

    def evaluation(self) -> Evaluation:
        findings: list[Finding] = []
        fine: dict[str, list[str]] = {}
        dark: dict[str, list[str]] = {}
        for (check, name), truth in self.truth.items():
            if truth == "good":
                fine.setdefault(check, []).append(name)
            elif truth == "dark":
                dark.setdefault(check, []).append(name)
                findings.append(bad(check, name, UNKNOWN, cause="self.coverage/cluster"))
            else:
                findings.append(bad(check, name, CRITICAL if truth == "critical" else WARNING, value=float(self.now.minute)))
        if dark:
            findings.append(bad("self.coverage", "cluster", UNKNOWN))
        return saw(*findings, fine=fine, dark=dark)

    def check(self, notifications: tuple[Notification, ...]) -> None:
        """No message at odds with the truth, and none early."""
        for notification in notifications:
            for story in notification.stories:
                truth = self.truth.get((story.finding.check, story.finding.object))
                if truth is None:
                    continue
                assert truth != "dark", "told of what nobody could see"
                assert (truth == "good") is (story.kind is Kind.RESOLVED), f"{story.kind} although it is {truth}"
                assert not self.silenced(story.finding.check) or story.kind is Kind.RESOLVED
                if story.kind is Kind.REPEAT:
                    last = self.last_success[notification.receiver, story.incident]
                    assert self.now - last >= timedelta(seconds=REPEATS[story.finding.severity])
                if story.kind is Kind.RESOLVED:
                    assert (notification.receiver, story.incident) in self.opened
                self.opened.add((notification.receiver, story.incident))


def test_nobody_is_left_in_the_dark_and_nobody_is_told_twice() -> None:
    played(World, 6, 8)


@pytest.mark.slow
def test_nobody_is_left_in_the_dark_and_nobody_is_told_twice_in_many_worlds() -> None:
    played(World, 1_000 if WHOLE else 30, 25)


@pytest.mark.slow
def test_nothing_is_lost_when_the_mail_server_is_away_for_a_day() -> None:
    world = World()
    world.begin()
    guests = [("backup.age", f"guest/{number}") for number in range(60)]
    world.truth = dict.fromkeys(guests, "good")
    world.run_after(300)
    mail = world.boxes["mail"]
    mail.mode = "fails"
    for turn in range(288):
        for number, which in enumerate(guests):
            begins = 12 * (number % 20)
            world.truth[which] = "critical" if begins <= turn < (begins + 6 if number % 2 else 288) else "good"
        world.run_after(300)
    assert not mail.got
    attempts = sum(row.attempts for row in world.disk.rows if row.receiver == "mail")
    assert attempts <= 35
    world.everything_calms_down()
    assert {story.name for _at, story in mail.stories()} == {"/".join(which) for which in guests}
    # one by one as far as the limit goes, the rest as a digest
    assert len(mail.got) <= 7
    assert mail.copies == 0
    assert world.boxes["pager"].copies == 0
    for which in guests:
        world.truth[which] = "good"
    world.everything_calms_down()
    assert not any(mail.believes_bad(*which) for which in guests)
