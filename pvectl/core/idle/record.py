"""What is remembered of a node from one run to the next, and the decision a run comes to."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from pvectl.core.plan import Reason, SwitchOff, Verdict


class Phase(StrEnum):
    """Where a node stands on its way from being needed to being off."""

    BUSY = "busy"
    IDLE = "idle"
    NOTICE = "notice"
    DRAIN = "drain"
    OFF_SENT = "off-sent"
    OFF_SEEN = "off-seen"
    HELD = "held"
    COOLDOWN = "cooldown"
    QUARANTINE = "quarantine"


class OffMark(Struct, frozen=True, kw_only=True):
    """One power-off of pvectl's: when, by both clocks, and whether a guest that needs the node has run there since."""

    at: datetime
    boottime: float
    boot_id: str | None = None
    needed_since: bool = False


class WakeProof(Struct, frozen=True, kw_only=True):
    """Waking the node has worked: how and when last."""

    method: str
    at: datetime


class WakeAsked(Struct, frozen=True, kw_only=True):
    """The node was asked to wake up and nobody has seen the end of it; the clock is that of boot `boot_id`."""

    method: str
    at: datetime
    boottime: float
    boot_id: str | None = None


class StoppedByUs(Struct, frozen=True, kw_only=True):
    """A guest that was asked to shut down on the way to a power-off, and what the HA manager wanted of it before.

    `pending`: it was not seen off in time, and may still obey later; its going off is then nobody's wish but ours.
    """

    vmid: int
    type: str
    at: datetime
    upid: str | None = None
    hastate: str | None = None
    pending: bool = False


class NodeRecord(Struct, frozen=True, kw_only=True):
    """What the last run left behind about one node. It can delay a power-off and never authorise one (safety rule S31).

    `boot_id`, `boottime` and `wall` are the runner's clocks at the last run, `uptime` the node's and `node_clock` its wall clock (seconds
    since the epoch) at the last complete idle look. `credit_s` is the idle time that counts, `notice_s` the part of it since the notice
    began, `observations` the number of idle looks in a row. `known_tasks` are the UPIDs that the last idle look saw ended. `attempt` is
    when the last run that was to switch it off began, `planned` are the guests it may ask to shut down.
    """

    node: str
    cluster: str | None = None
    phase: Phase = Phase.BUSY
    since: datetime
    policy: str = ""
    boot_id: str | None = None
    boottime: float = 0.0
    wall: datetime
    uptime: int | None = None
    node_clock: float | None = None
    known_tasks: tuple[str, ...] = ()
    credit_s: float = 0.0
    notice_s: float = 0.0
    observations: int = 0
    idle_since: datetime | None = None
    failures: int = 0
    last_failure: str | None = None
    cooldown_left_s: float = 0.0
    quarantine: str | None = None
    off_history: tuple[OffMark, ...] = ()
    wake_proof: WakeProof | None = None
    wake_asked: WakeAsked | None = None
    attempt: OffMark | None = None
    planned: tuple[int, ...] = ()
    stopped_by_us: tuple[StoppedByUs, ...] = ()


class Blocker(Struct, frozen=True, kw_only=True):
    """One veto: why, what it is about ("guest/110", "node/pve2", "task/UPID:…", "cluster"), and a sentence part for people.

    `blind`: it is no more than something that could not be seen. `resets`: the node counts as needed, so the grace period begins anew
    once it is gone; without it the node is idle, only not to be switched off now. `until`: when it will be over, where that is known.
    """

    reason: Reason
    subject: str
    detail: str
    blind: bool = False
    resets: bool = True
    until: datetime | None = None


class NodeDecision(Struct, frozen=True, kw_only=True):
    """The verdict on one node. `due` is the earliest moment it could go off, counted as if everything in its way were gone at once.

    `if_gone` says the same in words with the time in UTC; `pvectl.core.idle.told.told` writes it in any other zone.
    """

    node: str
    at: datetime
    phase: Phase
    verdict: Verdict
    reason: Reason
    detail: str
    blockers: tuple[Blocker, ...] = ()
    credit_s: float = 0.0
    grace_s: int = 0
    since: datetime | None = None
    due: datetime | None = None
    if_gone: str | None = None
    action: SwitchOff | None = None

    @property
    def subject(self) -> str:
        return f"node/{self.node}"


class Step(Struct, frozen=True, kw_only=True):
    """One run's answer about one node: what to remember, and what to do."""

    record: NodeRecord
    decision: NodeDecision
