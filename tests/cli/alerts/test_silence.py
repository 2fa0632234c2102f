"""`pvectl alert silence`: what is covered is not told, until it ends by itself."""

from __future__ import annotations

import pytest

from pvectl.core.alerts.incident import Kind
from tests.cli.alerts.desk import DOWN, FINE, FULL, NODE, Desk
from tests.core.alerts.runs import saw


def test_a_silence_says_what_it_covers_and_how_to_end_it(night: Desk) -> None:
    ended = night.pvectl("alert", "silence", "add", "--check", "node.*,ha.*", "--node", "pve*", "--for", "2h", "--reason", " new  RAM ")
    listed = night.pvectl("alert", "silence", "list")
    id_ = night.pvectl("alert", "silence", "list", "-o", "json").json["data"][0]["id"]

    assert ended.code == 0, ended.err
    assert ended.out.startswith("nobody is told of node.*, ha.* on node pve* until 14:07 (2h): new RAM\nit covers 1 open incident; ")
    assert f"pvectl alert silence remove {id_}" in ended.out
    assert listed.out.splitlines()[1].split()[:7] == [id_, "node.*,", "ha.*", "on", "node", "pve*", "14:07"]
    assert "silenced until 14:07 by" in night.pvectl("alert", "list").out
    gone = night.pvectl("alert", "silence", "remove", id_[:5])
    assert gone.out == f"node.*, ha.* on node pve* is told again ({id_}: new RAM)\n"
    assert night.pvectl("alert", "silence", "list").out == "nothing is silenced\n"


def test_a_silence_keeps_messages_back_and_ends_by_itself(night: Desk) -> None:
    night.pvectl("alert", "silence", "add", "--object", "storage/*", "--until", "12:30", "--reason", "x")
    night.advance(600)
    assert night.run(saw(DOWN, FULL)) == []
    night.advance(15 * 60)
    assert night.run(saw(DOWN, FULL)) == [("mail", Kind.FIRING), ("phone", Kind.FIRING)]
    assert night.pvectl("alert", "silence", "list").out == "nothing is silenced\n"


def test_what_gets_well_is_told_as_such_whatever_is_silenced_or_known(night: Desk) -> None:
    night.pvectl("alert", "silence", "add", "--check", "*", "--for", "1h", "--reason", "x")
    night.pvectl("alert", "ack", NODE)
    night.run(FINE)
    row = night.pvectl("alert", "list").out.splitlines()[1]
    assert "recovering" in row
    assert row.endswith("fine since 12:07, over when it still is at 12:12")
    night.advance(300)
    assert night.run(FINE) == [("mail", Kind.RESOLVED), ("phone", Kind.RESOLVED)]


def test_a_tag_is_silenced_however_it_is_written(night: Desk) -> None:
    added = night.pvectl("alert", "silence", "add", "--tag", "Lab", "--for", "1h", "--reason", "x", "-o", "json").json["data"][0]
    assert (added["tag"], added["checks"], added["covers"]) == ("lab", ["*"], 1)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--for", "2h"), "say what is to be quiet: --check, --object, --tag, --pool or --node\nhint: --check '*' is everything"),
        (("--check", " , ", "--for", "2h"), "say what is to be quiet"),
        (
            ("--object", "*", "--for", "2h"),
            "say what is to be quiet: --check, --object, --tag, --pool or --node\nhint: --check '*' is everything",
        ),
        (("--node", "**", "--object", "*/*", "--for", "2h"), "say what is to be quiet"),
        (("--tag", "lab*", "--for", "2h"), "--tag: lab* is no tag\nhint: a tag is given in full"),
        (("--check", "storage.usge", "--for", "2h"), "there is no check storage.usge\nhint: did you mean storage.usage?"),
        (("--check", NODE, "--for", "2h"), "hint: give the two apart: --check node.offline --object node/pve2"),
        (("--check", "xyzzy", "--for", "2h"), "hint: pvectl monitor --coverage lists them"),
        (("--check", "*"), "say how long: --for 2h or --until 18:00"),
        (("--check", "*", "--for", "31d"), "a silence lasts at most 30 days\nhint: silences end by themselves"),
        (("--check", "*", "--for", "1h", "--until", "18:00"), "give one of the two"),
        (("--object", "100", "--for", "1h"), "--object: 100 is no object\nhint: a guest is guest/100"),
        (("--object", " ", "--for", "1h"), "--object: is empty"),
    ],
)
def test_a_silence_that_was_not_meant_so_is_refused(night: Desk, words: tuple[str, ...], complaint: str) -> None:
    ended = night.pvectl("alert", "silence", "add", *words, "--reason", "x")

    assert (ended.code, ended.out) == (2, "")
    assert complaint in ended.err
    with night.opened() as alerts:
        assert alerts.silences() == ()


def test_a_silence_says_why(night: Desk) -> None:
    for reason in (" ", "x" * 201):
        assert "--reason: say why" in night.pvectl("alert", "silence", "add", "--check", "*", "--for", "1h", "--reason", reason).err


def test_an_object_nothing_is_called_is_doubted(night: Desk) -> None:
    ended = night.pvectl("alert", "silence", "add", "--object", "nfs", "--for", "1h", "--reason", "x")
    assert ended.code == 0
    assert "nothing that is open is called nfs: objects look like node/pve1" in ended.err


def test_a_silence_there_is_not_cannot_be_removed(night: Desk) -> None:
    assert "hint: nothing is silenced" in night.pvectl("alert", "silence", "remove", "zz").err
    id_ = night.pvectl("alert", "silence", "add", "--check", "*", "--for", "1h", "--reason", "why", "-o", "json").json["data"][0]["id"]
    ended = night.pvectl("alert", "silence", "remove", id_, "zz")
    assert ended.code == 2
    assert "there is no silence 'zz'" in ended.err
    assert len(night.pvectl("alert", "silence", "list", "-o", "json").json["data"]) == 1
