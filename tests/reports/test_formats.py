"""Every format says everything, and is what its readers take."""

from __future__ import annotations

import io
import json
import re
from xml.etree import ElementTree

import jsonschema
import pytest

from qshim.cli.coloured import print_report, wanted
from qshim.layout.compare import CHANGES, Change
from qshim.layout.verify import Difference
from qshim.reports import FORMATS, rendered
from qshim.reports.json import REPORT_SCHEMA
from qshim.reports.model import Report, Side, fingerprint, grouped

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


def test_gitlab_entries_have_what_it_needs() -> None:
    entries = json.loads(rendered(DIFFERS, "gitlab"))
    assert [entry["check_name"] for entry in entries] == ["region-moved", "block-removed", "text-differs"]
    assert {entry["severity"] for entry in entries} == {"critical"}
    assert len({entry["fingerprint"] for entry in entries}) == 3
    assert entries[0]["location"] == {"path": "qshim", "lines": {"begin": 1}}
    assert json.loads(rendered(SAME, "gitlab")) == []
    assert json.loads(rendered(REFUSED, "gitlab"))[0]["severity"] == "blocker"


def test_markdown_cells_stay_cells() -> None:
    row = next(line for line in rendered(DIFFERS, "markdown").splitlines() if "moved from" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 4
    assert "&lt;b>" in row


def test_text_shows_both_lines_and_counts_what_it_leaves_out() -> None:
    many = tuple(Change("region-moved", "x", f"'{n}' moved by {n}", None, "r") for n in range(50))
    text = rendered(Report(LEFT, RIGHT, many, (), ("t",)), "text")
    assert "region-moved (50): another offset in its container" in text
    assert "  ... and 10 more" in text
    assert "    + r" in text


def test_fingerprints_tell_changes_apart() -> None:
    assert fingerprint(MOVED) != fingerprint(GONE)
    assert fingerprint(MOVED) == fingerprint(Change(MOVED.kind, MOVED.place, MOVED.what, "other", "lines"))


def test_equal_sentences_are_one() -> None:
    owner = [Change("region-owner-changed", "m", f"'{n}' belongs to b instead of a", "l", "r") for n in "xyx"]
    other = Change("region-owner-changed", "m", "'z' belongs to c instead of a", "l", "r")
    assert [(sentence, len(group)) for sentence, group in grouped([*owner, other])] == [
        ("3: 'x' (2 times), 'y': each belongs to b instead of a", 3), ("'z' belongs to c instead of a", 1),
    ]  # fmt: skip
    for name in ("text", "markdown"):
        text = rendered(Report(LEFT, RIGHT, (*owner, other), (), ("t",)), name)
        assert text.count("belongs to b") == 1
        assert "region-owner-changed (4)" in text


@pytest.mark.parametrize(
    ("choice", "environment", "terminal", "coloured"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"FORCE_COLOR": "1"}, False, True),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_when_there_is_colour(
    monkeypatch: pytest.MonkeyPatch, choice: str, environment: dict[str, str], terminal: bool, coloured: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm", **environment}.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    assert wanted(choice, stream) is coloured


@pytest.mark.parametrize("columns", [200, 80])
def test_both_sides_beside_each_other_where_there_is_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    long = Change("region-moved", "m", "'l' moved", "word " * 40, "peer " * 40)
    print_report(Report(LEFT, RIGHT, (MOVED, GONE, long), (TEXT,), ("info mtree -o",)))
    output = capsys.readouterr().out
    plain = re.sub(r"\x1b\[[\d;]*m", "", output)
    assert "\x1b[31m" in output
    assert "\x1b[32m" in output
    beside = [line for line in plain.splitlines() if "- 0-f: a|b" in line]
    assert len(beside) == 1
    assert ("| + 10-1f: a|b" in beside[0]) is (columns == 200)
    assert plain.count("word") == 40
    assert plain.count("peer") == 40
    if columns == 200:
        assert all(len(line) <= 200 for line in plain.splitlines())
    else:
        assert plain == rendered(Report(LEFT, RIGHT, (MOVED, GONE, long), (TEXT,), ("info mtree -o",)), "text")
