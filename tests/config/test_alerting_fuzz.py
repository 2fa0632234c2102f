"""Whatever stands anywhere in `alert:`, the answer is a section or problems with places, and no secret is in them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pvectl.config.document import Mark
from pvectl.config.load import ConfigProblems, Problem, load_jobs
from pvectl.config.places import example_text
from pvectl.config.receivers import Secrets, heart_of, limits_of, mirrors_of, noticed_of, problems_of, receiver_of, rules_of
from pvectl.config.remarks import remarks_on
from pvectl.config.schema import Alert, PvectlFile
from pvectl.core.alerts.rules import misnamed
from pvectl.core.secret import Secret
from pvectl.errors import ConfigError
from tests.config.folders import write
from tests.config.test_alerting import uncommented

CANARY = "cAnArY"
WHOLE = yaml.safe_load(uncommented(example_text("pvectl.example.yml")))["alert"]
SOURCES = frozenset({"secret", "file", "credential", "command"})


def _paths(of: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner = of.items() if isinstance(of, dict) else enumerate(of) if isinstance(of, list) else ()
    for key, value in inner:
        yield from _paths(value, (*path, key))


def _is_about_a_secret(path: tuple[Any, ...]) -> bool:
    """Whether the place is a secret's source, or within one; what a program is called is no secret."""
    at = WHOLE
    for key in path:
        at = at[key]
        if isinstance(at, dict) and len(at) == 1 and at.keys() <= SOURCES:
            return "file" not in at and "command" not in at
    return False


PLACES = [path for path in _paths(WHOLE) if path]
JUNK = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-1, 10**19),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=12),
        st.sampled_from(
            [
                "",
                " ",
                CANARY,
                f"https://{CANARY}/x",
                f"http://u:{CANARY}@x",
                "5m",
                "*",
                "[",
                "backup.*",
                "phone",
                "mirror",
                "\0",
                "ü@ü",
                "x" * 300,
            ]
        ),
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "secret", "file", "url", "a", CANARY]), inner, max_size=3)
    ),
    max_leaves=4,
)


def _changed(place: tuple[Any, ...], junk: Any, *, gone: bool) -> Any:
    changed = copy.deepcopy(WHOLE)
    at = changed
    for key in place[:-1]:
        at = at[key]
    if gone:
        del at[place[-1]]
    else:
        at[place[-1]] = junk
    return changed


@pytest.mark.slow
@given(place=st.sampled_from(PLACES), junk=JUNK, gone=st.booleans())
@settings(max_examples=800, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_change_to_the_example_ends_in_a_section_or_in_problems(
    tmp_path: Path, place: tuple[Any, ...], junk: Any, *, gone: bool
) -> None:
    # JSON is YAML, but for characters that are refused anyway
    write(tmp_path, json.dumps({"alert": _changed(place, junk, gone=gone)}), name="pvectl.yml")
    told: list[str] = []
    problems, jobs = _read(tmp_path)
    assert all(one.line >= 1 and one.column >= 1 and one.message for one in problems)
    assert (jobs is None) == bool(problems)
    told += [f"{one} {one.hint}" for one in problems]
    if jobs is not None:
        told += _used(jobs.alert, tmp_path)
        told += map(str, remarks_on(jobs, {"alert": Mark(1, 1)}, "f"))
    if _is_about_a_secret(place) and not gone:
        assert CANARY not in "\n".join(told)


def _read(folder: Path) -> tuple[tuple[Problem, ...], PvectlFile | None]:
    try:
        return (), load_jobs(folder)
    except ConfigProblems as error:
        return error.problems, None


def _used(section: Alert, folder: Path) -> Iterator[str]:
    """What is wrong with it once it is used; nothing else than a ConfigError may come of it."""
    rules = rules_of(section, "lab")
    assert misnamed(rules) == {}
    assert set(rules.receivers) | set(mirrors_of(section)) == set(section.receivers)
    assert set(noticed_of(section)) <= set(limits_of(section))
    source = Secrets(folder, {}, {"ntfy-topic": Secret("t"), "telegram-token": Secret("123456:" + "A" * 30)}, 0.0)
    yield from (f"{key} {error} {error.hint}" for key, error in problems_of(replace(section, templates={}), source))
    for name in section.receivers:
        try:
            assert receiver_of(name, section, source).name == name
        except ConfigError as error:
            yield f"{error} {error.hint}"
    try:
        heart_of(section, source)
    except ConfigError as error:
        yield f"{error} {error.hint}"
