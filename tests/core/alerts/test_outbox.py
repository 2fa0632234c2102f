"""What waits, what is tried when, what replaces what, and what is given up."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import pytest
from msgspec.structs import replace

from pvectl.core.alerts import outbox
from pvectl.core.alerts.incident import Kind, Records, began
from pvectl.core.alerts.notification import Notification, about, digest, notice, story, urgency
from pvectl.core.alerts.outbox import Answer, Channel, Limit, Result, Row, State
from pvectl.core.alerts.step import step
from pvectl.core.alerts.telling import given_up, on_its_way_again
from pvectl.core.monitor.finding import Severity
from tests.core.alerts.runs import CRITICAL, NOW, RULES, WARNING, bad, saw

LIMITS = {"mail": Limit(), "chat": Limit()}
WIDE = {"mail": Limit(per_hour=10_000, burst=1000)}
ARRIVED = Answer(result=Result.ARRIVED)
RETRY = Answer(result=Result.RETRY, error="500")
HOUR = 3600


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def message(number: int = 1, kind: Kind = Kind.FIRING, seq: int = 1, severity: Severity = CRITICAL, receiver: str = "mail") -> Notification:
    incident = began("lab", bad(object=f"disk/pve1/{number}", severity=severity), NOW)
    if kind in (Kind.RESOLVED, Kind.PASSED):
        incident = replace(incident, ended_at=at(60))
    return about(story(incident, seq, kind), receiver, cluster="lab", made_at=NOW)


def queue(*messages: Notification) -> tuple[Row, ...]:
    return outbox.enqueued((), messages, NOW)


def pending(rows: tuple[Row, ...]) -> list[Row]:
    return [row for row in rows if row.state is State.PENDING]


def tried(row: Row, answer: Answer = RETRY) -> Row:
    return outbox.settled(replace(row, sending=True), Channel(receiver=row.receiver), answer, Limit(), NOW, 0.5)[0]


class TestCoalescing:
    def test_the_same_message_is_queued_once(self) -> None:
        rows = queue(message(), message())
        assert len(rows) == 1
        assert outbox.enqueued(rows, [message()], at(60)) == rows

    def test_receivers_and_incidents_wait_each_for_themselves(self) -> None:
        assert len(pending(queue(message(1), message(2), message(1, receiver="chat")))) == 3

    def test_what_ended_before_it_was_told_came_and_went(self) -> None:
        rows = outbox.enqueued(queue(message()), [message(kind=Kind.RESOLVED, seq=2)], at(600))
        (left,) = pending(rows)
        assert left.notification.kind is Kind.PASSED
        assert left.waiting_since == NOW
        assert left.queued_at == at(600)
        assert rows[0].state is State.REPLACED

    def test_what_became_worse_before_it_was_told_is_new_all_the_same(self) -> None:
        rows = outbox.enqueued(queue(message(severity=WARNING)), [message(kind=Kind.WORSE, seq=2)], at(60))
        (left,) = pending(rows)
        assert (left.notification.kind, left.notification.severity) == (Kind.FIRING, CRITICAL)

    def test_what_may_have_arrived_is_followed_by_the_end_of_it(self) -> None:
        for begun in (replace(queue(message())[0], sending=True), tried(queue(message())[0], replace(RETRY, uncertain=True))):
            rows = outbox.enqueued([begun], [message(kind=Kind.RESOLVED, seq=2)], at(600))
            assert [row.notification.kind for row in pending(rows)] == [Kind.RESOLVED]

    def test_what_surely_did_not_arrive_came_and_went(self) -> None:
        rows = outbox.enqueued([tried(queue(message())[0])], [message(kind=Kind.RESOLVED, seq=2)], at(600))
        assert [row.notification.kind for row in pending(rows)] == [Kind.PASSED]

    def test_a_repeat_that_waits_gives_way_to_the_end(self) -> None:
        rows = outbox.enqueued(queue(message(kind=Kind.REPEAT, seq=2)), [message(kind=Kind.RESOLVED, seq=3)], at(600))
        assert [row.notification.kind for row in pending(rows)] == [Kind.RESOLVED]

    def test_a_digest_that_waits_takes_the_newer_word_in(self) -> None:
        first = digest([message(n).stories[0] for n in (1, 2)], "mail", Kind.BASELINE, cluster="lab", made_at=NOW)
        rows = outbox.enqueued(queue(first), [message(1, Kind.RESOLVED, 2), message(2, Kind.WORSE, 2)], at(60))
        (left,) = pending(rows)
        assert sorted(one.kind for one in left.notification.stories) == [Kind.FIRING, Kind.PASSED]
        assert left.notification.id != first.id
        rows = outbox.enqueued(rows, [message(2, Kind.RESOLVED, 3), message(1, Kind.RESOLVED, 3)], at(120))
        (left,) = pending(rows)
        assert sorted(one.kind for one in left.notification.stories) == [Kind.PASSED, Kind.RESOLVED]

    def test_a_digest_that_may_have_arrived_goes_before_the_newer_word(self) -> None:
        first = digest([message(n).stories[0] for n in (1, 2)], "mail", Kind.DIGEST, cluster="lab", made_at=NOW)
        begun = replace(queue(first)[0], sending=True)
        rows = outbox.enqueued([begun], [message(1, Kind.RESOLVED, 2), message(3)], at(60))
        assert len(pending(rows)) == 3
        due = outbox.due(rows, {}, LIMITS, at(60))
        assert {row.notification.kind for row in due.now} == {Kind.DIGEST, Kind.FIRING}


class TestDue:
    def test_what_presses_goes_first(self) -> None:
        rows = queue(
            message(1, Kind.RESOLVED),
            message(2, severity=WARNING),
            message(3),
            notice("mail", "s", "t", cluster="lab", key="k", made_at=NOW),
        )
        due = outbox.due(rows, {}, LIMITS, NOW)
        assert [urgency(row.notification) for row in due.now] == [2, 1, 1, 0]

    def test_what_is_sent_is_written_down_first(self) -> None:
        due = outbox.due(queue(message()), {}, LIMITS, NOW)
        assert due.now[0].sending
        assert due.rows == due.now
        again = outbox.due(due.rows, {}, LIMITS, at(60))
        assert again.now[0].uncertain
        assert again.now[0].id == due.now[0].id
        assert not outbox.untried(due.now[0]).may_have_arrived

    def test_what_exceeds_the_limit_becomes_a_digest_and_the_worst_goes_by_itself(self) -> None:
        rows = queue(*(message(n, severity=WARNING) for n in range(20)), message(99))
        due = outbox.due(rows, {}, LIMITS, NOW)
        assert len(due.now) == 5
        assert due.now[0].notification.stories[0].finding.object == "disk/pve1/99"
        assert due.now[-1].notification.kind is Kind.DIGEST
        assert len(due.now[-1].notification.stories) == 17
        told = [one.incident for row in due.now for one in row.notification.stories]
        assert len(told) == len(set(told)) == 21
        assert len(pending(due.rows)) == 5

    def test_what_may_have_arrived_and_notices_are_in_no_digest(self) -> None:
        rows = (
            *(replace(row, uncertain=True) for row in queue(*(message(n) for n in range(7)))),
            *queue(notice("mail", "s", "t", cluster="lab", key="k", made_at=NOW)),
        )
        due = outbox.due(rows, {}, LIMITS, NOW)
        assert len(due.now) == 5
        assert {row.notification.kind for row in due.now} == {Kind.FIRING}

    def test_what_presses_most_is_not_put_off_by_a_digest_it_cannot_be_part_of(self) -> None:
        one_left = {"mail": Channel(receiver="mail", spent=4, spent_at=NOW)}
        (pressing,) = queue(message(99))
        rows = (replace(pressing, attempts=1, uncertain=True), *queue(*(message(n, severity=WARNING) for n in range(4))))
        assert [row.id for row in outbox.due(rows, one_left, LIMITS, NOW).now] == [pressing.id]
        # and what presses less does not put off the digest
        rows = (replace(queue(message(99, severity=WARNING))[0], uncertain=True), *queue(*(message(n) for n in range(4))))
        assert [row.notification.kind for row in outbox.due(rows, one_left, LIMITS, NOW).now] == [Kind.DIGEST]

    def test_a_notice_of_what_is_about_to_happen_is_never_too_late_for_the_limits_sake(self) -> None:
        soon = notice("mail", "pve2 goes off", "", cluster="lab", key="k", made_at=NOW, expires_at=at(300))
        for spent, first in ((4.0, [Kind.DIGEST]), (5.0, [])):
            channels = {"mail": Channel(receiver="mail", spent=spent, spent_at=NOW)}
            due = outbox.due(queue(*(message(n) for n in range(4)), soon), channels, LIMITS, NOW)
            assert [row.notification.kind for row in due.now] == [*first, Kind.NOTICE]
            _row, channel = outbox.settled(due.now[-1], channels["mail"], ARRIVED, Limit(), NOW, 0.5)
            # it is paid for afterwards
            assert channel.spent == spent + 1
        owing = {"mail": Channel(receiver="mail", spent=10, spent_at=NOW)}
        assert outbox.due(queue(soon, message()), owing, LIMITS, NOW).now == ()

    def test_what_presses_as_much_goes_in_the_order_of_its_name(self) -> None:
        rows = queue(*(message(n) for n in (3, 1, 4, 2)))
        assert [row.notification.stories[0].finding.object[-1] for row in outbox.due(rows, {}, LIMITS, NOW).now] == ["1", "2", "3", "4"]

    def test_a_digest_that_fails_again_and_again_holds_up_no_news(self) -> None:
        first = digest([message(n).stories[0] for n in (1, 2)], "mail", Kind.DIGEST, cluster="lab", made_at=NOW)
        for uncertain, kind in ((True, Kind.RESOLVED), (False, Kind.PASSED)):
            (row,) = queue(first)
            rows = outbox.enqueued([replace(row, attempts=3, uncertain=uncertain)], [message(1, Kind.RESOLVED, 2)], at(60))
            due = outbox.due(rows, {}, LIMITS, at(60))
            over, rest = due.now
            assert (over.notification.kind, over.waiting_since) == (kind, at(60) if uncertain else NOW)
            # what there is newer word on must not arrive after it
            assert [one.finding.object for one in rest.notification.stories] == ["disk/pve1/2"]
            assert (rest.attempts, rest.queued_at) == (3, NOW)
            rows = outbox.enqueued(outbox.due(rows, {}, {"mail": Limit(burst=0)}, at(60)).rows, [message(2, Kind.RESOLVED, 2)], at(60))
            assert {each.notification.kind for each in outbox.due(rows, {}, LIMITS, at(60)).now} == {kind}
            assert not any(each.notification.is_digest for each in outbox.due(rows, {}, LIMITS, at(60)).now)

    def test_a_digest_that_fails_again_and_again_draws_no_others_in(self) -> None:
        first = digest([message(n).stories[0] for n in (1, 2)], "mail", Kind.DIGEST, cluster="lab", made_at=NOW)
        stuck = replace(queue(first)[0], attempts=3)
        one_left = {"mail": Channel(receiver="mail", spent=4, spent_at=NOW)}
        due = outbox.due((stuck, *queue(*(message(n) for n in (3, 4)))), one_left, LIMITS, NOW)
        assert [len(row.notification.stories) for row in due.now] == [2]
        assert due.now[0].id != stuck.id
        assert next(row for row in due.rows if row.id == stuck.id) == stuck
        # unless nothing at all has arrived since
        two_left = Channel(receiver="mail", spent=3, spent_at=NOW)
        rows = (stuck, *queue(*(message(n) for n in (3, 4, 5))))
        for succeeded_at, stories in ((None, [1, 4]), (NOW, [1, 4]), (at(1), [1, 2])):
            due = outbox.due(rows, {"mail": replace(two_left, succeeded_at=succeeded_at)}, LIMITS, NOW)
            assert [len(row.notification.stories) for row in due.now] == stories

    def test_an_empty_bucket_fills_one_message_in_six_minutes(self) -> None:
        empty = {"mail": Channel(receiver="mail", spent=5, spent_at=NOW)}
        assert outbox.due(queue(message()), empty, LIMITS, at(359)).now == ()
        assert len(outbox.due(queue(message()), empty, LIMITS, at(360)).now) == 1
        assert outbox.tokens(empty["mail"], Limit(), at(30 * HOUR)) == 5

    def test_a_clock_that_was_put_right_does_not_keep_the_bucket_empty(self) -> None:
        ahead = Channel(receiver="mail", spent=5, spent_at=at(86400))
        assert outbox.tokens(ahead, Limit(), NOW) == 5
        assert len(outbox.due(queue(message()), {"mail": ahead}, LIMITS, NOW).now) == 1
        _row, channel = outbox.settled(queue(message())[0], ahead, ARRIVED, Limit(), NOW, 0.5)
        assert outbox.tokens(channel, Limit(), NOW) == 4

    def test_a_receiver_that_failed_is_left_alone_for_its_time(self) -> None:
        failed = {"mail": Channel(receiver="mail", failures=1, failed_at=NOW, not_before=at(30))}
        assert outbox.due(queue(message()), failed, LIMITS, at(29)).now == ()
        assert len(outbox.due(queue(message()), failed, LIMITS, at(30)).now) == 1
        assert failed["mail"].is_open(at(-1))

    def test_what_waits_for_a_receiver_that_is_gone_is_dropped(self) -> None:
        (row,) = outbox.due(queue(message()), {}, {}, NOW).rows
        assert row.state is State.DROPPED

    def test_a_notice_that_came_too_late_is_dropped(self) -> None:
        late = notice("mail", "off in 5 min", "", cluster="lab", key="k", made_at=NOW, expires_at=at(300))
        assert late.incident == late.id
        assert len(outbox.due(queue(late), {}, LIMITS, at(299)).now) == 1
        due = outbox.due(queue(late), {}, LIMITS, at(300))
        assert due.now == ()
        assert due.rows[0].state is State.DROPPED

    def test_a_message_that_makes_its_receiver_fail_lets_the_others_pass(self) -> None:
        poison = replace(queue(message(1))[0], attempts=3)
        due = outbox.due((poison, *queue(message(2, severity=WARNING))), {}, LIMITS, NOW)
        assert [row.attempts for row in due.now] == [0, 3]

    def test_after_three_days_of_failing_it_is_given_up_to_the_second(self) -> None:
        days = 3 * 86400
        for failed_at, state in ((days - 1, State.PENDING), (days, State.DEAD)):
            channels = {"mail": Channel(receiver="mail", failures=9, failed_at=at(failed_at), not_before=at(failed_at))}
            due = outbox.due(queue(message()), channels, LIMITS, at(failed_at + 1))
            assert due.rows[0].state is state
            assert len(due.dead) == (state is State.DEAD)

    def test_days_in_which_nobody_tried_do_not_count(self) -> None:
        assert len(outbox.due(queue(message()), {}, LIMITS, at(10 * 86400)).now) == 1


class TestSettling:
    def settle(self, answer: Answer, channel: Channel | None = None, row: Row | None = None) -> tuple[Row, Channel]:
        row = row or replace(queue(message())[0], sending=True)
        return outbox.settled(row, channel or Channel(receiver="mail"), answer, Limit(), NOW, 0.5)

    def test_what_arrived_is_sent_and_mends_the_receiver(self) -> None:
        row, channel = self.settle(ARRIVED, Channel(receiver="mail", failures=3, failed_at=NOW, not_before=at(9), broken="401"))
        assert (row.state, row.attempts, row.ended_at) == (State.SENT, 1, NOW)
        assert channel == Channel(receiver="mail", spent=1, spent_at=NOW, succeeded_at=NOW)

    def test_a_failure_shuts_the_receiver_and_costs_nothing_of_its_limit(self) -> None:
        row, channel = self.settle(RETRY)
        assert (row.state, row.attempts, row.error, row.may_have_arrived) == (State.PENDING, 1, "500", False)
        assert channel == Channel(receiver="mail", failures=1, failed_at=NOW, not_before=at(30))

    def test_a_receiver_that_is_set_up_wrong_is_reported_at_once_and_tried_hourly(self) -> None:
        row, channel = self.settle(Answer(result=Result.MISCONFIGURED, error="401 Unauthorized"))
        assert row.state is State.PENDING
        assert channel.not_before == at(HOUR)
        assert outbox.broken([channel, Channel(receiver="chat")]) == {"mail": "401 Unauthorized"}
        assert self.settle(Answer(result=Result.MISCONFIGURED))[1].broken == "it refuses every message"

    def test_only_an_answer_shows_that_it_was_set_right(self) -> None:
        channel = Channel(receiver="mail", failures=1, failed_at=NOW, not_before=NOW, broken="401")
        assert self.settle(RETRY, channel)[1].broken == "401"
        assert self.settle(Answer(result=Result.REJECTED, error="400"), channel)[1].broken is None
        assert self.settle(ARRIVED, channel)[1].broken is None

    def test_a_message_that_is_refused_is_given_up_after_three_attempts(self) -> None:
        row, channel = self.settle(Answer(result=Result.REJECTED, error="400"))
        row, channel = self.settle(Answer(result=Result.REJECTED, error="400"), channel, row)
        assert row.state is State.PENDING
        assert channel.is_open(NOW)
        row, channel = self.settle(Answer(result=Result.REJECTED, error="400"), channel, row)
        assert (row.state, row.error, channel.spent) == (State.DEAD, "400", 3)

    def test_once_uncertain_always_uncertain(self) -> None:
        row, _channel = self.settle(replace(RETRY, uncertain=True))
        row, _channel = self.settle(RETRY, row=row)
        assert row.may_have_arrived

    @pytest.mark.parametrize(
        ("failures", "jitter", "seconds"),
        [
            (1, 0.0, 30),
            (1, 1.0, 36),
            (2, 0.0, 48),
            (2, 0.5, 60),
            (2, 1.0, 72),
            (7, 0.5, 1920),
            (8, 0.0, 3072),
            (8, 1.0, 3600),
            (999, 0.5, 3600),
        ],
    )
    def test_the_wait_doubles_from_half_a_minute_to_an_hour(self, failures: int, jitter: float, seconds: float) -> None:
        assert outbox.backoff(failures, jitter, RETRY) == pytest.approx(seconds)

    @pytest.mark.parametrize(("asked", "jitter", "seconds"), [(120, 0, 120), (120, 1, 144), (0, 0, 1), (1e9, 0, 86400)])
    def test_a_receiver_may_say_when(self, asked: float, jitter: float, seconds: float) -> None:
        assert outbox.backoff(1, jitter, replace(RETRY, retry_after=asked)) == pytest.approx(seconds)

    @pytest.mark.parametrize(
        ("result", "statuses"),
        [
            (Result.ARRIVED, (200, 202, 204)),
            (Result.MISCONFIGURED, (401, 403, 404, 410)),
            (Result.RETRY, (408, 425, 429, 500, 502, 503, 504, 302, 100)),
            (Result.REJECTED, (400, 413, 422)),
        ],
    )
    def test_what_a_status_means(self, result: Result, statuses: tuple[int, ...]) -> None:
        assert {outbox.classified(status) for status in statuses} == {result}


def test_the_monitor_is_told_how_the_outbox_stands() -> None:
    rows = (replace(queue(message(1))[0], waiting_since=at(-60)), *queue(message(2)), replace(queue(message(3))[0], state=State.DEAD))
    assert (outbox.standing(rows).oldest, outbox.standing(rows).dead) == (at(-60), 1)
    assert (outbox.standing(()).oldest, outbox.standing(()).dead) == (None, 0)


def test_an_administrator_may_retry_and_drop() -> None:
    dead = replace(queue(message())[0], state=State.DEAD, ended_at=NOW)
    assert outbox.retried(dead, at(60)).state is State.PENDING
    assert outbox.dropped(outbox.retried(dead, at(60)), at(61)).state is State.DROPPED


def test_what_ended_is_kept_for_thirty_days() -> None:
    dead = replace(queue(message())[0], state=State.DEAD, ended_at=NOW)
    assert outbox.kept([dead, *queue(message(2))], at(30 * 86400 - 1)) == (dead, *queue(message(2)))
    assert outbox.kept([dead, *queue(message(2))], at(30 * 86400)) == queue(message(2))


def test_rows_and_receivers_survive_json() -> None:
    row, channel = outbox.settled(queue(message())[0], Channel(receiver="mail"), RETRY, Limit(), NOW, 0.1)
    assert msgspec.json.decode(msgspec.json.encode(row), type=Row) == row
    assert msgspec.json.decode(msgspec.json.encode(channel), type=Channel) == channel


def test_ids_are_the_same_for_the_same_message_and_for_no_other() -> None:
    assert message().id == message().id
    others = [message(2), message(seq=2), message(kind=Kind.REPEAT), message(receiver="chat"), message(severity=WARNING)]
    assert message().id == others.pop().id
    assert len({each.id for each in [message(), *others]}) == 5
    stories = [message(n).stories[0] for n in (1, 2)]
    made = [digest(each, "mail", Kind.DIGEST, cluster="lab", made_at=NOW) for each in (stories, stories[::-1])]
    assert made[0] == made[1]


def test_wide_limits_send_everything_by_itself() -> None:
    rows = queue(*(message(n) for n in range(300)))
    assert len(outbox.due(rows, {}, WIDE, NOW).now) == 300


def test_what_began_anew_is_told_after_the_word_that_it_was_over_the_last_time() -> None:
    old = message(1, Kind.RESOLVED, seq=2)
    new = began("lab", bad(object="disk/pve1/1"), at(600))
    rows = outbox.enqueued(
        queue(message(2, Kind.RESOLVED), old, message(3)), [about(story(new, 1, Kind.FIRING), "mail", cluster="lab", made_at=NOW)], at(600)
    )
    due = outbox.due(rows, {}, WIDE, at(600)).now
    said = [(row.notification.stories[0].name.rpartition("/")[2], row.notification.kind) for row in due]
    assert said == [("3", Kind.FIRING), ("1", Kind.RESOLVED), ("1", Kind.FIRING), ("2", Kind.RESOLVED)]
    summed = outbox.due(rows, {}, {"mail": Limit(per_hour=1, burst=1)}, at(600)).now[0].notification
    assert [(one.name.rpartition("/")[2], one.kind) for one in summed.stories][:2] == [("1", Kind.RESOLVED), ("1", Kind.FIRING)]


def test_all_news_for_a_digest_that_waits_make_one_other_digest() -> None:
    first = [message(number) for number in range(1, 201)]
    summary = digest((each.stories[0] for each in first), "mail", Kind.BASELINE, cluster="lab", made_at=NOW)
    over = [message(number, Kind.RESOLVED, seq=2) for number in range(1, 200)]
    rows = outbox.enqueued(queue(summary), over, at(600))
    assert [row.state for row in rows] == [State.REPLACED, State.PENDING]
    assert sorted(one.kind for one in rows[1].notification.stories) == [Kind.FIRING, *[Kind.PASSED] * 199]


def test_what_was_given_up_is_on_its_way_again_unless_there_is_newer_word_on_it() -> None:
    records, (first,), _ = step(Records(), saw(bad()), RULES, (), NOW)
    lost = given_up(records, first, NOW)
    (name,) = lost.incidents
    word = lost.incidents[name].told[first.receiver]
    assert word.given_up_at == NOW
    again = on_its_way_again(lost, first, NOW)
    assert again.incidents[name].told[first.receiver].given_up_at is None
    assert again.incidents[name].timeline[-1].what == "tried again"
    newer = replace(lost.incidents[name], told={first.receiver: replace(word, seq=word.seq + 1)})
    for other in (Records(), replace(lost, incidents={name: newer}), replace(lost, incidents={name: replace(newer, told={})})):
        assert on_its_way_again(other, first, NOW) == other
