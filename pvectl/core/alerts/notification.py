"""A message before it has words: to whom, of what, and under which id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import chain

from msgspec import Struct

from pvectl.core.alerts.incident import URGENCY, Incident, Kind, digest_of
from pvectl.core.monitor.finding import Finding, Severity

_URGENT_FIRST: Mapping[Severity, int] = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.UNKNOWN: 2, Severity.OK: 3}
_DIGESTS = frozenset({Kind.BASELINE, Kind.DIGEST})


class Story(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told of one incident, its message number `seq` to this receiver.

    `explains` counts the incidents that follow from it and are not told one by one; `ending` says how it ended, where not simply so;
    `known_as` is the worst this receiver was told of it, under which programs know it.
    """

    name: str
    incident: str
    fingerprint: str
    seq: int
    kind: Kind
    finding: Finding
    since: datetime
    ended_at: datetime | None = None
    ending: str = ""
    explains: int = 0
    fires: int = 0
    known_as: Severity | None = None


class Notification(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message. The same `id` is the same message, however often it arrives; `template` is the rule's, if it has one.

    From `expires_at` on nobody needs it any more.
    """

    id: str
    receiver: str
    kind: Kind
    severity: Severity
    cluster: str
    made_at: datetime
    stories: tuple[Story, ...] = ()
    subject: str = ""
    text: str = ""
    template: str | None = None
    expires_at: datetime | None = None

    @property
    def incident(self) -> str | None:
        """The incident it is about, or what a notice is about; None for a digest, which is about several."""
        return None if self.is_digest else self.stories[0].incident if self.stories else self.id

    @property
    def is_digest(self) -> bool:
        return self.kind in _DIGESTS


def story(incident: Incident, seq: int, kind: Kind, *, explains: int = 0, known_as: Severity | None = None) -> Story:
    return Story(
        name=incident.name,
        incident=incident.id,
        fingerprint=incident.fingerprint,
        seq=seq,
        kind=kind,
        finding=incident.finding,
        since=incident.since,
        ended_at=incident.ended_at,
        ending=incident.ending,
        explains=explains,
        fires=len(incident.fires),
        known_as=known_as,
    )


def about(one: Story, receiver: str, *, cluster: str, made_at: datetime, template: str | None = None) -> Notification:
    """A message about one incident."""
    return Notification(
        id=digest_of(one.incident, receiver, one.kind, str(one.seq)),
        receiver=receiver,
        kind=one.kind,
        severity=one.finding.severity,
        cluster=cluster,
        made_at=made_at,
        stories=(one,),
        template=template,
    )


def digest(stories: Iterable[Story], receiver: str, kind: Kind, *, cluster: str, made_at: datetime) -> Notification:
    """A single message about several incidents, the most urgent first."""
    told = tuple(sorted(stories, key=lambda one: (_URGENT_FIRST[one.finding.severity], one.name, one.since, one.seq)))
    ids = chain.from_iterable((one.incident, str(one.seq), one.kind) for one in told)
    return Notification(
        id=digest_of(receiver, kind.value, *ids),
        receiver=receiver,
        kind=kind,
        severity=told[0].finding.severity,
        cluster=cluster,
        made_at=made_at,
        stories=told,
    )


def notice(  # noqa: PLR0913 - what a message is made of
    receiver: str,
    subject: str,
    text: str,
    *,
    cluster: str,
    key: str,
    made_at: datetime,
    severity: Severity = Severity.OK,
    expires_at: datetime | None = None,
) -> Notification:
    """A message of another job, or a trial: the same `key` is the same message."""
    return Notification(
        id=digest_of(cluster, receiver, Kind.NOTICE.value, key),
        receiver=receiver,
        kind=Kind.NOTICE,
        severity=severity,
        cluster=cluster,
        made_at=made_at,
        subject=subject,
        text=text,
        expires_at=expires_at,
    )


def urgency(notification: Notification) -> int:
    """How much it presses: 2 for critical news, 0 for what is over."""
    if notification.kind in (Kind.RESOLVED, Kind.PASSED):
        return 0
    return max(URGENCY[notification.severity], 1) if notification.kind is Kind.NOTICE else URGENCY[notification.severity]
