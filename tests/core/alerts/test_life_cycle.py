"""The life of an incident, with the exact seconds at which it changes."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from pvectl.core.alerts.incident import Kind, Phase, Records, changed, find, name_of
from pvectl.core.alerts.notification import about, story
from pvectl.core.alerts.observing import state_lost, watched
from pvectl.core.alerts.rules import Repeat, Rule, Rules
from pvectl.core.alerts.telling import Why, delivered
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.finding import NO_LEVELS, Severity
from tests.core.alerts.runs import BAD, CRITICAL, DARK, FINE, NODE_DOWN, NOW, OK, RULES, UNKNOWN, WARNING, Runs, bad, saw, view

F, R, O = Kind.FIRING, Kind.REPEAT, Kind.RESOLVED  # noqa: E741
HOUR, DAY = 3600, 86400
DISK, NODE = "disk.smart/disk/pve1/sda", "node.offline/node/pve1"


def test_what_needs_no_time_is_told_in_the_run_that_sees_it() -> None:
    runs = Runs()
    assert runs.at(0, BAD) == [F]
    assert runs.incident().phase is Phase.FIRING
    assert runs.why[DISK].why is Why.TOLD
    assert runs.why[DISK].told == ("mail",)


def test_a_node_has_to_be_down_for_two_minutes_to_the_second() -> None:
    runs = Runs()
    assert runs.at(0, NODE_DOWN) == []
    assert runs.incident(NODE).phase is Phase.PENDING
    assert runs.why[NODE].until == NOW + timedelta(seconds=120)
    assert runs.at(119, NODE_DOWN) == []
    assert runs.at(120, NODE_DOWN) == [F]


def test_what_is_fine_before_it_has_lasted_is_forgotten() -> None:
    runs = Runs()
    runs.at(0, NODE_DOWN)
    assert runs.at(60, FINE) == []
    assert runs.records.incidents == {}
    assert runs.at(119, NODE_DOWN) == []
    assert runs.at(120, NODE_DOWN) == []


def test_it_is_over_after_five_fine_minutes_to_the_second() -> None:
    runs = Runs()
    runs.at(0, BAD)
    assert runs.at(60, FINE) == []
    assert runs.incident().phase is Phase.RECOVERING
    assert runs.why[DISK].until == NOW + timedelta(seconds=360)
    assert runs.at(359, FINE) == []
    assert runs.at(360, FINE) == [O]
    assert runs.incident().phase is Phase.OK
    assert runs.at(420, FINE) == []
    assert runs.why[DISK].why is Why.OVER


def test_bad_again_while_recovering_is_the_same_incident_and_no_news() -> None:
    runs = Runs()
    runs.at(0, BAD)
    first = runs.incident().id
    runs.at(60, FINE)
    assert runs.at(120, BAD) == []
    assert runs.at(180, FINE) == []
    assert runs.at(479, FINE) == []
    assert runs.at(480, FINE) == [O]
    assert runs.incident().id == first
    assert [moment.what for moment in runs.incident().timeline].count("bad again") == 1


def test_without_keep_firing_it_is_over_at_once() -> None:
    runs = Runs(replace(RULES, keep_firing_for=0))
    assert runs.at(0, BAD) == [F]
    assert runs.at(1, FINE) == [O]


def test_what_begins_anew_is_another_incident_with_the_same_fingerprint() -> None:
    runs = Runs(replace(RULES, keep_firing_for=0))
    runs.at(0, BAD)
    before = runs.incident()
    runs.at(60, FINE)
    assert runs.at(120, BAD) == [F]
    assert runs.incident().id != before.id
    assert runs.incident().fingerprint == before.fingerprint


def test_neither_value_nor_words_nor_a_guests_node_make_another_incident() -> None:
    runs = Runs()
    runs.at(0, saw(bad("backup.age", "guest/100", value=1.7, node="pve1")))
    before = runs.incident("backup.age/guest/100")
    moved = bad("backup.age", "guest/100", value=1.9, node="pve2", message="older still")
    assert runs.at(60, saw(moved)) == []
    after = runs.incident("backup.age/guest/100")
    assert (after.id, after.fingerprint) == (before.id, before.fingerprint)
    assert after.finding == moved


def test_the_same_look_changes_no_record() -> None:
    runs = Runs()
    runs.at(0, BAD)
    before = runs.records
    runs.at(60, saw(bad()))
    assert changed(before, runs.records) == ((), ())
    runs.at(120, saw(bad(message="worse words")))
    assert [each.name for each in changed(before, runs.records)[0]] == [DISK]
    runs.at(86400 * 3, saw(fine={"disk.smart": ["disk/pve1/sda"]}))
    runs.at(86400 * 3 + 300, FINE)
    gone = runs.records
    runs.at(86400 * 4 + 300, FINE)
    assert changed(gone, runs.records) == ((), (DISK,))


class TestUnknownHolds:
    def test_it_neither_resolves_nor_counts_as_fine(self) -> None:
        runs = Runs()
        runs.at(0, BAD)
        runs.at(60, FINE)
        assert runs.at(120, DARK) == []
        assert runs.why[DISK].why is Why.HOLDS or runs.incident().held
        assert runs.at(360, FINE) == []
        # of the 300 s only the 60 before and what comes after it was seen again count
        assert runs.at(420, FINE) == []
        assert runs.at(659, FINE) == []
        assert runs.at(660, FINE) == [O]

    def test_pending_does_not_mature(self) -> None:
        dark = saw(
            bad("node.offline", "node/pve1", UNKNOWN, cause="self.coverage/cluster"),
            bad("self.coverage", "cluster", UNKNOWN),
            dark={"node.offline": ["node/pve1"]},
        )
        runs = Runs()
        runs.at(0, NODE_DOWN)
        runs.at(60, dark)
        assert runs.why[NODE].why is Why.HOLDS
        assert runs.at(150, dark) == []
        assert runs.at(200, NODE_DOWN) == []
        assert runs.incident(NODE).counts_from == NOW + timedelta(seconds=200)
        assert runs.at(319, NODE_DOWN) == []
        assert runs.at(320, NODE_DOWN) == [F]

    def test_firing_stays_and_is_not_repeated_meanwhile(self) -> None:
        runs = Runs()
        runs.at(0, BAD)
        assert F not in runs.at(5 * HOUR, DARK)
        assert runs.incident().phase is Phase.FIRING
        assert runs.why[DISK].why is Why.HOLDS
        before = runs.incident()
        runs.at(5 * HOUR + 60, DARK)
        assert runs.incident() is before
        assert runs.at(5 * HOUR + 120, BAD) == [R]

    def test_what_is_over_stays_over(self) -> None:
        runs = Runs()
        runs.at(0, BAD)
        runs.at(60, FINE)
        runs.at(360, FINE)
        before = runs.incident()
        runs.at(420, DARK)
        assert runs.incident() is before
        assert runs.at(480, BAD) == [F]

    def test_a_check_that_was_not_made_says_nothing(self) -> None:
        runs = Runs()
        runs.at(0, BAD)
        none = saw()
        assert runs.at(600, replace(none, verdicts=())) == []
        assert runs.incident().held

    def test_that_nobody_can_look_is_told_itself_after_ten_minutes(self) -> None:
        runs = Runs()
        runs.at(0, DARK)
        assert runs.at(599, DARK) == []
        assert runs.at(600, DARK) == [F]
        assert runs.told[0].stories[0].finding.check == "self.coverage"
        assert runs.at(660, FINE) == []
        assert runs.at(960, FINE) == [O]

    def test_what_could_not_be_examined_for_no_other_reason_is_told_too(self) -> None:
        silent = saw(bad("disk.smart", "disk/pve1/sda", UNKNOWN, message="does not tell health"), dark={"disk.smart": ["disk/pve1/sda"]})
        runs = Runs()
        runs.at(0, BAD)
        runs.at(60, silent)
        assert runs.at(660, silent) == [F]
        assert set(runs.records.incidents) == {DISK, f"{DISK}#blind"}
        # an explanation for it turns up: it is held, not over
        assert runs.at(720, DARK) == []
        assert runs.incident(f"{DISK}#blind").held
        assert runs.at(780, BAD) == []
        assert runs.at(1080, BAD) == [O]


class TestGone:
    NAME = "backup.age/guest/100"

    def test_a_guest_that_was_removed_is_over_when_the_list_is_whole(self) -> None:
        runs = Runs()
        runs.at(0, saw(bad("backup.age", "guest/100")))
        assert runs.at(60, saw()) == []
        assert runs.at(360, saw()) == [O]
        assert runs.told[0].stories[0].ending == "it is no longer among what is checked"

    def test_not_when_the_list_may_lack_something(self) -> None:
        runs = Runs()
        runs.at(0, saw(bad("backup.age", "guest/100")))
        for second, evaluation in enumerate(
            (saw(seen=view(proven=False)), saw(seen=view(quorate=False)), saw(dark={"backup.age": ["guest/101"]})), start=1
        ):
            assert runs.at(1000 * second, evaluation) == []
            assert runs.incident(self.NAME).phase is Phase.FIRING

    def test_a_standalone_host_needs_no_quorum(self) -> None:
        runs = Runs()
        runs.at(0, saw(bad("backup.age", "guest/100")))
        runs.at(60, saw(seen=view(standalone=True, quorate=False)))
        assert runs.incident(self.NAME).phase is Phase.RECOVERING

    def test_a_check_that_was_switched_off_ends_its_incidents(self) -> None:
        runs = Runs()
        runs.at(0, BAD)
        runs.at(60, saw(off=["disk.smart"]))
        assert runs.at(360, saw(off=["disk.smart"])) == [O]
        assert runs.told[0].stories[0].ending == "it is no longer checked"

    def test_a_value_on_its_way_back_is_not_fine_yet(self) -> None:
        name = "storage.usage/storage/nfs"
        between = saw(bad("storage.usage", "storage/nfs", OK, lingers=True, value=0.79))
        runs = Runs()
        runs.at(0, between)
        assert runs.records.incidents == {}
        runs.at(60, saw(bad("storage.usage", "storage/nfs", WARNING, value=0.81)))
        assert runs.at(120, between) == []
        assert runs.records.incidents == {}
        for second in (200, 500):
            runs.at(second, saw(bad("storage.usage", "storage/nfs", WARNING, value=0.81)))
        assert runs.at(600, between) == []
        assert runs.incident(name).phase is Phase.FIRING
        assert runs.incident(name).finding.value == 0.81

    def test_a_check_of_another_release_ends_its_incidents(self) -> None:
        runs = Runs()
        assert runs.at(0, saw(bad("guest.of_old", "guest/1"))) == [F]
        runs.at(60, saw())
        assert runs.at(360, saw()) == [O]
        assert runs.told[0].stories[0].ending == "it is no longer checked"

    def test_a_receiver_that_was_taken_out_needs_no_mending(self) -> None:
        runs = Runs(Rules(receivers=("mail", "chat")))
        assert runs.at(0, watched(FINE, {"chat": "404"}, ("mail", "chat"))) == [F]
        runs.rules = RULES
        dark = watched(saw(seen=view(quorate=False)), {}, ("mail",))
        runs.at(60, dark)
        assert runs.at(360, dark) == [O]
        assert runs.told[0].stories[0].ending == "it is no longer checked"

    def test_without_a_word_on_receivers_theirs_stand_as_they_are(self) -> None:
        runs = Runs(Rules(receivers=("mail", "chat")))
        runs.at(0, watched(FINE, {"chat": "404"}, ("mail", "chat")))
        runs.at(60, replace(FINE, verdicts=()))
        assert runs.incident("self.delivery/receiver/chat").held


class TestGaps:
    def test_after_a_gap_what_was_pending_begins_anew(self) -> None:
        runs = Runs()
        runs.at(0, NODE_DOWN)
        assert runs.at(901, NODE_DOWN) == []
        assert runs.at(1020, NODE_DOWN) == []
        assert runs.at(1021, NODE_DOWN) == [F]

    def test_fifteen_minutes_are_no_gap(self) -> None:
        runs = Runs()
        runs.at(0, NODE_DOWN)
        assert runs.at(900, NODE_DOWN) == [F]

    def test_firing_holds_and_recovering_begins_anew(self) -> None:
        runs = Runs()
        runs.at(0, BAD)
        runs.at(60, FINE)
        assert runs.at(5000, FINE) == []
        assert runs.at(5299, FINE) == []
        assert runs.at(5300, FINE) == [O]

    def test_an_hourly_timer_has_no_gaps(self) -> None:
        runs = Runs(used=False)
        runs.at(0, FINE)
        runs.at(HOUR, NODE_DOWN)
        assert runs.at(2 * HOUR, NODE_DOWN) == [F]

    def test_a_clock_set_back_neither_ripens_nor_delays(self) -> None:
        runs = Runs()
        runs.at(0, NODE_DOWN)
        runs.at(60, NODE_DOWN)
        assert runs.at(-DAY, NODE_DOWN) == []
        assert runs.at(-DAY + 59, NODE_DOWN) == []
        assert runs.at(-DAY + 60, NODE_DOWN) == [F]
        assert runs.at(-2 * DAY, NODE_DOWN) == []
        assert runs.at(-2 * DAY + 4 * HOUR, NODE_DOWN) == [R]

    def test_a_clock_that_stands_still_is_no_gap(self) -> None:
        runs = Runs()
        runs.records = Records(run_at=NOW)
        assert runs.at(0, BAD) == [F]
        assert runs.at(0, BAD) == []


class TestSeverity:
    def test_worse_is_told_once_and_better_is_not(self) -> None:
        runs = Runs()
        warning, critical = saw(bad(severity=WARNING)), saw(bad())
        assert runs.at(0, warning) == [F]
        assert runs.at(60, critical) == [Kind.WORSE]
        assert runs.at(120, warning) == []
        assert runs.at(180, critical) == []
        assert runs.at(240, FINE) == []
        assert runs.at(540, FINE) == [O]

    def test_a_receiver_for_what_is_critical_gets_it_when_it_is(self) -> None:
        rules = Rules(receivers=("mail", "pager"), rules=(Rule(severity="critical"), Rule(receivers=("mail",))))
        runs = Runs(rules)
        runs.at(0, saw(bad(severity=WARNING)))
        assert [(each.receiver, each.kind) for each in runs.told] == [("mail", F)]
        runs.at(60, saw(bad()))
        assert [(each.receiver, each.kind) for each in runs.told] == [("mail", Kind.WORSE), ("pager", F)]
        runs.at(120, saw(bad(severity=WARNING)))
        runs.at(180, FINE)
        runs.at(480, FINE)
        assert {each.receiver for each in runs.told} == {"mail", "pager"}

    @pytest.mark.parametrize("critical", [4 * HOUR, 0])
    def test_who_was_last_told_of_a_warning_hears_at_once_that_it_is_critical_again(self, critical: int) -> None:
        runs = Runs(replace(RULES, repeat=Repeat(critical=critical)))
        warning = saw(bad(severity=WARNING))
        assert runs.at(0, BAD) == [F]
        assert runs.at(60, warning) == []
        assert runs.at(DAY, warning) == [R]
        assert runs.at(DAY + 60, BAD) == [Kind.WORSE]
        assert runs.at(DAY + 120, BAD) == []
        told = runs.incident().told["mail"]
        assert (told.severity, told.latest) == (CRITICAL, CRITICAL)

    def test_programs_know_it_by_the_worst_they_were_told(self) -> None:
        runs = Runs()
        runs.at(0, BAD)
        runs.at(60, saw(bad(severity=WARNING)))
        runs.at(DAY, saw(bad(severity=WARNING)))
        assert runs.told[0].stories[0].known_as is CRITICAL
        told = runs.incident().told["mail"]
        assert (told.severity, told.latest) == (CRITICAL, WARNING)

    def test_records_of_before_know_only_the_worst(self) -> None:
        runs = Runs()
        runs.at(0, BAD)
        runs.change(DISK, told={"mail": replace(runs.incident().told["mail"], latest=None)})
        assert runs.at(60, BAD) == []


class TestRepeats:
    @pytest.mark.parametrize(("severity", "after"), [(CRITICAL, 4 * HOUR), (WARNING, 24 * HOUR)])
    def test_it_is_repeated_to_the_second(self, severity: Severity, after: int) -> None:
        runs = Runs()
        look = saw(bad(severity=severity))
        runs.at(0, look)
        assert runs.at(after - 1, look) == []
        assert runs.why[DISK].until == NOW + timedelta(seconds=after)
        assert runs.at(after, look) == [R]
        assert runs.at(2 * after - 1, look) == []
        assert runs.at(2 * after, look) == [R]

    def test_the_time_counts_from_the_last_success(self) -> None:
        runs = Runs()
        runs.arrives = False
        runs.at(0, BAD)
        assert runs.at(5 * HOUR, BAD) == []
        assert runs.why[DISK].why is Why.ON_ITS_WAY
        runs.arrives = True
        first = about(story(runs.incident(), 1, F), "mail", cluster="lab", made_at=NOW)
        runs.records = delivered(runs.records, first, NOW + timedelta(hours=6))
        assert runs.at(10 * HOUR - 1, BAD) == []
        assert runs.at(10 * HOUR, BAD) == [R]

    def test_a_rule_may_say_never(self) -> None:
        runs = Runs(replace(RULES, repeat=Repeat(critical=0)))
        runs.at(0, BAD)
        assert runs.at(30 * DAY, BAD) == []
        assert runs.why[DISK].why is Why.KNOWN


def test_an_older_message_that_arrives_late_is_not_the_last_word() -> None:
    runs = Runs()
    runs.arrives = False
    runs.at(0, saw(bad(severity=WARNING)))
    first = runs.told[0]
    runs.at(60, BAD)
    worse = runs.told[0]
    records = delivered(delivered(runs.records, worse, NOW), first, NOW + timedelta(hours=1))
    told = records.incidents[DISK].told["mail"]
    assert (told.seq, told.delivered, told.delivered_at, told.is_on_its_way) == (2, 2, NOW, False)
    assert delivered(runs.records, first, NOW).incidents[DISK].told["mail"].is_on_its_way


class TestFlapping:
    def test_two_minutes_up_and_down_for_six_hours_are_at_most_three_messages(self) -> None:
        runs = Runs()
        for second in range(0, 6 * HOUR + 600, 60):
            runs.at(second, BAD if second < 6 * HOUR and (second // 120) % 2 == 0 else FINE)
        assert [kind for _at, kind in runs.messages] == [F, R, O]

    def test_the_third_time_within_an_hour_it_flaps_until_it_has_been_fine_for_an_hour(self) -> None:
        runs = Runs(replace(RULES, keep_firing_for=0))
        for second in range(0, 5400, 600):
            runs.at(second, BAD if second % 1200 == 0 else FINE)
        assert [kind for _at, kind in runs.messages] == [F, O, F, O, Kind.FLAPPING]
        assert runs.incident().flapping
        end = 5400 + HOUR
        for second in range(5400, end, 600):
            assert runs.at(second, FINE) == []
        assert runs.at(end - 1, FINE) == []
        assert runs.why[DISK].until == NOW + timedelta(seconds=end)
        assert runs.at(end, FINE) == [O]

    def test_firing_of_long_ago_does_not_count(self) -> None:
        runs = Runs(replace(RULES, keep_firing_for=0))
        for start in (0, HOUR, 2 * HOUR):
            assert runs.at(start, BAD) == [F]
            assert runs.at(start + 60, FINE) == [O]

    def test_what_fired_before_is_remembered_while_it_is_pending_again(self) -> None:
        runs = Runs(replace(RULES, keep_firing_for=0))
        fine = saw(fine={"node.offline": ["node/pve1"]})
        for start in (0, 600):
            runs.at(start, NODE_DOWN)
            runs.at(start + 120, NODE_DOWN)
            runs.at(start + 180, fine)
        runs.at(1200, NODE_DOWN)
        runs.at(1260, fine)
        assert len(runs.incident(NODE).fires) == 2
        runs.at(1320, NODE_DOWN)
        assert runs.at(1440, NODE_DOWN) == [Kind.FLAPPING]


class TestEvents:
    NAME = "task.failed/task/pve1/vzdump/100"

    def failure(self, upid: str) -> Evaluation:
        return saw(bad("task.failed", "task/pve1/vzdump/100", key=upid, node="pve1"))

    def test_a_failed_task_is_told_once_and_never_repeated(self) -> None:
        runs = Runs()
        assert runs.at(0, self.failure("UPID:1")) == [F]
        assert runs.at(60, self.failure("UPID:1")) == []
        assert runs.at(10 * DAY, self.failure("UPID:1")) == []

    def test_the_next_failure_is_told_again_but_not_more_than_hourly(self) -> None:
        runs = Runs()
        runs.at(0, self.failure("UPID:1"))
        assert runs.at(3599, self.failure("UPID:2")) == []
        assert runs.at(3600, self.failure("UPID:2")) == [Kind.AGAIN]
        assert runs.at(3660, self.failure("UPID:2")) == []

    def test_a_later_success_ends_it_at_once(self) -> None:
        runs = Runs()
        runs.at(0, self.failure("UPID:1"))
        assert runs.at(60, FINE) == [O]

    def test_one_that_flaps_is_over_in_time_although_its_success_is_told_once(self) -> None:
        runs = Runs()
        for start in (0, 600, 1200):
            runs.at(start, self.failure(f"UPID:{start}"))
            runs.at(start + 60, FINE)
        assert [kind for _at, kind in runs.messages] == [F, O, F, O, Kind.FLAPPING]
        for second in range(1320, 4860, 60):
            assert runs.at(second, saw()) == []
        assert runs.at(1260 + HOUR, saw()) == [O]

    def test_time_alone_does_not_end_it(self) -> None:
        runs = Runs()
        runs.at(0, self.failure("UPID:1"))
        assert runs.at(29 * DAY, saw()) == []
        assert runs.incident(self.NAME).phase is Phase.FIRING
        assert runs.at(30 * DAY, saw()) == []
        assert runs.records.incidents == {}


class TestLosses:
    def test_that_something_was_lost_is_told_and_over_after_a_day(self) -> None:
        runs = Runs()
        assert runs.at(0, state_lost(FINE, ["the state file was damaged"], NOW)) == [F]
        assert runs.at(DAY - 1, FINE) == []
        assert runs.incident("self.state/file").phase is Phase.FIRING
        assert runs.at(DAY, FINE) == [O]
        assert runs.told[0].stories[0].ending == "it was told a day ago"

    def test_nothing_lost_is_nothing_to_tell(self) -> None:
        assert state_lost(FINE, [], NOW) is FINE

    def test_another_loss_is_told_again(self) -> None:
        runs = Runs()
        runs.at(0, state_lost(FINE, ["one"], NOW))
        assert runs.at(2 * HOUR, state_lost(FINE, ["two"], NOW + timedelta(hours=2))) == [Kind.AGAIN]
        assert runs.at(DAY, FINE) == []
        assert runs.at(DAY + 2 * HOUR, FINE) == [O]


def test_records_of_before_there_was_more_to_know_are_read() -> None:
    records = msgspec.json.decode(b'{"incidents": {}, "run_at": "2026-11-22T12:00:00Z", "gaps": [60.0]}', type=Records)
    assert (records.looked, records.maintained) == (True, {})


def test_records_and_messages_survive_json() -> None:
    runs = Runs()
    runs.at(0, saw(bad(levels=NO_LEVELS), bad("node.offline", "node/pve1", node="pve1")))
    assert msgspec.json.decode(msgspec.json.encode(runs.records), type=Records) == runs.records
    for message in runs.told:
        assert msgspec.json.decode(msgspec.json.encode(message), type=type(message)) == message


def test_an_incident_is_found_by_the_beginning_of_its_id() -> None:
    runs = Runs()
    runs.at(0, saw(bad(), bad("disk.smart", "disk/pve2/sda")))
    assert find(runs.records, runs.incident().id[:8]) == runs.incident()
    assert find(runs.records, "") is None
    assert find(runs.records, "no such") is None


def test_a_history_keeps_its_beginning_and_its_end() -> None:
    runs = Runs()
    for second in range(0, 3000, 60):
        runs.at(second, BAD if second % 120 == 0 else FINE)
    timeline = runs.incident().timeline
    assert len(timeline) == 20
    assert timeline[0].what == "seen"
    assert timeline[-1].what in {"recovering", "bad again"}
    assert name_of(bad()) == DISK


def test_what_comes_and_goes_faster_than_anybody_looks_is_not_over_after_two_good_looks() -> None:
    runs = Runs()
    for number in range(5):
        runs.at(300 * number, FINE)
    # every 5 minutes a look at what is bad for 2 minutes and fine for 2
    looks = [(300 * number, BAD if 300 * number % 240 < 120 else FINE) for number in range(5, 77)]
    told = [kind for at, seen in looks for kind in runs.at(at, seen)]
    assert told == [Kind.FIRING, Kind.REPEAT]
    assert [runs.at(300 * number, FINE) for number in range(77, 80)] == [[], [], [Kind.RESOLVED]]
