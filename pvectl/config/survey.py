"""Everything there is to say about one configuration directory, problems of all its files at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from pvectl.config.clusters import Connections, check_files
from pvectl.config.fetching import Secrets
from pvectl.config.load import Jobs, load_connections, read_jobs
from pvectl.config.places import CONNECTIONS, JOBS
from pvectl.config.problems import ConfigProblems, Problem
from pvectl.config.receivers import problems_of, sources_of
from pvectl.config.remarks import nearest_mark, remarks_on
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
    if connections is not None and jobs is not None:
        looking.at_receivers(jobs, str(directory / JOBS), Secrets(directory, env, connections.secrets))
    return Survey(
        directory=directory,
        files={name: (directory / name).exists() for name in (CONNECTIONS, JOBS)},
        connections=connections,
        jobs=jobs.file if jobs else None,
        problems=tuple(looking.problems),
        faults=tuple(looking.faults),
        remarks=_remarks(connections, jobs, directory),
    )


def _remarks(connections: Connections | None, jobs: Jobs | None, directory: Path) -> tuple[Problem, ...]:
    if jobs is None:
        return ()
    remarks = remarks_on(jobs.file, jobs.marks, str(directory / JOBS))
    if connections is None:
        return remarks
    used = {source.secret for _, source in sources_of(jobs.file.alert)}
    unused = [(f"secrets.{name}", nearest_mark(f"secrets.{name}", connections.marks)) for name in connections.secrets if name not in used]
    message, hint = "is used by no receiver", "take it out, or name it in pvectl.yml: {secret: NAME}"
    file = str(connections.path)
    return (
        *(Problem(file=file, line=mark.line, column=mark.column, path=path, message=message, hint=hint) for path, mark in unused),
        *remarks,
    )


class _Looking:
    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.faults: list[ConfigError | UnsafeFile] = []

    def at_receivers(self, jobs: Jobs, file: str, source: Secrets) -> None:
        """What the section names has to be there; what is open to others is told once, however often it is named."""
        for key, error in problems_of(jobs.file.alert, source):
            if isinstance(error, UnsafeFile):
                if error.message not in {fault.message for fault in self.faults}:
                    self.faults.append(error)
                continue
            mark = nearest_mark(f"alert.{key}", jobs.marks)
            self.problems.append(
                Problem(file=file, line=mark.line, column=mark.column, path=f"alert.{key}", message=error.message, hint=error.hint)
            )

    def tried(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ConfigProblems as error:
            self.problems.extend(error.problems)
        except (ConfigError, UnsafeFile) as error:
            self.faults.append(error)
        return None
