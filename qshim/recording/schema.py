"""The JSON Schema of the recording file, for readers that are not qshim."""

from __future__ import annotations

from qshim.recording.format import SCHEMA, WHENS

__all__ = ["RECORDING"]

_STRINGS = {"type": "array", "items": {"type": "string", "pattern": "^[^\n]*$"}}
_WORD = {"type": "integer", "minimum": 0, "maximum": (1 << 64) - 1}

RECORDING: dict[str, object] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A captured QEMU machine",
    "type": "object",
    "additionalProperties": False,
    "required": ["schema", "qemu", "when", "kvm", "argv", "hmp", "qmp", "qom", "skipped"],
    "properties": {
        "schema": {"const": SCHEMA},
        "qemu": {
            "type": "object",
            "additionalProperties": False,
            "required": ["major", "minor", "micro"],
            "properties": {
                "major": {"type": "integer", "minimum": 0, "maximum": 999},
                "minor": {"type": "integer", "minimum": 0, "maximum": 999},
                "micro": {"type": "integer", "minimum": 0, "maximum": 999},
                "package": {"type": "string"},
            },
        },
        "target": {"type": ["string", "null"], "description": "the emulator's target, such as x86_64"},
        "machine": {"type": ["string", "null"], "description": "the machine type, never an alias"},
        "when": {"enum": list(WHENS)},
        "kvm": {"type": "boolean"},
        "argv": {**_STRINGS, "description": "command line with paths replaced"},
        "page_bits": {"type": ["integer", "null"], "minimum": 1, "maximum": 30},
        "hmp": {
            "type": "object",
            "description": "command -> lines that it printed, without line ends",
            "additionalProperties": _STRINGS,
        },
        "qmp": {"type": "object", "description": "command -> what it returned"},
        "qom": {
            "type": "object",
            "description": "path of a memory region -> its properties",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["container", "addr", "size", "priority"],
                "properties": {
                    "container": {"type": "string"},
                    "addr": _WORD,
                    "size": {**_WORD, "description": "bytes; 2^64 - 1 means 2^64"},
                    "priority": {"type": "integer", "minimum": -(1 << 31), "maximum": (1 << 31) - 1},
                },
            },
        },
        "skipped": {
            "type": "object",
            "description": "command that was not answered -> reason",
            "additionalProperties": {"type": "string"},
        },
    },
}
