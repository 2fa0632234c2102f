from __future__ import annotations

from typing import Any

import pytest

from pvectl import act, observe
from pvectl.act.tags import EDIT_ATTEMPTS
from pvectl.core import tagging
from pvectl.core.model import Guest
from pvectl.core.plan import Outcome, OutcomeStatus, Plan
from pvectl.core.tagging import Edit
from pvectl.errors import PvectlError, WriteForbidden
from tests.support.labs import Lab, lab


def guest(vmid: int = 100, tags: str | None = "prod;db", **manners: Any) -> dict[str, Any]:
    return {"vmid": vmid, "type": "qemu", "node": "pve1", "name": f"vm{vmid}", "status": "running", "tags": tags, **manners}


def world(*guests: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"nodes": {"pve1": {}, "pve2": {}}, "guests": list(guests), **more}


def planned(one: Lab, edit: Edit, *, case_sensitive: bool = False) -> Plan:
    return tagging.plan(observe.look(one.client, one.clock).guests, edit, now=one.clock.now(), case_sensitive=case_sensitive)


def carried_out(one: Lab, plan: Plan | Edit, **how: Any) -> dict[int, Outcome]:
    plan = planned(one, plan) if isinstance(plan, Edit) else plan
    outcomes = act.carry_out(plan, one.client, one.clock, **how)
    assert [outcome.action for outcome in outcomes] == list(plan.actions)
    return {outcome.action.guest.vmid: outcome for outcome in outcomes}


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvectl.pve.transport.PAUSE_S", 0.001)


@pytest.mark.parametrize("version", ["8.4", "9.2"])
def test_tags_are_added_and_removed_and_the_others_stay(version: str) -> None:
    with lab(world(guest(), guest(200, "web", type="lxc", node="pve2"), guest(101, None), version=version)) as one:
        outcomes = carried_out(one, Edit(add=("safe-shutdown",), remove=("db",)))
        assert {outcome.status for outcome in outcomes.values()} == {OutcomeStatus.DONE}
        assert all(outcome.took is not None for outcome in outcomes.values())
        assert {vmid: one.cluster.guest(vmid).tags for vmid in outcomes} == {
            100: "prod;safe-shutdown",
            101: "safe-shutdown",
            200: "safe-shutdown;web",
        }


def test_an_edit_reads_writes_with_the_digest_and_reads_back() -> None:
    with lab(world(guest())) as one:
        plan = planned(one, Edit(add=("web",)))
        one.server.clear()
        carried_out(one, plan)
        assert one.asked() == [
            "GET /cluster/options",
            "GET /nodes/pve1/qemu/100/config",
            "PUT /nodes/pve1/qemu/100/config",
            "GET /nodes/pve1/qemu/100/config",
        ]
        (put,) = one.server.writes()
        assert put.params["tags"] == "prod;db;web"
        assert len(put.params["digest"]) == 40


def test_the_last_tag_is_taken_away_without_a_trace() -> None:
    with lab(world(guest(tags="prod"))) as one:
        assert carried_out(one, Edit(remove=("prod",)))[100].status is OutcomeStatus.DONE
        assert not one.cluster.guest(100).tags
        assert one.server.writes()[0].params["delete"] == "tags"


def test_the_tags_are_edited_as_they_are_when_it_is_their_turn() -> None:
    with lab(world(guest())) as one:
        plan = planned(one, Edit(add=("web",)))
        one.cluster.set_tags(100, "prod;db;colleague")
        assert carried_out(one, plan)[100].status is OutcomeStatus.DONE
        assert one.cluster.guest(100).tags == "colleague;db;prod;web"


def test_a_guest_that_has_its_tags_by_then_is_done_without_a_write() -> None:
    with lab(world(guest())) as one:
        plan = planned(one, Edit(add=("web",)))
        one.cluster.set_tags(100, "prod;db;web")
        assert carried_out(one, plan)[100].status is OutcomeStatus.DONE
        assert one.wrote() == []


def meddling(one: Lab, *, times: int) -> None:
    """Somebody else edits the guest right after each time its configuration is read."""
    read = one.client.guest_config
    rounds = iter(range(times))

    def read_and_lose(asked: Guest) -> Any:
        config = read(asked)
        number = next(rounds, None)
        if number is not None:
            one.cluster.set_tags(asked.vmid, f"prod;db;colleague{number}")
        return config

    one.client.guest_config = read_and_lose  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize("kind", ["qemu", "lxc"])
def test_an_edit_by_somebody_else_in_between_makes_it_start_over(kind: str) -> None:
    with lab(world(guest(type=kind))) as one:
        plan = planned(one, Edit(add=("web",), remove=("db",)))
        meddling(one, times=3)
        assert carried_out(one, plan)[100].status is OutcomeStatus.DONE
        assert one.cluster.guest(100).tags == "colleague2;prod;web"
        assert len(one.clock.naps) == 3
        assert len(set(one.clock.naps)) == 3


@pytest.mark.parametrize(
    "text",
    [
        "checksum mismatch (file change by other user?)",
        "checksum missmatch (file change by other user?)",
        "detected modified configuration - file changed by other user? Try again.",
    ],
)
def test_every_text_pve_has_for_it_is_known(text: str) -> None:
    with lab(world(guest())) as one:
        one.server.fault("status", method="PUT", path="*/config", code=500, reason=text, times=1)
        assert carried_out(one, Edit(add=("web",)))[100].status is OutcomeStatus.DONE
        assert len(one.wrote()) == 2


def test_starting_over_has_an_end() -> None:
    with lab(world(guest())) as one:
        plan = planned(one, Edit(add=("web",)))
        meddling(one, times=99)
        outcome = carried_out(one, plan)[100]
        assert outcome.status is OutcomeStatus.FAILED
        assert "checksum mismatch" in (outcome.error or "")
        assert len(one.wrote()) == EDIT_ATTEMPTS


def test_an_edit_that_is_undone_at_once_has_failed() -> None:
    with lab(world(guest())) as one:
        plan = planned(one, Edit(add=("web",)))
        write = one.client.set_tags

        def write_and_lose(asked: Guest, **how: Any) -> None:
            write(asked, **how)
            one.cluster.set_tags(asked.vmid, "prod")

        one.client.set_tags = write_and_lose  # type: ignore[method-assign, assignment]
        outcome = carried_out(one, plan)[100]
        assert outcome.status is OutcomeStatus.FAILED
        assert outcome.error == "written, but read back as 'prod': somebody else changed the tags at the same moment"
        assert len(one.wrote()) == 1


def test_a_tag_somebody_else_adds_right_after_is_no_failure() -> None:
    with lab(world(guest())) as one:
        plan = planned(one, Edit(add=("web",)))
        write = one.client.set_tags

        def write_and_gain(asked: Guest, **how: Any) -> None:
            write(asked, **how)
            one.cluster.set_tags(asked.vmid, "prod;db;web;colleague")

        one.client.set_tags = write_and_gain  # type: ignore[method-assign, assignment]
        assert carried_out(one, plan)[100].status is OutcomeStatus.DONE


@pytest.mark.parametrize(("kind", "words"), [("qemu", "VM is locked (backup)"), ("lxc", "CT is locked (backup)")])
def test_a_locked_guest_fails_in_pves_words_with_what_to_do(kind: str, words: str) -> None:
    with lab(world(guest(type=kind, lock="backup"), guest(101))) as one:
        outcomes = carried_out(one, Edit(add=("web",)))
        assert outcomes[100].status is OutcomeStatus.FAILED
        assert words in (outcomes[100].error or "")
        assert outcomes[100].hint == "other work is going on with the guest: try again when that has ended"
        assert outcomes[101].status is OutcomeStatus.DONE


def test_a_guest_that_is_being_shut_down_fails_with_what_to_do() -> None:
    with lab(world(guest(shutdown_s=500))) as one:
        one.client.shutdown(observe.look(one.client, one.clock).guests[0], timeout=900, force_stop=False)
        outcome = carried_out(one, Edit(add=("web",)))[100]
        assert outcome.status is OutcomeStatus.FAILED
        assert "can't lock file" in (outcome.error or "")
        assert outcome.hint == "another task is working on the guest, a shutdown perhaps: try again when that has ended"


TAGGER = {
    "users": {"tags@pve": {"enable": 1}},
    "tokens": {"tags@pve!edit": {"secret": "5eb1d2c4-0000-4000-8000-00000000a11e", "privsep": 0}},
    "roles": {"Tagger": "VM.Audit VM.Config.Options"},
    "acl": [{"path": "/vms", "type": "user", "ugid": "tags@pve", "roleid": "Tagger", "propagate": 1}],
}


def test_a_registered_tag_needs_more_rights_and_it_is_said_which() -> None:
    with lab(world(guest(), options={"registered-tags": ["safe-shutdown"]}, **TAGGER)) as one:
        outcome = carried_out(one, Edit(add=("safe-shutdown",)))[100]
        assert outcome.status is OutcomeStatus.FAILED
        assert "Sys.Modify for modifying tag 'safe-shutdown'" in (outcome.error or "")
        assert "registered" in (outcome.hint or "")
        assert carried_out(one, Edit(add=("web",)))[100].status is OutcomeStatus.DONE


def test_a_restricted_tag_with_a_spelling_of_its_own_stands_in_nobodys_way() -> None:
    options = {"registered-tags": ["critical"], "user-tag-access": {"user-allow": "list", "user-allow-list": ["web"]}}
    with lab(world(guest(tags="Legacy;critical"), options=options, **TAGGER)) as one:
        assert carried_out(one, Edit(add=("web",)))[100].status is OutcomeStatus.DONE
        assert one.cluster.guest(100).tags == "critical;legacy;web"


def test_a_token_without_vm_config_options_is_told_so() -> None:
    with lab(world(guest(), **{**TAGGER, "roles": {"Tagger": "VM.Audit"}})) as one:
        outcome = carried_out(one, Edit(add=("web",)))[100]
        assert outcome.status is OutcomeStatus.FAILED
        assert "VM.Config.Options" in (outcome.error or "") + (outcome.hint or "")


def test_case_counts_where_the_clusters_tag_style_says_so() -> None:
    with lab(world(guest(tags="Prod"), options={"tag-style": {"case-sensitive": 1}})) as one:
        assert carried_out(one, planned(one, Edit(add=("prod",)), case_sensitive=True))[100].status is OutcomeStatus.DONE
        assert set((one.cluster.guest(100).tags or "").split(";")) == {"Prod", "prod"}


def test_the_order_of_tags_stays_where_the_cluster_keeps_it() -> None:
    with lab(world(guest(tags="web;db;prod"), options={"tag-style": {"ordering": "config"}})) as one:
        assert carried_out(one, Edit(add=("app",), remove=("db",)))[100].status is OutcomeStatus.DONE
        assert one.cluster.guest(100).tags == "web;prod;app"


def test_tags_that_pve_hides_for_one_bad_one_are_not_lost() -> None:
    with lab(world(guest(tags="-leading;ok;two words"), guest(101, "-x"))) as one:
        guests = observe.look(one.client, one.clock).guests
        assert one.client.guest_config(guests[0]).tags_raw is None
        outcomes = carried_out(one, Edit(add=("new",)))
        assert {outcome.status for outcome in outcomes.values()} == {OutcomeStatus.DONE}
        assert one.cluster.guest(100).tags == "new;ok;two;words"
        assert one.cluster.guest(101).tags == "new"


def test_a_bad_tag_can_be_removed_even_when_nothing_is_left_then() -> None:
    with lab(world(guest(tags="-x"))) as one:
        assert carried_out(one, Edit(remove=("-x",)))[100].status is OutcomeStatus.DONE
        assert not one.cluster.guest(100).tags


def test_a_guest_that_vanished_fails_and_nothing_is_written() -> None:
    with lab(world(guest(), guest(101))) as one:
        plan = planned(one, Edit(add=("web",)))
        one.cluster.remove_guest(100)
        outcomes = carried_out(one, plan)
        assert outcomes[100].status is OutcomeStatus.FAILED
        assert outcomes[100].error == "it is no longer on node pve1: it was moved or removed in the meantime"
        assert outcomes[101].status is OutcomeStatus.DONE


def test_s24_a_write_whose_answer_is_lost_is_read_back_and_never_sent_again() -> None:
    with lab(world(guest(), guest(101))) as one:
        one.server.fault("reset", method="PUT", path="*/100/config", after=0, execute=True)
        one.server.fault("reset", method="PUT", path="*/101/config", after=0, execute=False)
        outcomes = carried_out(one, Edit(add=("web",)))
        assert outcomes[100].status is OutcomeStatus.DONE
        assert outcomes[101].status is OutcomeStatus.UNKNOWN
        assert "may or may not have happened" in (outcomes[101].error or "")
        assert sorted(one.wrote()) == ["PUT /nodes/pve1/qemu/100/config", "PUT /nodes/pve1/qemu/101/config"]


def broken_after_the_write(one: Lab) -> None:
    write = one.client.set_tags

    def write_and_break(asked: Guest, **how: Any) -> None:
        one.server.fault("status", method="GET", path="*/config", code=500, reason="broken")
        write(asked, **how)

    one.client.set_tags = write_and_break  # type: ignore[method-assign, assignment]


def test_a_write_that_cannot_be_read_back_is_not_called_done() -> None:
    with lab(world(guest())) as one:
        plan = planned(one, Edit(add=("web",)))
        broken_after_the_write(one)
        outcome = carried_out(one, plan)[100]
        assert outcome.status is OutcomeStatus.UNKNOWN
        assert (outcome.error or "").startswith("Proxmox VE took the tags, but they could not be read back: ")


def test_s24_a_lost_write_that_cannot_be_read_back_stays_unknown() -> None:
    with lab(world(guest())) as one:
        plan = planned(one, Edit(add=("web",)))
        broken_after_the_write(one)
        one.server.fault("reset", method="PUT", path="*/100/config", after=0)
        outcome = carried_out(one, plan)[100]
        assert outcome.status is OutcomeStatus.UNKNOWN
        assert "may or may not have happened" in (outcome.error or "")


def test_without_quorum_nothing_is_written_and_it_is_said() -> None:
    with lab(world(guest())) as one:
        plan = planned(one, Edit(add=("web",)))
        one.cluster.lose_quorum()
        outcome = carried_out(one, plan)[100]
        assert outcome.status is OutcomeStatus.FAILED
        assert outcome.hint
        assert one.cluster.guest(100).tags == "prod;db"


def test_s18_a_dry_run_writes_no_tags() -> None:
    with lab(world(guest()), read_only=True) as one:
        plan = planned(one, Edit(add=("web",)))
        one.server.clear()
        assert carried_out(one, plan, dry_run=True)[100].status is OutcomeStatus.DRY_RUN
        assert one.asked() == []


def test_s18_over_a_connection_that_may_only_read_no_tags_are_written() -> None:
    with lab(world(guest(), guest(101)), read_only=True) as one:
        with pytest.raises(WriteForbidden):
            carried_out(one, Edit(add=("web",)))
        assert one.wrote() == []


def test_when_the_tag_style_cannot_be_read_nothing_is_begun() -> None:
    with lab(world(guest())) as one:
        plan = planned(one, Edit(add=("web",)))
        one.server.fault("status", path="/cluster/options", code=500, reason="broken")
        with pytest.raises(PvectlError, match="broken"):
            carried_out(one, plan)
        assert one.wrote() == []


def test_many_guests_are_tagged_in_parallel_and_each_is_told_once() -> None:
    with lab(world(*(guest(vmid) for vmid in range(100, 150)))) as one:
        told: list[int] = []
        outcomes = carried_out(one, Edit(add=("web",)), parallel=4, progress=lambda outcome: told.append(outcome.action.guest.vmid))
        assert {outcome.status for outcome in outcomes.values()} == {OutcomeStatus.DONE}
        assert told == list(range(100, 150))
