"""Parameter verification in PVE's wording: types, ranges, formats, unknown and missing parameters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from pvectl.sim.refusals import bad_parameters

UNKNOWN = "property is not defined in schema and the schema does not allow additional properties"
MISSING = "property is missing and it is not optional"

INTEGER = re.compile(r"[+-]?\d+")
NUMBER = re.compile(r"[+-]?(\d+\.\d+|\d+|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
VMID = re.compile(r"[1-9]\d{2,8}")
NODE_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9\-]*[a-zA-Z0-9])?")
STORAGE_ID = re.compile(r"[a-z][a-z0-9\-_.]*[a-z0-9]", re.IGNORECASE)
CONFIG_ID = re.compile(r"[a-z][a-z0-9_-]+", re.IGNORECASE)
CONFIG_DIGEST_LONGEST = 40
REF_NAMES: Mapping[type, str] = {dict: "HASH", list: "ARRAY"}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """What one parameter may be."""

    kind: Literal["string", "integer", "number", "boolean", "array"] = "string"
    required: bool = False
    low: float | None = None
    high: float | None = None
    longest: int | None = None
    choices: tuple[str, ...] = ()
    wrong: Callable[[str], str | None] | None = None
    """Says what is wrong with the text, or None."""
    is_list: bool = False
    """A repeated key or a JSON array is joined with commas, as PVE does for its list formats."""
    items: Parameter | None = None

    def optional(self) -> Parameter:
        """The same, but it may be missing."""
        return replace(self, required=False)


Schema: TypeAlias = Mapping[str, Parameter]


def format_of(pattern: re.Pattern[str], what: str) -> Callable[[str], str | None]:
    """A format check with PVE's text for a value that does not match."""

    def wrong(text: str) -> str | None:
        return None if pattern.fullmatch(text) else f"invalid format - value does not look like a valid {what}\n"

    return wrong


NODE = Parameter(required=True, wrong=format_of(NODE_NAME, "node name"))
GUEST_ID = Parameter(kind="integer", required=True, wrong=format_of(VMID, "VM ID"))
STORAGE = Parameter(required=True, wrong=format_of(STORAGE_ID, "storage ID"))
SNAPSHOT = Parameter(
    longest=40, wrong=lambda text: None if CONFIG_ID.fullmatch(text) else f"invalid format - invalid configuration ID '{text}'\n"
)
SWITCH = Parameter(kind="boolean")
TEXT = Parameter()
COUNT = Parameter(kind="integer", low=0)
DIGEST = Parameter(longest=CONFIG_DIGEST_LONGEST)


def verify(schema: Schema, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as Python values; raises 400 naming every bad one.

    Booleans become 0 or 1. Over a form PVE knows only `1` and `0`; JSON true and false work as well.
    """
    errors: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if value is None:
            continue
        parameter = schema.get(name)
        if parameter is None:
            errors[name] = UNKNOWN
            continue
        _check(name, parameter, value, values, errors)
    for name, parameter in schema.items():
        if parameter.required and name not in given:
            errors[name] = MISSING
    if errors:
        raise bad_parameters(errors)
    return values


def _check(name: str, parameter: Parameter, value: Any, values: dict[str, Any], errors: dict[str, str]) -> None:
    if parameter.kind == "array":
        items = value if isinstance(value, list) else [value]
        found: dict[str, Any] = {}
        for index, item in enumerate(items):
            _check(f"{name}[{index}]", parameter.items or TEXT, item, found, errors)
        values[name] = list(found.values())
        return
    if isinstance(value, list) and parameter.is_list:
        value = ",".join(str(item) for item in value)
    problem, converted = _convert(parameter, value)
    if problem is None:
        problem = _out_of_bounds(parameter, converted) or (parameter.wrong(str(value)) if parameter.wrong else None)
    if problem is not None:
        errors[name] = problem
    else:
        values[name] = converted


def _convert(parameter: Parameter, value: Any) -> tuple[str | None, Any]:
    if isinstance(value, (dict, list)):
        return f"type check ('{parameter.kind}') failed - got {REF_NAMES[type(value)]}", None
    if isinstance(value, bool):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    failed = f"type check ('{parameter.kind}') failed - got '{text}'"
    match parameter.kind:
        case "integer":
            return (None, int(text)) if INTEGER.fullmatch(text) else (failed, None)
        case "number":
            return (None, float(text)) if NUMBER.fullmatch(text) else (failed, None)
        case "boolean":
            return (None, int(text)) if text in {"0", "1"} else (failed, None)
        case _:
            return None, text


def _out_of_bounds(parameter: Parameter, value: Any) -> str | None:
    if parameter.choices and value not in parameter.choices:
        return f"value '{value}' does not have a value in the enumeration '{', '.join(parameter.choices)}'"
    if parameter.low is not None and value < parameter.low:
        return f"value must have a minimum value of {parameter.low:g}"
    if parameter.high is not None and value > parameter.high:
        return f"value must have a maximum value of {parameter.high:g}"
    if parameter.longest is not None and len(value) > parameter.longest:
        return f"value may only be {parameter.longest} characters long"
    return None
