"""What other rules would have told, from what was seen and kept."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from pvectl.core.alerts.incident import Kind
from pvectl.core.alerts.looks import is_whole, look_of
from pvectl.core.alerts.message import written
from pvectl.core.alerts.outbox import Limit
from pvectl.core.alerts.replay import Replay, replayed
from pvectl.core.alerts.rules import Rule, Rules
from pvectl.core.alerts.silence import Silence
from pvectl.core.monitor.checks.evaluation import Evaluation
from tests.core.alerts.runs import BAD, DARK, FINE, NODE_DOWN, NOW, RULES, WARNING, Runs, bad, saw

FOREVER = {"mail": Limit(per_hour=10_000, burst=1000)}


def looks(*evaluations: Evaluation, every: int = 60) -> list[tuple[datetime, str]]:
    kept, whole = [], None
    for number, evaluation in enumerate(evaluations):
        at = NOW + timedelta(seconds=every * number)
        look = look_of(replace(evaluation, taken_at=at), whole)
        whole = look if is_whole(look) else whole
        kept.append((at, look))
    return kept


def told(found: Replay) -> list[tuple[int, str, Kind]]:
    """The minutes after noon, whom, and what kind of message."""
    return [(int((each.at - NOW).total_seconds() // 60), each.notification.receiver, each.notification.kind) for each in found.messages]


def lasting(minutes: int) -> list[Evaluation]:
    return [FINE, *[BAD] * minutes, *[FINE] * 10]


def test_the_same_rules_tell_what_they_told_when_it_happened() -> None:
    day = [FINE, BAD, BAD, DARK, BAD, *[FINE] * 8, NODE_DOWN, NODE_DOWN, NODE_DOWN, NODE_DOWN, *[FINE] * 8, BAD, FINE]
    live = Runs(used=False)
    for number, evaluation in enumerate(day):
        live.at(60 * number, evaluation)
    found = replayed(looks(*day), RULES, limits=FOREVER)
    assert [(60 * minute, kind) for minute, _receiver, kind in told(found)] == live.messages
    assert len(live.messages) >= 5
    assert (found.looks, found.unreadable, found.first, found.last) == (len(day), 0, NOW, NOW + timedelta(minutes=len(day) - 1))


def test_other_rules_tell_others_and_later() -> None:
    later = Rules(cluster="lab", receivers=("mail", "pager"), rules=(Rule(checks=("disk.*",), hold=600, receivers=("pager",)),))
    assert told(replayed(looks(*lasting(5)), later)) == []
    assert told(replayed(looks(*lasting(15)), later)) == [(11, "pager", Kind.FIRING), (21, "pager", Kind.RESOLVED)]
    assert told(replayed(looks(*lasting(5)), RULES)) == [(1, "mail", Kind.FIRING), (11, "mail", Kind.RESOLVED)]


def test_the_words_are_those_of_a_real_message() -> None:
    first = replayed(looks(*lasting(5)), RULES).messages[0].notification
    assert written(first, UTC).subject == "critical: disk/pve1/sda is bad [lab]"


def test_what_was_bad_at_the_first_look_comes_in_one_message() -> None:
    many = saw(*(bad(object=f"disk/pve1/sd{letter}") for letter in "abcdef"))
    found = replayed(looks(many, many), RULES)
    assert told(found) == [(0, "mail", Kind.BASELINE)]
    assert len(found.messages[0].notification.stories) == 6


def test_what_exceeds_the_limit_of_a_receiver_comes_in_a_digest() -> None:
    many = saw(*(bad(object=f"disk/pve1/sd{letter}") for letter in "abcdef"))
    found = replayed(looks(FINE, many, many), RULES, limits={"mail": Limit(per_hour=1, burst=2)})
    assert told(found) == [(1, "mail", Kind.FIRING), (1, "mail", Kind.DIGEST)]
    without = replayed(looks(FINE, many, many), RULES, limits={"somebody-else": Limit(burst=1)})
    assert len(without.messages) == 5


def test_what_has_to_wait_for_the_limit_comes_later() -> None:
    two = saw(bad(), bad("zfs.health", "zfs/pve1/tank"))
    found = replayed(looks(FINE, BAD, *[two] * 40), RULES, limits={"mail": Limit(per_hour=2, burst=1)})
    assert told(found) == [(1, "mail", Kind.FIRING), (31, "mail", Kind.FIRING)]


def test_a_silence_holds_from_when_it_was_made() -> None:
    def silence(made: int) -> Silence:
        made_at = NOW + timedelta(minutes=made)
        return Silence(id="s", until=NOW + timedelta(hours=1), author="ann", reason="work", made_at=made_at)

    assert told(replayed(looks(*lasting(5)), RULES, (silence(0),))) == []
    assert told(replayed(looks(*lasting(5)), RULES, (silence(5),))) == [(1, "mail", Kind.FIRING), (11, "mail", Kind.RESOLVED)]


def test_a_look_that_cannot_be_read_is_as_if_no_run_had_been_there() -> None:
    kept = looks(*lasting(5))
    damaged = [*kept[:3], (kept[3][0], "c1.00000000.AAAA"), *kept[4:]]
    found = replayed(damaged, RULES)
    assert (found.looks, found.unreadable) == (len(kept) - 1, 1)
    assert [kind for _minute, _receiver, kind in told(found)] == [Kind.FIRING, Kind.RESOLVED]


def test_no_looks_give_no_messages() -> None:
    nothing: Iterable[tuple[datetime, str]] = ()
    assert replayed(nothing, RULES) == Replay(messages=(), looks=0)


def test_what_lasts_is_repeated_from_when_it_was_told() -> None:
    found = replayed(looks(FINE, *[saw(bad(severity=WARNING))] * 60, every=1800), RULES)
    assert told(found) == [(30, "mail", Kind.FIRING), (30 + 24 * 60, "mail", Kind.REPEAT)]
