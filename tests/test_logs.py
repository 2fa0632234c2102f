"""Events: levels, forms, and what never appears in them."""

import io
import json
import subprocess
import sys

import pytest

from pvectl import logs
from pvectl.core.secret import Secret


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_event_is_one_json_line_with_its_fields() -> None:
    stream = io.StringIO()

    logs.Log(stream, env={}, run_id="a1", cluster="lab").warning("guest.shutdown", vmid=200, node="pve2")
    event = json.loads(stream.getvalue())

    assert stream.getvalue().count("\n") == 1
    assert event.pop("timestamp").endswith("Z")
    assert event == {"event": "guest.shutdown", "level": "warning", "run_id": "a1", "cluster": "lab", "vmid": 200, "node": "pve2"}


def test_a_list_stays_a_list() -> None:
    stream = io.StringIO()

    logs.Log(stream, env={}).warning("node.switch-off", vmids=[201, 200], names=("db\n",))
    event = json.loads(stream.getvalue())

    assert event["vmids"] == [201, 200]
    assert "\n" not in event["names"][0]


def test_under_systemd_a_line_carries_the_journals_priority() -> None:
    stream = io.StringIO()
    log = logs.Log(stream, env={"JOURNAL_STREAM": "8:1"}, level=logs.DEBUG)

    log.debug("a")
    log.info("a")
    log.warning("a")
    log.error("a")

    assert [line[:3] for line in stream.getvalue().splitlines()] == ["<7>", "<6>", "<4>", "<3>"]


def test_on_a_terminal_it_is_a_readable_line_and_colour_is_optional() -> None:
    plain, coloured = Terminal(), Terminal()

    logs.Log(plain, env={"NO_COLOR": "1"}).error("guest.shutdown", vmid=200)
    logs.Log(coloured, env={}).error("guest.shutdown", vmid=200)

    assert "guest.shutdown" in plain.getvalue()
    assert "vmid=200" in plain.getvalue()
    assert "\x1b" not in plain.getvalue()
    assert "\x1b" in coloured.getvalue()


@pytest.mark.parametrize(
    ("quiet", "verbose", "terminal", "level"),
    [
        (False, 0, False, logs.INFO),
        (True, 0, False, logs.ERROR),
        (False, 0, True, logs.NOTHING),
        (False, 1, True, logs.INFO),
        (False, 2, True, logs.DEBUG),
        (False, 1, False, logs.DEBUG),
    ],
)
def test_how_much_is_said(quiet: bool, verbose: int, terminal: bool, level: int) -> None:
    assert logs.threshold(quiet=quiet, verbose=verbose, terminal=terminal) == level


def test_what_is_below_the_level_is_not_said() -> None:
    stream = io.StringIO()

    logs.Log(stream, env={}, level=logs.WARNING).info("nothing.new")

    assert stream.getvalue() == ""


@pytest.mark.parametrize("field", ["token", "token_value", "api_secret", "authorization", "password"])
def test_s33_a_secret_field_is_never_shown(field: str) -> None:
    stream = io.StringIO()

    logs.Log(stream, env={}).error("x", **{field: "canary-4711", "token_id": "ops@pve!t"}, boxed=Secret("canary-4711"))

    assert "canary-4711" not in stream.getvalue()
    assert "ops@pve!t" in stream.getvalue()


def test_s34_control_codes_from_outside_are_spelled_out() -> None:
    for stream in (io.StringIO(), Terminal()):
        logs.Log(stream, env={"NO_COLOR": "1"}).error("x", error="evil\x1b]52;c;aGk=\x07\nname\u202e")

        assert "\x1b" not in stream.getvalue()
        assert "\u202e" not in stream.getvalue()
        assert stream.getvalue().count("\n") == 1


def test_a_silent_run_does_not_pay_for_structlog() -> None:
    program = "import sys; from pvectl.logs import Log, ERROR; Log(level=ERROR).info('x'); sys.exit('structlog' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_log_nobody_can_write_does_not_end_the_run() -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    logs.Log(Full(), env={}).error("guest.shutdown", vmid=200)
