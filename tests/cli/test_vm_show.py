"""`vm show` against the simulated cluster."""

import pytest

from tests.cli.conftest import Connect
from tests.support.scenarios import MIXED


def test_one_guest_with_its_state_now_its_configuration_and_where_it_stands(lab: Connect) -> None:
    home, server = lab(MIXED)

    document = home.pvectl("vm", "show", "104", "-o", "json").json

    assert document["schema"] == "pvectl/vm-show/v1"
    assert (document["data"]["guest"]["vmid"], document["data"]["now"]["lock"]) == (104, "backup")
    assert document["data"]["config"]["name"] == "vault"
    assert (document["data"]["shutdown"]["verdict"], document["data"]["shutdown"]["reason"]) == ("keep", "locked")
    assert server.writes() == []


@pytest.mark.parametrize(
    ("word", "reason"), [("100", "requested"), ("asleep", "paused"), ("golden", "template"), ("failover", "ha-managed")]
)
@pytest.mark.slow
def test_a_name_is_as_good_as_a_number_and_live_state_decides(lab: Connect, word: str, reason: str) -> None:
    home, _ = lab(MIXED)

    assert home.pvectl("vm", "show", word, "-o", "json").json["data"]["shutdown"]["reason"] == reason


def test_a_page_names_what_matters(lab: Connect) -> None:
    home, _ = lab(MIXED)

    page = home.pvectl("vm", "show", "200").out

    assert page.startswith("200 (dns)  container on pve1, running\n")
    assert "\nwhere it stands\n  vm shutdown  it would be asked to shut down\n" in page


@pytest.mark.slow
def test_a_name_two_guests_share_is_not_guessed(lab: Connect) -> None:
    home, _ = lab({"guests": [{"vmid": 100, "name": "web"}, {"vmid": 101, "name": "web"}]})

    ended = home.pvectl("vm", "show", "web")

    assert ended.code == 2
    assert "100 (web), 101 (web)" in ended.err
    assert "vmid" in ended.err


@pytest.mark.parametrize(("word", "part"), [("999", "999"), ("wbe1", "web1"), ("@nonsense", "@nonsense"), ("10", "10")])
@pytest.mark.slow
def test_no_such_guest_is_one_sentence(lab: Connect, word: str, part: str) -> None:
    home, _ = lab(MIXED)

    ended = home.pvectl("vm", "show", word)

    assert (ended.code, ended.out) == (2, "")
    assert part in ended.err
    assert "Traceback" not in ended.err
