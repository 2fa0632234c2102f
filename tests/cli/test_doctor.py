"""`pvectl doctor` against clusters that are well, and against each way in which they are not."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from pvectl.cli import examination
from pvectl.cli.app import main
from pvectl.cli.context import Run
from pvectl.cli.demos.cluster import ClusterTime
from pvectl.clock import SystemClock
from tests.support.commands import Home
from tests.support.servers import TestServer, TlsFiles, serving, tls_material

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECRET = "5eb1d2c4-0000-4000-8000-00000000a11e"
MAC = "bc:24:11:00:00:01"


def scenario(**more: Any) -> dict[str, Any]:
    """A cluster in perfect health, and a token that may do what pvectl does and no more."""
    return {
        "name": "lab",
        "now": NOW.timestamp(),
        "nodes": {name: {"wakeonlan": MAC} for name in ("pve1", "pve2", "pve3")},
        "guests": [
            {"vmid": 100, "name": "db", "node": "pve1", "status": "running", "tags": "prod"},
            {"vmid": 101, "name": "web", "node": "pve2", "status": "running", "tags": "safe-shutdown"},
        ],
        "users": {"pvectl@pve": {}},
        "tokens": {"pvectl@pve!ops": {"secret": SECRET, "privsep": 1}},
        "roles": {"PvectlAll": "VM.Audit VM.Config.Options VM.PowerMgmt Sys.Audit Sys.PowerMgmt Datastore.Audit Pool.Audit"},
        "acl": rules("PvectlAll"),
        "options": {"registered-tags": ["prod", "safe-shutdown"]},
    } | more


def rules(role: str, path: str = "/") -> list[dict[str, Any]]:
    return [
        {"path": path, "type": "user", "ugid": "pvectl@pve", "roleid": role},
        {"path": path, "type": "token", "ugid": "pvectl@pve!ops", "roleid": role},
    ]


class Noon(SystemClock):
    """The scenario's hour, standing still as the cluster's does."""

    def __init__(self, moment: datetime = NOW) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


class Told(NamedTuple):
    code: int
    rows: list[dict[str, Any]]
    envelope: dict[str, Any]

    def of(self, check: str, verdict: str | None = None) -> list[dict[str, Any]]:
        return [row for row in self.rows if row["check"] == check and verdict in (None, row["verdict"])]

    def verdicts(self, check: str) -> set[str]:
        return {row["verdict"] for row in self.of(check)}

    @property
    def lines(self) -> list[str]:
        """All commands that mend something."""
        return [line for row in self.rows for line in row["mend"]]


Doctor = Callable[..., Told]
Serve = Callable[..., TestServer]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def serve() -> Iterator[Serve]:
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(of: dict[str, Any] | None = None, **options: Any) -> TestServer:
            return stack.enter_context(serving(of or scenario(), speed=0, real_delays=False, **options))

        yield start


def examined(home: Home, *words: str, clock: SystemClock | None = None) -> tuple[int, str]:
    stdout = io.StringIO()
    run = Run(env=home.env, stdin=io.StringIO(), stdout=stdout, stderr=io.StringIO(), clock=clock or Noon())
    return main(["doctor", "-C", str(home.config), *words], run=run), stdout.getvalue()


@pytest.fixture
def doctor(home: Home) -> Doctor:
    """Connect to these servers (or to what `connect` is told) and ask the doctor, in JSON."""

    def ask(*servers: TestServer, clock: SystemClock | None = None, **connect: Any) -> Told:
        if servers:
            secured = connect.keys() & {"ca_file", "tls"}
            hosts = [host for server in servers for host in ([server.host()] if secured else urls(server))]
            home.connect(*hosts, **({"token_id": servers[0].token_id, "secret": servers[0].token_secret} | connect))
        code, out = examined(home, "-o", "json", clock=clock)
        envelope = json.loads(out)
        assert envelope["exit_code"] == code
        return Told(code, envelope["data"] or [], envelope)

    return ask


def urls(server: TestServer) -> list[str]:
    return [f"http://{server.host(node)}" for node in server.nodes]


def test_a_healthy_cluster_has_nothing_but_good_lines(serve: Serve, doctor: Doctor) -> None:
    server = serve()
    told = doctor(server)

    assert told.code == 0
    assert {row["verdict"] for row in told.rows} == {"ok"}
    assert {row["check"] for row in told.rows} == {
        *("clock", "config", "reach", "tls", "token", "privileges", "completeness", "quorum", "tags", "wake-on-lan")
    }
    assert told.envelope["complete"] is True
    assert told.envelope["cluster"] == "lab"


def test_the_doctor_only_reads(serve: Serve, doctor: Doctor) -> None:
    server = serve()
    doctor(server)

    assert server.writes() == []


def test_each_host_is_reached_by_itself(serve: Serve, doctor: Doctor) -> None:
    server = serve()
    told = doctor(server)

    assert {row["subject"] for row in told.of("reach")} == {f"host/{server.host(node)}" for node in server.nodes} | {"cluster"}
    assert {record.node for record in server.reads() if record.path == "/version"} == {"pve1", "pve2", "pve3"}


# configuration


def test_without_a_configuration_everything_else_is_left_out_and_says_so(doctor: Doctor, home: Home) -> None:
    told = doctor()

    assert told.code == 78
    assert told.verdicts("config") == {"problem"}
    assert told.verdicts("quorum") == told.verdicts("reach") == {"not-checked"}


def test_a_file_others_can_read_is_a_problem_with_the_command_that_closes_it(serve: Serve, doctor: Doctor, home: Home) -> None:
    server = serve()
    home.connect(*urls(server), token_id=server.token_id, secret=SECRET)
    (home.config / "proxmox.yml").chmod(0o644)
    told = doctor()

    assert told.code == 77
    assert any(line.startswith("chmod 600") for line in told.lines)
    assert server.requests == []


def test_every_mistake_in_a_file_is_shown_with_its_place(doctor: Doctor, home: Home) -> None:
    home.write("proxmox.yml", "clusters:\n  lab:\n    hots: [a]\n    token_id: nonsense\n")
    told = doctor()

    assert told.code == 78
    assert len(told.of("config", "problem")) >= 2
    assert any("proxmox.yml:3" in row["message"] for row in told.of("config"))


def test_a_mistake_in_the_other_file_does_not_stop_the_examination(serve: Serve, doctor: Doctor, home: Home) -> None:
    home.write("pvectl.yml", "tagz: {}\n")
    told = doctor(serve())

    assert told.code == 78
    assert told.verdicts("quorum") == {"ok"}


# hosts


def test_a_host_that_is_off_is_a_warning_while_others_answer(serve: Serve, doctor: Doctor) -> None:
    server = serve()
    server.fault("refuse", node="pve2")
    told = doctor(server)

    assert told.code == 0
    assert [row["subject"] for row in told.of("reach", "warning")] == [f"host/127.0.0.1:{server.port('pve2')}"]
    assert told.verdicts("completeness") == {"ok"}


def test_no_host_at_all_is_a_problem_and_the_rest_is_left_out(serve: Serve, doctor: Doctor, home: Home) -> None:
    server = serve()
    home.connect(*urls(server), token_id=server.token_id, secret=SECRET)
    server.close()
    told = doctor()

    assert told.code == 69
    assert told.verdicts("reach") == {"problem"}
    assert told.verdicts("privileges") == told.verdicts("wake-on-lan") == {"not-checked"}


def test_hosts_of_two_clusters_are_a_problem(serve: Serve, doctor: Doctor) -> None:
    told = doctor(serve(), serve(scenario(name="attic")))

    assert told.code == 78
    assert [row["subject"] for row in told.of("reach", "problem")] == ["cluster"]


def test_a_release_nobody_has_tried_is_a_warning(serve: Serve, doctor: Doctor) -> None:
    told = doctor(serve(scenario(version="7.4")))

    assert told.code == 0
    assert told.verdicts("reach") >= {"warning"}


# TLS


def test_a_certificate_of_the_clusters_own_authority_is_verified(serve: Serve, doctor: Doctor, tls_files: TlsFiles) -> None:
    told = doctor(serve(tls=tls_files), ca_file=tls_files.ca_file, clock=Noon(datetime.now(UTC)))

    assert told.verdicts("tls") <= {"ok", "warning"}
    assert f"verified by {tls_files.ca_file}" in told.of("tls")[0]["message"]


def test_a_pinned_certificate_says_when_it_ends(serve: Serve, doctor: Doctor, tmp_path: Path) -> None:
    ca = trustme.CA()
    soon = datetime.now(UTC) + timedelta(days=9)
    files = tls_files_of(tmp_path, ca.issue_cert("127.0.0.1", not_after=soon))
    told = doctor(serve(tls=files), tls=f'{{fingerprints: ["{files.fingerprint}"]}}', clock=Noon(datetime.now(UTC)))

    assert "verified by its pinned fingerprint, but expires in 9 days" in told.of("tls", "warning")[0]["message"]
    assert any("pvecm updatecerts" in line for line in told.lines)


def test_another_certificate_than_the_pinned_one_is_a_problem_and_gets_no_token(serve: Serve, doctor: Doctor, tls_files: TlsFiles) -> None:
    server = serve(tls=tls_files)
    told = doctor(server, tls=f'{{fingerprints: ["{"ab" * 32}"]}}')

    assert told.code == 69
    assert told.verdicts("tls") == {"problem"}
    assert server.requests == []


def test_s28_believing_any_certificate_is_a_warning_with_the_way_out(serve: Serve, doctor: Doctor, tls_files: TlsFiles) -> None:
    told = doctor(serve(tls=tls_files), tls="{insecure: true}")

    assert told.code == 0
    assert told.verdicts("tls") == {"warning"}
    assert "pvectl config trust" in told.lines


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return tls_material(tmp_path_factory.mktemp("tls"))


def tls_files_of(folder: Path, leaf: trustme.LeafCert) -> TlsFiles:
    files = TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
    leaf.private_key_pem.write_to_path(files.key_file)
    leaf.cert_chain_pems[0].write_to_path(files.cert_file)
    return files


# clocks


@pytest.mark.parametrize(("ahead", "verdict", "code"), [(90, "problem", 1), (-90, "problem", 1), (20, "warning", 0), (0, "ok", 0)])
def test_s17_a_clock_that_differs_from_the_nodes_is_told(serve: Serve, doctor: Doctor, ahead: int, verdict: str, code: int) -> None:
    told = doctor(serve(), clock=Noon(NOW + timedelta(seconds=ahead)))

    assert {row["verdict"] for row in told.of("clock") if row["subject"].startswith("node/")} == {verdict}
    assert told.code == code


# token and privileges


def test_a_refused_token_is_asked_for_once_because_each_refusal_takes_three_seconds(serve: Serve, doctor: Doctor) -> None:
    server = serve()
    told = doctor(server, secret="11111111-0000-4000-8000-000000000000")

    assert told.code == 77
    assert told.verdicts("token") == {"problem"}
    assert told.verdicts("completeness") == {"not-checked"}
    assert [record.status for record in server.requests] == [401]


def test_a_token_of_root_is_a_warning(serve: Serve, doctor: Doctor) -> None:
    told = doctor(serve(scenario(tokens={"root@pam!ops": {"secret": SECRET, "privsep": 0}})))

    assert told.code == 0
    assert told.verdicts("token") == {"warning"}
    assert "Permissions.Modify" in told.of("privileges", "warning")[0]["message"]


def test_a_token_that_is_not_privilege_separated_is_a_warning(serve: Serve, doctor: Doctor) -> None:
    tokens = {"pvectl@pve!ops": {"secret": SECRET, "privsep": 0}}
    told = doctor(serve(scenario(tokens=tokens, acl=rules("PvectlAll")[:1])))

    assert told.verdicts("token") == {"warning"}
    assert "pveum user token modify pvectl@pve ops --privsep 1" in told.lines


def test_what_a_token_lacks_is_named_with_the_lines_for_user_and_token(serve: Serve, doctor: Doctor) -> None:
    told = doctor(serve(scenario(acl=[])))

    assert told.code == 77
    assert told.verdicts("completeness") == {"problem"}
    assert "pveum acl modify / --users pvectl@pve --roles PVEAuditor" in told.lines
    assert "pveum acl modify / --tokens 'pvectl@pve!ops' --roles PVEAuditor" in told.lines
    assert told.envelope["complete"] is False


def test_a_token_that_only_looks_has_no_problem(serve: Serve, doctor: Doctor) -> None:
    told = doctor(serve(scenario(acl=rules("PVEAuditor"))))

    assert told.code == 0
    assert {row["subject"] for row in told.of("privileges", "note")} == {"tags", "vm", "node"}


def test_the_lines_that_are_given_mend_what_they_are_given_for(serve: Serve, doctor: Doctor) -> None:
    server = serve(scenario(acl=[]))
    for _ in range(2):
        for line in doctor(server).lines:
            obey(server, line)
    told = doctor(server)

    assert told.code == 0
    assert told.verdicts("completeness") == {"ok"}
    assert {row["verdict"] for row in told.of("privileges") if row["subject"] in ("see", "tags", "vm")} == {"ok"}


def test_s01_the_advice_for_a_token_whose_own_rule_shuts_out_the_guests_mends_that_at_once(serve: Serve, doctor: Doctor) -> None:
    hidden = [{"vmid": vmid, "name": f"vm{vmid}", "node": "pve1", "status": "running"} for vmid in range(100, 116)]
    blind = {"path": "/vms", "type": "token", "ugid": "pvectl@pve!ops", "roleid": "PvectlPower"}
    roles = {"PvectlPower": "VM.PowerMgmt", **scenario()["roles"]}
    server = serve(scenario(guests=hidden, roles=roles, acl=[*rules("PvectlAll"), blind]))
    told = doctor(server)

    problems = told.of("privileges", "problem") + told.of("completeness", "problem")
    assert told.code == 77
    assert {line for row in problems for line in row["mend"]} == {"pveum acl modify /vms --tokens 'pvectl@pve!ops' --roles PVEAuditor"}
    assert [row["subject"] for row in told.of("completeness")] == ["cluster", "node/pve1"]

    for line in problems[0]["mend"]:
        obey(server, line)
    assert doctor(server).verdicts("completeness") == {"ok"}


@pytest.mark.slow
def test_the_way_out_of_a_refusal_is_the_one_the_doctor_gives(serve: Serve, doctor: Doctor, home: Home) -> None:
    server = serve(scenario(acl=rules("PVEAuditor")))
    home.connect(*urls(server), token_id=server.token_id, secret=SECRET)
    refused = home.pvectl("tags", "add", "nightly", "100", "--yes", "-o", "json").json["errors"][0]
    assert "`pvectl doctor` gives the lines" in refused["hint"]

    (tags,) = [row for row in doctor(server).of("privileges") if row["subject"] == "tags"]
    for line in tags["mend"]:
        obey(server, line)
    assert home.pvectl("tags", "add", "nightly", "100", "--yes").code == 0
    assert home.pvectl("vm", "list").code == 0


def obey(server: TestServer, line: str) -> None:
    """Do what an administrator does with a pveum line."""
    import shlex

    match shlex.split(line):
        case ["pveum", "role", "add", name, "--privs", listed]:
            server.cluster.set_role(name, listed)
        case ["pveum", "acl", "modify", path, "--users" | "--tokens" as kind, who, "--roles", role]:
            server.cluster.grant(path, who, role, type=kind.strip("-s"))
        case other:
            assert other[0] != "pveum", line


def test_too_many_rights_are_a_warning(serve: Serve, doctor: Doctor) -> None:
    told = doctor(serve(scenario(acl=rules("Administrator"))))

    assert told.code == 0
    assert "Permissions.Modify" in told.of("privileges", "warning")[0]["message"]


# what is seen


def test_s01_a_guest_hidden_by_a_rule_of_its_own_is_found_out(serve: Serve, doctor: Doctor) -> None:
    hidden = [{"path": "/vms/101", "type": "user", "ugid": "pvectl@pve", "roleid": "NoAccess"}]
    told = doctor(serve(scenario(acl=[*rules("PvectlAll"), *hidden])))

    assert told.code == 4
    assert "guest/101" in {row["subject"] for row in told.of("completeness", "problem")}
    assert any("/vms/101" in line for line in told.lines)


def test_an_offline_node_leaves_the_other_checks_alone(serve: Serve, doctor: Doctor) -> None:
    server = serve()
    server.cluster.crash_node("pve3")
    told = doctor(server)

    assert told.code == 4
    assert {row["subject"]: row["verdict"] for row in told.of("wake-on-lan")} == {
        "node/pve1": "ok",
        "node/pve2": "ok",
        "node/pve3": "not-checked",
    }
    assert told.verdicts("quorum") == {"warning"}
    assert told.verdicts("privileges") == {"ok"}


@pytest.mark.slow
def test_a_node_that_hangs_is_asked_once_and_leaves_time_for_the_rest(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    # time enough for those that do answer, on any machine
    monkeypatch.setattr(examination, "PER_HOST_S", 2.0)
    with serving(scenario(), speed=0) as server:
        server.cluster.hang_node("pve3")
        home.connect(*urls(server), token_id=server.token_id, secret=SECRET)
        code, out = examined(home, "-o", "json", clock=ClusterTime(server.cluster.clock))
    told = Told(code, json.loads(out)["data"], {})

    assert code == 4
    assert [row["subject"] for row in told.of("completeness", "problem")] == ["node/pve3"]
    assert [row["verdict"] for row in told.of("wake-on-lan") if row["subject"] == "node/pve3"] == ["not-checked"]
    assert told.verdicts("quorum") == told.verdicts("tags") == {"ok"}
    assert len({record.path for record in server.requests if record.path.startswith("/nodes/pve3/")}) == 1


def test_one_answer_that_cannot_be_understood_leaves_the_other_checks_alone(serve: Serve, doctor: Doctor) -> None:
    server = serve()
    server.fault("status", path="/nodes/pve1/time", code=500)
    server.fault("status", path="/cluster/options", code=500)
    told = doctor(server)

    assert told.code == 0
    assert [row["subject"] for row in told.of("clock", "unknown")] == ["node/pve1"]
    assert told.verdicts("tags") == {"unknown"}
    assert told.verdicts("quorum") == told.verdicts("completeness") == {"ok"}


def test_a_cluster_without_quorum_is_a_problem(serve: Serve, doctor: Doctor) -> None:
    server = serve()
    server.cluster.lose_quorum()
    told = doctor(server)

    assert told.code == 75
    assert told.verdicts("quorum") == {"problem"}


def test_two_nodes_cannot_lose_one(serve: Serve, doctor: Doctor) -> None:
    told = doctor(serve(scenario(nodes={"pve1": {"wakeonlan": MAC}, "pve2": {"wakeonlan": MAC}})))

    assert told.code == 0
    assert told.verdicts("quorum") == {"warning"}


def test_a_quorum_device_lets_two_nodes_lose_one(serve: Serve, doctor: Doctor) -> None:
    nodes = {"pve1": {"wakeonlan": MAC}, "pve2": {"wakeonlan": MAC}}
    told = doctor(serve(scenario(nodes=nodes, qdevice={"state": "Connected"})))

    assert told.verdicts("quorum") == {"ok"}


def test_a_single_host_needs_no_quorum_and_cannot_be_woken(serve: Serve, doctor: Doctor) -> None:
    told = doctor(serve(scenario(name=None, nodes={"pve1": {}}, guests=[])))

    assert told.verdicts("quorum") == {"ok"}
    assert told.verdicts("wake-on-lan") == {"note"}


def test_a_tag_anyone_may_set_is_a_warning_with_the_line_that_registers_it(serve: Serve, doctor: Doctor) -> None:
    told = doctor(serve(scenario(options={"registered-tags": ["prod"]})))

    assert told.of("tags", "warning")[0]["mend"] == ['pvesh set /cluster/options --registered-tags "prod;safe-shutdown"']


def test_a_node_that_cannot_be_woken_is_told_how_to(serve: Serve, doctor: Doctor) -> None:
    told = doctor(serve(scenario(nodes={"pve1": {"wakeonlan": MAC}, "pve2": {}, "pve3": {"wakeonlan": MAC}})))

    assert told.code == 0
    assert [row["subject"] for row in told.of("wake-on-lan", "note")] == ["node/pve2"]
    assert "on pve2: pvenode config set --wakeonlan MAC-OF-ITS-NETWORK-CARD" in told.lines


# the page


def test_the_page_puts_alike_lines_together_and_gives_a_command_once(serve: Serve, home: Home) -> None:
    server = serve(scenario(acl=[]))
    home.connect(*urls(server), token_id=server.token_id, secret=SECRET)
    code, page = examined(home)

    assert code == 77
    assert page.count("--users pvectl@pve --roles PVEAuditor") == 1
    assert "(the same goes for pve2, pve3)" in page
    assert SECRET not in page


def test_quiet_leaves_only_what_calls_for_action(serve: Serve, home: Home) -> None:
    server = serve()
    home.connect(*urls(server), token_id=server.token_id, secret=SECRET)

    assert examined(home, "--quiet") == (0, "")


def test_the_page_fits_a_narrow_terminal_but_never_breaks_a_command() -> None:
    from pvectl.cli.doctor import _page
    from pvectl.cli.layout import Terminal
    from pvectl.core.checkup import ok, problem
    from pvectl.errors import ExitCode

    line = "pveum acl modify / --tokens 'pvectl@pve!ops' --roles PVEAuditor --propagate 1"
    checks = [ok("tls", "host/pve1", "fine"), problem(ExitCode.BLIND, "completeness", "cluster", "word " * 40, line)]
    page = _page(checks, Terminal(width=60)).splitlines()

    assert any(row.endswith(line) for row in page)
    assert all(len(row) <= 60 for row in page if "pveum" not in row)


def test_names_from_outside_cannot_steer_the_terminal() -> None:
    from pvectl.cli.doctor import _page
    from pvectl.cli.layout import Terminal
    from pvectl.core.checkup import ok

    assert "\x1b" not in _page([ok("tls", "host/\x1b[2Jpve", "a \x1b]0;b")], Terminal())


def test_a_spreadsheet_gets_one_row_for_each_check(serve: Serve, home: Home) -> None:
    server = serve()
    home.connect(*urls(server), token_id=server.token_id, secret=SECRET)
    code, page = examined(home, "-o", "csv")

    assert code == 0
    assert page.splitlines()[0] == "check,subject,verdict,message,mend"
