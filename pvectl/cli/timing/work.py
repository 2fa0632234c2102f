"""What the timers commands do between the configuration and the page: plan, write, ask systemd."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.timing.setting import configured
from pvectl.core.text import clean
from pvectl.errors import ConfigError, UnsafeFile, UsageError
from pvectl.timers import cron as cron_table
from pvectl.timers import files, systemctl
from pvectl.timers import systemd as units
from pvectl.timers.entries import Compared, Entry, Found, Kind, State, compare

if TYPE_CHECKING:
    from pvectl.cli.context import Run

BOTH: tuple[Kind, ...] = ("systemd", "cron")


class Planned(Struct, frozen=True, kw_only=True):
    """What should be there, how that compares with what is, and what is worth knowing."""

    kinds: tuple[Kind, ...]
    root: Path
    entries: tuple[Entry, ...]
    compared: tuple[Compared, ...]
    remarks: tuple[str, ...]


class Line(Struct, frozen=True, kw_only=True):
    """A command systemd is told by; `done` False: somebody has to run it."""

    line: str
    done: bool


class Worked(Struct, frozen=True, kw_only=True):
    """What was done to which file ("write", "keep", "remove"), and what systemd was told; in a dry run, what would be."""

    files: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]
    dry_run: bool
    foreign: tuple[str, ...] = ()


class Looked(Struct, frozen=True, kw_only=True):
    """How things stand; `compared` is None where the configuration could not be read, and then `found` is all there is to tell."""

    compared: tuple[Compared, ...] | None
    found: tuple[Found, ...]
    standings: tuple[systemctl.Standing, ...]
    remarks: tuple[str, ...]


def asked(root: Path, *, systemd: bool, cron: bool) -> tuple[Kind, ...]:
    """The kinds that were asked for; both when neither was named.

    Raises:
        UsageError: both were, or the directory that stands for / is none.
    """
    if not root.is_dir():
        raise UsageError(f"--root: there is no directory {clean(str(root))}", hint="make it first; nothing was written")
    if systemd and cron:
        raise UsageError("--systemd and --cron exclude each other", hint="leave both out to see both")
    return ("systemd",) if systemd else ("cron",) if cron else BOTH


def chosen(root: Path, *, systemd: bool, cron: bool) -> tuple[Kind, ...]:
    """The one kind that was asked for, or the one that fits the machine."""
    kinds = asked(root, systemd=systemd, cron=cron)
    if len(kinds) == 1:
        return kinds
    return ("cron",) if not systemctl.runs_machine(root) and (root / "etc/cron.d").is_dir() else ("systemd",)


def with_installed(kinds: tuple[Kind, ...], root: Path) -> tuple[Kind, ...]:
    """These, and what is installed already: both must know of each other."""
    there = {one.kind for one in files.find(root) if one.ours}
    return tuple(kind for kind in BOTH if kind in kinds or kind in there)


def plan(run: Run, kinds: tuple[Kind, ...], root: Path) -> Planned:
    """Hold the configuration against what is there."""
    jobs, setting, remarks = configured(run, as_services="systemd" in kinds)
    entries: tuple[Entry, ...] = ()
    if "systemd" in kinds:
        entries += units.entries(jobs, setting)
    if "cron" in kinds:
        entries += cron_table.entries(jobs, setting, beside_systemd="systemd" in kinds)
    found = [one for one in files.find(root) if one.kind in kinds]
    return Planned(kinds=kinds, root=root, entries=entries, compared=compare(entries, found), remarks=remarks)


_ACTIONS = {State.CURRENT: "keep", State.STALE: "write", State.MISSING: "write", State.LEFT_OVER: "remove"}


def install(planned: Planned, env: Mapping[str, str], *, dry_run: bool) -> Worked:
    """Make it so; nothing at all when somebody else's file stands in the way."""
    files.refuse_foreign(planned.compared, planned.root)
    booted = systemctl.runs(planned.root, env)
    work = tuple((one.path, _ACTIONS[one.state]) for one in planned.compared)
    gone = _timers([path for path, action in work if action == "remove"])
    begun = _timers([path for path, action in work if action != "remove"])
    changed = any(action == "write" and _is_unit(path) for path, action in work)
    asleep = booted and any(not _is_awake(systemctl.standing(unit, env)) for unit in begun)
    # where systemd does not run, taking the files and the links away is all there is to do
    before = systemctl.to_end(gone) if gone and booted else ()
    after = systemctl.to_begin(begun, user=Path(units.SYSUSERS).name) if begun and (changed or asleep) else ()
    after += systemctl.AFTERWARDS if gone and booted and not after else ()
    if not dry_run:
        systemctl.run(before, env)
        for one in planned.compared:
            if one.state in (State.MISSING, State.STALE):
                files.write(one, planned.root)
            elif one.state is State.LEFT_OVER:
                files.remove(one.path, planned.root)
        if booted:
            systemctl.run(after, env)
    return Worked(files=work, lines=_lines((*before, *after), done=booted and not dry_run), dry_run=dry_run)


def remove(kinds: tuple[Kind, ...], root: Path, env: Mapping[str, str], *, dry_run: bool) -> Worked:
    """Take away what is ours, whatever the configuration says."""
    found = [one for one in files.find(root) if one.kind in kinds]
    ours = [one.path for one in found if one.ours]
    booted, timers = systemctl.runs(root, env), _timers(ours)
    before = systemctl.to_end(timers) if timers and booted else ()
    after = systemctl.AFTERWARDS if booted and any(map(_is_unit, ours)) else ()
    if not dry_run:
        systemctl.run(before, env)
        for path in ours:
            files.remove(path, root)
        systemctl.run(after, env)
    return Worked(
        files=tuple((path, "remove") for path in ours),
        lines=_lines((*before, *after), done=booted and not dry_run),
        dry_run=dry_run,
        foreign=tuple(one.path for one in found if not one.ours),
    )


def look(run: Run, kinds: tuple[Kind, ...], root: Path) -> Looked:
    """How the entries stand, also where the configuration cannot be read any more."""
    found = tuple(one for one in files.find(root) if one.kind in kinds)
    installed = tuple(kind for kind in BOTH if any(one.ours and one.kind == kind for one in found))
    remarks: tuple[str, ...] = ()
    compared = None
    try:
        if installed:
            # what both know of each other depends on both, whichever of them was asked about
            planned = plan(run, with_installed(installed, root), root)
            compared = tuple(one for one in planned.compared if one.kind in kinds)
        else:
            compared = ()
    except (ConfigError, UnsafeFile) as error:
        remarks = (f"whether they are what the configuration says is not known: {error.message}",)
    timers = _timers([one.path for one in found if one.ours])
    asked_systemd = systemctl.runs(root, run.env)
    return Looked(
        compared=compared,
        found=found,
        standings=tuple(systemctl.standing(unit, run.env) for unit in timers) if asked_systemd else (),
        remarks=remarks,
    )


def _timers(paths: Sequence[str]) -> tuple[str, ...]:
    return tuple(Path(path).name for path in paths if path.endswith(".timer"))


def _is_unit(path: str) -> bool:
    return path.startswith(f"{units.UNITS}/")


def _is_awake(standing: systemctl.Standing) -> bool:
    return standing.enabled == "enabled" and standing.active == "active"


def _lines(lines: Sequence[Sequence[str]], *, done: bool) -> tuple[Line, ...]:
    return tuple(Line(line=shlex.join(line), done=done) for line in lines)
