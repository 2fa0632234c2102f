"""The recorded answers of a real Proxmox VE API, as values."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "recordings"
VERSIONS = ("8.4", "9.2")


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One recorded call: what was sent and what came back."""

    version: str
    group: str
    name: str
    fields: dict[str, Any]

    @property
    def key(self) -> str:
        return f"{self.version}/{self.group}/{self.name}"

    @property
    def method(self) -> str:
        return str(self.fields["method"])

    @property
    def url(self) -> str:
        return spelled_out(self.fields["url"])

    @property
    def request_body(self) -> str | None:
        body = self.fields.get("request_body")
        return None if body is None else spelled_out(body)

    @property
    def request_headers(self) -> dict[str, str]:
        return {name: spelled_out(value) for name, value in (self.fields.get("request_headers") or {}).items()}

    def get(self, field: str) -> Any:
        return self.fields.get(field)


def spelled_out(text: str | list[list[Any]]) -> str:
    """Text as it was sent; long runs of one letter are kept as [[text, times], …]."""
    if isinstance(text, str):
        return text
    return "".join(piece * times for piece, times in text)


@functools.cache
def groups(version: str) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (FOLDER / f"pve-{version}").glob("*.json")))


@functools.cache
def group_of(version: str, group: str) -> tuple[Recording, ...]:
    """The calls of one group, in the order in which they were made."""
    rows = json.loads((FOLDER / f"pve-{version}" / f"{group}.json").read_text("utf-8"))
    return tuple(Recording(version=version, group=group, name=row["name"], fields=row) for row in rows)


def all_recordings() -> list[Recording]:
    return [recording for version in VERSIONS for group in groups(version) for recording in group_of(version, group)]


def one(version: str, group: str, name: str) -> Recording:
    return next(recording for recording in group_of(version, group) if recording.name == name)
