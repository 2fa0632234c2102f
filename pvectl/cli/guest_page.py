"""One guest on a page: its state now, its configuration, and whether it can be shut down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli import guest_table
from pvectl.cli.output import Report, Terminal, is_terminal, paint, percent, size, span
from pvectl.core import shutdown
from pvectl.core.model import Guest
from pvectl.core.plan import Reason, Verdict
from pvectl.core.text import clean

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
    kept = shutdown.reason_to_keep(_as_it_is_now(guest, now))
    verdict, reason, detail = kept or (Verdict.ACT, Reason.REQUESTED, "it would be asked to shut down")
    standing = Standing(verdict=verdict, reason=reason, detail=detail)
    data = {"guest": guest, "now": now, "config": dict(config.options), "shutdown": standing}
    return Report(schema="vm-show", data=data, text=_page(run, guest, now, config.options, standing), cluster=run.cluster)


def _as_it_is_now(guest: Guest, now: GuestNow) -> Guest:
    import msgspec

    return msgspec.structs.replace(guest, status=now.qmpstatus or now.status, lock=now.lock)


def _page(run: Run, guest: Guest, now: GuestNow, options: Mapping[str, object], standing: Standing) -> str:
    terminal = Terminal.of(run.stdout, run.env) if is_terminal(run.stdout) else Terminal()
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
    lines += [_fact(name, value) for name, value in facts.items()]
    lines += ["", paint("configuration", "bold", terminal), *(_fact(key, str(value)) for key, value in sorted(options.items()))]
    lines += ["", paint("where it stands", "bold", terminal), _fact("vm shutdown", standing.detail)]
    return "\n".join(lines)


def _fact(name: str, value: str) -> str:
    first, *more = value.rstrip("\n").split("\n")
    return "\n".join([f"  {clean(name):<{_LABEL}} {clean(first)}", *(f"  {'':<{_LABEL}} {clean(line)}" for line in more)]).rstrip()
