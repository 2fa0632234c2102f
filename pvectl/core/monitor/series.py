"""Lines of Prometheus' text format, escaped so that no name can begin another line or leave its label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import BytesIO

from msgspec import Struct

from pvectl.core.text import clean

_AT_ONCE = 500


class Series(Struct, frozen=True, kw_only=True):
    """One metric with all its lines; one without lines is left out."""

    name: str
    help: str
    lines: tuple[str, ...] = ()
    type: str = "gauge"


def written(families: Iterable[Series]) -> bytes:
    """Everything, each metric once with its HELP and TYPE, ending in a line end."""
    # one metric after the other, and each in pieces: all of it at once would be the most memory a run ever holds
    whole = BytesIO()
    for family in families:
        if family.lines:
            told = family.help.replace("\\", "\\\\").replace("\n", "\\n")
            whole.write(f"# HELP {family.name} {told}\n# TYPE {family.name} {family.type}\n".encode())
            for start in range(0, len(family.lines), _AT_ONCE):
                piece = "\n".join(family.lines[start : start + _AT_ONCE])
                whole.write(piece.encode("utf-8", "backslashreplace"))
                whole.write(b"\n")
    return whole.getvalue()


def series(name: str, labels: Mapping[str, str], value: float) -> str:
    """One line."""
    return f"{name}{labelled(labels)} {shown(value)}"


def labelled(labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{name}="{quoted(value)}"' for name, value in labels.items())
    return f"{{{inner}}}" if inner else ""


def quoted(value: str) -> str:
    """A label's value between its quotes: cleaned of all that steers, then escaped."""
    safe = value if value.isprintable() else clean(value)
    return safe if '"' not in safe and "\\" not in safe else safe.replace("\\", "\\\\").replace('"', '\\"')


def shown(value: float) -> str:
    """A number as Go's parser and ours read it back the same."""
    whole = int(value)
    return str(whole) if whole == value and abs(whole) < 2**63 else repr(float(value))
