"""Messages made up, to try words on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from pvectl.core.alerts.incident import Kind, began
from pvectl.core.alerts.message import written
from pvectl.core.alerts.notification import Notification, about, story
from pvectl.core.monitor.finding import Finding, Severity, Unit
from pvectl.notify.templates import variables

_BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)
_FINDINGS = (
    Finding(
        check="node.offline",
        object="node/pve3",
        severity=Severity.CRITICAL,
        message="node pve3 is offline",
        hint="look at its console",
        node="pve3",
    ),
    Finding(
        check="storage.usage",
        object="storage/nfs",
        severity=Severity.WARNING,
        message="storage nfs is 87 % full",
        value=0.87,
        unit=Unit.RATIO,
    ),
)


def samples() -> tuple[dict[str, Any], ...]:
    """The variables of a message for each kind there is, with and without what may be missing."""
    return tuple(variables(each, written(each, UTC), UTC) for each in _notifications())


def _notifications() -> Iterator[Notification]:
    for finding in _FINDINGS:
        incident = began("lab", finding, _BEGAN)
        for kind in (Kind.FIRING, Kind.WORSE, Kind.AGAIN, Kind.FLAPPING, Kind.REPEAT, Kind.RESOLVED, Kind.PASSED):
            now = _BEGAN + timedelta(hours=2)
            ended_at = now if kind in (Kind.RESOLVED, Kind.PASSED) else None
            one = story(replace(incident, ended_at=ended_at), 1, kind, explains=3)
            yield about(one, "sample", cluster="lab", made_at=now)
