"""What alerts keep: the next run, the drain and the commands beside them find all of it, and nothing that nobody wrote."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from pvectl.core.alerts.incident import Incident, Phase, Records, acknowledged
from pvectl.core.alerts.outbox import Channel, State
from pvectl.core.alerts.telling import Why
from pvectl.errors import UsageError
from pvectl.store import Store, open_beside, open_to_read
from pvectl.store import rows as sealed
from pvectl.store.alerts import Alerts
from pvectl.store.kinds import place
from tests.store import stage
from tests.store.alerting import a_row, a_silence, an_explanation, an_incident, records_of
from tests.store.stage import LAB, NOON, StandingClock

DAY = timedelta(days=1)
FIVE = [an_incident(number) for number in range(100, 105)]


def test_the_next_run_finds_all_that_the_last_one_left(state: stage.State) -> None:
    records = records_of(FIVE)
    rows = tuple(a_row(incident) for incident in FIVE)
    channel = Channel(receiver="mail", spent=2.5, spent_at=NOON, failures=1, broken="401")
    explained = {incident.name: an_explanation(incident) for incident in FIVE}
    with state.alert_run() as store:
        alerts = Alerts(store)
        assert (alerts.records(), alerts.rows(), alerts.channels(), alerts.silences(), alerts.explanations()) == (Records(), (), {}, (), {})
        with alerts.transaction():
            alerts.write_records(Records(), records)
            alerts.write_rows((), rows)
            alerts.put_channels(channel)
            alerts.add_silence(a_silence())
            alerts.write_explanations(explained)

    for opened in (open_to_read(state.directory, LAB), open_beside(state.directory, LAB, StandingClock()), state.run(), state.alert_run()):
        with opened as store:
            alerts = Alerts(store)
            assert alerts.records() == records
            assert alerts.rows() == tuple(sorted(rows, key=lambda row: row.id))
            assert alerts.channels() == {"mail": channel}
            assert alerts.silences() == (a_silence(),)
            assert alerts.explanations() == explained
            assert store.set_aside is None


def test_what_is_over_is_gone_and_what_changed_is_changed(state: stage.State) -> None:
    before = records_of(FIVE)
    worse = replace(FIVE[1], phase=Phase.RECOVERING, timeline=())
    after = records_of([FIVE[0], worse, an_incident(200)], run_at=NOON + DAY, gaps=(300.0, 310.0))
    rows = [a_row(incident) for incident in FIVE]
    sent = replace(rows[0], state=State.SENT)
    with state.alert_run() as store:
        alerts = Alerts(store)
        alerts.write_records(Records(), before)
        alerts.write_rows((), rows)
        alerts.write_records(before, after)
        alerts.write_rows(rows, [sent, *rows[2:]])
        alerts.put_rows(a_row(an_incident(200)))

        assert alerts.records() == after
        assert set(alerts.rows()) == {sent, *rows[2:], a_row(an_incident(200))}
        assert alerts.take_losses() == ()


def test_what_an_earlier_version_wrote_out_in_full_is_read_as_the_same(state: stage.State) -> None:
    incident = an_incident()
    row, explained = a_row(incident), an_explanation(incident)
    in_full = {
        ("incident", incident.name): {**asdict(incident), "told": {"mail": asdict(incident.told["mail"])}},
        ("row", row.id): {**asdict(row), "notification": asdict(row.notification)},
        ("explanations", ""): {incident.name: asdict(explained)},
    }
    told = {key: msgspec.json.encode(each) for key, each in in_full.items()}
    assert all(b":null" in payload for payload in told.values())
    with state.alert_run() as store, store.tables(writing=True) as connection:
        many = [(place(kind, name), kind, name, sealed.in_words(NOON), payload) for (kind, name), payload in told.items()]
        sealed.put_all(connection, "alerts", many)

    with state.alert_run() as store:
        alerts = Alerts(store)
        assert alerts.records().incidents == {incident.name: incident}
        assert alerts.rows() == (row,)
        assert alerts.explanations() == {incident.name: explained}


def test_a_drain_reads_and_writes_the_incidents_of_one_message_only(state: stage.State) -> None:
    with state.alert_run() as store:
        alerts = Alerts(store)
        alerts.write_records(Records(), records_of(FIVE))
        names = [FIVE[2].name, "backup.age/guest/999"]

        found = alerts.records(names)
        assert found == records_of([FIVE[2]])
        told = replace(FIVE[2], told={})
        alerts.write_records(found, replace(found, incidents={told.name: told}))

        assert alerts.records() == records_of([*FIVE[:2], told, *FIVE[3:]])


def test_what_did_not_change_is_not_written_again(state: stage.State) -> None:
    records, clock = records_of(FIVE), StandingClock()
    explained = {incident.name: an_explanation(incident) for incident in FIVE}
    with state.alert_run(clock) as store:
        alerts = Alerts(store)
        alerts.write_records(Records(), records)
        alerts.write_explanations(explained)
        before = state.file.read_bytes()
        clock.go(hours=1)

        same = records_of([replace(incident, held=False) for incident in FIVE])
        assert all(one is not other for one, other in zip(same.incidents.values(), FIVE, strict=True))
        alerts.write_records(records, same)
        alerts.write_explanations({name: replace(each) for name, each in explained.items()})
        assert _content(state) == _content_of(before)

        alerts.write_explanations({FIVE[0].name: an_explanation(FIVE[0], Why.KNOWN)})
        assert alerts.explanations() == {FIVE[0].name: an_explanation(FIVE[0], Why.KNOWN)}


# bytes 24 to 40 and 92 to 100 of the first page count the transactions
def _content(state: stage.State) -> bytes:
    return _content_of(state.file.read_bytes())


def _content_of(content: bytes) -> bytes:
    return content[:24] + content[40:92] + content[100:]


def test_an_evaluation_that_fails_leaves_neither_records_nor_messages(state: stage.State) -> None:
    with state.alert_run() as store:
        alerts = Alerts(store)
        with suppress(ZeroDivisionError), alerts.transaction():
            alerts.write_records(Records(), records_of(FIVE))
            alerts.write_rows((), [a_row(FIVE[0])])
            alerts.keep_look(NOON, "{}")
            raise ZeroDivisionError

        assert (alerts.records(), alerts.rows(), list(alerts.looks(NOON))) == (Records(), (), [])


def test_messages_come_in_the_order_of_their_queue(state: stage.State) -> None:
    rows = [a_row(incident, queued_at=NOON - timedelta(minutes=place)) for place, incident in enumerate(FIVE)]
    with state.alert_run() as store:
        alerts = Alerts(store)
        alerts.put_rows(*rows)
        assert alerts.rows() == tuple(reversed(rows))


def test_a_silence_is_lifted_by_the_beginning_of_its_id_and_one_that_is_over_cannot_be_meant(state: stage.State) -> None:
    with open_beside(state.directory, LAB, StandingClock()) as store:
        alerts = Alerts(store)
        for name, hours in (("3a", 1), ("3b", 2), ("4", 0)):
            alerts.add_silence(a_silence(name, until=NOON + timedelta(hours=hours)))

        with pytest.raises(UsageError, match=r"several ids: 3a .* 3b"):
            alerts.remove_silence("3")
        assert alerts.remove_silence("4") is None
        assert alerts.remove_silence("") is None
        assert alerts.remove_silence("9") is None
        lifted = alerts.remove_silence("3A")
        assert lifted is not None
        assert lifted.id == "3a"
        assert alerts.remove_silence("3a") is None
        assert [silence.id for silence in alerts.silences()] == ["3b", "4"]


def test_a_silence_that_was_over_a_month_ago_is_let_go(state: stage.State) -> None:
    clock = StandingClock()
    with state.alert_run(clock) as store:
        alerts = Alerts(store)
        alerts.add_silence(a_silence("old", until=NOON + timedelta(seconds=1)))
        alerts.add_silence(a_silence("young", until=NOON + DAY))
        clock.go(days=30, seconds=1)
        alerts.write_records(Records(), Records())
        assert [silence.id for silence in alerts.silences()] == ["old", "young"]
        clock.go(seconds=1)
        alerts.write_records(Records(), Records())
        assert [silence.id for silence in alerts.silences()] == ["young"]


def test_a_silence_never_gets_an_id_that_another_one_has(state: stage.State) -> None:
    with open_beside(state.directory, LAB, StandingClock()) as store:
        Alerts(store).add_silence(a_silence(first := store.new_id()))
    with open_beside(state.directory, LAB, StandingClock()) as store:
        assert first not in {store.new_id() for _ in range(1500)}


def test_a_look_is_found_again_and_the_oldest_go_first(state: stage.State, monkeypatch: pytest.MonkeyPatch) -> None:
    with state.alert_run() as store:
        alerts = Alerts(store)
        for hour in range(120):
            alerts.keep_look(NOON + timedelta(hours=hour), f"look {hour} größe")
        last = NOON + timedelta(hours=119)
        assert list(alerts.looks(last)) == [(last, "look 119 größe")]
        assert [payload for _, payload in alerts.looks(NOON)] == [f"look {hour} größe" for hour in range(120)]

        alerts.keep_look(NOON + 8 * DAY + timedelta(hours=10), "later")
        assert [payload for _, payload in alerts.looks(NOON)][:2] == ["look 10 größe", "look 11 größe"]

        monkeypatch.setattr("pvectl.store.alerts.LOOKS_LIMIT", 45)
        alerts.keep_look(NOON + 8 * DAY + timedelta(hours=11), "last")
        assert [payload for _, payload in alerts.looks(NOON)] == ["look 118 größe", "look 119 größe", "later", "last"]


def test_a_look_of_the_same_moment_takes_the_place_of_the_other(state: stage.State) -> None:
    with state.alert_run() as store:
        alerts = Alerts(store)
        alerts.keep_look(NOON, "one")
        alerts.keep_look(NOON, "other")
        assert list(alerts.looks(NOON)) == [(NOON, "other")]


def test_half_a_surrogate_pair_in_a_name_does_not_silence_everything_else(state: stage.State) -> None:
    word = acknowledged(FIVE[0], by="anna \ud800", at=NOON)
    with state.alert_run() as store:
        alerts = Alerts(store)
        alerts.write_records(Records(), records_of([word, FIVE[1]]))

        found = alerts.records().incidents
        assert found[FIVE[1].name] == FIVE[1]
        kept = found[FIVE[0].name].acknowledged
        assert kept is not None
        assert kept.by == "anna \\ud800"


@pytest.mark.parametrize("opened", ["read", "beside", "run", "alert"])
def test_who_looks_writes_nothing_and_everybody_else_may(state: stage.State, opened: str) -> None:
    with state.alert_run() as store:
        Alerts(store).write_records(Records(), records_of(FIVE))
    ways: dict[str, Callable[[], Store]] = {
        "read": lambda: open_to_read(state.directory, LAB),
        "beside": lambda: open_beside(state.directory, LAB, StandingClock()),
        "run": state.run,
        "alert": state.alert_run,
    }
    with ways[opened]() as store:
        alerts = Alerts(store)
        if opened == "read":
            with pytest.raises(RuntimeError):
                alerts.put_rows(a_row(FIVE[0]))
            with pytest.raises(RuntimeError):
                alerts.keep_look(NOON, "{}")
            with pytest.raises(RuntimeError):
                alerts.take_losses()
        else:
            alerts.put_rows(a_row(FIVE[0]))
            assert alerts.take_losses() == ()
            assert alerts.rows() == (a_row(FIVE[0]),)


_incidents = st.dictionaries(
    st.integers(100, 130),
    st.sampled_from([Phase.FIRING, Phase.PENDING, Phase.RECOVERING]),
    max_size=12,
)


def _of(drawn: dict[int, Phase]) -> list[Incident]:
    return [an_incident(number, phase=phase) for number, phase in drawn.items()]


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(_incidents, min_size=1, max_size=6))
def test_whatever_is_written_after_whatever_is_read_back(steps: list[dict[int, Phase]]) -> None:
    with TemporaryDirectory(prefix="pvectl-test-", dir=stage.MEMORY) as folder, stage.State(Path(folder, "state")).alert_run() as store:
        alerts, before = Alerts(store), Records()
        for drawn in steps:
            after = records_of(_of(drawn))
            alerts.write_records(before, after)
            assert alerts.records() == after
            assert Alerts(store).records([*after.incidents][:2]).incidents == dict([*after.incidents.items()][:2])
            before = after
