"""What `pvectl doctor` makes of the facts it was given: one verdict for each, a sentence, and the command that mends it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct, field

from pvectl.core import tags
from pvectl.core.model import BlindSpot, Guest
from pvectl.errors import ExitCode

BUILT = datetime(2026, 11, 1, tzinfo=UTC)
"""No run of this release can be earlier; a clock that says so is wrong (safety rule S17)."""

LEAST_HOURS_FOR_A_CERTIFICATE = 24 * 14
CLOCK_TOLERANCE_S = 5
CLOCK_LIMIT_S = 60
"""Safety rule S17: a clock further off refuses to switch anything off by time."""

SAFE_TAG = "safe-shutdown"
KNOWN_RELEASES = (8, 9)


class Health(StrEnum):
    """How one thing stands. Only a `problem` makes the exit code other than 0."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"
    UNKNOWN = "unknown"
    NOT_CHECKED = "not-checked"


class Check(Struct, frozen=True, kw_only=True):
    """One line of the examination. `mend` says what to do, mostly in command lines; `exit_code` is what a problem ends the run with."""

    check: str
    subject: str
    health: Health = field(name="verdict")
    message: str
    mend: tuple[str, ...] = ()
    exit_code: ExitCode = ExitCode.OK


class Votes(Struct, frozen=True, kw_only=True):
    """Who has a say in the cluster: the votes of each member, and who of them is online.

    `qdevice` is the state of a quorum device, "" without one, None where nobody could tell.
    """

    votes: Mapping[str, int]
    online: frozenset[str]
    standalone: bool
    quorate: bool | None
    qdevice: str | None = None


def ok(check: str, subject: str, message: str) -> Check:
    return Check(check=check, subject=subject, health=Health.OK, message=message)


def note(check: str, subject: str, message: str, *mend: str) -> Check:
    return Check(check=check, subject=subject, health=Health.NOTE, message=message, mend=mend)


def warning(check: str, subject: str, message: str, *mend: str) -> Check:
    return Check(check=check, subject=subject, health=Health.WARNING, message=message, mend=mend)


def problem(code: ExitCode, check: str, subject: str, message: str, *mend: str) -> Check:
    return Check(check=check, subject=subject, health=Health.PROBLEM, message=message, mend=mend, exit_code=code)


def unknown(check: str, subject: str, message: str, *mend: str) -> Check:
    return Check(check=check, subject=subject, health=Health.UNKNOWN, message=message, mend=mend)


def not_checked(check: str, subject: str, message: str, *mend: str) -> Check:
    return Check(check=check, subject=subject, health=Health.NOT_CHECKED, message=message, mend=mend)


def exit_code(checks: Iterable[Check]) -> ExitCode:
    """The first problem's, in the order of the examination: what comes later often follows from it."""
    return next((check.exit_code for check in checks if check.health is Health.PROBLEM), ExitCode.OK)


def of_release(host: str, version: str, major: int, took: float) -> Check:
    message = f"answers in {took * 1000:.0f} ms, Proxmox VE {version}"
    if major in KNOWN_RELEASES:
        return ok("reach", f"host/{host}", message)
    known = " and ".join(str(release) for release in KNOWN_RELEASES)
    message = f"{message}: pvectl knows {known}, and what it reads here may mean something else"
    return warning("reach", f"host/{host}", message)


def of_certificate(host: str, *, verified_by: str, fingerprint: str, valid_until: datetime | None, now: datetime) -> Check:
    """`verified_by` finishes the sentence "verified by …"."""
    subject, message = f"host/{host}", f"verified by {verified_by}"
    if valid_until is None:
        return ok("tls", subject, f"{message}; fingerprint {fingerprint}")
    hours = (valid_until - now).total_seconds() / 3600
    if hours > LEAST_HOURS_FOR_A_CERTIFICATE:
        return ok("tls", subject, f"{message}, valid for {hours / 24:.0f} days")
    when = "has expired" if hours <= 0 else f"expires in {hours / 24:.0f} days"
    message = f"{message}, but {when} ({valid_until:%Y-%m-%d})"
    return warning("tls", subject, message, "pvecm updatecerts --force && systemctl reload pveproxy")


def of_blind_faith(host: str, fingerprint: str) -> Check:
    message = f"any certificate is believed (insecure), so pvectl only reads; this one is {fingerprint}"
    return warning("tls", f"host/{host}", message, "pvectl config trust")


def of_clusters(identities: Mapping[str, tuple[str | None, frozenset[str]]]) -> Check | None:
    """Whether all hosts are of one cluster; `identities` by host: the cluster's name and its nodes. None with fewer than two hosts."""
    if len(identities) < 2:
        return None
    told = {host: f"cluster {name}" if name else ", ".join(sorted(nodes)) for host, (name, nodes) in identities.items()}
    kinds: dict[tuple[str | None, frozenset[str]], list[str]] = {}
    for host, identity in identities.items():
        kinds.setdefault(identity, []).append(host)
    if len(kinds) == 1:
        return ok("reach", "cluster", f"all {len(identities)} hosts belong to {told[min(told)]}")
    parts = "; ".join(f"{', '.join(hosts)}: {told[hosts[0]]}" for hosts in kinds.values())
    message = f"the hosts belong to different clusters ({parts}), and only those of the first one that answers are used"
    return problem(ExitCode.CONFIG, "reach", "cluster", message, "give each cluster an entry of its own under clusters: in proxmox.yml")


def of_own_clock(now: datetime) -> Check:
    if now >= BUILT:
        return ok("clock", "this machine", f"it is {now:%Y-%m-%d %H:%M} UTC")
    message = f"it says {now:%Y-%m-%d}, which is before this pvectl was made ({BUILT:%Y-%m-%d})"
    return problem(ExitCode.FAILED, "clock", "this machine", message, "timedatectl set-ntp true")


def of_node_clock(node: str, *, told: int, before: float, after: float) -> Check:
    """`told` is the node's epoch second, asked for between our epoch seconds `before` and `after`."""
    # the node cuts to whole seconds, so on average it means half a second later than it says
    ahead = told + 0.5 - (before + after) / 2
    doubt = (after - before) / 2 + 0.5
    subject, certain = f"node/{node}", max(0.0, abs(ahead) - doubt)
    if certain <= CLOCK_TOLERANCE_S:
        return ok("clock", subject, "the clock agrees with this machine's")
    which = "ahead of" if ahead > 0 else "behind"
    message = f"the clock is {abs(ahead):.0f} s {which} this machine's"
    if certain <= CLOCK_LIMIT_S:
        return warning("clock", subject, message, f"on {node} and here: chronyc tracking")
    message += f"; beyond {CLOCK_LIMIT_S} s nothing is switched off by time"
    return problem(ExitCode.FAILED, "clock", subject, message, f"on {node} and here: chronyc tracking")


def of_sight(spots: Sequence[BlindSpot], *, guests: int, nodes: int) -> tuple[Check, ...]:
    """What the proof of completeness (safety rule S1) came to."""
    if not spots:
        few = {0: "there are no guests", 1: "the one guest is seen"}
        seen = few.get(guests, f"all {guests} guests on {_many(nodes, 'node')} are seen")
        return (ok("completeness", "cluster", f"{seen}, and nothing is hidden from this token"),)
    return tuple(
        problem(ExitCode.BLIND, "completeness", spot.subject, spot.reason, *(spot.mend.split(" && ") if spot.mend else ()))
        for spot in spots
    )


class TagRules(Struct, frozen=True, kw_only=True):
    """The datacenter's rules for tags: `registered-tags`, and who else may set which (`user-tag-access`)."""

    registered: tuple[str, ...] = ()
    user_allow: str = "free"
    user_allow_list: tuple[str, ...] = ()


def of_tags(guests: Sequence[Guest], rules: TagRules | None) -> tuple[Check, ...]:
    """Whether just anyone may mark a guest as safe to switch off, and how tidy the tags are; `rules` None when they are not shown."""
    remarks = tags.lint(guests, rules.registered if rules else None)
    tidy = ok("tags", "guests", "no tag breaks the convention")
    if remarks:
        tidy = note("tags", "guests", f"{_many(len(remarks), 'remark')} on the tags in use", "pvectl tags lint")
    if rules is None:
        return (not_checked("tags", "cluster", f"whether {SAFE_TAG} is a registered tag: that takes Sys.Audit on /"), tidy)
    return (_of_safe_tag(rules), tidy)


def _of_safe_tag(rules: TagRules) -> Check:
    if SAFE_TAG in tags.normalise(rules.registered):
        message = f"{SAFE_TAG} is registered: only who has Sys.Modify on / puts it on a guest or takes it off"
        return ok("tags", "cluster", message)
    if rules.user_allow == "none" or (rules.user_allow == "list" and SAFE_TAG not in tags.normalise(rules.user_allow_list)):
        return ok("tags", "cluster", f"{SAFE_TAG} is not free for everyone: user-tag-access says {rules.user_allow}")
    message = f"{SAFE_TAG} is not registered, so whoever may change a guest's options may mark it as safe to switch off"
    together = ";".join((*rules.registered, SAFE_TAG))
    return warning("tags", "cluster", message, f'pvesh set /cluster/options --registered-tags "{together}"')


def of_quorum(votes: Votes) -> Check:
    subject = "cluster"
    if votes.standalone:
        return ok("quorum", subject, "a single host, which needs no quorum")
    if votes.quorate is None:
        return unknown("quorum", subject, "Proxmox VE does not say whether the cluster is quorate")
    total, present = sum(votes.votes.values()), sum(count for node, count in votes.votes.items() if node in votes.online)
    here = f"{present} of {total} votes are there"
    if not votes.quorate:
        message = f"the cluster is not quorate ({here}): nothing can be started or changed"
        return problem(ExitCode.TRY_LATER, "quorum", subject, message, "on a node: pvecm status")
    if votes.qdevice == "Connected":
        return ok("quorum", subject, f"quorate, {here}, and a quorum device has a say as well")
    if votes.qdevice:
        message = f"quorate, {here}, but the quorum device does not count: it is {votes.qdevice}"
        return warning("quorum", subject, message, "on a node: pvecm status")
    pillars = [node for node in sorted(votes.online) if present - votes.votes.get(node, 0) < total // 2 + 1]
    if not pillars:
        return ok("quorum", subject, f"quorate, {here}")
    message = f"quorate, {here}, but without {' or '.join(pillars)} it would not be"
    if len(votes.votes) != 2:
        return warning("quorum", subject, message)
    doubt = "" if votes.qdevice is not None else "; whether there is a quorum device could not be read"
    return warning("quorum", subject, f"{message}: two nodes alone cannot lose one{doubt}", "pvecm qdevice setup ADDRESS")


def of_wake(node: str, mac: str | None, *, alone: bool) -> Check:
    subject = f"node/{node}"
    if alone:
        message = "a single host cannot be woken by pvectl once it is off: nobody is left to send the call"
        return note("wake-on-lan", subject, message)
    if mac:
        return ok("wake-on-lan", subject, f"can be called awake at {mac}")
    message = "no address to call it awake at; it would stay off until somebody presses the button"
    return note("wake-on-lan", subject, message, f"on {node}: pvenode config set --wakeonlan MAC-OF-ITS-NETWORK-CARD")


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
