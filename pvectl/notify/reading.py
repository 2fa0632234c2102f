"""The one number some receivers put into the body of a 429: how long to wait."""

from __future__ import annotations


def number_at(answer: str, *path: str) -> float | None:
    """The number under these keys of a JSON object; None when it is not one."""
    import msgspec

    try:
        found = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        return None
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None
