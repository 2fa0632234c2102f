"""Events on stderr: a readable line on a terminal, JSON elsewhere, the journal's priorities under systemd; never a secret."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from pvectl.core.secret import Secret
from pvectl.core.text import clean

DEBUG, INFO, WARNING, ERROR, NOTHING = 10, 20, 30, 40, 100
_NAMES = {DEBUG: "debug", INFO: "info", WARNING: "warning", ERROR: "error"}
_JOURNAL = {DEBUG: "<7>", INFO: "<6>", WARNING: "<4>", ERROR: "<3>"}
_SECRET_WORDS = ("token", "secret", "password", "authorization")


def threshold(*, quiet: bool, verbose: int, terminal: bool) -> int:
    """The least level that is shown: nothing to a person at a terminal, who sees the result itself; errors with `--quiet`; else changes."""
    if verbose:
        return INFO if verbose == 1 and terminal else DEBUG
    if terminal:
        return NOTHING
    return ERROR if quiet else INFO


class Log:
    """Writes events with fields. structlog, which takes 100 ms to import, is loaded by the first event that is shown.

    Every event carries the fields bound at the start of the run (`run_id`, `cluster`, …). Values are cleaned of control codes, and a field
    whose name or value is a secret shows `***`.
    """

    def __init__(self, stream: TextIO | None = None, *, level: int = INFO, env: Mapping[str, str] | None = None, **bound: object) -> None:
        self._stream = stream or sys.stderr
        self._level = level
        self._env = os.environ if env is None else env
        self._bound = bound
        self._logger: Any = None

    def bind(self, **fields: object) -> Log:
        """The same log with more fields on every event."""
        return Log(self._stream, level=self._level, env=self._env, **{**self._bound, **fields})

    def debug(self, event: str, **fields: object) -> None:
        self._emit(DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._emit(INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._emit(WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._emit(ERROR, event, fields)

    def _emit(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        if level < self._level:
            return
        if self._logger is None:
            self._logger = _structlog(self._stream, journal=bool(self._env.get("JOURNAL_STREAM")), colour=not self._env.get("NO_COLOR"))
        shown = {key: _safe(key, value) for key, value in {**self._bound, **fields}.items()}
        with contextlib.suppress(OSError, ValueError):  # a log nobody can write must not end what it tells of
            getattr(self._logger, _NAMES[level])(event, **shown)


def _safe(key: str, value: object) -> object:
    if isinstance(value, Secret) or (any(word in key for word in _SECRET_WORDS) and not key.endswith("_id")):
        return "***"
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_safe(key, one) for one in value]
    return clean(str(value))


def _structlog(stream: TextIO, *, journal: bool, colour: bool) -> Any:
    import structlog

    shared: list[Any] = [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    if stream.isatty():
        rendering: list[Any] = [structlog.dev.ConsoleRenderer(colors=colour, exception_formatter=structlog.dev.plain_traceback)]
    else:
        rendering = [structlog.processors.JSONRenderer(sort_keys=False)]
        if journal:
            rendering.append(_with_priority)
    return structlog.wrap_logger(structlog.PrintLogger(stream), processors=[*shared, *rendering])


def _with_priority(_: Any, method: str, line: str) -> str:
    levels = {name: level for level, name in _NAMES.items()}
    return _JOURNAL[levels[method]] + line
