"""The examination: is everything there that pvectl needs, nothing that it should not have, and does it see all of the cluster."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pvectl.cli.options import command, leaf

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.layout import Table, Terminal
    from pvectl.cli.output import Report
    from pvectl.core.checkup import Check, Health

_LOUD = ("warning", "problem", "unknown")

app = leaf()


@command(app, "doctor", schema="doctor", quietable=True)
def doctor(run: "Run") -> "Report":
    """Check reach, TLS, clock, token, privileges, completeness, tags, quorum and wake-on-LAN; change nothing.

    Every line says how one thing stands, and what to do about it. Only problems make the exit code other than 0, and it is that of the
    first one shown: 78 configuration, 69 no host, 77 the token or a privilege, 4 something is hidden from us, 1 a clock, 75 no quorum.
    """
    from pvectl.cli.examination import examine
    from pvectl.cli.layout import Terminal
    from pvectl.cli.output import Problem, Report
    from pvectl.core.checkup import Health, exit_code

    checks = examine(run)
    problems = tuple(
        Problem(code=one.check, message=one.message, hint="; ".join(one.mend) or None, subject=one.subject)
        for one in checks
        if one.health is Health.PROBLEM
    )
    shown = [one for one in checks if one.health in _LOUD] if run.options.quiet else checks
    return Report(
        schema="doctor",
        data=checks,
        text=_page(shown, Terminal.of(run.stdout, run.env)),
        csv=lambda: _table(checks),
        exit_code=exit_code(checks),
        complete=any(one.check == "completeness" and one.health is Health.OK for one in checks),
        cluster=run.cluster,
        # in text they stand on the page already
        problems=problems if run.options.format in ("json", "jsonl", "yaml") else (),
    )


_STYLES = {"ok": "good", "note": "dim", "warning": "warn", "problem": "bad", "unknown": "warn", "not-checked": "dim"}
_NAMED = ("reach", "tls", "token", "clock", "wake-on-lan")
"""Checks of one thing among several; the others' sentences name what they are about."""


def _page(checks: "Sequence[Check]", terminal: "Terminal") -> str:
    columns = (max((len(one.health) for one in checks), default=0), max((len(one.check) for one in checks), default=0))
    groups, lines = _alike(checks), list[str]()
    for alike in groups:
        # a command that has been given once mends the rest as well
        lines += [line for line in _lines(alike, columns, terminal) if "→" not in line or line not in lines]
    counted = Counter(alike[0].health for alike in groups)
    summary = ", ".join(f"{counted[health]} {_plural(health, counted[health])}" for health in _order() if counted[health])
    return "\n".join([*lines, "", summary]) if lines else ""


def _order() -> "Sequence[Health]":
    from pvectl.core.checkup import Health

    return list(Health)


def _plural(word: str, count: int) -> str:
    spoken = word.replace("-", " ")
    return f"{spoken}s" if count > 1 and word in ("note", "warning", "problem") else spoken


def _alike(checks: "Sequence[Check]") -> "list[list[Check]]":
    """The checks in order, those that say the same about several nodes or hosts together."""
    groups: dict[object, list[Check]] = {}
    for one in checks:
        said = (one.message, *one.mend)
        if one.subject.startswith(("node/", "host/")):
            said = tuple(text.replace(_name(one), "\0") for text in said)
        groups.setdefault((one.check, one.health, said), []).append(one)
    return list(groups.values())


def _lines(alike: "Sequence[Check]", columns: tuple[int, int], terminal: "Terminal") -> list[str]:
    from pvectl.cli.layout import paint
    from pvectl.core.text import clean

    first, (verdicts, names) = alike[0], columns
    message = first.message
    if first.check in _NAMED and first.subject != "cluster":
        message = f"{', '.join(map(_name, alike))}: {message}"
    elif alike[1:]:
        message += f" (the same goes for {', '.join(map(_name, alike[1:]))})"
    margin = verdicts + names + 4
    message = clean(message)
    wrapped = textwrap.wrap(message, max(terminal.width - margin, 30), break_on_hyphens=False) if terminal.width else [message]
    head = paint(first.health.replace("-", " "), _STYLES[first.health], terminal) + " " * (verdicts - len(first.health))
    lines = [f"{head}  {first.check:<{names}}  {wrapped[0]}", *(" " * margin + more for more in wrapped[1:])]
    # never wrapped: these are to be copied
    return lines + [" " * margin + paint("→ ", "dim", terminal) + clean(line) for line in first.mend]


def _name(one: "Check") -> str:
    return one.subject.removeprefix("host/").removeprefix("node/")


def _table(checks: "Sequence[Check]") -> "Table":
    from pvectl.cli.layout import Column, Table

    columns = tuple(Column(title=title) for title in ("CHECK", "SUBJECT", "VERDICT", "MESSAGE", "MEND"))
    rows = [(one.check, one.subject, one.health.value, one.message, "; ".join(one.mend)) for one in checks]
    return Table(columns=columns, rows=rows)
