"""One open file that threads share: its transactions, and what its errors mean to who runs pvectl."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pvectl.errors import BadState, CannotWrite
from pvectl.store import file, rows


class Session:
    """Each call, and each transaction, has the connection for itself."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.connection = connection
        self.mutex = threading.RLock()
        self.is_doubted = False
        """Whether damage was come across that nobody has mended."""
        self._path = path
        self._depth = 0

    @property
    def is_within_transaction(self) -> bool:
        return self._depth > 0

    @contextmanager
    def transaction(self, *, first: Callable[[], None]) -> Iterator[None]:
        """All or nothing of what is written within; `first` is asked before one that is not within another begins."""
        with self.mutex:
            depth, name = self._depth, f"within_{self._depth}"
            if not depth:
                first()
            with self.errors(writing=True):
                self.connection.execute(f"SAVEPOINT {name}" if depth else "BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
                self._refuse_when_undone()
                with self.errors(writing=True):
                    self.connection.execute(f"RELEASE {name}" if depth else "COMMIT")
            except BaseException:
                # an error such as a full disk may have ended it already
                with suppress(sqlite3.Error):
                    if self.connection.in_transaction:
                        self.connection.execute(f"ROLLBACK TO {name}" if depth else "ROLLBACK")
                raise
            finally:
                self._depth -= 1

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self.mutex, self.errors(writing=False):
            yield

    def rows(
        self, table: str, where: str = "1", parameters: rows.Parameters = (), *, limit: int | None = None
    ) -> list[tuple[rows.Value, ...]]:
        with self.reading():
            return list(rows.rows(self.connection, table, where, parameters, limit=limit))

    @contextmanager
    def errors(self, *, writing: bool) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            told = file.error_of(error, self._path, writing=writing)
            if told is None:
                raise
            self.is_doubted |= isinstance(told, BadState)
            raise told from None
        except UnicodeDecodeError:
            # an error message that quotes what stands in the file
            self.is_doubted = True
            raise file.bad_state(self._path, "is broken") from None
        except rows.BrokenSeal as error:
            self.is_doubted = True
            raise file.bad_state(self._path, f"is broken: {error}") from None

    def _refuse_when_undone(self) -> None:
        """SQLite ends a transaction by itself where it cannot go on; a caller who went on must not take it for kept."""
        if not self.connection.in_transaction:
            raise CannotWrite(f"the state in {self._path} was not written", subject=f"file/{self._path}")
