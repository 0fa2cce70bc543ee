"""Print the JSON Schema of a document that qshim writes."""

from __future__ import annotations

import argparse

__all__ = ["SCHEMAS", "configure", "run"]

SCHEMAS: dict[str, tuple[str, str]] = {
    "explain": ("qshim.views.explain", "EXPLAIN_SCHEMA"),
    "migration": ("qshim.reports.migration", "MIGRATION_SCHEMA"),
    "mqtt": ("qshim.bridge.schema", "MQTT_SCHEMA"),
    "recording": ("qshim.recording.schema", "RECORDING"),
    "report": ("qshim.reports.json", "REPORT_SCHEMA"),
    "sweep": ("qshim.crosscheck.sweep", "SWEEP_SCHEMA"),
    "views": ("qshim.views.typed", "VIEWS_SCHEMA"),
}
"""Name -> the module and the constant that hold the JSON Schema."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `qshim schema`."""
    parser.add_argument("name", choices=sorted(SCHEMAS), help="the document")


def run(args: argparse.Namespace) -> int:
    """Print the schema on stdout."""
    import json
    from importlib import import_module

    module, constant = SCHEMAS[args.name]
    print(json.dumps(getattr(import_module(module), constant), indent=2))
    return 0
