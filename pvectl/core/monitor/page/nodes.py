"""The nodes: a card each, with how much of them is in use, who runs there, and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pvectl.core.amounts import many, part, span
from pvectl.core.model import Known, Node
from pvectl.core.monitor.finding import Finding, Severity
from pvectl.core.monitor.monitored import NodeStatus
from pvectl.core.monitor.page.markup import Content, Markup, element, name_of
from pvectl.core.monitor.page.seen import WORST_FIRST, Seen, worst_of
from pvectl.core.monitor.page.symbols import badge, gauge, share_of

MOST = 96
"""How many nodes get a card."""
_ELSEWHERE = frozenset({"guest", "guests", "task", "replication"})
"""Kinds of objects that are at a node without being a part of it."""


def section(seen: Seen) -> Markup:
    running = Counter(guest.node for _subject, guest in seen.look.guests if guest.status == "running")
    present = Counter(guest.node for _subject, guest in seen.look.guests)
    troubles = _troubles(seen)
    names = sorted(seen.look.members, key=lambda name: (WORST_FIRST[worst_of(troubles.get(name, ()))], name))
    left = len(names) - MOST
    return element(
        "section",
        element(
            "div",
            element("h2", "Nodes", id="nodes-title"),
            element("p", _summary(seen), class_="dim small"),
            class_="heading",
        ),
        element(
            "ul",
            [_card(seen, name, troubles.get(name, ()), running[name], present[name]) for name in sorted(names[:MOST])],
            class_="cards",
        )
        if names
        else element("p", "No node is known.", class_="fine"),
        element("p", f"{many(left, 'more node')} not shown here, none worse than these", class_="more") if left > 0 else None,
        id="nodes",
        aria_labelledby="nodes-title",
    )


def _summary(seen: Seen) -> str:
    online = sum(seen.look.is_online(name) is True for name in seen.look.members)
    parts = [f"{online} of {len(seen.look.members)} online"]
    membership = seen.evaluation.view.membership
    if isinstance(membership, Known) and not membership.value.standalone:
        parts.append({True: "quorate", False: "not quorate", None: "quorum not known"}[membership.value.quorate])
    if away := sorted(seen.look.away):
        parts.append(f"{', '.join(away)} switched off by pvectl")
    return "; ".join(parts)


def _troubles(seen: Seen) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for finding in seen.evaluation.findings:
        if finding.severity is not Severity.OK and finding.node is not None and finding.object.partition("/")[0] not in _ELSEWHERE:
            found.setdefault(finding.node, []).append(finding)
    return found


def _card(seen: Seen, name: str, troubles: list[Finding] | tuple[Finding, ...], running: int, present: int) -> Markup:
    off = seen.evaluation.view.remembered.off.get(name) if name in seen.look.away else None
    title = element("h3", name_of(name))
    if off is not None:
        state: Content = ["switched off by pvectl at ", seen.moment(off)]
        return element("li", element("div", title, element("span", state, class_="dim small"), class_="titled"), class_="card off")
    worst = worst_of(troubles)
    listed = seen.look.listed_nodes.get(name)
    online = seen.look.is_online(name)
    word = {True: "online", False: "offline", None: listed.status if listed is not None else "not known"}[online]
    told = [element("b", word) if online is False else word]
    if online is not False and listed is not None and listed.uptime:
        told.append(f", up {span(listed.uptime)}")
    counts = Counter(finding.severity for finding in troubles)
    return element(
        "li",
        element(
            "div",
            title,
            element(
                "span",
                [badge(severity, _counted(counts[severity], severity)) for severity in WORST_FIRST if counts[severity]]
                or badge(Severity.OK),
                class_="badges",
            ),
            class_="titled",
        ),
        element("p", told, f"; {running:,} of {many(present, 'guest')} running" if present else "; no guests", class_="dim small"),
        element("dl", list(_gauges(seen, name, listed)), class_="gauges") if online is not False else None,
        class_=f"card {worst}",
    )


def _counted(count: int, severity: Severity) -> str:
    return f"{count} not checked" if severity is Severity.UNKNOWN else f"{count} {severity}"


def _gauges(seen: Seen, name: str, node: Node | None) -> Iterator[Markup]:
    whose = f"node/{name}"
    running = node if node is not None and node.status == "online" else None
    cores = f"of {many(int(running.maxcpu), 'core')}" if running is not None and running.maxcpu else None
    yield gauge("CPU", running.cpu if running is not None else None, cores, seen.found("node.cpu", whose))
    used, total = (running.mem, running.maxmem) if running is not None else (None, None)
    yield gauge("Memory", share_of(used, total), part(used, total), seen.found("node.mem", whose))
    fact = seen.look.node_facts[name].status
    status = fact.value if isinstance(fact, Known) else NodeStatus()
    words = part(status.root_used, status.root_total)
    yield gauge("Root disk", share_of(status.root_used, status.root_total), words, seen.found("node.rootfs", whose))
    if status.swap_total:
        words = part(status.swap_used, status.swap_total)
        yield gauge("Swap", share_of(status.swap_used, status.swap_total), words, seen.found("node.swap", whose))
