"""`node list` against the simulated cluster."""

from tests.cli.conftest import Connect
from tests.support.scenarios import MIXED


def test_nodes_are_listed_with_the_guests_on_them(lab: Connect) -> None:
    home, server = lab(MIXED)

    document = home.pvectl("node", "list", "-o", "json").json

    assert document["schema"] == "pvectl/node-list/v1"
    assert [(row["node"], row["status"], row["guests"], row["running"]) for row in document["data"]] == [
        ("pve1", "online", 4, 4),
        ("pve2", "online", 6, 3),
    ]
    assert document["complete"] is True
    assert len(server.requests) == 1


def test_a_node_that_is_off_makes_the_answer_incomplete_and_nobody_knows_what_runs_there(lab: Connect) -> None:
    home, server = lab(MIXED, speed=0)
    server.cluster.crash_node("pve2")
    server.cluster.clock.advance(400)

    document = home.pvectl("node", "list", "-o", "json").json
    off = document["data"][1]

    assert document["complete"] is False
    assert (off["node"], off["status"], off["cpu"], off["uptime"]) == ("pve2", "offline", None, None)
    assert (off["guests"], off["running"]) == (6, None)


def test_titles_can_be_left_out(lab: Connect) -> None:
    home, _ = lab(MIXED)

    assert home.pvectl("node", "list", "--no-header").out.splitlines()[0].startswith("pve1")
