from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime

import pytest

from pvectl.core.model import BlindSpot, ClusterView, Node
from pvectl.core.plan import Reason
from pvectl.core.secret import Secret
from tests.core.guests import STATUSES, guest

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


@pytest.mark.parametrize("status", STATUSES)
def test_s04_only_stopped_is_off(status: str) -> None:
    assert guest(status=status).is_off is (status == "stopped")


def test_a_guest_is_named_by_number_and_name_as_far_as_known() -> None:
    assert guest(100, name="db").label == "100 (db)"
    assert guest(100, name=None).label == "100"
    assert guest(100).subject == "guest/100"
    assert Node(name="pve1", status="online").subject == "node/pve1"


def test_s01_a_view_is_complete_only_when_that_was_proven() -> None:
    view = ClusterView(taken_at=NOW)
    assert not view.complete
    assert ClusterView(taken_at=NOW, proven=True).complete
    assert not ClusterView(taken_at=NOW, proven=True, blind_spots=(BlindSpot(subject="cluster", reason="unread"),)).complete


def test_a_view_finds_guests_and_nodes_or_says_there_is_none() -> None:
    view = ClusterView(taken_at=NOW, guests=(guest(100),), nodes=(Node(name="pve1", status="online"),))
    assert view.guest(100) == guest(100)
    assert view.guest(101) is None
    assert view.node("pve1") == view.nodes[0]
    assert view.node("pve2") is None


def test_every_reason_has_a_sentence() -> None:
    assert all(reason.sentence and reason.sentence != reason.value for reason in Reason)
    assert Reason.HA_MANAGED.value == "ha-managed"


def test_s33_a_secret_shows_itself_to_nobody_but_those_who_ask_for_it() -> None:
    secret = Secret("s3cr3t")
    assert secret.reveal() == "s3cr3t"
    assert "s3cr3t" not in f"{secret} {secret!r} {[secret]} {secret!s:>40}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
