"""Translates the configuration of the prototype pvectl grew from: the pvectl.yml it amounts to, and what was dangerous about it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from pvectl.config.document import Entry, Mapping, Node, Scalar, Sequence
from pvectl.config.durations import show_duration
from pvectl.config.load import read_document
from pvectl.config.problems import shown, shown_key
from pvectl.core.schedules.when import ScheduleError, parse_time
from pvectl.core.select import HIGHEST_VMID, LOWEST_VMID
from pvectl.errors import ConfigError

_SCHEDULE = frozenset({"shutdown_time", "shutdown_order", "excluded_vms"})
_IDLE = frozenset({"monitored_nodes", "min_uptime"})
_TAGS = ("tag", "required_tag", "safe_shutdown_tag", "shutdown_tag")
_DEFAULT_TAG = "safe-shutdown"
_NODE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?")
_TAG = re.compile(r"[a-z0-9_][a-z0-9_+.-]*")
_NAME = re.compile(r"[^A-Za-z0-9_.-]+")
# what YAML reads as a word, whichever version; a number, a truth value or nothing may look like one
_WORD = re.compile(r"(?!(?:true|false|yes|no|on|off|null|y|n)\Z)[A-Za-z][A-Za-z0-9_.-]*", re.IGNORECASE)
_LEAST_INTERVAL = 60
_DEADLINE = 1800
# a night has at most 23 hours until the next one where clocks are put forward
_LONGEST_WAIT, _MOST_WAITS = 4 * 3600, 20 * 3600
_DEEPEST = 4
_DAY_MINUTES = 1440


class Note(Struct, frozen=True, kw_only=True):
    """Something to know about one key of the old file; `line` counts from 1."""

    line: int
    key: str
    message: str


class Imported(Struct, frozen=True, kw_only=True):
    """The text of the pvectl.yml that a file amounts to, with its notes as comments; and the notes."""

    text: str
    notes: tuple[Note, ...]


def imported(file: Path, *, tz: str) -> Imported:
    """What this file of the prototype amounts to; times in it are taken to be in the time zone `tz`.

    Raises:
        ConfigError: it cannot be read, is no YAML, or has neither of the two services in it.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}", subject=f"file/{file}") from None
    document = read_document(content, str(file))
    sections = list(_sections(document, 0))
    idle = next((one for one in sections if _has(one, _IDLE)), None)
    schedule = next((one for one in sections if _has(one, _SCHEDULE)), None)
    if idle is None and schedule is None:
        hint = "it looks for shutdown_time or shutdown_order, and for monitored_nodes"
        raise ConfigError(f"{file} holds neither a scheduled nor an idle shutdown", hint=hint, subject=f"file/{file}")
    page = _Page(str(file))
    if idle is not None:
        _write_idle(page, idle)
    if schedule is not None:
        _write_schedule(page, schedule, tz)
    if any(one.get("proxmox") or one.get("token_value") for one in sections):
        page.lines += ["", "# The connection belongs into proxmox.yml, whose proxmox: section takes the old form: pvectl config init"]
    return Imported(text="\n".join(page.lines) + "\n", notes=tuple(page.notes))


class _Page:
    """The new file as it grows; a note stands above the line it is about."""

    def __init__(self, file: str) -> None:
        self.lines = [
            "# yaml-language-server: $schema=pvectl.schema.json",
            f"# Translated from {Path(file).name} by pvectl config import. Read the remarks before you use it: pvectl config check",
        ]
        self.notes: list[Note] = []

    def section(self, line: str) -> None:
        self.lines += ["", line]

    def put(self, depth: int, line: str, *notes: Note | None) -> None:
        pad = "  " * depth
        for note in notes:
            if note is not None:
                self.notes.append(note)
                self.lines.append(f"{pad}# line {note.line}, {note.key}: {note.message}")
        if line:
            self.lines.append(pad + line)


def _sections(node: Node | None, depth: int) -> Iterator[Mapping]:
    if isinstance(node, Mapping) and depth < _DEEPEST:
        yield node
        for entry in node.entries:
            yield from _sections(entry.value, depth + 1)


def _has(section: Mapping, keys: frozenset[str]) -> bool:
    return any(entry.key in keys for entry in section.entries)


def _write_idle(page: _Page, section: Mapping) -> None:
    old = _Old(section)
    page.section("idle_check:")
    page.put(1, f"enabled: {old.truth('enabled', default=True)}")
    was_dry = old.truth("dry_run", default=False)
    words = "the prototype shut the guests down even so; here nothing that writes leaves" if was_dry == "true" else "watch it first"
    page.put(1, "dry_run: true", old.note("dry_run", f"{words}; write false once `pvectl idle-check --explain` says what you expect"))
    nodes, node_notes = old.nodes("monitored_nodes")
    if not nodes:
        why = "an empty list meant the machine the service ran on, by its hostname; here it means none: name the nodes"
        node_notes.append(old.note("monitored_nodes", why))
    page.put(1, f"nodes: [{', '.join(map(_word, nodes))}]", *node_notes)
    _put_tag(page, 1, "tag", old)
    interval, interval_note = _interval(old)
    page.put(1, f"interval: {show_duration(interval)}", interval_note)
    grace, note = old.seconds("grace_period", 1800), None
    if grace < 2 * interval:
        note = old.note("grace_period", f"{show_duration(grace)} were two looks at most, and all between went unseen: three must fit in")
        grace = 2 * interval
    page.put(1, f"grace_period: {show_duration(grace)}", note)
    if interval >= 300:
        page.put(1, f"max_gap: {show_duration(3 * interval)}")
    uptime, note = old.seconds("min_uptime", 1800), None
    if uptime < 300:
        note = old.note("min_uptime", f"{show_duration(uptime)} leave nobody time to log in after a boot before the node goes off again")
        uptime = 300
    page.put(1, f"min_uptime: {show_duration(uptime)}", note)
    exclude, notes = old.vmids("excluded_vms")
    if exclude:
        page.put(1, f"exclude: [{', '.join(map(str, exclude))}]", *notes)
    page.put(1, "", *old.left(_IDLE | {"enabled", "dry_run", "check_interval", "grace_period", "excluded_vms", *_TAGS}))


def _write_schedule(page: _Page, section: Mapping, tz: str) -> None:
    old = _Old(section)
    interval, note = _interval(old)
    exclude, exclude_notes = old.vmids("excluded_vms")
    tag = old.tag()[0]
    page.section("scheduled_shutdown:")
    page.put(1, f"enabled: {old.truth('enabled', default=True)}")
    page.put(1, "dry_run: true", old.note("dry_run", "there was no rehearsal here; write false once the runs say what you expect"))
    page.put(1, f"interval: {show_duration(interval)}", note)
    page.put(1, "schedules:")
    page.put(2, "- name: nightly")
    page.put(3, f'at: "{_time(old)[0]}"', *_time(old)[1])
    page.put(3, f"tz: {tz}", old.note("shutdown_time", "was the local time of wherever the service ran; check the zone"))
    stages = _stages(old, exclude)
    why = "it began up to 5 minutes early and came two or three times; here it begins on time, once, and not after this"
    page.put(3, f"deadline: {show_duration(_DEADLINE + stages.waits)}", old.note("shutdown_time", why))
    if not stages.kept:
        page.put(3, f'select: ["@tag-{tag}"]', *stages.notes)
    if exclude:
        page.put(3, f"exclude: [{', '.join(map(str, exclude))}]", *exclude_notes)
    why = "stages shut guests down with this tag or without it; here those without it are left alone: tag them, or write null"
    _put_tag(page, 3, "require_tag", old, old.note("shutdown_order", why) if stages.kept else None)
    page.put(3, "# nodes: []", old.note("shutdown_time", "guests of every node were meant; nodes: [pve2] keeps a schedule to some"))
    timeout = min(max(old.seconds("grace_period", 120), 1), 3600)
    page.put(
        3, f"timeout: {show_duration(timeout)}", old.note("grace_period", "was never a grace period: it is how long each guest may take")
    )
    if stages.kept:
        why = "the next stage began after wait_after, whether this one was off or not; here it waits until all are seen off, or stays up"
        page.put(3, "stages:", old.note("shutdown_order", why), *stages.notes)
        for line in stages.kept:
            page.put(4, line)
    known = _SCHEDULE | {"enabled", "dry_run", "check_interval", "grace_period", *_TAGS}
    page.put(3, "", *old.left(known))


class _Stages(Struct, frozen=True, kw_only=True):
    kept: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    waits: int = 0


def _stages(old: _Old, exclude: list[int]) -> _Stages:
    """The old stages as lines; a guest is in the first that has it, and none that is excluded is in any.

    A wait behind the last of them delays nobody.
    """
    entry = old.section.get("shutdown_order")
    if entry is None or not isinstance(entry.value, Sequence):
        return _Stages()
    lines: list[str] = []
    notes: list[Note] = []
    seen = set(exclude)
    names: set[str] = set()
    waits: list[int] = []
    for number, item in enumerate(entry.value.items, 1):
        if not isinstance(item, Mapping):
            notes.append(Note(line=item.mark.line, key="shutdown_order", message="this stage is no map, and is left out"))
            continue
        stage = _Old(item)
        vmids, found = stage.vmids("vmids")
        notes += [note for note in found if note is not None]
        again = [vmid for vmid in vmids if vmid in seen]
        if again:
            why = f"{', '.join(map(str, again))} is excluded, or in a stage before it; a guest goes down once"
            notes.append(Note(line=item.mark.line, key="vmids", message=why))
        left = [vmid for vmid in dict.fromkeys(vmids) if vmid not in seen]
        seen |= set(left)
        if not left:
            notes.append(Note(line=item.mark.line, key="shutdown_order", message="this stage has no guest, and is left out"))
            continue
        name = _NAME.sub("-", stage.text("name") or f"stage-{number}").strip("-._")[:60] or f"stage-{number}"
        name = name if name not in names else f"{name}-{number}"
        names.add(name)
        wait = stage.seconds("wait_after", 30)
        if wait > _LONGEST_WAIT:
            why = f"{show_duration(wait)} leave no time for the stages behind it: {show_duration(_LONGEST_WAIT)} at most"
            notes.append(stage.note("wait_after", why))
            wait = _LONGEST_WAIT
        waits.append(wait)
        lines.append(f"- {{name: {_word(name)}, select: [{', '.join(map(str, left))}], wait_after: {show_duration(wait)}}}")
        notes += [note for note in stage.left(frozenset({"name", "vmids", "wait_after"})) if note is not None]
    return _Stages(kept=tuple(lines), notes=tuple(notes), waits=min(sum(waits[:-1]), _MOST_WAITS))


def _word(word: str) -> str:
    """A word that is to stay one: the tag `null` is no leave to shut everybody down."""
    return word if _WORD.fullmatch(word) else f'"{word}"'


def _put_tag(page: _Page, depth: int, key: str, old: _Old, *more: Note | None) -> None:
    tag, note = old.tag()
    page.put(depth, f"{key}: {_word(tag)}", note, *more)


def _interval(old: _Old) -> tuple[int, Note | None]:
    interval = old.seconds("check_interval", 300)
    if _LEAST_INTERVAL <= interval <= 86_400:
        return interval, None
    kept = min(max(interval, _LEAST_INTERVAL), 86_400)
    return kept, old.note("check_interval", f"{interval} s is not between a minute and a day")


def _time(old: _Old) -> tuple[str, list[Note | None]]:
    """The time of day, also where YAML 1.1 had made a number of it."""
    value = old.value("shutdown_time")
    if not isinstance(value, Scalar):
        return "22:00", [old.note("shutdown_time", "there was none; 22:00 is only a guess")]
    text = value.text.strip()
    notes: list[Note | None] = []
    number = re.fullmatch(r"[0-9]{1,5}", text)
    if number is not None:
        clock = _out_of_a_number(text)
        notes.append(old.note("shutdown_time", f"the number {text} is what YAML makes of {clock} without quotes"))
    else:
        parts = re.fullmatch(r"([0-9]{1,2})[:.]([0-9]{2})(?::[0-9]{2})?", text)
        clock = f"{int(parts[1]):02}:{parts[2]}" if parts else text
        if value.plain and not text.startswith("0"):
            notes.append(old.note("shutdown_time", "without quotes this was read as a number, and nothing was ever shut down: here it is"))
    try:
        return parse_time(clock), notes
    except ScheduleError:
        return "22:00", [old.note("shutdown_time", f"{shown(text)} is no time of day; 22:00 is only a guess")]


def _out_of_a_number(text: str) -> str:
    """The time YAML 1.1 makes this number of: 22:00 is 1320 minutes and 22:00:00 is 79200 seconds; 2200 and 0830 are no times to it."""
    number = int(text)
    minutes = number if number < _DAY_MINUTES else number // 60
    if text.startswith("0") or _DAY_MINUTES <= number < 3600 or minutes >= _DAY_MINUTES:
        return text
    return f"{minutes // 60:02}:{minutes % 60:02}"


class _Old:
    """A section of the old file, read as it was meant; what was written otherwise is noted."""

    def __init__(self, section: Mapping) -> None:
        self.section = section

    def value(self, key: str) -> Node | None:
        entry = self.section.get(key)
        return entry.value if entry is not None else None

    def note(self, key: str, message: str) -> Note:
        entry = self.section.get(key)
        return Note(line=entry.mark.line if entry is not None else self.section.mark.line, key=key, message=message)

    def text(self, key: str) -> str | None:
        value = self.value(key)
        return value.text if isinstance(value, Scalar) and value.kind != "null" else None

    def truth(self, key: str, *, default: bool) -> str:
        text = (self.text(key) or "").lower()
        words = {"yes": True, "on": True, "true": True, "no": False, "off": False, "false": False}
        return str(words.get(text, default)).lower()

    def seconds(self, key: str, default: int) -> int:
        text = self.text(key) or ""
        return int(text) if re.fullmatch(r"[0-9]{1,7}", text) else default

    def tag(self) -> tuple[str, Note | None]:
        key = next((key for key in _TAGS if self.text(key)), None)
        if key is None:
            return _DEFAULT_TAG, None
        tag = (self.text(key) or "").strip()
        if _TAG.fullmatch(tag):
            return tag, None
        if _TAG.fullmatch(tag.lower()):
            return tag.lower(), self.note(key, f"Proxmox VE stores tags in lower case, so {shown(tag)} never matched")
        return _DEFAULT_TAG, self.note(key, f"{shown(tag)} is no tag of Proxmox VE's")

    def vmids(self, key: str) -> tuple[list[int], list[Note | None]]:
        """The numbers in a list, also those that stood in quotes, which never matched any guest."""
        found, notes = [], list[Note | None]()
        for item in self._items(key):
            text = item.text.strip() if isinstance(item, Scalar) else ""
            if not re.fullmatch(r"[1-9][0-9]{2,8}", text) or not LOWEST_VMID <= int(text) <= HIGHEST_VMID:
                notes.append(Note(line=item.mark.line, key=key, message=f"{shown(text or 'a list or map')} is no vmid, and is left out"))
                continue
            if isinstance(item, Scalar) and item.kind == "str":
                what = "so this guest was shut down all the same" if key == "excluded_vms" else "so this guest was never found"
                notes.append(Note(line=item.mark.line, key=key, message=f"{text} stood in quotes, {what}"))
            found.append(int(text))
        return list(dict.fromkeys(found)), notes

    def nodes(self, key: str) -> tuple[list[str], list[Note | None]]:
        names, notes = [], list[Note | None]()
        for item in self._items(key):
            text = item.text.strip() if isinstance(item, Scalar) else ""
            name = text.partition(".")[0]
            if not _NODE.fullmatch(name):
                notes.append(Note(line=item.mark.line, key=key, message=f"{shown(text)} is no node's name, and is left out"))
                continue
            if name != text:
                notes.append(Note(line=item.mark.line, key=key, message=f"{shown(text)} has a domain, so it never matched the node {name}"))
            names.append(name)
        return list(dict.fromkeys(names)), notes

    def left(self, known: frozenset[str] | set[str]) -> list[Note | None]:
        """A note for each key that means nothing here."""
        return [
            Note(line=entry.mark.line, key=shown_key(entry.key) or "a key", message="is not translated: nothing here corresponds to it")
            for entry in self.section.entries
            if entry.key not in known and not _is_section(entry)
        ]

    def _items(self, key: str) -> list[Node]:
        value = self.value(key)
        if isinstance(value, Sequence):
            return value.items
        return [value] if isinstance(value, Scalar) and value.kind != "null" else []


def _is_section(entry: Entry) -> bool:
    return isinstance(entry.value, Mapping)
