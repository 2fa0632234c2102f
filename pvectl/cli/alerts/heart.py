"""The signs of life of a run of the alerts, for somebody who tells when none comes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pvectl.errors import PvectlError

if TYPE_CHECKING:
    from uuid import UUID

    from pvectl.cli.context import Run
    from pvectl.config.schema.alerting import Alert
    from pvectl.notify.heartbeat import Heartbeat, Sign

_HEARTBEAT_S = 15


class Heart:
    """The signs of life of one run: it began, and it did all it was there for, or not."""

    def __init__(self, run: Run, heart: Heartbeat | None, id_: UUID, remarks: tuple[str, ...] = ()) -> None:
        self.remarks = remarks
        self._run = run
        self._heart = heart
        self._id = id_
        self._began = run.clock.boottime()

    def end(self, problem: str | None) -> None:
        """The last sign: success, unless there was a problem."""
        from pvectl.notify.heartbeat import Sign

        self.beat(Sign.SUCCESS if problem is None else Sign.FAIL, problem or "")

    def beat(self, sign: Sign, note: str = "") -> None:
        if self._heart is None:
            return
        from pvectl.notify.heartbeat import Beat, beat
        from pvectl.notify.lanes import fault
        from pvectl.notify.result import Delivered

        took = self._run.clock.boottime() - self._began
        given = Beat(sign=sign, run=self._id, note=note, took=took)
        try:
            result = beat(given, self._heart, deadline=self._run.time_for(_HEARTBEAT_S), clock=self._run.clock)
        except Exception as error:  # noqa: BLE001 - what must not happen must not keep people from being told either
            self.remarks += (fault("the heartbeat cannot be sent", error),)
            return
        if not isinstance(result, Delivered):
            self.remarks += (f"the heartbeat was not taken: {result.reason}",)


@contextmanager
def alive(run: Run, section: Alert) -> Iterator[Heart]:
    """The run, with a sign of life at its beginning; one that fails gives another before it goes."""
    from uuid import uuid4

    if section.heartbeat is None:
        yield Heart(run, None, uuid4())
        return
    from pvectl.config.receivers import heart_of
    from pvectl.notify.heartbeat import Sign

    try:
        heart = Heart(run, heart_of(section, run.secrets()), uuid4())
    except PvectlError as error:
        heart = Heart(run, None, uuid4(), (error.message,))
    heart.beat(Sign.START)
    try:
        yield heart
    except PvectlError as error:
        heart.end(error.message)
        raise
