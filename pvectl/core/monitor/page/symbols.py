"""What is shown instead of said: how bad something is by shape and colour, how full by a bar; the words always stand beside it."""

from __future__ import annotations

from pvectl.core.amounts import percent
from pvectl.core.monitor.finding import Finding, Levels, Severity
from pvectl.core.monitor.page.markup import Content, Markup, element
from pvectl.core.monitor.page.seen import WORDS

_SHAPES = {
    Severity.OK: '<circle cx="8" cy="8" r="7.5"/><path class="mark" d="M4.6 8.3l2.4 2.4 4.5-5"/>',
    Severity.WARNING: '<path d="M8 .9 15.6 14.6H.4z"/><path class="mark" d="M8 5.6v4.4M8 12.1v.5"/>',
    Severity.CRITICAL: '<path d="M4.8.4h6.4l4.4 4.4v6.4l-4.4 4.4H4.8L.4 11.2V4.8z"/>'
    '<path class="mark" d="M5.2 5.2l5.6 5.6M10.8 5.2l-5.6 5.6"/>',
    Severity.UNKNOWN: '<rect x=".6" y=".6" width="14.8" height="14.8" rx="3.4"/>'
    '<path class="mark" d="M5.7 6.1c.1-3.3 4.7-3 4.6-.1C10.2 7.8 8 7.9 8 9.7M8 12.1v.5"/>',
}
_FAVICON_COLOURS = {Severity.OK: "%231f7a4d", Severity.WARNING: "%23b7791f", Severity.CRITICAL: "%23b3261e", Severity.UNKNOWN: "%235b4fa8"}


def defined() -> Markup:
    """The shapes, once for the page; `icon` uses them."""
    symbols = "".join(f'<symbol id="i-{severity}" viewBox="0 0 16 16">{shape}</symbol>' for severity, shape in _SHAPES.items())
    return Markup(f'<svg class="defined" aria-hidden="true" width="0" height="0">{symbols}</svg>')


def favicon(severity: Severity) -> Markup:
    """The verdict as the little picture on the browser's tab."""
    shape = _SHAPES[severity].replace('class="mark"', "fill='none' stroke='white' stroke-width='1.6'").replace('"', "'")
    drawn = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16' fill='{_FAVICON_COLOURS[severity]}'>{shape}</svg>"
    return element("link", rel="icon", href="data:image/svg+xml," + drawn.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20"))


def icon(severity: Severity) -> Markup:
    return element("svg", element("use", href=f"#i-{severity}"), class_=f"icon {severity}", aria_hidden="true")


def badge(severity: Severity, words: str | None = None) -> Markup:
    """Shape, colour and words together."""
    return element("span", icon(severity), words or WORDS[severity], class_=f"badge {severity}")


def standing(worst: Severity) -> Markup:
    """How an object stands by the worst that is told of it; unknown is mostly only a part of it."""
    return badge(worst, "not all checked" if worst is Severity.UNKNOWN else None)


def bar(share: float | None, severity: Severity = Severity.OK, levels: Levels | None = None) -> Markup:
    """How full something is, with a tick at each level; an empty dashed one where nobody knows."""
    if share is None:
        return element(
            "svg", _box("track", 100.0), class_="bar unknown", viewBox="0 0 100 8", preserveAspectRatio="none", aria_hidden="true"
        )
    ticks = [level for level in (levels.warn, levels.crit) if level is not None and 0 < level < 1] if levels is not None else []
    return element(
        "svg",
        _box("track", 100.0),
        _box("fill", round(min(max(share, 0.0), 1.0) * 100, 1)),
        element("path", class_="level", d="".join(f"M{level * 100:g} 0v8" for level in ticks)) if ticks else None,
        class_=f"bar {severity}",
        viewBox="0 0 100 8",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def gauge(term: str, share: float | None, amounts: str | None, found: Finding | None) -> Markup:
    """A line of a description list: what is measured, how much of how much, the share, and the bar."""
    severity = found.severity if found is not None else Severity.OK
    told: Content = [element("b", percent(share)), " ", element("span", amounts, class_="dim")] if share is not None else "not known"
    return element(
        "div",
        element("dt", term),
        element("dd", icon(severity) if severity is not Severity.OK else None, told),
        element("dd", bar(share, severity, found.levels if found is not None else None), class_="across", aria_hidden="true"),
        class_=f"gauge {severity}",
    )


def share_of(part: float | None, whole: float | None) -> float | None:
    return part / whole if part is not None and whole else None


def _box(kind: str, width: float) -> Markup:
    return element("rect", class_=kind, width=width, height=8.0)
