"""Where the rows of the alerts lie: each under a number made of its kind and its name, those of a kind side by side."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

# a number is for ever
KINDS: Mapping[str, int] = {"rhythm": 1, "incident": 2, "row": 3, "channel": 4, "silence": 5, "explanations": 6, "loss": 7}
_OF_NAME = 56


def place(kind: str, name: str) -> int:
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_OF_NAME // 8).digest()
    return (KINDS[kind] << _OF_NAME) + int.from_bytes(digest, "big")


def span(kind: str) -> tuple[int, int]:
    """The first and the last place of a kind."""
    first = KINDS[kind] << _OF_NAME
    return first, first + 2**_OF_NAME - 1
