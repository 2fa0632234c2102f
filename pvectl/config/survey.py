"""Everything there is to say about one configuration directory, problems of all its files at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from pvectl.config.clusters import Connections, check_files
from pvectl.config.load import load_connections, read_jobs
from pvectl.config.places import CONNECTIONS, JOBS
from pvectl.config.problems import ConfigProblems, Problem
from pvectl.config.remarks import remarks_on
from pvectl.config.schema import PvectlFile
from pvectl.errors import ConfigError, UnsafeFile

T = TypeVar("T")


class Survey(Struct, frozen=True, kw_only=True):
    """What was read, what is wrong, and what is only remarkable. `files`: those looked at, False when not there and not needed."""

    directory: Path
    files: Mapping[str, bool]
    connections: Connections | None
    jobs: PvectlFile | None
    problems: tuple[Problem, ...] = ()
    faults: tuple[ConfigError | UnsafeFile, ...] = ()
    remarks: tuple[Problem, ...] = ()


def survey(directory: Path, env: Mapping[str, str]) -> Survey:
    """Read both files of a directory and the files they name; no program is started and no host is asked."""
    looking = _Looking()
    connections = looking.tried(lambda: load_connections(directory, env))
    if connections is not None:
        for name in connections.clusters:
            looking.tried(partial(check_files, connections, name, env))
    jobs = looking.tried(lambda: read_jobs(directory))
    return Survey(
        directory=directory,
        files={name: (directory / name).exists() for name in (CONNECTIONS, JOBS)},
        connections=connections,
        jobs=jobs.file if jobs else None,
        problems=tuple(looking.problems),
        faults=tuple(looking.faults),
        remarks=remarks_on(jobs.file, jobs.marks, str(directory / JOBS)) if jobs else (),
    )


class _Looking:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.faults: list[ConfigError | UnsafeFile] = []

    def tried(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ConfigProblems as error:
            self.problems.extend(error.problems)
        except (ConfigError, UnsafeFile) as error:
            self.faults.append(error)
        return None
