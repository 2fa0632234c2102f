"""Where the configuration lies: the first place that has a proxmox.yml, or what to copy where when none has."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from pvectl.config.problems import shown
from pvectl.errors import ConfigError

CONNECTIONS = "proxmox.yml"
JOBS = "pvectl.yml"
_SYSTEM = Path("/etc/pvectl")
EXAMPLES = {"proxmox.example.yml": CONNECTIONS, "pvectl.example.yml": JOBS}
"""The commented examples that come with pvectl, and what each is to become."""


def find_config_dir(explicit: str | os.PathLike[str] | None = None, env: Mapping[str, str] | None = None) -> Path:
    """The directory with the proxmox.yml that counts: the one asked for, or the first place that has one.

    Raises:
        ConfigError: the one asked for has none, or there is none anywhere; the hint says what to do.
    """
    env = os.environ if env is None else env
    asked = explicit or env.get("PVECTL_CONFIG_DIR")
    if asked:
        directory = expanded(asked)
        if _has_connections(directory):
            return directory
        raise nothing_in(directory)
    places = list(_places(env))
    for directory in places:
        if _has_connections(directory):
            return directory
    for directory in places:
        if (example := _example_in(directory)) is not None:
            raise _only_example(directory, example)
    looked = ", ".join(f"{place} (not open to this user)" if _is_closed(place) else str(place) for place in places)
    raise ConfigError(
        f"there is no {CONNECTIONS}; looked in {looked}", hint="pvectl config init writes one to fill in; pvectl --demo needs none"
    )


def _places(env: Mapping[str, str]) -> Iterator[Path]:
    if credentials := env.get("CREDENTIALS_DIRECTORY"):
        yield Path(credentials)
    # a service's user often has no home; that must not hide the system's place
    with contextlib.suppress(ConfigError):
        yield personal_dir(env)
    yield _SYSTEM


def default_dir(env: Mapping[str, str]) -> Path:
    """Where a first configuration goes: the system's place for root, whose timers run the jobs, the personal one for anybody else."""
    return _SYSTEM if os.geteuid() == 0 else personal_dir(env)


def personal_dir(env: Mapping[str, str]) -> Path:
    """`~/.config/pvectl`, or where XDG_CONFIG_HOME has it.

    Raises:
        ConfigError: this user has no home.
    """
    base = env.get("XDG_CONFIG_HOME", "")
    # the XDG specification: a relative path there is to be ignored
    if base.startswith("/"):
        return Path(base) / "pvectl"
    home = env.get("HOME")
    return (Path(home) if home else expanded("~")) / ".config" / "pvectl"


def expanded(path: str | os.PathLike[str]) -> Path:
    """The path with a leading ~ or ~user written out.

    Raises:
        ConfigError: nobody knows that home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(f"the home directory in {shown(str(path))} is not known", hint="write the whole path") from None


# os.path below: pathlib of Python 3.11 raises for a name that is too long or lies in a closed directory
def _has_connections(directory: Path) -> bool:
    return os.path.exists(directory / CONNECTIONS)  # noqa: PTH110


def _is_closed(directory: Path) -> bool:
    """Whether this user may not even see what is in it."""
    try:
        os.stat(directory / CONNECTIONS)  # noqa: PTH116 - pathlib has no call that tells "not there" from "not allowed"
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _example_in(directory: Path) -> Path | None:
    example = directory / "proxmox.example.yml"
    return example if os.path.isfile(example) else None  # noqa: PTH113


def nothing_in(directory: Path) -> ConfigError:
    if os.path.isfile(directory):  # noqa: PTH113
        return ConfigError(
            f"{directory} is a file, not a directory", hint=f"give the directory it lies in: -C {shlex.quote(str(directory.parent))}"
        )
    if (example := _example_in(directory)) is not None:
        return _only_example(directory, example)
    if _is_closed(directory):
        return ConfigError(f"{directory} is not open to this user", hint="run pvectl as its owner")
    there = os.path.isdir(directory)  # noqa: PTH112
    missing = f"there is no {CONNECTIONS} in" if there else "there is no directory"
    return ConfigError(f"{missing} {directory}", hint=f"pvectl config init --dir {shlex.quote(str(directory))} writes one to fill in")


def _only_example(directory: Path, example: Path) -> ConfigError:
    source, target = shlex.quote(str(example)), shlex.quote(str(directory / CONNECTIONS))
    return ConfigError(
        f"there is no {CONNECTIONS} in {directory}, only the example",
        hint=f"cp {source} {target} && chmod 600 {target}, then fill it in",
    )


def example_text(name: str) -> str:
    """One of `EXAMPLES`, from the installed package or from the checkout it runs from."""
    from importlib.resources import files

    packaged = files("pvectl").joinpath("_examples", name)
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).resolve().parents[2] / "config" / name).read_text(encoding="utf-8")
