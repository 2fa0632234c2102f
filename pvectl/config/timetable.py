"""What must hold between the keys of a schedule: times that do not run into each other, stages that select somebody, and nobody twice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

from pvectl.config.durations import show_duration
from pvectl.config.problems import Remark, nearest, shown
from pvectl.config.schema import ScheduleEntry, StageEntry
from pvectl.core.select import HIGHEST_VMID, Kind, Part, Selection, parse

DEADLINE = 1800
_DAY_S = 86_400
# no clock of the tz database is put forward further than this in the years that are looked at
_LARGEST_CHANGE_S = 4 * 3600
_SPANS = frozenset({Kind.ALL, Kind.VMID, Kind.RANGE})


def of_schedule(given: Mapping[str, object]) -> Iterator[Remark]:
    """Contradictions within one schedule; a value that is wrong in itself is not judged again."""
    yield from _of_times(given)
    stages, select, exclude = (_tuple(given, key) for key in ("stages", "select", "exclude"))
    if select == () and stages == ():
        hint = 'write select: ["@tag-safe-shutdown"], or give stages that select somebody'
        yield Remark(key="select", message="asks for nobody", hint=hint)
    if stages is None or select is None:
        return
    yield from _of_names(stages)
    wanted = parse(select) if select else None
    asked = [parse(stage.select) for stage in stages]
    for index, (stage, own) in enumerate(zip(stages, asked, strict=True)):
        yield from _of_reach(f"stages[{index}].select", f"the stage {shown(stage.name)}", own, wanted, exclude or ())
    if wanted is not None and not stages:
        yield from _of_reach("select", "the schedule", wanted, None, exclude or ())
    yield from _of_guests_twice(stages, asked)
    yield from _of_waits(given, stages)


def of_schedules(given: Mapping[str, object]) -> Iterator[Remark]:
    """Two schedules of one name would share one history."""
    seen: set[str] = set()
    for index, schedule in enumerate(_tuple(given, "schedules") or ()):
        if schedule.name in seen:
            message = f"a schedule {shown(schedule.name)} stands there already"
            yield Remark(key=f"schedules[{index}].name", message=message, hint="give each schedule its own name")
        seen.add(schedule.name)


def of_window(given: Mapping[str, object]) -> Iterator[Remark]:
    """A stay-up window that opens again before it has closed never lets anything begin."""
    days, start, tz, duration = _tuple(given, "days"), given.get("start"), given.get("tz"), given.get("duration")
    if not days or not isinstance(start, str) or not isinstance(tz, str) or not isinstance(duration, int):
        return
    if duration + _LARGEST_CHANGE_S <= _DAY_S:
        return
    from pvectl.core.schedules.schedule import Schedule, overlaps

    overlap = overlaps(Schedule(name="it", days=days, at=(start,), tz=tz, deadline=duration))
    if overlap is not None:
        message = f"the window opens again after {show_duration(overlap.distance)}, before it has closed: it overlaps itself"
        yield Remark(key="duration", message=message, hint="write a shorter duration, or fewer days")


def of_power_off(schedules: Sequence[ScheduleEntry], nodes: Sequence[str]) -> Iterator[Remark]:
    """A schedule gives no authority over nodes: idle_check.nodes does (safety rule S8)."""
    for which, schedule in enumerate(schedules):
        for index, node in enumerate(schedule.then_power_off):
            if node not in nodes:
                close = nearest(node, nodes)
                yield Remark(
                    key=f"scheduled_shutdown.schedules[{which}].then_power_off[{index}]",
                    message=f"{shown(node)} is not among idle_check.nodes, so nothing may switch it off",
                    hint=f"did you mean {close}?" if close else f"idle_check: {{nodes: [{node}]}} permits it, by idle-check's own rules",
                )


def _of_times(given: Mapping[str, object]) -> Iterator[Remark]:
    at, days, tz, deadline = _tuple(given, "at"), _tuple(given, "days"), given.get("tz"), given.get("deadline", DEADLINE)
    if not at or not days:
        return
    for index, time in enumerate(at):
        if time in at[:index]:
            yield Remark(key=f"at[{index}]", message=f"{time} stands there twice", hint="take one of them out")
            return
    if not isinstance(tz, str) or not isinstance(deadline, int) or deadline + _LARGEST_CHANGE_S <= _least_distance(at):
        return
    from pvectl.core.schedules.schedule import Schedule, overlaps

    overlap = overlaps(Schedule(name="it", days=days, at=at, tz=tz, deadline=deadline))
    if overlap is not None:
        hint = f"write deadline: {show_duration(overlap.distance)}"
        yield Remark(key="deadline" if "deadline" in given else "at", message=overlap.sentence, hint=hint)


def _least_distance(times: Sequence[str]) -> int:
    """Seconds between the two times of day that are nearest to each other, midnight being no border."""
    seconds = sorted(int(time[:2]) * 3600 + int(time[3:]) * 60 for time in times)
    return min(after - before for before, after in pairwise([*seconds, seconds[0] + _DAY_S]))


def _of_names(stages: Sequence[StageEntry]) -> Iterator[Remark]:
    seen: set[str] = set()
    for index, stage in enumerate(stages):
        if stage.name in seen:
            message = f"a stage {shown(stage.name)} stands there already"
            yield Remark(key=f"stages[{index}].name", message=message, hint="give each stage its own name")
        seen.add(stage.name)


def _of_reach(key: str, who: str, own: Selection, wanted: Selection | None, exclude: Sequence[str]) -> Iterator[Remark]:
    """Whether anybody can be left, as far as numbers tell: names, tags and pools are for the cluster to say."""
    spans = _spans(own.include)
    if spans is None:
        return
    if wanted is not None and (within := _spans(wanted.include)) is not None:
        spans = _both(spans, within)
        if not spans:
            message = f"{who} selects no guest: none of {own.describe()} is among the schedule's {wanted.describe()}"
            yield Remark(key=key, message=message)
            return
    away = _spans([*own.exclude, *(wanted.exclude if wanted else ()), *parse(exclude).include], certain=True)
    if not _without(spans, away or ()):
        yield Remark(key=key, message=f"{who} selects no guest: all of {own.describe()} is excluded again")


def _of_guests_twice(stages: Sequence[StageEntry], asked: Sequence[Selection]) -> Iterator[Remark]:
    if len(stages) < 2:
        return
    from pvectl.core.schedules.stages import sure_clash

    for (one, mine), (other, theirs) in combinations(enumerate(asked), 2):
        clash = sure_clash(mine, theirs)
        if clash is not None:
            message = f"{clash} is in the stage {shown(stages[one].name)} as well, and a guest goes down once"
            yield Remark(key=f"stages[{other}].select", message=message, hint="take it out of one of them")


def _of_waits(given: Mapping[str, object], stages: Sequence[StageEntry]) -> Iterator[Remark]:
    deadline = given.get("deadline", DEADLINE)
    waits = 0
    for index, (stage, following) in enumerate(pairwise(stages)):
        waits += stage.wait_after
        if isinstance(deadline, int) and waits >= deadline:
            message = f"the stage {shown(following.name)} could never begin: the deadline of {show_duration(deadline)} is over by then"
            yield Remark(key=f"stages[{index}].wait_after", message=message, hint="write a longer deadline, or a shorter wait")
            return


def _spans(parts: Sequence[Part], *, certain: bool = False) -> list[tuple[int, int]] | None:
    """The vmids these parts are about; None when some go by anything else, which `certain` leaves out instead."""
    if not certain and any(part.kind not in _SPANS for part in parts):
        return None
    return [(1, HIGHEST_VMID) if part.kind is Kind.ALL else (part.low, part.high) for part in parts if part.kind in _SPANS]


def _both(mine: Sequence[tuple[int, int]], theirs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    pairs = ((max(one[0], other[0]), min(one[1], other[1])) for one in mine for other in theirs)
    return [(low, high) for low, high in pairs if low <= high]


def _without(spans: Sequence[tuple[int, int]], away: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    left = list(spans)
    for low, high in away:
        pieces = [piece for first, last in left for piece in ((first, min(last, low - 1)), (max(first, high + 1), last))]
        left = [(first, last) for first, last in pieces if first <= last]
    return left


def _tuple(given: Mapping[str, object], key: str) -> Any:
    """What was given under this key, what stands for it where it was left out, None where it is wrong in itself."""
    value = given.get(key, ("daily",) if key == "days" else ())
    return value if isinstance(value, tuple) else None
