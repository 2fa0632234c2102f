"""Questions whose answer may not come: each becomes a fact, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct

from pvectl.core.model import Known, Unknown
from pvectl.errors import (
    ApiRefusal,
    AuthenticationFailed,
    NodeUnreachable,
    PermissionDenied,
    ProtocolError,
    PvectlError,
    Unavailable,
)

if TYPE_CHECKING:
    from pvectl.clock import Clock
    from pvectl.core.evidence import Fact
    from pvectl.pve.client import ProxmoxClient

UNANSWERED = (ApiRefusal, AuthenticationFailed, NodeUnreachable, PermissionDenied, ProtocolError, Unavailable)
"""What leaves one question unanswered; anything else (two clusters in one host list, a write in a run that only reads) ends the run."""


class Question(Struct, frozen=True, kw_only=True):
    """`source` is what is asked, as reasons name it: a path of the API."""

    source: str
    ask: Callable[[], Any]


def ask_all(client: ProxmoxClient, clock: Clock, questions: Sequence[Question]) -> dict[str, Fact[Any]]:
    """The facts by their source, all questions at once; a fact is as old as its question.

    Raises:
        PvectlError: something that says more than that one question stays unanswered.
    """
    answers = client.in_parallel([partial(_fact, clock, question) for question in questions])
    for answer in answers:
        if isinstance(answer, PvectlError):
            raise answer
    return {question.source: cast("Fact[Any]", answer) for question, answer in zip(questions, answers, strict=True)}


def _fact(clock: Clock, question: Question) -> Fact[Any]:
    began = clock.now()
    try:
        return Known(value=question.ask(), source=question.source, taken_at=began)
    except UNANSWERED as error:
        return unanswered(error, question.source)


def unanswered(error: PvectlError, source: str) -> Unknown:
    """Why there is no fact; a privilege that is missing is named."""
    lack = f"the token or its user lacks {error.privilege} on {error.path}" if isinstance(error, PermissionDenied) and error.path else None
    return Unknown(reason=lack or error.message, source=source)
