"""The keys of `monitor:` in pvectl.yml: from where on something is wrong, for whom, and what is not looked at."""

# no `from __future__ import annotations` here: evaluating the strings again when a file is read would cost every run 2 ms

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import fields, replace

from pvectl.config.schema.kinds import Duration
from pvectl.core.monitor.checks.settings import MonitorSettings, Override, Thresholds
from pvectl.core.monitor.finding import Levels

Word = Annotated[str, Meta(min_length=1)]
CheckPattern = Annotated[str, Meta(description="A check's id, with * and ? as wildcards.", min_length=1, examples=["node.swap"])]


class Monitor(Struct, frozen=True, kw_only=True):
    """What `pvectl monitor` calls wrong, and how its timer runs it."""

    enabled: Annotated[
        bool, Meta(description="False: no timer runs it; by hand it works all the same. It has one when `write` or `html` is given.")
    ] = True
    thresholds: Annotated[Thresholds, Meta(description="The levels of the checks, by their ids; what is left out keeps its default.")] = (
        Thresholds()
    )
    overrides: Annotated[
        tuple[Override, ...], Meta(description="Other levels for some objects, by id, tag, pool or node; the last one that fits wins.")
    ] = ()
    disable: Annotated[
        tuple[CheckPattern, ...],
        Meta(description="Checks or findings to leave out, by id, with * and ? as wildcards.", examples=[["node.swap", "*/node/pve3"]]),
    ] = ()
    enable: Annotated[
        tuple[CheckPattern, ...],
        Meta(description="Checks that are off by default and shall be made.", examples=[["node.updates", "node.subscription"]]),
    ] = ()
    exempt_tags: Annotated[
        dict[str, tuple[Word, ...]],
        Meta(description="Guests with one of these tags are left out of the checks named, with * and ? as wildcards."),
    ] = field(default_factory=lambda: {"backup.*": ("no-backup",)})
    ignored_services: Annotated[tuple[Word, ...], Meta(description="Services of a node that may be down.")] = (
        MonitorSettings().ignored_services
    )
    ignored_tasks: Annotated[tuple[Word, ...], Meta(description="Types of tasks that may fail: consoles are closed by people.")] = (
        MonitorSettings().ignored_tasks
    )
    onboot_patience: Annotated[
        Duration, Meta(description="How long a node may be up before its guests that start at boot have to run.")
    ] = 900
    failover_of: Annotated[
        Literal["ha", "all"],
        Meta(description="Whose restart elsewhere is checked: that of guests under HA, or of all that run."),
    ] = "ha"
    failed_tasks: Annotated[
        Duration, Meta(description="How long a task that failed is told, unless it succeeds meanwhile; 0: in one run only.", le=604_800)
    ] = 86_400
    slow_every: Annotated[
        Duration,
        Meta(
            description="How long an answer is good for that is costly to get: disks, certificates, snapshots, backups.", ge=300, le=86_400
        ),
    ] = 3600
    interval: Annotated[Duration, Meta(description="How often the timer runs it.", ge=60, le=86_400)] = 300
    write: Annotated[
        str | None,
        Meta(
            description="Where the timer writes the metrics for Prometheus' textfile collector; left out: it writes none.",
            examples=["/var/lib/prometheus/node-exporter/pvectl.prom"],
            extra={"form": "path"},
        ),
    ] = None
    html: Annotated[
        str | None,
        Meta(
            description="Where the timer puts the page with the whole cluster at a glance; left out: it makes none.",
            examples=["/var/www/html/pve/index.html"],
            extra={"form": "path"},
        ),
    ] = None


KEY_HINTS: Mapping[type[Struct], Mapping[str, str]] = {
    Monitor: {
        "checks": "did you mean thresholds, enable or disable?",
        "exclude": "did you mean disable?",
        "textfile": "did you mean write?",
        "output": "did you mean write?",
        "page": "did you mean html?",
    },
    Levels: {"warning": "did you mean warn?", "critical": "did you mean crit?"},
    Override: {"id": "did you mean check, or object?", "tags": "did you mean tag?"},
}


_SHARED = frozenset({info.name for info in fields(Monitor)} - {"thresholds"})


def settings_of(section: Monitor) -> MonitorSettings:
    """What the checks go by: levels that were given on top of the defaults."""
    shared = {info.name: getattr(section, info.name) for info in fields(MonitorSettings) if info.name in _SHARED}
    return MonitorSettings(**shared, thresholds=_filled(section.thresholds))


def _filled(given: Thresholds) -> Thresholds:
    usual = Thresholds()
    changes = {info.name: _merged(getattr(usual, info.name), getattr(given, info.name)) for info in fields(Thresholds)}
    return replace(usual, **changes)


def _merged(usual: Levels, given: Levels) -> Levels:
    if given == usual:
        return usual
    return Levels(
        warn=usual.warn if given.warn is None else given.warn,
        crit=usual.crit if given.crit is None else given.crit,
        # a level that was moved takes its own end with it: the old one may lie on the wrong side of it
        clear=usual.clear if given.clear is None and given.warn is None else given.clear,
        clear_crit=usual.clear_crit if given.clear_crit is None and given.crit is None else given.clear_crit,
    )
