"""Whether everybody who is to be told of things can be: each receiver's secrets are fetched, and nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from pvectl.config.load import load_connections
from pvectl.config.receivers import Secrets, heart_of, receiver_of, sources_of
from pvectl.config.schema import Alert
from pvectl.core.checkup import Check, not_checked, ok, problem
from pvectl.errors import ConfigError


def of_receivers(section: Alert, directory: Path, env: Mapping[str, str]) -> Iterator[Check]:
    """One check for each that lacks something, and one for all the others together."""
    source = Secrets(directory, env, load_connections(directory, env).secrets)
    makers: dict[str, Callable[[], object]] = {
        f"receiver/{name}": partial(receiver_of, name, section, source) for name in section.receivers
    }
    if section.heartbeat is not None:
        makers["heartbeat"] = partial(heart_of, section, source)
    handed = {
        f"receiver/{path.split('.')[1]}" if path.startswith("receivers.") else "heartbeat"
        for path, each in sources_of(section)
        if each.credential is not None and not source.can_tell(each)
    }
    good = 0
    for subject, make in makers.items():
        if subject in handed:
            yield not_checked("config", subject, "because systemd hands its secret to the service alone")
            continue
        try:
            make()
        except ConfigError as error:
            yield problem(error.exit_code, "config", subject, error.message, *((error.hint,) if error.hint else ()))
        else:
            good += 1
    if good:
        whose = "1 receiver has its secrets" if good == 1 else f"{good} receivers have their secrets"
        yield ok("config", "cluster", f"{whose}; pvectl alert test NAME tells whether a message arrives")
