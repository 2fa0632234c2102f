"""One message to one receiver, once: what became of it is the answer, and nothing is raised that the outbox would have to catch."""

from __future__ import annotations

from typing import assert_never

from pvectl.clock import Clock, SystemClock
from pvectl.notify import alertmanager, apprise, discord, ntfy, pagerduty, sendmail, slack, smtp, teams, telegram, webhook
from pvectl.notify.alertmanager import Alertmanager
from pvectl.notify.apprise import Apprise
from pvectl.notify.discord import Discord
from pvectl.notify.message import Message
from pvectl.notify.ntfy import Ntfy
from pvectl.notify.pagerduty import PagerDuty
from pvectl.notify.result import Delivered, Permanent, Result, Retry, TimeLeft
from pvectl.notify.sendmail import Sendmail
from pvectl.notify.slack import Slack
from pvectl.notify.smtp import Smtp
from pvectl.notify.teams import Teams
from pvectl.notify.telegram import Telegram
from pvectl.notify.webhook import Webhook

__all__ = ["Delivered", "Message", "Permanent", "Receiver", "Result", "Retry", "deliver"]

Receiver = Webhook | Smtp | Sendmail | Alertmanager | Ntfy | Slack | Discord | Telegram | Teams | PagerDuty | Apprise


def deliver(message: Message, receiver: Receiver, *, deadline: TimeLeft, clock: Clock | None = None) -> Result:
    """Tell `receiver`, within its own time-out and what `deadline` leaves; whatever may steer is taken out of the message first."""
    if deadline.left() <= 0:
        return Retry(reason="no time was left")
    return _told(message.cleaned(), receiver, deadline, clock or SystemClock())


def _told(message: Message, receiver: Receiver, deadline: TimeLeft, clock: Clock) -> Result:
    match receiver:
        case Webhook():
            return webhook.deliver(message, receiver, deadline=deadline, clock=clock)
        case Smtp():
            return smtp.deliver(message, receiver, deadline=deadline, clock=clock)
        case Sendmail():
            return sendmail.deliver(message, receiver, deadline=deadline, clock=clock)
        case Alertmanager():
            return alertmanager.deliver(message, receiver, deadline=deadline, clock=clock)
        case Ntfy():
            return ntfy.deliver(message, receiver, deadline=deadline, clock=clock)
        case Slack():
            return slack.deliver(message, receiver, deadline=deadline, clock=clock)
        case Discord():
            return discord.deliver(message, receiver, deadline=deadline, clock=clock)
        case Telegram():
            return telegram.deliver(message, receiver, deadline=deadline, clock=clock)
        case Teams():
            return teams.deliver(message, receiver, deadline=deadline, clock=clock)
        case PagerDuty():
            return pagerduty.deliver(message, receiver, deadline=deadline, clock=clock)
        case Apprise():
            return apprise.deliver(message, receiver, deadline=deadline, clock=clock)
        case _:
            assert_never(receiver)
