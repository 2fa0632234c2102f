"""One question at a time: a fact with its age and its cost, or why there is none."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from pvectl.core.model import Known, Unknown
from pvectl.core.monitor.checks.sources import SOURCES, missing
from pvectl.errors import DeadlineExceeded, NodeUnreachable, PermissionDenied, PvectlError
from pvectl.observe.answers import UNANSWERED, unanswered

if TYPE_CHECKING:
    from datetime import datetime

    from pvectl.clock import Clock
    from pvectl.core.monitor.monitored import Fact
    from pvectl.core.permits import Rights
    from pvectl.pve.client import ProxmoxClient

T = TypeVar("T")

SILENT = (NodeUnreachable, DeadlineExceeded)
"""What a node says that does not answer: it is asked nothing more in this run."""
ONE_ANSWER_S = 10.0
"""What one answer of the quick ones may take; a node that takes longer keeps nobody waiting behind it."""
ONE_SLOW_ANSWER_S = 15.0
LEAST_SLOW_ANSWER_S = 2.0
"""What a slow question may take that is asked at the last moment: with less it would only be asked to be given up."""
ONE_HOST_S = 6.0
"""For so long a host may be silent before another one is asked what any of them can answer."""
_REFUSED_FOR_S = 3600.0


class Asked(Struct, frozen=True, kw_only=True):
    """What came of a question."""

    fact: Any
    error: PvectlError | None = None

    @property
    def silent(self) -> bool:
        return isinstance(self.error, SILENT)


class Asker:
    """Asks, and notes what each question cost and which were refused."""

    def __init__(self, client: ProxmoxClient, clock: Clock, *, wanted: frozenset[str], refused: Mapping[str, datetime]) -> None:
        self.client = client
        self.clock = clock
        self.wanted = wanted
        self.took: dict[str, float] = {}
        self.refused = dict(refused)
        self.rights: Mapping[str, Rights] | None = None
        self.slow_until = time.monotonic()

    def wants(self, *sources: str) -> bool:
        return any(source in self.wanted for source in sources)

    def ask(self, source: str, question: Callable[[], T], *, within: float | None = None) -> Asked:
        """The fact; `within` bounds the seconds of this one answer, and half of what is left of the run always does."""
        began, mark = self.clock.now(), time.monotonic()
        most = within if within is not None else min(ONE_ANSWER_S, self.client.time_left() / 2)
        try:
            with self.client.within(most):
                value = question()
        except UNANSWERED as error:
            if isinstance(error, PermissionDenied):
                self.refused[source] = began
            return Asked(fact=unanswered(error, source), error=error)
        finally:
            self.took[source] = time.monotonic() - mark
        self.refused.pop(source, None)
        return Asked(fact=Known(value=value, source=source, taken_at=began))

    def fact(self, source: str, question: Callable[[], T], *, within: float | None = None) -> Fact[T]:
        answer: Fact[T] = self.ask(source, question, within=within).fact
        return answer

    def is_refused(self, name: str, source: str, **asked: str | int) -> Unknown | None:
        """Why a slow source need not be asked: PVE refused it within the last hour, and the token still lacks the right."""
        at = self.refused.get(source)
        if at is None or self.rights is None or (self.clock.now() - at).total_seconds() >= _REFUSED_FOR_S:
            return None
        lacks = missing(SOURCES[name], self.rights, **asked)
        if not lacks:
            return None
        privilege, path = lacks[0]
        return Unknown(reason=f"the token or its user lacks {privilege} on {path}", source=source)

    def all(self, questions: Mapping[str, tuple[str, Callable[[], Any]]]) -> dict[str, Asked]:
        """Several at once, by a name for each: its source and its question. Any host can answer them: a silent one is soon left alone."""
        calls = [partial(self._of_any_host, source, question) for source, question in questions.values()]
        return dict(zip(questions, self.each(calls), strict=True))

    def _of_any_host(self, source: str, question: Callable[[], Any]) -> Asked:
        with self.client.impatient(min(ONE_HOST_S, self.client.time_left() / 4)):
            return self.ask(source, question, within=self.client.time_left() * 3 / 4)

    def each(self, calls: Sequence[Callable[[], T]]) -> list[T]:
        """What each call answers, at most eight at a time.

        Raises:
            PvectlError: something that says more than that one question stays unanswered.
        """
        answers = self.client.in_parallel(calls)
        for answer in answers:
            if isinstance(answer, PvectlError):
                raise answer
        return [answer for answer in answers if not isinstance(answer, PvectlError)]

    def begin_slow(self, seconds: float) -> None:
        """From here on slow questions are asked, for as long as this, or two thirds of what is left of the run."""
        self.slow_until = time.monotonic() + min(seconds, self.client.time_left() * 2 / 3)

    def slow_ends_in(self, seconds: float) -> None:
        """Slow questions go on for so long at most."""
        self.slow_until = min(self.slow_until, time.monotonic() + seconds)

    @property
    def slow_is_over(self) -> bool:
        return time.monotonic() >= self.slow_until

    def slow_left(self) -> float:
        """What one slow answer may take: a storage that hangs must not be waited for in every run as long as there is time."""
        return min(ONE_SLOW_ANSWER_S, max(LEAST_SLOW_ANSWER_S, self.slow_until - time.monotonic()))
