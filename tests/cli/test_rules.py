"""`qshim rules` as a command."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from qshim.cli import main
from qshim.layout.rules import RULES

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_catalogue_has_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if line.startswith("  ")] == sorted(
        RULES, key=lambda rule: ["error", "warning", "info"].index(RULES[rule].severity)
    )
    assert main(["rules", "--format", "json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_a_page(rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", rule]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for text in (RULES[rule].severity, RULES[rule].title, RULES[rule].consequence, RULES[rule].page):
        assert text in out


def test_readme_has_the_catalogue(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--format", "markdown"]) == 0
    assert capsys.readouterr().out in README


def test_schema_and_unknown_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert main(["rules", "mmio-move"]) == 2
    assert "near it: mmio-moved" in capsys.readouterr().err
