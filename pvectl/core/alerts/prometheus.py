"""The same rules as a Prometheus rule file, over the metrics of `pvectl monitor -o prometheus`: for those who outgrow one machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from pvectl.core.alerts.rules import Rule, Rules, fits_check, usual_hold
from pvectl.core.monitor.checks.look import COVERAGE
from pvectl.core.monitor.checks.registry import CHECKS, IDS
from pvectl.core.monitor.finding import Severity

_CODES = (("critical", 2), ("warning", 1))
_NOT_SEEN = 15 * 60
_PARTS = re.compile(r"\[!?[^]]+\]|.", re.DOTALL)
_WILDCARDS = {"*": ".*", "?": "."}


def rule_file(rules: Rules) -> str:
    """A file for Prometheus 2.42 or later. What its metrics cannot tell apart (tags, pools, nodes) is named in comments and left out."""
    lines = ["groups:", f"  - name: {_quoted(f'pvectl-{rules.cluster}' if rules.cluster else 'pvectl')}", "    rules:"]
    lines += _itself(rules.cluster)
    for place, rule in enumerate(rules.rules, start=1):
        name = rule.name or f"rule {place}"
        if (untold := _untold(rule)) is not None:
            lines.append(f"      # {_commented(name)}: left out, the metrics have no {untold}")
        else:
            lines += _of_rule(rule, name, rules, earlier=rules.rules[: place - 1])
    lines += _of_rule(Rule(), "default", rules, earlier=rules.rules)
    return "".join(f"{line}\n" for line in lines)


def _of_rule(rule: Rule, name: str, rules: Rules, *, earlier: tuple[Rule, ...]) -> Iterator[str]:
    if rule.receivers == ():
        yield f"      # {_commented(name)}: nobody is told"
        return
    for check in IDS:
        if not fits_check(rule, check):
            continue
        for severity, code in _CODES:
            if severity == "warning" and rule.severity == "critical":
                continue
            taken = [each for each in earlier if fits_check(each, check) and (severity == "critical" or each.severity == "warning")]
            taken = [each for each in taken if _untold(each) is None]
            if any(each.object is None for each in taken):
                continue
            # what nobody can look at counts as a warning
            codes = "3" if check == COVERAGE else str(code)
            if check == COVERAGE and severity == "critical":
                continue
            yield from _alert(rule, name, rules, (check, severity, codes), tuple(each.object for each in taken if each.object))


def _alert(rule: Rule, name: str, rules: Rules, which: tuple[str, str, str], taken: tuple[str, ...]) -> Iterator[str]:
    check, severity, code = which
    labels = [f"check={_quoted(check)}"]
    labels += [f"id=~{_quoted(_ids(rule.object))}"] if rule.object is not None else []
    labels += [f"id!~{_quoted(_ids(each))}" for each in taken]
    seen_as = Severity.UNKNOWN if check == COVERAGE else Severity(severity)
    hold = usual_hold(check, seen_as, rules) if rule.hold is None else rule.hold
    keep = rules.keep_firing_for if rule.keep_firing_for is None else rule.keep_firing_for
    title = CHECKS[check].title if check in CHECKS else "everything can be looked at"
    yield f"      - alert: {_quoted(_camel(check))}"
    series = f"pvectl_check_status{{{','.join(labels)}}}"
    yield f"        expr: {_quoted(f'{series} == {code}')}"
    if hold:
        yield f"        for: {hold}s"
    if keep:
        yield f"        keep_firing_for: {keep}s"
    yield "        labels:"
    yield f"          severity: {severity}"
    # two rules may speak of one check; to Prometheus, alerts of one name and the same labels are one alert
    yield f"          rule: {_quoted(name)}"
    if rule.receivers is not None:
        yield f"          receivers: {_quoted(','.join(rule.receivers))}"
    yield "        annotations:"
    yield f"          summary: {_quoted(f'{{{{ $labels.id }}}}: not so that {title} ({check})')}"


def _itself(cluster: str) -> Iterator[str]:
    labels = f"{{cluster={_quoted(cluster)}}}" if cluster else ""
    last = f"pvectl_last_run_timestamp_seconds{labels}"
    for alert, expression, hold, summary in (
        ("PvectlBlind", f"pvectl_monitor_success{labels} == 0", 5 * 60, "pvectl could not see the cluster"),
        ("PvectlSilent", f"time() - {last} > {_NOT_SEEN}", 0, "pvectl has not looked for 15 minutes"),
        ("PvectlAbsent", f"absent({last})", _NOT_SEEN, "Prometheus sees nothing of pvectl"),
    ):
        yield f"      - alert: {_quoted(alert)}"
        yield f"        expr: {_quoted(expression)}"
        if hold:
            yield f"        for: {hold}s"
        yield "        labels:"
        yield "          severity: critical"
        yield "        annotations:"
        yield f"          summary: {_quoted(summary)}"


def _untold(rule: Rule) -> str | None:
    return next((word for word, given in (("tag", rule.tag), ("pool", rule.pool), ("node", rule.node)) if given is not None), None)


def _ids(pattern: str) -> str:
    """A pattern of objects as a regular expression of ids: the metrics call guests qemu/100 and lxc/100."""
    # fnmatch.translate writes what Prometheus' RE2 does not know
    parts = (_WILDCARDS.get(part[0]) or _one_of(part) for part in _PARTS.findall(pattern))
    expression = "".join(parts)
    return expression.replace("guest/", "(qemu|lxc)/", 1) if expression.startswith("guest/") else expression


def _one_of(part: str) -> str:
    if len(part) > 1 and part.startswith("["):
        return f"[^{part[2:]}" if part[1] == "!" else part
    return re.escape(part)


def _camel(check: str) -> str:
    return "Pvectl" + "".join(word.capitalize() for word in re.split(r"[._]", check))


def _quoted(text: str) -> str:
    # a JSON string is a YAML string, and a PromQL one
    return json.dumps(text, ensure_ascii=False)


def _commented(text: str) -> str:
    return " ".join(text.split())
