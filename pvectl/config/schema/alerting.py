"""The keys of `alert:` in pvectl.yml: who is told of what, and how often."""

# no `from __future__ import annotations` here: see jobs.py

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from pvectl.config.schema import receivers
from pvectl.config.schema.kinds import Duration, Tag
from pvectl.config.schema.receivers import HeartbeatEntry, ReceiverEntry
from pvectl.config.schema.scheduling import TimeZone

_ONE_OR_SEVERAL: dict[str, Any] = {"types": ["array", "string"]}

ReceiverName = Annotated[
    str,
    Meta(description="A receiver's name.", pattern="^[A-Za-z][A-Za-z0-9_-]{0,31}$", extra={"form": "receiver-name"}, examples=["phone"]),
]
CheckPattern = Annotated[str, Meta(description="A check's id, with * and ? as wildcards.", min_length=1, examples=["backup.*"])]
Pattern = Annotated[str, Meta(description="A name, with * and ? as wildcards.", min_length=1)]


class RuleEntry(Struct, frozen=True, kw_only=True):
    """What to do about some findings. What is given has to fit together; what is not fits everything. The first rule that fits wins."""

    name: Annotated[
        str,
        Meta(description="What `pvectl alert explain` calls it.", extra={"form": "schedule-name"}, examples=["backups"]),
    ] = ""
    checks: Annotated[
        tuple[CheckPattern, ...],
        Meta(
            description="Ids of checks, with * and ? as wildcards.",
            min_length=1,
            extra={"one": True},
            extra_json_schema=_ONE_OR_SEVERAL,
            examples=[["backup.*"]],
        ),
    ] = ("*",)
    object: Annotated[
        Pattern | None, Meta(description="An object, with * and ? as wildcards.", examples=["storage/*/nfs", "guest/1??"])
    ] = None
    tag: Annotated[Tag | None, Meta(description="A tag of the guest.", examples=["lab"])] = None
    pool: Annotated[Pattern | None, Meta(description="The pool the guest is in, with * and ? as wildcards.")] = None
    node: Annotated[Pattern | None, Meta(description="The node it is on, with * and ? as wildcards.")] = None
    severity: Annotated[Literal["warning", "critical"], Meta(description="Only what is at least as bad.")] = "warning"
    hold: Annotated[Duration | None, Meta(description="How long it has to last before anybody is told; left out: as the check has it.")] = (
        field(name="for", default=None)
    )
    keep_firing_for: Annotated[
        Duration | None, Meta(description="How long it has to be fine before it is over; left out: as under `alert:`.")
    ] = None
    repeat: Annotated[
        Duration | None, Meta(description="How often it is told again while it lasts; 0: never; left out: as under `alert:`.")
    ] = None
    receivers: Annotated[
        tuple[ReceiverName, ...] | None,
        Meta(
            description="Who is told; left out: all receivers; an empty list: nobody.",
            extra={"one": True},
            extra_json_schema=_ONE_OR_SEVERAL,
            examples=[["phone"]],
        ),
    ] = None
    template: Annotated[str | None, Meta(description="The template of its messages, by its name under `templates:`.")] = None


class RepeatEntry(Struct, frozen=True, kw_only=True):
    """How often an incident is told again while it lasts, counted from when it last arrived; 0: never."""

    critical: Annotated[Duration, Meta(description="What is critical.")] = 14_400
    warning: Annotated[Duration, Meta(description="Warnings.")] = 86_400
    unknown: Annotated[Duration, Meta(description="What nobody could look at.")] = 604_800


class TemplateEntry(Struct, frozen=True, kw_only=True):
    """Your own words for a message, in Jinja2; what is left out stays as pvectl words it."""

    subject: Annotated[str | None, Meta(description="The subject, or title.", examples=["{{ node }}: {{ subject }}"])] = None
    text: Annotated[str | None, Meta(description="The text below it.")] = None


class Alert(Struct, frozen=True, kw_only=True):
    """Tells people what the monitor finds: once when it starts, rarely while it lasts, once when it is over."""

    enabled: Annotated[bool, Meta(description="False: the job says that it is off, tells nobody, and gets no timer.")] = True
    interval: Annotated[Duration, Meta(description="How often the timer runs it.", ge=60, le=3600)] = 300
    receivers: Annotated[
        dict[str, ReceiverEntry],
        Meta(description="Whom to tell, by names of your choice.", extra={"key": "receiver-name"}),
    ] = {}
    rules: Annotated[
        tuple[RuleEntry, ...],
        Meta(description="Who is told of what; the first that fits wins, and what none fits goes to all receivers."),
    ] = ()
    repeat: Annotated[RepeatEntry, Meta(description="How often an incident is told again while it lasts.")] = RepeatEntry()
    keep_firing_for: Annotated[
        Duration | None,
        Meta(description="How long something has to be fine before it is over; left out: two intervals, at least 5m."),
    ] = None
    unknown_for: Annotated[
        Duration, Meta(description="How long nobody may have been able to look at something before that is told.", le=604_800)
    ] = 600
    mute_tag: Annotated[Tag, Meta(description="Nobody is told of guests with this tag.")] = "pvectl-mute"
    notices: Annotated[
        tuple[ReceiverName, ...] | None,
        Meta(
            description="Who gets the notices and outcomes of the other jobs; left out: all receivers; an empty list: nobody.",
            extra={"one": True},
            extra_json_schema=_ONE_OR_SEVERAL,
        ),
    ] = None
    templates: Annotated[
        dict[str, TemplateEntry],
        Meta(description="Your own words for messages, by names of your choice.", extra={"key": "template-name"}),
    ] = {}
    heartbeat: Annotated[HeartbeatEntry | None, Meta(description="Who is pinged by every run, and tells you when no ping comes.")] = None
    tz: Annotated[TimeZone | None, Meta(description="The time zone of the dates in messages; left out: that of this machine.")] = None


KEY_HINTS: Mapping[type[Struct], Mapping[str, str]] = {
    **receivers.KEY_HINTS,
    RuleEntry: {
        "check": "did you mean checks?",
        "tags": "did you mean tag?",
        "receiver": "did you mean receivers?",
        "hold": "did you mean for?",
        "match": "the keys of a match stand in the rule itself: checks, object, tag, pool, node, severity",
    },
    Alert: {
        "receiver": "did you mean receivers?",
        "rule": "did you mean rules?",
        "route": "did you mean rules? the first that fits wins",
        "for": "it belongs to a rule: rules: [{checks: [...], for: 10m}]",
        "silences": "pvectl alert silence add makes one, with an end",
    },
}
"""What to say about keys people know from elsewhere, or put in the wrong place."""
