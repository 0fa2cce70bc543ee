"""`qshim snapshot` and `qshim diff` as commands."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from qshim.cli import main
from qshim.layout.snapshot_text import parse
from tests.support.oracle import needs

RECORDING = Path(__file__).parents[2] / "fixtures" / "recordings" / "10.0" / "pc-dimm.qrec.xz"


def test_snapshot_goes_to_a_file_or_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "pc.layout"
    assert main(["snapshot", "--recording", str(RECORDING), "-o", str(target)]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"{target}: pc-i440fx-10.0, digest ")
    assert main(["snapshot", "--recording", str(RECORDING)]) == 0
    assert capsys.readouterr().out == target.read_text(encoding="utf-8")
    assert parse(target.read_text(encoding="utf-8")).devices[0]["type"] == "dimm"


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (["snapshot"], 2),
        (["snapshot", "--recording", str(RECORDING), "--", "-M", "pc"], 2),
        (["snapshot", "--", "-M", "no-such-machine"], 3),
        (["snapshot", "--qemu", "/no/such/qemu", "--", "-M", "pc"], 3),
        (["snapshot", "--recording", str(RECORDING), "-o", "/no/such/folder/file"], 3),
        (["diff", "/no/such/file", str(RECORDING)], 3),
        (["diff", "git:HEAD", str(RECORDING)], 2),
        (["diff", "argv:-M 'pc", str(RECORDING)], 2),
        (["diff", "argv:-M no-such-machine", str(RECORDING)], 3),
    ],
)
def test_what_cannot_be_had_is_never_the_same(argv: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == status
    captured = capsys.readouterr()
    assert captured.err or "refused" in captured.out
    assert "Traceback" not in captured.err


def test_equal_layouts_are_the_same_and_others_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = tmp_path / "one.layout", tmp_path / "two.layout"
    for path, name in ((one, "10.0/x86_64/pc"), (two, "11.1/x86_64/pc")):
        assert main(["snapshot", "--recording", name, "-o", str(path)]) == 0
    assert main(["diff", str(one), str(one)]) == 0
    assert main(["diff", "--format", "json", str(one), str(two)]) == 1
    document = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    assert document["verdict"] == "differs"
    assert document["left"]["version"] == "10.0"


def test_a_file_of_a_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["snapshot", "--recording", "10.0/x86_64/pc", "-o", "pc.layout"]) == 0
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], check=True, timeout=30)
    assert main(["snapshot", "--recording", "11.1/x86_64/pc", "-o", "pc.layout"]) == 0
    assert main(["diff", "git:HEAD:pc.layout", "pc.layout"]) == 1
    assert main(["diff", "git:HEAD:pc.layout", "10.0/x86_64/pc"]) == 3
    assert main(["diff", "git:HEAD:other", "pc.layout"]) == 3
    assert main(["diff", "git:HEAD:pc.layout", "git:HEAD:pc.layout"]) == 0


@pytest.mark.parametrize("label", ["7.2", "10.0", "11.1"])
def test_a_real_qemu_has_the_text_of_its_recording(label: str, tmp_path: Path) -> None:
    emulator = needs(label, "x86_64")
    one, two = tmp_path / "one", tmp_path / "two"
    assert main(["snapshot", "--recording", f"{label}/x86_64/q35", "-o", str(one)]) == 0
    assert main(["snapshot", "--qemu", emulator, "-o", str(two), "--", "-M", "q35"]) == 0
    assert one.read_text(encoding="utf-8") == two.read_text(encoding="utf-8")
