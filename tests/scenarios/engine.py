"""Plays a scenario file: the real command on its timer for a day of virtual time, and a log of all that happened.

A file has these keys:

    about     one sentence: what this day shows
    cluster   what the simulated cluster is made of (pvectl.sim.vocabulary)
    pvectl    the text of pvectl.yml
    hosts     the nodes pvectl knows as entry points; all that are online unless told
    week      the Monday of the week it plays in, 2026-11-30 unless told
    begins    "Tue 18:00", in that week; all times are UTC
    lasts     "24h"
    every     "10m": how often the timer starts the job
    job       what the timer starts: idle-check, or scheduled-shutdown
    quick     true: part of the quick suite
    events    what happens when, as a text of one line each (below)
    log       what must come out of it, to the letter; the last key of the file

Events are lines like

    Tue 19:20 start 110                       any verb of SimCluster, with its arguments: stop-guest, set-tags 200 none, back-up 200,
                                              migrate 110 pve2, crash-node pve2, add-task type=vzdump node=pve2 took=600, …
    Tue 19:20 admin start 110                 somebody clicks start, shutdown, stop, suspend or resume; a task of root's
    Tue 19:20 press-reset pve2                the node goes down and boots again
    Tue 19:20 fault status path=/cluster/status code=595 times=2        and: clear-faults
    Tue 19:20 pvectl hold add pve2 --for 2h --reason "film night"       a command of pvectl's own
    Tue 19:20 words --dry-run                 the timer's command line has these words from now on
    Tue 19:20 edit "tag: safe-shutdown" "tag: nap"                      pvectl.yml is edited
    Tue 19:20 clock +2h                       the wall clock of pvectl's machine is put forward (or back)
    Tue 19:20 runner-reboots                  pvectl's machine boots anew
    Tue 19:20 no-runs 40m                     the timer does not fire
    Tue 22:00:04 kill-run                     the run that is under way is gone at once
    Tue 19:20 state broken                    the state file is overwritten with rubbish; or: gone
    Tue 19:20 next-backup nightly "Wed 02:00" when the backup job runs next, for PVE does not tell how it counts

The log has a line for each event, for each thing that happened to a guest or a node, for each request that changes something, for each
change of what a run says about a node or loss of what it had counted, and for each exit code that differs from the one before. Of a
schedule it has what a run says of each of its times and of each guest, where that is something new, and it counts seconds.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from pvectl.config.durations import parse_duration
from pvectl.sim.cluster import SimCluster
from pvectl.sim.record import Record
from pvectl.sim.world import Event
from tests.support.stages import Stage

FOLDER = Path(__file__).parent
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_KEYS = {"about", "cluster", "pvectl", "hosts", "week", "begins", "lasts", "every", "job", "quick", "events", "log"}
_TOLD = frozenset(
    {"guest started", "guest stopped", "guest migrated", "guest moved", "node goes down", "node off", "node up", "magic packet sent",
     "HA request", "HA recovered"}
)  # fmt: skip
_GUEST_PATH = re.compile(r"/nodes/[^/]+/(?:qemu|lxc)/([0-9]+)/")
_WORDS = {"none": None, "true": True, "false": False}


@dataclass(frozen=True, kw_only=True)
class Scenario:
    name: str
    cluster: dict[str, Any]
    pvectl: str
    events: tuple[str, ...]
    log: str
    hosts: tuple[str, ...] = ()
    week: date = date(2026, 11, 30)
    begins: str = "Tue 18:00"
    lasts: str = "24h"
    every: str = "10m"
    job: str = "idle-check"
    quick: bool = False

    def moment(self, text: str) -> float:
        """Epoch seconds of a day and hour of its week, "Tue 22:00" or "Tue 22:00:04"."""
        day, hour = text.split()
        parts = zip(("hours", "minutes", "seconds"), (int(part) for part in hour.split(":")), strict=False)
        monday = datetime(self.week.year, self.week.month, self.week.day, tzinfo=UTC)
        return (monday + timedelta(days=DAYS.index(day), **dict(parts))).timestamp()


class Killed(BaseException):
    """The run is gone: nothing catches this."""


def names() -> list[str]:
    """The scenarios there are."""
    return sorted(file.stem for file in FOLDER.glob("*.yml"))


def load(name: str) -> Scenario:
    """Read a scenario; a key that means nothing is an error."""
    values = yaml.safe_load((FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    if unknown := set(values) - _KEYS:
        raise ValueError(f"{name}.yml: no scenario has {', '.join(sorted(unknown))}")
    values.pop("about")
    values["events"] = tuple((values.get("events") or "").splitlines())
    values["hosts"] = tuple(values.get("hosts") or ())
    return Scenario(**({"name": name, "log": ""} | values))


def play(scenario: Scenario, folder: Path) -> str:
    """The log of the whole scenario."""
    begins = scenario.moment(scenario.begins)
    with Stage(folder, scenario.cluster, pvectl=scenario.pvectl, hosts=scenario.hosts, start=begins) as stage:
        teller = _Teller(stage, seconds=scenario.job != "idle-check")
        play_ = _Play(stage, teller, scenario)
        for line in scenario.events:
            day, hour, rest = line.split(maxsplit=2)
            when, words = scenario.moment(f"{day} {hour}"), shlex.split(rest)
            if not begins <= when <= begins + parse_duration(scenario.lasts):
                raise ValueError(f"{scenario.name}: {line!r} lies outside the scenario")
            stage.clock.at(when, play_.event(line, words))
        ends = begins + parse_duration(scenario.lasts)
        every = parse_duration(scenario.every)
        run_at = begins + every
        while run_at <= ends:
            # a run that took longer than the timer's interval swallows the next one, as with cron and systemd
            if run_at >= stage.now:
                stage.advance(run_at - stage.now)
                if run_at >= play_.silent_until:
                    play_.run()
            run_at += every
        teller.catch_up()
    return "".join(f"{line}\n" for line in teller.lines)


def rewrite(name: str, log: str) -> bool:
    """Put this log into the file, for a person to review; whether it was another one before."""
    file = FOLDER / f"{name}.yml"
    text = file.read_text(encoding="utf-8")
    head, found, _ = text.partition("\nlog: |\n")
    head = head if found else text.rstrip("\n")
    new = head + "\nlog: |\n" + "".join(f"  {line}\n" for line in log.splitlines())
    file.write_text(new, encoding="utf-8")
    return new != text


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line to be: `place` orders what comes in one moment, `guest` is the only one it is about."""

    at: float
    place: int
    text: str
    guest: int | None = None


@dataclass
class _Teller:
    """Writes the log, always in the order in which things happened."""

    stage: Stage
    seconds: bool = False
    lines: list[str] = field(default_factory=list)
    _events: int = 0
    _writes: int = 0

    def say(self, text: str, *, at: float | None = None) -> None:
        self.catch_up()
        self._line(text, self.stage.now if at is None else at)

    def catch_up(self) -> None:
        """Tell what the cluster has done, and what it was asked to do, since the last time."""
        events, writes = self.stage.cluster.log, self.stage.server.writes()
        # in one and the same moment a guest goes down first, then pvectl, who saw it, asks for something, and then that happens
        told = [Line(at=record.at, place=1, text=_asked(record), guest=_guest_asked(record)) for record in writes[self._writes :]]
        for event in events[self._events :]:
            if event.what in _TOLD:
                place = 0 if event.what == "guest stopped" else 2
                told.append(Line(at=event.at, place=place, text=_happened(event), guest=_guest_of(event)))
        self._events, self._writes = len(events), len(writes)
        for line in in_turn(told):
            self._line(line.text, line.at)

    def _line(self, text: str, at: float) -> None:
        moment = datetime.fromtimestamp(at, UTC)
        self.lines.append(f"{DAYS[moment.weekday()]} {moment:{'%H:%M:%S' if self.seconds else '%H:%M'}} {text}")


@dataclass
class _Play:
    stage: Stage
    teller: _Teller
    scenario: Scenario
    silent_until: float = 0.0
    _words: tuple[str, ...] = ()
    _said: dict[str, tuple[str, float]] = field(default_factory=dict)
    _code: int = 0
    _runs: bool = False

    def run(self) -> None:
        """One firing of the timer."""
        self._runs = True
        try:
            ended = self.stage.pvectl(self.scenario.job, "-o", "json", *self._words)
        except Killed:
            return
        finally:
            self._runs = False
        self.teller.catch_up()
        document = ended.json if ended.out else {"data": [], "errors": [{"code": "no JSON", "message": ended.err}]}
        for row in document["data"] or ():
            (self._tell if self.scenario.job == "idle-check" else self._tell_schedule)(row)
        if ended.code != self._code:
            kinds = sorted({error["code"] for error in document["errors"]})
            self.teller.say(f"exit {ended.code}" + (f" ({', '.join(kinds)})" if kinds else ""))
            self._code = ended.code
        if ended.code == 70:
            raise AssertionError(ended.err)

    def event(self, line: str, words: Sequence[str]) -> Callable[[], None]:
        """What the line of the file says, ready to happen."""
        verb, *rest = words

        def happen() -> None:
            self.teller.say("* " + line.split(maxsplit=2)[2])
            self._do(verb, rest)

        return happen

    def _tell(self, node: dict[str, Any]) -> None:
        blockers = sorted({blocker["subject"] for blocker in node["blockers"]})
        short = f"{node['phase']} {node['verdict']} {node['reason']}" + (f" [{' '.join(blockers)}]" if blockers else "")
        before, credit = self._said.get(node["node"], ("", 0.0))
        self._said[node["node"]] = short, node["credit_s"]
        if before != short or node["credit_s"] < credit:
            counted = f" {_minutes(node['credit_s'])}/{_minutes(node['grace_s'])}" if node["phase"] in ("idle", "notice", "drain") else ""
            self.teller.say(f"{node['node']} {short}{counted}")

    def _tell_schedule(self, row: dict[str, Any]) -> None:
        if row["reason"] == "not-yet":
            return
        told = [f"{row['schedule']} {row['local']}: {row['state']} {row['reason']}"]
        for stage in row["stages"]:
            guests = [f"{one['vmid']} {_word(one)}" for one in stage["guests"]]
            told.append(f"  {stage['name']}: {', '.join(guests) if stage['begun'] else 'not begun'}")
        told += [f"  {node['node']}: {node['verdict']} {node['reason']}" for node in row["power_off"]]
        before, _ = self._said.get(row["schedule"], ("", 0.0))
        self._said[row["schedule"]] = "\n".join(told), 0.0
        for line in told if "\n".join(told) != before else ():
            self.teller.say(line)

    def _do(self, verb: str, rest: list[str]) -> None:
        stage = self.stage
        match verb:
            case "admin":
                answer = stage.admin(rest[0], int(rest[1]))
                if answer.status != 200:
                    self.teller.say(f"  {answer.status} {answer.reason}")
            case "press-reset":
                stage.cluster.crash_node(rest[0])
                stage.cluster.wake(rest[0])
            case "fault":
                stage.server.fault(rest[0], **_named(rest[1:]))
            case "clear-faults":
                stage.server.clear_faults()
            case "pvectl":
                code = stage.pvectl(*rest).code
                if code:
                    self.teller.say(f"  exit {code}")
            case "words":
                self._words = tuple(rest)
            case "edit":
                old, new = rest
                assert old in stage.configuration, f"pvectl.yml has no {old!r}"
                stage.configure(stage.configuration.replace(old, new))
            case "clock":
                stage.clock.wall_ahead += _signed(rest[0])
            case "runner-reboots":
                stage.clock.reboot()
            case "kill-run":
                assert self._runs, "no run is under way that could be killed"
                raise Killed
            case "no-runs":
                self.silent_until = stage.now + parse_duration(rest[0])
            case "next-backup":
                job = next(job for job in stage.cluster.world.backup_jobs if job["id"] == rest[0])
                job["next-run"] = int(self.scenario.moment(rest[1]))
            case "state":
                _spoil(stage.state, rest[0])
            case _:
                change = getattr(SimCluster, verb.replace("-", "_"))
                change(stage.cluster, *(_value(word) for word in rest if "=" not in word), **_named(rest))
                stage.server.sync()


def _spoil(state: Path, how: str) -> None:
    for file in state.rglob("state.db*"):
        if how == "gone":
            file.unlink()
        elif file.suffix == ".db":
            file.write_bytes(b"this is no database\n" * 50)


def in_turn(lines: Iterable[Line]) -> list[Line]:
    """The lines in the order in which it all happened, and by vmid where several guests have their turn in one moment.

    Guests are asked in parallel, so that the order between them is chance; that of all else, and of what one guest goes through, is not.
    """
    told: list[Line] = []
    parallel: list[Line] = []
    for line in sorted(lines, key=lambda line: (line.at, line.place)):
        if parallel and (line.guest is None or (line.at, line.place) != (parallel[0].at, parallel[0].place)):
            told, parallel = [*told, *sorted(parallel, key=_vmid)], []
        (told if line.guest is None else parallel).append(line)
    return [*told, *sorted(parallel, key=_vmid)]


def _vmid(line: Line) -> int:
    return line.guest or 0


def _guest_asked(record: Record) -> int | None:
    """The guest that a request asks to go down, start or change; None for one about a node or the cluster."""
    found = _GUEST_PATH.match(record.path)
    return int(found[1]) if found else None


def _guest_of(event: Event) -> int | None:
    return int(event.subject) if event.what.startswith("guest ") else None


def _asked(record: Record) -> str:
    params = "".join(f" {key}={value}" for key, value in sorted(record.params.items()))
    return f"{record.method} {record.path}{params} -> {record.status or record.fault or 'no answer'}"


def _happened(event: Event) -> str:
    return f"{event.what} {event.subject}" + (f" ({event.detail})" if event.detail else "")


def _word(guest: dict[str, Any]) -> str:
    """What became of a guest of a schedule, and why where that is not because its time had come."""
    return guest["status"] if guest["reason"] == "scheduled" else f"{guest['status']} {guest['reason']}"


def _minutes(seconds: float) -> str:
    return f"{round(seconds / 60, 1):g}m"


def _signed(text: str) -> float:
    return parse_duration(text.lstrip("+-")) * (-1 if text.startswith("-") else 1)


def _named(words: Sequence[str]) -> dict[str, Any]:
    return dict(_pairs(words))


def _pairs(words: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for word in words:
        key, found, value = word.partition("=")
        if found:
            yield key, _value(value)


def _value(word: str) -> Any:
    if word in _WORDS:
        return _WORDS[word]
    try:
        return int(word)
    except ValueError:
        pass
    if word[:1] in "{[":
        return yaml.safe_load(word)
    return word
