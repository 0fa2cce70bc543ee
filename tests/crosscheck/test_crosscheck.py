"""qshim crosscheck: what is the same is the same, what differs is named, what did not run is never equal."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from qshim.cli import main
from qshim.crosscheck import crosscheck, run
from qshim.edge.capture import capture_started
from qshim.errors import CompareError, UsageError
from qshim.layout.canonical import CANNOT_COMPARE, canonical
from qshim.recording.format import TREE_COMMAND, Recording, is_recording, load, save
from qshim.reports import rendered
from qshim.reports.json import REPORT_SCHEMA
from qshim.reports.model import Report, Side
from tests.support.fake_qemu import install
from tests.support.oracle import LABELS, needs

MACHINES = {
    "x86_64": (["-M", "pc", "-m", "3G"], ["-M", "q35", "-device", "pcie-root-port,id=rp"], ["-M", "none"]),
    "aarch64": (["-M", "raspi3b"],),
}


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("target", MACHINES)
async def test_our_model_equals_the_real_one(label: str, target: str) -> None:
    for argv in MACHINES[target]:
        report = await crosscheck(argv, qemu=needs(label, target))
        assert (report.verdict, report.exit_status) == ("same", 0), report.changes
        assert len(report.compared) >= 9
        assert (await crosscheck(argv, qemu=needs(label, target), strict=True)).verdict in ("same", "differs")


async def test_two_versions_differ_as_they_are_known_to() -> None:
    report = await crosscheck(["-M", "pc-q35-7.2"], qemu=needs("7.2", "x86_64"), against=needs("11.1", "x86_64"))
    kinds = {change.kind for change in report.changes}
    assert (report.verdict, report.exit_status) == ("differs", 1)
    assert {"container-word", "host-columns", "region-owner-changed"} <= kinds
    assert "'acpi-cpu-hotplug' changed its size from 0x20 to 0xc bytes" in {change.what for change in report.changes}
    assert report.texts == ()


async def test_options_of_a_source_are_its_own(tmp_path: Path) -> None:
    real = needs("7.2", "x86_64")
    report = await crosscheck(["-M", "pc", "-m", "128M"], qemu=real, against=f"qemu:{real}:-M pc -m 64M")
    assert {c.kind for c in report.changes} >= {"region-resized", "block-used-length-changed"}


async def tiny(folder: Path, **faults: object) -> Recording:
    return (await capture_started(str(install(folder, **faults)), ["-M", "none"])).recording


async def test_a_recording_is_the_other_side(tmp_path: Path) -> None:
    recording = await tiny(tmp_path)
    save(recording, tmp_path / "a.qrec.xz")
    qemu = str(install(tmp_path))
    assert (await crosscheck([], qemu=qemu, against=str(tmp_path / "a.qrec.xz"))).verdict == "same"
    assert (await crosscheck([], qemu=qemu, recording=load(tmp_path / "a.qrec.xz"))).verdict == "same"
    assert is_recording(tmp_path / "a.qrec.xz")
    assert not is_recording(qemu)


async def test_a_text_that_no_change_explains_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = await tiny(tmp_path)
    save(recording, tmp_path / "a.qrec")
    monkeypatch.setattr("qshim.crosscheck.run.compare", lambda left, right: ())
    text = (tmp_path / "a.qrec").read_text().replace("i/o): system", "i/o): sistem")
    (tmp_path / "a.qrec").write_text(text)
    report = await crosscheck([], qemu=str(install(tmp_path)), against=str(tmp_path / "a.qrec"))
    assert report.verdict == "differs"
    assert [difference.command for difference in report.texts] == [TREE_COMMAND]


@pytest.mark.parametrize(
    ("faults", "status", "says"),
    [
        ({"refuse": "qemu-fake: no such machine\n"}, 3, "refused by one: no such machine"),
        ({"die": "info ramblock"}, 3, "info ramblock"),
    ],
)
def test_a_qemu_that_fails_is_never_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], faults: dict[str, object], status: int, says: str
) -> None:
    assert main(["crosscheck", "--qemu", str(install(tmp_path, **faults)), "--", "-M", "none"]) == status
    output = capsys.readouterr()
    assert says in output.out + output.err


def test_refused_by_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    qemu = str(install(tmp_path, refuse="qemu-fake: no such machine\n"))
    assert main(["crosscheck", "--qemu", qemu, "--against", qemu, "--", "-M", "nope"]) == 3
    assert capsys.readouterr().out.endswith("refused by both: no such machine\n")


def test_json_fits_its_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jsonschema.Draft202012Validator.check_schema(REPORT_SCHEMA)
    qemu = str(install(tmp_path))
    assert main(["crosscheck", "--qemu", qemu, "--format", "json", "--", "-M", "none"]) == 0
    report = json.loads(capsys.readouterr().out)
    jsonschema.validate(report, REPORT_SCHEMA)
    assert report["verdict"] == "same"
    assert report["compared"]


def test_text_names_both_sides_and_what_was_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    qemu = str(install(tmp_path))
    assert main(["crosscheck", "--qemu", qemu, "--", "-M", "none"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [f"- {qemu} (none, QEMU 7.2.22)", "+ qshim (none, QEMU 7.2.22)"]
    assert lines[-1].startswith("same: 9 texts compared (info mtree, ")


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["--qemu", "/nonexistent", "--", "-M", "none"], 3, "there is no program /nonexistent to start"),
        (["--attach", "/nonexistent.sock"], 3, "cannot talk to a QEMU monitor at /nonexistent.sock"),
        (["--attach", "/x", "--", "-M", "pc"], 2, "leave out the options behind --"),
        (["--qemu", "/x", "--recording", "/nonexistent.qrec"], 3, "cannot read the recording /nonexistent.qrec"),
    ],
)
def test_what_cannot_be_compared_says_why(
    capsys: pytest.CaptureFixture[str], words: list[str], status: int, sentence: str
) -> None:
    assert main(["crosscheck", *words]) == status
    assert sentence in capsys.readouterr().err


async def test_one_real_side_is_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="name one real QEMU"):
        await crosscheck(["-M", "none"])
    with pytest.raises(UsageError, match="nobody here makes machines from a command line"):
        await crosscheck([], qemu=str(install(tmp_path)), against="argv:-M pc")
    with pytest.raises(CompareError, match="no program"):
        await crosscheck([], qemu=str(install(tmp_path)), against="/nonexistent/qemu")


@pytest.mark.parametrize("label", LABELS)
def test_our_own_machine_of_a_command_line(label: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["crosscheck", "--qemu", needs(label, "x86_64"), "--against"]
    assert main([*words, "argv:-M isapc", "--", "-M", "isapc"]) == 0, capsys.readouterr().out
    assert main([*words, "argv:-M isapc", "--", "-M", "isapc", "-m", "64M"]) == 1
    capsys.readouterr()
    assert main([*words, "argv:-M nope", "--", "-M", "nope"]) == 3
    assert "refused by both: unsupported machine type" in capsys.readouterr().out
    assert main([*words, "argv:-M isapc -smp 2", "--", "-M", "isapc"]) == 3
    assert "refused by one: Invalid SMP CPUs 2" in capsys.readouterr().out
    assert main(["crosscheck", "--qemu", words[2], "--", "-M", "isapc", "-m", "64M"]) == 0
    assert main([*words, "argv:-M help", "--", "-M", "isapc"]) == 3
    assert main([*words, "argv:'", "--", "-M", "isapc"]) == 2


SECTION = "      #{} @0000000000000000..0000000000000fff a"
ROW = "  pc.ram    4 KiB  0x0000000000000000 0x0000000008000000 0x0000000008000000 0x00007f{}00000000  rw"
APPLIED: dict[str, list[tuple[str, ...]]] = {
    "group order": [("address-space: a", "  1", "", "address-space: b", "  2", "")],
    "section order": [("memory-region: a", "  1", "", "memory-region: b", "  2", "")],
    "view order and numbers": [("FlatView #0", " a", "", "FlatView #1", " b", "")],
    "MRU mark": [(SECTION.format(0), SECTION.format(1) + " [MRU]"), (SECTION.format(0) + " [MRU]", SECTION.format(1))],
    "host addresses": [(ROW.format("11"),), (ROW.format("22"),)],
}
"""Allowance -> a text, and the same after it (the first three: with its halves swapped)."""


@pytest.mark.parametrize("name", [allowance.name for allowance in CANNOT_COMPARE])
def test_what_was_allowed_to_differ_is_named(name: str) -> None:
    left, right = APPLIED[name][0], APPLIED[name][-1]
    if left is right:
        half = len(left) // 2
        right = (*left[half:], *left[:half])
        if name.startswith("view"):
            right = tuple(line.replace("#1", "#x").replace("#0", "#1").replace("#x", "#0") for line in right)
    applied = [found for found, _ in run._applied(["t"], {"t": left}, {"t": right})]
    assert applied == [name]
    assert canonical(left) == canonical(right)
    assert list(run._applied(["t"], {"t": left}, {"t": left})) == []
    line = next(line for line in rendered(
        Report(Side("a", "1", None), Side("b", "1", None), compared=("t",), allowances=((name, "why"),)), "text"
    ).splitlines() if line.startswith("allowed"))  # fmt: skip
    assert line == f"allowed to differ: {name} (why)"
