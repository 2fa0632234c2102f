"""What pvectl itself is up to: where each node stands on its way to being switched off, and what comes next by schedule."""

from __future__ import annotations

from collections.abc import Mapping

from pvectl.core.amounts import many
from pvectl.core.idle.record import Phase
from pvectl.core.monitor.page.markup import Content, Markup, element, name_of
from pvectl.core.monitor.page.seen import IdleNode, Planned, Seen

MOST = 24
"""How many nodes and schedules are shown."""
_STEPS = ("busy", "idle", "notice", "drain", "off")
_STEP_OF: Mapping[str, int] = {
    Phase.BUSY: 0,
    Phase.IDLE: 1,
    Phase.NOTICE: 2,
    Phase.DRAIN: 3,
    Phase.OFF_SENT: 4,
    Phase.OFF_SEEN: 4,
}


def sections(seen: Seen) -> Markup | None:
    """Both side by side; None where neither job is set up."""
    both = [_idle(seen), _planned(seen)]
    return element("div", both, class_="pair") if any(both) else None


def _idle(seen: Seen) -> Markup | None:
    nodes, note = seen.beside.idle, seen.beside.idle_note
    if not nodes and note is None:
        return None
    return element(
        "section",
        element("h2", "Idle check", id="idle-title", class_="heading"),
        element("ul", [_node(seen, node) for node in nodes[:MOST]], class_="jobs") if nodes else element("p", note, class_="fine"),
        element("p", f"{many(len(nodes) - MOST, 'more node')} not shown here", class_="more") if len(nodes) > MOST else None,
        id="idle",
        aria_labelledby="idle-title",
    )


def _node(seen: Seen, node: IdleNode) -> Markup:
    step = _STEP_OF.get(node.phase or "")
    due = ["off at ", seen.moment(node.due), " at the earliest"] if node.due is not None else None
    return element(
        "li",
        element("div", element("h3", name_of(node.node)), element("span", due, class_="dim small") if due else None, class_="titled"),
        _steps(step) if step is not None else element("p", f"phase: {node.phase}", class_="small") if node.phase else None,
        element("p", node.detail, class_="small dim"),
    )


def _steps(now: int) -> Markup:
    def step(number: int, word: str) -> Markup:
        return element("li", word, class_="past" if number < now else None, aria_current="step" if number == now else None)

    return element("ol", [step(number, word) for number, word in enumerate(_STEPS)], class_="steps")


def _planned(seen: Seen) -> Markup | None:
    planned, note = seen.beside.planned, seen.beside.planned_note
    if not planned and note is None:
        return None
    return element(
        "section",
        element("h2", "Next schedules", id="schedules-title", class_="heading"),
        element("ul", [_occurrence(seen, each) for each in planned[:MOST]], class_="jobs")
        if planned
        else element("p", note, class_="fine"),
        element("p", f"{many(len(planned) - MOST, 'more time')} not shown here", class_="more") if len(planned) > MOST else None,
        id="schedules",
        aria_labelledby="schedules-title",
    )


def _occurrence(seen: Seen, planned: Planned) -> Markup:
    wall = f"{planned.wall} in {planned.tz}" if f"{seen.local(planned.at):%Y-%m-%d %H:%M}" != planned.wall else None
    remarks = [remark for remark in (wall, *planned.remarks) if remark]
    then = [", then switches off ", _listed(planned.then_off)] if planned.then_off else None
    return element(
        "li",
        element(
            "div",
            element("h3", name_of(planned.schedule)),
            element("span", seen.away(planned.at), class_="dim small"),
            class_="titled",
        ),
        element("p", seen.moment(planned.at), class_="when"),
        element("p", "shuts down ", _listed(planned.whom), then, class_="small dim"),
        element("p", "; ".join(remarks), class_="small dim") if remarks else None,
    )


def _listed(names: tuple[str, ...]) -> Content:
    return [[", " if number else None, name_of(each)] for number, each in enumerate(names)]
