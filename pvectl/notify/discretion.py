"""What may be repeated of a receiver's answer: a server that refuses a request may well quote it, secrets and all (safety rule S33)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import unquote

from pvectl.core.secret import Secret
from pvectl.core.text import clean

LONGEST = 200
_SHORTEST_PIECE = 5
_JOINTS = re.compile(r"[/?&=:@#;,\s]+")


class Discretion:
    """Keeps the secrets of one receiver, and lets pass only what has no trace of them."""

    __slots__ = ("_traces",)

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._traces = frozenset(trace.lower() for secret in secrets for trace in _traces(secret.reveal()) if trace)

    def __repr__(self) -> str:
        return "Discretion(***)"

    def excerpt(self, said: str) -> str:
        """The beginning of what was said, on one line; nothing at all when a secret, or a part of one, is anywhere in it."""
        heard = said.lower()
        for form in (heard, unquote(heard), heard.replace("\\", ""), "".join(heard.split())):
            if any(trace in form for trace in self._traces):
                return ""
        line = " ".join(clean(" ".join(said[: LONGEST * 8].split())).split())
        return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _traces(secret: str) -> Iterable[str]:
    plain = secret.strip()
    yield plain
    yield unquote(plain)
    yield "".join(plain.split())
    yield base64.b64encode(plain.encode()).decode().rstrip("=")
    for piece in _JOINTS.split(plain.removeprefix("https://").removeprefix("http://")):
        if len(piece) >= _SHORTEST_PIECE:
            yield piece
            yield unquote(piece)
