"""The rules of `qshim check`: all of them, or the page of one.

qshim rules                     the catalogue
qshim rules mmio-moved          what it finds, what will happen, what to do
qshim rules --schema            the JSON Schema of qshim check --format json
"""

from __future__ import annotations

import argparse
import textwrap

from qshim.errors import UsageError

__all__ = ["configure", "run"]

_FORMATS = ("text", "json", "markdown")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of `qshim rules`."""
    parser.description = __doc__
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("rule", nargs="?", metavar="RULE-ID", help="print the page of this rule")
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of qshim check --format json")
    parser.add_argument("--format", choices=_FORMATS, default="text", help="of the catalogue (default: text)")


def run(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    import json

    from qshim.layout.rules import RULES, SEVERITIES

    if args.schema:
        from qshim.reports.findings.json import CHECK_SCHEMA

        print(json.dumps(CHECK_SCHEMA, indent=2))
    elif args.rule is not None:
        if args.rule not in RULES:
            from difflib import get_close_matches

            near = get_close_matches(args.rule, RULES, 3, 0.4)
            raise UsageError(f"there is no rule {args.rule!r}{f'; near it: {chr(44).join(near)}' if near else ''}")
        rule = RULES[args.rule]
        print(f"{args.rule} ({rule.severity}: {SEVERITIES[rule.severity]})\n")
        for word, text in (("finds", rule.title), ("then", rule.consequence), ("do", rule.page)):
            print(textwrap.fill(text, 100, initial_indent=f"{word:8}", subsequent_indent=" " * 8,
                                break_on_hyphens=False, break_long_words=False))  # fmt: skip
    elif args.format == "json":
        print(json.dumps({name: rule._asdict() for name, rule in RULES.items()}, indent=2))
    elif args.format == "markdown":
        print("| rule | severity | finds | what QEMU or the guest does about it |\n|---|---|---|---|")
        for name, rule in RULES.items():
            print(f"| `{name}` | {rule.severity} | {rule.title} | {rule.consequence} |")
    else:
        for severity, meaning in SEVERITIES.items():
            print(f"{severity}: {meaning}")
            for name, rule in RULES.items():
                if rule.severity == severity:
                    print(f"  {name:36}{rule.title}")
    return 0
