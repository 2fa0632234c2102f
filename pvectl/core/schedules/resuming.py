"""Which guests a run may still ask that goes on where another died: those that run since before, and were not asked."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct

from pvectl.core.model import Guest
from pvectl.core.plan import OutcomeStatus, Reason, Verdict

# uptimes are whole seconds, and the clock may be trimmed meanwhile
_SAME_START = timedelta(seconds=30)


class PlannedGuest(Struct, frozen=True, kw_only=True):
    """One guest of an occurrence as it was when its run claimed it; `uptime` in seconds at `seen_at`.

    `asked` is on disk before the request leaves. `result` None: nobody has seen yet what came of it.
    """

    vmid: int
    type: str
    name: str | None = None
    stage: str = ""
    seen_at: datetime
    uptime: int | None = None
    asked: bool = False
    upid: str | None = None
    result: OutcomeStatus | None = None


def reason_to_leave(planned: PlannedGuest, guest: Guest | None, *, seen_at: datetime) -> tuple[Verdict, Reason, str] | None:
    """Why a run that goes on with another's occurrence does not ask this guest; None when it may, as far as the ledger goes.

    `guest` is what its node says of it at `seen_at`, None when no node has it. Only the same incarnation is asked: one that was started
    since the plan was made stays up.
    """
    if planned.result is not None:
        turn = "it was asked already" if planned.asked else "its turn has come already"
        return Verdict.KEEP, Reason.ALREADY_ASKED, f"{turn}, and the outcome was: {planned.result}"
    if guest is None:
        return Verdict.BLIND, Reason.STATUS_UNKNOWN, "no node has it now"
    if guest.type != planned.type:
        return Verdict.KEEP, Reason.ANOTHER_GUEST, f"{planned.vmid} was of type {planned.type}, and is {guest.type} now"
    if guest.is_off:
        return Verdict.KEEP, Reason.ALREADY_OFF, "it is stopped already"
    if planned.asked:
        return Verdict.WAIT, Reason.ALREADY_ASKED, "the run before this one asked it, or was about to"
    if planned.uptime is None or guest.uptime is None:
        return Verdict.BLIND, Reason.START_UNKNOWN, "when it was started is not known, so it may have been started again since"
    start = seen_at - timedelta(seconds=guest.uptime)
    if start > planned.seen_at or abs(start - planned.seen_at + timedelta(seconds=planned.uptime)) > _SAME_START:
        detail = f"it was started at {start:%Y-%m-%d %H:%M:%S} UTC, so it is not the run of the guest that was planned for"
        return Verdict.KEEP, Reason.RESTARTED, detail
    return None
