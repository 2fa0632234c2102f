"""What the timers commands report."""

from __future__ import annotations

from pvectl.cli.output import Report
from pvectl.cli.timing.work import Looked, Planned, Worked
from pvectl.timers.entries import State


def printed(planned: Planned) -> Report:
    """The texts; where there are several files, each below a line with its path."""
    several = len(planned.entries) > 1
    blocks = [f"# {entry.path}\n{entry.text}" if several else entry.text for entry in planned.entries]
    data = {"files": [{"kind": entry.kind, "path": entry.path, "text": entry.text} for entry in planned.entries]}
    return Report(schema="timers-print", data=data, text="\n".join(blocks).removesuffix("\n"), remarks=planned.remarks)


_DONE = {"write": "wrote", "keep": "kept", "remove": "removed"}


def installed(planned: Planned, worked: Worked) -> Report:
    """Each file with what became of it, then what systemd was told or still has to be."""
    lines = _work(worked)
    if worked.dry_run:
        for one in planned.compared:
            if one.wanted is not None and one.state is not State.CURRENT:
                lines += ["", f"# {one.path}", one.wanted.removesuffix("\n")]
    return _report("timers-install", worked, lines, planned.remarks)


def removed(worked: Worked) -> Report:
    lines = _work(worked)
    if not worked.files:
        lines = ["nothing of pvectl's is installed"]
    elif not worked.dry_run and any(path.startswith("/etc/systemd/") for path, _ in worked.files):
        lines.append("the user pvectl and its state in /var/lib/pvectl stay")
    remarks = tuple(f"{path} was not written by pvectl, and stays" for path in worked.foreign)
    return _report("timers-remove", worked, lines, remarks)


def _work(worked: Worked) -> list[str]:
    lines = [f"{f'would {action}' if worked.dry_run else _DONE[action]} {path}" for path, action in worked.files]
    lines += [f"{'ran' if one.done else 'would run' if worked.dry_run else 'now run'}: {one.line}" for one in worked.lines]
    return lines


def _report(schema: str, worked: Worked, lines: list[str], remarks: tuple[str, ...]) -> Report:
    data = {
        "dry_run": worked.dry_run,
        "files": [{"path": path, "action": action} for path, action in worked.files],
        "commands": worked.lines,
    }
    return Report(schema=schema, data=data, text="\n".join(lines), remarks=remarks)


_SAYS = {
    State.CURRENT: "as configured",
    State.STALE: "stale: not as the configuration has it now",
    State.MISSING: "missing",
    State.LEFT_OVER: "left over: the configuration has it no more",
    State.FOREIGN: "somebody else's file",
}


def status(looked: Looked) -> Report:
    """Each file and how it compares, then what systemd says about the timers."""
    if looked.compared is None:
        files = [{"kind": one.kind, "path": one.path, "state": None} for one in looked.found if one.ours]
        lines = [f"{one['path']}: there" for one in files]
    else:
        files = [{"kind": one.kind, "path": one.path, "state": one.state.value} for one in looked.compared]
        lines = [f"{one.path}: {_SAYS[one.state]}" for one in looked.compared]
    matches = None if looked.compared is None else all(one.state is State.CURRENT for one in looked.compared)
    if matches is False:
        lines.append("pvectl timers install makes it what the configuration says")
    for timer in looked.standings:
        last = f", last run {timer.last_run}" if timer.last_run else ""
        lines.append(f"{timer.unit}: {timer.enabled or 'not known to systemd'}, {timer.active or 'not known'}{last}")
    data = {"installed": bool(files), "matches": matches if files else None, "files": files, "timers": looked.standings}
    return Report(schema="timers-status", data=data, text="\n".join(lines) or "nothing is installed", remarks=looked.remarks)
