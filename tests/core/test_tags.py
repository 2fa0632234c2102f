from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvectl.core import tags
from pvectl.core.tags import RemarkKind
from tests.core.guests import TAGS, guest, guests

words = st.lists(st.sampled_from(TAGS) | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,8}", fullmatch=True), max_size=6)
anything = st.lists(st.text(max_size=12), max_size=6)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (None, ()),
        ("", ()),
        (" ", ()),
        ("prod;web", ("prod", "web")),
        ("Prod,db", ("Prod", "db")),
        (";;office-hours;;web;", ("office-hours", "web")),
        ("-leading;ok;two words", ("-leading", "ok", "two", "words")),
        ("a;b;a", ("a", "b")),
        ("a\tb\nc\0d", ("a", "b", "c", "d")),
        ("ja\u00a0nein", ("ja\u00a0nein",)),
    ],
)
def test_a_configuration_line_is_split_as_pve_splits_it(raw: str | None, expected: tuple[str, ...]) -> None:
    assert tags.split(raw) == expected


@given(anything)
def test_splitting_what_was_joined_gives_each_word_once(listed: list[str]) -> None:
    found = tags.split(";".join(listed))
    assert len(set(found)) == len(found)
    assert tags.split(";".join(found)) == found


@pytest.mark.parametrize("tag", ["a", "_x", "9", "prio+1", "v1.2", "sched_off", "NIGHTLY", "a-", "a" * 4096])
def test_what_pve_stores_is_accepted(tag: str) -> None:
    assert tags.pve_accepts(tag)


@pytest.mark.parametrize("tag", ["", "-a", "+a", ".a", "a:b", "a=b", "a/b", "@a", "#a", "a%", "a*", "'a'", "größe", "a b", "a\n", "\u0131"])
def test_what_pve_refuses_is_not_accepted(tag: str) -> None:
    assert not tags.pve_accepts(tag)


@pytest.mark.parametrize("tag", ["a", "safe-shutdown", "2fa", "a-1-b"])
def test_kebab_case_may_be_written(tag: str) -> None:
    assert tags.check_new(tag) is None


@pytest.mark.parametrize(
    ("tag", "words_of_it"),
    [
        ("", "cannot be empty"),
        ("-a", "does not accept"),
        ("a b", "does not accept"),
        ("größe", "does not accept"),
        ("Safe", "kebab-case"),
        ("a_b", "kebab-case"),
        ("a--b", "kebab-case"),
        ("a-", "kebab-case"),
        ("v1.2", "kebab-case"),
        ("a\n", "does not accept"),
    ],
)
def test_a_new_tag_off_the_convention_is_told_why(tag: str, words_of_it: str) -> None:
    assert words_of_it in str(tags.check_new(tag))


@given(st.text(max_size=20))
def test_every_kebab_case_tag_is_one_pve_accepts_and_a_suggestion_is_kebab_case(tag: str) -> None:
    if tags.check_new(tag) is None:
        assert tags.pve_accepts(tag)
        assert tags.kebab_case(tag) == tag
    suggestion = tags.kebab_case(tag)
    assert suggestion is None or tags.check_new(suggestion) is None


def test_a_suggestion_keeps_the_words() -> None:
    assert tags.kebab_case("Safe_Shutdown") == "safe-shutdown"
    assert tags.kebab_case("--v1.2--") == "v1-2"
    assert tags.kebab_case("+++") is None


def test_lists_are_compared_as_pve_stores_them() -> None:
    assert tags.normalise(["web", "Prod", "prod"]) == ("prod", "web")
    assert tags.normalise(["web", "Prod", "prod"], case_sensitive=True) == ("Prod", "prod", "web")
    assert tags.same(["Prod", "web"], ["web", "prod", "prod"])
    assert not tags.same(["Prod"], ["prod"], case_sensitive=True)


@given(words, words, words, st.booleans())
def test_an_edit_removes_then_adds_and_touches_nothing_else(
    current: list[str], add: list[str], remove: list[str], case_sensitive: bool
) -> None:
    def bare(listed: list[str]) -> set[str]:
        return set(tags.normalise(listed, case_sensitive=case_sensitive))

    after = tags.edited(current, add=add, remove=remove, case_sensitive=case_sensitive)
    kept = {tag for tag in bare(current) if tags.pve_accepts(tag)}
    assert bare(list(after)) == (kept - bare(remove)) | bare(add)
    assert len(bare(list(after))) == len(after)
    assert set(after) <= set(current) | bare(add)


@given(words, words)
def test_replacing_leaves_exactly_what_was_given(current: list[str], add: list[str]) -> None:
    assert tags.normalise(tags.edited(current, add=add, replace=True)) == tags.normalise(add)


def test_an_edit_keeps_the_order_of_what_was_there() -> None:
    assert tags.edited(("web", "prod", "db"), add=("app",), remove=("prod",)) == ("web", "db", "app")


def test_what_stays_keeps_its_spelling_because_pve_takes_another_one_for_a_change() -> None:
    assert tags.edited(("Legacy", "prod", "legacy"), add=("new", "PROD")) == ("Legacy", "prod", "new")
    assert tags.edited(("Legacy", "legacy"), add=("New",), case_sensitive=True) == ("Legacy", "legacy", "New")


def test_a_tag_that_is_removed_and_added_stays() -> None:
    assert tags.edited(("a", "b"), add=("a",), remove=("a",)) == ("b", "a")


def test_what_pve_would_refuse_the_whole_list_for_falls_away() -> None:
    assert tags.edited(("-leading", "ok"), add=("new",)) == ("ok", "new")


def test_guests_are_found_by_their_tags_whatever_their_spelling() -> None:
    cast = [guest(102, tags=("Prod",)), guest(101, tags=("prod", "web")), guest(103)]
    assert tags.by_tag(cast) == {"prod": (101, 102), "web": (101,)}
    assert tags.by_tag(cast, case_sensitive=True) == {"Prod": (102,), "prod": (101,), "web": (101,)}


@given(guests())
def test_the_index_by_tag_is_the_guests_turned_around(cast: list[object]) -> None:
    index = tags.by_tag(cast)  # type: ignore[arg-type]
    pairs = {(tag, vmid) for tag, vmids in index.items() for vmid in vmids}
    assert pairs == {(tag.lower(), one.vmid) for one in cast for tag in one.tags}  # type: ignore[attr-defined]
    assert list(index) == sorted(index)


def test_the_nearest_known_word_is_named_in_its_own_spelling() -> None:
    assert tags.nearest("safe-shutdwn", ["prod", "Safe-Shutdown"]) == "Safe-Shutdown"
    assert tags.nearest("zzz", ["prod", "safe-shutdown"]) is None
    assert tags.nearest("x", []) is None


def remarks(
    tags_of: dict[str, int], registered: tuple[str, ...] | None = None, *, case_sensitive: bool = False
) -> set[tuple[str, str, str | None]]:
    """Kind, tag and suggestion of each remark, for a cluster in which so many guests carry each tag."""
    cast, vmid = [], 100
    for tag, count in tags_of.items():
        for _ in range(count):
            cast.append(guest(vmid, tags=(tag,)))
            vmid += 1
    return {(remark.kind.value, remark.tag, remark.suggestion) for remark in tags.lint(cast, registered, case_sensitive=case_sensitive)}


def test_a_tidy_cluster_gives_no_remark() -> None:
    assert remarks({"prod": 3, "web": 2, "db": 1, "safe-shutdown": 9}) == set()


def test_tags_off_the_convention_are_remarked_with_a_better_spelling() -> None:
    assert remarks({"v1.2": 1}) == {("not-kebab-case", "v1.2", "v1-2")}


def test_a_tag_pve_does_not_accept_is_remarked() -> None:
    assert remarks({"-leading": 1, "größe": 1}) == {("not-accepted", "-leading", "leading"), ("not-accepted", "größe", "gr-e")}


def test_spellings_of_one_word_are_look_alikes_of_the_kebab_case_one() -> None:
    assert remarks({"safe_shutdown": 5, "safe-shutdown": 1, "safeshutdown": 2}) == {
        ("not-kebab-case", "safe_shutdown", "safe-shutdown"),
        ("look-alike", "safe_shutdown", "safe-shutdown"),
        ("look-alike", "safeshutdown", "safe-shutdown"),
    }


def test_of_two_kebab_case_spellings_the_more_common_one_is_suggested() -> None:
    assert remarks({"data-base": 1, "dat-abase": 2}) == {("look-alike", "data-base", "dat-abase")}
    assert remarks({"data-base": 1, "dat-abase": 1}) == {("look-alike", "data-base", "dat-abase")}


def test_a_tag_of_nothing_but_joints_has_no_look_alikes() -> None:
    assert remarks({"_": 1, "__": 1}) == {("not-kebab-case", "_", None), ("not-kebab-case", "__", None)}


def test_spellings_that_differ_in_case_are_look_alikes_only_where_pve_tells_them_apart() -> None:
    assert remarks({"prod": 2, "Prod": 1}) == {("not-kebab-case", "Prod", "prod")}
    assert remarks({"prod": 2, "Prod": 1}, case_sensitive=True) == {("not-kebab-case", "Prod", "prod"), ("look-alike", "Prod", "prod")}


@pytest.mark.parametrize("typo", ["desktp", "desktopp", "desktop-s", "desktpo", "desctop", "edsktop"])
def test_a_rare_tag_one_slip_away_from_a_common_one_is_a_look_alike(typo: str) -> None:
    found = remarks({"desktop": 8, typo: 1})
    assert (("look-alike", typo, "desktop") in found) is (typo != "desktop-s")


@pytest.mark.parametrize(
    ("used", "why"),
    [
        ({"desktop": 3, "desktp": 1}, "not much more common"),
        ({"web1": 9, "web2": 1}, "numbers differ on purpose"),
        ({"web": 9, "wed": 1}, "too short to tell"),
        ({"desktop": 9, "dasktup": 1}, "two slips"),
        ({"abcd": 9, "dcba": 1}, "not neighbours"),
    ],
)
def test_tags_that_are_only_a_little_alike_are_left_in_peace(used: dict[str, int], why: str) -> None:
    assert remarks(used) == set(), why


def test_unregistered_tags_are_remarked_where_the_cluster_registers_some() -> None:
    assert remarks({"prod": 1, "porduction": 1}, ("Prod", "production")) == {("unregistered", "porduction", "production")}
    assert remarks({"prod": 1}, ()) == set()
    assert remarks({"prod": 1}, None) == set()


def test_a_remark_names_the_guests_and_its_kinds_come_in_a_fixed_order() -> None:
    found = tags.lint([guest(101, tags=("a_b",)), guest(100, tags=("a_b", "a-b"))], ("a-b",))
    assert [(remark.kind, remark.vmids) for remark in found] == [
        (RemarkKind.NOT_KEBAB_CASE, (100, 101)),
        (RemarkKind.LOOK_ALIKE, (100, 101)),
        (RemarkKind.UNREGISTERED, (100, 101)),
    ]
    assert all(remark.detail for remark in found)


@given(guests(), st.none() | words.map(tuple), st.booleans())
def test_linting_never_fails_and_never_suggests_the_tag_itself(
    cast: list[object], registered: tuple[str, ...] | None, case_sensitive: bool
) -> None:
    for remark in tags.lint(cast, registered, case_sensitive=case_sensitive):  # type: ignore[arg-type]
        assert remark.vmids
        assert remark.suggestion != remark.tag
