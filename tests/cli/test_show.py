"""`qshim show`: one view on stdout, everything else on stderr, the right status."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qshim.cli import main
from qshim.recording.format import QemuVersion, load, save

RECORDINGS = Path(__file__).parents[2] / "fixtures" / "recordings"
PC = str(RECORDINGS / "10.0" / "pc-dimm.qrec.xz")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> tuple[int, str, str]:
        status = main(["show", *words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_a_view(show: Run) -> None:
    status, out, err = show("info mtree", "--recording", PC)
    assert (status, err) == (0, "")
    assert out.startswith("address-space: ")
    assert ": pc.ram\n" in out
    assert "\r" not in out


@pytest.mark.parametrize(
    ("view", "schema"),
    [("info mtree", "qshim/mtree/1"), ("info mtree -f", "qshim/flatview/1"), ("info ramblock", "qshim/ramblock/1")],
)
def test_json(show: Run, view: str, schema: str) -> None:
    status, out, _ = show(view, "--json", "--recording", PC)
    assert status == 0
    assert json.loads(out)["schema"] == schema


def test_json_of_what_has_none(show: Run) -> None:
    status, out, err = show("info version", "--json", "--recording", PC)
    assert (status, out) == (2, "")
    assert "info version has no JSON form" in err


@pytest.mark.parametrize(
    ("view", "message"),
    [
        ("info nosuch", "qshim: unknown command: 'info nosuch'\n"),
        ("info mtree -x", 'qshim: mtree: unsupported option -x\nTry "help info mtree" for more information\n'),
        ("info jit", "qshim: info jit is not modelled by qshim\n"),
        (" ", "qshim: no view; ask for one, such as 'info mtree'\n"),
    ],
)
def test_a_wrong_view(show: Run, view: str, message: str) -> None:
    assert show(view, "--recording", PC) == (2, "", message)


def test_another_dialect_is_said(show: Run) -> None:
    status, out, err = show("info ramblock", "--recording", PC, "--qemu-version", "7.2")
    assert status == 0
    assert err == "qshim: a machine of QEMU 10.0, shown as QEMU 7.2 shows it\n"
    assert "HVA" not in out
    assert "HVA" in show("info ramblock", "--recording", PC, "--qemu-version", "10.0")[1]


def test_an_unknown_dialect_lists_the_known_ones(show: Run) -> None:
    status, out, err = show("info mtree", "--recording", PC, "--qemu-version", "8.0")
    assert (status, out) == (2, "")
    assert err == "qshim: QEMU 8.0 is not a version that qshim speaks; it speaks 7.2, 10.0, 11.1\n"


def test_a_version_in_between_is_served_by_the_older_dialect_with_one_warning(show: Run, tmp_path: Path) -> None:
    path = tmp_path / "nine.qrec"
    save(replace(load(PC), qemu=QemuVersion(9, 2, 1)), path)
    status, out, err = show("info version", "--recording", str(path))
    assert (status, out) == (0, "9.2.1qshim\n")
    assert err == "qshim: warning: QEMU 9.2 is served in the dialect of 7.2\n"


@pytest.mark.parametrize(
    ("name", "version"),
    [("q35", "11.1.3"), ("pc", "11.1.3"), ("x86_64/q35", "11.1.3"), ("7.2/x86_64/q35", "7.2.22"),
     ("aarch64/virt", "11.1.3"), ("10.0/riscv64/virt", "10.0.13"), ("pc-q35-2.4", "10.0.13")],
)  # fmt: skip
def test_shipped_recordings_have_short_names(show: Run, name: str, version: str) -> None:
    assert show("info version", "--recording", name) == (0, f"{version}qshim\n", "")


def test_the_version_asked_for_is_preferred(show: Run) -> None:
    assert show("info version", "--recording", "q35", "--qemu-version", "7.2") == (0, "7.2.22qshim\n", "")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("q36", "there is no file q36, and no recording of that name comes with qshim; near it: "),
        ("no/such/file.qrec", "there is no file no/such/file.qrec"),
        ("virt", "several recordings of QEMU 11.1 are called virt: aarch64/virt, riscv64/virt"),
        ("aarch64/sx1", "does not start aarch64/sx1 by itself, so there is none: Kernel or Flash image must be"),
        ("8.0/x86_64/pc", "there is no file 8.0/x86_64/pc"),
    ],
)
def test_a_recording_that_is_not_there(show: Run, name: str, message: str) -> None:
    status, out, err = show("info mtree", "--recording", name)
    assert (status, out) == (3, "")
    assert message in err


def test_a_truncated_recording(show: Run, tmp_path: Path) -> None:
    path = tmp_path / "cut.qrec.xz"
    path.write_bytes(Path(PC).read_bytes()[:-100])
    status, out, err = show("info mtree", "--recording", str(path))
    assert (status, out) == (3, "")
    assert err.startswith(f"qshim: {path}")


def test_no_machine_and_too_much_machine(show: Run) -> None:
    assert show("info mtree") == (2, "", "qshim: no machine; name one with --recording FILE\n")
    status, _, err = show("info mtree", "--recording", PC, "--", "-m", "4G")
    assert status == 2
    assert "leave out what stands behind --" in err
