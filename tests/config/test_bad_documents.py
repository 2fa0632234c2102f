"""Every way a person gets a file wrong, with the place it is shown at and the sentence it is told in."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from pvectl.config.load import ConfigProblems, load_connections, load_jobs
from pvectl.config.schema import PvectlFile
from tests.config.folders import GOOD, hints, told, write


def _refused(folder: Path, text: str | bytes) -> ConfigProblems:
    with pytest.raises(ConfigProblems) as caught:
        load_connections(write(folder, text))
    assert caught.value.exit_code == 78
    return caught.value


def _cluster(lines: str) -> str:
    """A document in which everything but these lines of the one cluster is in order; they begin in line 3, column 5."""
    return "clusters:\n  lab:\n" + textwrap.indent(textwrap.dedent(lines).strip("\n"), "    ") + "\n"


def test_a_good_document_has_no_problems(tmp_path: Path) -> None:
    connections = load_connections(write(tmp_path, GOOD))
    assert connections.clusters["lab"].hosts == ("pve1.lan", "pve2.lan:8006")


def test_all_problems_are_told_at_once_in_the_order_they_stand(tmp_path: Path) -> None:
    error = _refused(
        tmp_path,
        """\
clusters:
  lab:
    hosts: abc
    tokn_id: pvectl@pve!ops
    token_value: 12345
    tls: {insecure: yes, fingerprints: [AB]}
    timeout: 5
colour: red
""",
    )
    assert told(error) == [
        (3, 12, "clusters.lab.hosts", "expected a list, got text"),
        (4, 5, "clusters.lab.tokn_id", "unknown key"),
        (5, 18, "clusters.lab.token_value", "expected text, got something else"),
        (6, 21, "clusters.lab.tls.insecure", "expected true or false, got 'yes'"),
        (6, 41, "clusters.lab.tls.fingerprints[0]", "the fingerprint has 2 hexadecimal digits instead of 64"),
        (7, 5, "clusters.lab.timeout", "unknown key"),
        (8, 1, "colour", "unknown key"),
    ]
    assert hints(error.problems) == [
        "write it in brackets: [..., ...]",
        "did you mean token_id?",
        "put the secret in quotes",
        "write true",
        "pvectl config trust shows the right one",
        "known here are: hosts, token_id, user, token_name, token_value, token_file, token_command, tls, allow_http_loopback",
        "known here are: clusters, default_cluster, proxmox, secrets",
    ]
    assert (
        error.message
        == f"7 problems in the configuration, the first: {tmp_path}/proxmox.yml:3:12: clusters.lab.hosts: expected a list, got text"
    )


def test_one_problem_is_one_sentence_with_its_hint(tmp_path: Path) -> None:
    error = _refused(tmp_path, GOOD.replace("token_value", "token_valu"))
    assert error.message == f"{tmp_path}/proxmox.yml:5:5: clusters.lab.token_valu: unknown key"
    assert error.hint == "did you mean token_value?"


OK_TOKEN = "token_id: pvectl@pve!ops\ntoken_file: t\n"
OK_HOSTS = "hosts: [pve1.lan]\n"


@pytest.mark.parametrize(
    ("host", "message", "hint"),
    [
        ("https://pve1:8006/api2/json", "the host 'https://pve1:8006/api2/json' is written as a URL", "write pve1:8006"),
        ("https://pve1", "the host 'https://pve1' is written as a URL", "write pve1"),
        ("https://", "the host 'https://' is written as a URL", "write pve1.lan:8006"),
        ("pve1.lan/", "the host 'pve1.lan/' is written as a URL", "write pve1.lan"),
        (
            "pve1:80o6",
            "in the host 'pve1:80o6' the port '80o6' is not a number between 1 and 65535",
            "write pve1:8006, or pve1 alone for port 8006",
        ),
        ("pve1:", "in the host 'pve1:' the port after the colon is missing", "write pve1:8006, or pve1 alone for port 8006"),
        ("pve1:0", "in the host 'pve1:0' the port '0' is not a number between 1 and 65535", "write pve1:8006, or pve1 alone for port 8006"),
        (
            "pve1:99999",
            "in the host 'pve1:99999' the port '99999' is not a number between 1 and 65535",
            "write pve1:8006, or pve1 alone for port 8006",
        ),
        ("", "a host is empty", "write a name or an address, for example pve1.lan"),
        ("pve1 pve2", "the host 'pve1 pve2' has a space in it", "write each host as an entry of its own: [pve1.lan, pve2.lan]"),
        (
            "root:pw@pve1",
            "a host holds an @; users and secrets do not belong there",
            "write only the name or address, for example pve1.lan",
        ),
        (
            "fd00::1",
            "the host 'fd00::1' looks like an IPv6 address without brackets",
            'write "[fd00::1]" or "[fd00::1]:8006", in quotes',
        ),
        ("[fd00::1", "the host '[fd00::1' has a bracket without its counterpart", 'write it as "[fd00::1]:8006", in quotes'),
        ("[fd00::g]", "the host '[fd00::g]' is not an IPv6 address", 'write it as "[fd00::1]:8006", in quotes'),
        ("192.168.1.300", "the host '192.168.1.300' is not a whole IPv4 address", "write four numbers from 0 to 255: 192.168.1.10"),
        ("192.168.1", "the host '192.168.1' is not a whole IPv4 address", "write four numbers from 0 to 255: 192.168.1.10"),
        ("pve,1", "the host 'pve,1' is neither a name nor an address", "write a name or an address, for example pve1.lan"),
        ("-pve", "the host '-pve' is neither a name nor an address", "write a name or an address, for example pve1.lan"),
        ("pvé", "the host 'pvé' has letters DNS does not know", "write its ASCII form (xn--…) or its address"),
        ("http://pve1", "the host 'http://pve1' would send the token unencrypted", "write pve1: pvectl speaks https to it"),
        (
            "http://localhost:8006",
            "the host 'http://localhost:8006' would send the token unencrypted",
            "write localhost:8006: pvectl speaks https to it",
        ),
        (
            "http://127.0.0.1:8006/api2",
            "the host 'http://127.0.0.1:8006/api2' has a path",
            "write http://127.0.0.1:8006, without a path",
        ),
        (
            "http://127.0.0.1:8006",
            "the host 'http://127.0.0.1:8006' is not encrypted",
            "allow_http_loopback: true permits it for a simulated cluster on this machine",
        ),
    ],
)
def test_a_half_typed_host_is_told_what_to_write(tmp_path: Path, host: str, message: str, hint: str) -> None:
    error = _refused(tmp_path, _cluster(f"hosts: ['{host}']\n{OK_TOKEN}"))
    assert told(error) == [(3, 13, "clusters.lab.hosts[0]", message)]
    assert error.hint == hint


@pytest.mark.parametrize(
    "host", ["pve1", "pve1.lan.", "pve_1.lan:443", "10.0.0.5", "10.0.0.5:8007", "[fd00::1]", "[::1]:8006", "xn--pv-cja"]
)
def test_a_host_in_order_is_taken_as_written(tmp_path: Path, host: str) -> None:
    connections = load_connections(write(tmp_path, _cluster(f"hosts: ['{host}']\n{OK_TOKEN}")))
    assert connections.clusters["lab"].hosts == (host,)


def test_plain_http_is_for_a_simulated_cluster_on_this_machine_and_only_when_allowed(tmp_path: Path) -> None:
    connections = load_connections(write(tmp_path, _cluster(f"hosts: ['http://127.0.0.1:8006/']\nallow_http_loopback: true\n{OK_TOKEN}")))
    assert connections.clusters["lab"].hosts == ("http://127.0.0.1:8006",)


TOKEN_FORM = "write it as user@realm!tokenname, for example pvectl@pve!ops"


@pytest.mark.parametrize(
    ("lines", "place", "message", "hint"),
    [
        ("token_id: pvectl@pve", (4, 15, ".token_id"), "lacks the token's name after an exclamation mark", TOKEN_FORM),
        ("token_id: pvectl!ops", (4, 15, ".token_id"), "lacks the realm (@pam, @pve) before the exclamation mark", TOKEN_FORM),
        ("token_id: a b@pve!ops", (4, 15, ".token_id"), "is not a token's id", TOKEN_FORM),
        (
            "token_id: pvectl@pve!ops=9f8e7d6c",
            (4, 15, ".token_id"),
            "holds more than the token's id",
            f"{TOKEN_FORM}; the secret goes into token_value or token_file",
        ),
        ("token_id: 5", (4, 15, ".token_id"), "expected text, got a number", 'put it in quotes: "5"'),
        ("token_id: [a]", (4, 15, ".token_id"), "expected text, got a list", "put it in quotes"),
        ("token_id: pvectl@pve!ops\nuser: pvectl@pve", (5, 11, ".user"), "says again what token_id says", "take user or token_id out"),
        ("user: pvectl@pve", (4, 11, ".user"), "needs token_name beside it", "or write both as token_id: user@realm!tokenname"),
        ("token_name: ops", (4, 17, ".token_name"), "needs user beside it", "or write both as token_id: user@realm!tokenname"),
        ("user: pvectl\ntoken_name: ops", (4, 11, ".user"), "is not a user with a realm", "write it as user@realm, for example pvectl@pve"),
        (
            "user: pvectl@pve!ops\ntoken_name: ops",
            (4, 11, ".user"),
            "holds the token's name too",
            "write token_id instead of user, or only user@realm here",
        ),
        (
            "user: pvectl@pve\ntoken_name: pvectl@pve!ops",
            (5, 17, ".token_name"),
            "holds more than the token's name",
            "write only what follows the exclamation mark, for example ops",
        ),
        ("", (3, 5, ""), "names no token", "give token_id, for example pvectl@pve!ops, or user and token_name"),
    ],
)
def test_a_token_without_its_form_is_told_the_form(
    tmp_path: Path, lines: str, place: tuple[int, int, str], message: str, hint: str
) -> None:
    error = _refused(tmp_path, _cluster(f"{OK_HOSTS}{lines}\ntoken_file: t"))
    line, column, key = place
    assert told(error) == [(line, column, f"clusters.lab{key}", message)]
    assert error.hint == hint


@pytest.mark.parametrize(
    ("lines", "problems"),
    [
        ("", [(3, 5, "clusters.lab", "has no secret")]),
        ("token_value:", [(3, 5, "clusters.lab", "has no secret")]),
        ("token_value: ''", [(5, 18, "clusters.lab.token_value", "is empty, expected the token's secret")]),
        ("token_value: [x]", [(5, 18, "clusters.lab.token_value", "expected the token's secret, got a list")]),
        ("token_command: pass show x", [(5, 20, "clusters.lab.token_command", "expected a list, got text")]),
        ("token_command: ['']", [(5, 21, "clusters.lab.token_command[0]", "is empty")]),
        ("token_file: ' '", [(5, 17, "clusters.lab.token_file", "is empty, expected the path of a file")]),
        ('token_file: "a\\0b"', [(5, 17, "clusters.lab.token_file", "holds a NUL character")]),
        (
            "token_value: x\ntoken_file: y\ntoken_command: [z]",
            [
                (6, 17, "clusters.lab.token_file", "stands beside token_value, and only one can be meant"),
                (7, 20, "clusters.lab.token_command", "stands beside token_value, and only one can be meant"),
            ],
        ),
    ],
)
def test_a_cluster_has_its_secret_from_exactly_one_place(tmp_path: Path, lines: str, problems: list[tuple[int, int, str, str]]) -> None:
    assert told(_refused(tmp_path, _cluster(f"{OK_HOSTS}token_id: pvectl@pve!ops\n{lines}"))) == problems


FP = "a1" * 32


@pytest.mark.parametrize(
    ("tls", "problems"),
    [
        (f"{{insecure: true, fingerprints: [{FP}]}}", [(6, 21, "clusters.lab.tls.insecure", "contradicts fingerprints")]),
        ("{insecure: true, ca_file: x}", [(6, 21, "clusters.lab.tls.insecure", "contradicts ca_file")]),
        (
            f"{{ca_file: x, fingerprints: [{FP}]}}",
            [(6, 37, "clusters.lab.tls.fingerprints", "stands beside ca_file, and only one can be meant")],
        ),
        (f"{{fingerprints: [{FP[:40]}]}}", [(6, 26, "clusters.lab.tls.fingerprints[0]", "the fingerprint is a SHA-1 one (40 digits)")]),
        (f"{{fingerprints: {FP}}}", [(6, 25, "clusters.lab.tls.fingerprints", "expected a list, got text")]),
        (f"{{fingerprints: [{'1' * 64}]}}", [(6, 26, "clusters.lab.tls.fingerprints[0]", "expected text, got a number")]),
        (
            "{fingerprints: [zz]}",
            [(6, 26, "clusters.lab.tls.fingerprints[0]", "the fingerprint 'zz' has characters that are not hexadecimal digits")],
        ),
        ("{verify: false}", [(6, 11, "clusters.lab.tls.verify", "unknown key")]),
        ("true", [(6, 10, "clusters.lab.tls", "expected a map, got true or false")]),
    ],
)
def test_hosts_prove_themselves_in_one_way(tmp_path: Path, tls: str, problems: list[tuple[int, int, str, str]]) -> None:
    assert told(_refused(tmp_path, _cluster(f"{OK_HOSTS}{OK_TOKEN}tls: {tls}"))) == problems


@pytest.mark.parametrize("written", [FP, FP.upper(), ":".join([FP[:2]] * 32), ":".join([FP[:2]] * 32).upper(), f"SHA256:{FP}"])
def test_a_fingerprint_may_be_spelled_as_any_tool_prints_it(tmp_path: Path, written: str) -> None:
    connections = load_connections(write(tmp_path, _cluster(f"{OK_HOSTS}{OK_TOKEN}tls: {{fingerprints: ['{written}']}}")))
    assert connections.clusters["lab"].tls.fingerprints == (FP,)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("yes", "write true"),
        ("off", "write false"),
        ("No", "write false"),
        ("'true'", "write true, without quotes"),
        ("1", None),
        ("ja", None),
    ],
)
def test_only_true_and_false_are_booleans(tmp_path: Path, word: str, hint: str | None) -> None:
    error = _refused(tmp_path, _cluster(f"{OK_HOSTS}{OK_TOKEN}allow_http_loopback: {word}"))
    assert told(error) == [
        (6, 26, "clusters.lab.allow_http_loopback", f"expected true or false, got {word if chr(39) in word else repr(word)}")
    ]
    assert error.hint == hint


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", [(1, 1, "", "is empty")]),
        ("# nothing but this\n", [(1, 1, "", "is empty")]),
        ("hello", [(1, 1, "", "expected a map, got text")]),
        ("- a", [(1, 1, "", "expected a map, got a list")]),
        ("{}", [(1, 1, "", "names no cluster")]),
        ("clusters: {}", [(1, 1, "", "names no cluster")]),
        ("clusters: 5", [(1, 11, "clusters", "expected a map of names, got a number")]),
        ("clusters: [a]", [(1, 11, "clusters", "expected a map of names, got a list")]),
        ("clusters: {lab: }", [(1, 17, "clusters.lab", "expected a map, got nothing")]),
        (
            "clusters: {a/b: {hosts: [x], token_id: a@pve!ops, token_file: t}}",
            [(1, 12, "clusters", "a cluster's name is made of letters, digits, dots, dashes and underscores, at most 63")],
        ),
        ("clusters: {lab: {token_id: a@pve!ops, token_file: t}}", [(1, 17, "clusters.lab", "lacks hosts")]),
        ("clusters: {lab: {hosts: [], token_id: a@pve!ops, token_file: t}}", [(1, 25, "clusters.lab.hosts", "is an empty list")]),
        (
            "clusters: {lab: {hosts: [x, y, x], token_id: a@pve!ops, token_file: t}}",
            [(1, 32, "clusters.lab.hosts[2]", "the host 'x' stands there twice")],
        ),
        (
            "clusters: {lab: {hosts: [x], token_id: a@pve!ops, token_file: t}}\ndefault_cluster: lba",
            [(2, 18, "default_cluster", "there is no cluster 'lba'")],
        ),
        ("hosts: [x]\nclusters: {}", [(1, 1, "hosts", "unknown key"), (1, 1, "", "names no cluster")]),
        (
            "proxmox: {host: x, user: a@pve, token_name: ops, token_value: x}\nclusters: {}",
            [(1, 10, "proxmox", "stands beside clusters, and only one can be meant")],
        ),
        (
            "proxmox: {host: x, user: a@pve, token_name: ops, token_value: x}\ndefault_cluster: lab",
            [(2, 18, "default_cluster", "there is no cluster 'lab'")],
        ),
        ("proxmox: {host: x}", [(1, 10, "proxmox", f"lacks {key}") for key in ("user", "token_name", "token_value")]),
    ],
)
def test_a_file_that_is_something_else_is_told_so(tmp_path: Path, text: str, problems: list[tuple[int, int, str, str]]) -> None:
    assert told(_refused(tmp_path, text)) == problems


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("a: 'b\n", (1, 4), "is not YAML: a quote or bracket is opened here and never closed"),
        ("a: [b\n", (1, 4), "is not YAML: a quote or bracket is opened here and never closed"),
        ("a: {b: c\n", (1, 4), "is not YAML: a quote or bracket is opened here and never closed"),
        ("a:\n\tb: c\n", (2, 1), "is not YAML: a character stands where it cannot"),
        ("a: b: c\n", (1, 5), "is not YAML: a colon stands where none can"),
        ("a: b\nc\nd: e\n", (3, 1), "is not YAML: a key has no colon, or a line is not indented"),
        ("a: b\n  c: d\n", (2, 4), "is not YAML: a colon stands where none can"),
        ("a: @b\n", (1, 4), "is not YAML: a character stands where it cannot"),
        ('a: "\\q"\n', (1, 5), "is not YAML: a backslash in double quotes begins an escape"),
        ("a: &x b\n", (1, 4), "a word beginning with & is an anchor, which is not used here"),
        ("a: *x\n", (1, 4), "a word beginning with * is an alias, which is not used here"),
        ("a: !x b\n", (1, 4), "a word beginning with ! is a tag, which is not used here"),
        ("a: !!python/object/apply:os.system ['true']\n", (1, 4), "a word beginning with ! is a tag, which is not used here"),
        ("? [a]\n: b\n", (1, 3), "a key must be a single word, not a list or a map"),
        ("a: 1\n---\nb: 2\n", (2, 1), "a second document begins here"),
        ("a: b\x07c\n", (1, 5), "holds the control character U+0007"),
        ("a: b\n  \ufeffc\n", (2, 3), "holds the control character U+FEFF"),
        (b"a: b\nc: \xff\n", (2, 4), "is not UTF-8 text"),
        ("[" * 2000, (1, 25), "is nested more than 24 levels deep"),
    ],
)
def test_what_is_no_yaml_or_has_its_dangerous_parts_is_refused_at_its_place(
    tmp_path: Path, text: str | bytes, place: tuple[int, int], message: str
) -> None:
    error = _refused(tmp_path, text)
    assert [(*place, message)] == [(one.line, one.column, one.message) for one in error.problems]


def test_a_duplicate_key_and_a_merge_key_are_told_beside_the_other_problems(tmp_path: Path) -> None:
    error = _refused(tmp_path, GOOD + "    hosts: [pve3.lan]\n    <<: {a: b}\n    alow_http_loopback: true\n")
    assert told(error) == [
        (6, 5, "clusters.lab", "the key hosts stands here twice, first in line 3"),
        (7, 5, "clusters.lab", "<< merges another map in, which is not used here"),
        (8, 5, "clusters.lab.alow_http_loopback", "unknown key"),
    ]


def test_a_bomb_of_aliases_is_an_error_and_not_an_explosion(tmp_path: Path) -> None:
    bomb = "a: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20))
    assert _refused(tmp_path, bomb).problems[0].message == "a word beginning with & is an anchor, which is not used here"


def test_a_file_larger_than_any_configuration_is_not_read(tmp_path: Path) -> None:
    from pvectl.errors import ConfigError

    with pytest.raises(ConfigError, match="is larger than 256 KiB"):
        load_connections(write(tmp_path, "# " + "x" * (300 << 10)))


def test_a_section_this_version_does_not_have_is_refused_and_not_silently_accepted(tmp_path: Path) -> None:
    write(tmp_path, "# mine\nbackup:\n  keep: 3\n", name="pvectl.yml")
    with pytest.raises(ConfigProblems) as caught:
        load_jobs(tmp_path)
    assert told(caught.value) == [(2, 1, "backup", "unknown key")]
    assert caught.value.hint == "known here are: tags, idle_check, scheduled_shutdown, monitor, alert"


@pytest.mark.parametrize("text", [None, "", "# all defaults\n", "{}"])
def test_pvectl_yml_may_be_missing_or_empty_and_then_the_defaults_hold(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        write(tmp_path, text, name="pvectl.yml", mode=0o644)
    assert load_jobs(tmp_path) == PvectlFile()


def test_secrets_in_pvectl_yml_are_sent_to_the_other_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load_jobs(write(tmp_path, "clusters: {}\n", name="pvectl.yml"))
    assert caught.value.hint == "connections and secrets belong into proxmox.yml"


def test_a_list_where_pvectl_yml_has_a_map_is_told_with_the_keys_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigProblems) as caught:
        load_jobs(write(tmp_path, "- tags\n", name="pvectl.yml"))
    keys = ", ".join(PvectlFile.__struct_fields__)
    assert (told(caught.value), caught.value.hint) == ([(1, 1, "", "expected a map, got a list")], f"known here are: {keys}")


@pytest.mark.parametrize("text", ["", "# nothing but a remark\n"])
def test_an_empty_file_is_to_be_moved_away_because_init_keeps_it(tmp_path: Path, text: str) -> None:
    error = _refused(tmp_path, text)
    assert told(error) == [(1, 1, "", "is empty")]
    assert error.hint == f"move it away, and pvectl config init --dir {tmp_path} writes an example in its place"


def test_a_file_without_a_cluster_is_to_be_moved_away_because_init_keeps_it(tmp_path: Path) -> None:
    assert _refused(tmp_path, "clusters: {}\n").hint == "move the file away, and pvectl config init writes an example in its place"
