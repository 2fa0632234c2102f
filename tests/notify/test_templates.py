"""Words of one's own: what a template knows, what it cannot do, and that a bad one costs no message."""

from __future__ import annotations

import subprocess
import sys
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pvectl.core.alerts.incident import Kind
from pvectl.core.alerts.message import written
from pvectl.core.alerts.notification import Notification, about
from pvectl.notify import template_process
from pvectl.notify.phrasing import message_of, trouble_of
from pvectl.notify.sampling import samples
from pvectl.notify.templates import TOO_LONG, VARIABLES, Template, Unusable, problem_of, rendered, variables
from tests.core.alerts.runs import NOW, bad
from tests.core.alerts.test_message import told

BERLIN = ZoneInfo("Europe/Berlin")
FINDING = bad("storage.usage", "storage/nfs", message="storage nfs is 91 % full", value=0.91, hint="prune it", node="pve1", pool="lab")


def notification(kind: Kind = Kind.FIRING, **changes: Any) -> Notification:
    one = told(kind, FINDING, lasted=7200, **changes)
    return about(one, "mail", cluster="lab", made_at=NOW, template="mine")


def message(kind: Kind = Kind.FIRING, *, subject: str | None = None, text: str | None = None, **changes: Any) -> Any:
    return message_of(notification(kind, **changes), BERLIN, Template(name="mine", subject=subject, text=text))


def known() -> dict[str, Any]:
    one = notification()
    return variables(one, written(one, BERLIN), BERLIN)


def in_this_process(template: str, longest: int = 1000) -> str:
    return template_process._rendered(template, known(), longest)


def test_a_template_gives_subject_and_text() -> None:
    said = message(subject="{{ severity|upper }} {{ object }}", text="{{ message }} since {{ since }}, {{ length }}\n{{ hint }}\n")
    assert said.subject == "CRITICAL storage/nfs"
    assert said.text == "storage nfs is 91 % full since 2026-11-22 11:00 CET, 2h\nprune it"
    # the facts are in the text, or are not wanted
    assert said.fields == ()
    assert trouble_of(said) is None


def test_what_a_template_leaves_out_stays_as_it_is() -> None:
    plain = message_of(notification(), BERLIN)
    subject_only, text_only = message(subject="{{ node }}: {{ subject }}"), message(text="{{ body }}")
    assert (subject_only.text, subject_only.fields) == (plain.text, plain.fields)
    assert subject_only.subject == "pve1: storage nfs is 91 % full [lab]"
    assert (text_only.subject, text_only.fields) == (plain.subject, ())
    assert text_only.text.startswith("Storage nfs is 91 % full.\n\nwhat:    storage/nfs on node pve1\n")


@pytest.mark.parametrize(
    ("subject", "text", "words"),
    [
        ("{{ nodee }}", None, "its subject: 'nodee' is undefined"),
        (None, "a\n{% endfor %}", "its text: line 2: Encountered unknown tag 'endfor'."),
        (None, "\ud800", "it has characters that are none"),
    ],
)
def test_a_template_that_fails_costs_no_message_and_says_so(subject: str | None, text: str | None, words: str) -> None:
    said, plain = message(subject=subject, text=text), message_of(notification(), BERLIN)
    assert (said.subject, said.text) == (plain.subject, plain.text)
    assert said.fields == (*plain.fields, ("template", f"mine cannot be used: {words}"))
    assert trouble_of(said) == f"mine cannot be used: {words}"


def test_what_is_wrong_with_a_template_is_found_before_it_is_needed() -> None:
    facts = "{% for name, value in facts %}{{ name }}: {{ value }}\n{% endfor %}"
    assert problem_of(Template(name="t", subject="{{ subject }}", text=facts)) is None
    # only when it is over
    assert problem_of(Template(name="t", text="{% if over %}{{ untill }}{% endif %}")) == "its text: 'untill' is undefined"


def test_what_is_wrong_only_where_nothing_was_measured_is_found_too() -> None:
    order = {"subject": None, "text": "{{ '%.2f' | format(value) }}", "known": samples()}
    assert template_process._answer(order) == {"error": "its text: must be real number, not NoneType"}


def test_every_variable_is_documented_and_there_in_every_message() -> None:
    for each in samples():
        assert list(each) == list(VARIABLES)
    assert {each["kind"] for each in samples()} == set(Kind) - {Kind.BASELINE, Kind.DIGEST, Kind.NOTICE}


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ self._TemplateReference__context }}",
        "{{ (subject|attr('__class__')).mro() }}",
        "{% include '/etc/passwd' %}",
        "{% extends '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% for i in range(10**9) %}x{% endfor %}",
        "{{ facts.append(1) }}",
        "{% for i in range(99999) %}xxxxxxxxxxxxx{% endfor %}",
    ],
)
def test_a_template_gets_at_nothing_but_its_variables_and_comes_to_an_end(template: str) -> None:
    with pytest.raises(
        Exception, match=r"unsafe|no loader|Range too big|not safely callable|more than 4000 characters|undefined|no attribute"
    ):
        in_this_process(template)


def test_what_comes_out_is_cut_to_what_anybody_reads() -> None:
    assert in_this_process("{{ 'x' * 2000 }}") == "x" * 999 + "…"
    assert in_this_process("  \n{{ node }}\n") == "pve1"
    assert in_this_process(r"{{ '\ud800' }}") == "?"


def test_s34_what_others_wrote_is_no_template_and_steers_nothing() -> None:
    mean = bad("storage.usage", "storage/nfs", message="{{ 7*7 }}\x1b[2J <b>&</b>\nTo: all@lan")
    one = about(told(Kind.FIRING, mean), "mail", cluster="lab", made_at=NOW)
    said = message_of(one, BERLIN, Template(name="t", subject="{{ message }}\n{{ node }}", text="{{ message }}")).cleaned()
    assert said.subject == r"{{ 7*7 }}\x1b[2J <b>&</b>\x0aTo: all@lan"
    assert said.text == r"{{ 7*7 }}\x1b[2J <b>&</b>\x0aTo: all@lan"


def test_the_answer_is_the_last_message_and_an_error_the_first() -> None:
    order = {"subject": "{{ node }}", "text": None, "known": [{"node": "a"}, {"node": "b"}]}
    assert template_process._answer(order) == {"subject": "b"}
    assert template_process._answer(order | {"known": [{}, {"node": "b"}]}) == {"error": "its subject: 'node' is undefined"}
    assert template_process._answer(order | {"known": [{"node": ""}]}) == {"error": "its subject is empty"}
    assert template_process._answer(order | {"subject": None}) == {}
    assert template_process._answer(order | {"subject": "{{ node.x(9) }}", "known": [{"node": _Greedy()}]}) == {"error": TOO_LONG}


class _Greedy:
    def x(self, _much: int) -> None:
        raise MemoryError


def test_a_digest_and_a_notice_keep_our_words() -> None:
    from pvectl.core.alerts.notification import digest, notice

    wild = Template(name="t", subject="mine")
    summary = digest([told(Kind.FIRING), told(Kind.FIRING, FINDING)], "mail", Kind.DIGEST, cluster="lab", made_at=NOW)
    assert message_of(summary, BERLIN, wild) == message_of(summary, BERLIN)
    word = notice("mail", "pve2 goes off", "at 22:00", cluster="lab", key="k", made_at=NOW)
    assert message_of(word, BERLIN, wild) == message_of(word, BERLIN)


def test_jinja_is_loaded_in_no_process_but_its_own() -> None:
    program = (
        "import sys; from pvectl.notify.templates import *; from pvectl.notify import outbox, phrasing\n"
        "print(sorted({'jinja2', 'subprocess', 'resource'} & set(sys.modules)))\n"
        "print(problem_of(Template(name='t', subject='{{ subject }}')), 'jinja2' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\nNone False\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "template",
    [
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 10**10 }}",
        "{{ 9 ** (9 ** 9) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ 'x' | center(10**9) }}",
        "{{ lipsum(n=10**7) }}",
        "{% macro again() %}{{ again() }}{{ again() }}{% endmacro %}{{ again() }}",
    ],
)
def test_a_template_that_would_never_end_or_eat_all_memory_is_ended(template: str) -> None:
    # what is known of a child includes the weight of the process it was forked from, so a light one stands between it and this
    program = (
        "import resource, sys; from pvectl.notify.templates import *\n"
        "print(problem_of(Template(name='t', text=sys.argv[1])))\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    ran = subprocess.run([sys.executable, "-c", program, template], capture_output=True, text=True, check=True)
    words, used = ran.stdout.splitlines()
    seconds, kilobytes = used.split()
    assert words == TOO_LONG or words.startswith("its text: maximum recursion depth exceeded")
    assert float(seconds) < 4
    assert int(kilobytes) < 400 << 10


def test_an_interpreter_that_does_not_start_is_a_template_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    for program, words in (("/nowhere/python", "it cannot be started: No such file or directory"), ("/bin/true", "it cannot be tried")):
        monkeypatch.setattr(sys, "executable", program)
        with pytest.raises(Unusable) as caught:
            rendered(Template(name="t", subject="x"), known())
        assert caught.value.words == words
