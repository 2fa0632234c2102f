"""The guests: how many there are and how they stand, and of many only those that matter most."""

from __future__ import annotations

from collections import Counter
from heapq import nsmallest

from pvectl.core.amounts import many, percent, size, span
from pvectl.core.model import Guest
from pvectl.core.monitor.checks.backup_truth import backups
from pvectl.core.monitor.finding import Severity
from pvectl.core.monitor.page.markup import Content, Markup, element, name_of
from pvectl.core.monitor.page.seen import WORST_FIRST, Seen, worst_of
from pvectl.core.monitor.page.symbols import bar, share_of, standing
from pvectl.core.monitor.page.tables import Cell, table

MOST = 100
"""How many guests are shown."""
_TAGS = 6
_TERMS = {"guest.cpu": "CPU", "guest.mem": "Memory"}


def section(seen: Seen) -> Markup:
    guests = [guest for _subject, guest in seen.look.guests]
    worst = {guest.vmid: worst_of(seen.about(guest.subject)) for guest in guests}
    shown = nsmallest(MOST, guests, key=lambda guest: _rank(guest, worst[guest.vmid]))
    return element(
        "section",
        element(
            "div", element("h2", "Guests", id="guests-title"), element("p", _summary(seen, guests), class_="dim small"), class_="heading"
        ),
        table(
            "Those with problems first, then those that are locked, then those that use most processors.",
            ("Guest", "CPU", "Memory", "Restorable to", "State"),
            [_row(seen, guest, worst[guest.vmid]) for guest in shown],
        )
        if shown
        else element("p", "No guest could be seen.", class_="fine"),
        _left(guests, shown, worst),
        id="guests",
        aria_labelledby="guests-title",
    )


def _rank(guest: Guest, worst: Severity) -> tuple[int, bool, bool, float, int]:
    return WORST_FIRST[worst], guest.lock is None, guest.status != "running", -(guest.cpu or 0) * (guest.maxcpu or 0), guest.vmid


def _summary(seen: Seen, guests: list[Guest]) -> str:
    counts = Counter(guest.status for guest in guests)
    parts = [f"{count:,} {status}" for status, count in counts.most_common(8)]
    templates = sum(guest.template is True for guest in seen.look.listing.guests) if seen.look.listing else 0
    if templates:
        parts.append(many(templates, "template"))
    return ", ".join(parts)


def _left(guests: list[Guest], shown: list[Guest], worst: dict[int, Severity]) -> Markup | None:
    """How many are left out, and how many of them have something wrong."""
    left = len(guests) - len(shown)
    if not left:
        return None
    counts = Counter(worst[guest.vmid] for guest in guests)
    counts.subtract(worst[guest.vmid] for guest in shown)
    bad = [f"{counts[severity]:,} {word}" for severity, word in _LEFT.items() if counts[severity]]
    told = ", ".join(bad) if bad else "all of them fine"
    return element("p", f"{many(left, 'more guest')} left out here: {told}", class_="more")


_LEFT = {Severity.CRITICAL: "critical", Severity.WARNING: "with a warning", Severity.UNKNOWN: "not fully checked"}


def _row(seen: Seen, guest: Guest, worst: Severity) -> list[Cell]:
    kind = {"qemu": "VM", "lxc": "container"}.get(guest.type, guest.type)
    running = guest.status == "running"
    words: Content = [kind, " on ", name_of(guest.node), f", locked ({guest.lock})" if guest.lock else None]
    tags: Content = [[element("span", name_of(tag), class_="tag"), " "] for tag in guest.tags[:_TAGS]]
    rest = f"and {many(len(guest.tags) - _TAGS, 'more tag')}" if len(guest.tags) > _TAGS else None
    share = share_of(guest.mem, guest.maxmem) if running else None
    return [
        Cell(
            told=[
                _title(guest),
                element("span", words, class_="under"),
                element("span", tags, rest, class_="under") if guest.tags else None,
            ]
        ),
        Cell(told=_measure(seen, guest, "guest.cpu", guest.cpu, _cores(guest)) if running else None, kind="measure"),
        Cell(told=_measure(seen, guest, "guest.mem", share, f"of {size(guest.maxmem)}") if running else None, kind="measure"),
        Cell(told=_backup(seen, guest), term="Restorable to", kind="across"),
        Cell(told=_state(guest, worst), kind="state"),
    ]


def _title(guest: Guest) -> Content:
    return [str(guest.vmid), [" ", name_of(guest.name)] if guest.name else None]


def _state(guest: Guest, worst: Severity) -> Content:
    up = f" {span(guest.uptime)}" if guest.status == "running" and guest.uptime else ""
    return [standing(worst), element("span", guest.status + up, class_="under")]


def _measure(seen: Seen, guest: Guest, check: str, share: float | None, words: str | None) -> Content:
    found = seen.found(check, guest.subject)
    number = element("b", percent(share)) if share is not None else "not known"
    return [
        element("span", number, element("span", words, class_="dim"), class_="number", data_term=_TERMS[check]),
        bar(share, found.severity if found else Severity.OK, found.levels if found else None),
    ]


def _cores(guest: Guest) -> str | None:
    return f"of {many(int(guest.maxcpu), 'core')}" if guest.maxcpu else None


def _backup(seen: Seen, guest: Guest) -> Content:
    """The newest point to go back to; nothing where nobody knows."""
    told = seen.look.once(backups)
    truth = told.truths[guest.vmid]
    if truth.restorable_at is None:
        return element("span", "none seen" if not told.unread and not truth.undated else "not known", class_="dim")
    excluded = f", without {', '.join(truth.excluded)}" if truth.excluded else ""
    return [seen.moment(truth.restorable_at), element("span", seen.away(truth.restorable_at), excluded, class_="under")]
