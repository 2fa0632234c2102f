"""What differs between a recorded answer and the one just seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# Values that belong to the day of the recording: kinds and keys count, values do not.
PASSING = frozenset(
    [
        "CSRFPreventionToken",
        "avail",
        "available",
        "cgroup-mode",
        "content",
        "cpu",
        "digest",
        "disk",
        "endtime",
        "free",
        "hvm",
        "ip",
        "kversion",
        "loadavg",
        "localtime",
        "maxdisk",
        "mem",
        "memhost",
        "netin",
        "netout",
        "pid",
        "pstart",
        "release",
        "serverid",
        "ssl_fingerprint",
        "starttime",
        "ticket",
        "time",
        "total",
        "uptime",
        "used",
    ]
)
# PVE itself sends these once as 0 and once as 0.73.
INT_OR_FLOAT = frozenset({"cpu", "wait"})
ROW_KEYS = ("upid", "id", "vmid", "sid", "userid", "roleid", "poolid", "tokenid", "key", "name", "subdir", "store", "storage", "node")


def in_json(recorded: Any, seen: Any, path: str = "", *, passing: frozenset[str] = PASSING) -> list[str]:
    """Differences in kinds, key sets, rows, and those values that do not belong to the day of the recording."""
    key = path.rpartition(".")[2].partition("[")[0]
    if kind(recorded) != kind(seen):
        if {kind(recorded), kind(seen)} == {"integer", "float"} and key in INT_OR_FLOAT:
            return []
        if key == "saved" and str(recorded) == str(seen):
            # a number for the task that ended last, a string for all before it (both in one recorded answer)
            return []
        return [f"kind {path or '.'}: recorded {kind(recorded)} {short(recorded)}, seen {kind(seen)} {short(seen)}"]
    if isinstance(recorded, dict):
        found = [f"key {path}.{name}: recorded, not seen" for name in sorted(recorded.keys() - seen.keys())]
        found += [f"key {path}.{name}: seen, not recorded" for name in sorted(seen.keys() - recorded.keys())]
        for name in sorted(recorded.keys() & seen.keys()):
            found += in_json(recorded[name], seen[name], f"{path}.{name}", passing=passing)
        return found
    if isinstance(recorded, list):
        return in_rows(recorded, seen, path, passing=passing)
    if key in passing or recorded == seen or (str(recorded).startswith("UPID:") and same_kind_of_task(recorded, seen)):
        return []
    return [f"value {path or '.'}: recorded {short(recorded)}, seen {short(seen)}"]


def in_rows(recorded: list[Any], seen: list[Any], path: str, *, passing: frozenset[str]) -> list[str]:
    """Rows are matched by what identifies them; a list of plain values or of rows without identity is compared as a whole."""
    if not all(isinstance(row, dict) for row in (*recorded, *seen)):
        if all(isinstance(value, str | int | float) for value in (*recorded, *seen)):
            key = path.rpartition(".")[2]
            if {kind(value) for value in recorded} != {kind(value) for value in seen}:
                return [f"kind {path}: recorded {short(recorded)}, seen {short(seen)}"]
            return [] if key in passing or recorded == seen else [f"value {path}: recorded {short(recorded)}, seen {short(seen)}"]
        return [f"kind {path}: recorded {short(recorded)}, seen {short(seen)}"] if recorded != seen else []
    identity = identity_of(recorded, seen)
    if identity is None:
        return in_shapes(recorded, seen, path)
    there, here = ({identified(row, identity): row for row in rows} for rows in (recorded, seen))
    found = [f"row {path}[{name}]: recorded, not seen" for name in sorted(there.keys() - here.keys())]
    found += [f"row {path}[{name}]: seen, not recorded" for name in sorted(here.keys() - there.keys())]
    if identity == ("upid",) and there.keys() == here.keys() and list(there) != list(here):
        found.append(f"order {path}: recorded {list(there)}, seen {list(here)}")
    for name in sorted(there.keys() & here.keys()):
        found += in_json(there[name], here[name], f"{path}[{name}]", passing=passing | {"value"} if name in passing else passing)
    return found


def same_kind_of_task(recorded: str, seen: str) -> bool:
    """Node, kind, subject and user of two task ids agree; process and time are of the day."""
    there, here = recorded.split(":"), seen.split(":")
    return (there[1], *there[5:]) == (here[1], *here[5:])


def identity_of(recorded: list[Any], seen: list[Any]) -> tuple[str, ...] | None:
    for keys in (*((key,) for key in ROW_KEYS), ("path", "ugid", "roleid"), ("vmid", "dev")):
        if all(key in row for row in (*recorded, *seen) for key in keys):
            for rows in (recorded, seen):
                if len({identified(row, keys) for row in rows}) != len(rows):
                    break
            else:
                return keys
    return None


def identified(row: dict[str, Any], keys: tuple[str, ...]) -> str:
    return " ".join(str(row[key]) for key in keys)


def in_shapes(recorded: list[Any], seen: list[Any], path: str) -> list[str]:
    """Rows without identity (history): the kinds of every key, whichever row it is in; averages are whole numbers by chance."""
    if bool(recorded) != bool(seen):
        return [f"row {path}: recorded {len(recorded)}, seen {len(seen)}"]
    there, here = shape(recorded), shape(seen)
    found = [f"key {path}[].{name}: recorded, not seen" for name in sorted(there.keys() - here.keys())]
    found += [f"key {path}[].{name}: seen, not recorded" for name in sorted(here.keys() - there.keys())]
    return found + [
        f"kind {path}[].{name}: recorded {sorted(there[name])}, seen {sorted(here[name])}"
        for name in sorted(there.keys() & here.keys())
        if there[name] != here[name] and not (there[name] | here[name]) <= {"integer", "float"}
    ]


def shape(rows: Iterable[dict[str, Any]]) -> dict[str, set[str]]:
    kinds: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row.items():
            kinds.setdefault(name, set()).add(kind(value))
    return kinds


def kind(value: Any) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", int: "integer", float: "float", str: "string", list: "list", dict: "object"}[type(value)]


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:160]}…"
