"""qshim record, import and schema as people call them: exit statuses, sentences, and nothing half written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from qshim.cli import COMMANDS, main
from qshim.cli.record import default_name
from qshim.cli.schema import SCHEMAS
from qshim.recording.format import QemuVersion, Recording, load
from tests.support.fake_qemu import install

TREE = """address-space: memory
  0000000000000000-ffffffffffffffff (prio 0, i/o): system
    0000000000000000-0000000007ffffff (prio 0, ram): alias ram-below-4g @pc.ram 0000000000000000-0000000007ffffff

memory-region: pc.ram
  0000000000000000-0000000007ffffff (prio 0, ram): pc.ram

"""
FLAT = """FlatView #0
 AS "memory", root: system
 Root memory region: system
  0000000000000000-0000000007ffffff (prio 0, ram): pc.ram

"""
BLOCKS_7_2 = """              Block Name    PSize              Offset               Used              Total
                  pc.ram    4 KiB  0x0000000000000000 0x0000000008000000 0x0000000008000000
"""
BLOCKS_10_0 = """\
              Block Name    PSize              Offset               Used              Total                HVA  RO
                  pc.ram    4 KiB  0x0000000000000000 0x0000000008000000 0x0000000008000000 0x00007f9300000000  rw
"""


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    output = capsys.readouterr()
    assert output.out == ""
    return output.err


def test_record_writes_the_file_and_says_what_it_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "fake.qrec.xz"
    assert main(["record", "--qemu", str(install(tmp_path)), "-o", str(output), "--", "-M", "none"]) == 0
    assert error_of(capsys) == (
        f"{output}: none (x86_64, QEMU 7.2.22), reset, 5 texts, 7 QMP replies, 1 memory regions, "
        "not answered: query-pci\n"
    )
    assert load(output).argv == ("qemu-system-x86_64", "-M", "none")


def test_what_stands_behind_the_dashes_reaches_qemu_untouched(tmp_path: Path) -> None:
    options = ["-M", "none", "--help-me", "-o", "x", "--", "last"]
    assert main(["record", "--qemu", str(install(tmp_path)), "-o", str(tmp_path / "a.qrec"), "--", *options]) == 0
    assert json.loads((tmp_path / "log").read_text())["argv"][: len(options)] == options


def test_the_default_name_tells_machine_target_version_and_state() -> None:
    machine = Recording(QemuVersion(11, 1, 3), "aarch64", "virt-11.1")
    assert default_name(machine) == "virt-11.1-aarch64-11.1.qrec.xz"
    after = Recording(QemuVersion(7, 2, 22), "x86_64", "pc-q35-7.2", when="firmware")
    assert default_name(after) == "pc-q35-7.2-x86_64-7.2-firmware.qrec.xz"


def test_without_a_name_the_file_appears_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["record", "--qemu", str(install(tmp_path))]) == 0
    assert (tmp_path / "none-x86_64-7.2.qrec.xz").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--attach", "a.sock", "--", "-M", "pc"], "leave out the options behind --"),
        (["--attach", "a.sock", "--when", "firmware"], "--when firmware needs a QEMU of our own"),
        (["--qemu", "x", "--when", "running"], "--when running goes with --attach"),
        (["--qemu", "x", "--settle", "0"], "--settle needs a positive number"),
        (["--qemu", "x", "-o", "/nowhere/at/all/a.qrec"], "there is no directory /nowhere/at/all"),
    ],
)
def test_wrong_usage_is_exit_2_and_one_line(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", *words]) == 2
    told = error_of(capsys)
    assert told.startswith("qshim: ")
    assert complaint in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("words", [["record"], ["record", "--qemu", "a", "--attach", "b"], ["nothing"], []])
def test_argparse_complaints_are_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "usage: qshim" in capsys.readouterr().err


def test_a_qemu_that_does_not_start_is_exit_3_and_leaves_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    binary = install(tmp_path, refuse="qemu-fake: -M x: unsupported machine type\n")
    output = tmp_path / "a.qrec"
    output.write_text("what was there before")
    assert main(["record", "--qemu", str(binary), "-o", str(output), "--", "-M", "x"]) == 3
    assert error_of(capsys) == "qshim: qemu-fake did not start: -M x: unsupported machine type\n"
    assert output.read_text() == "what was there before"


def import_(tmp_path: Path, tree: str, flat: str | None = None, ramblock: str | None = None, *more: str) -> int:
    words = ["import", "-o", str(tmp_path / "out.qrec"), *more]
    for name, text in (("mtree", tree), ("flat", flat), ("ramblock", ramblock)):
        if text is not None:
            (tmp_path / name).write_text(text)
            words += [f"--{name}", str(tmp_path / name)]
    return main(words)


@pytest.mark.parametrize(
    ("tree", "ramblock", "version"),
    [
        (TREE, None, QemuVersion(7, 2)),
        (TREE, BLOCKS_7_2, QemuVersion(7, 2)),
        (TREE, BLOCKS_10_0, QemuVersion(10, 0)),
        (TREE.replace("i/o): system", "container): system"), BLOCKS_10_0, QemuVersion(11, 1)),
    ],
)
def test_import_finds_the_dialect_out(tmp_path: Path, tree: str, ramblock: str | None, version: QemuVersion) -> None:
    assert import_(tmp_path, tree, FLAT, ramblock) == 0
    assert load(tmp_path / "out.qrec").qemu == version


def test_import_takes_the_version_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert import_(tmp_path, TREE, None, None, "--qemu-version", "10.0.13", "--target", "x86_64") == 0
    assert load(tmp_path / "out.qrec").qemu == QemuVersion(10, 0, 13)
    assert error_of(capsys) == f"{tmp_path / 'out.qrec'}: info mtree\n"
    assert import_(tmp_path, TREE, None, None, "--qemu-version", "new") == 2


@pytest.mark.parametrize(
    "disguise",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: f"$ nc -U mon\nQEMU 7.2.22 monitor\n(qemu) info mtree\n{text}(qemu) quit\n",
        lambda text: "".join(f"> {line}\n" for line in text.splitlines()) + "\nHope that helps\n",
        lambda text: "".join(f"    {line}\n" for line in text.splitlines()),
        lambda text: text.replace("\n\n", "\n"),
        lambda text: text.replace("address-space", "\x1b[1maddress-space\x1b[0m"),
        lambda text: text + "(qemu) info mtree -f\n" + FLAT,
    ],
)
def test_a_paste_is_cleaned(tmp_path: Path, disguise: object) -> None:
    assert callable(disguise)
    assert import_(tmp_path, disguise(TREE)) == 0
    assert load(tmp_path / "out.qrec").text("info mtree") == TREE


def test_flags_are_found_out(tmp_path: Path) -> None:
    tree = TREE.replace("pc.ram\n\n", "pc.ram [disabled] owner:{obj path=/objects/pc.ram}\n\n")
    flat = FLAT.replace("pc.ram\n", "pc.ram owner:{obj path=/objects/pc.ram} KVM\n  Dispatch\n    Physical sections\n")
    assert import_(tmp_path, tree, flat) == 0
    recording = load(tmp_path / "out.qrec")
    assert set(recording.hmp) == {"info mtree -o -D", "info mtree -f -d -o"}
    assert recording.kvm


@pytest.mark.parametrize(
    ("tree", "complaint"),
    [
        ("", "the pasted text holds no output of `info mtree`"),
        (FLAT, "the pasted text holds no output of `info mtree`"),
        (
            TREE.replace("\nmemory-region", "[  0.12] kernel message\nmemory-region"),
            "line 4 of the pasted text is no line of `info mtree`: '[  0.12] kernel message'",
        ),
    ],
)
def test_import_refuses_what_would_be_another_machine(
    tmp_path: Path, tree: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert import_(tmp_path, tree) == 3
    assert complaint in error_of(capsys)
    assert not (tmp_path / "out.qrec").exists()


def test_import_names_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "--mtree", str(tmp_path / "gone"), "-o", str(tmp_path / "o.qrec")]) == 3
    assert "gone: No such file or directory" in error_of(capsys)


CAPTURE = {
    "outcome": "ok",
    "machine": "none",
    "target": "x86_64",
    "argv": ["qemu-system-x86_64", "-machine", "none"],
    "version": {"qemu": {"major": 7, "minor": 2, "micro": 22}, "package": ""},
    "hmp": {"info mtree -D": TREE, "info mtree -o": TREE, "info mtree": TREE, "info mtree -f -d": FLAT},
    "qmp": {"query-kvm": {"return": {"enabled": False, "present": True}}},
}


def import_capture(tmp_path: Path, capture: object, *more: str) -> int:
    (tmp_path / "capture.json").write_text(capture if isinstance(capture, str) else json.dumps(capture))
    return main(["import", "--capture", str(tmp_path / "capture.json"), "-o", str(tmp_path / "out.qrec"), *more])


def test_a_capture_becomes_a_recording(tmp_path: Path) -> None:
    assert import_capture(tmp_path, CAPTURE) == 0
    recording = load(tmp_path / "out.qrec")
    assert (recording.qemu, recording.target, recording.machine) == (QemuVersion(7, 2, 22), "x86_64", "none")


@pytest.mark.parametrize(
    ("capture", "more", "status", "sentence"),
    [
        ("{", (), 3, "is no capture: no valid JSON"),
        ([], (), 3, "is no capture: not a JSON object"),
        ({**CAPTURE, "outcome": "refused"}, (), 3, "holds no machine: its outcome is 'refused'"),
        ({k: v for k, v in CAPTURE.items() if k != "version"}, (), 3, "lacks the member 'version'"),
        (CAPTURE, ("--machine", "pc"), 2, "--capture holds everything; leave out --machine"),
    ],
)
def test_a_capture_that_is_none(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    capture: object,
    more: tuple[str, ...],
    status: int,
    sentence: str,
) -> None:
    assert import_capture(tmp_path, capture, *more) == status
    assert sentence in error_of(capsys)
    assert not (tmp_path / "out.qrec").exists()


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schema_prints_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", name]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"].startswith("https://json-schema.org/")


def test_our_own_bug_is_exit_70_with_a_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from qshim.cli import schema

    def broken(args: object) -> int:
        raise KeyError("x")

    monkeypatch.setattr(schema, "run", broken)
    assert main(["schema", "recording"]) == 70
    assert error_of(capsys).startswith("qshim: internal error: KeyError: 'x' (test_record.py:")


def test_a_reader_that_goes_away_is_no_error() -> None:
    ours = subprocess.Popen([sys.executable, "-m", "qshim", "schema", "recording"], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)  # fmt: skip
    assert ours.stdout is not None
    ours.stdout.close()
    assert ours.stderr is not None
    assert ours.stderr.read() == b""
    ours.stderr.close()
    assert ours.wait() == 0


def test_choosing_a_subcommand_imports_nothing_heavy() -> None:
    code = (
        "import sys, qshim.cli, qshim.cli.record, qshim.cli.import_, qshim.cli.schema; "
        "print(sorted({'asyncio', 'rich', 'lzma', 'qemu.qmp', 'socket', 'subprocess'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


def test_every_subcommand_has_a_module() -> None:
    from importlib.util import find_spec

    missing = [name for name, (module, _) in COMMANDS.items() if find_spec(module) is None]
    assert missing == []
