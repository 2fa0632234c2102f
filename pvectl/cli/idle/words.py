"""What became of an attempt to switch a node off, as a table and a message say it."""

from __future__ import annotations

from pvectl.cli.words import span
from pvectl.core.plan import OutcomeStatus, PowerOutcome

_GUESTS = {
    OutcomeStatus.DONE: "off",
    OutcomeStatus.STARTED: "still shutting down",
    OutcomeStatus.SKIPPED: "left alone",
    OutcomeStatus.TIMED_OUT: "not off in time",
}


def story_of(outcome: PowerOutcome) -> str:
    """What became of the guests and of the node, in one sentence."""
    went = [f"{one.action.guest.label} {_GUESTS.get(one.status, one.status.value)}" for one in outcome.guests]
    story = f"{', '.join(went)}; " if went else ""
    match outcome.status:
        case OutcomeStatus.DONE if outcome.unconfirmed:
            return f"{story}powered off, and out of reach since: no other node was there to see it"
        case OutcomeStatus.DONE:
            return f"{story}powered off, and seen off after {span(outcome.took)}"
        case OutcomeStatus.STARTED if outcome.error is None:
            return f"{story}told to power off: pvectl runs on this node, so the next run will see what came of it"
        case _:
            return f"{story}{outcome.error or outcome.status.value}"
