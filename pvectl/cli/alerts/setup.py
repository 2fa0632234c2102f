"""What sending takes: a receiver with its secrets fetched, its limit, and the words in the reader's zone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pvectl.cli.own_zone import own_zone

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.config.schema.alerting import Alert
    from pvectl.core.alerts.notification import Notification
    from pvectl.notify.deliver import Receiver
    from pvectl.notify.message import Message
    from pvectl.notify.templates import Template


def receivers_of(run: Run, section: Alert) -> Callable[[str], Receiver]:
    """By its name, a receiver ready to be told; raises ConfigError where something about it is wrong."""
    from pvectl.config.receivers import receiver_of

    source = run.secrets()
    return lambda name: receiver_of(name, section, source)


def zone_of(run: Run, section: Alert) -> ZoneInfo:
    """The zone of the dates in messages."""
    return ZoneInfo(section.tz or own_zone(run.env))


def words_of(run: Run, section: Alert) -> Callable[[Notification], Message]:
    """How a notification is put into words, each by its own rule's template."""
    from pvectl.config.receivers import templates_of

    return partial(_worded, zone=zone_of(run, section), templates=templates_of(section))


def _worded(notification: Notification, *, zone: ZoneInfo, templates: Mapping[str, Template]) -> Message:
    from pvectl.notify.phrasing import message_of

    return message_of(notification, zone, templates.get(notification.template or ""))
