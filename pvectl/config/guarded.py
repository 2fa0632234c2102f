"""Reads files that decide over power and hold secrets: only when nobody else could have written, replaced or read them."""

from __future__ import annotations

import errno
import os
import shlex
import stat
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from pvectl.errors import ConfigError, UnsafeFile

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_AT_ALL = stat.S_IRWXG | stat.S_IRWXO


class Guarded(Struct, frozen=True, kw_only=True):
    """The content of a file that nobody else can write; `mode` is what fstat said about the file that was read."""

    path: Path
    content: bytes
    mode: int

    def refuse_when_others_read(self, what: str) -> None:
        """A secret others can read is no secret: refuse like ssh does."""
        if self.mode & _OTHERS_AT_ALL:
            raise UnsafeFile(
                f"{self.path} holds {what} and is open to others (mode {self.mode:04o})",
                hint=f"chmod 600 {shlex.quote(str(self.path))}",
                subject=f"file/{self.path}",
            )


def read_guarded(path: Path, *, limit: int, follow: bool = True) -> Guarded:
    """Read at most `limit` bytes; what is checked is what was opened.

    Raises:
        FileNotFoundError: there is no such file.
        UnsafeFile: someone else owns it, may write it, or may replace it.
        ConfigError: it cannot be read, is no plain file, or is too large.
    """
    # O_NONBLOCK: a pipe in the place of a file must not hang the run
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise _cannot_open(path, error) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{path} is not a plain file", subject=f"file/{path}")
        _refuse_foreign(path, status)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise ConfigError(f"{path} is larger than {limit // 1024} KiB; that is no configuration", subject=f"file/{path}")
    return Guarded(path=path, content=content, mode=stat.S_IMODE(status.st_mode))


def is_credential(path: Path, env: Mapping[str, str]) -> bool:
    """Whether systemd put it there for this service alone; its mode is systemd's business (0440 with an access list)."""
    credentials = env.get("CREDENTIALS_DIRECTORY")
    return bool(credentials) and path.parent == Path(str(credentials))


def _cannot_open(path: Path, error: OSError | ValueError) -> ConfigError | UnsafeFile:
    subject = f"file/{path}"
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return UnsafeFile(
            f"{path} is a symbolic link, which could be pointed elsewhere", hint="name the file it points to", subject=subject
        )
    if isinstance(error, PermissionError):
        return ConfigError(f"{path} may not be read by this user", hint="run pvectl as its owner, or give it to this user", subject=subject)
    return ConfigError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'not a path'}", subject=subject)


def _refuse_foreign(path: Path, status: os.stat_result) -> None:
    subject, quoted = f"file/{path}", shlex.quote(str(path))
    if status.st_uid not in (0, os.geteuid()):
        raise UnsafeFile(
            f"{path} belongs to another user (uid {status.st_uid})",
            hint=f"chown {os.geteuid()} {quoted}, once you have read it",
            subject=subject,
        )
    if status.st_mode & _OTHERS_WRITE:
        mode = stat.S_IMODE(status.st_mode)
        raise UnsafeFile(f"{path} can be changed by others (mode {mode:04o})", hint=f"chmod go-w {quoted}", subject=subject)
    # where a link lies, and where what it points to lies: both decide what is read the next time
    for folder in dict.fromkeys((path.parent, path.resolve().parent)):
        _refuse_foreign_directory(path, folder)


def _refuse_foreign_directory(path: Path, folder: Path) -> None:
    around, subject, quoted = folder.stat(), f"file/{path}", shlex.quote(str(folder))
    if around.st_uid not in (0, os.geteuid()):
        raise UnsafeFile(
            f"another user can replace {path}: the directory {folder} belongs to uid {around.st_uid}",
            hint=f"chown {os.geteuid()} {quoted}, once you have looked at what is in it",
            subject=subject,
        )
    # in a sticky directory (/tmp) only the owner of a file can replace it
    if around.st_mode & _OTHERS_WRITE and not around.st_mode & stat.S_ISVTX:
        who = "all" if around.st_mode & stat.S_IWOTH else "its group"
        raise UnsafeFile(
            f"others can replace {path}: the directory {folder} is writable by {who}", hint=f"chmod go-w {quoted}", subject=subject
        )
