"""Reads the configuration's YAML without YAML's traps, and says everything that is wrong with it at once."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct, structs

from pvectl.config.check import Checked, check
from pvectl.config.clusters import Connections, ResolvedCluster, choose_cluster, resolve
from pvectl.config.document import Entry, Kind, Mark, Node, Scalar, Sequence
from pvectl.config.document import Mapping as Map
from pvectl.config.guarded import is_credential, read_guarded
from pvectl.config.places import CONNECTIONS, JOBS, find_config_dir, nothing_in
from pvectl.config.problems import ConfigProblems, Problem, shown_key
from pvectl.config.schema import SHORT_FORM_NAME, ClusterEntry, ProxmoxFile, PvectlFile, SingleHost, Tls

__all__ = [
    "ConfigProblems",
    "Connections",
    "Jobs",
    "Problem",
    "ResolvedCluster",
    "choose_cluster",
    "find_config_dir",
    "load_connections",
    "load_jobs",
    "read_document",
    "read_jobs",
    "resolve",
]

_LARGEST = 256 * 1024
_DEEPEST = 24
# what YAML 1.2 does not count as printable, and a byte order mark in mid-text; the inverse set takes re 7 ms to compile
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")
# the key, unless an empty map follows it
_SECRETS = re.compile(rb"""(?m)(?:^|[{,])\s*["']?secrets["']?\s*:(?!\s*\{\s*\})""")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_BOOLS = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


def load_connections(directory: Path, env: Mapping[str, str] | None = None) -> Connections:
    """proxmox.yml of this directory.

    Raises:
        ConfigProblems: everything wrong with it, with places.
        UnsafeFile: others can write it, or can read it and it holds a secret.
        ConfigError: it is not there or cannot be read.
    """
    path = directory / CONNECTIONS
    env = os.environ if env is None else env
    try:
        guarded = read_guarded(path, limit=_LARGEST)
    except FileNotFoundError:
        raise nothing_in(directory) from None
    if (what := _gives_secrets(guarded.content)) and not is_credential(path, env):
        guarded.refuse_when_others_read(what)
    connections = connections_in(guarded.content, path)
    if not is_credential(path, env):
        if any(entry.token_value for entry in connections.clusters.values()):
            guarded.refuse_when_others_read("a token's secret")
        if connections.secrets:
            guarded.refuse_when_others_read("secrets")
    return connections


def connections_in(content: bytes, path: Path) -> Connections:
    """What proxmox.yml says when this is its content; `path` is what its problems name.

    Raises:
        ConfigProblems: everything wrong with it, with places.
    """
    checked = _checked(content, ProxmoxFile, path)
    if checked is None:
        hint = f"move it away, and pvectl config init --dir {shlex.quote(str(path.parent))} writes an example in its place"
        raise ConfigProblems([Problem(file=str(path), line=1, column=1, path="", message="is empty", hint=hint)])
    file: ProxmoxFile = checked.value
    clusters = {SHORT_FORM_NAME: _long_form(file.proxmox)} if file.proxmox else file.clusters
    return Connections(
        path=path,
        clusters=clusters,
        default_cluster=file.default_cluster,
        marks=checked.marks,
        short_form=file.proxmox is not None,
        secrets=file.secrets,
    )


def _gives_secrets(content: bytes) -> str | None:
    """What it seems to hold before it is parsed, so that a typo elsewhere cannot hide an open file."""
    said = b"\n".join(line.split(b"#", 1)[0] for line in content.splitlines())
    if b"token_value" in said:
        return "a token's secret"
    return "secrets" if b"secrets" in said and _SECRETS.search(said) else None


def _long_form(short: SingleHost) -> ClusterEntry:
    return ClusterEntry(
        hosts=(short.host,),
        user=short.user,
        token_name=short.token_name,
        token_value=short.token_value,
        tls=Tls(insecure=not short.verify_ssl),
    )


def load_jobs(directory: Path, env: Mapping[str, str] | None = None) -> PvectlFile:  # noqa: ARG001 - the signature of load_connections
    """pvectl.yml of this directory; a missing or empty one means the defaults.

    Raises:
        ConfigProblems: everything wrong with it, with places.
        UnsafeFile: others can write it.
    """
    return read_jobs(directory).file


class Jobs(NamedTuple):
    """pvectl.yml, and where its keys stand: a section that is not in `marks` was not written."""

    file: PvectlFile
    marks: Mapping[str, Mark]


def read_jobs(directory: Path) -> Jobs:
    """What `load_jobs` reads, with the places."""
    path = directory / JOBS
    try:
        guarded = read_guarded(path, limit=_LARGEST)
    except FileNotFoundError:
        return Jobs(PvectlFile(), {})
    checked = _checked(guarded.content, PvectlFile, path)
    return Jobs(PvectlFile(), {}) if checked is None else Jobs(checked.value, checked.marks)


def _checked(content: bytes, struct: type[Struct], path: Path) -> Checked | None:
    """The file's meaning, None when there is nothing in it; what YAML allows and we refuse, and what the schema refuses, in one go."""
    builder = _Builder(str(path), _text(content, str(path)))
    document = builder.build()
    checked = check(document, struct, str(path)) if document is not None else None
    problems = [*builder.refused, *(checked.problems if checked else ())]
    if problems:
        raise ConfigProblems(problems)
    return checked


def read_document(content: bytes, file: str) -> Node | None:
    """The one YAML document in these bytes as a tree, None when there is nothing in it.

    Aliases, anchors, tags and merge keys are refused: nothing in a configuration needs them, and each of them can hide something.

    Raises:
        ConfigProblems: it is no YAML, or uses what is refused.
    """
    builder = _Builder(file, _text(content, file))
    document = builder.build()
    if builder.refused:
        raise ConfigProblems(builder.refused)
    return document


def _text(content: bytes, file: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise ConfigProblems([Problem(file=file, line=line, column=column, path="", message="is not UTF-8 text")]) from None
    if (strange := _UNPRINTABLE.search(text)) is not None:
        at = strange.start()
        line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
        message = f"holds the control character U+{ord(strange[0]):04X}"
        raise ConfigProblems([Problem(file=file, line=line, column=column, path="", message=message)])
    return text


class _Builder:
    """Builds the tree from the parser's events, without recursion, so that no nesting can exhaust the stack."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.refused: list[Problem] = []
        self.roots: list[Node] = []
        self.open: list[_Open] = []

    def build(self) -> Node | None:
        import yaml

        # libyaml's parser where PyYAML was built with it; neither resolves nor constructs anything at this level
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(self.text)
        try:
            while not isinstance(event := loader.get_event(), yaml.StreamEndEvent):
                self.take(event, yaml)
        except yaml.MarkedYAMLError as error:
            message, hint, at_its_beginning = _in_plain_words(error.problem or error.context or "")
            mark = (error.context_mark if at_its_beginning else None) or error.problem_mark or error.context_mark
            raise self.refusal(mark, f"is not YAML: {message}", hint) from None
        except yaml.YAMLError:
            raise self.refusal(None, "is not YAML") from None
        finally:
            loader.dispose()
        root = self.roots[0] if self.roots else None
        return None if isinstance(root, Scalar) and root.kind == "null" and not root.text else root

    def refusal(self, mark: Any, message: str, hint: str | None = None) -> ConfigProblems:
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return ConfigProblems([*self.refused, Problem(file=self.file, line=line, column=column, path="", message=message, hint=hint)])

    def take(self, event: Any, yaml: Any) -> None:
        if isinstance(event, yaml.AliasEvent):
            raise self.refusal(
                event.start_mark, "a word beginning with * is an alias, which is not used here", "put it in quotes, or write it out"
            )
        if isinstance(event, yaml.ScalarEvent):
            self.refuse_extras(event)
            self.add(_scalar(event))
        elif isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
            self.refuse_extras(event)
            mark = _mark(event.start_mark)
            node: Sequence | Map = (
                Sequence(mark=mark, items=[]) if isinstance(event, yaml.SequenceStartEvent) else Map(mark=mark, entries=[])
            )
            if self.open and isinstance(self.open[-1].node, Map) and self.open[-1].key is None:
                raise self.refusal(
                    event.start_mark, "a key must be a single word, not a list or a map", "put it in quotes if it is meant as text"
                )
            self.open.append(_Open(node, flow=bool(event.flow_style)))
            if len(self.open) > _DEEPEST:
                raise self.refusal(event.start_mark, f"is nested more than {_DEEPEST} levels deep")
        elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
            closed = self.open.pop()
            # the end of a block is only known by what follows it, comments included; the last child says better where it is
            self.add(structs.replace(closed.node, end=_mark(event.end_mark)) if closed.flow else closed.node)
        elif isinstance(event, yaml.DocumentStartEvent) and self.roots:
            raise self.refusal(event.start_mark, "a second document begins here", "take the line --- out")

    def refuse_extras(self, event: Any) -> None:
        if event.anchor is not None:
            raise self.refusal(
                event.start_mark, "a word beginning with & is an anchor, which is not used here", "put it in quotes, or take it out"
            )
        # a plain "!" is the non-specific tag and means "text"; it is refused with the rest, because nobody writes it on purpose
        if event.tag is not None:
            raise self.refusal(
                event.start_mark, "a word beginning with ! is a tag, which is not used here", "put it in quotes, or take it out"
            )

    def add(self, node: Node) -> None:
        if not self.open:
            self.roots.append(node)
            return
        above = self.open[-1]
        if isinstance(above.node, Sequence):
            above.node.items.append(node)
        elif above.key is None:
            assert isinstance(node, Scalar)
            self.begin_entry(above, node)
        else:
            if not _merges(above.key):
                above.node.entries.append(Entry(mark=above.key.mark, key=above.key.text, value=node))
            above.key = None

    def begin_entry(self, above: _Open, key: Scalar) -> None:
        if _merges(key):
            self.refuse_key(key, "<< merges another map in, which is not used here", "write the keys out")
        elif key.text in above.seen:
            name = shown_key(key.text)
            which = f"the key {name}" if name else "a key"
            self.refuse_key(key, f"{which} stands here twice, first in line {above.seen[key.text]}", "take one of them out")
        above.seen.setdefault(key.text, key.mark.line)
        above.key = key

    def refuse_key(self, key: Scalar, message: str, hint: str) -> None:
        mark, path = key.mark, ".".join(shown_key(above.key.text) or "…" for above in self.open if above.key)
        self.refused.append(Problem(file=self.file, line=mark.line, column=mark.column, path=path, message=message, hint=hint))


class _Open:
    """A list or map whose end has not come yet."""

    __slots__ = ("flow", "key", "node", "seen")

    def __init__(self, node: Sequence | Map, *, flow: bool) -> None:
        self.node = node
        self.flow = flow
        self.key: Scalar | None = None
        self.seen: dict[str, int] = {}


def _scalar(event: Any) -> Scalar:
    plain = event.style is None or event.style == ""
    return Scalar(
        mark=_mark(event.start_mark), end=_mark(event.end_mark), text=event.value, kind=_kind(event.value) if plain else "str", plain=plain
    )


def _merges(key: Scalar) -> bool:
    return key.plain and key.text == "<<"


def _mark(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1)


def _kind(text: str) -> Kind:
    """YAML 1.2's core meaning of a plain word; 22:30, no, 010 and 1_000 stay text, which YAML 1.1 turns into numbers and booleans."""
    if text in _NULLS:
        return "null"
    if text in _BOOLS:
        return "bool"
    if _INT.fullmatch(text):
        return "int"
    return "float" if _FLOAT.fullmatch(text) else "str"


class _Sign(NamedTuple):
    """A parser's complaint in words a person can act on; `opened` when the place to look at is where something was opened."""

    sign: str
    message: str
    hint: str | None = None
    opened: bool = False


_INDENTATION = _Sign("", "the indentation does not fit, or a quote or comma is missing", "keys of one section start in the same column")
_UNCLOSED = _Sign("", "a quote or bracket is opened here and never closed", opened=True)
_SIGNS = (
    _Sign(
        "mapping values are not allowed", "a colon stands where none can", "put a value with a colon in quotes, or check the indentation"
    ),
    _Sign("could not find expected ':'", "a key has no colon, or a line is not indented", "write key: value, with a space after the colon"),
    _Sign("cannot start any token", "a character stands where it cannot", "indent with spaces, not tabs; put @, `, % and tabs in quotes"),
    _Sign("escape", "a backslash in double quotes begins an escape", "use single quotes"),
    _Sign("undefined tag handle", "a word beginning with ! is a tag, which is not used here", "put it in quotes, or take it out"),
    _Sign("alphabetic or numeric", "a word beginning with * or & means something else in YAML", "put it in quotes"),
    _INDENTATION._replace(sign="did not find expected key"),
    _INDENTATION._replace(sign="expected <block end>"),
    _INDENTATION._replace(sign="did not find expected '-'"),
    _UNCLOSED._replace(sign="unexpected end of stream"),
    _UNCLOSED._replace(sign="',' or"),
    _UNCLOSED._replace(sign="expected node content"),
    _UNCLOSED._replace(sign="expected the node content"),
)


def _in_plain_words(problem: str) -> tuple[str, str | None, bool]:
    """What the parser found, without quoting the text: it may be a secret."""
    for sign in _SIGNS:
        if sign.sign in problem:
            return sign.message, sign.hint, sign.opened
    return re.sub(r"\s*'[^']{2,}'?", "", problem), None, False
