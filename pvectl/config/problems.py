"""What is wrong in a configuration file, where it stands, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from pvectl.core.text import clean
from pvectl.errors import ConfigError

# the form of every secret PVE hands out; where one strayed into another key, a message must not repeat it
LIKE_A_TOKEN = re.compile(r"[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}(?![0-9A-Fa-f])")
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z_-]{0,31}")
_LONGEST_SHOWN = 48


class Problem(Struct, frozen=True, kw_only=True):
    """One thing wrong at one place, counted from 1; `path` is dotted ("clusters.lab.hosts[0]"), empty for the whole file."""

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str | None = None

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"

    def __str__(self) -> str:
        return f"{self.where}: {self.path}: {self.message}" if self.path else f"{self.where}: {self.message}"


class Remark(Struct, frozen=True, kw_only=True):
    """A contradiction; `key` is the key it is shown at, empty for the section itself."""

    key: str
    message: str
    hint: str | None = None


class ConfigProblems(ConfigError):
    """Everything wrong with one or more configuration files, at once, in the order it stands there."""

    kind = "config-problems"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column)))
        if len(self.problems) == 1:
            super().__init__(str(self.problems[0]), hint=self.problems[0].hint, subject=f"file/{self.problems[0].file}")
            return
        count = len(self.problems)
        super().__init__(f"{count} problems in the configuration, the first: {self.problems[0]}", hint="pvectl config check shows them all")


WRONG = object()
"""Stands for a value that was given but already found wrong; rules look at what was given, not only at what is good."""


class PartlyWrong(Struct, frozen=True):
    """Stands for a list or a map of names in which something was found wrong; the rest of it still counts for what refers to it."""

    values: tuple[object, ...] | Mapping[str, object]


def is_wrong(value: object) -> bool:
    return value is WRONG or isinstance(value, PartlyWrong)


class Misspelt(ValueError):
    """A value does not have the form its key asks for."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(redacted(message))
        self.message = redacted(message)
        self.hint = redacted(hint) if hint else None


def shown(text: str) -> str:
    """A value as a message may repeat it: one short line in quotes, without control characters or anything like a token's secret."""
    safe = redacted(clean(text))
    return f"'{safe[: _LONGEST_SHOWN - 1]}…'" if len(safe) > _LONGEST_SHOWN else f"'{safe}'"


def redacted(text: str) -> str:
    """Without anything that looks like a token's secret."""
    return LIKE_A_TOKEN.sub("***", text)


def shown_key(key: str) -> str | None:
    """A key as a message may repeat it; None for what cannot have been meant as one (`token_value:secret`, a space forgotten)."""
    return key if _PLAIN_KEY.fullmatch(key) else None


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word this one was probably meant to be."""
    import difflib

    by_form = {candidate.lower().replace("-", "_"): candidate for candidate in known}
    close = difflib.get_close_matches(word.lower().replace("-", "_"), by_form, n=1, cutoff=0.6)
    return by_form[close[0]] if close else None
