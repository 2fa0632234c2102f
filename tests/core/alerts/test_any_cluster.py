"""Any cluster, any rules, receivers that come and go, clocks that are set back: whoever can be told knows how bad it is today."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from msgspec.structs import replace

from pvectl.core.alerts import outbox
from pvectl.core.alerts.breaking import broke
from pvectl.core.alerts.incident import ACTIVE, URGENCY, Kind, Records, acknowledged
from pvectl.core.alerts.notification import Notification, Story
from pvectl.core.alerts.observing import unreachable, watched
from pvectl.core.alerts.outbox import Answer, Channel, Limit, Result, Row, State
from pvectl.core.alerts.rules import Repeat, Rule, Rules
from pvectl.core.alerts.step import step
from pvectl.core.alerts.telling import delivered
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.checks.registry import CHECKS
from pvectl.core.monitor.finding import Finding, Severity
from tests.core.alerts.runs import CRITICAL, NOW, UNKNOWN, WARNING, bad, saw, view
from tests.support.machines import played

Object = tuple[str, str]
NODE, UNHEARD, API = ("node.offline", "node/pve1"), ("node.offline", "node/pve2"), ("self.coverage", "api")
ON = {("backup.age", "guest/100"): "pve1", ("backup.age", "guest/200"): "pve2", ("zfs.health", "zfs/pve1/rpool"): "pve1"}
OBJECTS: tuple[Object, ...] = (NODE, UNHEARD, *ON, ("storage.usage", "storage/nfs"))
TRUTHS = ("good", "warning", "critical", "dark", "vanished")
SEVERITIES = {"warning": WARNING, "critical": CRITICAL}
NOBODY = Rule(object="node/pve2", receivers=())
BOOKS = (
    (NOBODY, Rule(severity="critical", receivers=("phone", "mail")), Rule(receivers=("mail",))),
    (NOBODY, Rule(severity="critical", receivers=("phone",)), Rule(receivers=("mail",))),
)
LIMITS = {"phone": Limit(), "mail": Limit()}
TOKEN = timedelta(minutes=6)
GAP = timedelta(minutes=14)
# an hour of back-off and its jitter, and a token for each message that may have arrived
RECOVERED = timedelta(hours=2, minutes=30)
MENDED_WITHIN = timedelta(days=2)
# twice the usual interval at most, and how long the node has to be up itself
ROOT_IS_OVER = timedelta(minutes=25)


class Cluster(RuleBasedStateMachine):
    @initialize(rules=st.sampled_from(BOOKS), repeat=st.sampled_from((0, 4 * 3600)))
    def begin(self, rules: tuple[Rule, ...], repeat: int) -> None:
        self.book = Rules(cluster="lab", receivers=("phone", "mail"), rules=rules, repeat=Repeat(critical=repeat))
        self.records = Records()
        self.rows: tuple[Row, ...] = ()
        self.channels: dict[str, Channel] = {}
        self.wall = NOW
        self.passed = timedelta()
        self.truth: dict[Object, str] = dict.fromkeys(OBJECTS, "good")
        self.modes = dict.fromkeys(LIMITS, "works")
        self.works_since = dict.fromkeys(LIMITS, -RECOVERED)
        self.failed_since = dict.fromkeys(LIMITS, timedelta())
        self.last: dict[tuple[str, str], Story] = {}
        # since when it is seen to be as bad as that, or worse, without a break; by a watch nobody sets back
        self.since: dict[tuple[Object, Severity], timedelta] = {}
        self.node_was_bad = -ROOT_IS_OVER
        self.run_after(timedelta(minutes=5))

    @rule(which=st.sampled_from(OBJECTS), to=st.sampled_from(TRUTHS), minutes=st.integers(1, 14))
    def something_changes(self, which: Object, to: str, minutes: int) -> None:
        self.truth[which] = to
        self.run_after(timedelta(minutes=minutes))

    @rule(minutes=st.integers(1, 14), times=st.integers(1, 9))
    def time_goes_by(self, minutes: int, times: int) -> None:
        for _ in range(times):
            self.run_after(timedelta(minutes=minutes))

    @rule(which=st.sampled_from(OBJECTS), hours=st.integers(20, 26))
    def it_gets_better_for_a_day_and_bad_again(self, which: Object, hours: int) -> None:
        for truth, turns in (("critical", 6), ("warning", 5 * hours), ("critical", 6)):
            self.truth[which] = truth
            for _ in range(turns):
                self.run_after(timedelta(minutes=12))

    @rule(which=st.sampled_from((NODE, UNHEARD)), minutes=st.integers(1, 5))
    def a_node_flaps(self, which: Object, minutes: int) -> None:
        for turn in range(6):
            self.truth[which] = "critical" if turn % 2 == 0 else "good"
            self.run_after(timedelta(minutes=minutes))

    @rule(who=st.sampled_from(sorted(LIMITS)), mode=st.sampled_from(("works", "refuses", "fails", "swallows")))
    def a_receiver_changes(self, who: str, mode: str) -> None:
        self.modes[who] = mode
        self.run_after(timedelta(minutes=5))

    @rule(hours=st.integers(1, 48))
    def the_clock_is_set_back(self, hours: int) -> None:
        self.wall -= timedelta(hours=hours)
        self.since.clear()
        self.run_after(timedelta(minutes=1))

    @rule(times=st.integers(1, 9))
    def nobody_can_look(self, times: int) -> None:
        for _ in range(times):
            self.run_after(timedelta(minutes=5), blind=True)

    @rule(place=st.integers(0, 9))
    def somebody_acknowledges(self, place: int) -> None:
        active = sorted(name for name, each in self.records.incidents.items() if each.phase in ACTIVE)
        if active:
            name = active[place % len(active)]
            word = acknowledged(self.records.incidents[name], by="ann", at=self.wall)
            self.records = replace(self.records, incidents={**self.records.incidents, name: word})
        self.run_after(timedelta(minutes=1))

    @rule()
    def everything_works(self) -> None:
        self.modes = dict.fromkeys(LIMITS, "works")
        for _ in range(16):
            self.run_after(timedelta(minutes=12))
        for which, truth in self.truth.items():
            if truth in ("good", "vanished"):
                assert not any(self.believes(who, which) for who in LIMITS), f"{which} never ended"

    def run_after(self, passed: timedelta, *, blind: bool = False) -> None:
        self.wall += passed
        self.passed += passed
        self.note(blind=blind)
        failing = outbox.broken(self.channels.values())
        evaluation = watched(self.evaluation(blind=blind), failing, LIMITS)
        self.records, notifications, _ = step(self.records, evaluation, self.book, (), self.wall)
        self.rows = outbox.enqueued(self.rows, notifications, self.wall)
        self.drain()
        if new := {who: why for who, why in outbox.broken(self.channels.values()).items() if who not in failing}:
            self.records, notifications, _ = broke(self.records, new, self.book, (), self.wall)
            self.rows = outbox.enqueued(self.rows, notifications, self.wall)
            self.drain()
        for who, mode in self.modes.items():
            if mode == "works":
                self.failed_since[who] = self.passed
            else:
                self.works_since[who] = self.passed
                if self.passed - self.failed_since[who] > MENDED_WITHIN:
                    self.modes[who] = "works"
        self.judge(passed, outbox.broken(self.channels.values()))

    def drain(self) -> None:
        due = outbox.due(self.rows, self.channels, LIMITS, self.wall)
        assert not due.dead
        rows = {row.id: row for row in due.rows if row.state is State.PENDING}
        for row in due.now:
            channel = self.channels.get(row.receiver, Channel(receiver=row.receiver))
            if not channel.is_open(self.wall):
                rows[row.id] = outbox.untried(row)
                continue
            answer = self.answer(row.notification)
            rows[row.id], channel = outbox.settled(row, channel, answer, LIMITS[row.receiver], self.wall, 0.5)
            self.channels[row.receiver] = channel
            if rows[row.id].state is State.SENT:
                self.records = delivered(self.records, row.notification, self.wall)
        self.rows = tuple(rows.values())

    def answer(self, notification: Notification) -> Answer:
        mode = self.modes[notification.receiver]
        if mode in ("works", "swallows"):
            for story in notification.stories:
                self.last[notification.receiver, story.name] = story
        match mode:
            case "works":
                return Answer(result=Result.ARRIVED)
            case "swallows":
                return Answer(result=Result.RETRY, error="timeout", uncertain=True)
            case "refuses":
                return Answer(result=Result.MISCONFIGURED, error="401")
            case _:
                return Answer(result=Result.RETRY, error="503")

    def evaluation(self, *, blind: bool) -> Evaluation:
        if blind:
            return unreachable(view(), "no route to host")
        findings: list[Finding] = []
        fine: dict[str, list[str]] = {}
        dark: dict[str, list[str]] = {}
        for (check, name), truth in self.truth.items():
            node = name.removeprefix("node/") if name.startswith("node/") else ON.get((check, name))
            if truth in SEVERITIES:
                findings.append(bad(check, name, SEVERITIES[truth], node=node))
            elif truth == "good":
                fine.setdefault(check, []).append(name)
            elif truth == "dark":
                dark.setdefault(check, []).append(name)
                findings.append(bad(check, name, UNKNOWN, cause="self.coverage/cluster"))
        if dark:
            findings.append(bad("self.coverage", "cluster", UNKNOWN))
        return saw(*findings, fine=fine, dark=dark)

    def note(self, *, blind: bool) -> None:
        """What somebody with a notebook and a watch sees."""
        if self.truth[NODE] != "good" or blind:
            self.node_was_bad = self.passed
        seen: Mapping[Object, str] = {API: "critical"} if blind else self.truth | {API: "good"}
        for which in (*OBJECTS, API):
            explained = ON.get(which) == "pve1" and self.passed - self.node_was_bad < ROOT_IS_OVER
            now = None if explained else SEVERITIES.get(seen.get(which, "dark"))
            for severity in SEVERITIES.values():
                if now is None or URGENCY[now] < URGENCY[severity]:
                    self.since.pop((which, severity), None)
                else:
                    self.since.setdefault((which, severity), self.passed)

    def judge(self, gap: timedelta, failing: Mapping[str, str]) -> None:
        working = [who for who in LIMITS if self.passed - self.works_since[who] >= RECOVERED]
        for (which, severity), since in self.since.items():
            hold = 600 if which == API else CHECKS[which[0]].hold
            if which == UNHEARD or self.passed - since < timedelta(seconds=hold) + 2 * max(gap, GAP) + TOKEN:
                continue
            today = CRITICAL if which == API else SEVERITIES[self.truth[which]]
            rule = self.book.rules[1 if today is CRITICAL else 2]
            for who in rule.receivers or ():
                if who in working:
                    assert self.believes(who, which), f"{who} does not know of {which}"
                    known = self.last[who, "/".join(which)].finding.severity
                    assert URGENCY[known] >= URGENCY[severity], f"{who} thinks that {which} is only {known}"
        for who in failing:
            for other in working:
                if other != who:
                    assert self.believes(other, ("self.delivery", f"receiver/{who}")), f"{other} does not know that {who} does not work"

    def believes(self, who: str, which: Object) -> bool:
        story = self.last.get((who, "/".join(which)))
        return story is not None and story.kind not in (Kind.RESOLVED, Kind.PASSED)


def test_whoever_can_be_told_knows_how_bad_it_is_today() -> None:
    played(Cluster, 3, 5)


@pytest.mark.slow
def test_whoever_can_be_told_knows_how_bad_it_is_today_in_many_clusters() -> None:
    played(Cluster, 120, 25)
