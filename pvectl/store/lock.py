"""The run lock: the kernel's own, so that it ends with the process that holds it, however that ends (safety rule S27)."""

from __future__ import annotations

import contextlib
import fcntl
import os
from datetime import datetime
from pathlib import Path

from pvectl.core.text import clean
from pvectl.errors import Locked, UnsafeFile
from pvectl.store.places import cannot_write, refuse_unsafe_status

_LONGEST_NOTE = 200
_TRIES = 10


class RunLock:
    """Held from its making to `release`; a file that was put in its place meanwhile is noticed by `still_held`."""

    def __init__(self, path: Path, descriptor: int, taken: str) -> None:
        self._path = path
        self._descriptor = descriptor
        self._taken = taken

    @classmethod
    def take(cls, path: Path, *, now: datetime, taken: str = "another run holds the lock") -> RunLock:
        """Take the lock at once or not at all; `taken` says who has it otherwise.

        Raises:
            Locked: another run holds it.
            UnsafeFile, CannotWrite: the file is not ours alone, or cannot be made.
        """
        for _ in range(_TRIES):
            lock = cls(path, _open(path), taken)
            try:
                lock._lock()
                if lock.still_held():
                    lock._note(now)
                    return lock
            except BaseException:
                lock.release()
                raise
            # somebody has put another file in its place in between
            lock.release()
        raise Locked(f"{path} is being replaced again and again, so no run can be sure to be the only one", subject=f"file/{path}")

    def still_held(self) -> bool:
        """Whether the file with this name is the one we have locked: nobody else can have a lock then."""
        held = os.fstat(self._descriptor)
        try:
            there = self._path.lstat()
        except OSError:
            return False
        return (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino)

    def release(self) -> None:
        # whatever the kernel says, it has closed it
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    def _lock(self) -> None:
        refuse_unsafe_status(self._path, os.fstat(self._descriptor))
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            by = clean(os.pread(self._descriptor, _LONGEST_NOTE, 0).decode("utf-8", "replace").strip())
            raise Locked(
                f"{self._taken}{f': {by}' if by else ''}",
                hint="wait until it has ended; the lock ends with it, however it ends",
                subject=f"file/{self._path}",
            ) from None
        except OSError as error:
            raise cannot_write(self._path, error) from None

    def _note(self, now: datetime) -> None:
        """Who holds it, for the message of the next one; nothing rests on it, so a full disk does not matter."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"process {os.getpid()} since {now:%Y-%m-%d %H:%M:%S} UTC\n".encode(), 0)


def _open(path: Path) -> int:
    # O_NONBLOCK: a pipe in the place of the file must not hang the run
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        if path.is_symlink() or not (path.is_file() or not path.exists()):
            raise UnsafeFile(f"{path} is not a plain file", hint="look what it is, and take it away", subject=f"file/{path}") from None
        raise cannot_write(path, error) from None
