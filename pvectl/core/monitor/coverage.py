"""What was checked and what was not: green because checked, never green because blind."""

from __future__ import annotations

from msgspec import Struct

from pvectl.core.model import Known
from pvectl.core.monitor.checks.evaluation import ON_THE_LIST, Evaluation
from pvectl.core.monitor.checks.registry import CHECKS
from pvectl.core.monitor.checks.sources import lacking, mends_of


class Row(Struct, frozen=True, kw_only=True):
    """How far one check got. `left_out` are objects that are exempt, or to which it does not apply as they are now.

    `whole` is False where the list of objects itself is not proven complete, so that `eligible` may be too small. `lacks` names the missing
    privileges ("Sys.Audit on /"), `mends` the pveum lines that grant them, `reasons` whatever else stood in the way.
    """

    check: str
    title: str
    about: str
    on: bool
    eligible: int = 0
    examined: int = 0
    left_out: int = 0
    whole: bool = True
    lacks: tuple[str, ...] = ()
    mends: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def blind(self) -> int:
        return self.eligible - self.examined


_NAMED = 5


def rows(evaluation: Evaluation) -> tuple[Row, ...]:
    """One row for each check that was asked for, in the order of the table."""
    view = evaluation.view
    whole = isinstance(view.sight, Known) and not view.sight.value
    found = []
    for verdict in evaluation.verdicts:
        check = CHECKS[verdict.check]
        spots = dict.fromkeys((spot.source, spot.of) for blind in verdict.blind for spot in blind.missing)
        lacks = dict.fromkeys(f"{privilege} on {path}" for spot in spots for privilege, path in lacking(view, *spot))
        reasons = list(dict.fromkeys(blind.reason for blind in verdict.blind))
        more = [f"and {len(reasons) - _NAMED} other reasons"] if len(reasons) > _NAMED else []
        found.append(
            Row(
                check=check.id,
                title=check.title,
                about=check.about,
                on=not verdict.off,
                eligible=verdict.eligible,
                examined=len(verdict.examined),
                left_out=verdict.left_out,
                whole=whole or check.about not in ON_THE_LIST,
                lacks=tuple(lacks),
                mends=tuple(dict.fromkeys(line for spot in spots for line in mends_of(view, *spot))),
                reasons=(*reasons[:_NAMED], *more),
            )
        )
    return tuple(found)
