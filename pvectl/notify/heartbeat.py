"""A sign of life for somebody who tells when none comes: healthchecks (start, success, fail) and Uptime Kuma (up, down)."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never
from urllib.parse import urlencode
from uuid import UUID

from msgspec import Struct

from pvectl.clock import Clock, SystemClock
from pvectl.core.text import clean
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.post import Request, send
from pvectl.notify.result import Delivered, Result, Retry, TimeLeft
from pvectl.notify.wording import cut, octets, shortened

LONGEST_NOTE = 10_000
"""Bytes healthchecks keeps of a ping's body."""
LONGEST_KUMA = 200


class Sign(StrEnum):
    """What a run has to say about itself."""

    START = "start"
    SUCCESS = "success"
    FAIL = "fail"


class Healthchecks(Struct, frozen=True, kw_only=True):
    """`endpoint` is the check's ping URL, without /start or /fail."""

    name: str
    endpoint: Endpoint


class UptimeKuma(Struct, frozen=True, kw_only=True):
    """`endpoint` is the push monitor's URL; status, msg and ping in its query are replaced."""

    name: str
    endpoint: Endpoint


Heartbeat = Healthchecks | UptimeKuma


class Beat(Struct, frozen=True, kw_only=True):
    """One sign: `run` is the same for the start and the end of a run, `took` in seconds."""

    sign: Sign
    run: UUID
    note: str = ""
    took: float | None = None


def beat(given: Beat, heart: Heartbeat, *, deadline: TimeLeft, clock: Clock | None = None) -> Result:
    """Give a sign; success only when the run saw enough and its messages are out, which the caller knows."""
    if deadline.left() <= 0:
        return Retry(reason="no time was left")
    clock = clock or SystemClock()
    match heart:
        case Healthchecks():
            return _ping(given, heart, deadline, clock)
        case UptimeKuma():
            return _push(given, heart, deadline, clock)
        case _:
            assert_never(heart)


def _ping(given: Beat, heart: Healthchecks, deadline: TimeLeft, clock: Clock) -> Result:
    path = {Sign.START: "/start", Sign.SUCCESS: "", Sign.FAIL: "/fail"}[given.sign]
    lines = "\n".join(clean(line) for line in given.note.split("\n"))
    body = shortened(lines, LONGEST_NOTE, size=octets).encode()
    to = heart.endpoint.below(path, urlencode({"rid": str(given.run)}))
    return send(Request(to, body, headers={"Content-Type": "text/plain; charset=utf-8"}), deadline=deadline, clock=clock)


def _push(given: Beat, heart: UptimeKuma, deadline: TimeLeft, clock: Clock) -> Result:
    if given.sign is Sign.START:
        return Delivered(detail="Uptime Kuma knows no start")
    said = {
        "status": "down" if given.sign is Sign.FAIL else "up",
        "msg": cut(clean(" ".join(given.note.split())), LONGEST_KUMA) or "OK",
        "ping": "" if given.took is None else str(round(given.took * 1000)),
    }
    to = heart.endpoint.asking(said)
    return send(Request(to, None, headers={}), deadline=deadline, clock=clock)
