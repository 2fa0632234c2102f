"""`pvectl alert ack` and `unack`: what is known is not repeated."""

from __future__ import annotations

from pvectl.core.alerts.incident import Kind
from pvectl.store import open_to_alert
from tests.cli.alerts.desk import DOWN, FINE, FULL, NODE, READING, Desk, waiting
from tests.core.alerts.runs import saw


def test_an_acknowledged_incident_is_not_repeated_until_it_is_worse(night: Desk) -> None:
    ended = night.pvectl("alert", "ack", NODE, "--note", "the UPS man is here", SUDO_USER="anna")

    assert ended.code == 0
    assert "node.offline/node/pve2 is known: node pve2 is offline" in ended.out
    assert ended.out.endswith("it is told again when it is over\n")
    assert "known to anna@" in night.pvectl("alert", "list").out
    night.advance(2 * 3600)
    assert night.run(saw(DOWN)) == []
    taken = night.pvectl("alert", "unack", NODE)
    assert "is repeated as its rule has it" in taken.out
    assert ("mail", Kind.REPEAT) in night.run(saw(DOWN))
    page = night.pvectl("alert", "explain", NODE).out
    assert "acknowledged" in page
    assert "not acknowledged" in page


def test_several_are_acknowledged_all_or_none(night: Desk) -> None:
    assert night.pvectl("alert", "ack", NODE, "storage.usge/storage/nfs").code == 2
    assert night.incident().acknowledged is None
    both = night.pvectl("alert", "ack", NODE, "storage.usage/storage/nfs", "-o", "json").json["data"]
    assert [row["acknowledged"]["severity"] for row in both] == ["critical", "warning"]


def test_who_acknowledges_what_nobody_was_told_of_learns_that_the_message_still_comes(night: Desk) -> None:
    ended = night.pvectl("alert", "ack", "storage.usage/storage/nfs")
    command = ended.out.rpartition("pvectl ")[2].replace("…", "later").split()

    assert "nobody has been told yet, and the first message still comes" in ended.out
    assert night.pvectl(*command).code == 0
    night.advance(600)
    assert night.run(saw(FULL)) == []


def test_what_is_over_or_not_acknowledged_is_said_so(night: Desk) -> None:
    assert "nobody has said that" in night.pvectl("alert", "unack", NODE).err
    night.run(FINE)
    night.advance(600)
    night.run(FINE)
    assert "is over\nhint: pvectl alert list" in night.pvectl("alert", "ack", NODE).err
    assert night.pvectl("alert", "ack", NODE, "--note", "x" * 201).code == 2


def test_a_person_need_not_wait_for_a_run_that_is_at_work(night: Desk) -> None:
    with open_to_alert(night.state, "lab", night.clock):
        assert night.pvectl("alert", "ack", NODE).code == 0
        assert night.pvectl("alert", "silence", "add", "--check", "*", "--for", "1h", "--reason", "x").code == 0
        assert night.pvectl("alert", "outbox", "drop", waiting(night).id, "--yes").code == 0
        assert all(night.pvectl("alert", *words).code == 0 for words in READING)
