"""A message as Alertmanager names things: label sets, their fingerprint, and which name what an alert is."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pvectl.core.monitor.finding import Severity
from pvectl.notify.message import Message, Status, stamp
from pvectl.notify.wording import cut

NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time, which stands in `endsAt` for as long as an alert has no end."""

MOST_LABELS = 20
LONGEST_LABEL = 200

_SEVERITIES = (Severity.CRITICAL, Severity.WARNING, Severity.UNKNOWN)
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_]")
_OFFSET = 0xCBF29CE484222325
_PRIME = 0x100000001B3
_64_BITS = (1 << 64) - 1


def label_set(message: Message) -> dict[str, str]:
    """The labels with names Prometheus allows, without empty values (which mean the label is not there), sorted.

    `alertname` and `severity` are always among them. A severity that changes makes another alert of it, as it does in Prometheus; the
    message's own label says under which severity it goes, where that is not how bad it is at the moment.
    """
    given = limited(message)
    labels = {_name(name): value for name, value in given.items() if value}
    labels.setdefault("alertname", labels.get("check") or cut(message.subject, LONGEST_LABEL) or "pvectl")
    if labels.get("severity") not in _SEVERITIES:
        labels["severity"] = "info" if message.severity is Severity.OK else message.severity.value
    return dict(sorted(labels.items()))


def limited(message: Message) -> dict[str, str]:
    """The message's own labels, as many and as long as any receiver needs: always cut alike, because they say what an alert is."""
    return {cut(name, 100): cut(value, LONGEST_LABEL) for name, value in sorted(message.labels.items())[:MOST_LABELS]}


def said_about(message: Message) -> dict[str, str]:
    """What there is to say about it, beside what it is."""
    said = {"summary": message.subject, "description": message.text, "incident": message.incident, "notification": message.id}
    said |= {_name(name.lower()): value for name, value in message.fields if _name(name.lower()) not in said}
    return {name: value for name, value in said.items() if value}


def alert(message: Message) -> dict[str, object]:
    """One entry of `alerts` in Alertmanager's webhook body."""
    labels = label_set(message)
    return {
        "status": "resolved" if message.is_over else "firing",
        "labels": labels,
        "annotations": said_about(message),
        "startsAt": stamp(message.started),
        "endsAt": stamp(message.ended) if message.is_over and message.ended else NEVER,
        "generatorURL": message.link or "",
        "fingerprint": fingerprint(labels),
    }


def fingerprint(labels: Mapping[str, str]) -> str:
    """The number Prometheus and Alertmanager know a label set by (64-bit FNV-1a over the sorted pairs), in hex."""
    total = _OFFSET
    for name, value in sorted(labels.items()):
        for byte in name.encode() + b"\xff" + value.encode() + b"\xff":
            total = ((total ^ byte) * _PRIME) & _64_BITS
    return f"{total:016x}"


def group_labels(message: Message) -> dict[str, str]:
    """What all messages about the same thing share, whatever their severity; nothing for a digest."""
    if message.status is Status.DIGEST:
        return {}
    return {name: value for name, value in label_set(message).items() if name in ("alertname", "cluster", "object")}


def group_key(labels: Mapping[str, str]) -> str:
    """The group's name in Alertmanager's own spelling: the route's matchers (ours has none), and the labels."""
    pairs = ", ".join(f"{name}={_quoted(value)}" for name, value in labels.items())
    return f"{{}}:{{{pairs}}}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _name(name: str) -> str:
    spelled = _NOT_IN_A_NAME.sub("_", name)
    return f"_{spelled}" if not spelled or spelled[0].isdigit() else spelled
