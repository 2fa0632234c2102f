from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvectl.core import tagging, tags
from pvectl.core.model import Guest
from pvectl.core.plan import Decision, Reason, SetTags, Verdict
from pvectl.core.tagging import Edit
from tests.core.guests import guest, guests

NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def decided(one: Guest, edit: Edit, *, case_sensitive: bool = False) -> Decision:
    (decision,) = tagging.plan([one], edit, now=NOW, case_sensitive=case_sensitive).decisions
    return decision


def test_a_guest_that_needs_other_tags_gets_them_and_the_plan_says_which() -> None:
    one = guest(tags=("Prod", "db"))
    decision = decided(one, Edit(add=("web", "app"), remove=("DB",)))
    assert decision == Decision(
        subject="guest/100",
        verdict=Verdict.ACT,
        reason=Reason.TAGS_DIFFER,
        detail="adds app, web; removes db",
        action=SetTags(guest=one, add=("web", "app"), remove=("DB",), after=("app", "prod", "web")),
    )


@pytest.mark.parametrize(
    ("edit", "detail"),
    [
        (Edit(add=("prod",)), "it carries prod already"),
        (Edit(add=("prod", "DB")), "it carries db, prod already"),
        (Edit(remove=("web",)), "it does not carry web"),
        (Edit(remove=("web", "App", "x")), "it does not carry app, web or x"),
        (Edit(add=("prod",), remove=("web",)), "it carries prod already and does not carry web"),
        (Edit(add=("prod",), remove=("prod",)), "it carries prod already"),
        (Edit(add=("db", "prod"), replace=True), "it has db, prod already"),
        (Edit(), "it has db, prod already"),
    ],
)
def test_a_guest_that_has_its_tags_as_asked_is_left_alone(edit: Edit, detail: str) -> None:
    decision = decided(guest(tags=("prod", "db")), edit)
    assert (decision.verdict, decision.reason, decision.detail, decision.action) == (Verdict.KEEP, Reason.TAGS_UNCHANGED, detail, None)


def test_a_guest_without_tags_that_is_to_have_none_is_left_alone() -> None:
    assert decided(guest(), Edit(replace=True)).detail == "it has no tags already"


def test_all_tags_can_be_taken_away() -> None:
    decision = decided(guest(tags=("prod",)), Edit(replace=True))
    assert decision.detail == "removes prod"
    assert isinstance(decision.action, SetTags)
    assert decision.action.after == ()


def test_case_counts_where_the_cluster_says_so() -> None:
    assert decided(guest(tags=("Prod",)), Edit(add=("prod",))).verdict is Verdict.KEEP
    assert decided(guest(tags=("Prod",)), Edit(add=("prod",)), case_sensitive=True).detail == "adds prod"


def test_what_pve_does_not_accept_is_dropped_aloud() -> None:
    decision = decided(guest(tags=("-leading", "ok")), Edit(add=("new",)))
    assert decision.detail == "adds new; drops -leading, which Proxmox VE does not accept"


def test_what_the_selection_takes_away_keeps_its_tags() -> None:
    plan = tagging.plan([guest(100), guest(101)], Edit(add=("x",)), excluded=[guest(101)], now=NOW)
    assert [(decision.subject, decision.reason) for decision in plan.decisions] == [
        ("guest/100", Reason.TAGS_DIFFER),
        ("guest/101", Reason.EXCLUDED),
    ]


some = st.lists(st.sampled_from(["prod", "web", "safe-shutdown", "new"]), max_size=3, unique=True).map(tuple)


@given(guests(), guests(max_size=2), st.builds(Edit, add=some, remove=some, replace=st.booleans()))
def test_every_guest_gets_one_decision_and_an_action_exactly_when_its_tags_differ(
    cast: list[Guest], excluded: list[Guest], edit: Edit
) -> None:
    plan = tagging.plan(cast, edit, excluded=excluded, now=NOW)
    everybody = {one.vmid: one for one in [*cast, *excluded]}
    assert [decision.subject for decision in plan.decisions] == [f"guest/{vmid}" for vmid in sorted(everybody)]
    spared = {one.vmid for one in excluded}
    for decision in plan.decisions:
        assert decision.detail
        assert (decision.action is not None) is (decision.verdict is Verdict.ACT)
        if isinstance(decision.action, SetTags):
            assert decision.action.guest.vmid not in spared
            assert not tags.same(decision.action.guest.tags, decision.action.after)
            assert all(tags.pve_accepts(tag) for tag in decision.action.after)
