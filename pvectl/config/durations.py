"""How long: "30m", "2h" and plain seconds, read and written."""

from __future__ import annotations

import re

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_PART = re.compile(r"([0-9]{1,9})([smhd])")
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhd])+")
_SECONDS = re.compile(r"[0-9]{1,9}")
EXPECTED = "a duration such as 90s, 30m, 2h or 1d (a plain number is seconds)"
LONGEST = 366 * _UNITS["d"]


def parse_duration(text: str | int) -> int:
    """Seconds; raises ValueError saying what is expected. Units go from large to small, each at most once: 1h30m."""
    seconds = text if isinstance(text, int) else _read(text.strip())
    if seconds < 0:
        raise ValueError(f"expected {EXPECTED}, not a negative one")
    if seconds > LONGEST:
        raise ValueError(f"expected {EXPECTED}, at most {LONGEST // _UNITS['d']}d")
    return seconds


def _read(text: str) -> int:
    if _SECONDS.fullmatch(text):
        return int(text)
    if not _DURATION.fullmatch(text):
        raise ValueError(f"expected {EXPECTED}")
    parts = _PART.findall(text)
    order = [_UNITS[unit] for _, unit in parts]
    if sorted(set(order), reverse=True) != order:
        raise ValueError(f"expected {EXPECTED}, units from large to small and each once, as in 1h30m")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def show_duration(seconds: int) -> str:
    """The shortest spelling `parse_duration` reads back: 5400 -> "1h30m", 0 -> "0s"."""
    left, words = seconds, ""
    for unit, size in _UNITS.items():
        if left >= size:
            words += f"{left // size}{unit}"
            left %= size
    return words or "0s"
