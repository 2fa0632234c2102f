"""The words of a message: a subject a phone can show, and what a person needs to act."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import assert_never

from msgspec import Struct

from pvectl.core.alerts.incident import Kind
from pvectl.core.alerts.notification import Notification, Story
from pvectl.core.amounts import many, span
from pvectl.core.monitor.finding import Severity
from pvectl.core.text import clean

LONGEST_SUBJECT = 78
_SHOWN = 25
_WORDS = {Severity.CRITICAL: "critical", Severity.WARNING: "warning", Severity.UNKNOWN: "unknown", Severity.OK: "ok"}
_PLURALS = {Severity.CRITICAL: "critical", Severity.WARNING: "warnings", Severity.UNKNOWN: "unknown", Severity.OK: "ok"}


class Text(Struct, frozen=True, kw_only=True):
    """A message in words. `subject` is one line; `title` the same without how bad it is, for channels that show that themselves.

    `prose` are sentences, one a line; `facts` names and values beside them.
    """

    subject: str
    title: str
    prose: str
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> str:
        """All of it but the subject, as plain text."""
        width = max((len(name) for name, _value in self.facts), default=0) + 1
        facts = "".join(f"{name + ':':{width}} {value}\n" for name, value in self.facts)
        return f"{self.prose}\n\n{facts}" if facts else f"{self.prose}\n"


def written(notification: Notification, zone: tzinfo) -> Text:
    """The message, with its dates in the reader's zone."""
    cluster = clean(notification.cluster)
    if notification.kind is Kind.NOTICE:
        prose = "\n".join(clean(line) for line in notification.text.splitlines())
        subject = _short(clean(notification.subject), cluster)
        return Text(subject=subject, title=subject, prose=prose, facts=_from(cluster))
    if notification.is_digest:
        return _summary(notification, cluster, zone)
    return told(notification.stories[0], cluster=notification.cluster, now=notification.made_at, zone=zone)


def told(one: Story, *, cluster: str, now: datetime, zone: tzinfo) -> Text:
    """What is told of one incident, also as a part of a digest."""
    cluster = clean(cluster)
    return Text(
        subject=_short(_headline(one, now), cluster),
        title=_short(_title(one, now), cluster),
        prose="\n".join(_prose(one, now)),
        facts=(*_facts(one, now, zone), *_from(cluster)),
    )


def moment(at: datetime, zone: tzinfo) -> str:
    """A moment as its reader's clock shows it: 2026-11-22 13:02 CET."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def _headline(one: Story, now: datetime) -> str:
    state = _WORDS[one.finding.severity] if one.ended_at is None else "over"
    return f"{state}{', ' if one.kind is not Kind.FIRING else ': '}{_title(one, now)}"


def _title(one: Story, now: datetime) -> str:
    message = clean(one.finding.message)
    match one.kind:
        case Kind.FIRING:
            return message
        case Kind.WORSE:
            return f"worse than before: {message}"
        case Kind.AGAIN:
            return f"again: {message}"
        case Kind.FLAPPING:
            return f"comes and goes: {message}"
        case Kind.REPEAT:
            return f"for {_length(one, now)}: {message}"
        case Kind.RESOLVED:
            return f"after {_length(one, now)}: {message}"
        case Kind.PASSED:
            return f"came and went: {message}"
        case Kind.BASELINE | Kind.DIGEST | Kind.NOTICE:
            raise ValueError(f"{one.kind} is not told of one incident")
        case _:
            assert_never(one.kind)


def _prose(one: Story, now: datetime) -> Iterable[str]:
    yield _sentence(clean(one.finding.message))
    if one.ended_at is not None:
        ending = clean(one.ending) if one.ending else "it is fine again"
        yield f"That is over: {ending}, after {_length(one, now)}."
    if one.kind is Kind.FLAPPING:
        yield f"It has begun {one.fires} times within an hour. It is over when it has been fine for an hour."
    if one.explains:
        yield f"{many(one.explains, 'further problem')} would follow from it and {'is' if one.explains == 1 else 'are'} not told."


def _facts(one: Story, now: datetime, zone: tzinfo) -> Iterable[tuple[str, str]]:
    finding = one.finding
    node = f" on node {clean(finding.node)}" if finding.node and finding.object != f"node/{finding.node}" else ""
    yield "what", f"{clean(finding.object)}{node}"
    yield "since", f"{moment(one.since, zone)} ({_length(one, now)})"
    if one.ended_at is not None:
        yield "until", moment(one.ended_at, zone)
    elif finding.hint:
        yield "to do", clean(finding.hint)
    yield "check", clean(finding.check)
    yield "more", f"pvectl alert explain {one.incident}"


def _summary(notification: Notification, cluster: str, zone: tzinfo) -> Text:
    stories = notification.stories
    lasting = Counter(one.finding.severity for one in stories if one.ended_at is None)
    over = sum(one.ended_at is not None for one in stories)
    counts = [f"{lasting[each]} {_WORDS[each] if lasting[each] == 1 else _PLURALS[each]}" for each in _WORDS if lasting[each]]
    counts += [f"{over} over"] if over else []
    told = ", ".join(counts)
    if notification.kind is Kind.BASELINE:
        subject = f"{many(len(stories), 'problem')} at the first look: {told}"
        opening = "This is what pvectl found when it looked for the first time. From now on it tells what changes."
    else:
        subject = f"{many(len(stories), 'message')} in one: {told}"
        opening = "There was more to tell than this receiver may get one by one."
    lines = [opening, ""]
    lines += [f"- {_headline(one, notification.made_at)} (since {moment(one.since, zone)})" for one in stories[:_SHOWN]]
    if len(stories) > _SHOWN:
        lines.append(f"and {len(stories) - _SHOWN} more: pvectl alert list")
    subject = _short(subject, cluster)
    return Text(subject=subject, title=subject, prose="\n".join(lines), facts=_from(cluster))


def _length(one: Story, now: datetime) -> str:
    return span(max(((one.ended_at or now) - one.since).total_seconds(), 0.0))


def _short(subject: str, cluster: str) -> str:
    """One line that ends with the cluster's name, unless that would cut what happened."""
    tail = f" [{cluster}]" if cluster else ""
    if len(subject) + len(tail) <= LONGEST_SUBJECT:
        return subject + tail
    return subject if len(subject) <= LONGEST_SUBJECT else subject[: LONGEST_SUBJECT - 1].rstrip() + "…"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def _from(cluster: str) -> tuple[tuple[str, str], ...]:
    return (("cluster", cluster),) if cluster else ()
