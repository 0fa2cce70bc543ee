"""`qshim check` as a command: goldens, waivers, formats, exit statuses."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from qshim.cli import main
from qshim.reports.findings import FORMATS
from qshim.reports.findings.json import CHECK_SCHEMA

RECORDINGS = Path(__file__).parents[2] / "fixtures" / "recordings" / "10.0"
ONE = f"""
[[layout]]
name = "dimm"
source = "{RECORDINGS}/pc-dimm.qrec.xz"
"""
TWO = f"""
[[layout]]
name = "devices"
source = "{RECORDINGS}/pc-devices.qrec.xz"
"""
Check = Callable[..., tuple[int, str, str]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    monkeypatch.chdir(tmp_path)

    def run(config: str | None, *options: str) -> tuple[int, str, str]:
        if config is not None:
            Path("qshim.toml").write_text(config, encoding="utf-8")
        status = main(["check", *options])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def rules(output: str) -> list[str]:
    return [f["rule"] for f in json.loads(output)["findings"]]


def changed(check: Check) -> str:
    """A project whose one layout is no longer what its golden says."""
    assert check(ONE, "--update")[0] == 0
    return ONE.replace("pc-dimm", "pc-devices")


def test_goldens_are_written_and_then_nothing_is_found(check: Check) -> None:
    assert rules(check(ONE, "--format", "json")[1])[0] == "golden-missing"
    assert not Path("layouts").exists()
    assert check(ONE, "--update")[:2] == (0, "new: layouts/dimm.layout\n")
    assert check(ONE)[:2] == (0, "clean: 1 layouts checked: no findings\n")
    assert check(ONE, "--update")[:2] == (0, "")
    assert check(ONE + TWO, "--update")[1] == "new: layouts/devices.layout\n"
    assert check(ONE + TWO)[0] == 0


def test_a_change_is_a_finding_until_the_golden_is_new(check: Check) -> None:
    config = changed(check)
    status, out, _ = check(config)
    assert status == 1
    assert "error [ramblock-used-length-changed] RAM block 'pc.ram' has the used length" in out
    assert check(config, "--update")[1] == "changed: layouts/dimm.layout\n"
    assert check(config)[0] == 0


def test_a_golden_without_a_layout_counts_and_goes(check: Check) -> None:
    assert check(ONE + TWO, "--update")[0] == 0
    status, out, _ = check(ONE, "--format", "json")
    assert (status, rules(out)) == (1, ["golden-unused"])
    assert check(None, "dimm")[0] == 0
    assert check(None, "--update")[1] == "removed: layouts/devices.layout\n"


def test_what_cannot_be_had_is_never_clean(check: Check) -> None:
    broken = ONE + TWO.replace("pc-devices", "no-such")
    assert check(ONE, "--update")[0] == 0
    status, out, _ = check(broken)
    assert status == 3
    assert out.endswith("incomplete: 1 layouts checked, 1 could not be had: no findings\n")
    before = sorted(Path("layouts").iterdir())
    config = broken.replace("pc-dimm", "pc-devices")
    status, _, err = check(config, "--update")
    assert status == 3
    assert "no golden was written" in err
    assert sorted(Path("layouts").iterdir()) == before
    assert check(ONE)[0] == 0


def test_a_golden_that_was_edited_compares_with_nothing(check: Check) -> None:
    assert check(ONE, "--update")[0] == 0
    golden = Path("layouts/dimm.layout")
    golden.write_text(golden.read_text(encoding="utf-8").replace("0x20000000", "0x30000000"), encoding="utf-8")
    status, out, _ = check(ONE)
    assert status == 3
    assert "its digest does not fit" in out


def test_two_builds_that_differ_are_found(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    from qshim.crosscheck import snapshots
    from qshim.edge.git import stored

    assert check(ONE, "--update")[0] == 0
    twice = ONE + "twice = true\n"
    assert check(twice)[0] == 0
    names = itertools.cycle(["pc-dimm", "pc-devices"])

    def other(source: str, folder: str = ".") -> bytes:
        return stored(f"{RECORDINGS}/{next(names)}.qrec.xz", folder)

    monkeypatch.setattr(snapshots, "stored", other)
    status, out, _ = check(twice, "--format", "json")
    assert (status, rules(out)) == (1, ["nondeterministic-layout"])
    assert check(twice, "--update")[0] == 3


def test_waivers_need_a_use_and_end(check: Check) -> None:
    config = changed(check)
    waivers = set(rules(check(config, "--format", "json")[1]))
    text = "".join(
        f'[[waiver]]\nrule = "{rule}"\nobject = "*"\nreason = "planned"\nexpires = 2999-01-01\n' for rule in waivers
    )
    status, out, _ = check(config + text)
    assert status == 0
    assert "waived: planned" in out
    assert "waived" in out.rsplit(":", 1)[1]
    assert rules(check(ONE + text, "--format", "json")[1]) == ["waiver-unused"] * len(waivers)
    over = text.replace("2999-01-01", "2020-01-01")
    status, out, _ = check(config + over, "--format", "json")
    assert status == 1
    assert rules(out).count("waiver-expired") == len(waivers)


def test_assertions_and_severities(check: Check) -> None:
    config = ONE + '[[assert]]\nthat = "RAM is at least 1T"\nreason = "the test suite needs it"\n'
    assert check(ONE, "--update")[0] == 0
    status, out, _ = check(config)
    assert status == 1
    assert "asserted: RAM is at least 1T; but it is 0x20000000 bytes" in out
    assert "the test suite needs it" in out
    assert check(config.replace("reason", 'layout = "other*"\nreason'))[0] == 0
    assert check('fail_on = "error"\n' + config + '[severity]\nassertion-failed = "warning"\n')[0] == 0
    assert check(config + '[severity]\nassertion-failed = "info"\n', "--fail-on", "info")[0] == 1
    assert check(config + '[severity]\nassertion-failed = "off"\n')[0] == 0


@pytest.mark.parametrize(
    "config",
    [
        "",
        "layout = 5",
        "[[layout",
        ONE + "colour = 1",
        ONE + 'args = "-M pc"',
        ONE + ONE,
        ONE.replace("dimm", "a/b", 1),
        '[[layout]]\nname = "x"',
        '[[layout]]\nargs = "-M pc"',
        '[[layout]]\nname = "x"\nargs = "-M \'pc"',
        '[[layout]]\nname = "x"\nargs = "-M pc"\nqemu_version = "6.0"',
        'fail_on = "never"' + ONE,
        "goldens = 5" + ONE,
        ONE + '[severity]\nmmio-moved = "bad"',
        ONE + '[severity]\nno-rule = "off"',
        ONE + "[limits]\nmemslots = true",
        ONE + '[[waiver]]\nrule = "mmio-moved"\nobject = "*"\nexpires = 2999-01-01',
        ONE + '[[waiver]]\nrule = "no-rule"\nobject = "*"\nreason = "x"\nexpires = 2999-01-01',
        ONE + '[[waiver]]\nrule = "mmio-moved"\nobject = "*"\nreason = "x"\nexpires = "soon"',
        ONE + '[[assert]]\nthat = "all is well"',
        ONE + "[[assert]]",
    ],
)
def test_a_config_that_is_wrong_is_usage(check: Check, config: str) -> None:
    status, out, err = check(config)
    assert (status, out) == (2, "")
    assert err.startswith("qshim: qshim.toml")


def test_usage(check: Check) -> None:
    assert check(None)[0] == 2
    assert check(ONE, "nobody")[0] == 2
    assert check(ONE, "dimm", "--update")[0] == 2


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_what_their_readers_take(check: Check, name: str) -> None:
    config = changed(check) + '[[waiver]]\nrule = "memory-device-removed"\nobject = "*"\nreason = "a|b <c>"\n'
    config += "expires = 2999-01-01\n" + TWO.replace("pc-devices", "no-such")
    for text, wanted in ((ONE, 0), (config, 3)):
        status, out, _ = check(text, "--format", name)
        assert status == wanted
        VALID[name](out, bool(wanted))
    assert check(None, "--format", name, "-o", "out")[1] == ""
    assert Path("out").read_text(encoding="utf-8") == out


def valid_json(text: str, findings: bool) -> None:
    document = json.loads(text)
    jsonschema.validate(document, CHECK_SCHEMA)
    assert bool(document["findings"]) == findings


def valid_junit(text: str, findings: bool) -> None:
    suite = ElementTree.fromstring(text)[0]
    assert suite.tag == "testsuite"
    assert int(suite.get("tests", "")) == len(suite.findall("testcase"))
    assert int(suite.get("failures", "")) == len(suite.findall("testcase/failure")) == findings
    assert int(suite.get("errors", "")) == len(suite.findall("testcase/error")) == findings


def valid_github(text: str, findings: bool) -> None:
    for line in text.splitlines():
        assert re.fullmatch(r"::(error|warning|notice) (file=[^,:]+,line=1,)?title=[^,:]+::.+", line)
    assert text.startswith("::notice title=qshim check::clean") != findings


def valid_gitlab(text: str, findings: bool) -> None:
    entries = json.loads(text)
    jsonschema.validate(
        entries,
        {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["description", "check_name", "fingerprint", "severity", "location"],
                "properties": {
                    "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
                    "location": {
                        "required": ["path", "lines"],
                        "properties": {"lines": {"required": ["begin"]}, "path": {"pattern": "^[^/]"}},
                    },
                },
            },
        },
    )
    assert len({entry["fingerprint"] for entry in entries}) == len(entries)
    assert bool(entries) == findings


def valid_sarif(text: str, findings: bool) -> None:
    (run,) = json.loads(text)["runs"]
    known = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} <= known
    assert {result["level"] for result in run["results"]} <= {"error", "warning", "note"}
    assert run["invocations"][0]["executionSuccessful"] != findings
    assert any("suppressions" in result for result in run["results"]) == findings


def valid_markdown(text: str, findings: bool) -> None:
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert bool(rows) == findings
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) == 5, row


def valid_text(text: str, findings: bool) -> None:
    assert text.startswith("clean: ") != findings


VALID = {
    "text": valid_text, "json": valid_json, "markdown": valid_markdown, "junit": valid_junit, "github": valid_github,
    "gitlab": valid_gitlab, "sarif": valid_sarif,
}  # fmt: skip
