"""Whether a guest is still the one that was planned for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pvectl.errors import PvectlError

if TYPE_CHECKING:
    from pvectl.core.model import Guest


def is_another(planned: Guest, name: str | None) -> bool:
    """Whether this is the name of another guest than the planned one: PVE hands the number of a removed guest to the next."""
    return planned.name is not None and name is not None and name != planned.name


def refuse_another(planned: Guest, name: str | None) -> None:
    """Go on only with the planned guest.

    Raises:
        PvectlError: it is another by now.
    """
    if is_another(planned, name):
        words = f"it is called {name} now, not {planned.name}: nothing was changed"
        raise PvectlError(words, hint="pvectl vm list shows which guest has that number", subject=planned.subject)
