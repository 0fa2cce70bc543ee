"""The prediction for a migration, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator

from qshim.layout.migration import VERDICTS, BlockVerdict, Migration
from qshim.views.typed import JsonObject

__all__ = ["FORMATS", "MIGRATION_SCHEMA", "rendered"]

FORMATS = {"text": "for people", "json": "for programs; `qshim schema migration` describes it",
           "markdown": "for comments on a change request"}  # fmt: skip
"""Name -> what it is for."""


def rendered(migration: Migration, sides: tuple[str, str], version: str | None, name: str) -> str:
    """*migration* from and to *sides*, to a QEMU *version*, in the format *name*; ends in a newline."""
    if name == "json":
        return json.dumps(_document(migration, sides, version), indent=2) + "\n"
    lines = _text if name == "text" else _markdown
    return "".join(f"{line}\n" for line in lines(migration, sides, version))


def _text(migration: Migration, sides: tuple[str, str], version: str | None) -> Iterator[str]:
    yield f"from {sides[0]}"
    yield f"to   {sides[1]}{f' (QEMU {version})' if version else ''}"
    equal = 0
    for check in migration.checks:
        if check.verdict == "accepted" and check.why == "equal":
            equal += 1
            continue
        yield f"{check.verdict}: {_named(check)}: {check.why}"
    if equal:
        yield f"accepted: {equal} RAM block{'s' * (equal > 1)} of equal length"
    if migration.errors:
        yield "the destination will say:"
        yield from (f"  {line}" for line in migration.errors)
    meaning = {
        "accepted": "no RAM block stands in the way; the state of devices was not looked at",
        "refused": "the destination refuses this migration",
        "unknown": "nothing refuses it for certain, but not everything is known",
    }
    yield f"{migration.verdict}: {meaning[migration.verdict]}"


def _markdown(migration: Migration, sides: tuple[str, str], version: str | None) -> Iterator[str]:
    yield f"**{migration.verdict}**: migration from `{sides[0]}` to `{sides[1]}`"
    yield "\n| RAM block | verdict | why |\n|---|---|---|"
    for check in migration.checks:
        yield f"| {_named(check).replace('|', chr(92) + '|')} | {check.verdict} | {check.why} |"
    if migration.errors:
        yield f"\nThe destination{f' (QEMU {version})' if version else ''} will say:\n\n```"
        yield from migration.errors
        yield "```"


def _named(check: BlockVerdict) -> str:
    return check.name or "the whole machine"


def _document(migration: Migration, sides: tuple[str, str], version: str | None) -> dict[str, object]:
    return {
        "schema": "qshim/migration/1",
        "verdict": migration.verdict,
        "source": sides[0],
        "destination": sides[1],
        "version": version,
        "checks": [
            {"block": c.name or None, "verdict": c.verdict, "why": c.why, "error": c.error} for c in migration.checks
        ],
        "errors": list(migration.errors),
    }


_TEXT: JsonObject = {"type": "string"}
_MAYBE: JsonObject = {"type": ["string", "null"]}
MIGRATION_SCHEMA: JsonObject = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "qshim/migration/1",
    "description": "what `qshim migrate-check --format json` prints",
    "type": "object",
    "properties": {
        "schema": {"const": "qshim/migration/1"},
        "verdict": {"enum": list(VERDICTS)},
        "source": _TEXT,
        "destination": _TEXT,
        "version": {"type": ["string", "null"], "description": "of the destination's QEMU"},
        "checks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "block": {"type": ["string", "null"], "description": "null: the whole machine"},
                    "verdict": {"enum": list(VERDICTS)},
                    "why": _TEXT,
                    "error": _MAYBE,
                },
                "required": ["block", "verdict", "why", "error"],
                "additionalProperties": False,
            },
        },
        "errors": {"type": "array", "description": "what the destination will print", "items": _TEXT},
    },
    "required": ["schema", "verdict", "source", "destination", "version", "checks", "errors"],
    "additionalProperties": False,
}
"""JSON Schema of a prediction."""
