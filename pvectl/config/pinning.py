"""Writes fingerprints into proxmox.yml: the few lines that change, and nothing else of what the administrator wrote."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec import structs

from pvectl.config import document
from pvectl.config.clusters import Connections
from pvectl.config.document import Mark, Node, Scalar
from pvectl.config.load import connections_in, load_connections, read_document
from pvectl.config.problems import ConfigProblems
from pvectl.config.schema import Tls
from pvectl.config.spelling import fingerprint
from pvectl.errors import CannotWrite, ConfigError, ExitCode, PvectlError


class CannotPin(PvectlError):
    """The file could not be changed without touching what it should not; it is as it was."""

    exit_code = ExitCode.CONFIG
    kind = "cannot-pin"


def lines_to_add(fingerprints: Mapping[str, str], *, indent: str = "    ") -> list[str]:
    """The tls section by hand. `fingerprints` are SHA-256 in hex with the words that go behind each as a comment."""
    return [f"{indent}tls:", f"{indent}  fingerprints:", *_items(fingerprints, f"{indent}    ")]


def pin(path: Path, cluster: str, fingerprints: Mapping[str, str]) -> None:
    """Make these the fingerprints of this cluster, in place: comments, order, owner and mode stay.

    Raises:
        CannotPin: the section cannot be edited safely; the file is as it was.
        CannotWrite: the file may not be replaced; it is as it was.
        ConfigProblems, UnsafeFile: the file is not in order to begin with.
    """
    before = load_connections(path.parent)
    content = path.read_bytes()
    new = edited(content, str(path), cluster, fingerprints)
    _prove(new, path, before, cluster, tuple(fingerprints))
    try:
        _replace(path.resolve(), content, new)
    except OSError as error:
        hint = "run pvectl as the file's owner, or add the lines by hand"
        raise CannotWrite(f"{path} cannot be replaced: {error.strerror}", hint=hint, subject=f"file/{path}") from None


def edited(content: bytes, file: str, cluster: str, fingerprints: Mapping[str, str]) -> bytes:
    """The file's new content.

    Raises:
        CannotPin: the section is written in a way that cannot be edited line by line.
    """
    root = read_document(content, file)
    entry = _child(_child(root, "clusters"), cluster)
    if not isinstance(entry, document.Mapping) or entry.end is not None:
        raise CannotPin(
            f"{file}: the cluster {cluster} is not written as indented lines, so it cannot be edited safely", hint="add the lines by hand"
        )
    text = content.decode("utf-8")
    end = "\r\n" if "\r\n" in text else "\n"
    edit = _Edit(text.splitlines(keepends=True), end)
    tls = entry.get("tls")
    if tls is None:
        edit.insert_after(_last_line(entry), lines_to_add(fingerprints, indent=" " * (entry.mark.column - 1)))
    elif isinstance(tls.value, document.Mapping) and tls.value.end is None:
        _in_lines(edit, tls.value, fingerprints, file)
    else:
        # {…} or nothing: everything the section can hold beside fingerprints contradicts them, so it is written anew
        _refuse_other_proof(tls.value, file)
        edit.replace(tls.mark, _end_of(tls.value), f"tls: {{fingerprints: {_flow(fingerprints)}}}")
    return "".join(edit.lines).encode()


def _in_lines(edit: _Edit, tls: document.Mapping, fingerprints: Mapping[str, str], file: str) -> None:
    _refuse_other_proof(tls, file)
    indent = " " * (tls.mark.column - 1)
    given, insecure = tls.get("fingerprints"), tls.get("insecure")
    changes: list[tuple[int, Callable[[], None]]] = []
    if given is None:
        new = [f"{indent}fingerprints:", *_items(fingerprints, f"{indent}  ")]
        changes.append((_last_line(tls), lambda: edit.insert_after(_last_line(tls), new)))
    elif isinstance(given.value, document.Sequence) and given.value.end is None:
        changes.append((_last_line(given.value), partial(_exchange_items, edit, given.value, fingerprints)))
    else:
        changes.append((given.mark.line, partial(edit.replace, given.mark, _end_of(given.value), f"fingerprints: {_flow(fingerprints)}")))
    if insecure is not None:
        changes.append((insecure.mark.line, partial(edit.replace, insecure.mark, _end_of(insecure.value), "insecure: false")))
    # from the bottom up, so that the places above stay where they are
    for _, change in sorted(changes, key=lambda change: change[0], reverse=True):
        change()


def _exchange_items(edit: _Edit, listed: document.Sequence, fingerprints: Mapping[str, str]) -> None:
    """Lines of fingerprints that stay are not touched, nor are comments between them."""
    places = {fingerprint(item.text): item.mark.line for item in listed.items if isinstance(item, Scalar)}
    new = {digest: note for digest, note in fingerprints.items() if digest not in places}
    edit.insert_after(_last_line(listed), _items(new, " " * (listed.mark.column - 1)))
    for digest, line in sorted(places.items(), key=lambda place: place[1], reverse=True):
        if digest not in fingerprints:
            del edit.lines[line - 1]


def _refuse_other_proof(tls: Node, file: str) -> None:
    ca_file = tls.get("ca_file") if isinstance(tls, document.Mapping) else None
    if ca_file is not None and not (isinstance(ca_file.value, Scalar) and ca_file.value.kind == "null"):
        raise CannotPin(
            f"{file}:{ca_file.mark.line}: the cluster trusts a CA file, which outlives the renewal of a certificate",
            hint="mend the CA file, or take ca_file out and pin then",
        )


class _Edit:
    """The lines of a file while they are being changed; places as the tree tells them, counted from 1."""

    def __init__(self, lines: list[str], end: str) -> None:
        self.lines = lines
        self.end = end

    def insert_after(self, line: int, new: Sequence[str]) -> None:
        if not self.lines[line - 1].endswith(("\n", "\r")):
            self.lines[line - 1] += self.end
        self.lines[line:line] = [text + self.end for text in new]

    def replace(self, start: Mark, stop: Mark, new: str) -> None:
        if start.line != stop.line and any("#" in line for line in self.lines[start.line - 1 : stop.line]):
            raise CannotPin("there are comments in the section that would be lost", hint="add the lines by hand")
        head = self.lines[start.line - 1][: start.column - 1]
        tail = self.lines[stop.line - 1][stop.column - 1 :]
        self.lines[start.line - 1 : stop.line] = [head + new + (tail or self.end)]


def _items(fingerprints: Mapping[str, str], indent: str) -> list[str]:
    return [f'{indent}- "{spelled(digest)}"  # {note}' for digest, note in fingerprints.items()]


def _flow(fingerprints: Mapping[str, str]) -> str:
    return "[" + ", ".join(f'"{spelled(digest)}"' for digest in fingerprints) + "]"


def spelled(digest: str) -> str:
    """A fingerprint as Proxmox VE's own pages show it."""
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2)).upper()


def _child(node: Node | None, key: str) -> Node | None:
    entry = node.get(key) if isinstance(node, document.Mapping) else None
    return entry.value if entry else None


def _end_of(node: Node) -> Mark:
    assert node.end is not None
    return node.end


def _last_line(node: Node) -> int:
    """The last line something of this node stands on."""
    if isinstance(node, Scalar):
        # a block scalar (| or >) ends at the beginning of the line after it
        return node.end.line - 1 if node.end.column == 1 and node.end.line > node.mark.line else node.end.line
    if node.end is not None:
        return node.end.line
    last = node.entries[-1].value if isinstance(node, document.Mapping) else node.items[-1]
    return max(node.entries[-1].mark.line if isinstance(node, document.Mapping) else node.mark.line, _last_line(last))


def _prove(new: bytes, path: Path, before: Connections, cluster: str, fingerprints: tuple[str, ...]) -> None:
    """The new content means what the old did, with these fingerprints."""
    try:
        after = connections_in(new, path)
    except ConfigProblems:
        after = None
    wanted = {
        name: structs.replace(entry, tls=Tls(fingerprints=fingerprints)) if name == cluster else entry
        for name, entry in before.clusters.items()
    }
    if after is None or _comparable(after.clusters) != _comparable(wanted) or after.default_cluster != before.default_cluster:
        raise CannotPin(f"{path} is written in a way that cannot be edited safely", hint="add the lines by hand")


def _comparable(clusters: Mapping[str, object]) -> object:
    from pvectl.core.secret import Secret

    def plain(value: object) -> object:
        if isinstance(value, Secret):
            return ("secret", value.reveal())
        if hasattr(value, "__struct_fields__"):
            return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        return value

    return {name: plain(entry) for name, entry in clusters.items()}


def _replace(path: Path, old: bytes, new: bytes) -> None:
    status = path.stat()
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(new)
            file.flush()
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
            os.fsync(file.fileno())
        _refuse_when_changed(path, old)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    # it is replaced by now; a directory that cannot be synced must not make it sound otherwise
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _refuse_when_changed(path: Path, old: bytes) -> None:
    if path.read_bytes() != old:
        raise ConfigError(f"{path} was changed by someone else meanwhile", hint="run the command again")
