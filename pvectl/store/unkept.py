"""Which messages went out while nothing could be written down: an empty file for each, since a name takes no room on a full disk."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pvectl.store.places import cluster_dir

_NAME = "alert.told-"
_ID = re.compile(r"\A[0-9a-f]{1,64}\Z")
_KEPT_FOR = timedelta(days=1)


def told_unkept(directory: Path, cluster: str, *, since: datetime) -> frozenset[str]:
    """The ids of those that went out since then, as far as it could be noted."""
    return frozenset(id_ for id_, at in _notes(cluster_dir(directory, cluster)) if at >= since)


def note_unkept(directory: Path, cluster: str, ids: Iterable[str], *, at: datetime) -> bool:
    """Note that these went out; False when at least one could not be noted, as where nothing may be written at all."""
    folder = cluster_dir(directory, cluster)
    noted = True
    for id_ in ids:
        if not _ID.match(id_):
            raise ValueError(f"{id_!r} is no message's id")
        try:
            path = folder / (_NAME + id_)
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600))
            os.utime(path, (at.timestamp(), at.timestamp()), follow_symlinks=False)
        except OSError:
            noted = False
    return noted


def forget_unkept(folder: Path, *, now: datetime) -> None:
    """Take away the notes nobody will ask for: a message that is still due after a day is told anew."""
    for id_, at in _notes(folder):
        if abs(now - at) > _KEPT_FOR:
            with suppress(OSError):
                (folder / (_NAME + id_)).unlink()


def _notes(folder: Path) -> list[tuple[str, datetime]]:
    try:
        found = [(entry.name.removeprefix(_NAME), entry) for entry in os.scandir(folder) if entry.name.startswith(_NAME)]
        moments = [(id_, entry.stat(follow_symlinks=False).st_mtime) for id_, entry in found if _ID.match(id_)]
    except OSError:
        # what cannot be seen is sent once more, under the same id
        return []
    return [(id_, datetime.fromtimestamp(moment, UTC)) for id_, moment in moments]
