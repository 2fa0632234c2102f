"""The keys of scheduled_shutdown in pvectl.yml: which guests go down when, and in which order."""

# no `from __future__ import annotations` here: see jobs.py

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from pvectl.config.schema.kinds import Duration, NodeName, Tag

# what stands for `type` in the end: msgspec itself says what the Structs hold, not what may be written
_ONE_OR_SEVERAL: dict[str, Any] = {"types": ["array", "string"]}
_WORD_OR_NUMBER: dict[str, Any] = {"types": ["string", "integer"]}
_SELECTORS: dict[str, Any] = {"types": ["array", "string", "integer"]}

Name = Annotated[
    str,
    Meta(description="A short name.", pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", extra={"form": "schedule-name"}, examples=["night"]),
]
TimeOfDay = Annotated[
    str,
    Meta(
        description="A time of day, in quotes.",
        pattern="^(?:[01][0-9]|2[0-3]):[0-5][0-9]$",
        extra={"form": "time-of-day"},
        examples=['"22:30"'],
    ),
]
TimeZone = Annotated[
    str, Meta(description="A time zone of the tz database.", extra={"form": "time-zone"}, min_length=1, examples=["Europe/Berlin"])
]
Days = Annotated[str, Meta(description="A day, a span of days, daily, weekdays or weekend.", extra={"form": "days"}, examples=["mon-fri"])]
Selector = Annotated[
    str,
    Meta(
        description="What asks for guests: 100, 100:110, web*, @all, @tag-x, @pool-x, @node-x.",
        extra={"form": "selector"},
        extra_json_schema=_WORD_OR_NUMBER,
        examples=["@tag-safe-shutdown"],
    ),
]


class StayUpEntry(Struct, frozen=True, kw_only=True):
    """A window in which no schedule begins."""

    days: Annotated[
        tuple[Days, ...],
        Meta(description="The days on which it opens.", min_length=1, extra={"one": True}, extra_json_schema=_ONE_OR_SEVERAL),
    ] = ("daily",)
    start: Annotated[TimeOfDay, Meta(description="When it opens, in quotes.")]
    duration: Annotated[Duration, Meta(description="How long it stays open, past midnight as well.", ge=60, le=604_800, examples=["10h"])]
    tz: Annotated[TimeZone, Meta(description="The time zone `start` is in.")]


class StageEntry(Struct, frozen=True, kw_only=True):
    """Guests that go down together, once all of the stage before are off."""

    name: Annotated[Name, Meta(description="What the stage is called in reports.")]
    select: Annotated[
        tuple[Selector, ...],
        Meta(
            description="Which of the schedule's guests are in this stage; a guest is in one stage at most.",
            min_length=1,
            extra={"one": True},
            extra_json_schema=_SELECTORS,
            examples=[["200:210", "@tag-app"]],
        ),
    ]
    wait_after: Annotated[
        Duration, Meta(description="How long to wait between the last of them being off and the next stage.", le=86_400)
    ] = 0
    on_timeout: Annotated[
        Literal["abort", "continue", "force"],
        Meta(
            description="When a guest is not off in time: abort leaves the stages after it up, continue goes on all the same,"
            " force has Proxmox VE pull its plug."
        ),
    ] = "abort"


class ScheduleEntry(Struct, frozen=True, kw_only=True):
    """When some guests go down, and which."""

    name: Annotated[Name, Meta(description="What the schedule is called; history is kept under this name.")]
    enabled: Annotated[bool, Meta(description="False: this schedule does nothing; switched on again, it begins with its next time.")] = True
    days: Annotated[
        tuple[Days, ...],
        Meta(
            description="The days it is for.", min_length=1, extra={"one": True}, extra_json_schema=_ONE_OR_SEVERAL, examples=[["mon-fri"]]
        ),
    ] = ("daily",)
    at: Annotated[
        tuple[TimeOfDay, ...],
        Meta(
            description="The time of day, in quotes, or a list of several.",
            min_length=1,
            extra={"one": True},
            extra_json_schema=_ONE_OR_SEVERAL,
            examples=['"22:30"'],
        ),
    ]
    tz: Annotated[TimeZone, Meta(description="The time zone the times are in.")]
    deadline: Annotated[
        Duration, Meta(description="How long after its time it may still begin; later it is missed, and said so.", ge=60, le=604_800)
    ] = 1800
    select: Annotated[
        tuple[Selector, ...],
        Meta(
            description="Which guests; left out: those of all stages.",
            extra={"one": True},
            extra_json_schema=_SELECTORS,
            examples=[["@tag-safe-shutdown"]],
        ),
    ] = ()
    exclude: Annotated[
        tuple[Selector, ...],
        Meta(
            description="Guests that are never shut down by this schedule, whatever else asks for them.",
            extra={"one": True},
            extra_json_schema=_SELECTORS,
            examples=[[100, "@tag-critical"]],
        ),
    ] = ()
    require_tag: Annotated[
        Tag | None,
        Meta(description="A guest without this tag is left alone, even when it is listed; null lifts that.", extra={"null": True}),
    ] = "safe-shutdown"
    nodes: Annotated[
        tuple[NodeName, ...] | None,
        Meta(description="Only guests on these nodes; left out: on all; an empty list: on none.", examples=[["pve1", "pve2"]]),
    ] = None
    timeout: Annotated[Duration, Meta(description="How long each guest may take to shut down.", ge=1, le=3600)] = 120
    stages: Annotated[
        tuple[StageEntry, ...], Meta(description="The order in which the guests go down; left out: all of them together.")
    ] = ()
    then_power_off: Annotated[
        tuple[NodeName, ...],
        Meta(
            description="Nodes to switch off once all guests are off, by everything idle-check asks but its grace period and notice;"
            " they must be among idle_check.nodes, and with idle_check switched off they stay on.",
            examples=[["pve2"]],
        ),
    ] = ()


class ScheduledShutdown(Struct, frozen=True, kw_only=True):
    """Which guests are shut down at set times."""

    enabled: Annotated[bool, Meta(description="False: the job says that it is off, does nothing, and gets no timer.")] = True
    dry_run: Annotated[bool, Meta(description="True: every run only shows what it would do, as with --dry-run.")] = False
    interval: Annotated[
        Duration, Meta(description="How often the timer looks whether a schedule is due; nothing begins early.", ge=60, le=86_400)
    ] = 300
    stay_up: Annotated[
        tuple[StayUpEntry, ...], Meta(description="Windows in which no schedule begins; one that is due waits until its deadline.")
    ] = ()
    schedules: Annotated[tuple[ScheduleEntry, ...], Meta(description="The schedules.")] = ()


KEY_HINTS: Mapping[type[Struct], Mapping[str, str]] = {
    ScheduledShutdown: {
        **dict.fromkeys(("at", "days", "tz", "select", "stages", "name"), "it belongs to one of the schedules: - {name: night, at: ...}"),
        **dict.fromkeys(
            ("shutdown_time", "grace_period", "excluded_vms", "shutdown_order", "vms"),
            "pvectl config import FILE translates the configuration this is from",
        ),
        "schedule": "did you mean schedules? It is a list",
    },
    ScheduleEntry: {
        **dict.fromkeys(("vmids", "vms", "guests"), "write select: [100, 105], numbers without quotes"),
        **dict.fromkeys(("time", "start", "when"), 'write at: "22:30"'),
        "timezone": "did you mean tz?",
        "tag": "did you mean require_tag? It is the tag a guest needs besides being selected",
        "tags": 'select: ["@tag-name"] asks for guests by their tag',
        "exclude_vms": "write exclude: [100, 105]",
        "excluded_vms": "write exclude: [100, 105]",
        "shutdown_order": "did you mean stages?",
        "grace_period": "did you mean timeout? It is how long each guest may take",
        "force_stop": "write on_timeout: force in a stage whose guests may have their plug pulled",
        "cron": "write days and at; a cron expression says nothing about time zones and clock changes",
        "dry_run": "it belongs to scheduled_shutdown, or write enabled: false",
        "stay_up": "it belongs to scheduled_shutdown, beside schedules",
        "power_off": "did you mean then_power_off?",
    },
    StageEntry: {
        **dict.fromkeys(("vmids", "vms", "guests"), "write select: [100, 105], numbers without quotes"),
        "timeout": "timeout belongs to the schedule, and is for every guest of it",
        "wait": "did you mean wait_after?",
        "force_stop": "write on_timeout: force",
    },
    StayUpEntry: {
        "end": "write start and duration: a duration may go past midnight",
        "at": "did you mean start?",
        "until": "write start and duration: a duration may go past midnight",
    },
}
"""What to say about keys people know from elsewhere, or put in the wrong place."""
