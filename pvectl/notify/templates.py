"""Words of an administrator's own: a Jinja2 template in a sandbox, in a process of its own, and only when one is used.

Of several incidents in one message, and of what other jobs have to say, pvectl speaks in its own words.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

from msgspec import Struct

from pvectl.core.alerts.message import Text, moment
from pvectl.core.alerts.notification import Notification
from pvectl.core.amounts import span
from pvectl.core.text import clean

VARIABLES: Mapping[str, str] = {
    "subject": "what pvectl would say in one line; how bad it is stands before it by itself",
    "prose": "its sentences",
    "body": "its sentences and the facts",
    "kind": "firing, worse, again, flapping, repeat, resolved or passed",
    "severity": "critical, warning or unknown",
    "over": "whether it is over (true or false)",
    "cluster": "the cluster's name",
    "check": "the id of the check",
    "object": "what it is about: node/pve3, guest/100, storage/nfs",
    "node": "the node it is on, where it is on one",
    "pool": "the pool a guest is in",
    "tags": "the guest's tags (a list)",
    "message": "what the check says",
    "value": "what was measured (a number; none where nothing was)",
    "unit": "what the value counts: ratio (from 0 to 1), seconds, days, count or bytes",
    "hint": "what to do about it",
    "since": "when it began, in the reader's own zone: 2026-11-22 13:02 CET",
    "until": "when it was over",
    "now": "when this message was made",
    "length": "how long it has lasted: 2h",
    "ending": "how it ended, where not simply so",
    "explains": "how many further problems follow from it (a number)",
    "incident": "what `pvectl alert explain` takes",
    "facts": "the facts beside the sentences (a list of pairs of name and value)",
}
"""What a template knows. All are texts, empty where there is nothing to say, unless it says otherwise."""

LONGEST_SUBJECT = 200
LONGEST_TEXT = 16 << 10
TOO_LONG = "it takes too long, or too much memory"
_PATIENCE_S = 10.0
_ENVIRONMENT = ("PATH", "PYTHONPATH")


class Template(Struct, frozen=True, kw_only=True):
    """What is left out (None) stays as pvectl words it."""

    name: str
    subject: str | None = None
    text: str | None = None


class Unusable(Exception):
    """The template gives no text; `words` say why."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class Rendered(Struct, frozen=True, kw_only=True):
    """What the other process answers."""

    subject: str | None = None
    text: str | None = None
    error: str | None = None


def rendered(template: Template, known: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Subject and text, None for what the template leaves as it is.

    Raises:
        Unusable: it is not one, names something that is not there, or takes too long or too much.
    """
    answer = _asked(template, (known,))
    return answer.subject, answer.text


def problem_of(template: Template) -> str | None:
    """Why this template cannot be used; None when it can, as far as messages made up for it tell."""
    from pvectl.notify.sampling import samples

    try:
        _asked(template, samples())
    except Unusable as error:
        return error.words
    return None


def variables(notification: Notification, text: Text, zone: tzinfo) -> dict[str, Any]:
    """What a template knows of a message about one incident."""
    one = notification.stories[0]
    finding = one.finding
    lasted = (one.ended_at or notification.made_at) - one.since
    return {
        "subject": text.title,
        "prose": text.prose,
        "body": text.body,
        "kind": one.kind.value,
        "severity": finding.severity.value,
        "over": one.ended_at is not None,
        "cluster": clean(notification.cluster),
        "check": clean(finding.check),
        "object": clean(finding.object),
        "node": clean(finding.node or ""),
        "pool": clean(finding.pool or ""),
        "tags": [clean(tag) for tag in finding.tags],
        "message": clean(finding.message),
        "value": finding.value,
        "unit": finding.unit.value if finding.unit is not None else "",
        "hint": clean(finding.hint or ""),
        "since": moment(one.since, zone),
        "until": _moment(one.ended_at, zone),
        "now": moment(notification.made_at, zone),
        "length": span(max(lasted.total_seconds(), 0.0)),
        "ending": clean(one.ending),
        "explains": one.explains,
        "incident": one.incident,
        "facts": [list(fact) for fact in text.facts],
    }


def _moment(at: datetime | None, zone: tzinfo) -> str:
    return "" if at is None else moment(at, zone)


def _asked(template: Template, known: Sequence[Mapping[str, Any]]) -> Rendered:
    """The words for the last of these; they have to do for all."""
    import subprocess

    import msgspec

    order = {"subject": template.subject, "text": template.text, "known": known}
    try:
        ended = subprocess.run(
            [sys.executable, "-P", "-m", "pvectl.notify.template_process"],
            input=msgspec.json.encode(order),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={name: value for name, value in os.environ.items() if name in _ENVIRONMENT},
            timeout=_PATIENCE_S,
            check=False,
        )
    except UnicodeEncodeError:
        raise Unusable("it has characters that are none") from None
    except subprocess.TimeoutExpired:
        raise Unusable(TOO_LONG) from None
    except OSError as error:
        raise Unusable(f"it cannot be started: {error.strerror}") from None
    if ended.returncode < 0:
        # the kernel ended it
        raise Unusable(TOO_LONG)
    try:
        answer = msgspec.json.decode(ended.stdout, type=Rendered)
    except msgspec.DecodeError:
        raise Unusable("it cannot be tried") from None
    if answer.error is not None:
        raise Unusable(answer.error)
    return answer
