"""What can go wrong, in words a person can act on, and the exit code that says so to scripts."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """How a run ended; a code that is not in this table is a failure."""

    OK = 0
    """done, or nothing to do; a busy world is success, a guest skipped on purpose too"""
    FAILED = 1
    """some action or delivery failed"""
    USAGE = 2
    """wrong command line, no such guest"""
    BLIND = 4
    """evidence incomplete, power action refused"""
    UNKNOWN_OUTCOME = 5
    """a request that changes something may or may not have happened"""
    BAD_STATE = 65
    """state file broken, foreign or newer; set aside, nothing switched off"""
    UNAVAILABLE = 69
    """no API host answered"""
    BUG = 70
    """unexpected exception"""
    CANNOT_WRITE = 73
    """state cannot be written: nothing was done"""
    TRY_LATER = 75
    """another run holds the lock, or the cluster is not quorate"""
    PROTOCOL = 76
    """the API answered something we do not understand"""
    PERMISSION = 77
    """401, 403, unsafe file mode"""
    CONFIG = 78
    """configuration wrong or missing"""
    INTERRUPTED = 130
    """Ctrl-C"""
    TERMINATED = 143
    """SIGTERM"""


class PvectlError(Exception):
    """Something a person can do something about: one sentence, perhaps a hint, and an exit code.

    `kind` is the stable word scripts find as `errors[].code` in JSON output; `subject` names the thing it is about
    ("guest/100", "node/pve3", "host/pve1.lan:8006", "file/…") when there is one.
    """

    exit_code: ExitCode = ExitCode.FAILED
    kind: str = "failed"

    def __init__(self, message: str, *, hint: str | None = None, subject: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.subject = subject


class UsageError(PvectlError):
    """The command line asks for something that cannot be: an unknown selector, no such guest."""

    exit_code = ExitCode.USAGE
    kind = "usage"


class ConfigError(PvectlError):
    """The configuration is wrong or missing."""

    exit_code = ExitCode.CONFIG
    kind = "config"


class UnsafeFile(PvectlError):
    """A file with secrets can be read or replaced by others."""

    exit_code = ExitCode.PERMISSION
    kind = "unsafe-file"


class CannotWrite(PvectlError):
    """A file or directory cannot be written; what was there is untouched."""

    exit_code = ExitCode.CANNOT_WRITE
    kind = "cannot-write"


class BadState(PvectlError):
    """The state file is broken, of another cluster, or from a newer version; what it says is not believed."""

    exit_code = ExitCode.BAD_STATE
    kind = "bad-state"


class Locked(PvectlError):
    """Another run holds the lock; nothing was done."""

    exit_code = ExitCode.TRY_LATER
    kind = "locked"


class NotPermitted(PvectlError):
    """A file or directory may not be read by this user."""

    exit_code = ExitCode.PERMISSION
    kind = "not-permitted"


class Unavailable(PvectlError):
    """No API host answered, or none that could prove who it is."""

    exit_code = ExitCode.UNAVAILABLE
    kind = "unavailable"


class TlsFailure(Unavailable):
    """A host answered whose certificate does not verify; not a byte of the token was sent."""

    kind = "tls"


class DeadlineExceeded(Unavailable):
    """The run's own deadline passed while waiting for an answer."""

    kind = "deadline"


class NodeUnreachable(PvectlError):
    """The API host answered, but could not reach the node that was asked about (595, 596, 599)."""

    exit_code = ExitCode.UNAVAILABLE
    kind = "node-unreachable"


class ProtocolError(PvectlError):
    """The API answered something that is not Proxmox VE's, or not whole."""

    exit_code = ExitCode.PROTOCOL
    kind = "protocol"


class AuthenticationFailed(PvectlError):
    """401: the token was not accepted."""

    exit_code = ExitCode.PERMISSION
    kind = "authentication"


class PermissionDenied(PvectlError):
    """403: the token lacks a privilege. `path` and `privilege` as PVE names them, None where it does not say."""

    exit_code = ExitCode.PERMISSION
    kind = "permission"

    def __init__(
        self, message: str, *, path: str | None = None, privilege: str | None = None, hint: str | None = None, subject: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, subject=subject)
        self.path = path
        self.privilege = privilege


class ApiRefusal(PvectlError):
    """PVE understood and said no (400, 500, 501 with a reason): `status`, `errors` by parameter, and the message in PVE's own words."""

    kind = "refused"

    def __init__(
        self, message: str, *, status: int, errors: dict[str, str] | None = None, hint: str | None = None, subject: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, subject=subject)
        self.status = status
        self.errors = errors or {}


class NoQuorum(ApiRefusal):
    """The cluster is not quorate, so PVE turns writes away."""

    exit_code = ExitCode.TRY_LATER
    kind = "no-quorum"


class Blind(PvectlError):
    """The evidence is incomplete, so a power action was refused."""

    exit_code = ExitCode.BLIND
    kind = "blind"


class OutcomeUnknown(PvectlError):
    """A write was sent and its answer never came: it may or may not have happened."""

    exit_code = ExitCode.UNKNOWN_OUTCOME
    kind = "outcome-unknown"


class WriteForbidden(PvectlError):
    """A write was about to leave over a connection that may only read: a dry run, or `tls: {insecure: true}`."""

    exit_code = ExitCode.CONFIG
    kind = "read-only"


class Changed(PvectlError):
    """What was agreed to is no longer so; nothing was done."""

    exit_code = ExitCode.TRY_LATER
    kind = "changed"


PRECEDENCE = (ExitCode.UNKNOWN_OUTCOME, ExitCode.FAILED, ExitCode.BLIND)


def most_telling(codes: list[ExitCode]) -> ExitCode:
    """The one exit code of a run in which several apply: 5 before 1 before 4, then the first other failure, then 0."""
    for code in PRECEDENCE:
        if code in codes:
            return code
    return next((code for code in codes if code is not ExitCode.OK), ExitCode.OK)
