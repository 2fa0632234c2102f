"""What a run saw is kept in few bytes, and other rules come to the same when they judge it once more."""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pvectl.core.alerts.incident import Incident, Records
from pvectl.core.alerts.looks import is_whole, look_of, seen_again
from pvectl.core.alerts.notification import Notification
from pvectl.core.alerts.observing import unreachable, watched
from pvectl.core.alerts.rules import Rule, Rules
from pvectl.core.alerts.step import step
from pvectl.core.alerts.telling import delivered
from pvectl.core.model import Unknown
from pvectl.core.monitor.checks.check import Verdict
from pvectl.core.monitor.checks.evaluation import Evaluation, evaluate
from pvectl.core.monitor.finding import Evidence, Finding, Levels, Severity
from pvectl.core.monitor.monitored import BackupVolume, GuestFacts, MonitorView
from tests.core.alerts.runs import BAD, CRITICAL, DARK, FINE, NODE_DOWN, NOW, OK, UNKNOWN, bad, saw, view
from tests.core.monitor import cluster
from tests.support.whole import WHOLE

WEEK = 7 * 86_400
RULES = Rules(
    cluster="lab",
    receivers=("mail", "pager"),
    rules=(Rule(checks=("backup.*",), tag="lab", receivers=("mail",)), Rule(checks=("disk.*",), hold=120, keep_firing_for=0, repeat=600)),
)
OBJECTS = (
    ("disk.smart", "disk/pve1/sda", "pve1"),
    ("backup.age", "guest/100", "pve1"),
    ("backup.age", "guest/200", "pve2"),
    ("storage.usage", "storage/nfs", None),
    ("node.offline", "node/pve1", "pve1"),
    ("task.failed", "task/pve1/vzdump/100", "pve1"),
    ("self.coverage", "node/pve2", "pve2"),
)


@st.composite
def told_of(draw: st.DrawFn) -> Finding:
    check, name, node = draw(st.sampled_from(OBJECTS))
    return Finding(
        check=check,
        object=name,
        # what is covered has no finding
        severity=draw(st.sampled_from((UNKNOWN, CRITICAL) if check == "self.coverage" else tuple(Severity))),
        message=draw(st.sampled_from(("it is bad", "it is worse: 97 %", "größer \u2028 als gedacht"))),
        value=draw(st.sampled_from((None, 0.1, 97.25))),
        levels=draw(st.sampled_from((None, Levels(warn=0.8)))),
        lingers=draw(st.booleans()),
        objects=draw(st.sampled_from(((), ("guest/100", "guest/200")))),
        evidence=(Evidence(path="/nodes", age=draw(st.floats(0, 300))),),
        hint=draw(st.sampled_from((None, "pvecm status"))),
        since=draw(st.sampled_from((None, NOW - timedelta(hours=3, microseconds=1)))),
        key=draw(st.sampled_from((None, "UPID:pve1:1:"))) if check == "task.failed" else None,
        cause=draw(st.sampled_from((None, "node.offline/node/pve1", "self.coverage/node/pve2", "nothing/there"))),
        node=node,
        tags=draw(st.sampled_from(((), ("lab",), ("pvectl-mute",)))),
    )


@st.composite
def evaluations(draw: st.DrawFn) -> Evaluation:
    objects: dict[str, list[str]] = {}
    for check, name, _node in OBJECTS:
        objects.setdefault(check, []).append(name)
    some = st.fixed_dictionaries(
        {check: st.lists(st.sampled_from(names), unique=True) for check, names in objects.items() if check[0] != "s"}
    )
    seen = view(
        quorate=draw(st.booleans()),
        standalone=draw(st.booleans()),
        maintained=draw(st.sets(st.sampled_from(("pve1", "pve2")))),
        proven=draw(st.booleans()),
    )
    if draw(st.booleans()):
        seen = replace(seen, membership=Unknown(reason="no answer"), ha=Unknown(reason="no answer"))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return unreachable(seen, "no route to host")
    off = draw(st.sets(st.sampled_from(("disk.smart", "backup.age"))))
    found = saw(*draw(st.lists(told_of(), max_size=4)), fine=draw(some), dark=draw(some), off=off, seen=seen)
    if kind == 1:
        return replace(found, verdicts=found.verdicts[::2])
    return watched(found, {"pager": "401"} if kind == 2 else {}, ("mail", "pager"))


Runs = list[tuple[int, Evaluation]]
MANY = saw(*(bad(object=f"disk/pve1/{random.Random(place).randbytes(30).hex()}") for place in range(400)))
RUNS = st.lists(st.tuples(st.sampled_from((0, 60, 300, 4000, 90_000)), evaluations()), min_size=1, max_size=6)


def timed(runs: Runs) -> list[tuple[datetime, Evaluation]]:
    moments, at = [], NOW
    for seconds, evaluation in runs:
        at += timedelta(seconds=seconds)
        moments.append((at, replace(evaluation, taken_at=at)))
    return moments


def kept(runs: Iterable[tuple[datetime, Evaluation]]) -> list[tuple[datetime, str]]:
    """The looks as one run after the other keeps them."""
    looks, whole = [], None
    for at, evaluation in runs:
        look = look_of(evaluation, whole)
        whole = look if is_whole(look) else whole
        looks.append((at, look))
    return looks


def again(looks: Iterable[tuple[datetime, str]]) -> list[tuple[datetime, Evaluation]]:
    found = [(at, evaluation) for at, evaluation in seen_again(looks) if evaluation is not None]
    assert [at for at, _ in found] == [at for at, _ in looks]
    return found


def stepped(runs: Iterable[tuple[datetime, Evaluation]]) -> list[tuple[Any, ...]]:
    """What each run told, why, and what it left behind, without what a look leaves out."""
    records, told = Records(), []
    for at, evaluation in runs:
        records, notifications, explanations = step(records, evaluation, RULES, (), at)
        for notification in notifications:
            records = delivered(records, notification, at)
        told.append((_bare(notifications), explanations, {name: _plain(one) for name, one in records.incidents.items()}))
    return told


def _bare(notifications: Iterable[Notification]) -> list[Notification]:
    return [replace(each, stories=tuple(replace(one, finding=_without(one.finding)) for one in each.stories)) for each in notifications]


def _plain(incident: Incident) -> Incident:
    return replace(incident, finding=_without(incident.finding))


def _without(finding: Finding) -> Finding:
    return replace(finding, evidence=(), value=None)


def judged_alike(runs: Runs) -> None:
    moments = timed(runs)
    assert stepped(again(kept(moments))) == stepped(moments)


@given(RUNS)
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_same_messages_come_of_what_was_kept_as_of_what_was_seen(runs: Runs) -> None:
    judged_alike(runs)


@pytest.mark.slow
@given(RUNS)
@settings(max_examples=5_000 if WHOLE else 300, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_same_messages_come_of_what_was_kept_as_of_what_was_seen_at_length(runs: Runs) -> None:
    judged_alike(runs)


GUEST = bad("backup.age", "guest/100")
GONE: Any = {"fine": {"backup.age": ["guest/200"]}}
DOWN_NOT = bad("node.offline", "node/pve1", OK)
FOLLOWS = bad("disk.smart", severity=UNKNOWN, cause="node.offline/node/pve1")


@pytest.mark.parametrize(
    "runs",
    [
        [saw(GUEST), saw(**GONE), saw(**GONE)],
        [saw(GUEST), saw(**GONE, seen=view(quorate=False))],
        [saw(GUEST), saw(**GONE, seen=view(quorate=False, standalone=True))],
        [saw(GUEST), saw(**GONE, seen=view(proven=False))],
        [BAD, BAD, BAD, BAD, saw(bad(severity=OK, lingers=True))],
        [saw(), saw(DOWN_NOT, FOLLOWS, dark={"disk.smart": ["disk/pve1/sda"]})],
        [saw(GUEST, bad("backup.age", "guest/200"), dark={"backup.age": ["guest/300"]}), saw(dark={"backup.age": ["guest/100"]})],
        [saw(GUEST, dark={"backup.age": ["guest/200"]}), saw(fine={"backup.age": ["guest/200", "guest/100"]})],
        [
            saw(dark={"backup.age": ["guest/100"]}),
            saw(GUEST),
            saw(fine={"backup.age": ["guest/100"]}),
            saw(dark={"backup.age": ["guest/100"]}),
        ],
        [saw(GUEST), saw(off=["backup.age"])],
        [saw(GUEST), unreachable(view(), "no route to host")],
        [saw(bad(node="pve1")), saw(bad(node="pve1"), seen=view(maintained=["pve1"])), saw(bad(node="pve1", message="worse"))],
    ],
    ids=range(12),
)
@pytest.mark.parametrize("first", [[], [FINE]], ids=["", "fine"])
def test_what_a_look_keeps_is_all_that_counts(first: list[Evaluation], runs: list[Evaluation]) -> None:
    moments = at(*first, *runs, *runs[-1:] * 8)
    for (_at, seen), (_then, kept_one) in zip(moments, again(kept(moments)), strict=True):
        objects = [
            (check, name) for check in ("backup.age", "disk.smart") for name in ("guest/100", "guest/200", "guest/300", "disk/pve1/sda")
        ]
        assert [kept_one.severity_of(*each) for each in objects] == [seen.severity_of(*each) for each in objects]
        assert [kept_one.is_gone(*each) for each in objects] == [seen.is_gone(*each) for each in objects]
        assert [finding.id for finding in kept_one.own if finding.severity is not OK] == [
            finding.id for finding in seen.own if finding.severity is not OK
        ]
    assert stepped(again(kept(moments))) == stepped(moments)


def at(*evaluations: Evaluation, every: float = 60) -> list[tuple[datetime, Evaluation]]:
    return timed([(int(every) if place else 0, each) for place, each in enumerate(evaluations)])


def test_a_run_that_saw_the_same_again_costs_next_to_nothing() -> None:
    looks = [look for _at, look in kept(at(BAD, BAD, BAD))]
    assert [is_whole(look) for look in looks] == [True, False, False]
    assert all(len(look) < 120 for look in looks[1:])


def test_a_value_without_new_words_is_no_news_and_new_words_are() -> None:
    first = bad(value=0.91, message="91 % full")
    same, other = replace(first, value=0.9101), replace(first, value=0.92, message="92 % full")
    found = [evaluation.findings for _at, evaluation in again(kept(at(saw(first), saw(same), saw(other))))]
    assert [(each.value, each.message) for (each,) in found] == [(0.91, "91 % full"), (0.91, "91 % full"), (0.92, "92 % full")]


def test_a_fine_value_is_left_out_and_its_object_still_counts_as_examined() -> None:
    fine = bad(severity=OK, value=0.2)
    (_at, seen), *_rest = again(kept(at(saw(fine))))
    assert seen.findings == ()
    assert seen.severity_of(fine.check, fine.object) is OK
    unlisted = replace(saw(fine), verdicts=(Verdict(check=fine.check),))
    (_at, seen), *_rest = again(kept(at(unlisted)))
    assert seen.severity_of(fine.check, fine.object) is OK


def test_findings_stay_in_their_order() -> None:
    findings = [bad(object=f"disk/pve1/sd{letter}") for letter in "abcdef"]
    shuffled = [findings[place] for place in (3, 0, 1, 5, 4)]
    looks = again(kept(at(saw(*findings), saw(*shuffled), saw(findings[0], findings[0]))))
    assert [[each.object[-1] for each in evaluation.findings] for _at, evaluation in looks] == [list("abcdef"), list("dabfe"), list("aa")]


def test_a_whole_look_is_kept_every_day_and_when_the_clock_was_set_back() -> None:
    hours = [(0, MANY), (23 * 3600, MANY), (3600, MANY), (-7200, MANY), (3600, MANY)]
    assert [is_whole(look) for _at, look in kept(timed(hours))] == [True, False, True, True, False]


def test_what_has_become_quite_different_is_kept_whole() -> None:
    assert [is_whole(look) for _at, look in kept(at(BAD, BAD, MANY, MANY, BAD))] == [True, False, True, False, False]


def test_a_difference_that_grows_ends_in_a_new_whole_look() -> None:
    runs = [
        saw(*(bad(object=f"disk/pve1/{place}", message=f"{place * 7919} errors") for place in range(number))) for number in range(1, 80)
    ]
    wholes = [is_whole(look) for _at, look in kept(at(*runs, every=300))]
    assert 3 <= sum(wholes) <= 20


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "w9.AAAA",
        "w1.not base64",
        "w1." + base64.b64encode(b"no zlib").decode(),
        "w1." + base64.b64encode(zlib.compress(b"{")).decode(),
        "w1." + base64.b64encode(zlib.compress(msgspec.json.encode({"taken_at": NOW, "verdicts": {"a": [False, 0, 7]}}))).decode(),
        "c1.00000000.AAAA",
    ],
)
def test_a_look_that_cannot_be_read_costs_only_itself(broken: str) -> None:
    assert is_whole(look_of(BAD, broken))
    good = look_of(FINE)
    found = list(seen_again([(NOW, broken), (NOW + timedelta(seconds=60), good)]))
    assert found[0][1] is None
    assert found[1][1] is not None


def test_a_difference_whose_whole_look_is_gone_or_damaged_cannot_be_read() -> None:
    (_first, whole), (later, difference) = kept(at(BAD, DARK))
    assert [each for _at, each in seen_again([(later, difference)])] == [None]
    head, _, text = difference.rpartition(".")
    other = f"{head}.{base64.b64encode(base64.b64decode(text)[:-6]).decode()}"
    assert [each is None for _at, each in seen_again([(NOW, whole), (later, other)])] == [False, True]


def test_looks_of_several_days_go_back_each_to_its_own_whole_one() -> None:
    days = [(0, FINE), (600, BAD), (86_400, NODE_DOWN), (600, BAD), (600, FINE)]
    looks = again(kept(timed(days)))
    assert [[each.check for each in evaluation.findings] for _at, evaluation in looks] == [
        [],
        ["disk.smart"],
        ["node.offline"],
        ["disk.smart"],
        [],
    ]
    assert all(one is not other for (_at, one), (_then, other) in pairwise(looks))


def crowd(guests: int, chance: random.Random, running: dict[int, bool]) -> MonitorView:
    """A cluster in which every twentieth guest has no backup of late and every fiftieth a disk that fills, with some coming and going."""
    base = cluster.whole()
    listed = tuple(
        cluster.guest(
            vmid,
            name=f"g{vmid}",
            node=f"pve{vmid % 3 + 1}",
            status="running" if running.setdefault(vmid, True) else "stopped",
            **({"type": "lxc", "maxdisk": 100 * cluster.GIB, "disk": int(chance.uniform(91, 94) * cluster.GIB)} if vmid % 50 == 0 else {}),
        )
        for vmid in (1000 + 3 * number for number in range(guests))
    )
    facts = {
        each.vmid: GuestFacts(vmid=each.vmid, settings=base.guests[100].settings, snapshots=base.guests[100].snapshots) for each in listed
    }
    backups = cluster.known(
        tuple(
            BackupVolume(
                volid=f"nfs:backup/{each.vmid}",
                vmid=each.vmid,
                made_at=cluster.NOW - (timedelta(days=4, hours=each.vmid % 24) if each.vmid % 20 == 0 else timedelta(hours=2)),
                verified="ok",
            )
            for each in listed
        ),
        "/nodes/pve1/storage/nfs/content",
    )
    storages = tuple(replace(each, backups=backups) if each.storage == "nfs" else each for each in base.storages)
    return replace(cluster.listing(base, guests=listed), guests=facts, storages=storages)


def size_of_a_week(guests: int, every: int, runs: int) -> float:
    chance = random.Random(guests)
    running: dict[int, bool] = {}
    moments = []
    for number in range(runs):
        if number % 3 == 0:
            vmid = 1000 + 3 * chance.randrange(guests)
            running[vmid] = not running.get(vmid, True)
        then = cluster.NOW + timedelta(seconds=every * number)
        moments.append((then, replace(evaluate(crowd(guests, chance, running)), taken_at=then)))
    looks = kept(moments)
    assert len(again(looks)) == runs
    return sum(len(look) for _at, look in looks) / runs * WEEK / every


def test_a_week_of_a_homelab_at_a_run_a_minute_fits() -> None:
    assert size_of_a_week(20, every=60, runs=30) < 4 * 2**20


@pytest.mark.slow
def test_a_week_of_2000_guests_at_a_run_every_five_minutes_fits() -> None:
    assert size_of_a_week(2000, every=300, runs=25) < 8 * 2**20
