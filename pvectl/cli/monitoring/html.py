"""The monitor's answer as an HTML page in a file: written whole or not at all, by a timer, for any web server or browser."""

from __future__ import annotations

import stat
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pvectl import __version__
from pvectl.cli import standing
from pvectl.cli.output import write_file
from pvectl.cli.schedules.run import plan_of, stay_up_of
from pvectl.cli.words import moment
from pvectl.core.monitor.page.document import failed, page
from pvectl.core.monitor.page.seen import Beside, IdleNode, Planned
from pvectl.core.schedules.schedule import Occurrence, StayUp, awake_until, next_occurrence
from pvectl.core.text import clean
from pvectl.errors import CannotWrite, PvectlError, UsageError

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.cli.monitoring.run import Looked
    from pvectl.config.schema import ScheduleEntry


def refuse(path: str) -> None:
    """Say before anybody is asked that the page could not be put there.

    Raises:
        CannotWrite: it is a directory, a symlink, a device, or in a directory that is not there.
    """
    place = Path(path)
    try:
        mode = place.lstat().st_mode
    except FileNotFoundError:
        if not place.parent.is_dir():
            raise _cannot(path, f"there is no directory {clean(str(place.parent))}", "make it first") from None
        return
    except (OSError, ValueError) as error:
        raise _cannot(path, str(getattr(error, "strerror", None) or error).lower(), None) from None
    if stat.S_ISDIR(mode):
        raise _cannot(path, "it is a directory", "name the file in it, such as index.html")
    if stat.S_ISLNK(mode):
        raise _cannot(path, "it is a symlink", "name the file it points to")
    if not stat.S_ISREG(mode):
        raise _cannot(path, "it is no ordinary file", "name a file")


def write(run: Run, seen: Looked, path: str) -> None:
    """Put the page of this look in place.

    Raises:
        CannotWrite: it is not there; what was there before is.
    """
    text = page(seen.evaluation, seen.settings, local=datetime.astimezone, version=__version__, beside=beside(run), took=seen.took)
    _put(path, text)


def write_failure(run: Run, error: BaseException, path: str) -> None:
    """Put a page in place that says why nothing is known: the one of an earlier look would go on to look well.

    A wrong command line and Ctrl-C leave the page alone, and what keeps it from being written is only said: the failure counts for more.
    """
    if isinstance(error, UsageError) or not isinstance(error, Exception):
        return
    if isinstance(error, PvectlError):
        message, hint = error.message, error.hint
    else:
        message, hint = f"pvectl itself failed: {type(error).__name__}", "run pvectl monitor in a shell to see more"
    text = failed(run.clock.now(), message, hint=hint, cluster=run.cluster, local=datetime.astimezone, version=__version__)
    try:
        _put(path, text)
    except CannotWrite as unwritten:
        run.say(f"pvectl: {unwritten.message}")


def beside(run: Run) -> Beside:
    """What pvectl's own jobs have to say, as far as they are set up."""
    jobs, now = run.jobs(), run.clock.now()
    idle, scheduled = jobs.idle_check, jobs.scheduled_shutdown
    on = tuple(schedule for schedule in scheduled.schedules if schedule.enabled) if scheduled.enabled else ()
    windows = stay_up_of(scheduled)
    planned = [_planned(schedule, next_occurrence(plan_of(schedule), now), windows, dry_run=scheduled.dry_run) for schedule in on]
    return Beside(
        idle=tuple(
            IdleNode(node=one.node, phase=one.phase, verdict=one.verdict, detail=words, due=one.due, at=one.at)
            for one, words in standing.of_nodes(run).values()
        ),
        idle_note="idle-check is switched off in pvectl.yml." if idle.nodes and not idle.enabled else None,
        planned=tuple(sorted(planned, key=lambda one: (one.at, one.schedule))),
        planned_note="Every schedule is switched off in pvectl.yml." if scheduled.schedules and not on else None,
    )


def _planned(schedule: ScheduleEntry, occurrence: Occurrence, windows: tuple[StayUp, ...], *, dry_run: bool) -> Planned:
    awake = max((end for window in windows if (end := awake_until(window, occurrence.at))), default=None)
    remarks = (
        occurrence.moved,
        f"waits until {moment(awake, occurrence.at)}: nothing is shut down in a stay-up window" if awake is not None else None,
        "dry run: only shown, not carried out" if dry_run else None,
    )
    whom = tuple(f"stage {stage.name}" for stage in schedule.stages) or tuple(str(one) for one in schedule.select)
    return Planned(
        schedule=schedule.name,
        at=occurrence.at,
        wall=f"{occurrence.local:%Y-%m-%d %H:%M}",
        tz=occurrence.tz,
        whom=whom,
        then_off=schedule.then_power_off,
        remarks=tuple(remark for remark in remarks if remark),
    )


def _put(path: str, text: str) -> None:
    refuse(path)
    write_file(path, text.encode())


def _cannot(path: str, why: str, hint: str | None) -> CannotWrite:
    return CannotWrite(f"the page cannot be written to {clean(path)}: {why}", hint=hint, subject=f"file/{path}")
