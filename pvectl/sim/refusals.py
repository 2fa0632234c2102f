"""The ways in which PVE says no, in its own wording."""

from __future__ import annotations

from collections.abc import Mapping

from pvectl.sim.wire import Answer, ApiError


def died(text: str) -> ApiError:
    """A plain Perl `die`: 500, the first line as the reason, everything in the message."""
    return ApiError(Answer(status=500, reason=text.split("\n", 1)[0], message=f"{text}\n"))


def forbidden(text: str) -> ApiError:
    """403: `Permission check failed (…)`."""
    return ApiError(Answer(status=403, reason=text, message=f"{text}\n"))


def lacks(path: str, *privileges: str) -> ApiError:
    """403 for a missing privilege; several alternatives are joined by a bar."""
    return forbidden(f"Permission check failed ({path}, {'|'.join(privileges)})")


def bad_parameters(errors: Mapping[str, str]) -> ApiError:
    """400 with one text per parameter."""
    reason = "Parameter verification failed."
    return ApiError(Answer(status=400, reason=reason, message=f"{reason}\n", errors=dict(errors)))


def unauthorized(reason: str) -> ApiError:
    """401: no body, no Content-Type, three seconds late (pve-http-server PVE/APIServer/AnyEvent.pm)."""
    return ApiError(Answer(status=401, reason=reason, body=b"", content_type=None, delay_s=3.0))


def not_implemented(method: str, path: str) -> ApiError:
    """501 for an unknown path and for a known path with another method alike."""
    text = f"Method '{method} {path}' not implemented"
    return ApiError(Answer(status=501, reason=text, message=text))


def connection_refused() -> ApiError:
    """595: the other node's pveproxy does not listen."""
    return ApiError(Answer(status=595, reason="Connection refused", body=b"", content_type=None))


def connection_timed_out() -> ApiError:
    """596: the other node accepts the connection and never answers."""
    return ApiError(Answer(status=596, reason="Connection timed out", body=b"", content_type=None, delay_s=30.0))


def unknown_host(node: str) -> ApiError:
    """A node name that resolves to nothing."""
    return died(f"hostname lookup '{node}' failed - failed to get address info for: {node}: Name or service not known")
