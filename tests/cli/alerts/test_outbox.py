"""`pvectl alert outbox`: what waits and why, tried again or thrown away."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from pvectl.core.alerts.incident import Kind
from pvectl.core.alerts.outbox import State
from pvectl.core.alerts.telling import given_up as without_hope
from tests.cli.alerts.desk import DOWN, FINE, NODE, Desk, waiting
from tests.core.alerts.runs import saw


def test_the_outbox_says_what_waits_why_and_until_when(night: Desk) -> None:
    ended = night.pvectl("alert", "outbox", "list")
    (row,) = night.pvectl("alert", "outbox", "list", "-o", "json").json["data"]

    assert ended.out.splitlines()[1].endswith(
        "critical: node pve2 is offline [lab]  1 try, last 12:06: no route to host; tried by the next run"
    )
    assert (row["receiver"], row["state"], row["age_s"], row["attempts"]) == ("phone", "pending", 60, 1)
    assert row["incidents"] == [night.incident().id]
    assert len(night.pvectl("alert", "outbox", "list", "--all", "-o", "json").json["data"]) == 2


def test_a_receiver_that_is_left_alone_for_a_while_is_told_with_its_time(night: Desk) -> None:
    with night.opened() as alerts:
        channel = replace(alerts.channels()["phone"], not_before=night.clock.now() + timedelta(minutes=20), broken="410 gone")
        alerts.put_channels(channel)
    ended = night.pvectl("alert", "outbox", "list")
    assert ended.out.splitlines()[1].endswith("tried again 12:27")
    assert "receiver phone takes no messages: 410 gone" in ended.err
    assert "the next alert run tries it" in night.pvectl("alert", "outbox", "retry", waiting(night).id).out
    assert night.pvectl("alert", "outbox", "list").out.splitlines()[1].endswith("tried by the next run")


def test_a_receiver_at_its_limit_is_told_with_its_time(night: Desk) -> None:
    with night.opened() as alerts:
        alerts.put_channels(replace(alerts.channels()["phone"], spent=5.0, spent_at=night.clock.now(), not_before=None))
    assert night.pvectl("alert", "outbox", "list").out.splitlines()[1].endswith("tried again 12:13")


def test_a_message_for_nobody_is_said_to_be_dropped(night: Desk) -> None:
    night.configure("alert: {receivers: {mail: {type: sendmail}}}")
    assert "there is no receiver phone any more: the next run drops what waits for it" in night.pvectl("alert", "outbox", "list").err


def test_an_empty_outbox_says_so(desk: Desk) -> None:
    assert desk.pvectl("alert", "outbox", "list").out == "nothing waits, and nothing was given up\n"
    assert desk.pvectl("alert", "outbox", "retry", "--dead").out == "no message was given up\n"


def test_what_was_given_up_is_tried_again_and_its_end_is_told_too(night: Desk) -> None:
    given_up(night)
    assert "phone        firing was given up 12:07" in night.pvectl("alert", "explain", NODE).out
    ended = night.pvectl("alert", "outbox", "retry", "--dead")

    assert ended.out == "1 message for phone: the next alert run tries it\n"
    assert night.incident().told["phone"].is_on_its_way
    night.advance(3600)
    assert ("phone", Kind.FIRING) not in night.run(saw(DOWN))
    night.run(FINE)
    night.advance(600)
    assert ("phone", Kind.RESOLVED) in night.run(FINE)


def test_what_is_past_is_not_tried_again(night: Desk) -> None:
    given_up(night)
    night.run(FINE)
    night.advance(600)
    night.run(FINE)
    (row,) = night.pvectl("alert", "outbox", "list", "-o", "json").json["data"]

    assert "1 message left alone: what it tells of is past" in night.pvectl("alert", "outbox", "retry", "--dead").out
    ended = night.pvectl("alert", "outbox", "retry", row["id"])
    assert ended.code == 2
    assert "this is past, or a newer message tells of it" in ended.err
    assert [row.state for row in night.rows()].count(State.DEAD) == 1


def test_retry_wants_to_know_which(night: Desk) -> None:
    assert "their ids, or --dead" in night.pvectl("alert", "outbox", "retry").err
    assert "their ids, or --dead" in night.pvectl("alert", "outbox", "retry", "--dead", "abc").err
    assert "there is no undelivered message 'zz'" in night.pvectl("alert", "outbox", "retry", "zz").err


def test_a_dropped_message_is_made_anew_when_it_would_be_repeated(night: Desk) -> None:
    row = waiting(night)
    refused = night.pvectl("alert", "outbox", "drop", row.id[:8])
    assert refused.code == 2
    assert "hint: add --yes to go ahead\n" in refused.err
    assert "critical: node pve2 is offline" in refused.err
    ended = night.pvectl("alert", "outbox", "drop", row.id[:8], "--yes")

    assert ended.out == f"thrown away: {row.id[:8]} for phone: critical: node pve2 is offline [lab]\n"
    assert night.incident().told["phone"].given_up_at == night.clock.now()
    assert "phone could not be told" in night.pvectl("alert", "list").out
    night.advance(1800)
    assert night.run(saw(DOWN)) == []
    night.advance(1800)
    assert ("phone", Kind.FIRING) in night.run(saw(DOWN))


@pytest.mark.parametrize(("typed", "left"), [("n\n", 1), ("", 1), ("y\n", 0)])
def test_a_person_is_asked_before_a_message_is_thrown_away(night: Desk, typed: str, left: int) -> None:
    row = waiting(night)
    ended = night.pvectl("alert", "outbox", "drop", row.id, typed=typed)

    assert ended.code == 0
    assert "critical: node pve2 is offline" in ended.err
    assert "Throw it away? [y/N]" in ended.err
    assert ("nothing was thrown away" in ended.out) == bool(left)
    assert sum(row.state is State.PENDING for row in night.rows()) == left


def test_a_message_that_was_sent_while_the_person_was_asked_is_left(night: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    row = waiting(night)

    def sent_meanwhile(*_: object, **__: object) -> bool:
        with night.opened() as alerts:
            alerts.put_rows(replace(row, state=State.SENT, ended_at=night.clock.now()))
        return True

    monkeypatch.setattr("pvectl.cli.context.Run.confirm", sent_meanwhile)
    assert f"{row.id[:8]} is not waiting any more" in night.pvectl("alert", "outbox", "drop", row.id).out
    assert next(each for each in night.rows() if each.id == row.id).state is State.SENT


def test_the_beginning_of_several_messages_is_none_of_them(night: Desk) -> None:
    row = waiting(night)
    with night.opened() as alerts:
        alerts.put_rows(replace(row, notification=replace(row.notification, id=row.id[:4] + "0" * 28)))
    ended = night.pvectl("alert", "outbox", "drop", row.id[:4], "--yes")
    assert ended.code == 2
    assert "is the beginning of several ids" in ended.err
    assert "there is no undelivered message ''" in night.pvectl("alert", "outbox", "drop", "", "--yes").err


def given_up(desk: Desk) -> None:
    """The message to the phone is given up, as after three days."""
    with desk.opened() as alerts:
        records = alerts.records()
        (row,) = [row for row in alerts.rows() if row.state is State.PENDING]
        alerts.put_rows(replace(row, state=State.DEAD, ended_at=desk.clock.now()))
        alerts.write_records(records, without_hope(records, row.notification, desk.clock.now()))
