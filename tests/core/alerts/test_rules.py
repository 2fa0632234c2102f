"""Which rule is about what, and what holds where there is none."""

from __future__ import annotations

import msgspec
import pytest

from pvectl.core.alerts.rules import Book, Repeat, Rule, Rules, misnamed
from pvectl.core.monitor.finding import Finding, Severity
from tests.core.alerts.runs import CRITICAL, UNKNOWN, WARNING, bad

ALL = Rules(receivers=("mail", "chat"))


def treated(rules: Rules, finding: Finding) -> tuple[str, int, int, int, tuple[str, ...]]:
    found = Book(rules).treatment(finding)
    return found.rule, found.hold, found.keep, found.repeat, found.receivers


def test_with_receivers_and_no_rules_everybody_is_told_as_the_checks_have_it() -> None:
    assert treated(ALL, bad("node.offline", "node/pve1")) == ("default", 120, 300, 14400, ("mail", "chat"))
    assert treated(ALL, bad("node.cpu", "node/pve1", WARNING)) == ("default", 900, 300, 86400, ("mail", "chat"))
    assert treated(ALL, bad("self.coverage", "cluster", UNKNOWN)) == ("default", 600, 300, 604800, ("mail", "chat"))
    assert treated(ALL, bad("of.another.release", "cluster")) == ("default", 0, 300, 14400, ("mail", "chat"))


def test_that_nobody_can_look_at_all_has_to_last_as_long_as_every_other_blindness() -> None:
    assert treated(ALL, bad("self.coverage", "api", CRITICAL))[:3] == ("default", 600, 300)


class TestReceiversThatDoNotWork:
    RULES = Rules(
        receivers=("phone", "chat", "mail"), rules=(Rule(severity="critical", receivers=("phone", "chat")), Rule(receivers=("mail",)))
    )

    def told(self, receiver: str, *broken: str, rules: Rules = RULES) -> tuple[str, ...]:
        return Book(rules, broken).treatment(bad("self.delivery", f"receiver/{receiver}")).receivers

    def test_nobody_is_told_through_a_receiver_that_it_does_not_work(self) -> None:
        assert self.told("phone", "phone") == ("chat",)

    def test_when_the_rule_leaves_nobody_all_others_are_told(self) -> None:
        only = Rules(receivers=("phone", "mail", "pager"), rules=(Rule(severity="critical", receivers=("phone",)),))
        assert self.told("phone", "phone", rules=only) == ("mail", "pager")

    def test_when_those_the_rule_names_do_not_work_either_one_that_does_is_told(self) -> None:
        assert self.told("phone", "phone", "chat") == ("chat", "mail")
        assert self.told("phone", "phone", "chat", "mail") == ("chat",)
        assert self.told("phone", "phone", "chat", "mail", rules=Rules(receivers=("phone", "mail"))) == ("mail",)

    def test_what_is_for_nobody_is_for_nobody(self) -> None:
        assert self.told("phone", "phone", rules=Rules(receivers=("phone", "mail"), rules=(Rule(receivers=()),))) == ()


def test_the_first_rule_that_fits_wins() -> None:
    lab = Rule(name="lab", tag="lab", receivers=())
    disks = Rule(checks=("disk.*", "zfs.*"), hold=60, keep_firing_for=1, repeat=2, receivers=("chat",), template="short")
    rules = Rules(receivers=ALL.receivers, rules=(lab, disks))
    assert treated(rules, bad(tags=("lab",)))[::4] == ("lab", ())
    assert treated(rules, bad()) == ("rule 2", 60, 1, 2, ("chat",))
    assert Book(rules).treatment(bad()).template == "short"
    assert treated(rules, bad("node.offline", "node/pve1"))[0] == "default"


def test_a_rule_for_what_is_critical_leaves_warnings_to_the_next() -> None:
    rules = Rules(receivers=ALL.receivers, rules=(Rule(name="bad", severity="critical"),))
    book = Book(rules)
    assert [book.treatment(bad(severity=each)).rule for each in (CRITICAL, WARNING, UNKNOWN)] == ["bad", "default", "default"]


def test_an_event_neither_has_to_last_nor_to_stay_away() -> None:
    rules = Rules(receivers=("mail",), rules=(Rule(hold=600, keep_firing_for=900),))
    assert treated(rules, bad("task.failed", "task/pve1/vzdump/100", key="UPID:1"))[1:3] == (0, 0)


def test_one_book_treats_apart_what_has_no_more_than_its_check_in_common() -> None:
    book = Book(Rules(receivers=ALL.receivers, rules=(Rule(name="disks", node="pve1", hold=60), Rule(name="disks", hold=600))))
    here, elsewhere, event = bad(node="pve1"), bad(node="pve2"), bad(node="pve1", key="UPID:1")
    assert [book.treatment(each).hold for each in (here, event, elsewhere, here)] == [60, 0, 600, 60]
    assert book.treatment(here).repeat != book.treatment(bad(node="pve1", severity=WARNING)).repeat
    receivers = [book.treatment(bad("self.delivery", f"receiver/{name}")).receivers for name in ALL.receivers]
    assert receivers == [("chat",), ("mail",)]


def test_a_receiver_nobody_has_heard_of_is_left_out_and_named() -> None:
    rules = Rules(receivers=("mail",), rules=(Rule(receivers=("mail", "pager")), Rule(name="two", receivers=("pager",))))
    assert treated(rules, bad())[4] == ("mail",)
    assert misnamed(rules) == {"pager": ("rule 1", "two")}
    assert misnamed(ALL) == {}


@pytest.mark.parametrize(("severity", "seconds"), [(CRITICAL, 1), (WARNING, 2), (UNKNOWN, 3)])
def test_each_severity_has_its_own_repeat(severity: Severity, seconds: int) -> None:
    assert Repeat(critical=1, warning=2, unknown=3).of(severity) == seconds


def test_rules_are_read_as_they_are_written() -> None:
    text = b'{"rules": [{"checks": ["backup.*"], "for": 3600, "severity": "critical"}], "receivers": ["mail"]}'
    read = msgspec.json.decode(text, type=Rules)
    assert read.rules[0].hold == 3600
    assert msgspec.json.decode(msgspec.json.encode(read), type=Rules) == read
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"rules": [{"for": -1}]}', type=Rules)
