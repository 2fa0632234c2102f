"""A file that cannot be believed is set aside and said so; nothing in it is ever guessed (safety rule S31)."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path

import pytest
from msgspec import Raw

from pvectl.errors import BadState, PvectlError
from pvectl.store import Store, open_beside, open_to_read, open_to_write
from tests.store.stage import LAB, NOON, Credit, StandingClock, State, a_decision, a_hold, an_intent

TOLD = {"a": Credit(seconds=600), "b": Credit(seconds=1800, phase="notice")}


@pytest.fixture
def full(state: State) -> State:
    """A state with something in every table."""
    with state.run() as store:
        for key, credit in TOLD.items():
            store.keep("idle", key, credit)
        store.add_hold(a_hold("h1"))
        store.decided(a_decision("d0", acted=False, payload=Raw(b'"' + b"x" * 3000 + b'"')))
        store.intend(an_intent("i1"), an_intent("i2"), decision=a_decision("d1"))
        store.ended("i1", status="done", at=NOON)
    return state


def _damage(state: State, statement: str) -> None:
    with closing(sqlite3.connect(state.file, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(statement)


def _emptied(state: State) -> None:
    state.file.write_bytes(b"")


def _no_database(state: State) -> None:
    state.file.write_bytes(b'{"schema": 1}\n' * 700)


def _huge(state: State) -> None:
    with state.file.open("r+b") as file:
        file.truncate(6 * 2**30)


def _another_database(state: State) -> None:
    state.file.unlink()
    with closing(sqlite3.connect(state.file, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE kept (kind, name, kept_at, payload, seal)")
    state.file.chmod(0o600)


def _write_ahead(state: State) -> None:
    _damage(state, "PRAGMA journal_mode = WAL")


def _read_only_header(state: State) -> None:
    content = bytearray(state.file.read_bytes())
    content[18] = 3
    state.file.write_bytes(content)


def _free_pages(state: State) -> None:
    """The list of free pages begins at a page that is in use: the next write would go over it."""
    with state.run() as store:
        store.keep("idle", "large", Credit(seconds=1, phase="x" * 50_000))
        store.forget("idle", "large")
    content = bytearray(state.file.read_bytes())
    assert content[32:36] != bytes(4)
    content[32:36] = (3).to_bytes(4, "big")
    state.file.write_bytes(content)


def _statement(statement: str) -> Callable[[State], None]:
    def damage(state: State) -> None:
        _damage(state, statement)

    return damage


DAMAGE: dict[str, list[Callable[[State], None]]] = {
    "broken": [
        _no_database,
        _huge,
        _read_only_header,
        _free_pages,
        _statement("UPDATE kept SET payload = '{\"seconds\":9999}' WHERE name = 'a'"),
        _statement("UPDATE kept SET name = 'c' WHERE name = 'a'"),
        _statement("UPDATE holds SET until = '2026-11-22T12:00:01.000000Z'"),
        _statement("UPDATE intents SET status = 'done', ended_at = at"),
        _statement("DELETE FROM intents WHERE id = 'i2'"),
        _statement("DELETE FROM holds"),
        _statement("UPDATE kept SET seal = X'00' WHERE name = 'a'"),
        _statement("UPDATE meta SET value = 'now'"),
        _statement("CREATE INDEX more ON kept (name)"),
        _statement("CREATE TRIGGER more AFTER INSERT ON intents BEGIN DELETE FROM intents; END"),
        _statement("DROP TABLE holds"),
        _statement("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'kept'"),
    ],
    "not one of pvectl's": [_emptied, _another_database, _statement("PRAGMA application_id = 1")],
    "newer version": [_statement("PRAGMA user_version = 3")],
    "unknown form": [_statement("PRAGMA user_version = 0")],
    "another program": [_write_ahead],
}


@pytest.mark.parametrize(("why", "damage"), [(why, damage) for why, kinds in DAMAGE.items() for damage in kinds])
def test_s31_what_cannot_be_believed_is_set_aside_once_and_never_deleted(full: State, why: str, damage: Callable[[State], None]) -> None:
    damage(full)
    size, head = full.file.stat().st_size, _head(full.file)

    # a header that only forbids to write is no reason not to look
    with nullcontext() if damage is _read_only_header else pytest.raises(BadState, match=why):
        open_to_read(full.directory, LAB).close()
    assert full.broken() == []
    assert _head(full.file) == head

    with full.run() as store:
        assert why in str(store.set_aside)
        assert full.broken()[0] in str(store.set_aside)
        assert store.recall_all("idle", Credit) == {}
        assert store.open_intents() == ()
        assert "set-aside" in [entry.what for entry in store.history(since=NOON)]
        with pytest.raises(BadState, match="nothing is switched off"):
            store.intend(an_intent(), decision=a_decision())
        store.keep("idle", "a", Credit(seconds=1))
    (name,) = full.broken()
    assert name == "state.db.broken-20261122T120000Z"
    assert (full.folder / name).stat().st_size == size
    assert _head(full.folder / name) == head

    with full.run() as store:
        assert store.set_aside is None
        assert store.recall_all("idle", Credit) == {"a": Credit(seconds=1)}


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(2**20)


def test_s31_what_lies_beside_a_file_goes_with_it(full: State) -> None:
    _no_database(full)
    beside = full.file.with_name("state.db-wal")
    beside.write_bytes(b"of the old file")
    beside.chmod(0o600)

    full.run().close()

    assert not beside.exists()
    (name,) = full.broken()
    assert beside.with_name(name + "-wal").read_bytes() == b"of the old file"


def test_s32_that_there_is_no_decision_is_only_said_when_no_damage_can_have_hidden_it(full: State) -> None:
    _damage(full, "UPDATE decisions SET id = 'd7' WHERE id = 'd0'")

    with open_to_read(full.directory, LAB) as reader:
        assert reader.decision("d1") is not None
        with pytest.raises(BadState):
            reader.decision("d0")


@pytest.mark.parametrize("statement", ["UPDATE actions SET at = '2020' || substr(at, 5)", "DELETE FROM actions"])
def test_s12_no_damage_takes_an_action_out_of_the_count(full: State, monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    _damage(full, statement)
    # as if the file were too large to look at all of it each time it is opened
    monkeypatch.setattr("pvectl.store.file._CHECKED_WHOLE", 0)

    with open_to_read(full.directory, LAB) as reader:
        with pytest.raises(BadState):
            reader.actions(since=NOON)
        with pytest.raises(BadState):
            reader.history(since=NOON)
        assert reader.recall_all("idle", Credit) == TOLD


def test_s31_the_state_of_another_cluster_is_set_aside_with_its_holds(state: State, full: State) -> None:
    with open_to_write(state.directory, "home", StandingClock()) as store:
        store.keep("idle", "z", Credit(seconds=1))
    shutil.copy(full.file, state.directory / "home" / "state.db")

    with pytest.raises(BadState, match="belongs to another cluster"):
        open_to_read(state.directory, "home")
    with open_to_write(state.directory, "home", StandingClock()) as store:
        assert "belongs to another cluster (lab)" in str(store.set_aside)
        assert store.holds(at=NOON) == ()
        assert store.recall_all("idle", Credit) == {}


def test_s25_a_hold_that_is_whole_survives_its_file(full: State) -> None:
    with full.run() as store:
        store.add_hold(a_hold("h2", subject="guest/100"))
        store.add_hold(a_hold("h3"))
        store.remove_hold("h3")
    _damage(full, "UPDATE holds SET who = 'eve' WHERE id = 'h2'")

    with full.run() as store:
        assert store.set_aside is not None
        assert store.holds(at=NOON) == (a_hold("h1"),)


def test_s31_two_files_set_aside_in_one_second_both_stay(full: State) -> None:
    for _ in range(2):
        _emptied(full)
        with full.run() as store:
            assert store.set_aside is not None

    assert full.broken() == ["state.db.broken-20261122T120000Z", "state.db.broken-20261122T120000Z-2"]


def test_s31_a_run_that_is_killed_before_it_could_report_leaves_that_to_the_next(full: State) -> None:
    _emptied(full)
    store = full.run()
    # as a kill leaves it: the file closed by the kernel, nothing cleared away
    store.set_aside = None
    store.close()

    with full.run() as store:
        assert "state.db.broken-" in str(store.set_aside)
    with full.run() as store:
        assert store.set_aside is None


@pytest.mark.parametrize("journal_too", [False, True])
def test_s31_a_run_that_is_killed_between_setting_aside_and_beginning_anew_is_taken_up(full: State, *, journal_too: bool) -> None:
    broken = full.folder / "state.db.broken-20261122T110000Z"
    full.file.rename(broken)
    journal = full.folder / "state.db-journal"
    journal.write_bytes(b"half a journal")
    journal.chmod(0o600)
    if journal_too:
        journal.rename(broken.with_name(broken.name + "-journal"))
    draft = full.folder / "state.db.new"
    draft.write_bytes(b"half a file")

    with open_to_read(full.directory, LAB) as reader:
        assert broken.name in reader.warnings[0]
        assert reader.recall_all("idle", Credit) == {}
    with full.run() as store:
        assert broken.name in str(store.set_aside)
        assert store.holds(at=NOON) == (a_hold("h1"),)
        assert store.recall_all("idle", Credit) == {}
    assert journal.read_bytes() == b""
    assert not draft.exists()


def test_s31_a_journal_without_its_file_is_never_played_into_a_new_one(full: State) -> None:
    full.file.unlink()
    journal = full.folder / "state.db-journal"
    journal.write_bytes(bytes.fromhex("d9d505f920a163d7") + b"\xff" * 5000)

    with open_beside(full.directory, LAB, StandingClock()) as beside:
        beside.add_hold(a_hold("h9"))
    with full.run() as store:
        assert "only the journal" in str(store.set_aside)
        assert store.holds(at=NOON) == (a_hold("h9"),)


def _read_back(directory: Path) -> tuple[object, ...] | None:
    """All that a reader believes; None when it says that the file is broken."""
    try:
        with open_to_read(directory, LAB) as reader:
            return (
                reader.recall_all("idle", Credit),
                reader.holds(at=NOON),
                reader.open_intents(),
                reader.actions(since=NOON),
                reader.decision("d0"),
                reader.decision("d1"),
            )
    except BadState:
        return None


def _never_believed_falsely(full: State, content: bytes, spoilt: bytes, whole: tuple[object, ...]) -> bool:
    full.file.write_bytes(spoilt)
    found = _read_back(full.directory)
    assert found in (None, whole), "something was read that nobody wrote"
    assert spoilt != content or found == whole
    return found is None


def test_s31_a_file_cut_short_anywhere_is_never_believed(full: State) -> None:
    content, whole = full.file.read_bytes(), _read_back(full.directory)
    assert whole is not None

    edges = {edge + by for edge in range(0, len(content), 4096) for by in (0, 1, 100, 4095)}
    for length in sorted(edges):
        assert _never_believed_falsely(full, content, content[:length], whole), length


@pytest.mark.slow
def test_s31_a_file_cut_short_at_any_byte_is_never_believed(full: State) -> None:
    content, whole = full.file.read_bytes(), _read_back(full.directory)
    assert whole is not None

    for length in range(0, len(content), 5):
        assert _never_believed_falsely(full, content, content[:length], whole), length


def _spoilt(content: bytes, dice: random.Random) -> bytes:
    spoilt = bytearray(content)
    match dice.randrange(4):
        case 0:
            for _ in range(dice.choice((1, 1, 1, 2, 8))):
                spoilt[dice.randrange(len(spoilt))] ^= 1 << dice.randrange(8)
        case 1:
            at, size = dice.randrange(len(spoilt)), dice.choice((1, 16, 512, 4096))
            spoilt[at : at + size] = bytes(len(spoilt[at : at + size]))
        case 2:
            # one page in the place of another
            to, of = dice.randrange(len(spoilt) // 4096), dice.randrange(len(spoilt) // 4096)
            spoilt[to * 4096 : (to + 1) * 4096] = content[of * 4096 : (of + 1) * 4096]
        case _:
            at = dice.randrange(len(spoilt))
            spoilt[at : at + 8] = dice.randbytes(len(spoilt[at : at + 8]))
    return bytes(spoilt)


@pytest.mark.parametrize("trials", [150, pytest.param(4000, marks=pytest.mark.slow)])
def test_s31_whatever_a_disk_makes_of_the_file_nothing_is_read_that_nobody_wrote(full: State, trials: int) -> None:
    content, whole = full.file.read_bytes(), _read_back(full.directory)
    assert whole is not None
    dice, refused = random.Random(trials), 0

    for _ in range(trials):
        refused += _never_believed_falsely(full, content, _spoilt(content, dice), whole)

    assert trials // 4 < refused < trials


@pytest.mark.parametrize("trials", [25, pytest.param(800, marks=pytest.mark.slow)])
def test_s31_a_run_on_a_spoilt_file_goes_on_from_the_truth_or_begins_anew(full: State, trials: int) -> None:
    content = full.file.read_bytes()
    dice = random.Random(trials)

    for _ in range(trials):
        full.file.write_bytes(_spoilt(content, dice))
        try:
            with full.run() as store:
                assert store.recall_all("idle", Credit) == ({} if store.set_aside else TOLD)
                assert store.holds(at=NOON) in ((a_hold("h1"),), ()) if store.set_aside else (a_hold("h1"),)
                store.keep("idle", "a", Credit(seconds=1))
        except PvectlError as error:
            assert error.exit_code in (65, 73), error  # noqa: PT017
        for path in full.folder.glob("state.db*"):
            if path != full.file:
                path.unlink()


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    "statement", ["UPDATE actions SET subject = 'guest/7'", "DELETE FROM actions", "UPDATE decisions SET verdict = 'keep' WHERE id = 'd1'"]
)
def test_s31_damage_that_a_run_comes_across_is_set_aside_by_the_next_one(
    full: State, monkeypatch: pytest.MonkeyPatch, statement: str, *, large: bool
) -> None:
    if large:
        monkeypatch.setattr("pvectl.store.file._CHECKED_WHOLE", 0)
    _damage(full, statement)
    with full.run() as store:
        if store.set_aside is None:
            with pytest.raises(BadState):
                _read_all(store)
    if not full.broken():
        with full.run() as store:
            assert "is broken" in str(store.set_aside)
            assert store.holds(at=NOON) == (a_hold("h1"),)
    with full.run() as store:
        assert store.set_aside is None
        assert store.actions(since=NOON) == ()


def _read_all(store: Store) -> None:
    store.actions(since=NOON)
    store.decision("d1")


def test_a_doubt_that_was_for_nothing_is_forgotten(full: State) -> None:
    with full.run() as store:
        store._session.is_doubted = True
    with full.alert_run() as store:
        assert store.set_aside is None
    with closing(sqlite3.connect(full.file)) as connection:
        assert connection.execute("SELECT count(*) FROM meta WHERE name = 'doubted'").fetchone() == (0,)
    with full.run() as store:
        assert store.recall_all("idle", Credit) == TOLD
