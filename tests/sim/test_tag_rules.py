"""Tags and configurations are stored, refused and guarded as PVE does (pve-guest-common PVE/GuestHelpers.pm)."""

from __future__ import annotations

import pytest

from pvectl.sim.parameters import COUNT, SWITCH, verify
from pvectl.sim.tags import stored_tags, wrong_tags
from pvectl.sim.wire import ApiError
from tests.sim.asking import Lab, ct, vm

EDITOR = "ed@pve!tok"
RIGHTS = {
    "roles": {"Editor": "VM.Audit VM.Config.Options"},
    "tokens": {EDITOR: {"privsep": 0}},
    "acl": [{"path": "/vms", "ugid": "ed@pve", "roleid": "Editor"}],
}


def lab(**more: object) -> Lab:
    return Lab({"guests": [vm(100, tags="cache"), ct(200, tags="ct;prod")], **RIGHTS, **more})


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("zeta;Alpha;BETA", "alpha;beta;zeta"),
        ("a, b;c d\te\nf", "a;b;c;d;e;f"),
        ("Prod;prod;PROD", "prod"),
        (";;a;;b;", "a;b"),
        ("prio+1;v1.2;_x;1st", "1st;_x;prio+1;v1.2"),
        ("", " "),
        (" ; , ", " "),
    ],
)
def test_a_list_is_split_sorted_lower_cased_and_freed_of_repetitions(written: str, stored: str) -> None:
    cluster = lab()
    assert cluster.put_config(100, tags=written).status == 200
    assert cluster.config(100)["tags"] == stored


@pytest.mark.parametrize(
    "bad", ["-x", "+x", ".x", "a:b", "a=b", "a/b", "a@b", "a#b", "a%b", "a*", 'a"b', "büro", "生产", "good;also-good;-bad"]
)
def test_one_bad_tag_rejects_the_whole_list(bad: str) -> None:
    cluster = lab()
    assert cluster.wrong("PUT", "/nodes/pve1/qemu/100/config", tags=bad) == {"tags": "invalid format - invalid characters in tag\n"}
    assert cluster.config(100)["tags"] == "cache"


def test_there_is_no_limit_to_length_or_number() -> None:
    assert lab().put_config(100, tags="x" * 4096).status == 200
    assert lab().put_config(100, tags=";".join(f"t{number:04}" for number in range(1600))).status == 200


def test_tag_style_may_keep_case_and_order() -> None:
    assert stored_tags("zeta;Alpha", {"tag-style": {"case-sensitive": 1, "ordering": "config"}}) == "zeta;Alpha"
    assert stored_tags("zeta;Alpha", {"tag-style": {"ordering": "config"}}) == "zeta;alpha"


def test_a_repeated_key_or_a_json_array_is_one_list() -> None:
    cluster = lab()
    cluster.put_config(100, tags=["f1", "f2"])
    assert cluster.config(100)["tags"] == "f1;f2"


def test_only_delete_takes_the_option_away_and_does_so_twice() -> None:
    cluster = lab()
    for _ in range(2):
        assert cluster.put_config(100, delete="tags").status == 200
    assert "tags" not in cluster.config(100)


def test_setting_and_deleting_at_once_is_refused() -> None:
    assert lab().wrong("PUT", "/nodes/pve1/qemu/100/config", tags="x", delete="tags") == {
        "delete": "you can't use '-tags' and -delete tags' at the same time"
    }
    assert lab().wrong("PUT", "/nodes/pve1/qemu/100/config", delete="nosuchopt") == {"delete": "unknown option 'nosuchopt'"}


def test_nothing_to_change_is_an_error() -> None:
    assert lab().refused("PUT", "/nodes/pve1/qemu/100/config") == (500, "no options specified")


@pytest.mark.parametrize(
    ("kind", "vmid", "text"),
    [
        ("qemu", 100, "checksum mismatch (file change by other user?)"),
        ("lxc", 200, "detected modified configuration - file changed by other user? Try again."),
    ],
)
def test_a_stale_digest_is_a_500_in_the_words_of_the_kind(kind: str, vmid: int, text: str) -> None:
    cluster = lab()
    digest = cluster.config(vmid, kind=kind)["digest"]
    assert cluster.put_config(vmid, kind=kind, tags="one", digest=digest).status == 200
    answer = cluster.put_config(vmid, kind=kind, tags="two", digest=digest)
    assert (answer.status, answer.reason) == (500, text)
    assert cluster.put_config(vmid, kind=kind, tags="two", digest="").status == 200


def test_the_digest_changes_only_with_the_configuration() -> None:
    cluster = lab()
    first = cluster.config(100)["digest"]
    cluster.put_config(100, tags="cache")
    cluster.cluster.stop_guest(100)
    assert cluster.config(100)["digest"] == first
    cluster.put_config(100, onboot=1)
    assert cluster.config(100)["digest"] != first


def test_a_digest_that_is_too_long_is_a_400() -> None:
    assert lab().wrong("PUT", "/nodes/pve1/qemu/100/config", tags="x", digest="0" * 41) == {
        "digest": "value may only be 40 characters long"
    }


@pytest.mark.parametrize(
    ("guest", "kind", "text"),
    [(vm(101, lock="backup"), "qemu", "VM is locked (backup)"), (ct(201, lock="snapshot"), "lxc", "CT is locked (snapshot)")],
)
def test_a_locked_guest_keeps_its_tags(guest: dict[str, object], kind: str, text: str) -> None:
    cluster = Lab({"guests": [guest]})
    vmid = int(str(guest["vmid"]))
    answer = cluster.put_config(vmid, kind=kind, tags="x")
    assert (answer.status, answer.reason) == (500, text)


def test_a_template_may_be_tagged() -> None:
    cluster = Lab({"guests": [vm(100, status="stopped", template=True)]})
    assert cluster.put_config(100, tags="x").status == 200


def test_while_a_shutdown_holds_the_lock_a_change_waits_ten_seconds_and_fails() -> None:
    cluster = Lab({"guests": [vm(100, acpi=False), ct(200, acpi=False)]})
    cluster.post("/nodes/pve1/qemu/100/status/shutdown", timeout=60)
    cluster.post("/nodes/pve1/lxc/200/status/shutdown", timeout=60)
    answer = cluster.put_config(100, tags="x")
    assert (answer.status, answer.reason) == (500, "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout")
    assert answer.delay_s == 10.0
    assert cluster.put_config(200, kind="lxc", tags="x").reason == "can't lock file '/run/lock/lxc/pve-config-200.lock' - got timeout"


def test_a_change_waits_for_a_shutdown_that_is_about_to_end() -> None:
    cluster = Lab({"guests": [vm(100, shutdown_s=4)]})
    cluster.post("/nodes/pve1/qemu/100/status/shutdown")
    answer = cluster.put_config(100, tags="x")
    assert (answer.status, answer.delay_s) == (200, 4.0)


def test_writing_options_needs_any_config_right_and_then_the_right_one() -> None:
    cluster = lab(tokens={EDITOR: {"privsep": 0}, "no@pve!tok": {"privsep": 0}})
    assert cluster.put_config(100, token="no@pve!tok", tags="x").reason == (
        "Permission check failed (/vms/100, VM.Config.Disk|VM.Config.CDROM|VM.Config.CPU|VM.Config.Memory|VM.Config.Network"
        "|VM.Config.HWType|VM.Config.Options|VM.Config.Cloudinit)"
    )
    assert cluster.put_config(100, token=EDITOR, tags="x", onboot=1).status == 200
    assert cluster.put_config(100, token=EDITOR, cores=4).reason == "Permission check failed (/vms/100, VM.Config.CPU)"


def test_a_registered_tag_can_be_neither_added_nor_removed_without_sys_modify() -> None:
    cluster = lab(options={"registered-tags": ["secret"]})
    refused = "Permission check failed (/, Sys.Modify for modifying tag 'secret')"
    assert cluster.put_config(100, token=EDITOR, tags="cache;secret").reason == refused
    assert cluster.put_config(100, tags="cache;secret").status == 200
    assert cluster.put_config(100, token=EDITOR, tags="cache;new;secret").status == 200
    assert cluster.put_config(100, token=EDITOR, tags="cache").reason == refused
    assert cluster.put_config(100, token=EDITOR, delete="tags").reason == refused
    assert cluster.config(100)["tags"] == "cache;new;secret"


@pytest.mark.parametrize(
    ("allow", "allowed"),
    [("free", {"listed", "prod", "brandnew"}), ("existing", {"listed", "prod"}), ("list", {"listed"}), ("none", set())],
)
def test_user_tag_access_decides_which_tags_a_user_may_set(allow: str, allowed: set[str]) -> None:
    cluster = lab(options={"user-tag-access": {"user-allow": allow, "user-allow-list": ["listed"]}})
    for tag in ("listed", "prod", "brandnew"):
        answer = cluster.put_config(100, token=EDITOR, tags=f"cache;{tag}")
        assert answer.status == (200 if tag in allowed else 403), tag
        cluster.put_config(100, tags="cache")


def test_allowed_tags_are_worked_out_for_the_caller() -> None:
    cluster = lab(options={"registered-tags": ["secret"], "keyboard": "de"})
    assert cluster.get("/cluster/options", token=EDITOR) == {"allowed-tags": ["cache", "ct", "prod"]}
    assert cluster.get("/cluster/options")["allowed-tags"] == ["cache", "ct", "prod", "secret"]
    assert cluster.get("/cluster/options")["keyboard"] == "de"


def test_numbers_are_numbers_and_text_is_text_as_in_pve() -> None:
    cluster = lab()
    config = cluster.config(100)
    assert (type(config["memory"]), type(config["cores"])) == (str, int)
    assert type(cluster.config(200, kind="lxc")["memory"]) is int
    assert cluster.get("/cluster/nextid") == "101"


def test_a_change_of_hardware_waits_for_the_next_start() -> None:
    cluster = lab()
    cluster.put_config(100, memory="4096")
    assert cluster.config(100)["memory"] == "4096"
    assert cluster.get("/nodes/pve1/qemu/100/config", current=1)["memory"] == "2048"
    assert {"key": "memory", "value": "2048", "pending": "4096"} in cluster.get("/nodes/pve1/qemu/100/pending")
    cluster.cluster.stop_guest(100)
    cluster.cluster.start(100)
    assert cluster.get("/nodes/pve1/qemu/100/config", current=1)["memory"] == "4096"


def test_post_config_does_the_same_as_a_task() -> None:
    cluster = lab()
    upid = cluster.post("/nodes/pve1/qemu/100/config", tags="Async")
    assert (upid.split(":")[5], cluster.finish(upid)[0]) == ("qmconfig", "OK")
    assert cluster.config(100)["tags"] == "async"


def test_a_guest_on_another_node_has_no_configuration_here() -> None:
    cluster = lab()
    assert cluster.refused("GET", "/nodes/pve2/qemu/100/config") == (
        500,
        "Configuration file 'nodes/pve2/qemu-server/100.conf' does not exist",
    )
    assert cluster.put_config(200, tags="x").reason == "Configuration file 'nodes/pve1/qemu-server/200.conf' does not exist"


def test_a_snapshot_is_read_by_name() -> None:
    cluster = Lab({"guests": [vm(100, snapshots={"before": {"memory": "1024", "snaptime": 1_700_000_000}}, config={"parent": "before"})]})
    assert cluster.get("/nodes/pve1/qemu/100/config", snapshot="before")["memory"] == "1024"
    assert cluster.refused("GET", "/nodes/pve1/qemu/100/config", snapshot="nosuch") == (500, "snapshot 'nosuch' does not exist")
    assert [row["name"] for row in cluster.get("/nodes/pve1/qemu/100/snapshot")] == ["before", "current"]


def test_wrong_tags_says_nothing_about_good_ones() -> None:
    assert wrong_tags("a;B,c_d 1.2+3-4") is None


def test_a_change_gives_up_on_a_shutdown_that_first_waits_for_a_dead_agent() -> None:
    cluster = Lab({"guests": [vm(100, agent="dead", acpi=False)]})
    cluster.post("/nodes/pve1/qemu/100/status/shutdown", timeout=30)
    assert cluster.put_config(100, tags="x").reason.endswith("got timeout")
    cluster.advance(25)
    assert cluster.put_config(100, tags="x").status == 200


def test_a_change_as_a_task_waits_for_the_lock_like_any_other_task() -> None:
    cluster = Lab({"guests": [vm(100, acpi=False), vm(101, shutdown_s=4)]})
    for vmid in (100, 101):
        cluster.post(f"/nodes/pve1/qemu/{vmid}/status/shutdown")
    late, soon = (cluster.post(f"/nodes/pve1/qemu/{vmid}/config", tags="x") for vmid in (100, 101))
    assert cluster.finish(soon)[0] == "OK"
    assert cluster.finish(late)[0] == "can't lock file '/var/lock/qemu-server/lock-100.conf' - got timeout"


def test_hardware_taken_away_from_a_running_vm_goes_with_its_next_start() -> None:
    cluster = Lab({"guests": [vm(100, config={"balloon": 512})]})
    cluster.put_config(100, delete="balloon")
    assert {"key": "balloon", "value": 512, "delete": 0} in cluster.get("/nodes/pve1/qemu/100/pending")
    assert "balloon" not in cluster.config(100)
    assert cluster.get("/nodes/pve1/qemu/100/config", current=1)["balloon"] == 512


def test_options_of_the_datacenter_can_change_while_it_runs() -> None:
    cluster = lab()
    cluster.cluster.set_options(registered_tags=["secret"])
    assert cluster.put_config(100, token=EDITOR, tags="secret").status == 403


def test_a_whole_number_in_json_may_look_like_a_fraction() -> None:
    assert verify({"timeout": COUNT, "forceStop": SWITCH}, {"timeout": 3.0, "forceStop": False}) == {"timeout": 3, "forceStop": 0}
    with pytest.raises(ApiError) as refused:
        verify({"timeout": COUNT}, {"timeout": 2.5})
    assert refused.value.answer.errors == {"timeout": "type check ('integer') failed - got '2.5'"}


def test_a_network_device_may_be_given_by_its_number() -> None:
    cluster = lab()
    assert cluster.put_config(100, net0="virtio,bridge=vmbr1").status == 200
    assert cluster.config(100)["net0"] == "virtio,bridge=vmbr1"


def test_a_pending_change_can_be_taken_back() -> None:
    cluster = lab()
    cluster.put_config(100, memory="4096")
    assert cluster.put_config(100, revert="memory").status == 200
    assert cluster.config(100)["memory"] == "2048"


def test_a_name_is_a_dns_name() -> None:
    wrong = {"name": "invalid format - value does not look like a valid DNS name\n"}
    for name in ("-x", "a b", "a..b", "x_y"):
        assert lab().wrong("PUT", "/nodes/pve1/qemu/100/config", name=name) == wrong
    assert lab().put_config(100, name="db-1.example.org").status == 200


def test_nonsense_written_by_hand_is_not_shown() -> None:
    cluster = lab()
    cluster.cluster.set_config(100, onboot="yes")
    assert "onboot" not in cluster.config(100)
