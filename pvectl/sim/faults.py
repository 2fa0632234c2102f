"""Everything that can go wrong between a client and a Proxmox VE node, on demand.

    rule = server.fault("truncate", path="/cluster/resources", times=1, keep=100)

A fault answers (or spoils the answer of) the requests that match path, method and node; both are shell globs in which `*` also
matches slashes. `times` is how often it strikes; None is until `clear_faults()`. Of several that match, the oldest strikes; `latency`,
`slow_accept` and `close_idle` go together with any other. `execute` says whether the cluster carries the request out all the same:
that is what makes "the answer was lost" differ from "the request was lost".
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pvectl.sim.answer_faults import (
    Body,
    DuplicateKeys,
    EmptyBody,
    EmptyObject,
    Gzip,
    GzipBomb,
    Html,
    ListBody,
    Nan,
    NoData,
    NullBody,
    OtherNode,
    Redirect,
    Stale,
    Status,
    WrongContentType,
)
from pvectl.sim.connection_faults import (
    CloseIdle,
    Drip,
    ExtraAnswer,
    Garbage,
    Hang,
    HeaderFlood,
    Huge,
    Latency,
    Mute,
    Refuse,
    Reset,
    SlowAccept,
    Truncate,
    WrongLength,
)
from pvectl.sim.mischief import Fault

KINDS: dict[str, type[Fault]] = {
    "refuse": Refuse,
    "slow_accept": SlowAccept,
    "mute": Mute,
    "latency": Latency,
    "close_idle": CloseIdle,
    "hang": Hang,
    "drip": Drip,
    "reset": Reset,
    "truncate": Truncate,
    "html": Html,
    "body": Body,
    "empty_body": EmptyBody,
    "empty_object": EmptyObject,
    "null_body": NullBody,
    "list_body": ListBody,
    "no_data": NoData,
    "nan": Nan,
    "duplicate_keys": DuplicateKeys,
    "huge": Huge,
    "gzip": Gzip,
    "gzip_bomb": GzipBomb,
    "redirect": Redirect,
    "status": Status,
    "wrong_content_type": WrongContentType,
    "other_node": OtherNode,
    "stale": Stale,
    "garbage": Garbage,
    "header_flood": HeaderFlood,
    "wrong_length": WrongLength,
    "extra_answer": ExtraAnswer,
}

_CHOICES: dict[tuple[str, str], frozenset[str]] = {
    ("hang", "after"): frozenset({"request", "headers", "body"}),
    ("drip", "where"): frozenset({"head", "body"}),
    ("close_idle", "how"): frozenset({"fin", "rst"}),
    ("header_flood", "of"): frozenset({"headers", "line", "continue"}),
    ("wrong_length", "how"): frozenset({"short", "long", "negative", "text", "two"}),
}


@dataclass(kw_only=True)
class Rule:
    """A fault and the requests it is meant for."""

    kind: str
    fault: Fault
    path: str
    method: str
    node: str
    left: int | None
    execute: bool
    hits: int = 0
    struck: threading.Event = field(default_factory=threading.Event)
    """Set at the first hit: what a test waits for instead of sleeping."""

    def fits(self, *, node: str, method: str, path: str) -> bool:
        if self.left == 0 or not fnmatchcase(node, self.node):
            return False
        return self.fault.stage == "connect" or (fnmatchcase(method, self.method) and fnmatchcase(path, self.path))


class FaultTable:
    """The faults in force, oldest first; safe to use from several threads."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._lock = threading.Lock()

    def add(
        self, kind: str, *, path: str = "*", method: str = "*", node: str = "*", times: int | None = None, **details: Any
    ) -> Rule:
        """Raises ValueError for a kind or a detail that does not exist, with the ones that do."""
        fault, execute = _make(kind, details)
        if fault.stage == "connect" and (path, method) != ("*", "*"):
            raise ValueError(f"{kind} strikes connections, before there is a path or a method: choose by node and times")
        if times is not None and times < 1:
            raise ValueError(f"times is 1 or more, or None for always; got {times}")
        rule = Rule(kind=kind, fault=fault, path=path, method=method.upper(), node=node, left=times, execute=execute)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()

    def take(self, stage: str, *, node: str, method: str = "*", path: str = "*") -> Iterator[Rule]:
        """Yield the rules of that stage that strike now, using each up by one; of the stage "answer" the oldest only."""
        with self._lock:
            hit = [rule for rule in self._rules if rule.fault.stage == stage and rule.fits(node=node, method=method, path=path)]
            if stage == "answer":
                hit = hit[:1]
            for rule in hit:
                rule.hits += 1
                rule.left = None if rule.left is None else rule.left - 1
                rule.struck.set()
        return iter(hit)

    def closes_port(self, node: str) -> bool:
        """Whether the node's port is closed by an uncounted `refuse`."""
        with self._lock:
            return any(rule.kind == "refuse" and rule.left is None and fnmatchcase(node, rule.node) for rule in self._rules)

    @property
    def empty(self) -> bool:
        return not self._rules


def _make(kind: str, details: dict[str, Any]) -> tuple[Fault, bool]:
    make: Callable[..., Fault] | None = KINDS.get(kind)
    if make is None:
        raise ValueError(f"no fault named {kind!r}; known are {', '.join(sorted(KINDS))}")
    execute: bool | None = details.pop("execute", None)
    known = {entry.name for entry in dataclasses.fields(KINDS[kind])}
    if unknown := sorted(set(details) - known):
        raise ValueError(f"{kind} has no {', '.join(unknown)}; its details are {', '.join(sorted(known | {'execute'}))}")
    for (name, detail), choices in _CHOICES.items():
        if name == kind and details.get(detail, min(choices)) not in choices:
            raise ValueError(f"{kind}: {detail} is one of {', '.join(sorted(choices))}; got {details[detail]!r}")
    try:
        fault = make(**details)
    except TypeError as error:
        raise ValueError(f"{kind}: {error}") from None
    return fault, fault.carries_out() if execute is None else execute
