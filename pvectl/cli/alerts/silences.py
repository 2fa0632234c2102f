"""`pvectl alert silence`: what nobody is to hear of for a while, who said so, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.alerts.words import covers, nearest_check, open_ones, scope_of
from pvectl.cli.layout import Column, Table
from pvectl.cli.output import Report
from pvectl.cli.placing import end_of, who
from pvectl.cli.words import moment, span
from pvectl.core.alerts.silence import LONGEST, Silence, problem_of
from pvectl.core.amounts import many
from pvectl.core.monitor.checks.registry import IDS
from pvectl.core.tags import fold
from pvectl.core.text import clean
from pvectl.errors import UsageError

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.core.alerts.incident import Records

_LONGEST_REASON = 200
_ALL = "*"
_WILDCARDS = "*?["


class Wanted(Struct, frozen=True, kw_only=True):
    """What somebody wants to be quiet about; what is not given fits everything."""

    checks: tuple[str, ...] = ()
    object: str | None = None
    tag: str | None = None
    pool: str | None = None
    node: str | None = None


class SilenceRow(Struct, frozen=True, kw_only=True):
    """One silence as JSON shows it; `left_s` is in seconds, `covers` counts the open incidents it keeps quiet."""

    id: str
    checks: tuple[str, ...]
    object: str | None
    tag: str | None
    pool: str | None
    node: str | None
    until: datetime
    left_s: int
    author: str
    reason: str
    made_at: datetime
    covers: int


def added(run: Run, wanted: Wanted, *, reason: str, until: str | None, for_: str | None) -> Report:
    """Keep quiet about what fits, from the next run on.

    Raises:
        UsageError: it would fit everything without saying so, a check does not exist, or a time or the reason makes no sense.
    """
    from pvectl.store.alerts import Alerts

    said = clean(" ".join(reason.split()))
    if not said or len(said) > _LONGEST_REASON:
        raise UsageError(f"--reason: say why, in up to {_LONGEST_REASON} characters")
    checks = _checks(wanted)
    now = run.clock.now()
    end = end_of(until, for_, now)
    store = run.store("hold")
    alerts = Alerts(store)
    with alerts.transaction():
        silence = Silence(
            id=store.new_id(),
            checks=checks,
            object=_pattern("--object", wanted.object),
            tag=fold(tag) if (tag := _pattern("--tag", wanted.tag)) is not None else None,
            pool=_pattern("--pool", wanted.pool),
            node=_pattern("--node", wanted.node),
            until=end,
            author=who(run.env),
            reason=said,
            made_at=now,
        )
        if (problem := problem_of(silence)) is not None:
            hint = "silences end by themselves so that none is forgotten; for longer, give a rule in pvectl.yml no receivers"
            raise UsageError(problem, hint=hint if end - now > LONGEST else None)
        alerts.add_silence(silence)
    row = _row(silence, alerts.records(), now)
    head = f"nobody is told of {scope_of(silence)} until {moment(end, now)} ({span(row.left_s)}): {said}"
    covered = f"it covers {many(row.covers, 'open incident')}; pvectl alert silence remove {silence.id} ends it before its time"
    return Report(
        schema="alert-silence-add",
        data=[row],
        text=f"{head}\n{covered}",
        cluster=run.cluster_name(),
        remarks=_doubts(silence, row.covers),
    )


def listed(run: Run, *, header: bool) -> Report:
    """The silences in force, the soonest to end first."""
    from pvectl.store.alerts import Alerts

    now = run.clock.now()
    alerts = Alerts(run.store("read"))
    records = alerts.records()
    silences = sorted((each for each in alerts.silences() if each.in_force(now)), key=lambda each: (each.until, each.id))
    rows = [_row(silence, records, now) for silence in silences]
    text: Table | str = _table(silences, rows, now, header=header) if rows else "nothing is silenced"
    return Report(schema="alert-silence-list", data=rows, text=text, cluster=run.cluster_name())


def removed(run: Run, words: Sequence[str]) -> Report:
    """End these before their time, all of them or none.

    Raises:
        UsageError: there is no such silence, or several begin so.
    """
    from pvectl.store.alerts import Alerts

    now = run.clock.now()
    alerts = Alerts(run.store("hold"))
    gone: list[Silence] = []
    with alerts.transaction():
        for word in words:
            known = [f"{each.id} ({clean(each.reason)})" for each in alerts.silences() if each.in_force(now)]
            silence = alerts.remove_silence(word)
            if silence is None:
                hint = f"in force: {', '.join(known)}" if known else "nothing is silenced"
                raise UsageError(f"there is no silence '{clean(word)}'", hint=hint)
            gone.append(silence)
        records = alerts.records()
    rows = [_row(silence, records, now) for silence in gone]
    lines = (f"{scope_of(silence)} is told again ({silence.id}: {clean(silence.reason)})" for silence in gone)
    return Report(schema="alert-silence-remove", data=rows, text="\n".join(lines), cluster=run.cluster_name())


def _checks(wanted: Wanted) -> tuple[str, ...]:
    """The patterns of checks, each of which fits a check there is."""
    from fnmatch import fnmatchcase

    patterns = tuple(dict.fromkeys(word.strip() for words in wanted.checks for word in words.split(",") if word.strip()))
    if not patterns:
        if wanted.checks or all(map(_is_anything, (wanted.object, wanted.tag, wanted.pool, wanted.node))):
            raise UsageError("say what is to be quiet: --check, --object, --tag, --pool or --node", hint="--check '*' is everything")
        return (_ALL,)
    for pattern in patterns:
        if not any(fnmatchcase(check, pattern) for check in IDS):
            raise UsageError(f"there is no check {clean(pattern)}", hint=nearest_check(pattern))
    return patterns


def _is_anything(pattern: str | None) -> bool:
    """Whether it leaves nothing out: to be quiet about everything has to be said in so many words, by --check."""
    return pattern is None or (pattern.strip() != "" and not pattern.strip().strip("*?/"))


def _pattern(option: str, text: str | None) -> str | None:
    if text is None:
        return None
    if not text.strip():
        raise UsageError(f"{option}: is empty", hint="leave it out, or give a pattern")
    if option == "--object" and text.strip().isdigit():
        raise UsageError(f"--object: {text.strip()} is no object", hint=f"a guest is guest/{text.strip()}; alert list -o json shows more")
    if option == "--tag" and any(sign in text for sign in _WILDCARDS):
        raise UsageError(f"--tag: {clean(text.strip())} is no tag", hint="a tag is given in full; * and ? are for --object, --pool, --node")
    return clean(text.strip())


def _doubts(silence: Silence, covered: int) -> tuple[str, ...]:
    if covered or silence.object is None or any(sign in silence.object for sign in ("/", *_WILDCARDS)):
        return ()
    return (f"nothing that is open is called {silence.object}: objects look like node/pve1, guest/100, storage/nfs",)


def _row(silence: Silence, records: Records, now: datetime) -> SilenceRow:
    return SilenceRow(
        id=silence.id,
        checks=silence.checks,
        object=silence.object,
        tag=silence.tag,
        pool=silence.pool,
        node=silence.node,
        until=silence.until,
        left_s=max(int((silence.until - now).total_seconds()), 0),
        author=silence.author,
        reason=silence.reason,
        made_at=silence.made_at,
        covers=sum(covers(silence, incident) for incident in open_ones(records)),
    )


def _table(silences: Iterable[Silence], rows: Iterable[SilenceRow], now: datetime, *, header: bool) -> Table:
    columns = (
        Column(title="ID"),
        Column(title="SILENCED", flexible=True, least=16, wrap=True),
        Column(title="UNTIL"),
        Column(title="LEFT", right=True, need=5),
        Column(title="OPEN", right=True, need=6),
        Column(title="WHO", need=4),
        Column(title="WHY", flexible=True, least=12, wrap=True),
    )
    cells = [
        (row.id, scope_of(silence), moment(row.until, now), span(row.left_s), str(row.covers), clean(row.author), clean(row.reason))
        for silence, row in zip(silences, rows, strict=True)
    ]
    return Table(columns=columns, rows=cells, header=header)
