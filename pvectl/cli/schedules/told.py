"""What a run of scheduled-shutdown has to tell, before anybody puts it into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.core.model import Guest
from pvectl.core.plan import Decision, Outcome, Reason
from pvectl.core.schedules.ledger import Entry, State
from pvectl.core.schedules.schedule import Occurrence
from pvectl.core.schedules.stages import Abort, Standing
from pvectl.errors import ExitCode, PvectlError

if TYPE_CHECKING:
    from pvectl.cli.idle.run import Decided

_ON_PURPOSE = (Reason.STAY_UP, Reason.HELD)
WRONG = (Standing.TIMED_OUT, Standing.FAILED, Standing.UNKNOWN, Standing.UNSEEN)


class GuestTold(Struct, frozen=True, kw_only=True):
    """One guest of a stage: what was decided, and what came of asking it."""

    vmid: int
    guest: Guest | None
    decision: Decision
    standing: Standing | None
    outcome: Outcome | None = None


class StageTold(Struct, frozen=True, kw_only=True):
    """One stage; `begun` False: its turn never came."""

    name: str
    guests: tuple[GuestTold, ...]
    begun: bool = True


class Carried(Struct, frozen=True, kw_only=True):
    """What carrying out came to; `error` is what kept it from beginning, `abort` why later stages did not begin.

    `warnings` are sentences about the selection, `handed` what became of the nodes it was to switch off.
    """

    stages: tuple[StageTold, ...] = ()
    abort: Abort | None = None
    late: bool = False
    interrupted: bool = False
    error: PvectlError | None = None
    warnings: tuple[str, ...] = ()
    handed: tuple[Decided, ...] = ()


class Told(Struct, frozen=True, kw_only=True):
    """What one run makes of one occurrence of a schedule; `carried` is what was done about it, `news` whether anything was, or went wrong.

    `occurrence` None: there is none to speak of, as the schedule is switched off or gone.
    """

    schedule: str
    occurrence: Occurrence | None
    state: State | None
    reason: Reason
    detail: str
    decision_id: str | None = None
    carried: Carried | None = None
    news: bool = False


class Ran(Struct, frozen=True, kw_only=True):
    """What one run came to; `rehearsal`: nothing was to be done; `set_aside`: why the state file that was found does not count."""

    told: tuple[Told, ...] = ()
    rehearsal: bool = False
    disabled: bool = False
    set_aside: str | None = None

    @property
    def interrupted(self) -> bool:
        return any(told.carried is not None and told.carried.interrupted for told in self.told)


def told_of(entry: Entry, *, decision_id: str | None = None, news: bool = True) -> Told:
    return Told(
        schedule=entry.occurrence.schedule,
        occurrence=entry.occurrence,
        state=entry.state,
        reason=entry.reason,
        detail=entry.detail,
        decision_id=decision_id,
        news=news,
    )


def on_purpose(carried: Carried) -> bool:
    """Whether later stages stay up because somebody wants it so."""
    if carried.abort is None:
        return False
    if carried.abort.reason is Reason.STAY_UP:
        return True
    keeping = [one for stage in carried.stages for one in stage.guests if one.standing is Standing.KEPT]
    return carried.abort.reason is Reason.STAGE_NOT_OFF and bool(keeping) and all(_is_held(one) for one in keeping)


def _is_held(one: GuestTold) -> bool:
    return one.decision.reason in _ON_PURPOSE or (one.outcome is not None and one.outcome.kind == Reason.HELD.value)


class Distrust(PvectlError):
    """A clock that cannot be right, or that could not be held against another."""

    exit_code = ExitCode.BLIND
    kind = "clock"


class Unkept(PvectlError):
    """What was done could not be remembered any more: the run ends here, and the next one finds out by looking."""

    def __init__(self, cause: PvectlError) -> None:
        message = f"what was done could not be remembered, and the next run will find out by looking: {cause.message}"
        super().__init__(message, hint=cause.hint, subject=cause.subject)
        self.kind = cause.kind


class Clash(PvectlError):
    """Stages that do not fit the guests there are."""

    exit_code = ExitCode.CONFIG
    kind = "stages"


def summary(told: Mapping[str, Sequence[GuestTold]], *, rehearsal: bool) -> str:
    """What came of all guests, in a few words."""
    guests = [one for stage in told.values() for one in stage]
    off = sum(one.outcome is not None and one.standing is Standing.OFF for one in guests)
    rest = [str(one.vmid) for one in guests if one.standing in WRONG]
    words = f"{off} guest{'' if off == 1 else 's'} {'would ' if rehearsal else ''}shut down"
    return words + (f", not off: {', '.join(rest)}" if rest else "")
