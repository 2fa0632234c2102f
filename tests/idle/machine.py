"""Everything that may happen to a cluster and to the machine pvectl runs on, as rules of a hypothesis state machine."""

from __future__ import annotations

import fnmatch
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.idle.witness import SEEN_WITH, Clocks, Wishes, Witness, changed
from tests.support.commands import Ended
from tests.support.servers import TOKEN_ID
from tests.support.stages import Stage

INTERVAL = 200
WISHES = Wishes(nodes=("pve2", "pve3"), grace=400, notice=200, min_uptime=700, max_gap=450, max_nodes_off=1, max_guests=3)
SCENARIO: dict[str, Any] = {
    "nodes": {
        "pve1": {},
        "pve2": {"wakeonlan": "aa:bb:cc:dd:ee:02", "boot_s": 60},
        "pve3": {"wakeonlan": "aa:bb:cc:dd:ee:03", "boot_s": 60},
        "pve4": {},
        "pve5": {},
    },
    "guests": [
        {"vmid": 100, "node": "pve1", "name": "db", "status": "running"},
        {"vmid": 110, "node": "pve2", "name": "build", "status": "stopped"},
        {"vmid": 120, "node": "pve3", "name": "test", "type": "lxc", "status": "stopped"},
        {"vmid": 200, "node": "pve2", "name": "web", "type": "lxc", "status": "running", "tags": "safe-shutdown"},
        {"vmid": 201, "node": "pve2", "name": "films", "status": "running", "tags": "home;safe-shutdown", "shutdown_s": 20},
        {"vmid": 202, "node": "pve3", "name": "toy", "status": "stopped", "tags": "safe-shutdown", "start_s": 30},
        {"vmid": 203, "node": "pve1", "name": "roamer", "status": "running", "tags": "safe-shutdown"},
    ],
}
VMIDS = (110, 120, 200, 201, 202, 203)
UNTAGGED, TAGGED = (110, 120), (200, 201, 202, 203)
TAGS = (None, "prod", "safe-shutdown-not", "safe-shutdown", "x,Safe-Shutdown y", "unsafe safe_shutdown")
TASKS = ("vzdump", "qmigrate", "imgcopy", "aptupdate", "vncproxy", "qmrestore", "somethingnew")
FAULTY = tuple(path.format(node=node) for path in SEEN_WITH for node in WISHES.nodes[: 1 + ("{node}" in path)])
OTHERS = ("/nodes/*/config", "/nodes/*/time", "/cluster/backup", "/cluster/config/*", "/nodes/*/tasks/*", "*/status/current", "*/shutdown")
HELD = ("node/pve2", "node/pve3", "guest/200", "guest/201", "guest/202", "guest/110")

guests, nodes = st.sampled_from(VMIDS), st.sampled_from(("pve2", "pve3", "pve4"))
listed = st.sampled_from(WISHES.nodes)
moments = st.one_of(st.just(0.0), st.floats(min_value=INTERVAL - 10, max_value=INTERVAL + 30))
"""Seconds from now: at once, or about when the next run begins and drains."""


class Machine(RuleBasedStateMachine):
    """One cluster, one administrator, several people who do as they please. Subclasses say how the command is run."""

    sockets: ClassVar[bool] = True
    tally: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="pvectl-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        self.wishes = WISHES
        self.stage = Stage(self.folder, SCENARIO, pvectl=_written(WISHES), sockets=self.sockets)
        self.stage.__enter__()
        self.witness = Witness(self.stage.cluster, WISHES, self._clocks, self._blinded)
        self.stage.server.on_request = lambda _, record: self.witness.a_request_arrives(record)
        self.faults: set[str] = set()
        self.hidden: set[int] = set()
        self.holds: list[str] = []

    def teardown(self) -> None:
        self.stage.__exit__(None, None, None)
        self.tally["power-offs"] += sum(map(len, self.witness.offs.values()))
        self.tally["shutdowns"] += len(self.witness.shut_down)
        self.tally["runs"] += self.witness.runs
        shutil.rmtree(self.folder)

    def check(self, *words: str) -> Ended:
        """One run of idle-check."""
        return self.stage.pvectl("idle-check", "-o", "json", *words)

    # the timer; each firing and each event is a step

    def _run(self, after: float) -> None:
        self.stage.advance(after)
        self.witness.a_run_begins()
        ended = self.check()
        self.witness.a_run_ends()
        self.tally["steps"] += 1
        self.tally[f"exit {ended.code}"] += 1
        assert ended.code not in (1, 2, 70) or self._a_guest_is_deaf(ended), ended.err + ended.out
        assert not self.witness.complaints, self.witness.complaints

    def _a_guest_is_deaf(self, ended: Ended) -> bool:
        # a shutdown that failed is a failure of the guest's, and said so
        return ended.code == 1 and bool(self.witness.shut_down or self.witness.offs)

    @rule(times=st.integers(1, 6))
    def the_timer_fires(self, times: int) -> None:
        for _ in range(times):
            self._run(INTERVAL)

    @rule(times=st.integers(1, 6))
    def the_timer_fires_again(self, times: int) -> None:
        for _ in range(times):
            self._run(INTERVAL)

    @rule(times=st.integers(4, 8))
    def a_quiet_time(self, times: int) -> None:
        for _ in range(times):
            self._run(INTERVAL)

    @rule(after=st.sampled_from((1, 30, 120, 380, 440, 460, 2000, 4000, 90_000)))
    def the_timer_fires_late_or_soon(self, after: int) -> None:
        self._run(after)

    @rule(looks=st.integers(2, 4), what=st.sampled_from(("a gap", "a guest ran", "the node booted", "the runner booted")))
    def something_happens_between_two_looks(self, looks: int, what: str) -> None:
        for _ in range(looks):
            self._run(INTERVAL)
        stage = self.stage
        if what == "a gap":
            stage.advance(WISHES.max_gap - INTERVAL + 20)
        elif what == "the runner booted":
            stage.clock.reboot()
        elif what == "the node booted" and stage.cluster.node("pve2").online:
            stage.cluster.crash_node("pve2")
            stage.cluster.wake("pve2")
        elif what == "a guest ran" and self._if_up(110):
            stage.admin("start", 110)
            stage.advance(30)
            stage.admin("shutdown", 110)
        self.tally["steps"] += 1
        self._run(INTERVAL)

    # people

    def _happens(self, when: float, event: Callable[[], object]) -> None:
        self.tally["steps"] += 1
        if when:
            self.stage.clock.at(self.stage.now + when, event)
        else:
            event()

    @rule(vmid=guests, verb=st.sampled_from(("start", "shutdown", "stop")), when=moments)
    def somebody_clicks(self, vmid: int, verb: str, when: float) -> None:
        self._happens(when, lambda: self._if_up(vmid) and self.stage.admin(verb, vmid))

    @rule(vmid=guests, when=moments)
    def a_guest_comes_up_by_itself(self, vmid: int, when: float) -> None:
        self._happens(when, lambda: self._if_up(vmid) and self.stage.admin("start", vmid))

    @rule(vmid=guests, verb=st.sampled_from(("suspend", "resume")), when=moments)
    def somebody_pauses_or_resumes(self, vmid: int, verb: str, when: float) -> None:
        self._happens(when, lambda: self._if_up(vmid) and self.stage.cluster.guest(vmid).type == "qemu" and self.stage.admin(verb, vmid))

    @rule(vmid=st.sampled_from(TAGGED), tags=st.sampled_from(TAGS), when=moments)
    def tags_change(self, vmid: int, tags: str | None, when: float) -> None:
        self._happens(when, lambda: self.stage.cluster.set_tags(vmid, tags))

    @rule(vmid=st.sampled_from(TAGGED))
    def the_tag_comes_back(self, vmid: int) -> None:
        self._happens(0.0, lambda: self.stage.cluster.set_tags(vmid, "safe-shutdown"))

    @rule(vmid=guests, node=nodes, takes=st.sampled_from((5, 60, 500)), when=moments)
    def a_guest_moves(self, vmid: int, node: str, takes: int, when: float) -> None:
        def move() -> None:
            if self._if_up(vmid) and self.stage.cluster.node(node).online and self.stage.cluster.guest(vmid).node != node:
                self.stage.cluster.migrate(vmid, node, takes=takes)

        self._happens(when, move)

    @rule(vmid=guests, obeys=st.booleans(), takes=st.sampled_from((1, 20, 100, 170)))
    def a_guest_changes_its_manners(self, vmid: int, obeys: bool, takes: int) -> None:
        self._happens(0.0, lambda: self.stage.cluster.change_guest(vmid, acpi=obeys, shutdown_s=float(takes)))

    @rule(vmid=st.sampled_from(TAGGED), managed=st.booleans(), when=moments)
    def ha_takes_a_guest_or_leaves_it(self, vmid: int, managed: bool, when: float) -> None:
        self._happens(when, lambda: self.stage.cluster.change_guest(vmid, ha={"state": "started"} if managed else None))

    @rule(vmid=guests, locked=st.booleans(), when=moments)
    def a_lock_comes_or_goes(self, vmid: int, locked: bool, when: float) -> None:
        cluster = self.stage.cluster
        self._happens(when, lambda: cluster.lock(vmid, "backup") if locked else cluster.unlock(vmid))

    @rule(kind=st.sampled_from(TASKS), node=listed, vmid=guests, took=st.sampled_from((0.5, 30, 300, 1500)), when=moments)
    def work_begins_on_a_node(self, kind: str, node: str, vmid: int, took: float, when: float) -> None:
        def begin() -> None:
            if self.stage.cluster.node(node).online:
                self.stage.cluster.add_task(type=kind, node=node, id=str(vmid), took=took)

        self._happens(when, begin)

    # nodes and quorum

    @rule(node=nodes, when=moments)
    def a_node_loses_power(self, node: str, when: float) -> None:
        self._happens(when, lambda: self.stage.cluster.crash_node(node))

    @rule(node=nodes, when=moments)
    def somebody_switches_a_node_off(self, node: str, when: float) -> None:
        self._happens(when, lambda: self.stage.cluster.power_off(node))

    @rule(node=nodes, when=moments)
    def a_node_comes_up(self, node: str, when: float) -> None:
        self._happens(when, lambda: self.stage.cluster.wake(node))

    @rule()
    def all_nodes_come_up(self) -> None:
        for node in ("pve2", "pve3", "pve4"):
            self._happens(0.0, partial(self.stage.cluster.wake, node))
        self.stage.advance(100)

    @rule(node=nodes, when=moments)
    def a_node_reboots(self, node: str, when: float) -> None:
        def reboot() -> None:
            self.stage.cluster.crash_node(node)
            self.stage.cluster.wake(node)

        self._happens(when, reboot)

    @rule(lost=st.booleans(), when=moments)
    def quorum_goes_or_comes(self, lost: bool, when: float) -> None:
        cluster = self.stage.cluster
        self._happens(when, cluster.lose_quorum if lost else cluster.regain_quorum)

    @rule(node=listed, talks=st.booleans())
    def broadcasts_stop_or_begin(self, node: str, talks: bool) -> None:
        cluster = self.stage.cluster
        self._happens(0.0, lambda: cluster.start_pvestatd(node) if talks else cluster.stop_pvestatd(node))

    # what pvectl sees

    @rule(path=st.sampled_from(FAULTY + OTHERS), code=st.sampled_from((401, 403, 500, 502, 595, 599, 0)), when=moments)
    def a_path_fails_from_now_on(self, path: str, code: int, when: float) -> None:
        def fail() -> None:
            if code:
                self.stage.server.fault("status", path=path, code=code)
            else:
                self.stage.server.fault("reset", path=path)
            self.faults.add(path)

        self._happens(when, fail)

    @rule(path=st.sampled_from((*FAULTY, *OTHERS, "*")), times=st.integers(1, 3), lost=st.booleans(), executed=st.booleans(), when=moments)
    def a_path_fails_for_a_moment(self, path: str, times: int, lost: bool, executed: bool, when: float) -> None:
        fault: dict[str, Any] = {"kind": "reset", "execute": executed} if lost else {"kind": "status", "code": 503}
        self._happens(when, lambda: self.stage.server.fault(path=path, times=times, **fault))

    @rule()
    def all_is_well_again(self) -> None:
        self._happens(0.0, self.stage.server.clear_faults)
        self.faults.clear()
        for vmid in sorted(self.hidden):
            self.stage.cluster.revoke(f"/vms/{vmid}", TOKEN_ID.partition("!")[0])
        self.hidden.clear()
        self.stage.clock.wall_ahead = 0.0
        self.stage.cluster.regain_quorum()
        for vmid in VMIDS:
            if self.stage.cluster.guest(vmid).lock != "migrate":
                self.stage.cluster.unlock(vmid)

    @rule(vmid=guests)
    def a_guest_is_hidden(self, vmid: int) -> None:
        def hide() -> None:
            self.stage.cluster.grant(f"/vms/{vmid}", TOKEN_ID.partition("!")[0], "NoAccess")
            self.hidden.add(vmid)

        self._happens(0.0, hide)

    # pvectl's own machine, its configuration, and holds

    @rule(seconds=st.sampled_from((-90_000, -3600, -90, -30, 0, 30, 90, 3600, 90_000)))
    def the_wall_clock_jumps(self, seconds: int) -> None:
        self._happens(0.0, lambda: setattr(self.stage.clock, "wall_ahead", float(seconds)))

    @rule()
    def the_runner_reboots(self) -> None:
        self._happens(0.0, self.stage.clock.reboot)

    @rule(
        edit=st.sampled_from(
            (
                {"grace": 700},
                {"grace": 400},
                {"exclude": frozenset({200})},
                {"exclude": frozenset()},
                {"dry_run": True},
                {"dry_run": False},
                {"nodes": ("pve2",)},
                {"nodes": ("pve3", "pve2")},
                {"max_guests": 1},
                {"max_nodes_off": 1},
                {"max_nodes_off": 2},
            )
        )
    )
    def the_configuration_is_edited(self, edit: dict[str, Any]) -> None:
        self.wishes = self.witness.wishes = changed(self.wishes, **edit)
        self._happens(0.0, lambda: self.stage.configure(_written(self.wishes)))

    @rule(subject=st.sampled_from(HELD), seconds=st.sampled_from((100, 1000)), when=moments)
    def somebody_places_a_hold(self, subject: str, seconds: int, when: float) -> None:
        def hold() -> None:
            ahead = self.stage.clock.wall_ahead
            self.holds.append(self.stage.hold(subject, seconds))
            # a hold ends by the wall clock, which may be put forward a little later on
            if not ahead:
                self.witness.hold(subject, self.stage.now + seconds - 60)

        self._happens(when, hold)

    @rule()
    def the_holds_are_taken_away(self) -> None:
        self._happens(0.0, self.witness.holds.clear)
        while self.holds:
            self.stage.release(self.holds.pop())

    @initialize()
    def begin(self) -> None:
        self._run(INTERVAL)

    @invariant()
    def nobody_has_anything_to_complain_of(self) -> None:
        assert not self.witness.complaints, self.witness.complaints

    def _if_up(self, vmid: int) -> bool:
        return self.stage.cluster.node(self.stage.cluster.guest(vmid).node).online

    def _clocks(self) -> Clocks:
        clock = self.stage.clock
        return Clocks(boot=clock.boot_id() or "", boottime=clock.boottime(), wall_ahead=clock.wall_ahead)

    def _blinded(self, path: str) -> str | None:
        if self.hidden and path == "/access/permissions":
            return f"guests {sorted(self.hidden)} are hidden"
        return next((f"{pattern} fails" for pattern in self.faults if fnmatch.fnmatchcase(path, pattern)), None)


def _written(wishes: Wishes) -> str:
    return f"""\
idle_check:
  nodes: [{", ".join(wishes.nodes)}]
  tag: {wishes.tag}
  exclude: [{", ".join(map(str, sorted(wishes.exclude)))}]
  grace_period: {wishes.grace}
  notice: {wishes.notice}
  min_uptime: {wishes.min_uptime}
  max_gap: {wishes.max_gap}
  max_guests_per_run: {wishes.max_guests}
  max_nodes_off: {wishes.max_nodes_off}
  dry_run: {str(wishes.dry_run).lower()}
  interval: {INTERVAL}
  boot_time: 60
  self: elsewhere
"""
