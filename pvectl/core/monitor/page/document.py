"""The whole page: the verdict at its top, what is wrong, what is there, what pvectl is up to, and what was not checked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pvectl.core.amounts import many, span
from pvectl.core.model import Known
from pvectl.core.monitor import lines as monitor_page
from pvectl.core.monitor.checks.evaluation import Evaluation
from pvectl.core.monitor.checks.registry import CHECKS
from pvectl.core.monitor.checks.settings import MonitorSettings
from pvectl.core.monitor.checks.spoken import spoken
from pvectl.core.monitor.finding import Severity
from pvectl.core.monitor.monitored import MonitorView
from pvectl.core.monitor.page import covered, guests, jobs, nodes, problems, storages, styles
from pvectl.core.monitor.page.markup import Content, Markup, element, name_of
from pvectl.core.monitor.page.seen import WORDS, Beside, Seen
from pvectl.core.monitor.page.symbols import badge, defined, favicon, icon

# the style sheet by its hash; the picture on the tab stands in the page itself; nothing is loaded, run, framed or sent
_POLICY = f"default-src 'none'; style-src 'sha256-{styles.HASH}'; img-src data:; base-uri 'none'; form-action 'none'"


def page(
    evaluation: Evaluation,
    settings: MonitorSettings | None = None,
    *,
    local: Callable[[datetime], datetime],
    version: str,
    beside: Beside | None = None,
    took: float | None = None,
) -> str:
    """One HTML document. `local` brings a moment into the reader's time zone; `took` is the whole run in seconds."""
    settings = settings or MonitorSettings()
    seen = Seen(evaluation, settings, beside or Beside(), local)
    verdict = verdict_of(evaluation)
    told = monitor_page.page(evaluation, settings, took=took)
    links = [("problems", "Problems"), ("nodes", "Nodes"), ("storages", "Storages")]
    pair = jobs.sections(seen)
    if seen.beside.idle or seen.beside.idle_note:
        links.append(("idle", "Idle check"))
    if seen.beside.planned or seen.beside.planned_note:
        links.append(("schedules", "Next schedules"))
    links += [("guests", "Guests"), ("coverage", "Coverage")]
    parts = [problems.section(seen), nodes.section(seen), storages.section(seen), pair, guests.section(seen), covered.section(seen)]
    return _document(
        evaluation.severity,
        verdict,
        cluster=_cluster_of(evaluation.view),
        header=[
            element("p", _place(evaluation.view), class_="place"),
            element("h1", icon(evaluation.severity), element("span", verdict)),
            _as_of(seen.now, local),
            element("p", told.summary, class_="asof small"),
            _restricted(evaluation),
            _tally(evaluation),
        ],
        nav=element("nav", element("ul", [element("li", element("a", word, href=f"#{id_}")) for id_, word in links]), aria_label="Parts"),
        main=parts,
        # on a wide screen what is wrong and what is there stand side by side
        layout="sides" if any(finding.severity is not Severity.OK for finding in evaluation.own) else None,
        footer=[_written(seen.now, local, version, took), _oldest(seen)],
    )


def failed(
    taken_at: datetime, message: str, *, hint: str | None = None, cluster: str | None, local: Callable[[datetime], datetime], version: str
) -> str:
    """The page of a run that failed: that it did and why, and no value of an earlier one."""
    verdict = "The cluster could not be looked at"
    return _document(
        Severity.UNKNOWN,
        verdict,
        cluster=cluster,
        header=[
            element("p", name_of(cluster), class_="place") if cluster else None,
            element("h1", icon(Severity.UNKNOWN), element("span", verdict)),
            _as_of(taken_at, local),
        ],
        nav=None,
        main=element(
            "section",
            element("h2", "Why", id="why-title", class_="heading"),
            element(
                "div",
                element("p", message, class_="what sentence"),
                element("p", f"What to do: {hint}", class_="todo") if hint else None,
                class_="card finding unknown",
            ),
            aria_labelledby="why-title",
        ),
        footer=_written(taken_at, local, version, None),
    )


def verdict_of(evaluation: Evaluation) -> str:
    """The verdict as a headline."""
    counts = evaluation.counts
    if not any(verdict.examined for verdict in evaluation.verdicts):
        return "Nothing could be checked"
    wrong = counts.critical + counts.warning
    blind = f"{many(counts.unknown, 'thing')} could not be checked" if counts.unknown else ""
    if not wrong:
        return f"Nothing wrong was seen, but {blind}" if blind else "Everything that was checked is fine"
    return many(wrong, "problem") + (f", {blind}" if blind else "")


def _document(  # noqa: PLR0913 - the parts of a page
    severity: Severity,
    verdict: str,
    *,
    cluster: str | None,
    header: Content,
    nav: Content,
    main: Content,
    footer: Content,
    layout: str | None = None,
) -> str:
    title = f"{verdict} - {cluster}" if cluster else verdict
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("meta", name="robots", content="noindex, nofollow"),
        element("title", title),
        favicon(severity),
        element("style", Markup(styles.SHEET)),
    )
    body = element(
        "body",
        element("a", "Skip to the problems", href="#main", class_="skip"),
        defined(),
        element("header", element("div", element("div", header, class_="top"), class_=f"verdict {severity}")),
        element("div", nav, class_="top") if nav else None,
        element("main", main, id="main", class_=layout),
        element("footer", footer),
    )
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def _cluster_of(view: MonitorView) -> str | None:
    if view.cluster:
        return view.cluster
    return view.membership.value.name if isinstance(view.membership, Known) else None


def _place(view: MonitorView) -> Content:
    name = _cluster_of(view)
    release = f"Proxmox VE {view.release.value.version}" if isinstance(view.release, Known) else None
    parts: list[Content] = [name_of(name)] if name else []
    parts += [release] if release else []
    return [[" · " if number else None, part] for number, part in enumerate(parts)] or "Cluster"


def _as_of(when: datetime, local: Callable[[datetime], datetime]) -> Markup:
    there = local(when)
    clock = element(
        "time", element("b", f"{there:%H:%M}"), f" on {there:%A}, {there:%Y-%m-%d}", datetime=when.isoformat(timespec="seconds")
    )
    zone = f" ({there.tzname()})" if there.tzname() else ""
    old = element("span", " This page was opened half an hour ago: load it again for what is known by now.")
    return element("div", element("p", "As of ", clock, zone), element("p", old, class_="old"), class_="asof")


def _restricted(evaluation: Evaluation) -> Markup | None:
    made = len(evaluation.verdicts)
    if made == len(CHECKS):
        return None
    return element(
        "p", element("b", f"Only {made} of {len(CHECKS)} checks were asked for: the others say nothing here."), class_="asof small"
    )


def _tally(evaluation: Evaluation) -> Markup:
    counts = evaluation.counts
    made = [verdict for verdict in evaluation.verdicts if not verdict.off]
    examined, eligible = sum(len(verdict.examined) for verdict in made), sum(verdict.eligible for verdict in made)
    tiles = [
        (Severity.CRITICAL, counts.critical, f"{counts.critical:,}", WORDS[Severity.CRITICAL], "problems"),
        (Severity.WARNING, counts.warning, f"{counts.warning:,}", WORDS[Severity.WARNING], "problems"),
        (Severity.UNKNOWN, counts.unknown, f"{counts.unknown:,}", WORDS[Severity.UNKNOWN], "problems"),
    ]
    seen = Severity.OK if examined == eligible else Severity.UNKNOWN
    rows = [
        element(
            "li",
            element("a", element("b", number), badge(severity, word), href=f"#{target}-{severity}" if count else f"#{target}"),
            class_=None if count else "none",
        )
        for severity, count, number, word, target in tiles
    ]
    last = element("a", element("b", f"{examined:,}"), badge(seen, f"of {eligible:,} looked at"), href="#coverage")
    return element("ul", rows, element("li", last), class_="tally")


def _written(when: datetime, local: Callable[[datetime], datetime], version: str, took: float | None) -> Markup:
    there = local(when)
    moment = element("time", f"{there:%Y-%m-%d %H:%M:%S %Z}".rstrip(), datetime=when.isoformat(timespec="seconds"))
    lasted = f", in {took:.1f} s" if took is not None else ""
    return element("p", f"Written by pvectl {version} at ", moment, lasted, ". It is a file: it shows the cluster as it was then.")


def _oldest(seen: Seen) -> Markup | None:
    ages = [(row.age, row.name, row.object) for row in seen.readings if row.age is not None]
    if not ages:
        return None
    age, name, whose = max(ages)
    return element("p", f"The oldest answer on it was {span(age)} old then: {spoken(name, whose)}.")
