"""Messages, receivers and a clock for the tests of channels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from pvectl.clock import SystemClock
from pvectl.core.monitor.finding import Severity
from pvectl.core.secret import Secret
from pvectl.notify.endpoint import Endpoint
from pvectl.notify.message import Message, Status
from pvectl.notify.result import Countdown

NOW = datetime(2026, 11, 22, 10, 30, 0, tzinfo=UTC)
STARTED = NOW - timedelta(minutes=12)


class FixedClock(SystemClock):
    def now(self) -> datetime:
        return NOW


CLOCK = FixedClock()


def message(**changes: Any) -> Message:
    values: dict[str, Any] = {
        "id": "n-7f3a9c",
        "incident": "i-51ab",
        "status": Status.FIRING,
        "severity": Severity.CRITICAL,
        "subject": "node pve3 is offline",
        "text": "pve3 has not answered for 12 minutes.\nIts 4 guests are not reachable.",
        "fields": (("Node", "pve3"), ("Last seen", "2026-11-22 11:18 CET")),
        "started": STARTED,
        "link": "https://pve1.lan:8006/#v1:0:=node%2Fpve3",
        "labels": {"alertname": "node.offline", "cluster": "lab", "object": "node/pve3", "node": "pve3"},
    }
    return Message(**values | changes)


def resolved(**changes: Any) -> Message:
    values: dict[str, Any] = {"id": "n-7f3a9d", "status": Status.RESOLVED, "subject": "node pve3 is back", "ended": NOW}
    return message(**values | changes)


def digest(count: int = 3, **changes: Any) -> Message:
    parts = tuple(
        message(
            id=f"p-{number}",
            incident=f"i-{number}",
            subject=f"guest {number} is down",
            labels={"alertname": "guest.down", "cluster": "lab", "object": f"guest/{number}"},
        )
        for number in range(100, 100 + count)
    )
    values: dict[str, Any] = {
        "id": "n-digest",
        "incident": "i-digest",
        "status": Status.DIGEST,
        "subject": f"{count} problems",
        "text": "\n".join(part.subject for part in parts),
        "fields": (),
        "labels": {"cluster": "lab"},
        "parts": parts,
    }
    return message(**values | changes)


def endpoint(url: str, **options: Any) -> Endpoint:
    values: dict[str, Any] = {"url": Secret(url), "allow_http": True, "timeout": 5.0}
    return Endpoint(**values | options)


def soon(seconds: float = 20.0) -> Countdown:
    return Countdown(seconds)
