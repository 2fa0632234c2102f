"""Safety rule S33: a canary in each secret of each receiver, from each of its sources, is found in nothing that anybody can read."""

from __future__ import annotations

import base64
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pvectl.errors import ExitCode
from tests.alert.stage import INTERVAL, WATCHED, AlertStage
from tests.notify.listening import Act, Heard, Listener, answering, listening, nobody, saying
from tests.notify.talking import talking
from tests.support.servers import TlsFiles, tls_files  # noqa: F401

pytestmark = pytest.mark.slow

CANARY = "C4nary"
KEYED = "k" * 20
WAYS = ("secret", "file", "credential", "command")
PLAIN = "http://127.0.0.1:{port}"
FIELDS = {
    "hook-url": "{base}/C4naryA/x?sig=C4naryB&C4naryC=1",
    "hook-token": "C4naryD",
    "hook-header": "C4naryE",
    "hook-key": "whsec_" + base64.b64encode(f"C4naryF{KEYED}".encode()).decode(),
    "login-url": "{base}/C4naryG",
    "login-password": "C4naryH",
    "am-url": "{base}/C4naryI",
    "am-password": "C4naryJ",
    "mail-password": "C4naryK",
    "ntfy-topic": "C4naryL",
    "ntfy-token": "C4naryM",
    "slack-url": "{base}/services/T0/C4naryN",
    "discord-url": "{base}/api/webhooks/1/C4naryO",
    "telegram-token": f"123456:C4naryP{'A' * 28}",
    "teams-url": "{base}/C4naryQ?sig=C4naryR",
    "pagerduty-key": "C4naryS",
    "apprise-url": "json://ops:C4naryT@127.0.0.1:{port}/C4naryU",
    "heart-url": "{base}/C4naryV",
}
RECEIVERS = """\
hook:
      {{type: webhook, url: {0[hook-url]}, token: {0[hook-token]}, headers: {{X-Api-Key: {0[hook-header]}}},
        signing_keys: {0[hook-key]}, {1}}}
    login: {{type: webhook, url: {0[login-url]}, user: ops, password: {0[login-password]}, {1}}}
    am: {{type: alertmanager, url: {0[am-url]}, user: ops, password: {0[am-password]}, {1}}}
    mail:
      {{type: smtp, host: 127.0.0.1, port: {mail}, from: a@b.org, to: c@b.org, user: ops, password: {0[mail-password]}, timeout: 1}}
    local: {{type: sendmail, program: /bin/false}}
    ntfy: {{type: ntfy, topic: {0[ntfy-topic]}, token: {0[ntfy-token]}, server: "{base}", {1}}}
    slack: {{type: slack, url: {0[slack-url]}, {1}}}
    discord: {{type: discord, url: {0[discord-url]}, {wait}}}
    telegram: {{type: telegram, token: {0[telegram-token]}, chat: "1", server: "{base}", {wait}}}
    teams: {{type: teams, url: {0[teams-url]}, {wait}}}
    pager: {{type: pagerduty, key: {0[pagerduty-key]}, server: "{base}", {wait}}}
"""
APPRISE = "    else: {{type: apprise, url: {0[apprise-url]}, timeout: 20}}\n"
NAMES = ("hook", "login", "am", "mail", "local", "ntfy", "slack", "discord", "telegram", "teams", "pager")
AFTERWARDS = (
    ("alert", "list"),
    ("alert", "list", "--all"),
    ("alert", "explain", WATCHED),
    ("alert", "ack", WATCHED, "--note", "x"),
    ("alert", "unack", WATCHED),
    ("alert", "silence", "add", "--check", "backup.*", "--reason", "x", "--for", "1h"),
    ("alert", "silence", "list"),
    ("alert", "outbox", "list", "--all"),
    ("alert", "outbox", "retry", "--dead"),
    ("alert", "replay", "--rules", "RULES"),
    ("alert", "export", "prometheus"),
    ("alert", "run", "--dry-run"),
    ("history",),
    ("config", "check"),
    ("config", "show"),
)


def traces() -> tuple[str, ...]:
    """All that gives a secret away, in lower case."""
    found = [CANARY]
    for letter in "ABCDEFGHIJKLMNOPQRSTUV":
        name = f"{CANARY}{letter}"
        wholes = (name, f"ops:{name}", f"\0ops\0{name}", f"{name}{KEYED}")
        found += [base64.b64encode(whole.encode()).decode().rstrip("=")[:-1] for whole in wholes]
    return tuple(each.lower() for each in found)


TRACES = traces()


def assert_clean(where: str, *seen: str | bytes) -> None:
    for text in seen:
        low = (text.decode("latin-1") if isinstance(text, bytes) else text).lower()
        for trace in TRACES:
            assert trace not in low, f"{where}: {trace} in …{low[max(0, low.find(trace) - 80) : low.find(trace) + 60]}…"


class Watchful:
    """Answers as it is told, quoting all it was asked; writes down what the list of processes shows meanwhile."""

    def __init__(self, status: str) -> None:
        self._status = status
        self.processes: set[bytes] = set()
        self._lock = threading.Lock()

    def __call__(self, sock: socket.socket, listener: Listener, heard: Heard) -> None:
        shown = set()
        for process in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    shown.add((process / name).read_bytes())
                except OSError:
                    continue
        with self._lock:
            self.processes |= shown
        said = heard.raw.decode("latin-1")[:4000]
        answering(self._status, said, Content_Type="text/plain", Location=heard.target, Retry_After=heard.target)(sock, listener, heard)


class Guarded:
    """A stage with all kinds of receivers."""

    def __init__(
        self, stage: AlertStage, port: int, mail: int, *, shift: int, base: str = PLAIN, apprise: bool = False, timeout: int = 20
    ) -> None:
        self.stage = stage
        self.wait = f"timeout: {timeout}"
        self.base = base.format(port=port)
        self.port = port
        self.credentials = stage.folder / "credentials"
        self.credentials.mkdir(mode=0o700)
        stage.home.env["CREDENTIALS_DIRECTORY"] = str(self.credentials)
        self.values = {name: value.format(base=self.base, port=port) for name, value in FIELDS.items()}
        self.ways = {name: WAYS[(number + shift) % len(WAYS)] for number, name in enumerate(FIELDS)}
        self.write(mail, apprise=apprise)

    def write(self, mail: int, *, apprise: bool = False) -> None:
        stage = self.stage
        for name, value in self.values.items():
            for folder in (self.credentials, stage.home.config):
                file = folder / name
                file.touch(mode=0o600)
                file.write_text(f"{value}\n", encoding="utf-8")
        stage.secret(**self.values)
        sources = {name: self.source(name, way) for name, way in self.ways.items()}
        web = f"{self.wait}, allow_http: true"
        written = (RECEIVERS + (APPRISE if apprise else "")).format(sources, web, base=self.base, mail=mail, wait=self.wait)
        heart = f"heartbeat: {{type: healthchecks, url: {sources['heart-url']}, {self.wait}, allow_http: true}}"
        text = f"monitor: {{disable: [backup.*]}}\nalert:\n  rules: [{{for: 0}}]\n  {heart}\n  receivers:\n    {written}"
        stage.configure(text)
        (stage.folder / "rules.yml").write_text(text, encoding="utf-8")

    def source(self, name: str, way: str) -> str:
        match way:
            case "file":
                return f"{{file: {name}}}"
            case "command":
                return f'{{command: [/bin/cat, "{self.stage.home.config / name}"]}}'
            case _:
                return f"{{{way}: {name}}}"

    def look_everywhere(self, *words: tuple[str, ...], code: int | None = None) -> None:
        """Nothing of it is in what these commands say, in any form, nor in what is kept."""
        for number, each in enumerate(words):
            given = [str(self.stage.folder / "rules.yml") if word == "RULES" else word for word in each]
            form = ("text", "json")[number % 2]
            ended = self.stage.pvectl(*given, "-vv", "-o", form)
            assert_clean(" ".join(each), ended.out, ended.err)
            assert ended.code != ExitCode.USAGE, ended.err
            assert code is None or ended.code == code, (each, ended)
        for file in self.stage.state.rglob("*"):
            if file.is_file():
                assert_clean(file.name, file.read_bytes())


@contextmanager
def guarded(folder: Path, act: Act, *, shift: int, **options: Any) -> Iterator[tuple[Guarded, Listener]]:
    with AlertStage(folder, sockets=False) as stage, listening(act) as listener, talking(b"220 x\r\n", then="close") as mail:
        yield Guarded(stage, listener.port, mail, shift=shift, **options), listener


REFUSALS = ("401 No", "403 No", "404 No", "410 No", "429 No", "500 No", "302 No", "200 OK")


@pytest.mark.parametrize(("number", "status"), [*enumerate(REFUSALS)], ids=REFUSALS)
def test_s33_no_secret_is_in_anything_that_is_said_when_receivers_refuse(tmp_path: Path, number: int, status: str) -> None:
    act = Watchful(status)
    with guarded(tmp_path, act, shift=number, apprise=status == "500 No") as (lab, listener):
        lab.stage.run()
        lab.stage.advance(INTERVAL)
        lab.stage.breaks()
        lab.look_everywhere(("alert", "run"), code=ExitCode.FAILED)
        sent = b"\n".join(heard.raw for heard in listener.requests)
        for letter in "ABCDEGILMNOPQRSV":
            assert f"{CANARY}{letter}".encode() in sent, f"{CANARY}{letter} is never sent, so this proves nothing"
        assert_clean("processes", *act.processes)
        lab.stage.advance(INTERVAL)
        lab.look_everywhere(*(("alert", "test", name) for name in NAMES[number % 2 :: 2]), *AFTERWARDS)
        lab.stage.advance(7200)
        lab.look_everywhere(("alert", "run"), ("alert", "outbox", "list"), ("alert", "run"))


def test_s33_no_secret_is_in_anything_that_is_said_when_nobody_is_there(tmp_path: Path) -> None:
    with AlertStage(tmp_path, sockets=False) as stage, nobody() as port:
        _tried_in_vain(Guarded(stage, port, port, shift=1))


def test_s33_no_secret_is_in_anything_that_is_said_when_they_hang(tmp_path: Path) -> None:
    with guarded(tmp_path, saying(then="hang"), shift=2, timeout=1) as (lab, _):
        lab.stage.breaks()
        lab.look_everywhere(("alert", "run"), ("alert", "test", "hook"), ("alert", "outbox", "list"))


def test_s33_no_secret_is_in_anything_that_is_said_of_a_wrong_certificate(tmp_path: Path, tls_files: TlsFiles) -> None:  # noqa: F811
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls_files.cert_file, tls_files.key_file)
    with AlertStage(tmp_path, sockets=False) as stage, listening(context=context) as listener:
        lab = Guarded(stage, listener.port, listener.port, shift=3, base="https://127.0.0.1:{port}")
        _tried_in_vain(lab)
        assert listener.requests == []


def _tried_in_vain(lab: Guarded) -> None:
    lab.stage.breaks()
    lab.look_everywhere(("alert", "run"), code=ExitCode.FAILED)
    lab.look_everywhere(*(("alert", "test", name) for name in NAMES))
    lab.look_everywhere(*AFTERWARDS)


MALFORMED = {
    "a bracket": "https://[C4naryA/",
    "a port": "https://x:C4naryB/",
    "a user": "https://ops:C4naryC@x/",
    "no scheme": "C4naryD",
    "two lines": "https://x/\nC4naryE",
    "in the clear": "http://192.0.2.1/C4naryF",
    "not in Latin": "https://x/C4naryGä\u202e",
    "nothing": "",
}


@pytest.mark.parametrize(("number", "value"), [*enumerate(MALFORMED.values())], ids=MALFORMED)
def test_s33_no_secret_is_in_anything_that_is_said_of_one_that_cannot_be(tmp_path: Path, number: int, value: str) -> None:
    with AlertStage(tmp_path, sockets=False) as stage:
        lab = Guarded(stage, 1, 1, shift=number)
        lab.values = dict.fromkeys(lab.values, value)
        lab.write(1)
        stage.breaks()
        tests = (("alert", "test", name) for name in NAMES[:6])
        lab.look_everywhere(("alert", "run"), *tests, ("alert", "outbox", "list"), ("config", "check"))


FAILING = {
    "says it and fails": "echo {0}; exit 3",
    "complains with it": "echo {0} >&2; exit 3",
    "dies": "echo {0}; kill -9 $$",
    "says too much": "for i in $(seq 9000); do echo {0}; done",
    "is not there": None,
}


@pytest.mark.parametrize("script", FAILING.values(), ids=FAILING)
def test_s33_no_secret_is_in_anything_that_is_said_of_a_command_that_fails(tmp_path: Path, script: str | None) -> None:
    with AlertStage(tmp_path, sockets=False) as stage:
        lab = Guarded(stage, 1, 1, shift=0)
        program = tmp_path / "tell"
        if script is not None:
            program.write_text("#!/bin/sh\n" + script.format(f"{CANARY}A"), encoding="ascii")
            program.chmod(0o700)
        receiver = f"hook: {{type: slack, url: {{command: [{json.dumps(os.fspath(program))}]}}}}"
        stage.configure(f"alert: {{receivers: {{{receiver}}}, rules: [{{for: 0}}]}}\n")
        stage.breaks()
        lab.look_everywhere(("alert", "run"), code=ExitCode.FAILED)
        lab.look_everywhere(("alert", "test", "hook"), ("alert", "outbox", "list"), ("alert", "list"), ("config", "check"))


def test_s33_no_secret_is_in_the_words_of_a_fault_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> object:
        raise RuntimeError(f"{CANARY}A")

    monkeypatch.setattr("pvectl.notify.post._asked", fails)
    with AlertStage(tmp_path, sockets=False) as stage:
        lab = Guarded(stage, 1, 1, shift=1)
        stage.breaks()
        lab.look_everywhere(("alert", "run"), ("alert", "test", "hook"), ("alert", "outbox", "list"))
