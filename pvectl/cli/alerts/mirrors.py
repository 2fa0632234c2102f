"""Alertmanagers, which keep the list of what is wrong themselves: how things stand is pushed to them in every run, past the outbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from pvectl.config.receivers import mirrors_of, out_of_reach
from pvectl.core.alerts.outbox import Channel
from pvectl.errors import ConfigError

if TYPE_CHECKING:
    from datetime import datetime

    from pvectl.cli.context import Run
    from pvectl.config.schema.alerting import Alert
    from pvectl.core.alerts.incident import Records
    from pvectl.core.alerts.rules import Rules
    from pvectl.notify.result import Result
    from pvectl.store.alerts import Alerts

PUSH_S = 20
_FAILURES = 3
"""So many in a row, and the other receivers are told: the next run sends everything again in any case."""


def mirror(run: Run, section: Alert, rules: Rules, alerts: Alerts, records: Records) -> dict[str, str | None]:
    """Push the state of things to each of them; by name, why one did not take it, None where it did."""
    away = out_of_reach(section, run.env)
    names = [name for name in mirrors_of(section) if name not in away]
    if not names:
        return {}
    from pvectl.notify.result import Delivered

    channels = alerts.channels()
    told: dict[str, str | None] = {}
    for name in names:
        before = channels.get(name, Channel(receiver=name))
        result = _pushed(run, section, rules, records, before)
        if result is None:
            continue
        told[name] = None if isinstance(result, Delivered) else result.reason
        after = _after(before, result, run.clock.now())
        if after != before:
            with alerts.transaction():
                alerts.put_channels(after)
    return told


def _pushed(run: Run, section: Alert, rules: Rules, records: Records, channel: Channel) -> Result | None:
    """What became of it; None when there is nothing to say."""
    from pvectl.cli.alerts.setup import receivers_of, zone_of
    from pvectl.notify.alertmanager import Alertmanager, push
    from pvectl.notify.lanes import fault
    from pvectl.notify.mirror import mirrored
    from pvectl.notify.result import Permanent

    messages = mirrored(records, rules, channel.receiver, run.clock.now(), zone_of(run, section))
    if not messages and not channel.failures:
        return None
    try:
        receiver = receivers_of(run, section)(channel.receiver)
    except ConfigError as error:
        return Permanent(reason=error.message)
    assert isinstance(receiver, Alertmanager)
    try:
        return push(messages, receiver, deadline=run.time_for(PUSH_S), clock=run.clock)
    except Exception as error:  # noqa: BLE001 - what must not happen must not keep the others from being told either
        return Permanent(reason=fault("it cannot be told", error))


def _after(channel: Channel, result: Result, now: datetime) -> Channel:
    from pvectl.notify.result import Delivered, Permanent

    if isinstance(result, Delivered):
        # how it does is only worth a write when that changes
        return replace(channel, failures=0, broken=None, failed_at=None, succeeded_at=now) if channel.failures else channel
    failures = channel.failures + 1
    lasting = isinstance(result, Permanent) or failures >= _FAILURES
    return replace(channel, failures=failures, failed_at=now, broken=result.reason if lasting else channel.broken)
