"""A receiver that turns out not to work while messages are delivered: the others hear of it in the same run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from msgspec.structs import replace

from pvectl.core.alerts.incident import Records, name_of
from pvectl.core.alerts.notification import Notification
from pvectl.core.alerts.observing import failing
from pvectl.core.alerts.rules import Rules
from pvectl.core.alerts.silence import Silence
from pvectl.core.alerts.step import step
from pvectl.core.alerts.telling import Explanation
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.monitored import MonitorView


def broke(
    records: Records, broken: Mapping[str, str], rules: Rules, silences: Iterable[Silence], now: datetime
) -> tuple[Records, tuple[Notification, ...], tuple[Explanation, ...]]:
    """The records with the receivers that do not work, by name and reason, and what has to be told of those nobody has been told of.

    It is a run that looks at nothing else: all other incidents stay as they are, and so does the time of the last run.
    """
    findings = failing(broken)
    names = [name_of(finding) for finding in findings]
    known = {name: records.incidents[name] for name in names if name in records.incidents}
    evaluation = Evaluation(taken_at=now, view=MonitorView(taken_at=now), findings=findings, verdicts=())
    after, notifications, explanations = step(replace(records, incidents=known), evaluation, rules, silences, now)
    return replace(records, incidents={**records.incidents, **after.incidents}), notifications, explanations
