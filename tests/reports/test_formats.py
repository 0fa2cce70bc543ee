"""Every format says everything, and is what its readers take."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import jsonschema
import pytest

from qshim.layout.compare import CHANGES, Change
from qshim.layout.verify import Difference
from qshim.reports import FORMATS, rendered
from qshim.reports.json import REPORT_SCHEMA
from qshim.reports.model import Report, Side, fingerprint

LEFT, RIGHT = Side("/usr/bin/qemu", "7.2.22", "pc"), Side("qshim", "7.2.22", "pc")
MOVED = Change("region-moved", "memory/system", "'a|<b>' moved from 0x0 to 0x10", "0-f: a|b", "10-1f: a|b")
GONE = Change("block-removed", "pc.rom", "RAM block 'pc.rom' went, 100%", "pc.rom 4 KiB", None)
TEXT = Difference("info mtree -o", ("--- first", "+++ second", "-a", "+b"))
SAME = Report(LEFT, RIGHT, compared=("info mtree", "info ramblock"), allowances=(("MRU mark", "last lookup"),))
DIFFERS = Report(LEFT, RIGHT, (MOVED, GONE), (TEXT,), ("info mtree -o", "info ramblock"))
REFUSED = Report(Side("a", None, None, "no such machine"), Side("b", None, None, "no such machine"))
ONE = Report(Side("a", None, None, "no such machine"), RIGHT)
VOID = Report(LEFT, RIGHT)


def test_verdicts_and_statuses() -> None:
    reports = (SAME, DIFFERS, REFUSED, ONE, VOID)
    assert [(r.verdict, r.exit_status) for r in reports] == [
        ("same", 0), ("differs", 1), ("refused by both", 3), ("refused by one", 3), ("nothing compared", 3),
    ]  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_names_every_change_and_every_refusal(name: str) -> None:
    text = rendered(DIFFERS, name)
    assert text.endswith("\n")
    for word in ("region-moved", "block-removed", "moved from 0x0 to 0x10", "info mtree -o"):
        assert word in text
    assert "no such machine" in rendered(REFUSED, name)
    assert "refused by one" in rendered(ONE, name)
    assert "nothing" in rendered(VOID, name)
    assert "region-moved (" not in rendered(SAME, name)


@pytest.mark.parametrize("report", [SAME, DIFFERS, REFUSED, ONE, VOID], ids=lambda r: str(r.verdict))
def test_json_fits_its_schema(report: Report) -> None:
    jsonschema.validate(json.loads(rendered(report, "json")), REPORT_SCHEMA)


def test_junit_counts() -> None:
    suite = ElementTree.fromstring(rendered(DIFFERS, "junit").encode()).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == (str(len(CHANGES) + 2), "3", "0")
    refused = ElementTree.fromstring(rendered(REFUSED, "junit").encode()).find("testsuite")
    assert refused is not None
    assert (refused.get("tests"), refused.get("errors")) == ("1", "1")
    assert 'failures="0"' in rendered(SAME, "junit")


def test_github_commands_are_one_line_each() -> None:
    lines = rendered(DIFFERS, "github").splitlines()
    assert all(re.fullmatch(r"::(error|notice) title=[^:,]*(%3A|%2C|[^:,])*::.*", line) for line in lines)
    assert lines[0] == (
        "::error title=region-moved in memory/system::'a|<b>' moved from 0x0 to 0x10%0A- 0-f: a|b%0A+ 10-1f: a|b"
    )
    assert "100%25" in lines[1]
    assert rendered(SAME, "github") == "::notice title=qshim crosscheck::same: info mtree, info ramblock\n"


def test_sarif_rules_results_and_invocation() -> None:
    run = json.loads(rendered(DIFFERS, "sarif"))["runs"][0]
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} == {"region-moved", "block-removed", "text-differs"} <= rules
    assert run["results"][0]["partialFingerprints"] == {"qshim/1": fingerprint(MOVED)}
    assert run["invocations"] == [{"executionSuccessful": True}]
    failed = json.loads(rendered(REFUSED, "sarif"))["runs"][0]
    assert failed["invocations"][0]["executionSuccessful"] is False
    assert failed["results"] == []


def test_markdown_cells_stay_cells() -> None:
    row = next(line for line in rendered(DIFFERS, "markdown").splitlines() if "moved from" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 4
    assert "&lt;b>" in row


def test_text_shows_both_lines_and_counts_what_it_leaves_out() -> None:
    many = tuple(Change("region-moved", "x", f"'{n}' moved", None, "r") for n in range(50))
    text = rendered(Report(LEFT, RIGHT, many, (), ("t",)), "text")
    assert "region-moved (50): another offset in its container" in text
    assert "  ... and 10 more" in text
    assert "    + r" in text


def test_fingerprints_tell_changes_apart() -> None:
    assert fingerprint(MOVED) != fingerprint(GONE)
    assert fingerprint(MOVED) == fingerprint(Change(MOVED.kind, MOVED.place, MOVED.what, "other", "lines"))
