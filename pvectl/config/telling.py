"""What must hold in `alert:` beyond the type of each key: every name in it means something, and nothing contradicts itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pvectl.config.addresses import is_loopback
from pvectl.config.problems import PartlyWrong, Remark, nearest, shown
from pvectl.config.schema.alerting import RuleEntry
from pvectl.config.schema.receivers import AlertmanagerEntry, SecretSource
from pvectl.config.watching import unknown_check

_SOURCES = SecretSource.__struct_fields__


def of_secret(given: Mapping[str, object]) -> Iterator[Remark]:
    sources = [key for key, value in given.items() if key in _SOURCES and value != ()]
    if not given or (not sources and "command" in given):
        yield Remark(key="", message="says nothing", hint="write {secret: NAME}, {file: PATH}, {credential: NAME} or {command: [...]}")
    for extra in sources[1:]:
        yield Remark(key=extra, message=f"stands beside {sources[0]}, and only one can be meant", hint=f"take {extra} or {sources[0]} out")


def of_receiver_tls(given: Mapping[str, object]) -> Iterator[Remark]:
    if given.get("ca_file") and given.get("fingerprints"):
        yield Remark(
            key="fingerprints", message="stands beside ca_file, and only one can be meant", hint="take fingerprints or ca_file out"
        )


def of_login(given: Mapping[str, object]) -> Iterator[Remark]:
    """A user, a password and a token, where a receiver may have them."""
    for key, other in (("user", "password"), ("password", "user")):
        if key in given and other not in given:
            yield Remark(key=key, message=f"needs {other} beside it", hint="a user and a password go together")
    if "token" in given and "user" in given:
        yield Remark(key="token", message="stands beside user, and only one can be meant", hint="take token or user out")


def of_smtp(given: Mapping[str, object]) -> Iterator[Remark]:
    yield from of_login(given)
    if given.get("security") == "plain":
        if "password" in given:
            yield Remark(key="password", message="would be sent in the clear", hint="write security: starttls or tls")
        if "tls" in given:
            yield Remark(key="tls", message="means nothing without encryption", hint="write security: starttls or tls, or take tls out")
    user = given.get("user")
    if isinstance(user, str) and not (user.isascii() and user.isprintable()):
        yield Remark(key="user", message="has letters a mail server does not take", hint="write it in ASCII")
    yield from _twice("to", given.get("to"))


def of_sendmail(given: Mapping[str, object]) -> Iterator[Remark]:
    yield from _twice("to", given.get("to"))


def of_web(given: Mapping[str, object]) -> Iterator[Remark]:
    """A receiver whose address is plain to see: it can be told here when that is http."""
    yield from of_login(given)
    for key in ("url", "server"):
        address = given.get(key)
        if isinstance(address, str) and address.startswith("http://") and given.get("allow_http") is not True:
            yield from _in_the_clear(key, address)


def _in_the_clear(key: str, address: str) -> Iterator[Remark]:
    if not is_loopback(address):
        hint = "write https://, or allow_http: true; of this machine's own, write the address: http://127.0.0.1:9093"
        yield Remark(key=key, message="is not encrypted", hint=hint)


def of_webhook(given: Mapping[str, object]) -> Iterator[Remark]:
    yield from of_web(given)
    headers = given.get("headers")
    seen: set[str] = set()
    for name in headers if isinstance(headers, dict) else ():
        if name.lower() in seen:
            yield Remark(key=f"headers.{name}", message=f"the header {name} stands there twice", hint="capitals make no difference")
        seen.add(name.lower())


def of_template(given: Mapping[str, object]) -> Iterator[Remark]:
    if not given:
        yield Remark(key="", message="says nothing", hint="give subject, text or both")


def of_rule(given: Mapping[str, object]) -> Iterator[Remark]:
    checks = given.get("checks")
    for index, pattern in enumerate(checks if isinstance(checks, tuple) else ()):
        if isinstance(pattern, str):
            yield from unknown_check(f"checks[{index}]", pattern)
    yield from _twice("receivers", given.get("receivers"))


def of_alert(given: Mapping[str, object]) -> Iterator[Remark]:
    """The names in it: a rule for a receiver nobody has heard of would tell nobody, and somebody would rely on it."""
    receivers, templates = (_by_name(given.get(key, {})) for key in ("receivers", "templates"))
    if receivers is not None:
        yield from _unknown_receivers("notices", given.get("notices"), receivers)
    seen: set[str] = set()
    for index, rule in _rules(given):
        path = f"rules[{index}]"
        if rule.name in seen:
            yield Remark(key=f"{path}.name", message=f"a rule {shown(rule.name)} stands there already", hint="give each rule its own name")
        seen |= {rule.name} - {""}
        if receivers is not None:
            yield from _unknown_receivers(f"{path}.receivers", rule.receivers, receivers)
        if templates is not None and rule.template is not None and rule.template not in templates:
            yield _unknown(f"{path}.template", "template", rule.template, templates)


def _by_name(value: object) -> Mapping[str, object] | None:
    """What stands under each name, wrong or not; None where it is no map at all."""
    values = value.values if isinstance(value, PartlyWrong) else value
    return values if isinstance(values, dict) else None


def _rules(given: Mapping[str, object]) -> Iterator[tuple[int, RuleEntry]]:
    value = given.get("rules", ())
    values = value.values if isinstance(value, PartlyWrong) else value
    for index, rule in enumerate(values if isinstance(values, tuple) else ()):
        if isinstance(rule, RuleEntry):
            yield index, rule


def _unknown_receivers(key: str, named: object, receivers: Mapping[str, object]) -> Iterator[Remark]:
    for index, name in enumerate(named if isinstance(named, tuple) else ()):
        if name not in receivers:
            yield _unknown(f"{key}[{index}]", "receiver", name, receivers)
        elif isinstance(receivers[name], AlertmanagerEntry):
            message = f"{name} is an Alertmanager, which gets everything that fires in every run"
            yield Remark(key=f"{key}[{index}]", message=message, hint="take it out here; it decides itself whom it tells")


def _unknown(key: str, what: str, name: str, known: Iterable[str]) -> Remark:
    names = list(known)
    close = nearest(name, names)
    hint = f"did you mean {close}?" if close else f"known are: {', '.join(names)}" if names else f"write it under {what}s:"
    return Remark(key=key, message=f"there is no {what} {shown(name)}", hint=hint)


def _twice(key: str, values: object) -> Iterator[Remark]:
    seen: set[object] = set()
    for index, value in enumerate(values if isinstance(values, tuple) else ()):
        if value in seen:
            yield Remark(key=f"{key}[{index}]", message=f"{shown(str(value))} stands there twice", hint="take one of them out")
        seen.add(value)
