"""`pvectl alert export`: the rules for other programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from pvectl.cli.output import Report
from pvectl.core.alerts.prometheus import rule_file

if TYPE_CHECKING:
    from pvectl.cli.context import Run


class Exported(Struct, frozen=True, kw_only=True):
    """The text of the file."""

    rule_file: str


def report(run: Run) -> Report:
    """A rule file for Prometheus, and nothing else on stdout."""
    from pvectl.config.receivers import mirrors_of, rules_of

    section, cluster = run.jobs().alert, run.cluster_name()
    text = rule_file(rules_of(section, cluster))
    names = ", ".join(mirrors_of(section))
    remarks = (f"Prometheus tells its own Alertmanager; without that, receiver {names} would be told everything twice",) if names else ()
    return Report(schema="alert-export-prometheus", data=Exported(rule_file=text), text=text, cluster=cluster, remarks=remarks)
