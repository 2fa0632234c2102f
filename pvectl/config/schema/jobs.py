"""The keys of pvectl.yml: what the jobs do; no secrets."""

# no `from __future__ import annotations` here: evaluating the strings again when a file is read would cost every run 2 ms

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from pvectl.config.schema import alerting, monitoring, scheduling
from pvectl.config.schema.alerting import Alert
from pvectl.config.schema.kinds import Duration, NodeName, Tag, Vmid
from pvectl.config.schema.monitoring import Monitor
from pvectl.config.schema.scheduling import ScheduledShutdown

Word = Annotated[str, Meta(min_length=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Rate = Annotated[int, Meta(ge=0)]


class Tags(Struct, frozen=True, kw_only=True):
    """How far the tags of guests are trusted.

    The default of `require_registered` is false. A tag only waives the veto of the guest it is on, and which nodes may go off at all
    stands in this file (safety rule S10), so whoever may tag a guest gains no more than by shutting it down. True by default would
    leave every job idle until the tag is registered, and would drive people to give pvectl's token Sys.Modify on / for its tag
    commands, which is worth more to a thief than any tag. True is for clusters where tenants may edit their guests' options.
    """

    require_registered: Annotated[
        bool,
        Meta(
            description="True: a job only believes tags that are among the cluster's registered tags, which takes Sys.Modify on / to set."
        ),
    ] = False


class OwnPlace(Struct, frozen=True, kw_only=True):
    """Where pvectl runs: in a guest of the cluster, or on one of its nodes."""

    vmid: Annotated[Vmid | None, Meta(description="The number of the guest pvectl runs in; the node this guest is on stays on.")] = None
    node: Annotated[NodeName | None, Meta(description="The node pvectl runs on; it can switch itself off as its last act.")] = None


class Probe(Struct, frozen=True, kw_only=True):
    """A program that is asked whether a node is idle."""

    name: Annotated[
        str, Meta(description="What the probe is called in reasons and logs.", min_length=1, max_length=63, examples=["jellyfin"])
    ]
    argv: Annotated[
        tuple[Word, ...],
        Meta(
            description="The program and its arguments, started without a shell, with the node as JSON on its standard input."
            " It ends with 0 when the node is idle and with 1 when it is busy; anything else is unknown, which counts as busy.",
            min_length=1,
            examples=[["/usr/local/bin/nobody-is-streaming", "--quiet"]],
        ),
    ]
    timeout: Annotated[
        Duration, Meta(description="How long it may take; after that it is ended, and its answer is unknown.", ge=1, le=300)
    ] = 10


class Activity(Struct, frozen=True, kw_only=True):
    """How much a guest may do and still count as idle."""

    cpu: Annotated[
        Share | None, Meta(description="The part of its CPUs a guest may use, from 0 to 1; left out: not looked at.", examples=[0.05])
    ] = None
    network: Annotated[
        Rate | None, Meta(description="Bytes per second it may send and receive together; left out: not looked at.", examples=[20_000])
    ] = None
    window: Annotated[
        Duration,
        Meta(description="How far back the highest value counts; a minute missing in it is unknown, which is busy.", ge=60, le=3600),
    ] = 900
    guests: Annotated[
        Literal["all", "tagged"], Meta(description="Whose activity counts: that of all running guests of the node, or of the tagged ones.")
    ] = "all"


class IdleCheck(Struct, frozen=True, kw_only=True):
    """When a node is switched off because nobody needs it, and what keeps it on."""

    enabled: Annotated[bool, Meta(description="False: the job says that it is off, does nothing, and gets no timer.")] = True
    dry_run: Annotated[bool, Meta(description="True: every run only shows what it would do, as with --dry-run.")] = False
    nodes: Annotated[
        tuple[NodeName, ...],
        Meta(description="The nodes that may be switched off, and no others; an empty list means none.", examples=[["pve2", "pve3"]]),
    ] = ()
    tag: Annotated[Tag, Meta(description="Guests with this tag do not keep their node on, and are shut down before it goes off.")] = (
        "safe-shutdown"
    )
    exclude: Annotated[
        tuple[Vmid, ...],
        Meta(
            description="Guests this job never shuts down, tagged or not; while one of them runs, its node stays on.", examples=[[100, 105]]
        ),
    ] = ()
    grace_period: Annotated[
        Duration, Meta(description="How long a node must have been idle, by at least three runs in a row that saw it so.")
    ] = 1800
    min_uptime: Annotated[Duration, Meta(description="How long a node must have been up; time to log in after a boot.")] = 1800
    max_gap: Annotated[
        Duration,
        Meta(description="The longest time between two runs that still counts as idle; after a longer one the grace period begins anew."),
    ] = 900
    notice: Annotated[
        Duration, Meta(description="How long a switch-off is announced before it begins; `pvectl hold add` cancels it in that time.")
    ] = 300
    shutdown_timeout: Annotated[
        Duration, Meta(description="How long a guest may take to shut down; one that takes longer keeps the node on.", ge=1, le=3600)
    ] = 180
    wake: Annotated[
        Literal["required", "optional"],
        Meta(description="required: a node is switched off only when waking it has worked before; optional: that is not asked."),
    ] = "optional"
    ha: Annotated[
        Literal["refuse", "request-stop"],
        Meta(
            description="refuse: a running guest under HA keeps its node on; request-stop: HA is asked to stop it,"
            " and its previous state is kept for restoring."
        ),
    ] = "refuse"
    controller: Annotated[
        Literal["single", "per-node"],
        Meta(description="single: one pvectl runs this job for the cluster; per-node: every node of `nodes` runs its own, same list."),
    ] = "single"
    self: Annotated[
        OwnPlace | Literal["elsewhere"] | None,
        Meta(
            description="Where pvectl runs: {vmid: 105}, {node: pve2} or elsewhere, outside the cluster; left out: it finds out itself.",
            examples=[{"vmid": 105}, {"node": "pve2"}, "elsewhere"],
            extra={"else": "elsewhere, {vmid: 105} or {node: pve2}"},
        ),
    ] = None
    max_guests_per_run: Annotated[
        int,
        Meta(description="The most guests one run may shut down; a run that would need more refuses and does nothing.", ge=0, le=10_000),
    ] = 10
    max_nodes_off: Annotated[
        int, Meta(description="The most nodes that may be off at the same time by this job's doing.", ge=1, le=1000)
    ] = 1
    allow_ceph: Annotated[
        tuple[NodeName, ...],
        Meta(
            description="Nodes that may go off although Ceph's monitors, OSDs or MDSs run there; Ceph's own safety check must agree too.",
            examples=[["pve3"]],
        ),
    ] = ()
    boot_time: Annotated[
        Duration,
        Meta(description="How long a node takes from waking to being of use; a backup or replication due sooner than that keeps it on."),
    ] = 600
    interval: Annotated[Duration, Meta(description="How often the timer runs this job.", ge=60, le=86_400)] = 300
    probes: Annotated[
        tuple[Probe, ...], Meta(description="Programs that are asked whether a node is idle; each of them can keep it on.")
    ] = ()
    activity: Annotated[
        Activity | None,
        Meta(description="Limits of what guests may do and still count as idle; left out: a running guest's activity is not looked at."),
    ] = None


class PvectlFile(Struct, frozen=True, kw_only=True):
    """pvectl.yml: how pvectl behaves; no secrets."""

    tags: Annotated[Tags, Meta(description="How far the tags of guests are trusted.")] = Tags()
    idle_check: Annotated[IdleCheck, Meta(description="Switches a node off when only guests tagged for it run there.")] = IdleCheck()
    scheduled_shutdown: Annotated[ScheduledShutdown, Meta(description="Shuts guests down at set times, in stages.")] = ScheduledShutdown()
    monitor: Annotated[Monitor, Meta(description="What the monitor calls wrong, and where its timer writes.")] = Monitor()
    alert: Annotated[Alert, Meta(description="Whom pvectl tells what it finds, and how.")] = Alert()


KEY_HINTS: Mapping[type[Struct], Mapping[str, str]] = {
    **scheduling.KEY_HINTS,
    **monitoring.KEY_HINTS,
    **alerting.KEY_HINTS,
    IdleCheck: {
        "node": "nodes is a list: nodes: [pve2]",
        "monitored_nodes": "write nodes: [pve2]; an empty list means none",
        "check_interval": "did you mean interval?",
        "excluded_vms": "write exclude: [100, 105]",
        "excluded": "write exclude: [100, 105]",
        "vmids": "write exclude: [100, 105] for guests that are never shut down; which ones may be says their tag",
        "tags": "write tag: safe-shutdown, one tag; require_registered belongs under tags: beside idle_check:",
        "grace": "did you mean grace_period?",
        "timeout": "did you mean shutdown_timeout?",
        "force_stop": "this job never pulls the plug of a guest: one that does not shut down keeps its node on",
    },
    Probe: {
        "command": "write argv: [program, argument, ...], a list",
        "shell": "a probe is started without a shell: argv: [sh, -c, ...] if you need one",
    },
    Activity: {
        "net": "did you mean network?",
        "vmids": "guests is all or tagged",
    },
    PvectlFile: {
        **dict.fromkeys(("clusters", "proxmox", "default_cluster"), "connections and secrets belong into proxmox.yml"),
        **dict.fromkeys(("nodes", "tag", "grace_period", "dry_run"), "it belongs under idle_check:"),
        **dict.fromkeys(("receivers", "rules", "heartbeat", "templates"), "it belongs under alert:"),
        "alerts": "did you mean alert?",
        "secrets": "secrets belong into proxmox.yml",
        "require_registered": "it belongs under tags: tags: {require_registered: true}",
    },
}
"""What to say about keys people know from elsewhere, or put in the wrong place."""
