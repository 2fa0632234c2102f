"""A receiver that turns out not to work: who hears of it in the same run."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from pvectl.core.alerts.breaking import broke
from pvectl.core.alerts.incident import Kind, Phase
from pvectl.core.alerts.observing import watched
from pvectl.core.alerts.rules import Rule, Rules
from pvectl.core.alerts.silence import Silence
from tests.core.alerts.runs import BAD, FINE, NOW, Runs

URGENT = (Rule(severity="critical", receivers=("phone",)), Rule(receivers=("mail",)))
RULES = Rules(cluster="lab", receivers=("phone", "mail"), rules=URGENT)
NAME = "self.delivery/receiver/phone"


def test_the_others_hear_of_it_at_once_and_once() -> None:
    runs = Runs(RULES)
    runs.at(0, BAD)
    before = runs.records
    after, (message,), (explanation,) = broke(before, {"phone": "HTTP 401"}, RULES, (), NOW + timedelta(seconds=9))
    assert (message.receiver, message.kind, message.stories[0].name) == ("mail", Kind.FIRING, NAME)
    assert (explanation.name, explanation.told) == (NAME, ("mail",))
    assert after.incidents[NAME].phase is Phase.FIRING
    assert replace(after, incidents=before.incidents) == before
    assert {name: after.incidents[name] for name in before.incidents} == dict(before.incidents)
    again, messages, _ = broke(after, {"phone": "HTTP 401"}, RULES, (), NOW + timedelta(seconds=20))
    assert (again.incidents[NAME].told, messages) == (after.incidents[NAME].told, ())
    runs.records = after
    runs.at(60, watched(BAD, {"phone": "HTTP 401"}, RULES.receivers))
    assert not runs.messages[1:]
    for second in (120, 420):
        runs.at(second, watched(BAD, {}, RULES.receivers))
    assert [(each.receiver, each.kind) for each in runs.told] == [("mail", Kind.RESOLVED)]


def test_it_is_the_incident_the_next_run_would_have_begun() -> None:
    runs = Runs(RULES)
    runs.at(0, FINE)
    after, (message,), _ = broke(runs.records, {"phone": "HTTP 401"}, RULES, (), NOW + timedelta(seconds=9))
    runs.at(60, watched(FINE, {"phone": "HTTP 401"}, RULES.receivers))
    assert runs.told[0].id == message.id
    assert runs.incident(NAME).id == after.incidents[NAME].id


def test_with_nothing_broken_nothing_changes() -> None:
    runs = Runs(RULES)
    runs.at(0, BAD)
    assert broke(runs.records, {}, RULES, (), NOW) == (runs.records, (), ())


def test_what_is_silenced_is_silent() -> None:
    runs = Runs(RULES)
    runs.at(0, FINE)
    silence = Silence(id="s", checks=("self.delivery",), until=NOW + timedelta(hours=1), author="ann", reason="moving", made_at=NOW)
    assert broke(runs.records, {"phone": "HTTP 401"}, RULES, (silence,), NOW)[1] == ()
