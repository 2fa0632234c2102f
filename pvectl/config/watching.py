"""What must hold in `monitor:` beyond the type of each key: every check that is named exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from pvectl.config.problems import Remark, nearest, shown


def of_monitor(given: Mapping[str, object]) -> Iterator[Remark]:
    """A name that fits no check would change nothing, and somebody would rely on it."""
    for key in ("disable", "enable"):
        patterns = given.get(key)
        for index, pattern in enumerate(patterns if isinstance(patterns, tuple) else ()):
            yield from unknown_check(f"{key}[{index}]", pattern)
    overrides = given.get("overrides")
    for index, override in enumerate(overrides if isinstance(overrides, tuple) else ()):
        yield from unknown_check(f"overrides[{index}].check", override.check)
    exempt = given.get("exempt_tags")
    for pattern in exempt if isinstance(exempt, dict) else ():
        yield from unknown_check("exempt_tags", pattern)


def unknown_check(key: str, pattern: str) -> Iterator[Remark]:
    """What to say about a pattern that fits no check."""
    # many checks, and only a file that names one needs them
    from pvectl.core.monitor.checks.registry import IDS

    check = pattern.partition("/")[0]
    if any(fnmatchcase(id_, check) for id_ in IDS):
        return
    close = nearest(check, IDS)
    hint = f"did you mean {close}?" if close else "pvectl monitor --coverage lists the checks"
    yield Remark(key=key, message=f"there is no check {shown(check)}", hint=hint)
