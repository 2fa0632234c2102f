"""Receivers side by side: one message at a time each, so that whoever hangs takes only its own time."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping, MutableMapping
from typing import assert_never

from msgspec import Struct

from pvectl.clock import Clock
from pvectl.core.alerts.notification import Notification
from pvectl.core.alerts.outbox import Answer, Result
from pvectl.errors import PvectlError
from pvectl.notify import phrasing
from pvectl.notify.deliver import Receiver, deliver
from pvectl.notify.message import Message
from pvectl.notify.result import Delivered, Permanent, Retry, TimeLeft
from pvectl.notify.result import Result as Outcome

SIDE_BY_SIDE = 8
LEAST_S = 1.0
"""With less time left no attempt begins: it would only look as if the receiver had failed."""
_GRACE_S = 2.0
_LONGEST_S = 3600.0


class Tried(Struct, frozen=True, kw_only=True):
    """What became of one attempt. `trouble`: what a person should know of it, although it arrived."""

    notification: Notification
    answer: Answer
    trouble: str | None = None


class Lanes:
    """Sends what waits for each receiver, in the order given; whoever takes the results may empty a receiver's lane to stop it."""

    def __init__(
        self, receiver_of: Callable[[str], Receiver], words: Callable[[Notification], Message], *, clock: Clock, deadline: TimeLeft
    ) -> None:
        self._receiver_of = receiver_of
        self._words = words
        self._clock = clock
        self._deadline = _Stoppable(deadline)
        self._receivers: dict[str, Receiver] = {}
        self.left_behind: dict[str, Notification] = {}
        """By receiver, the attempts that did not end in time; nobody knows what becomes of them."""

    def sent(self, lanes: Mapping[str, deque[Notification]]) -> Generator[Tried, None, None]:
        """What became of each attempt, as soon as it is known; the next for its receiver begins when more is asked for."""
        results: queue.SimpleQueue[Tried] = queue.SimpleQueue()
        idle = deque(lanes)
        flying: MutableMapping[str, tuple[Notification, threading.Thread]] = {}
        try:
            while True:
                while idle and len(flying) < SIDE_BY_SIDE and self._deadline.left() >= LEAST_S:
                    name = idle.popleft()
                    if lanes[name]:
                        notification = lanes[name].popleft()
                        # a daemon: an attempt that never ends must not keep the whole run from ending
                        thread = threading.Thread(target=self._try, args=(notification, results), name=f"tell {name}", daemon=True)
                        flying[name] = notification, thread
                        thread.start()
                if not flying:
                    return
                try:
                    tried = results.get(timeout=min(self._deadline.left(), _LONGEST_S) + _GRACE_S)
                except queue.Empty:
                    return
                name = tried.notification.receiver
                flying.pop(name)[1].join()
                yield tried
                idle.append(name)
        finally:
            self._deadline.stop()
            self.left_behind = {name: notification for name, (notification, _thread) in flying.items()}

    def _try(self, notification: Notification, results: queue.SimpleQueue[Tried]) -> None:
        results.put(self._tried(notification))

    def _tried(self, notification: Notification) -> Tried:
        try:
            receiver = self._receiver(notification.receiver)
        except PvectlError as error:
            return Tried(notification=notification, answer=Answer(result=Result.MISCONFIGURED, error=error.message))
        except Exception as error:  # noqa: BLE001 - what must not happen must not keep the other receivers from being told either
            return Tried(notification=notification, answer=Answer(result=Result.MISCONFIGURED, error=fault("it cannot be set up", error)))
        try:
            message = self._words(notification)
        except Exception as error:  # noqa: BLE001 - as above, for the other messages
            return Tried(
                notification=notification, answer=Answer(result=Result.REJECTED, error=fault("it cannot be put into words", error))
            )
        try:
            outcome = deliver(message, receiver, deadline=self._deadline, clock=self._clock)
        except Exception as error:  # noqa: BLE001 - as above
            answer = Answer(result=Result.REJECTED, uncertain=True, error=fault("it cannot be sent", error))
            return Tried(notification=notification, answer=answer)
        troubles = [phrasing.trouble_of(message), outcome.trouble if isinstance(outcome, Delivered) else None]
        return Tried(notification=notification, answer=answered(outcome), trouble="; ".join(each for each in troubles if each) or None)

    def _receiver(self, name: str) -> Receiver:
        if name not in self._receivers:
            self._receivers[name] = self._receiver_of(name)
        return self._receivers[name]


def answered(outcome: Outcome) -> Answer:
    """What a channel's answer means for the outbox."""
    match outcome:
        case Delivered():
            return Answer(result=Result.ARRIVED)
        case Retry(reason=reason, after=after, maybe_delivered=uncertain):
            return Answer(result=Result.RETRY, error=reason, retry_after=after, uncertain=uncertain)
        case Permanent(reason=reason, of_message=of_message):
            return Answer(result=Result.REJECTED if of_message else Result.MISCONFIGURED, error=reason)
        case _:
            assert_never(outcome)


class _Stoppable:
    """A deadline that can be brought forward to now."""

    def __init__(self, deadline: TimeLeft) -> None:
        self._deadline = deadline
        self._over = False

    def left(self) -> float:
        return 0.0 if self._over else self._deadline.left()

    def stop(self) -> None:
        self._over = True


def fault(what: str, error: Exception) -> str:
    """What to say of an exception that must not happen: where, and not its words, which may hold a secret."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" in {place.tb_frame.f_code.co_name}, line {place.tb_lineno}" if place is not None else ""
    return f"{what}, a fault of pvectl: {type(error).__name__}{where}"
