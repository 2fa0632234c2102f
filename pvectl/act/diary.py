"""What carrying out asks of whoever keeps the records: an intent on disk before each request, its outcome after, and who holds what."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, TypeAlias

from pvectl.core.plan import Outcome, OutcomeStatus
from pvectl.errors import PvectlError

Verb: TypeAlias = Literal["shutdown", "start", "power-off", "wake", "set-tags"]


class Diary(Protocol):
    """One call at a time, but not always from the same thread."""

    def held(self, subject: str) -> str | None:
        """Who wants the subject to stay on, until when and why, as a sentence; None when nobody does. Looked up anew each time."""
        ...

    def intend(self, verb: Verb, subject: str, details: Mapping[str, object]) -> str:
        """Write down what is about to be asked for, and give its id once it is safely on disk.

        Raises:
            CannotWrite: it is not; the request must not leave then.
        """
        ...

    def ended(self, intent: str, status: str, *, upid: str | None = None, error: str | None = None, took: float | None = None) -> None:
        """Write down what came of it, in the words of OutcomeStatus.

        Raises:
            CannotWrite: it is not on disk.
        """
        ...


class Held(PvectlError):
    """Somebody wants the subject to stay on; nothing was asked of it."""

    kind = "held"


class Pen:
    """The diary as several threads write in it; once it could not be written, nothing may leave any more."""

    def __init__(self, diary: Diary | None) -> None:
        self._diary = diary
        self._turn = threading.Lock()
        self.broken: PvectlError | None = None

    def intend(self, verb: Verb, subject: str, details: Mapping[str, object], *, unless_held: Sequence[str] = ()) -> str | None:
        """Put the intent on disk, then look whether anybody holds one of these subjects: right before the request. None without a diary.

        Raises:
            Held: somebody does.
            CannotWrite: the intent is not on disk.
        """
        if self._diary is None:
            return None
        with self._turn:
            if self.broken is not None:
                raise self.broken
            try:
                intent = self._diary.intend(verb, subject, details)
            except PvectlError as error:
                self.broken = error
                raise
            try:
                why = next((why for name in unless_held if (why := self._diary.held(name)) is not None), None)
            except PvectlError as error:
                self._write(intent, OutcomeStatus.SKIPPED, error=error.message)
                raise
            if why is None:
                return intent
            self._write(intent, OutcomeStatus.SKIPPED, error=why)
        raise Held(why, hint="pvectl hold list shows all holds", subject=subject)

    def ended(self, intent: str | None, status: OutcomeStatus, *, error: str | None = None, took: float | None = None) -> None:
        """Write down what came of an intent; that this failed is in `broken`, as nothing can be taken back any more."""
        if intent is not None:
            with self._turn:
                self._write(intent, status, error=error, took=took)

    def came_to(self, intent: str | None, outcome: Outcome) -> None:
        if intent is not None:
            with self._turn:
                self._write(intent, outcome.status, upid=outcome.upid, error=outcome.error, took=outcome.took)

    def _write(
        self, intent: str, status: OutcomeStatus, *, upid: str | None = None, error: str | None = None, took: float | None = None
    ) -> None:
        assert self._diary is not None
        try:
            self._diary.ended(intent, status.value, upid=upid, error=error, took=took)
        except PvectlError as failure:
            self.broken = self.broken or failure
