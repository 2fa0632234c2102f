"""A message as plain text, and how a text is cut to what a channel takes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from pvectl.core.monitor.finding import Severity
from pvectl.notify.message import Message, Status


def plain(message: Message) -> str:
    """Text, facts and link, for channels without a form of their own; the subject is told elsewhere."""
    facts = "\n".join(f"{name}: {value}" for name, value in message.fields)
    return "\n\n".join(part for part in (message.text, facts, message.link or "") if part)


def state(message: Message) -> str:
    """One word for how it stands: `critical`, `warning`, `unknown`, `info` or `resolved`."""
    if message.is_over:
        return Status.RESOLVED.value
    return "info" if message.severity is Severity.OK else message.severity.value


def headline(message: Message) -> str:
    """The subject with the state before it."""
    return f"[{state(message)}] {message.subject}"


def characters(text: str) -> int:
    return len(text)


def octets(text: str) -> int:
    return len(text.encode())


def shortened(text: str, most: int, *, size: Callable[[str], int] = characters) -> str:
    """At most `most` of it: whole lines and how many more there were, or, where not one line fits, its beginning and an ellipsis."""
    if size(text) <= most:
        return text
    lines = text.split("\n")
    kept = 0
    used = 0
    for line in lines:
        used += size(line) + 1
        if used + size(_more(len(lines))) > most:
            break
        kept += 1
    if kept:
        return "\n".join([*lines[:kept], _more(len(lines) - kept)])
    return cut(lines[0], most, size=size)


def cut(line: str, most: int, *, size: Callable[[str], int] = characters) -> str:
    """The beginning of a line, an ellipsis where something is missing."""
    if size(line) <= most:
        return line
    room = most - size("…")
    longest = bisect_right(range(min(len(line), most) + 1), room, key=lambda length: size(line[:length])) - 1
    return f"{line[: max(longest, 0)]}…"


def _more(lines: int) -> str:
    return f"+{lines} more lines"
