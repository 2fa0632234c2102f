"""What the other jobs have to tell people, through the same outbox as the alerts: written down with what it is about, sent once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.core.monitor.finding import Severity
from pvectl.errors import Locked, PvectlError

if TYPE_CHECKING:
    from pvectl.cli.context import Run
    from pvectl.store import Store


class Notice(Struct, frozen=True, kw_only=True):
    """Something people should hear of. The same `key` is the same message, however often it is said; `expires_at`: nobody needs it then."""

    key: str
    subject: str
    text: str
    severity: Severity = Severity.OK
    expires_at: datetime | None = None


def announce(run: Run, store: Store, notices: Iterable[Notice]) -> None:
    """Put it into the outbox, as a part of the caller's transaction: either both are kept or neither. Nothing without receivers.

    `notices` may be made while they are read: a mistake in making them is logged, and what they are about is kept all the same.

    Raises:
        PvectlError: it cannot be kept.
    """
    section = run.jobs().alert
    if not section.enabled or not section.receivers:
        return
    from pvectl.config.receivers import noticed_of
    from pvectl.core.alerts.notification import notice
    from pvectl.core.alerts.outbox import enqueued
    from pvectl.store.alerts import Alerts

    alerts, now, cluster = Alerts(store), run.clock.now(), run.cluster_name()
    try:
        made = [
            notice(
                receiver,
                each.subject,
                each.text,
                cluster=cluster,
                key=each.key,
                made_at=now,
                severity=each.severity,
                expires_at=each.expires_at,
            )
            for each in notices
            for receiver in noticed_of(section)
        ]
    except Exception as error:  # noqa: BLE001 - a mistake in words must not undo the record of what was done
        run.log.error("notice.failed", error=type(error).__name__)  # noqa: TRY400 - a trace may quote a secret
        return
    if not made:
        return
    with alerts.transaction():
        rows = alerts.rows()
        known = {row.id: row for row in rows}
        alerts.put_rows(*(row for row in enqueued(rows, made, now) if known.get(row.id) is not row))


def send_announced(run: Run) -> tuple[str, ...]:
    """Send what waits, unless a run of the alerts is at it already; returns what a person should know of it, and raises nothing."""
    section = run.jobs().alert
    if not section.enabled or not section.receivers:
        return ()
    from pvectl.cli.alerts.run import sent
    from pvectl.config.receivers import noticed_of
    from pvectl.store.alerts import Alerts

    if not noticed_of(section):
        return ()

    try:
        drained = sent(run, section, Alerts(run.store("alert")))
    except Locked:
        # who holds the lock sends it, or the next run does
        return ()
    except PvectlError as error:
        return (f"nobody was told: {error.message}",)
    except KeyboardInterrupt:
        # what the job did still has to be reported; what was to be told is on disk, and the next run sends it
        run.was_interrupted = True
        return ("interrupted before everybody was told; the next run goes on with it",)
    except Exception as error:  # noqa: BLE001 - nothing that goes wrong in telling may hide what was done
        run.log.error("notices.failed", error=type(error).__name__)  # noqa: TRY400 - see above
        return (f"nobody was told: {type(error).__name__}",)
    finally:
        run.give_back("alert")
    if drained is None:
        return ()
    broken = (f"receiver {name} takes no messages: {why}" for name, why in sorted(drained.broken.items()))
    late = (f"receiver {row.receiver} was not told: {row.error}" for row in drained.failed if row.receiver not in drained.broken)
    return (*broken, *dict.fromkeys(late), *drained.troubles)
