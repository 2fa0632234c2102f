"""Numbers as people read them."""

from __future__ import annotations

import math

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_SPANS = ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s"))


def size(value: int | None) -> str:
    """Bytes as people read them, "-" when not known: 1536 -> "1.5 KiB"."""
    if value is None:
        return "-"
    power = min((value.bit_length() - 1) // 10, len(_UNITS) - 1) if value > 0 else 0
    if power == 0:
        return f"{value} B"
    amount = value / (1 << 10 * power)
    return f"{amount:.0f} {_UNITS[power]}" if amount >= 100 else f"{amount:.1f} {_UNITS[power]}"


def part(value: int | None, whole: int | None) -> str:
    """How much of how much, the unit once where both share it: "8.0 of 32.0 GiB"."""
    told, of = size(value), size(whole)
    amount, _, unit = told.partition(" ")
    return f"{amount if of.endswith(f' {unit}') else told} of {of}"


def percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio * 100:.0f}%"


def span(seconds: float | None) -> str:
    """A duration as people read it, in its two largest units, "-" when not known: 93784 -> "1d 2h"."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    whole = int(seconds)
    for width, unit, below, part in _SPANS:
        if whole >= width:
            count, rest = divmod(whole, width)
            rest //= below
            return f"{count}{unit} {rest}{part}" if rest else f"{count}{unit}"
    return f"{whole}s"


def many(count: int, word: str) -> str:
    """1 -> "1 guest", 1200 -> "1,200 guests"."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"
