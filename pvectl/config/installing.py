"""Writes a first configuration: the commented examples and their schemas, for their owner alone, never over anything that is there."""

from __future__ import annotations

import json
import os
from pathlib import Path

from msgspec import Struct

from pvectl.config.places import EXAMPLES, example_text
from pvectl.config.schema import FILES, json_schema
from pvectl.errors import CannotWrite


class Written(Struct, frozen=True, kw_only=True):
    """One file of a first configuration; `written` False: it was there before and stays as it was."""

    file: str
    written: bool


def install(directory: Path) -> tuple[Written, ...]:
    """Write what is missing: directories 0700, files 0600.

    Raises:
        CannotWrite: with what stands in the way.
    """
    try:
        _make(directory)
        contents = {target: example_text(example) for example, target in EXAMPLES.items()}
        contents |= {schema_file(word): json.dumps(json_schema(struct), indent=2) + "\n" for word, struct in FILES.items()}
        return tuple(Written(file=str(directory / name), written=_create(directory / name, text)) for name, text in contents.items())
    except OSError as error:
        where = error.filename or directory
        raise CannotWrite(f"cannot write {where}: {error.strerror}", hint="choose another directory with --dir") from None


def schema_file(word: str) -> str:
    """The file the first line of each example names for editors."""
    return f"{word}.schema.json"


def _make(directory: Path) -> None:
    missing = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700)


def _create(path: Path, text: str) -> bool:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return True
