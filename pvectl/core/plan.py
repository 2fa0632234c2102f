"""What is decided, what is to be done, and what came of it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Self, TypeAlias

from msgspec import Struct

from pvectl.core.model import Guest

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


class Reason(StrEnum):
    """Why a decision fell as it did; closed, and each member's sentence is what `pvectl explain` prints."""

    def __new__(cls, value: str, sentence: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.__doc__ = sentence
        return member

    @property
    def sentence(self) -> str:
        """The reason in words that finish "because …"."""
        return self.__doc__ or self.value

    REQUESTED = "requested", "somebody asked for it"
    ALREADY_OFF = "already-off", "it is stopped already"
    TEMPLATE = "template", "a template never runs"
    PAUSED = "paused", "it is paused, and PVE does not shut a paused guest down"
    LOCKED = "locked", "a lock says that other work is going on with it"
    HA_MANAGED = "ha-managed", "the HA manager owns its state"
    STATUS_UNKNOWN = "status-unknown", "its status is not known, and unknown is never permission"
    EXCLUDED = "excluded", "the selection takes it away"
    TAGS_DIFFER = "tags-differ", "its tags are not yet as asked"
    TAGS_UNCHANGED = "tags-unchanged", "its tags are as asked already"
    SCHEDULED = "scheduled", "its schedule says so"
    NOT_YET = "not-yet", "its time has not come"
    ONLY_ARMED = "only-armed", "its schedule is new or was changed, and nothing before that moment is ever due"
    DEADLINE_PASSED = "deadline-passed", "its deadline passed before it could begin"
    STAY_UP = "stay-up", "a stay-up window is open"
    HELD = "held", "somebody holds it"
    INTERRUPTED = "interrupted", "the run that carried it out died, and it is too late to go on"
    SUPERSEDED = "superseded", "the configuration was changed while it was under way"
    NOTHING_SELECTED = "nothing-selected", "no guest is left to shut down"
    NOT_TAGGED = "not-tagged", "it does not carry the tag that permits it"
    OUT_OF_SCOPE = "out-of-scope", "it is on a node that this job is not for"
    NODE_UNSEEN = "node-unseen", "its node is not online, and what runs there cannot be seen"
    RESTARTED = "restarted", "it was started again since"
    START_UNKNOWN = "start-unknown", "when it was started is not known, so it may have been started again since"
    ANOTHER_GUEST = "another-guest", "another guest has its number now"
    ALREADY_ASKED = "already-asked", "it was asked already, and is not asked twice"
    STAGES_CLASH = "stages-clash", "its stages do not fit the guests there are"
    STAGE_NOT_OFF = "stage-not-off", "a guest of an earlier stage is not off"
    CLOCK_WRONG = "clock-wrong", "this machine's clock cannot be right"
    CLOCK_UNSURE = "clock-unsure", "this machine's clock could not be held against a node's"
    NOT_LISTED = "not-listed", "the configuration does not list the node"
    NODE_OFF = "node-off", "the node is off, and not by pvectl's doing"
    NODE_MISSING = "node-missing", "the cluster has no such node"
    SWITCHED_OFF = "switched-off", "pvectl switched it off"
    OFF_SENT = "off-sent", "it was told to power off, and is not off yet"
    UNSEEN = "unseen", "not everything could be seen, and unknown is never permission"
    GRACE_PERIOD = "grace-period", "it has not been idle for the whole grace period yet"
    NOTICE = "notice", "its switch-off is announced, and the notice is not over"
    GRACE_OVER = "grace-over", "nobody needed it for the whole grace period"
    COOLDOWN = "cooldown", "the last attempt failed, and the next one has to wait"
    QUARANTINE = "quarantine", "it failed too often, or did not wake up, and a person has to look at it"
    ANOTHER_FIRST = "another-first", "another node goes first, and only one is switched off per run"
    TAG_UNREGISTERED = "tag-unregistered", "the tag that would permit it is not among the cluster's registered tags"
    TASK_RUNNING = "task-running", "a task runs on the node"
    FOREIGN_TASK = "foreign-task", "somebody else started, stopped or moved a guest of the node"
    HAPPENED_BETWEEN = "happened-between", "something happened on the node between two looks"
    UNSEEN_BETWEEN = "unseen-between", "what happened between two looks cannot be told"
    MOVING_GUEST = "moving-guest", "a guest is on its way from one node to another"
    REPLICATION_RUNS = "replication-runs", "a replication from or to the node runs"
    HA_BUSY = "ha-busy", "the HA manager is changing something"
    CEPH = "ceph", "Ceph needs what runs on the node"
    SERVES_STORAGE = "serves-storage", "the node serves a storage to others"
    ACTIVITY = "activity", "something on the node is in use"
    NOT_QUORATE = "not-quorate", "the cluster is not quorate"
    QUORUM_AFTER = "quorum-after", "the cluster would not stay quorate without it"
    NODES_DOWN = "nodes-down", "another node is down, and not by pvectl's doing"
    IN_TRANSITION = "in-transition", "another node is on its way down or up"
    UPTIME_SHORT = "uptime-short", "the node has not been up for long enough"
    BUDGET = "budget", "a limit on switching nodes off would be exceeded"
    TOO_MANY_GUESTS = "too-many-guests", "more guests would be shut down than one run may"
    RUNS_HERE = "runs-here", "pvectl itself runs in a guest of the node"
    WAKE_UNPROVEN = "wake-unproven", "no way to wake it has worked before"
    NEEDED_SOON = "needed-soon", "a job needs the node before it could be back"
    NOT_ITS_TURN = "not-its-turn", "a node before it on the list is neither off nor busy"
    STARTED_MEANWHILE = "started-meanwhile", "a guest was started after the decision was made"
    OUT_OF_DATE = "out-of-date", "what is known of the node is not fresh enough"
    ALREADY_RUNNING = "already-running", "it runs already"
    LEFT_ALONE = "left-alone", "its schedule has left it alone, or somebody has started it since"
    OURSELVES = "ourselves", "pvectl itself runs in it"


class Verdict(StrEnum):
    ACT = "act"
    WAIT = "wait"
    KEEP = "keep"
    BLIND = "blind"


class Shutdown(Struct, frozen=True, kw_only=True, tag="shutdown", tag_field="action"):
    """Ask the guest to shut down and give it `timeout` seconds; `force_stop` pulls the plug afterwards and is only ever explicit.

    `through_ha` asks the HA manager for it where the guest is the HA manager's: its HA state is stopped then, until somebody starts it.
    """

    guest: Guest
    timeout: int
    force_stop: bool = False
    through_ha: bool = False

    @property
    def within(self) -> str:
        """The timeout as one writes it: 5400 -> "1h30m"."""
        left, words = self.timeout, ""
        for unit, size in _UNITS:
            count, left = divmod(left, size)
            words += f"{count}{unit}" if count else ""
        return words


class SetTags(Struct, frozen=True, kw_only=True, tag="set-tags", tag_field="action"):
    """Take `remove` away from the guest's tags and put `add` to them; with `replace`, `add` becomes the whole list."""

    guest: Guest
    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    replace: bool = False
    after: tuple[str, ...] = ()


class Start(Struct, frozen=True, kw_only=True, tag="start", tag_field="action"):
    """Start the guest, and wait up to `timeout` seconds until it runs; then leave it `pause` seconds before the next one begins."""

    guest: Guest
    timeout: int
    pause: int = 0


Action: TypeAlias = Shutdown | SetTags | Start


class SwitchOff(Struct, frozen=True, kw_only=True, tag="switch-off", tag_field="action"):
    """Shut the guests of a node down, stage after stage, prove that they are off, and power the node off.

    A stage begins when every guest of the one before it is verified off; no stages at all where nothing runs on the node.
    """

    node: str
    stages: tuple[tuple[Shutdown, ...], ...] = ()

    @property
    def subject(self) -> str:
        return f"node/{self.node}"


class Wake(Struct, frozen=True, kw_only=True, tag="wake", tag_field="action"):
    """Send the node a wake-up call through another node, and wait until it is back."""

    node: str

    @property
    def subject(self) -> str:
        return f"node/{self.node}"


class Decision(Struct, frozen=True, kw_only=True):
    """The verdict on one subject. An action stands here exactly when the verdict is ACT."""

    subject: str
    verdict: Verdict
    reason: Reason
    detail: str = ""
    action: Action | None = None
    since: datetime | None = None
    due: datetime | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """All decisions of one run, by subject; `stages` are the vmids of its actions in their order, empty where that does not matter."""

    made_at: datetime
    decisions: tuple[Decision, ...]
    stages: tuple[tuple[int, ...], ...] = ()

    @property
    def actions(self) -> tuple[Action, ...]:
        return tuple(decision.action for decision in self.decisions if decision.action is not None)


class OutcomeStatus(StrEnum):
    DONE = "done"
    STARTED = "started"
    DRY_RUN = "dry-run"
    SKIPPED = "skipped"
    TIMED_OUT = "timed-out"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Outcome(Struct, frozen=True, kw_only=True):
    """What came of one action. `error` holds PVE's own words; `took` is in seconds.

    `forced` says of a guest that was shut down whether the plug was pulled in the end; None where nobody can tell, and where it is not off.
    `kind` is the stable word for the error, as in `errors[].code`, where there is one beyond the status.
    """

    action: Action
    status: OutcomeStatus
    upid: str | None = None
    error: str | None = None
    hint: str | None = None
    took: float | None = None
    forced: bool | None = None
    kind: str | None = None


class PowerOutcome(Struct, frozen=True, kw_only=True):
    """What came of switching a node off: `guests` tells of the way there, `error` why it went no further.

    `unconfirmed` says that the node was not seen offline by another: contact was lost after PVE had accepted the request. `sent` says that
    the request has left, whatever came of it; `took` is in seconds. Status: done: it is off; unknown: sent, and nobody saw what came of it;
    started: sent by a pvectl that goes down with the node, or that was interrupted while it watched; skipped: something spoke against it on
    the way (`reason` where there is one), so it stays on; failed: a guest or a request failed, so it stays on. `kind` as in Outcome.
    """

    action: SwitchOff
    status: OutcomeStatus
    guests: tuple[Outcome, ...] = ()
    sent: bool = False
    unconfirmed: bool = False
    error: str | None = None
    hint: str | None = None
    took: float | None = None
    kind: str | None = None
    reason: Reason | None = None


class WakeOutcome(Struct, frozen=True, kw_only=True):
    """What came of waking a node: `online_after` and `took` are the seconds until the cluster had it back, and until its API answered."""

    action: Wake
    status: OutcomeStatus
    mac: str | None = None
    sent: bool = False
    online_after: float | None = None
    took: float | None = None
    error: str | None = None
    hint: str | None = None
    kind: str | None = None
