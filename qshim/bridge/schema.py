"""The JSON Schema of the messages: `qshim schema mqtt`."""

from __future__ import annotations

from qshim.bridge.payloads import SCHEMA
from qshim.layout.compare import CHANGES
from qshim.views.typed import JsonObject, JsonValue

__all__ = ["MQTT_SCHEMA"]

_TEXT: JsonObject = {"type": "string"}
_MAYBE: JsonObject = {"type": ["string", "null"]}
_COUNT: JsonObject = {"type": "integer", "minimum": 0}
_DIGEST: JsonObject = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_TIME: JsonObject = {"type": "integer", "description": "seconds since 1970, UTC"}
_OBJECT: JsonObject = {"type": "object"}


def _or_null(schema: JsonObject) -> JsonObject:
    return {"anyOf": [schema, {"type": "null"}]}


def _closed(properties: JsonObject) -> JsonObject:
    names: list[JsonValue] = list(properties)
    return {"type": "object", "properties": properties, "required": names, "additionalProperties": False}


def _message(kind: str, topic: str, retained: bool, description: str, properties: JsonObject) -> JsonObject:
    return {
        "title": kind,
        "description": f"{topic}, {'retained' if retained else 'not retained'}: {description}",
        **_closed({"schema": {"const": SCHEMA}, "kind": {"const": kind}, "host": _TEXT, **properties}),
    }


def _of_vm(kind: str, topic: str, retained: bool, description: str, properties: JsonObject) -> JsonObject:
    return _message(kind, f"<prefix>/<host>/<vm>/{topic}", retained, description, {"vm": _TEXT, **properties})


_POSITION: JsonObject = {
    "session": {"type": "string", "description": "another one for each start of the bridge"},
    "sequence": {
        "type": "integer", "minimum": 1,
        "description": "1, 2, 3 ... for events and diffs of one machine together; a gap is lost, an equal one repeated",
    },
}  # fmt: skip
_DEVICES = _or_null({"type": "array", "items": _OBJECT, "description": "members of query-memory-devices"})
_CHANGE = _closed(
    {"kind": {"enum": list(CHANGES)}, "place": _TEXT, "what": _TEXT, "left": _MAYBE, "right": _MAYBE}
)  # fmt: skip


def _verdict(kind: str, verdicts: list[JsonValue]) -> JsonObject:
    return _of_vm(
        kind, kind, True, f"the last result of `qshim {kind}`",
        {
            "verdict": {"enum": verdicts},
            "exit_status": {"enum": [0, 1, 3]},
            "found": {"type": "integer", "minimum": 0, "description": "changes, or findings with the waived ones"},
            "report": {"type": ["object", "null"], "description": "that of --format json; null: none, or too large"},
            "time": _TIME,
        },
    )  # fmt: skip


MQTT_SCHEMA: JsonObject = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": SCHEMA,
    "description": "what qshim bridge, serve, crosscheck and check publish; <prefix>/<host>/status is a word",
    "oneOf": [
        _of_vm(
            "state", "state", True, "run state",
            {
                "attached": {"type": "boolean", "description": "whether the monitor can be talked to"},
                "status": {"type": ["string", "null"], "description": "as query-status has it: running, paused ..."},
                "running": {"type": ["boolean", "null"]},
                "reason": {"type": ["string", "null"], "description": "why the monitor cannot be talked to"},
                "monitor": {"type": "string", "description": "its address on the host"},
                "qemu": _MAYBE,
                "time": _TIME,
            },
        ),
        _of_vm(
            "layout", "layout", True, "the memory layout in short; where it cannot be had, all null but `error`",
            {
                "digest": _or_null(_DIGEST),
                "qemu": _MAYBE, "target": _MAYBE, "machine": _MAYBE, "taken": _MAYBE,
                "totals": _or_null(_closed({"used_bytes": _COUNT, "max_bytes": _COUNT, "device_bytes": _COUNT})),
                "counts": _or_null(_closed(
                    {"blocks": _COUNT, "devices": _COUNT, "spaces": _COUNT, "regions": _COUNT, "ranges": _COUNT}
                )),
                "error": _MAYBE,
                "time": _TIME,
            },
        ),
        _of_vm(
            "layout-full", "layout/full", True, "the text that `qshim snapshot` writes",
            {
                "digest": _DIGEST,
                "encoding": {"enum": ["plain", "gzip+base64", "omitted"], "description": "omitted: too large"},
                "bytes": {"type": "integer", "description": "size of the text"},
                "text": _MAYBE,
            },
        ),
        _of_vm(
            "layout-diff", "layout/diff", False, "what a change of the layout means",
            {
                **_POSITION,
                "from": _DIGEST, "to": _DIGEST,
                "changes": {"type": "array", "items": _CHANGE},
                "omitted": {"type": "integer", "minimum": 0, "description": "changes that did not fit"},
                "devices_added": _DEVICES, "devices_removed": _DEVICES,
            },
        ),
        _of_vm(
            "event", "event/<NAME>", False, "a QMP event",
            {
                **_POSITION,
                "event": _MAYBE,
                "timestamp": _or_null(_OBJECT),
                "data": _or_null(_OBJECT),
                "omitted": {"type": "integer", "minimum": 0, "description": "bytes of data that were left out"},
            },
        ),
        _of_vm(
            "reply", "command/reply", False, "the answer to a request on <vm>/command, or its refusal",
            {
                "id": {"type": ["string", "null"], "description": "of the request; null where that had none"},
                "return": {"description": "what QEMU returned; lines of text for `info`"},
                "error": _or_null(_closed({"class": _TEXT, "desc": _TEXT})),
                "refused": {"type": ["string", "null"], "description": "why the request did not reach the machine"},
            },
        ),
        _verdict("crosscheck", ["same", "differs", "refused by both", "refused by one", "nothing compared"]),
        _verdict("check", ["clean", "findings", "incomplete"]),
        _message(
            "dropped", "<prefix>/<host>/dropped", True, "events that were lost since the bridge started",
            {
                "total": _COUNT,
                "vms": {
                    "type": "object", "additionalProperties": _COUNT,
                    "description": "events of each machine, and as `<vm>/command` replies to it",
                },
            },
        ),
    ],
}  # fmt: skip
"""JSON Schema of every message but `status`."""
