"""Shutting guests down and starting them: what is asked for, in which order, and how it is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.changes import Consent, Wording, carry_through
from pvectl.cli.diary import in_words
from pvectl.cli.options import duration
from pvectl.cli.patience import LOOK_S
from pvectl.cli.selection import to_change
from pvectl.config.durations import show_duration
from pvectl.core import shutdown
from pvectl.core import start as core_start
from pvectl.core.hold import holding
from pvectl.core.model import Guest
from pvectl.core.plan import Action, Plan, Shutdown, Start

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.output import Report
    from pvectl.core.model import ClusterView
    from pvectl.pve.client import GuestConfig

_USUAL_S = 120


class Wish(Struct, frozen=True, kw_only=True):
    """What somebody asked for at the command line; `timeout` as typed, None: the usual."""

    selectors: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    timeout: str | None = None
    order: str = "startup"

    @property
    def seconds(self) -> int:
        return _USUAL_S if self.timeout is None else duration("--timeout", self.timeout, at_least=1)


def shut_down(run: Run, wish: Wish, consent: Consent, *, force_stop: bool) -> Report:
    """Ask guests to shut down, stage by stage, and tell what came of each."""
    seconds = wish.seconds
    client = run.client(read_only=consent.dry_run, deadline=LOOK_S)

    def plan() -> tuple[ClusterView, Plan]:
        from pvectl import observe

        view, found = to_change(client, run.clock, wish.selectors, wish.exclude)
        held = _held(run, found.guests)
        planned = shutdown.plan(
            found.guests, excluded=found.excluded, held=held, timeout=seconds, force_stop=force_stop, now=run.clock.now()
        )
        guests = [action.guest for action in planned.actions]
        configs: dict[int, GuestConfig] = observe.configurations(client, guests)
        planned = shutdown.without_ourselves(planned, _ourselves(run, guests, configs))
        if wish.order != "none":
            planned = shutdown.in_order(planned, observe.startup_lines(configs), own_times=wish.timeout is None)
        return view, planned

    wording = Wording(
        question="Shut down {guests}, and pull the plug of those that do not obey?" if force_stop else "Shut down {guests}?",
        progress="shutting down",
        event="guest.shutdown",
        planned=lambda action: f"shut down within {show_duration(_timeout(action))}" + (", else by force" if force_stop else ""),
        outcome_fields=lambda outcome: {"forced": outcome.forced if outcome else None},
        done="off",
        rehearsed="would shut down",
        staged=True,
    )
    return carry_through(run, client, plan, wording, consent)


def start(run: Run, wish: Wish, consent: Consent) -> Report:
    """Start guests, stage by stage, and tell what came of each."""
    seconds = wish.seconds
    client = run.client(read_only=consent.dry_run, deadline=LOOK_S)

    def plan() -> tuple[ClusterView, Plan]:
        from pvectl import observe

        view, found = to_change(client, run.clock, wish.selectors, wish.exclude)
        planned = core_start.plan(found.guests, excluded=found.excluded, timeout=seconds, now=run.clock.now())
        if wish.order != "none":
            guests = [action.guest for action in planned.actions]
            planned = core_start.in_order(planned, observe.startup_lines(observe.configurations(client, guests)))
        return view, planned

    wording = Wording(
        question="Start {guests}?",
        progress="starting",
        event="guest.start",
        planned=lambda action: f"start, and wait {show_duration(_timeout(action))} for it" + _pause(action),
        done="running",
        rehearsed="would start",
        staged=True,
    )
    return carry_through(run, client, plan, wording, consent)


def _timeout(action: Action) -> int:
    return action.timeout if isinstance(action, Shutdown | Start) else 0


def _pause(action: Action) -> str:
    return f"; the next one {show_duration(action.pause)} later" if isinstance(action, Start) and action.pause else ""


def _held(run: Run, guests: Sequence[Guest]) -> dict[int, str]:
    """Who holds which of the guests, in words; a hold on a node keeps the node on, and not its guests from a person."""
    now = run.clock.now()
    holds = run.store("read").holds(at=now)
    found = {guest.vmid: holding(holds, guest.subject, now) for guest in guests}
    return {vmid: in_words(hold, now) for vmid, hold in found.items() if hold is not None}


def _ourselves(run: Run, guests: Sequence[Guest], configs: dict[int, GuestConfig]) -> int | None:
    """The guest pvectl runs in, as the configuration says or as it finds out."""
    from pvectl import observe
    from pvectl.errors import PvectlError

    try:
        said = run.jobs().idle_check.self
    except PvectlError:
        said = None
    if said is None:
        return observe.ourselves(guests, configs, run.clock)
    return None if said == "elsewhere" else said.vmid
