"""Whether pvectl itself gets its messages out."""

from __future__ import annotations

from pvectl.core.monitor.checks.check import Case, Eligible, Outcome, check
from pvectl.core.monitor.checks.look import Look
from pvectl.core.monitor.checks.settings import HOUR
from pvectl.core.monitor.finding import Severity, Subject, Unit
from pvectl.core.monitor.monitored import Delivery


def _outbox(look: Look) -> Eligible[Delivery]:
    if look.view.remembered.delivery is not None:
        yield Subject(object="outbox"), look.view.remembered.delivery


def _delivered(case: Case, delivery: Delivery) -> Outcome:
    hint = "pvectl alert outbox list"
    if delivery.dead:
        message = "1 message was given up" if delivery.dead == 1 else f"{delivery.dead} messages were given up"
        return case.finding(Severity.CRITICAL, f"{message}: no receiver took it in time", hint=hint)
    if delivery.oldest is None:
        return None
    waits = (case.look.now - delivery.oldest).total_seconds()
    message = f"the oldest undelivered message has waited for {waits / HOUR:.1f} h"
    return case.measured(waits, message, hint=hint, since=delivery.oldest)


CHECKS = (
    check(
        "self.delivery",
        "messages are delivered",
        about="outbox",
        sources=(),
        eligible=_outbox,
        examine=_delivered,
        unit=Unit.SECONDS,
    ),
)
