"""Alertmanager as a mirror of what is firing: everything is sent again in every run, and ends by itself when nobody sends any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from pvectl.clock import Clock
from pvectl.notify import labelled
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.message import Message, stamp
from pvectl.notify.post import MOST_SENT, Request, send
from pvectl.notify.result import Delivered, Result, TimeLeft
from pvectl.notify.wording import shortened

SHORTEST = timedelta(minutes=15)
"""How long an alert stays without news, at least: shorter, and one late run makes it flap (Grafana #38419)."""
RUNS = 4
RESOLVED_FOR = timedelta(minutes=5)
"""How long the caller goes on sending what is over, so that one lost push leaves nothing open."""

_LONGEST_TEXT = 4096


class Alertmanager(Struct, frozen=True, kw_only=True):
    """`endpoint` is Alertmanager's own address (with its route prefix, if any), `interval` how often pvectl runs, in seconds."""

    name: str
    endpoint: Endpoint
    interval: float = 300.0


def deliver(message: Message, receiver: Alertmanager, *, deadline: TimeLeft, clock: Clock) -> Result:
    """Push this one, or the parts of a digest."""
    return push(message.parts or (message,), receiver, deadline=deadline, clock=clock)


def push(messages: Sequence[Message], receiver: Alertmanager, *, deadline: TimeLeft, clock: Clock) -> Result:
    """Push all of them, in as many requests as it takes; the first that fails ends it, and the next run sends everything again.

    Without any, it is still asked whether it would take them.
    """
    import msgspec

    to = receiver.endpoint.below("/api/v2/alerts")
    alerts = [msgspec.json.encode(posted(message.cleaned(), clock.now(), receiver.interval)) for message in messages]
    for body in tuple(_batches(alerts)) or (b"[]",):
        result = send(Request(to, body, headers={"Content-Type": "application/json"}), deadline=deadline, clock=clock)
        if not isinstance(result, Delivered):
            return result
    return Delivered(detail=f"{len(alerts)} alerts")


def posted(message: Message, now: datetime, interval: float) -> dict[str, Any]:
    """One alert of Alertmanager's API v2 (`postableAlert`)."""
    over = message.is_over
    ends = (message.ended or now) if over else now + max(timedelta(seconds=interval) * RUNS, SHORTEST)
    alert: dict[str, Any] = {
        "labels": labelled.label_set(message),
        "annotations": {name: shortened(value, _LONGEST_TEXT) for name, value in _lasting(message).items()},
        # an alert that ends before it starts is refused
        "startsAt": stamp(min(message.started, ends)),
        "endsAt": stamp(ends),
    }
    return alert | {"generatorURL": message.link} if message.link else alert


def _lasting(message: Message) -> dict[str, str]:
    # the notification's id is another one each time, and changing annotations are news to whoever watches
    return {name: value for name, value in labelled.said_about(message).items() if name != "notification"}


def _batches(alerts: list[bytes]) -> Iterator[bytes]:
    batch: list[bytes] = []
    size = 2
    for alert in alerts:
        if batch and size + len(alert) + 1 > MOST_SENT:
            yield b"[" + b",".join(batch) + b"]"
            batch, size = [], 2
        batch.append(alert)
        size += len(alert) + 1
    if batch:
        yield b"[" + b",".join(batch) + b"]"
