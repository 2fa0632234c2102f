"""The verdicts of `pvectl doctor`, at their exact borders."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pvectl.core import checkup
from pvectl.core.checkup import BUILT, Health, TagRules, Votes
from pvectl.core.model import BlindSpot, Guest
from pvectl.errors import ExitCode

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
GUEST = Guest(vmid=100, type="qemu", node="pve1", status="running", tags=("prod",))


@pytest.mark.parametrize(
    ("ahead", "health"),
    [
        *((ahead, Health.OK) for ahead in (-6, 0, 5)),
        *((ahead, Health.WARNING) for ahead in (-61, -7, 6, 60)),
        *((ahead, Health.PROBLEM) for ahead in (-62, 61)),
    ],
)
def test_s17_a_node_clock_more_than_sixty_seconds_off_is_a_problem(ahead: int, health: Health) -> None:
    asked = NOW.timestamp()
    check = checkup.of_node_clock("pve1", told=int(asked) + ahead, before=asked, after=asked)

    assert check.health is health


def test_half_of_the_round_trip_is_no_fault_of_the_clock() -> None:
    asked = NOW.timestamp()
    slow = checkup.of_node_clock("pve1", told=int(asked) + 15, before=asked, after=asked + 30)
    wrong = checkup.of_node_clock("pve1", told=int(asked) + 100, before=asked, after=asked + 30)

    assert slow.health is Health.OK
    assert wrong.health is Health.PROBLEM
    assert "86 s ahead of" in wrong.message


def test_a_clock_behind_is_called_behind() -> None:
    asked = NOW.timestamp()

    assert "behind" in checkup.of_node_clock("pve1", told=int(asked) - 90, before=asked, after=asked).message


def test_s17_a_clock_before_the_build_date_is_a_problem() -> None:
    assert checkup.of_own_clock(BUILT).health is Health.OK
    assert checkup.of_own_clock(BUILT - timedelta(seconds=1)).health is Health.PROBLEM


@pytest.mark.parametrize(
    ("left", "health", "words"),
    [
        (timedelta(days=15), Health.OK, "valid for 15 days"),
        (timedelta(days=14), Health.WARNING, "expires in 14 days"),
        (timedelta(hours=1), Health.WARNING, "expires in 0 days"),
        (timedelta(hours=-1), Health.WARNING, "has expired"),
    ],
)
def test_a_certificate_is_renewed_in_time(left: timedelta, health: Health, words: str) -> None:
    check = checkup.of_certificate("pve1", verified_by="its CA", fingerprint="AA", valid_until=NOW + left, now=NOW)

    assert check.health is health
    assert words in check.message
    assert bool(check.mend) is (health is Health.WARNING)


def test_a_certificate_whose_end_cannot_be_read_still_names_its_fingerprint() -> None:
    assert "AA:BB" in checkup.of_certificate("pve1", verified_by="it", fingerprint="AA:BB", valid_until=None, now=NOW).message


@pytest.mark.parametrize(("major", "health"), [(7, Health.WARNING), (8, Health.OK), (9, Health.OK), (10, Health.WARNING)])
def test_a_release_nobody_has_tried_is_said(major: int, health: Health) -> None:
    assert checkup.of_release("pve1", f"{major}.0", major, 0.004).health is health


def votes(
    online: int, nodes: int, *, quorate: bool | None = True, standalone: bool = False, qdevice: str | None = "", first: int = 1
) -> Votes:
    names = [f"pve{number}" for number in range(1, nodes + 1)]
    counts = dict.fromkeys(names, 1) | {"pve1": first}
    return Votes(votes=counts, online=frozenset(names[:online]), standalone=standalone, quorate=quorate, qdevice=qdevice)


@pytest.mark.parametrize(
    ("who", "health"),
    [
        (votes(1, 1, standalone=True, quorate=None), Health.OK),
        (votes(3, 3), Health.OK),
        (votes(2, 3), Health.WARNING),
        (votes(1, 3, quorate=False), Health.PROBLEM),
        (votes(3, 3, quorate=None), Health.UNKNOWN),
        (votes(2, 2), Health.WARNING),
        (votes(2, 2, qdevice=None), Health.WARNING),
        (votes(2, 2, qdevice="Connected"), Health.OK),
        (votes(3, 3, qdevice="Disconnected"), Health.WARNING),
        (votes(3, 4), Health.WARNING),
        (votes(4, 5), Health.OK),
        (votes(3, 3, first=3), Health.WARNING),
    ],
)
def test_quorum_that_hangs_by_one_node_is_a_warning(who: Votes, health: Health) -> None:
    assert checkup.of_quorum(who).health is health


def test_the_node_quorum_hangs_by_is_named() -> None:
    assert "without pve1 it would not be" in checkup.of_quorum(votes(3, 3, first=3)).message
    assert checkup.of_quorum(votes(2, 2)).mend == ("pvecm qdevice setup ADDRESS",)


def test_without_quorum_the_run_ends_as_try_later() -> None:
    assert checkup.exit_code([checkup.of_quorum(votes(1, 3, quorate=False))]) is ExitCode.TRY_LATER


@pytest.mark.parametrize(
    ("rules", "health"),
    [
        (TagRules(), Health.WARNING),
        (TagRules(registered=("prod",)), Health.WARNING),
        (TagRules(registered=("prod", "Safe-Shutdown")), Health.OK),
        (TagRules(user_allow="none"), Health.OK),
        (TagRules(user_allow="list"), Health.OK),
        (TagRules(user_allow="list", user_allow_list=("safe-shutdown",)), Health.WARNING),
        (TagRules(user_allow="existing"), Health.WARNING),
        (None, Health.NOT_CHECKED),
    ],
)
def test_whoever_may_mark_a_guest_as_safe_is_known(rules: TagRules | None, health: Health) -> None:
    assert checkup.of_tags([GUEST], rules)[0].health is health


def test_registering_the_tag_keeps_those_that_are_registered() -> None:
    check = checkup.of_tags([GUEST], TagRules(registered=("prod", "test")))[0]

    assert check.mend == ('pvesh set /cluster/options --registered-tags "prod;test;safe-shutdown"',)


def test_untidy_tags_are_counted_and_the_linter_named() -> None:
    odd = Guest(vmid=101, type="qemu", node="pve1", status="running", tags=("Not_Kebab",))

    assert checkup.of_tags([GUEST], TagRules())[1].health is Health.OK
    assert checkup.of_tags([GUEST, odd], TagRules())[1].mend == ("pvectl tags lint",)


def test_s01_every_blind_spot_is_a_problem_that_ends_blind() -> None:
    spots = [BlindSpot(subject="guest/7", reason="hidden", mend="pveum a && pveum b"), BlindSpot(subject="node/pve1", reason="off")]
    checks = checkup.of_sight(spots, guests=3, nodes=1)

    assert [check.subject for check in checks] == ["guest/7", "node/pve1"]
    assert checks[0].mend == ("pveum a", "pveum b")
    assert checkup.exit_code(checks) is ExitCode.BLIND
    assert checkup.exit_code(checkup.of_sight([], guests=3, nodes=1)) is ExitCode.OK


@pytest.mark.parametrize(
    ("guests", "nodes", "words"),
    [
        (0, 1, "there are no guests, and nothing"),
        (1, 1, "the one guest is seen, and nothing"),
        (2, 1, "all 2 guests on 1 node are seen, and nothing"),
        (12, 3, "all 12 guests on 3 nodes are seen, and nothing"),
    ],
)
def test_one_guest_is_not_called_all(guests: int, nodes: int, words: str) -> None:
    assert checkup.of_sight([], guests=guests, nodes=nodes)[0].message.startswith(words)


def test_the_exit_code_is_the_first_problems() -> None:
    checks = [
        checkup.warning("tls", "host/a", "w"),
        checkup.problem(ExitCode.PERMISSION, "privileges", "see", "p"),
        checkup.problem(ExitCode.BLIND, "completeness", "cluster", "p"),
    ]

    assert checkup.exit_code(checks) is ExitCode.PERMISSION
    assert checkup.exit_code(checks[:1]) is ExitCode.OK


def test_hosts_of_two_clusters_are_told_apart() -> None:
    one, two = ("lab", frozenset({"pve1", "pve2"})), ("attic", frozenset({"pve1"}))

    assert checkup.of_clusters({"a": one}) is None
    same, different = checkup.of_clusters({"a": one, "b": one}), checkup.of_clusters({"a": one, "b": two})
    assert same is not None
    assert different is not None
    assert same.health is Health.OK
    assert different.health is Health.PROBLEM
    assert "a: cluster lab" in different.message
    assert "b: cluster attic" in different.message


def test_a_node_without_an_address_to_wake_it_at_is_told_the_line_that_sets_one() -> None:
    assert checkup.of_wake("pve2", "aa:bb:cc:dd:ee:ff", alone=False).health is Health.OK
    assert "pvenode config set --wakeonlan" in checkup.of_wake("pve2", None, alone=False).mend[0]
    assert checkup.of_wake("pve2", "aa:bb:cc:dd:ee:ff", alone=True).health is Health.NOTE


def test_s28_a_certificate_nobody_verifies_is_a_warning_with_its_fingerprint() -> None:
    check = checkup.of_blind_faith("pve1", "AA:BB")

    assert check.health is Health.WARNING
    assert "AA:BB" in check.message
    assert "only reads" in check.message
    assert check.mend == ("pvectl config trust",)
