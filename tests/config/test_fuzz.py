"""Whatever bytes stand in a file, the answer is a value or a list of problems with places."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvectl.config.load import ConfigProblems, Problem, load_connections, load_jobs, read_document
from tests.config.folders import GOOD, write

ANY_FILE = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
_PLACE = re.compile(r"(?:mark|end)=Mark\(line=\d+, column=\d+\)")
_YAML_PIECES = st.lists(
    st.sampled_from(
        [
            "clusters",
            "lab",
            "hosts",
            "tls",
            "proxmox",
            "tags",
            "idle_check",
            "nodes",
            "exclude",
            "self",
            "probes",
            "interval",
            ":",
            ": ",
            "\n",
            "\n  ",
            "\n    ",
            "- ",
            "[",
            "]",
            "{",
            "}",
            ",",
            "'",
            '"',
            "|",
            ">",
            "&a",
            "*a",
            "!!str",
            "<<",
            "? ",
            "#",
            "---",
            "...",
            "%YAML 1.1\n",
            "null",
            "yes",
            "0x1F",
            "1e9",
            "22:30",
            "2026-11-22",
            "\t",
            "\\",
            "é",
            "\x85",
            "\u2028",
        ]
    ),
    max_size=40,
).map("".join)


def _read(folder: Path, content: bytes) -> None:
    # PyYAML counts these as line breaks
    lines = 2 + sum(content.count(end) for end in (b"\n", b"\r", b"\xc2\x85", b"\xe2\x80\xa8", b"\xe2\x80\xa9"))
    for name, load in (("proxmox.yml", load_connections), ("pvectl.yml", load_jobs)):
        problems = _problems(load, write(folder, content, name=name))
        assert all(1 <= one.line <= lines and one.column >= 1 and one.message for one in problems)


def _problems(load: Callable[[Path], object], folder: Path) -> tuple[Problem, ...]:
    try:
        load(folder)
    except ConfigProblems as error:
        return error.problems or (Problem(file="", line=0, column=0, path="", message="an empty list of problems"),)
    return ()


@given(st.binary(max_size=300))
@ANY_FILE
def test_any_bytes_end_in_a_value_or_in_problems(tmp_path: Path, content: bytes) -> None:
    _read(tmp_path, content)


@given(_YAML_PIECES)
@ANY_FILE
@pytest.mark.slow
def test_any_arrangement_of_yaml_ends_in_a_value_or_in_problems(tmp_path: Path, text: str) -> None:
    _read(tmp_path, text.encode())


@given(_YAML_PIECES)
@settings(max_examples=150, deadline=None)
def test_the_pure_parser_decides_as_the_c_parser_does(text: str) -> None:
    def outcome() -> object:
        try:
            return read_document(text.encode(), "f")
        except ConfigProblems as error:
            return f"{len(error.problems)} refused"

    fast = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(yaml, "CSafeLoader", raising=False)
        slow = outcome()
    # the two disagree about some broken documents and about where an empty value stands; never about what a good one means
    if not isinstance(fast, str) and not isinstance(slow, str):
        assert _PLACE.sub("", repr(fast)) == _PLACE.sub("", repr(slow))


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "content",
    [
        "".join(f"k{n}: 1\n" for n in range(25_000)),
        "clusters: {lab: {hosts: [" + "a, " * 60_000 + "a]}}",
        "clusters:\n" + "".join(f"  c{n}: x\n" for n in range(20_000)),
        "- " * 100_000,
        "[" * 200_000,
        "a: " + "'" * 200_001,
        "? " * 100_000,
        "{a: " * 50_000,
        "#" * 250_000,
    ],
    ids=["unknown keys", "one host again and again", "clusters", "dashes", "brackets", "quotes", "questions", "braces", "a comment"],
)
@pytest.mark.slow
def test_a_large_file_full_of_mistakes_is_answered_at_once(tmp_path: Path, content: str) -> None:
    with pytest.raises(ConfigProblems):
        load_connections(write(tmp_path, content))


def test_the_pure_parser_serves_where_there_is_no_c_parser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(yaml, "CSafeLoader")
    assert load_connections(write(tmp_path, GOOD)).clusters["lab"].hosts == ("pve1.lan", "pve2.lan:8006")
    with pytest.raises(ConfigProblems) as caught:
        load_connections(write(tmp_path, GOOD.replace("hosts", "hots") + "\tx: 1\n"))
    assert [(one.line, one.column) for one in caught.value.problems] == [(6, 1)]


@pytest.mark.parametrize("word", ["22:30", "no", "010", "1_000", "0x1F", "2026-11-22", "1:2:3", "=", "off", "1e3"])
def test_the_traps_of_yaml_1_1_stay_text(word: str) -> None:
    document = read_document(f"key: {word}".encode(), "f")
    assert '"str"' in repr(document).replace("'", '"')
    assert f"text='{word}'" in repr(document)


@pytest.mark.parametrize(
    ("word", "kind"),
    [("true", "bool"), ("False", "bool"), ("~", "null"), ("", "null"), ("7", "int"), ("-7", "int"), ("1.5", "float"), ("'7'", "str")],
)
def test_the_core_kinds_of_yaml_1_2_are_kept(word: str, kind: str) -> None:
    assert f"kind='{kind}'" in repr(read_document(f"- {word}".encode(), "f"))
