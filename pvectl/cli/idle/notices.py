"""What idle-check lets people know of: a node that is about to go off, what became of it, and what a person has to see to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import Struct

from pvectl.cli.announcing import Notice
from pvectl.cli.idle.words import story_of
from pvectl.cli.words import here, moment, span
from pvectl.core import idle
from pvectl.core.idle import NodeDecision, NodeRecord, Phase
from pvectl.core.monitor.finding import Severity
from pvectl.core.plan import OutcomeStatus, PowerOutcome, Reason, Verdict
from pvectl.core.text import clean

BLIND_FOR = timedelta(hours=1)
"""How long nothing can be told of a node before somebody hears of it."""
_ENDED = frozenset({Phase.COOLDOWN, Phase.QUARANTINE})


class BlindSince(Struct, frozen=True, kw_only=True):
    """Since when a node cannot be judged."""

    at: datetime


def of_decision(decision: NodeDecision, blind: BlindSince | None) -> Iterator[Notice]:
    """What to say of a decision: that the notice has begun, or that nothing could be seen for too long. Said in each run, heard once."""
    node, at = decision.node, decision.at
    if decision.reason is Reason.NOTICE and decision.due is not None and decision.since is not None:
        left = max(int((decision.due - at).total_seconds()), 0)
        yield Notice(
            key=f"idle/{node}/notice/{_stamp(decision.since)}",
            subject=f"{node} goes off at {moment(decision.due, at)}, in {span(left)}",
            text=f"Nobody has needed it for {span(decision.credit_s)}. To keep it on: pvectl hold add {node} --for 8h --reason WHY",
            expires_at=decision.due,
        )
    if decision.verdict is Verdict.BLIND and blind is not None and at - blind.at >= BLIND_FOR:
        since = moment(blind.at, at)
        yield Notice(
            key=f"idle/{node}/blind/{_stamp(blind.at)}",
            subject=f"{node} stays on: not everything can be seen since {since}",
            text=f"{_sentence(idle.told(decision, at=lambda when: moment(when, at)), at)}. What is missing: pvectl doctor",
            severity=Severity.WARNING,
        )


def of_outcome(attempt: NodeRecord, after: NodeRecord, outcome: PowerOutcome, decision_id: str, now: datetime) -> Iterator[Notice]:
    """What to say once an attempt is over, whose record was `attempt` while it lasted."""
    node, key, story = attempt.node, _key(attempt), story_of(outcome)
    more = f"What it rests on: pvectl explain {decision_id}"
    match outcome.status:
        case OutcomeStatus.DONE:
            yield _off(node, key, story)
        case OutcomeStatus.STARTED:
            yield Notice(key=f"{key}/going", subject=f"{node} was told to power off", text=f"{_sentence(story, now)}.")
        case OutcomeStatus.UNKNOWN:
            text = f"{_sentence(story, now)}. Look at the node; it is not told a second time. {more}"
            yield Notice(key=f"{key}/unknown", subject=f"{node}: whether it went off is not known", text=text, severity=Severity.CRITICAL)
        case OutcomeStatus.SKIPPED if any(one.status is not OutcomeStatus.SKIPPED for one in outcome.guests):
            # its guests are down, and nobody starts them again
            text = f"{_sentence(story, now)}. What was shut down stays off until somebody starts it: pvectl vm start. {more}"
            subject = f"{node} stays on, after guests of it were shut down"
            yield Notice(key=f"{key}/stays-on", subject=subject, text=text, severity=Severity.WARNING)
        case OutcomeStatus.FAILED | OutcomeStatus.TIMED_OUT:
            yield _failed(after, key, story, more, now)


def of_settling(before: NodeRecord | None, after: NodeRecord, now: datetime) -> Iterator[Notice]:
    """What to say of an attempt whose end this look has found out, and of a node that did not wake up."""
    if before is not None and before.phase in (Phase.DRAIN, Phase.OFF_SENT) and before.attempt is not None:
        if after.phase is Phase.OFF_SEEN:
            yield _off(after.node, _key(before), "powered off, and seen off by this look")
        elif after.phase in _ENDED:
            yield _failed(after, _key(before), after.last_failure or "it is on", "What was done: pvectl history", now)
    elif after.quarantine is not None and (before is None or before.quarantine is None):
        yield _quarantined(after, after.quarantine, now)


def of_state(set_aside: str) -> Iterator[Notice]:
    """That what was remembered does not count; the same sentence is the same loss."""
    yield Notice(
        key=f"state/{set_aside}",
        subject="the state file was set aside, and nothing was switched off",
        text=f"It {clean(set_aside)}. Grace periods begin anew, and schedules with their next time. What was kept: pvectl history",
        severity=Severity.WARNING,
    )


def _off(node: str, key: str, story: str) -> Notice:
    return Notice(key=f"{key}/off", subject=f"{node} is off", text=f"{clean(story)}. To wake it: pvectl node wake {node}")


def _failed(after: NodeRecord, key: str, story: str, more: str, now: datetime) -> Notice:
    if after.quarantine is not None and after.phase is Phase.QUARANTINE:
        return _quarantined(after, after.quarantine, now)
    again = now + timedelta(seconds=after.cooldown_left_s)
    text = f"{_sentence(story, now)}. It is not tried again before {moment(again, now)}. {more}"
    return Notice(key=f"{key}/failed", subject=f"{after.node} could not be switched off", text=text, severity=Severity.WARNING)


def _quarantined(after: NodeRecord, why: str, now: datetime) -> Notice:
    return Notice(
        key=f"idle/{after.node}/quarantine/{_stamp(after.since)}",
        subject=f"{after.node} is not switched off any more until somebody has looked",
        text=f"{_sentence(why, now)}. Once it is seen to: pvectl node wake {after.node}",
        severity=Severity.CRITICAL,
    )


def _key(attempt: NodeRecord) -> str:
    begun = attempt.attempt.at if attempt.attempt is not None else attempt.since
    return f"idle/{attempt.node}/attempt/{_stamp(begun)}"


def _sentence(text: str, now: datetime) -> str:
    return clean(here(text, now)).rstrip(".")


def _stamp(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%S}"
