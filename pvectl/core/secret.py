"""A string that must never be shown."""

from __future__ import annotations


class Secret:
    """Holds a token's secret; only `reveal()` gives it away, every other way to print it says `***`."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not to be pickled")
