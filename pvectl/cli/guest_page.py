"""One guest on a page: its state now, its configuration, and whether it can be shut down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli import guest_table
from pvectl.cli.diary import in_words
from pvectl.cli.layout import Terminal, paint
from pvectl.cli.output import Report
from pvectl.cli.schedules import standing as schedule_standing
from pvectl.cli.standing import of_guest
from pvectl.cli.words import percent, size, span
from pvectl.core import shutdown
from pvectl.core.hold import holding
from pvectl.core.model import Guest
from pvectl.core.plan import Reason, Verdict
from pvectl.core.text import clean
from pvectl.errors import PvectlError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pvectl.cli.context import Run
    from pvectl.pve.client import GuestNow

_LABEL = 12


class Standing(Struct, frozen=True, kw_only=True):
    """Where a guest stands for one job: what would happen to it, and why."""

    verdict: Verdict
    reason: Reason
    detail: str


def report(run: Run, guest: Guest) -> Report:
    """Read the live state and the configuration of one guest and lay them out."""
    client = run.client()
    now = client.guest_now(guest)
    config = client.guest_config(guest)
    kept = _held(run, guest) or shutdown.reason_to_keep(_as_it_is_now(guest, now))
    verdict, reason, detail = kept or (Verdict.ACT, Reason.REQUESTED, "it would be asked to shut down")
    standing = Standing(verdict=verdict, reason=reason, detail=detail)
    idle_check = of_guest(run, guest)
    scheduled = schedule_standing.of_guest(run, _as_it_is_now(guest, now))
    stands = {"vm shutdown": standing.detail} | ({"idle-check": idle_check} if idle_check else {})
    stands |= {"schedules": "\n".join(one.detail for one in scheduled)} if scheduled else {}
    data = {"guest": guest, "now": now, "config": dict(config.options), "shutdown": standing, "idle_check": idle_check}
    data["scheduled_shutdown"] = scheduled
    return Report(schema="vm-show", data=data, text=_page(run, guest, now, config.options, stands), cluster=run.cluster)


def _held(run: Run, guest: Guest) -> tuple[Verdict, Reason, str] | None:
    """Somebody's word that it is to stay on; a state file nobody can read does not spoil the page."""
    now = run.clock.now()
    try:
        hold = holding(run.store("read").holds(at=now), guest.subject, now)
    except PvectlError:
        return None
    return None if hold is None else (Verdict.KEEP, Reason.HELD, in_words(hold, now))


def _as_it_is_now(guest: Guest, now: GuestNow) -> Guest:
    import msgspec

    return msgspec.structs.replace(guest, status=now.qmpstatus or now.status, lock=now.lock)


def _page(run: Run, guest: Guest, now: GuestNow, options: Mapping[str, object], stands: Mapping[str, str]) -> str:
    terminal = Terminal.of(run.stdout, run.env)
    kind = "VM" if guest.type == "qemu" else "container"
    status = "template" if guest.template else now.qmpstatus or now.status
    word = paint(status, guest_table.status_style(status) or "bold", terminal)
    title = paint(clean(guest.label), "bold", terminal)
    lines = [f"{title}  {kind} on {guest.node}, {word}" + (f", locked ({now.lock})" if now.lock else "")]
    facts = {
        "uptime": span(now.uptime or None),
        "tags": " ".join(guest.tags) or "-",
        "pool": guest.pool or "-",
        "cpu": f"{percent(guest.cpu)} of {guest.maxcpu:g}" if guest.cpu is not None and guest.maxcpu is not None else "-",
        "memory": f"{size(guest.mem)} of {size(guest.maxmem)}",
        "disk": size(guest.maxdisk),
        "ha": guest.hastate or "not managed",
    }
    sections = {
        "": facts,
        "configuration": {key: str(value) for key, value in sorted(options.items())},
        "where it stands": stands,
    }
    for heading, told in sections.items():
        lines += ["", paint(heading, "bold", terminal)] if heading else []
        for name, value in told.items():
            lines += _fact(name, value, terminal.width)
    return "\n".join(lines)


def _fact(name: str, value: str, width: int | None) -> list[str]:
    """A name and what there is to say of it, in as many lines as that takes on a terminal of this width."""
    import textwrap

    room = None if width is None else max(width - _LABEL - 3, 20)
    told = [clean(line) for line in value.rstrip("\n").split("\n")]
    pieces: list[str] = []
    for line in told:
        pieces += textwrap.wrap(line, room, break_on_hyphens=False) if room and len(line) > room else [line]
    return [f"  {clean(name) if turn == 0 else '':<{_LABEL}} {piece}".rstrip() for turn, piece in enumerate(pieces)]
