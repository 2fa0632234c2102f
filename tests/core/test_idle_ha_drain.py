from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from pvectl.core import idle
from pvectl.core.evidence import HaService, HaStatus
from pvectl.core.plan import Reason
from tests.core.idle_cases import POLICY, Watch, about_to_act, in_cluster, tagged, task

POLITE = structs.replace(POLICY, ha="request-stop")


def facts(state: str = "started", wanted: str | None = None, **more: Any) -> dict[str, Any]:
    service = HaService(**{"sid": "vm:200", "node": "pve2", "state": state, "request_state": wanted, **more})
    return in_cluster(ha=HaStatus(quorate=True, services=(service,)))


def draining() -> Watch:
    watch = about_to_act(POLITE, tagged(200, hastate="started"), **facts())
    assert watch.look(tagged(200, hastate="started"), **facts()).decision.action is not None
    return watch


def answer(watch: Watch, *, guest: Any = None, tasks: Any = (), **more: Any) -> idle.GoOn:
    assert watch.record is not None
    watch.wait(10)
    seen = watch.evidence(guest or tagged(200, hastate="started"), tasks=tasks, **facts(**more))
    return idle.may_go_on(seen, watch.policy, watch.record, watch.now)


@pytest.mark.parametrize("state", ["started", "request_stop", "stopping", "stopped"])
def test_s20_a_service_on_its_way_down_because_we_asked_may_be_so(state: str) -> None:
    assert answer(draining(), state=state, wanted="stopped").stop is None


@pytest.mark.parametrize(
    ("state", "more"),
    [
        ("request_start", {"wanted": "started"}),
        ("error", {"wanted": "stopped"}),
        ("migrate", {"wanted": "started"}),
        ("request_stop", {"wanted": "stopped", "node": "pve3"}),
        ("request_stop", {"wanted": "stopped", "sid": "vm:299"}),
    ],
)
def test_s05_any_other_change_of_the_ha_manager_stops_it(state: str, more: dict[str, Any]) -> None:
    assert answer(draining(), state=state, **more).reason is Reason.HA_BUSY


def test_s20_the_ha_managers_own_stop_is_not_somebody_elses() -> None:
    watch = draining()
    runs = task("qmshutdown", 200, started=watch.epoch + 1, user="root@pam")
    assert answer(watch, state="request_stop", wanted="stopped", tasks=(runs,)).stop is None
    over = structs.replace(runs, ended=watch.epoch + 1)
    assert answer(watch, state="stopped", wanted="stopped", tasks=(over,)).stop is None


@pytest.mark.parametrize(("kind", "vmid"), [("qmstart", 200), ("qmshutdown", 299), ("vzdump", 200)])
def test_s27_but_anything_else_is(kind: str, vmid: int) -> None:
    watch = draining()
    runs = task(kind, vmid, started=watch.epoch + 1, user="root@pam")
    assert answer(watch, tasks=(runs,)).stop is not None
    over = structs.replace(runs, ended=watch.epoch + 1)
    assert answer(watch, tasks=(over,)).stop is not None


def test_s27_a_stop_of_a_guest_that_ha_does_not_manage_is_somebody_elses() -> None:
    watch = draining()
    runs = task("qmshutdown", 200, started=watch.epoch + 1, user="root@pam")
    assert answer(watch, guest=tagged(200), sid="vm:301", tasks=(runs,)).stop is not None
    over = structs.replace(runs, ended=watch.epoch + 1)
    assert answer(watch, guest=tagged(200), sid="vm:301", tasks=(over,)).stop is not None
