from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvectl.core.model import Guest
from pvectl.core.select import Selection, SelectorError, parse
from tests.core.guests import guest, guests

CAST = (
    guest(100, name="web1", tags=("prod", "web"), pool="prodpool"),
    guest(101, name="web2", tags=("web",), node="pve2"),
    guest(105, name="db", tags=("Prod",), node="pve2"),
    guest(110, name="WEB1", type="lxc", node="pve3"),
    guest(200, name="desktop", tags=("safe-shutdown",), node="pve3", template=True),
    guest(300, name=None, status="unknown", node="pve3"),
)

good_words = st.sampled_from(
    [
        "100",
        "101",
        "999999999",
        "100:110",
        "105:105",
        "web*",
        "web1",
        "db",
        "?b",
        "[dw]*",
        "@all",
        "@tag-prod",
        "@tag-we*",
        "@TAG-Safe-Shutdown",
        "@pool-prodpool",
        "@pool-lab*",
        "@node-pve2",
        "@node-pve?",
    ]
)
good_lists = st.lists(good_words, min_size=1, max_size=4)


def vmids(found: Sequence[Guest]) -> list[int]:
    return [one.vmid for one in found]


def picked(*words: str, exclude: Sequence[str] = ()) -> list[int]:
    return vmids(parse(words, exclude=exclude).pick(CAST, pools={"lab": {101, 110}}).guests)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["100"], [100]),
        (["100:110"], [100, 101, 105, 110]),
        (["105:105"], [105]),
        (["web*"], [100, 101, 110]),
        (["WEB1"], [100, 110]),
        (["web?"], [100, 101, 110]),
        (["d[be]*"], [105, 200]),
        (["@all"], [100, 101, 105, 110, 200, 300]),
        (["@ALL"], [100, 101, 105, 110, 200, 300]),
        (["@tag-prod"], [100, 105]),
        (["@tag-PROD"], [100, 105]),
        (["@Tag-*"], [100, 101, 105, 200]),
        (["@pool-prodpool"], [100]),
        (["@pool-lab"], [101, 110]),
        (["@pool-*"], [100, 101, 110]),
        (["@pool-LAB"], []),
        (["@node-pve2"], [101, 105]),
        (["@node-PVE2"], []),
        (["100,105"], [100, 105]),
        (["100", "105"], [100, 105]),
        (["105 , 100"], [100, 105]),
        (["@all,-100:110"], [200, 300]),
        (["@all,-web*,-@tag-safe-shutdown"], [105, 300]),
        (["@all", "-@node-pve3,-100"], [101, 105]),
        (["@node-pve3,- 300"], [110, 200]),
        (["999"], []),
    ],
)
def test_the_selector_language(words: list[str], expected: list[int]) -> None:
    assert picked(*words) == expected


def test_exclude_takes_away_with_or_without_a_dash() -> None:
    assert picked("web*", exclude=["100"]) == [101, 110]
    assert picked("web*", exclude=["-100,@node-pve3"]) == [101]


def test_nothing_asked_for_is_nothing_and_never_all() -> None:
    assert parse([]).pick(CAST).guests == ()
    assert parse([], exclude=["100"]).pick(CAST).guests == ()
    assert parse(["@all"]).pick([]).guests == ()


def test_taking_away_from_nothing_is_an_error() -> None:
    with pytest.raises(SelectorError, match="takes away from nothing") as caught:
        parse(["-100"])
    assert caught.value.hint == "begin with what to start from, as in @all,-100"


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("", "has an empty part"),
        ("  ", "has an empty part"),
        ("100,", "has an empty part"),
        ("100,,101", "has an empty part"),
        ("@all,-", "has an empty part"),
        ("@all,- ", "has an empty part"),
        ("99", "'99' is no vmid"),
        ("0", "'0' is no vmid"),
        ("0100", "'0100' is no vmid"),
        ("1000000000", "'1000000000' is no vmid"),
        ("9" * 5000, "is no vmid"),
        ("100:", "'100:' is no range"),
        (":110", "':110' is no range"),
        ("100:abc", "'100:abc' is no range"),
        ("100:110:120", "is no range"),
        ("110:100", "runs backwards"),
        ("99:110", "'99' is no vmid"),
        ("@", "'@' is no selector"),
        ("@tag-", "'@tag-' is no selector; nearest: @tag-"),
        ("@al", "'@al' is no selector; nearest: @all"),
        ("@tags-prod", "'@tags-prod' is no selector"),
        ("%web%", "'%web%' is no name"),
        ("@all,-@tagprod", "'@tagprod' is no selector"),
    ],
)
def test_a_word_nobody_can_make_sense_of_is_named(word: str, message: str) -> None:
    with pytest.raises(SelectorError) as caught:
        parse(["100", word])
    assert message in caught.value.message
    assert caught.value.word == word
    assert caught.value.hint


def test_the_wildcard_of_other_tools_is_translated_in_the_hint() -> None:
    with pytest.raises(SelectorError) as caught:
        parse(["%web%"])
    assert caught.value.hint == "the wildcard is *: *web*"


def test_only_plain_digits_are_a_vmid() -> None:
    assert parse(["१००"]).pick(CAST).advice == ("no guest is named '१००'; of 1 guests the name is not known just now",)


@pytest.mark.parametrize(
    ("word", "advice"),
    [
        ("999", "no guest 999"),
        ("500:600", "no guest from 500 to 600"),
        ("desktp", "no guest is named 'desktp'; nearest: desktop; of 1 guests the name is not known just now"),
        ("zzz*", "no guest is named 'zzz*'; of 1 guests the name is not known just now"),
        ("@tag-safe-shutdwn", "no guest has the tag 'safe-shutdwn'; nearest: safe-shutdown"),
        ("@tag-zzz", "no guest has the tag 'zzz'"),
        ("@node-pve9", "no guest is on a node 'pve9'; nearest: pve3"),
        ("@pool-prodpol", "no guest is in a pool 'prodpol'; nearest: prodpool"),
        ("@pool-empty", "no guest is in a pool 'empty'"),
    ],
)
def test_a_part_that_finds_nothing_is_reported_with_what_may_have_been_meant(word: str, advice: str) -> None:
    found = parse(["100", word]).pick(CAST, pools={"empty": ()})
    assert found.unmatched == (word,)
    assert found.advice == (advice,)
    assert vmids(found.guests) == [100]


def test_all_of_an_empty_cluster_is_reported_as_well() -> None:
    assert parse(["@all"]).pick([]).advice == ("no guest is visible",)


def test_the_nearest_name_is_given_in_its_own_spelling_unless_it_is_the_same() -> None:
    found = parse(["@node-PVE1"]).pick(CAST)
    assert found.advice == ("no guest is on a node 'PVE1'; nearest: pve1",)


def test_an_exclusion_that_takes_nothing_away_is_reported_too() -> None:
    found = parse(["web1"], exclude=["@tag-critcal", "web2"]).pick([*CAST, guest(400, tags=("critical",))])
    assert found.unmatched == ()
    assert found.unmatched_exclusions == ("@tag-critcal",)
    assert found.advice == ("no guest has the tag 'critcal'; nearest: critical",)


def test_what_was_asked_for_and_taken_away_again_is_told_apart() -> None:
    found = parse(["web*"], exclude=["101", "db"]).pick(CAST)
    assert vmids(found.guests) == [100, 110]
    assert vmids(found.excluded) == [101]


def test_guests_of_one_name_are_all_meant_and_said_to_be_namesakes() -> None:
    found = parse(["web1", "db", "web*"]).pick(CAST)
    assert found.namesakes == {"web1": (100, 110)}


def test_a_guest_whose_name_is_not_known_is_found_by_its_number_only() -> None:
    assert picked("300") == [300]
    assert 300 not in picked("*")


def test_a_selection_describes_itself_in_one_canonical_list() -> None:
    assert parse(["WEB*", "@tag-Prod,100", "100"], exclude=["110:120"]).describe() == "web*,@tag-prod,100,-110:120"


@given(good_lists, st.lists(good_words, max_size=3), guests())
def test_parsing_a_description_gives_the_selection_back(words: list[str], exclude: list[str], cast: list[Guest]) -> None:
    selection = parse(words, exclude=exclude)
    again = parse([selection.describe()])
    assert again == selection
    assert again.pick(cast) == selection.pick(cast)


@given(st.data(), good_lists, st.lists(good_words, max_size=3), guests())
def test_the_order_of_words_and_guests_does_not_matter(
    data: st.DataObject, words: list[str], exclude: list[str], cast: list[Guest]
) -> None:
    selection = parse(words, exclude=exclude)
    assert parse(data.draw(st.permutations(words)), exclude=data.draw(st.permutations(exclude))) == selection
    assert parse([",".join(words)], exclude=exclude) == selection
    assert selection.pick(data.draw(st.permutations(cast))) == selection.pick(cast)


@given(good_lists, st.lists(good_words, max_size=3), guests())
def test_taking_away_always_wins(words: list[str], exclude: list[str], cast: list[Guest]) -> None:
    asked = set(vmids(parse(words).pick(cast).guests))
    taken = set(vmids(parse(exclude).pick(cast).guests))
    found = parse(words, exclude=exclude).pick(cast)
    assert set(vmids(found.guests)) == asked - taken
    assert set(vmids(found.excluded)) == asked & taken
    assert vmids(found.guests) == sorted(vmids(found.guests))


@given(good_lists, good_lists, guests())
def test_asking_for_more_finds_the_union_and_asking_twice_finds_the_same(one: list[str], other: list[str], cast: list[Guest]) -> None:
    def found(words: list[str]) -> set[int]:
        return set(vmids(parse(words).pick(cast).guests))

    assert found(one + other) == found(one) | found(other)
    assert parse(one + one) == parse(one)
    assert parse(one).pick(parse(one).pick(cast).guests).guests == parse(one).pick(cast).guests


@given(good_lists, guests())
def test_every_part_either_finds_a_guest_or_is_reported(words: list[str], cast: list[Guest]) -> None:
    selection = parse(words)
    found = selection.pick(cast)
    assert len(found.advice) == len(found.unmatched)
    for part in selection.include:
        assert (part.text in found.unmatched) is (not parse([part.text]).pick(cast).guests)


@given(st.lists(st.text(max_size=15) | st.text("@-:,*?[]!%0123456789 abtg", max_size=15), max_size=4), guests(max_size=4))
def test_no_words_whatever_crash_it(words: list[str], cast: list[Guest]) -> None:
    try:
        selection = parse(words)
    except SelectorError:
        return
    assert isinstance(selection, Selection)
    assert set(selection.pick(cast).guests) <= set(cast)
    if selection.include:
        assert parse([selection.describe()]) == selection
