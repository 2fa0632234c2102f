"""Every key of the two configuration files: its type, its default and a sentence about it."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from pvectl.config.schema import connections, jobs
from pvectl.config.schema.alerting import Alert, RuleEntry
from pvectl.config.schema.connections import SHORT_FORM_NAME, ClusterEntry, ProxmoxFile, SingleHost, Tls
from pvectl.config.schema.jobs import Activity, IdleCheck, OwnPlace, Probe, PvectlFile, Tags
from pvectl.config.schema.monitoring import Monitor
from pvectl.config.schema.receivers import NOT_A_MAP, HeartbeatEntry, Outgoing, ReceiverEntry, SecretSource
from pvectl.config.schema.scheduling import ScheduledShutdown, ScheduleEntry, StageEntry, StayUpEntry
from pvectl.core.secret import Secret

__all__ = [
    "FILES",
    "KEY_HINTS",
    "NOT_A_MAP",
    "SHORT_FORM_NAME",
    "Activity",
    "Alert",
    "ClusterEntry",
    "HeartbeatEntry",
    "IdleCheck",
    "Monitor",
    "Outgoing",
    "OwnPlace",
    "Probe",
    "ProxmoxFile",
    "PvectlFile",
    "ReceiverEntry",
    "RuleEntry",
    "ScheduleEntry",
    "ScheduledShutdown",
    "SecretSource",
    "SingleHost",
    "StageEntry",
    "StayUpEntry",
    "Tags",
    "Tls",
    "json_schema",
]

KEY_HINTS: Mapping[type[Struct], Mapping[str, str]] = {**connections.KEY_HINTS, **jobs.KEY_HINTS}
"""What to say about keys people know from elsewhere, or put in the wrong place."""

FILES: Mapping[str, type[Struct]] = {"proxmox": ProxmoxFile, "pvectl": PvectlFile}
"""The files by the word `pvectl config schema` takes."""

_EXACTLY_ONE = frozenset({OwnPlace.__name__, SecretSource.__name__})


def json_schema(of: type[Struct]) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) for editors; stricter than msgspec's own in that unknown keys are errors."""
    import msgspec

    schema = msgspec.json.decode(msgspec.json.encode(msgspec.json.schema(of, schema_hook=_secret_as_string)))
    for definition in schema["$defs"].values():
        definition["additionalProperties"] = definition.get("additionalProperties", False)
        definition["description"] = definition["description"].partition("\n")[0]
        if definition["title"] in _EXACTLY_ONE:
            definition |= {"minProperties": 1, "maxProperties": 1}
        for name, key in definition["properties"].items():
            for place in (key, *key.get("anyOf", ())):
                _offer_both_spellings(place)
            for place in (key, key.get("items", {})):
                _offer_other_types(place)
            if "description" not in key:
                key["description"] = f"Which {name} of receiver it is."
            if "$ref" in key:
                # what a section is by default stands at its own keys
                key.pop("default", None)
    if of is PvectlFile:
        # a file of nothing but comments means the defaults, and an editor reads it as null
        schema["$defs"][of.__name__]["type"] = ["object", "null"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"{_file_of(of)} of pvectl", **schema}


def _offer_other_types(place: dict[str, Any]) -> None:
    """What may be written beside what the value becomes: one alone for a list of one, a number for a word."""
    types = place.pop("types", None)
    if types and "anyOf" in place:
        known = {kind.get("type") for kind in place["anyOf"]}
        place["anyOf"] += [{"type": one} for one in types if one not in known]
    elif types:
        place["type"] = types


def _offer_both_spellings(key: dict[str, Any]) -> None:
    """A duration is a whole number with a pattern: the number is seconds, the pattern is for 30m."""
    if key.get("type") == "integer" and "pattern" in key:
        from pvectl.config.durations import show_duration

        key["type"] = ["integer", "string"]
        key.setdefault("minimum", 0)
        if "default" in key:
            key["default"] = show_duration(key["default"])


def _secret_as_string(of: type) -> dict[str, Any]:
    if of is Secret:
        return {"type": "string", "minLength": 1, "writeOnly": True}
    raise NotImplementedError(of)


def _file_of(of: type[Struct]) -> str:
    return next((f"{word}.yml" for word, struct in FILES.items() if struct is of), of.__name__)
