"""What `pvectl hold` does and says: times as people write them, subjects that exist, and one table."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.layout import Column, Table
from pvectl.cli.output import Report
from pvectl.cli.placing import end_of, who
from pvectl.cli.words import moment, span
from pvectl.core.hold import Hold
from pvectl.core.text import clean
from pvectl.errors import PvectlError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pvectl.cli.context import Run
    from pvectl.core.model import ClusterView
    from pvectl.store import Store

_USUAL_S = 8 * 3600
_LONGEST = timedelta(days=7)
_REASON_LENGTH = 200


class HoldRow(Struct, frozen=True, kw_only=True):
    """One hold as JSON shows it; `left_s` is in seconds."""

    id: str
    subject: str
    until: datetime
    left_s: int
    reason: str
    who: str
    made_at: datetime


def added(run: Run, word: str, *, reason: str, until: str | None, for_: str | None) -> Report:
    """Place a hold on something that exists.

    Raises:
        UsageError: no such node or guest, no reason, or a time that makes no sense.
    """
    if not clean(reason).strip() or len(reason) > _REASON_LENGTH:
        raise UsageError(f"--reason: say why, in up to {_REASON_LENGTH} characters")
    now = run.clock.now()
    end = _end(until, for_, now)
    subject, remark = _subject(run, word)
    store = run.store("hold")
    with store.transaction():
        hold = Hold(id=store.new_id(), subject=subject, until=end, reason=clean(reason).strip(), who=who(run.env), made_at=now)
        store.add_hold(hold)
    remark = (*remark, *_nobody_looks_here(run, store))
    row = _row(hold, now)
    stays = f"{named(subject)} stays on until {moment(end, now)} ({span(row.left_s)}): {hold.reason}"
    text = f"{stays}\npvectl hold remove {hold.id} ends it before its time"
    return Report(schema="hold-add", data=[row], text=text, cluster=run.cluster_name(), remarks=remark)


def listed(run: Run, *, header: bool) -> Report:
    """The holds in force, the soonest to end first."""
    now = run.clock.now()
    rows = sorted((_row(hold, now) for hold in run.store("read").holds(at=now)), key=lambda row: row.until)
    text: Table | str = _table(rows, now, header=header) if rows else "nothing is held"
    return Report(schema="hold-list", data=rows, text=text, cluster=run.cluster_name())


def removed(run: Run, word: str) -> Report:
    """End the hold with this id, or every hold of the node or guest of that name.

    Raises:
        UsageError: nothing of that kind is held.
    """
    now = run.clock.now()
    store = run.store("hold")
    held = store.holds(at=now)
    about = (f"node/{word}", f"guest/{word}")
    gone = [hold for hold in held if hold.id == word.lower()] or [hold for hold in held if hold.subject in about]
    if not gone:
        known = ", ".join(f"{hold.id} ({named(hold.subject)})" for hold in held)
        raise UsageError(f"there is no hold '{clean(word)}'", hint=f"held are: {known}" if known else "nothing is held")
    for hold in gone:
        store.remove_hold(hold.id)
    rows = [_row(hold, now) for hold in gone]
    text = "\n".join(f"{named(hold.subject)} is no longer held ({hold.id}: {clean(hold.reason)})" for hold in gone)
    return Report(schema="hold-remove", data=rows, text=text, cluster=run.cluster_name())


def _end(until: str | None, for_: str | None, now: datetime) -> datetime:
    end = end_of(until, for_, now, usual_s=_USUAL_S)
    if end > now + _LONGEST:
        hint = "holds end by themselves so that none is forgotten; for longer, take the node out of idle_check.nodes"
        raise UsageError("a hold lasts 7 days at most", hint=hint)
    return end


def _subject(run: Run, word: str) -> tuple[str, tuple[str, ...]]:
    """What the word means, checked against the cluster; while nobody answers it is taken at its word, and said so."""
    subject = f"guest/{int(word)}" if word.isascii() and word.isdigit() else f"node/{word}"
    try:
        view = run.view()
    except PvectlError as error:
        if subject.startswith("node/") and word not in run.jobs().idle_check.nodes:
            raise
        return subject, (f"whether {named(subject)} exists could not be checked: {error.message}",)
    _must_exist(view, subject, word)
    return subject, ()


def _nobody_looks_here(run: Run, store: Store) -> tuple[str, ...]:
    """A hold counts for the jobs that keep their state where it is kept; of the first one somebody may be at the wrong machine, or user."""
    from pvectl.cli.idle.memory import LAST
    from pvectl.cli.kept import LastDecision
    from pvectl.cli.schedules.books import LEDGERS
    from pvectl.core.schedules.ledger import Ledger
    from pvectl.errors import BadState
    from pvectl.store import state_dir

    try:
        ran: bool = bool(store.recall_all(LAST, LastDecision))
        if ran or store.recall_all(LEDGERS, Ledger):
            return ()
    except BadState:
        return ()  # there was a job, of another version
    place = state_dir(run.options.state_dir, run.env)
    return (f"no job has run yet with the state in {place}: a hold only counts for jobs that run on this machine with that --state-dir",)


def _must_exist(view: ClusterView, subject: str, word: str) -> None:
    if subject in {node.subject for node in view.nodes} | {guest.subject for guest in view.guests}:
        return
    if subject.startswith("guest/"):
        hint = "PVE hides guests this token has no VM.Audit for: pvectl doctor tells"
        raise UsageError(f"there is no guest {word}; nothing is held", hint=hint)
    namesakes = [guest for guest in view.guests if guest.name == word]
    hint = f"the nodes are {', '.join(sorted(node.name for node in view.nodes))}; a guest is named by its vmid"
    if namesakes:
        hint = f"guest {', '.join(guest.label for guest in namesakes)}: name it by its vmid"
    raise UsageError(f"there is no node '{clean(word)}'; nothing is held", hint=hint)


def named(subject: str) -> str:
    """A subject as sentences name it: "node/pve2" -> "pve2", "guest/110" -> "guest 110", "cluster" -> "cluster"."""
    kind, slash, name = subject.partition("/")
    return name if kind == "node" else f"{kind} {name}" if slash else kind


def _row(hold: Hold, now: datetime) -> HoldRow:
    return HoldRow(
        id=hold.id,
        subject=hold.subject,
        until=hold.until,
        left_s=max(int((hold.until - now).total_seconds()), 0),
        reason=hold.reason,
        who=hold.who,
        made_at=hold.made_at,
    )


def _table(rows: Iterable[HoldRow], now: datetime, *, header: bool = True) -> Table:
    columns = (
        Column(title="ID"),
        Column(title="KEEPS ON"),
        Column(title="UNTIL"),
        Column(title="LEFT", right=True, need=5),
        Column(title="WHO", need=4),
        Column(title="WHY", flexible=True, least=16, wrap=True),
    )
    cells = [
        (row.id, named(row.subject), moment(row.until, now), span(row.left_s), clean(row.who), clean(row.reason)) for row in rows
    ]
    return Table(columns=columns, rows=cells, header=header)
