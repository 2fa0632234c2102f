"""A notification put into words: what every channel is given to send."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo

from msgspec.structs import replace

from pvectl.core.alerts.incident import Incident, Kind, name_of
from pvectl.core.alerts.message import Text, moment, told, written
from pvectl.core.alerts.notification import Notification, Story, about, story
from pvectl.core.monitor.finding import Severity
from pvectl.core.text import clean
from pvectl.notify.message import Message, Status
from pvectl.notify.templates import Template, Unusable, rendered, variables

_TROUBLE = "template"
_STATUS: Mapping[Kind, Status] = {
    Kind.FIRING: Status.FIRING,
    Kind.WORSE: Status.FIRING,
    Kind.AGAIN: Status.FIRING,
    Kind.FLAPPING: Status.FIRING,
    Kind.REPEAT: Status.REMINDER,
    Kind.RESOLVED: Status.RESOLVED,
    Kind.PASSED: Status.RESOLVED,
    Kind.BASELINE: Status.DIGEST,
    Kind.DIGEST: Status.DIGEST,
    Kind.NOTICE: Status.FIRING,
}


def message_of(notification: Notification, zone: tzinfo, template: Template | None = None) -> Message:
    """The message, its dates in the reader's zone, in the words of `template` if there is one and it works."""
    text = written(notification, zone)
    if notification.is_digest:
        return _digest(notification, text, zone)
    if not notification.stories:
        return _notice(notification, text)
    message = _single(notification.id, notification.stories[0], notification.cluster, text)
    return message if template is None else _templated(message, template, notification, text, zone)


def lasting(incident: Incident, severity: Severity, *, cluster: str, zone: tzinfo) -> Message:
    """An incident as it stands, in words that stay the same for as long as it does, under this severity."""
    finding = incident.finding
    one = story(incident, 0, Kind.FIRING if incident.ended_at is None else Kind.RESOLVED, known_as=severity)
    shown = told(one, cluster=cluster, now=incident.since, zone=zone)
    fields = tuple((name, moment(incident.since, zone) if name == "since" else value) for name, value in shown.facts)
    message = _single(incident.id, one, cluster, shown)
    return replace(message, subject=clean(finding.message), text=shown.prose.partition("\n")[0], fields=fields)


def trouble_of(message: Message) -> str | None:
    """Why its words are not those of its template."""
    return next((value for name, value in message.fields if name == _TROUBLE), None)


def _single(id: str, one: Story, cluster: str, text: Text) -> Message:  # noqa: A002
    return Message(
        id=id,
        incident=one.incident,
        status=_STATUS[one.kind],
        severity=one.finding.severity,
        subject=text.title,
        text=text.prose,
        fields=text.facts,
        started=one.since,
        ended=one.ended_at,
        labels=_labels(one, cluster),
    )


def _digest(notification: Notification, text: Text, zone: tzinfo) -> Message:
    stories = notification.stories
    parts = []
    for one in stories:
        # as it would have been told by itself
        alone = about(one, notification.receiver, cluster=notification.cluster, made_at=notification.made_at)
        parts.append(_single(alone.id, one, notification.cluster, written(alone, zone)))
    ends = [one.ended_at for one in stories if one.ended_at is not None]
    return Message(
        id=notification.id,
        incident=notification.id,
        status=Status.DIGEST,
        severity=notification.severity,
        subject=text.title,
        text=text.prose,
        fields=text.facts,
        started=min(one.since for one in stories),
        ended=max(ends) if len(ends) == len(stories) else None,
        labels=_cluster(notification.cluster),
        parts=tuple(parts),
    )


def _notice(notification: Notification, text: Text) -> Message:
    return Message(
        id=notification.id,
        incident=notification.id,
        status=_STATUS[notification.kind],
        severity=notification.severity,
        subject=text.title,
        text=text.prose,
        fields=text.facts,
        started=notification.made_at,
        # each is about something of its own
        labels={"alertname": "pvectl.notice", "notice": notification.id, **_cluster(notification.cluster)},
    )


def _labels(one: Story, cluster: str) -> dict[str, str]:
    """What it is about; the same for as long as the incident gets no worse, so that everyone recognises it."""
    finding = one.finding
    labels = {"alertname": finding.check, "check": finding.check, "object": finding.object, **_cluster(cluster)}
    # a guest goes on to another node while it lasts, a disk does not
    if finding.node is not None and finding.node in finding.object.split("/")[1:]:
        labels["node"] = finding.node
    if one.known_as is not None:
        # getting better is no news, and the end of it is of what was told
        labels["severity"] = one.known_as.value
    if one.name == name_of(finding, blind=True):
        labels["blind"] = "true"
    return labels


def _cluster(cluster: str) -> dict[str, str]:
    return {"cluster": cluster} if cluster else {}


def _templated(message: Message, template: Template, notification: Notification, text: Text, zone: tzinfo) -> Message:
    try:
        subject, prose = rendered(template, variables(notification, text, zone))
    except Unusable as error:
        return replace(message, fields=(*message.fields, (_TROUBLE, f"{template.name} cannot be used: {error.words}")))
    # with a text of one's own the facts are in it, or are not wanted
    return replace(
        message,
        subject=message.subject if subject is None else subject,
        text=message.text if prose is None else prose,
        fields=message.fields if prose is None else (),
    )
