"""What nobody is told of, and what becomes of it afterwards."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from pvectl.core.alerts.incident import Acknowledgement, Kind, Phase, acknowledged, is_acknowledged
from pvectl.core.alerts.observing import unreachable, watched
from pvectl.core.alerts.rules import Rule, Rules
from pvectl.core.alerts.silence import LONGEST, Silence, maintained, problem_of
from pvectl.core.alerts.telling import Why, given_up
from pvectl.core.model import Unknown
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.finding import Finding
from tests.core.alerts.runs import BAD, CRITICAL, FINE, NODE_DOWN, NOW, RULES, UNKNOWN, WARNING, Runs, bad, saw, view

F, R, O = Kind.FIRING, Kind.REPEAT, Kind.RESOLVED  # noqa: E741
HOUR, DAY = 3600, 86400
DISK = "disk.smart/disk/pve1/sda"


def silence(*, until: float = 600, **told: Any) -> Silence:
    given = {"id": "s1", "author": "ann", "reason": "new disk", "made_at": NOW, "until": NOW + timedelta(seconds=until), **told}
    return Silence(**given)


class TestSilences:
    def test_what_is_silenced_is_told_when_the_silence_ends_to_the_second(self) -> None:
        runs = Runs()
        runs.silences = (silence(),)
        assert runs.at(0, BAD) == []
        assert runs.why[DISK].why is Why.SILENCED
        assert runs.why[DISK].detail == "silenced by ann until 2026-11-22 12:10 UTC: new disk"
        assert runs.at(599, BAD) == []
        assert runs.at(600, BAD) == [F]

    def test_what_began_and_ended_in_silence_is_never_told(self) -> None:
        runs = Runs()
        runs.silences = (silence(),)
        runs.at(0, BAD)
        runs.at(60, FINE)
        assert runs.at(360, FINE) == []
        assert runs.at(700, FINE) == []

    def test_what_was_told_before_the_silence_is_told_to_be_over(self) -> None:
        runs = Runs()
        assert runs.at(0, BAD) == [F]
        runs.silences = (silence(until=20000),)
        assert runs.at(4 * HOUR, BAD) == []
        runs.at(4 * HOUR + 60, FINE)
        assert runs.at(4 * HOUR + 360, FINE) == [O]

    def test_the_one_that_lasts_longest_is_named(self) -> None:
        runs = Runs()
        runs.silences = (silence(until=900, author="ben"), silence(id="s2"))
        runs.at(0, BAD)
        assert "ben" in runs.why[DISK].detail

    @pytest.mark.parametrize(
        ("matcher", "fits"),
        [
            ({"checks": ("disk.*",)}, True),
            ({"checks": ("zfs.*",)}, False),
            ({"object": "disk/pve1/*"}, True),
            ({"object": "disk/pve2/*"}, False),
            ({"node": "pve?"}, True),
            ({"node": "pve2"}, False),
            ({"pool": "lab"}, True),
            ({"pool": "prod"}, False),
            ({"tag": "Slow"}, True),
            ({"tag": "fast"}, False),
        ],
    )
    def test_all_that_is_given_has_to_fit(self, matcher: dict[str, Any], fits: bool) -> None:
        runs = Runs()
        runs.silences = (silence(**matcher),)
        runs.at(0, saw(bad(node="pve1", pool="lab", tags=("slow",))))
        assert (runs.told == ()) is fits

    def test_what_has_no_pool_is_in_none(self) -> None:
        runs = Runs()
        runs.silences = (silence(pool="*"),)
        assert runs.at(0, BAD) == [F]

    def test_the_tag_mutes_a_guest(self) -> None:
        runs = Runs()
        muted = saw(bad("backup.age", "guest/100", tags=("pvectl-mute",)))
        assert runs.at(0, muted) == []
        assert runs.why["backup.age/guest/100"].detail == "the guest has the tag pvectl-mute"
        assert runs.at(60, saw(bad("backup.age", "guest/100"))) == [F]

    def test_ha_maintenance_silences_its_node_and_no_other(self) -> None:
        runs = Runs()
        findings = (bad("zfs.health", "zfs/pve1/rpool", node="pve1"), bad("zfs.health", "zfs/pve2/rpool", node="pve2"))
        assert runs.at(0, saw(*findings, seen=view(maintained=["pve1"]))) == [F]
        assert runs.why["zfs.health/zfs/pve1/rpool"].detail == "node pve1 is in HA maintenance"
        assert runs.at(60, saw(*findings)) == [F]

    def test_maintenance_goes_on_for_some_hours_while_nobody_can_see_it(self) -> None:
        disk = bad("zfs.health", "zfs/pve1/rpool", node="pve1")
        dark = saw(disk, bad(), seen=replace(view(), ha=Unknown(reason="no")))
        runs = Runs()
        assert runs.at(0, saw(disk, seen=view(maintained=["pve1"]))) == []
        assert runs.at(60, dark) == [F]
        assert runs.told[0].stories[0].finding.check == "disk.smart"
        assert runs.why["zfs.health/zfs/pve1/rpool"].detail == (
            "node pve1 was in HA maintenance when that could last be seen, at 2026-11-22 12:00 UTC"
        )
        assert runs.at(4 * HOUR - 1, dark) == []
        assert runs.at(4 * HOUR, dark) == [F]
        assert runs.told[0].stories[0].finding.check == "zfs.health"
        assert runs.records.maintained == {}

    def test_a_clock_that_was_set_back_does_not_prolong_it(self) -> None:
        disk = bad("zfs.health", "zfs/pve1/rpool", node="pve1")
        runs = Runs()
        runs.at(0, saw(disk, seen=view(maintained=["pve1"])))
        dark = saw(disk, seen=replace(view(), ha=Unknown(reason="no")))
        assert runs.at(-DAY, dark) == []
        assert runs.at(-DAY + 4 * HOUR, dark) == [F]

    def test_without_a_word_of_ha_nobody_knows_what_is_maintained(self) -> None:
        assert maintained(saw(seen=replace(view(), ha=Unknown(reason="no")))) is None
        assert maintained(saw(seen=view(maintained=["pve1"]))) == frozenset({"pve1"})

    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            ({"until": 0.0}, "future"),
            ({"until": LONGEST.total_seconds() + 1}, "at most 30 days"),
            ({"author": " "}, "who made it"),
            ({"reason": ""}, "who made it"),
        ],
    )
    def test_a_silence_ends_and_says_who_and_why(self, wrong: dict[str, Any], says: str) -> None:
        assert says in (problem_of(silence(**wrong)) or "")
        assert problem_of(silence(until=LONGEST.total_seconds())) is None


class TestAcknowledgement:
    def test_it_ends_repeats_until_it_gets_worse_or_is_over(self) -> None:
        runs = Runs()
        warning = saw(bad(severity=WARNING))
        runs.at(0, warning)
        word = acknowledged(runs.incident(), by="ann", at=NOW, note="ordered")
        assert word.timeline[-1].detail == "ann: ordered"
        runs.change(DISK, acknowledged=word.acknowledged)
        assert runs.at(3 * DAY, warning) == []
        assert runs.why[DISK].why is Why.ACKNOWLEDGED
        assert runs.at(3 * DAY + 60, BAD) == [Kind.WORSE]
        assert runs.at(3 * DAY + 60 + 4 * HOUR, BAD) == [R]
        runs.at(4 * DAY, FINE)
        assert runs.at(4 * DAY + 600, FINE) == [O]

    def test_a_word_needs_no_note(self) -> None:
        runs = Runs()
        assert not runs.at(0, NODE_DOWN)
        pending = runs.incident("node.offline/node/pve1")
        word = acknowledged(pending, by="ben", at=NOW)
        assert word.acknowledged == Acknowledgement(by="ben", at=NOW, severity=CRITICAL)
        assert word.timeline[-1].detail == "ben"
        assert is_acknowledged(word)
        assert not is_acknowledged(pending)


class TestInhibition:
    def down(self, *more: Finding) -> Evaluation:
        return saw(bad("node.offline", "node/pve1", node="pve1"), *more)

    def test_a_node_that_is_down_explains_what_is_on_it(self) -> None:
        follows = (
            bad("zfs.health", "zfs/pve1/rpool", node="pve1"),
            bad("backup.age", "guest/100", WARNING, node="pve1"),
            bad("backup.age", "guest/200", WARNING, node="pve2"),
        )
        runs = Runs()
        assert runs.at(0, self.down(*follows)) == [F]
        assert runs.told[0].stories[0].finding.object == "guest/200"
        assert runs.why["zfs.health/zfs/pve1/rpool"].why is Why.INHIBITED
        assert runs.at(120, self.down(*follows)) == [F]
        assert runs.told[0].stories[0].finding.check == "node.offline"
        assert runs.told[0].stories[0].explains == 2

    def test_what_lasts_when_the_node_is_back_has_to_last_anew(self) -> None:
        stopped = bad("guest.onboot_stopped", "guest/100", WARNING, node="pve1")
        fine = saw(stopped, fine={"node.offline": ["node/pve1"]})
        runs = Runs()
        for second in range(0, 1201, 300):
            runs.at(second, self.down(stopped))
        assert runs.incident("guest.onboot_stopped/guest/100").phase is Phase.FIRING
        for second in range(1500, 1800, 60):
            assert runs.at(second, fine) == []
        assert runs.at(1800, fine) == [O]
        assert runs.incident("guest.onboot_stopped/guest/100").phase is Phase.PENDING
        for second in range(1860, 2400, 60):
            assert runs.at(second, fine) == []
        assert runs.at(2400, fine) == [F]

    def test_what_needs_no_time_is_told_when_its_cause_is_over(self) -> None:
        disk = bad("zfs.health", "zfs/pve1/rpool", node="pve1")
        runs = Runs(replace(RULES, keep_firing_for=0))
        for second in (0, 60, 120):
            runs.at(second, self.down(disk))
        assert sorted(runs.at(180, saw(disk, fine={"node.offline": ["node/pve1"]}))) == [F, O]
        assert len(runs.incident("zfs.health/zfs/pve1/rpool").fires) == 1

    def test_what_was_told_before_goes_on_without_being_told_anew(self) -> None:
        disk = bad("node.rootfs", "node/pve1", WARNING, node="pve1")
        runs = Runs(replace(RULES, keep_firing_for=0))
        runs.at(0, saw(disk))
        assert runs.at(300, saw(disk)) == [F]
        for second in (360, 420, 480):
            runs.at(second, self.down(disk))
        assert runs.incident("node.rootfs/node/pve1").inhibited_by == "node.offline/node/pve1"
        assert runs.at(540, saw(disk, fine={"node.offline": ["node/pve1"]})) == [O]
        assert runs.incident("node.rootfs/node/pve1").inhibited_by is None
        assert runs.incident("node.rootfs/node/pve1").phase is Phase.FIRING

    def test_what_ended_meanwhile_was_never_told(self) -> None:
        disk = bad("zfs.health", "zfs/pve1/rpool", node="pve1")
        runs = Runs()
        runs.at(0, self.down(disk))
        fine = saw(bad("node.offline", "node/pve1", node="pve1"), fine={"zfs.health": ["zfs/pve1/rpool"]})
        runs.at(60, fine)
        assert runs.at(120, fine) == [F]
        assert runs.at(360, fine) == []
        assert runs.incident("zfs.health/zfs/pve1/rpool").phase is Phase.OK

    def test_without_quorum_there_is_one_message(self) -> None:
        findings = [bad("cluster.quorum", "cluster"), bad("self.delivery", "outbox")]
        findings += [bad("node.offline", f"node/pve{n}", node=f"pve{n}") for n in (2, 3)]
        findings += [bad("backup.age", f"guest/{n}") for n in range(100, 140)]
        runs = Runs()
        runs.at(0, saw(*findings))
        assert {each.stories[0].finding.check for each in runs.told} == {"cluster.quorum", "self.delivery"}
        assert {each.stories[0].explains for each in runs.told} == {42, 0}
        assert runs.at(600, saw(*findings)) == []

    def test_a_stale_word_on_quorum_explains_nothing(self) -> None:
        runs = Runs()
        assert runs.at(0, saw(bad("cluster.quorum", "cluster", WARNING), bad())) == [F, F]

    def test_a_guest_the_ha_manager_recovers_is_expected_to_be_stopped(self) -> None:
        runs = Runs(replace(RULES, rules=(Rule(hold=0),)))
        stopped = bad("guest.onboot_stopped", "guest/100", WARNING, node="pve2")
        other = bad("guest.onboot_stopped", "guest/101", WARNING, node="pve2")
        runs.at(0, saw(bad("ha.service", "ha/vm:100", node="pve2"), stopped, other))
        assert {each.stories[0].finding.object for each in runs.told} == {"ha/vm:100", "guest/101"}

    def test_a_finding_that_names_its_cause_follows_from_it(self) -> None:
        runs = Runs(replace(RULES, rules=(Rule(hold=0),)))
        follows = bad("ha.manager", "ha/lrm/pve1", cause="node.offline/node/pve1")
        assert runs.at(0, saw(bad("node.offline", "node/pve1"), follows)) == [F]
        assert runs.at(60, saw(follows, bad("node.offline", "node/pve1", UNKNOWN, cause="x/y"), bad("x", "y"))) == [F]

    def test_a_node_that_was_told_by_no_name_explains_no_cluster_finding(self) -> None:
        runs = Runs(replace(RULES, rules=(Rule(hold=0),)))
        assert runs.at(0, saw(bad("node.offline", "node/pve1"), bad())) == [F, F]

    def test_a_node_nobody_hears_of_explains_nothing(self) -> None:
        follows = bad("zfs.health", "zfs/pve1/rpool", node="pve1")
        runs = Runs(replace(RULES, rules=(Rule(checks=("node.*",), receivers=()),)))
        assert runs.at(0, self.down(follows)) == [F]
        assert runs.told[0].stories[0].finding.check == "zfs.health"
        assert runs.at(300, self.down(follows)) == []

    def test_without_any_receiver_what_follows_still_follows(self) -> None:
        runs = Runs(Rules())
        runs.at(0, self.down(bad("zfs.health", "zfs/pve1/rpool", node="pve1")))
        assert runs.why["zfs.health/zfs/pve1/rpool"].why is Why.INHIBITED

    @pytest.mark.parametrize(("hold", "explains"), [(900, True), (901, False)])
    def test_a_node_that_is_told_late_explains_nothing_until_then(self, hold: int, explains: bool) -> None:
        follows = bad("zfs.health", "zfs/pve1/rpool", node="pve1")
        runs = Runs(replace(RULES, rules=(Rule(checks=("node.*",), hold=hold),)))
        assert runs.at(0, self.down(follows)) == ([] if explains else [F])
        for second in (600, hold):
            runs.at(second, self.down(follows))
        assert runs.incident("node.offline/node/pve1").phase is Phase.FIRING
        assert runs.incident("zfs.health/zfs/pve1/rpool").inhibited_by == "node.offline/node/pve1"

    def test_a_node_that_has_been_up_for_long_enough_explains_nothing_although_it_flaps(self) -> None:
        follows = bad("zfs.health", "zfs/pve1/rpool", node="pve1")
        up = saw(follows, fine={"node.offline": ["node/pve1"]})
        runs = Runs(replace(RULES, flaps=1))
        for second in (0, 60, 120):
            runs.at(second, self.down(follows))
        assert [kind for _at, kind in runs.messages] == [Kind.FLAPPING]
        for second in range(180, 480, 60):
            assert runs.at(second, up) == []
        assert runs.at(480, up) == [Kind.FLAPPING]
        assert runs.told[0].stories[0].finding == follows
        assert runs.incident("node.offline/node/pve1").phase is Phase.RECOVERING
        assert runs.at(540, up) == []
        # down again it explains again
        runs.at(600, self.down(follows))
        assert runs.incident("zfs.health/zfs/pve1/rpool").inhibited_by == "node.offline/node/pve1"

    def test_a_silenced_node_keeps_its_guests_silent_too(self) -> None:
        runs = Runs()
        runs.silences = (silence(checks=("node.offline",), until=HOUR),)
        for second in (0, 60, 120, 180):
            assert runs.at(second, self.down(bad("zfs.health", "zfs/pve1/rpool", node="pve1"))) == []


class TestFirstLook:
    def test_forty_problems_are_one_message(self) -> None:
        runs = Runs(used=False)
        findings = [bad("backup.age", f"guest/{n}", WARNING) for n in range(100, 137)]
        findings += [bad("node.offline", f"node/pve{n}") for n in (1, 2, 3)]
        assert runs.at(0, saw(*findings)) == [Kind.BASELINE]
        assert len(runs.told[0].stories) == 40
        assert runs.told[0].stories[0].finding.severity is CRITICAL
        assert runs.told[0].incident is None
        for second in range(60, 1800, 60):
            assert runs.at(second, saw(*findings)) == []

    def test_each_of_them_is_repeated_and_ended_by_itself(self) -> None:
        runs = Runs(used=False)
        runs.at(0, saw(bad(), bad("disk.smart", "disk/pve2/sda")))
        one = saw(bad(), fine={"disk.smart": ["disk/pve2/sda"]})
        runs.at(60, one)
        assert runs.at(360, one) == [O]
        assert runs.at(4 * HOUR, one) == [R]

    def test_a_single_problem_is_told_as_ever(self) -> None:
        assert Runs(used=False).at(0, BAD) == [F]

    def test_no_problem_is_no_message(self) -> None:
        runs = Runs(used=False)
        assert runs.at(0, FINE) == []
        assert runs.at(60, BAD) == [F]

    def test_each_receiver_gets_its_own(self) -> None:
        rules = Rules(receivers=("mail", "pager"), rules=(Rule(severity="critical"), Rule(receivers=("mail",))))
        runs = Runs(rules, used=False)
        runs.at(0, saw(bad(), bad("disk.smart", "disk/pve2/sda", WARNING)))
        assert [(each.receiver, each.kind) for each in runs.told] == [("mail", Kind.BASELINE), ("pager", F)]

    def test_a_run_that_saw_nothing_is_no_first_look(self) -> None:
        runs = Runs(used=False)
        silent = watched(unreachable(view(), "connection refused"), {}, ["mail"])
        assert runs.at(0, silent) == [F]
        assert not runs.records.looked
        assert runs.at(60, silent) == []
        findings = [bad("backup.age", f"guest/{n}", WARNING) for n in range(100, 140)]
        assert runs.at(120, saw(*findings)) == [Kind.BASELINE]
        assert runs.records.looked
        assert runs.at(180, silent) == []


class TestNewReceiver:
    FINDINGS = tuple(bad("backup.age", f"guest/{n}", WARNING) for n in range(100, 114))

    def test_it_hears_of_all_that_is_known_in_one_message(self) -> None:
        runs = Runs(replace(RULES, receivers=("mail",)))
        for finding in range(1, 15):
            runs.at(60 * finding, saw(*self.FINDINGS[:finding]))
        runs.rules = replace(RULES, receivers=("mail", "chat"))
        assert runs.at(960, saw(*self.FINDINGS)) == [Kind.BASELINE]
        assert (runs.told[0].receiver, len(runs.told[0].stories)) == ("chat", 14)
        assert runs.at(1020, saw(*self.FINDINGS)) == []

    def test_of_one_it_hears_as_ever(self) -> None:
        runs = Runs()
        runs.at(0, BAD)
        runs.rules = replace(RULES, receivers=("mail", "chat"))
        assert runs.at(60, saw(bad(), bad("zfs.health", "zfs/pve1/rpool"))) == [F, F, F]

    def test_news_are_no_first_look(self) -> None:
        runs = Runs()
        runs.at(0, FINE)
        assert runs.at(60, saw(bad(), bad("zfs.health", "zfs/pve1/rpool"))) == [F, F]


class TestItself:
    def test_an_api_that_does_not_answer_is_one_message_and_changes_nothing_else(self) -> None:
        silent = unreachable(view(), "connection refused")
        runs = Runs(replace(RULES, rules=(Rule(checks=("self.coverage",), hold=120),)))
        runs.at(0, saw(bad(), bad("self.coverage", "node/pve1", UNKNOWN)))
        runs.at(60, silent)
        assert runs.at(180, silent) == [F]
        assert runs.told[0].stories[0].finding.object == "api"
        assert runs.incident().phase is Phase.FIRING
        assert runs.incident("self.coverage/node/pve1").held
        assert runs.at(240, watched(silent, {}, ["mail"])) == []
        runs.at(300, BAD)
        assert runs.at(600, BAD) == [O]

    def test_a_receiver_that_does_not_work_is_told_through_the_others(self) -> None:
        rules = Rules(receivers=("mail", "chat"))
        runs = Runs(rules)
        runs.at(0, watched(FINE, {"chat": "404"}, rules.receivers))
        assert [each.receiver for each in runs.told] == ["mail"]
        assert runs.why["self.delivery/receiver/chat"].rule == "default"
        works = watched(replace(FINE, verdicts=FINE.verdicts[:1]), {}, rules.receivers)
        runs.at(60, works)
        assert runs.at(360, works) == [O]
        assert runs.told[0].stories[0].ending == ""

    def test_the_only_receiver_cannot_be_told_of_itself(self) -> None:
        runs = Runs()
        assert runs.at(0, watched(FINE, {"mail": "401"}, ["mail"])) == []
        assert runs.why["self.delivery/receiver/mail"].why is Why.NOBODY


class TestGivenUp:
    def test_a_lasting_incident_is_tried_anew_when_it_would_be_repeated(self) -> None:
        runs = Runs()
        runs.arrives = False
        runs.at(0, BAD)
        runs.records = given_up(runs.records, runs.told[0], NOW + timedelta(hours=72))
        assert runs.at(73 * HOUR, BAD) == []
        assert runs.why[DISK].why is Why.GIVEN_UP
        assert runs.at(76 * HOUR - 1, BAD) == []
        assert runs.at(76 * HOUR, BAD) == [F]

    def test_what_nobody_was_told_of_needs_no_end(self) -> None:
        runs = Runs()
        runs.arrives = False
        runs.at(0, BAD)
        runs.records = given_up(runs.records, runs.told[0], NOW)
        runs.at(60, FINE)
        assert runs.at(360, FINE) == []
        assert runs.why[DISK].why is Why.OVER

    def test_a_repeat_that_was_given_up_is_repeated_later(self) -> None:
        runs = Runs()
        runs.at(0, BAD)
        runs.arrives = False
        runs.at(4 * HOUR, BAD)
        runs.records = given_up(runs.records, runs.told[0], NOW + timedelta(hours=5))
        assert runs.at(9 * HOUR, BAD) == [R]
        assert runs.records == given_up(runs.records, replace(runs.told[0], receiver="other"), NOW)

    def test_a_flapping_one_is_told_as_such(self) -> None:
        runs = Runs(replace(RULES, flaps=1))
        runs.arrives = False
        assert runs.at(0, BAD) == [Kind.FLAPPING]
        message = runs.told[0]
        runs.records = given_up(runs.records, message, NOW + timedelta(days=1))
        assert runs.at(-60, BAD) == []
        assert runs.incident().told["mail"].given_up_at == NOW - timedelta(seconds=60)
        assert runs.at(4 * HOUR, BAD) == [Kind.FLAPPING]
        # the word on the older message changes nothing any more
        assert given_up(runs.records, message, NOW) is not None
        assert given_up(runs.records, message, NOW).incidents[DISK] is runs.incident()

    def test_a_receiver_that_was_taken_out_is_not_told_the_end(self) -> None:
        runs = Runs()
        runs.at(0, BAD)
        runs.rules = replace(RULES, receivers=("other",))
        assert runs.at(60, BAD) == [F]
        runs.at(120, FINE)
        runs.at(420, FINE)
        assert [each.receiver for each in runs.told] == ["other"]
