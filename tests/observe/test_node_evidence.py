from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pvectl import observe
from pvectl.clock import SystemClock
from pvectl.core.evidence import CephService, Device, Member, Place, ServedStorage, Task, TaskHistory
from pvectl.core.model import Known, Unknown
from pvectl.core.secret import Secret
from pvectl.errors import ConfigError, Unavailable
from pvectl.observe import circumstances
from pvectl.pve.answers import CorosyncNode
from pvectl.pve.client import ProxmoxClient
from pvectl.pve.transport import Connection, Deadline, Trust
from tests.observe.world import IN_A_RACK, NODE, WORLD, evidence, read, told, unknown, value
from tests.support.labs import lab
from tests.support.servers import serving

HERE = f"/nodes/{NODE}"
AUDITOR, TOKEN, SECRET = "mon@pve", "mon@pve!ro", "5eb1d2c4-0000-4000-8000-00000000a11e"


def seen_by(*rules: tuple[str, str]) -> dict[str, Any]:
    """The same world with one token that holds these roles, as its user does."""
    acl: list[dict[str, Any]] = [
        {"path": path, "ugid": ugid, "roleid": role, "propagate": 1} for path, role in rules for ugid in (AUDITOR, TOKEN)
    ]
    kinds = [{**rule, "type": "token" if "!" in rule["ugid"] else "user"} for rule in acl]
    roles = {"NoStorage": "VM.Audit Sys.Audit Pool.Audit", "Guests": "VM.Audit", "NodePower": "Sys.Audit Sys.PowerMgmt"}
    roles["Switcher"] = "VM.Audit Sys.Audit Datastore.Audit Pool.Audit VM.PowerMgmt Sys.PowerMgmt"
    return {**WORLD, "users": {AUDITOR: {}}, "tokens": {TOKEN: {"secret": SECRET}}, "roles": roles, "acl": kinds}


@pytest.mark.parametrize("version", ["8.4", "9.2"])
def test_everything_about_a_node_is_known_from_live_reads(version: str) -> None:
    with lab({**WORLD, "version": version}) as one:
        found = evidence(one)
        assert unknown(found) == {}
        facts = told(found)
        assert (found.live, found.status, found.cluster, found.our_user) == (True, "online", "lab", "pvectl@pve!ops")
        assert [(guest.vmid, guest.status, guest.tags) for guest in facts["guests"]] == [
            (110, "running", ("safe-shutdown",)),
            (111, "stopped", ("safe-shutdown",)),
            (210, "running", ("safe-shutdown", "web")),
        ]
        assert found.blind_spots == ()
        assert facts["uptime"] == pytest.approx(864_000, abs=120)
        assert abs(facts["node_time_off"]) < 60
        assert facts["tasks"].reaches_back_to == 0
        assert [(task.type, task.id, task.user, task.runs, task.status) for task in facts["tasks"].tasks] == [
            ("qmstart", "110", "root@pam", False, "OK")
        ]
        assert (facts["standalone"], facts["quorate"], facts["incoming"], facts["way_out"]) == (False, True, (), True)
        assert facts["members"] == tuple(
            Member(name=f"pve{number}", online=True, votes=1, ip=f"192.0.2.{10 + number}") for number in (1, 2, 3)
        )
        assert facts["device"] == Device(connected=True, algorithm="Fifty-Fifty split")
        assert (facts["ha"].quorate, facts["ha"].services) == (True, ())
        assert (facts["registered_tags"], facts["tags_case_sensitive"], facts["ha_shutdown_policy"]) == (
            ("safe-shutdown",),
            False,
            "migrate",
        )
        assert (facts["ceph"], facts["served"], facts["wakeonlan"]) == ((), (), "BC:24:11:00:00:02")
        assert [(job.id, job.guests_here, job.next_run is not None) for job in facts["backups"]] == [("nightly", True, True)]
        assert [(job.id, job.source, job.target, job.runs, job.next_sync is not None) for job in facts["replication"]] == [
            ("110-0", NODE, "pve1", False, True)
        ]
        assert facts["whereabouts"].place is Place.ELSEWHERE
        assert one.wrote() == []


@pytest.mark.parametrize("guests", [20, pytest.param(2000, marks=pytest.mark.slow)])
def test_the_number_of_requests_does_not_grow_with_guests(guests: int) -> None:
    many = [{"vmid": 1000 + number, "node": f"pve{number % 3 + 1}", "status": "running"} for number in range(guests)]
    with lab({**WORLD, "guests": many, "storages": [{"name": "local"}], "replication": []}, speed=0) as one:
        read(one, NODE, wake=False)
        shared = [asked for asked in one.asked() if "/nodes/" not in asked]
        assert len(shared) == 12
        assert len(one.asked()) - len(shared) == 6
    with lab({**WORLD, "guests": many}, speed=0) as one:
        read(one, "pve2", "pve3", wake=False)
        # a storage that comes over the network takes one more, and so does each node that replication touches
        assert len(one.asked()) <= 12 + 1 + 2 * 7


def test_a_look_that_finds_every_node_busy_is_two_requests() -> None:
    with lab(WORLD, speed=0) as one:
        seen = observe.glance(one.client, one.clock)
        for node in ("pve1", "pve2", "pve3"):
            cheap = observe.at_a_glance(seen, node)
            assert (cheap.live, cheap.blind_spots, cheap.status) == (False, None, "online")
            assert value(cheap.guests)
            assert isinstance(cheap.tasks, Unknown)
        assert one.asked() == ["GET /cluster/status", "GET /cluster/resources"]


def test_s03_the_task_list_is_read_after_everything_else_has_been_answered() -> None:
    with lab(WORLD, speed=0) as one:
        read(one, "pve2", "pve3")
        assert one.asked()[-2:] in (
            ["GET /nodes/pve2/tasks", "GET /nodes/pve3/tasks"],
            ["GET /nodes/pve3/tasks", "GET /nodes/pve2/tasks"],
        )
        assert sum("/tasks" in asked for asked in one.asked()) == 3


def test_s05_what_runs_is_found_however_long_ago_it_began() -> None:
    tasks = [
        {"type": "vzdump", "node": NODE, "started_ago": 20_000, "took": None},
        {"type": "vncproxy", "node": NODE, "id": "110", "started_ago": 30, "took": None, "user": "anna@pam"},
    ]
    with lab({**WORLD, "tasks": tasks}) as one:
        history = value(evidence(one, since={NODE: 10**9}).tasks)
        assert {(task.type, task.runs) for task in history.tasks} == {("vzdump", True), ("vncproxy", True)}


def test_s06_a_longer_list_is_asked_for_when_the_first_does_not_reach_back_far_enough() -> None:
    with lab({**WORLD, "tasks": []}, speed=0) as one:
        now = int(one.clock.now().timestamp())
        for number in range(600):
            one.cluster.add_task(type="aptupdate", node=NODE, started_ago=10_000 - number, took=1)
        first = value(evidence(one, since={NODE: now - 9000}).tasks)
        assert (len(first.tasks), sum(f"{HERE}/tasks" in asked for asked in one.asked())) == (500, 1)
        assert first.reaches_back_to == pytest.approx(now - 9899 + 1, abs=3)
        whole = value(evidence(one, since={NODE: now - 9950}).tasks)
        assert (len(whole.tasks), sum(f"{HERE}/tasks" in asked for asked in one.asked())) == (600, 3)
        assert whole.reaches_back_to <= now - 9980


def test_s06_a_list_of_ended_tasks_in_archive_order_claims_no_more_than_it_shows() -> None:
    with lab({**WORLD, "tasks": []}, speed=0) as one:
        now = int(one.clock.now().timestamp())
        # it began long ago and ended as the last of those that are left out
        one.cluster.add_task(type="vzdump", node=NODE, started_ago=50_000, took=40_000)
        for number in range(500):
            one.cluster.add_task(type="aptupdate", node=NODE, started_ago=9_000 - number, took=1)
        history = value(evidence(one).tasks)
        assert all(task.type == "aptupdate" for task in history.tasks)
        assert history.reaches_back_to > now - 10_000


def test_s06_a_log_that_has_been_rotated_is_not_taken_for_whole() -> None:
    with lab({**WORLD, "tasks": []}, speed=0) as one:
        now = int(one.clock.now().timestamp())
        for number in range(100):
            one.cluster.add_task(type="qmstart", node=NODE, id="110", started_ago=5000 - number, took=1, status="no luck " * 60)
        history = value(evidence(one).tasks)
        assert len(history.tasks) == 100
        assert history.reaches_back_to == pytest.approx(now - 4999, abs=2)


def test_s06_where_nothing_but_running_tasks_is_listed_the_past_is_not_known() -> None:
    running = tuple(Task(upid="u" * 500, type="vzdump", started=1000 + number) for number in range(100))
    assert circumstances.history(running, 500).reaches_back_to == 1100
    assert circumstances.history((), 500).reaches_back_to == 0
    assert circumstances.history(running[:1], 1).reaches_back_to == 1001


def test_s05_a_vm_on_its_way_here_is_seen_before_it_arrives() -> None:
    with lab(WORLD, speed=1) as one:
        one.cluster.migrate(100, NODE, takes=600)
        found = evidence(one)
        (coming,) = [guest for guest in value(found.guests) if guest.vmid == 100]
        assert (coming.status, coming.node, coming.lock, coming.is_off) == ("inmigrate", NODE, "migrate", False)
        assert [(task.type, task.id) for task in value(found.incoming)] == [("qmigrate", "100")]
        assert found.blind_spots == ()


def test_s05_what_moves_away_is_no_arrival_and_a_node_that_died_moves_nothing_any_more() -> None:
    with lab(WORLD, speed=1) as one:
        one.cluster.migrate(110, "pve1", takes=600)
        one.cluster.migrate(220, "pve1", takes=600)
        found = evidence(one)
        assert [task.id for task in value(found.incoming)] == ["220"]
        assert next(guest.lock for guest in value(found.guests) if guest.vmid == 110) == "migrate"
        assert [task.type for task in value(found.tasks).tasks if task.runs] == ["qmigrate"]


def test_s05_a_container_on_its_way_is_known_by_its_lock_before_any_task_list_shows_it() -> None:
    with lab(WORLD, speed=0) as one:
        one.cluster.lock(220, "migrate")
        assert [(task.type, task.id) for task in value(evidence(one).incoming)] == [("vzmigrate", "220")]
        # where it is locked it is no task of somebody else's, and a node that is off moves nothing
        assert value(read(one, "pve3")["pve3"].incoming) == ()
        one.cluster.crash_node("pve3")
        assert value(evidence(one).incoming) == ()


def test_s01_a_guest_hidden_from_the_token_is_a_blind_spot_of_the_node_it_runs_on() -> None:
    world = seen_by(("/", "Switcher"))
    world["acl"] = [*world["acl"], {"path": "/vms/210", "type": "user", "ugid": AUDITOR, "roleid": "NoAccess", "propagate": 1}]
    with lab(world, token=TOKEN, speed=0) as one:
        found = evidence(one)
        assert [guest.vmid for guest in value(found.guests)] == [110, 111]
        assert {spot.subject for spot in found.blind_spots or ()} == {"guest/210"}
        assert "GET /access/permissions" in one.asked()[4:]


def test_s01_a_guest_the_node_does_not_list_though_it_is_placed_there_is_a_blind_spot() -> None:
    with lab(WORLD, speed=0) as one:
        seen = observe.glance(one.client, one.clock)
        one.cluster.remove_guest(110)
        found = observe.node_evidence(one.client, one.clock, seen, [NODE])[NODE]
        assert [spot.subject for spot in found.blind_spots or ()] == ["guest/110"]


def test_s02_what_pve_filters_without_a_word_is_unknown_without_the_privilege() -> None:
    with lab(seen_by(("/", "NoStorage")), token=TOKEN, speed=0) as one:
        lost = unknown(evidence(one))
        assert set(lost) == {"served"}
        assert lost["served"].reason == "the token or its user lacks Datastore.Audit on /storage"
    with lab(seen_by(("/", "PVEAuditor"), ("/storage/nas", "Guests")), token=TOKEN, speed=0) as one:
        lost = unknown(evidence(one))
        assert lost["served"].reason == "the token or its user lacks Datastore.Audit on /storage/nas"
    with lab(seen_by(("/", "PVEAuditor"), (HERE, "Guests")), token=TOKEN, speed=0) as one:
        found = evidence(one)
        assert {"tasks", "uptime", "node_time_off"} <= set(unknown(found))
        assert unknown(found)["tasks"].reason == f"the token or its user lacks Sys.Audit on {HERE}"
        assert found.blind_spots
    with lab(seen_by(("/", "Guests"), ("/nodes", "PVEAuditor")), token=TOKEN, speed=0) as one:
        # /cluster/tasks and /cluster/options answer, and show next to nothing
        seen = evidence(one)
        assert {"incoming", "registered_tags", "ha_shutdown_policy", "ha", "members"} <= set(unknown(seen))
        assert isinstance(seen.incoming, Unknown)
        assert seen.incoming.reason == "the token or its user lacks Sys.Audit on /"


def test_a_token_that_may_only_look_is_told_so_before_the_first_guest_is_asked() -> None:
    with lab(seen_by(("/", "PVEAuditor")), token=TOKEN, speed=0) as one:
        found = evidence(one, tag="safe-shutdown")
        assert [spot.reason for spot in found.blind_spots or ()] == [
            "the token lacks Sys.PowerMgmt on /nodes/pve2, so it may not switch the node off",
            "the token lacks VM.PowerMgmt on /vms/110, so it may not shut 110 (desk) down",
            "the token lacks VM.PowerMgmt on /vms/210, so it may not shut 210 (proxy) down",
        ]


def test_s01_with_all_rules_in_sight_no_single_path_has_to_be_asked_for() -> None:
    with lab(seen_by(("/", "Switcher")), token=TOKEN, speed=0) as one:
        assert evidence(one).blind_spots == ()
        assert one.asked().count("GET /access/permissions") == 1
    # as config/roles.md has it: what may be done to one node is said at that node
    with lab(seen_by(("/", "PVEAuditor"), (HERE, "NodePower")), token=TOKEN, speed=0) as one:
        assert evidence(one).blind_spots == ()
        assert one.asked().count("GET /access/permissions") == 1
    # a rule that leaves nothing leaves nothing in the listing either
    with lab(seen_by(("/", "PVEAuditor"), (HERE, "NoAccess")), token=TOKEN, speed=0) as one:
        assert evidence(one).blind_spots
        assert one.asked().count("GET /access/permissions") == 2


def test_s07_ceph_daemons_are_found_and_ceph_is_asked_about_each_where_somebody_wants_to_know() -> None:
    ceph = {
        "mons": ["pve1", NODE], "mgrs": [NODE], "mds": ["pve3"], "osds": [{"id": 1, "host": "pve1"}, {"id": 2, "host": NODE}],
        "unsafe": ["osd.2"],
    }  # fmt: skip
    with lab({**WORLD, "ceph": ceph}, speed=0) as one:
        found = value(evidence(one).ceph)
        assert found == (
            CephService(kind="mon", id=NODE),
            CephService(kind="mgr", id=NODE),
            CephService(kind="osd", id="2"),
        )
        assert not any("cmd-safety" in asked for asked in one.asked())
        asked = {(service.kind, service.safe_to_stop) for service in value(evidence(one, ceph_safety=(NODE,)).ceph)}
        assert asked == {("mon", True), ("mgr", None), ("osd", False)}


def test_s07_a_node_without_ceph_has_none_whatever_the_host_we_speak_to_has() -> None:
    everywhere_else = {"mons": ["pve1"], "osds": [{"id": 1, "host": "pve1"}], "installed": ["pve1"]}
    with lab({**WORLD, "ceph": everywhere_else}, speed=0) as one:
        assert value(evidence(one).ceph) == ()
    only_here = {"osds": [{"id": 1, "host": NODE}], "installed": [NODE]}
    with lab({**WORLD, "ceph": only_here}, speed=0) as one:
        fact = evidence(one).ceph
        assert isinstance(fact, Unknown)
        assert "binary not installed" in fact.reason


def test_s07_ceph_that_is_only_installed_is_no_ceph_and_any_other_refusal_is_unknown() -> None:
    text = "pveceph configuration not initialized - missing '/etc/pve/ceph.conf'"
    for error, known in ((text, True), ("got timeout", False)):
        with lab({**WORLD, "ceph": {"error": error}}, speed=0) as one:
            fact = evidence(one).ceph
            assert isinstance(fact, Unknown) is not known
            assert known is (not isinstance(fact, Unknown) and fact.value == ())


def test_s07_an_osd_that_has_lost_its_host_may_be_anybodys() -> None:
    with lab({**WORLD, "ceph": {"osds": [{"id": 7}]}}, speed=0) as one:
        fact = evidence(one).ceph
        assert isinstance(fact, Unknown)
        assert fact.reason == "Ceph does not tell which node osd.7 is on"


def test_s07_a_node_nobody_has_heard_of_lately_may_have_ceph() -> None:
    with lab({**WORLD, "nodes": {**WORLD["nodes"], NODE: {"pvestatd": False}}}, speed=0) as one:
        fact = evidence(one).ceph
        assert isinstance(fact, Unknown)
        assert fact.source == "/cluster/ceph/metadata?scope=versions"


@pytest.mark.parametrize(
    ("config", "served"),
    [
        ({"server": "192.0.2.12"}, True),
        ({"server": "PVE2"}, True),
        ({"server": "pve2.lan"}, True),
        ({"server": "pve20.lan"}, False),
        ({"server": "192.0.2.13"}, False),
        ({"server": "192.0.2.250", "server2": "pve2"}, True),
        ({"portal": "192.0.2.12:3260"}, True),
        ({"portal": "[fd00::2]:3260"}, False),
        ({"monhost": "192.0.2.12"}, True),
        ({"monhost": "192.0.2.11 192.0.2.12"}, False),
    ],
)
def test_s07_a_storage_is_served_by_the_node_whose_name_or_address_is_its_server(config: dict[str, str], *, served: bool) -> None:
    storages = [{"name": "local"}, {"name": "share", "type": "rbd" if "monhost" in config else "nfs", "config": config}]
    with lab({**WORLD, "storages": storages}, speed=0) as one:
        expected = tuple(ServedStorage(storage="share", server=next(value for value in reversed(config.values()))) for _ in range(served))
        assert value(evidence(one).served) == expected


def test_s07_a_storage_that_comes_from_somewhere_but_does_not_say_where_leaves_it_unknown() -> None:
    with lab({**WORLD, "storages": [{"name": "share", "type": "nfs", "shared": 1}]}, speed=0) as one:
        assert set(unknown(evidence(one))) == {"served"}


def test_s26_a_backup_job_concerns_the_node_whose_guests_it_covers() -> None:
    jobs = [
        {"id": "all", "all": 1, "schedule": "21:00"},
        {"id": "but-ours", "all": 1, "exclude": "110,111,210", "schedule": "21:00"},
        {"id": "off", "all": 1, "enabled": 0, "schedule": "21:00"},
        {"id": "elsewhere", "all": 1, "node": "pve1", "schedule": "21:00"},
        {"id": "here", "all": 1, "node": NODE, "schedule": "21:00"},
        {"id": "two", "vmid": [100, 220], "schedule": "21:00"},
        {"id": "one", "vmid": [100, 210], "schedule": "21:00"},
        {"id": "pool", "pool": "web", "schedule": "21:00"},
        {"id": "other-pool", "pool": "db", "schedule": "21:00"},
        {"id": "hidden-pool", "pool": "nowhere", "schedule": "21:00"},
        {"id": "odd", "all": 1, "schedule": "*/15"},
    ]
    with lab({**WORLD, "backup_jobs": jobs, "pools": {"web": [210], "db": [100]}}, speed=0) as one:
        found = {job.id: (job.guests_here, job.next_run is not None) for job in value(evidence(one).backups)}
    assert found == {
        "all": (True, True),
        "but-ours": (False, True),
        "here": (True, True),
        "two": (False, True),
        "one": (True, True),
        "pool": (True, True),
        "other-pool": (False, True),
        "hidden-pool": (None, True),
        "odd": (True, False),
    }


def test_s26_the_next_run_of_a_backup_is_an_instant_in_utc() -> None:
    noon = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp())
    with lab({**WORLD, "now": noon}, speed=0) as one:
        (job,) = value(evidence(one).backups)
        assert job.next_run == datetime(2026, 11, 22, 21, tzinfo=UTC)


def test_s05_replication_is_told_by_the_node_it_starts_from() -> None:
    jobs = [{"id": "100-0", "target": NODE, "running": True}, {"id": "220-0", "target": "pve1", "running": True}]
    with lab({**WORLD, "replication": jobs}, speed=0) as one:
        (job,) = value(evidence(one).replication)
        assert (job.id, job.guest, job.source, job.target, job.runs) == ("100-0", 100, "pve1", NODE, True)
        assert [asked for asked in one.asked() if asked.endswith("/replication") and "/nodes/" in asked] == ["GET /nodes/pve1/replication"]


def test_s05_from_a_node_that_is_off_no_replication_runs() -> None:
    with lab({**WORLD, "replication": [{"id": "220-0", "target": NODE}]}, speed=0) as one:
        one.cluster.crash_node("pve3")
        (job,) = value(evidence(one).replication)
        assert (job.source, job.runs, job.next_sync) == ("pve3", False, None)


def test_a_replication_that_is_switched_off_and_does_not_run_is_none() -> None:
    jobs = [{"id": "110-0", "target": "pve1", "disable": 1}, {"id": "110-1", "target": "pve3", "disable": 1, "running": True}]
    with lab({**WORLD, "replication": jobs}, speed=0) as one:
        (job,) = value(evidence(one).replication)
        assert (job.id, job.runs, job.next_sync) == ("110-1", True, None)


def test_s21_a_lost_quorum_is_seen_on_both_pages() -> None:
    with lab(WORLD, speed=0) as one:
        one.cluster.set_qdevice(None)
        one.cluster.expect_votes(7)
        found = evidence(one)
        assert (value(found.quorate), value(found.ha).quorate) == (True, False)
        assert value(found.device) is None


def test_s21_votes_of_a_node_that_the_status_does_not_list_are_not_left_out_of_the_count() -> None:
    with lab(WORLD, speed=0) as one:
        seen = observe.glance(one.client, SystemClock())
        known = [CorosyncNode(name=f"pve{number}", votes=1) for number in (1, 2, 3, 4)]
        counted = circumstances.members(seen, Known(value=tuple(known[:3]), source="corosync", taken_at=seen.taken_at))
        assert not isinstance(counted, Unknown)
        told_of = circumstances.members(seen, Known(value=tuple(known), source="corosync", taken_at=seen.taken_at))
        assert isinstance(told_of, Unknown)
        assert "pve4" in told_of.reason


def test_a_standalone_host_is_not_asked_for_what_only_a_cluster_has() -> None:
    world = {key: WORLD[key] for key in ("storages", "backup_jobs", "options")}
    guests = [{"vmid": 110, "node": "pve1", "status": "running", "tags": "safe-shutdown"}]
    with lab({**world, "nodes": {"pve1": {}}, "guests": guests, "name": None}, speed=0) as one:
        found = read(one, "pve1")["pve1"]
        assert unknown(found) == {}
        facts = told(found)
        assert (facts["standalone"], facts["quorate"], facts["device"]) == (True, True, None)
        assert (facts["incoming"], facts["replication"], facts["wakeonlan"], facts["way_out"]) == ((), (), None, False)
        assert [(member.name, member.votes) for member in facts["members"]] == [("pve1", None)]
        assert not any("/cluster/config" in asked or asked in ("GET /cluster/tasks", "GET /cluster/replication") for asked in one.asked())


def test_a_node_that_is_off_or_does_not_exist_says_so_and_is_asked_once() -> None:
    with lab(WORLD, speed=0) as one:
        one.cluster.crash_node(NODE)
        found = read(one, NODE, "pve9")
        assert (found[NODE].status, found["pve9"].status) == ("offline", "missing")
        assert {"guests", "tasks", "uptime"} <= set(unknown(found[NODE]))
        # one try and, as the host says at once that nobody is there, one more
        assert [asked for asked in one.asked() if HERE in asked] == [f"GET {HERE}/status"] * 2
        cheap = observe.at_a_glance(observe.glance(one.client, one.clock), NODE)
        assert {guest.status for guest in value(cheap.guests)} == {"unknown"}


def test_s29_a_node_that_hangs_is_asked_one_question_and_no_more() -> None:
    with lab(WORLD, speed=1000, deadline=600) as one:
        one.cluster.hang_node("pve3")
        found = read(one, NODE, "pve3")
        assert unknown(found[NODE]) == {}
        assert {"guests", "tasks", "uptime", "node_time_off", "wakeonlan"} == set(unknown(found["pve3"]))
        assert found["pve3"].blind_spots
        assert [asked for asked in one.asked() if "/nodes/pve3/" in asked] == ["GET /nodes/pve3/status"]
        # pveproxy gives a node 30 s, of which a thousand go by in one of ours
        assert one.client.time_left() > 600 - 30


def test_s29_a_host_that_never_answers_ends_with_the_deadline() -> None:
    with lab(WORLD) as one:
        seen = observe.glance(one.client, one.clock)
        one.server.fault("hang", path=f"{HERE}/qemu")
        one.deadline.begin_again(0.6)
        found = observe.node_evidence(one.client, one.clock, seen, [NODE])[NODE]
        assert isinstance(found.guests, Unknown)
        assert found.guests.source == f"{HERE}/qemu"
        assert "within the 0.6 s this run may take" in found.guests.reason
        assert isinstance(found.tasks, Unknown)


def test_a_host_that_does_not_answer_at_all_ends_the_run() -> None:
    with lab(WORLD, speed=0) as one:
        one.server.fault("refuse")
        one.server.sync()
        with pytest.raises(Unavailable):
            observe.glance(one.client, one.clock)


def test_a_second_cluster_in_the_list_of_hosts_is_no_unanswered_question(monkeypatch: pytest.MonkeyPatch) -> None:
    def another(self: ProxmoxClient) -> Any:
        raise ConfigError("pve1.lan and pve2.lan are not of one cluster")

    with lab(WORLD, speed=0) as one:
        seen = observe.glance(one.client, one.clock)
        monkeypatch.setattr(ProxmoxClient, "backup_jobs", another)
        with pytest.raises(ConfigError):
            observe.node_evidence(one.client, one.clock, seen, [NODE])


def test_the_privilege_that_is_missing_is_named_with_its_place() -> None:
    with lab(WORLD, speed=0) as one:
        one.server.fault("status", path="/cluster/backup", code=403, reason="Permission check failed (/, Sys.Audit)")
        one.server.fault("status", path="/cluster/tasks", code=403, reason="no")
        found = evidence(one)
        assert unknown(found) == {
            "backups": Unknown(reason="the token or its user lacks Sys.Audit on /", source="/cluster/backup"),
            "incoming": Unknown(reason="GET /cluster/tasks: no", source="/cluster/tasks"),
        }


@pytest.mark.parametrize(("hosts", "way_out"), [((NODE,), False), ((NODE, "pve1"), True), ((NODE, "pve3"), False), (("pve1", NODE), True)])
def test_s23_the_end_of_a_node_can_be_seen_from_another_host_that_answers(hosts: tuple[str, ...], *, way_out: bool) -> None:
    with serving({**WORLD, "name": "lab"}, speed=0) as server:
        server.fault("reset", node="pve3")
        connection = Connection(
            cluster="lab",
            hosts=tuple(server.url(host) for host in hosts),
            token_id=server.token_id,
            token=Secret(server.token_secret),
            trust=Trust(),
            allow_http_loopback=True,
        )
        with ProxmoxClient.get_instance(connection, deadline=Deadline(30), read_only=True) as client:
            seen = observe.glance(client, SystemClock())
            assert seen.local == hosts[0]
            found = observe.node_evidence(client, SystemClock(), seen, [NODE], asking=observe.Asking(machine=lambda: IN_A_RACK))[NODE]
            assert value(found.way_out) is way_out


def test_startup_orders_are_read_one_by_one_and_one_that_fails_is_unknown() -> None:
    guests = [{**guest, **({"startup": "order=2,down=90"} if guest["vmid"] == 110 else {})} for guest in WORLD["guests"]]
    with lab({**WORLD, "guests": guests}, speed=0) as one:
        here = value(evidence(one).guests)
        one.server.fault("status", path=f"{HERE}/lxc/210/config", code=500, reason="no such luck")
        lines = observe.startup_orders(one.client, one.clock, here)
        assert (value(lines[110]), value(lines[111])) == ("order=2,down=90", None)
        assert isinstance(lines[210], Unknown)


def test_s06_what_was_over_long_before_the_last_look_is_left_out_and_nothing_else() -> None:
    old = Task(upid="old", type="vzdump", started=100, ended=200)
    long = Task(upid="long", type="vzdump", started=100, ended=1_000)
    runs = Task(upid="runs", type="vzdump", started=100)
    new = Task(upid="new", type="qmstart", started=1_000, ended=1_001)
    told = circumstances.lately(TaskHistory(tasks=(runs, new, long, old), reaches_back_to=0), 1_000)
    assert told == TaskHistory(tasks=(runs, new, long), reaches_back_to=1_000)
    assert circumstances.lately(TaskHistory(tasks=(new,), reaches_back_to=1_000), 999).reaches_back_to == 1_000
