"""memsave, pmemsave and dump-guest-memory into things that are no regular files: an answer, and no waiting for good."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from qshim.cli.recordings import find
from qshim.edge import files
from qshim.monitor.hmp.line import run
from qshim.vm import Vm

COMMANDS = ('pmemsave 0 0x30000 "{}"', 'memsave 0 0x30000 "{}"', 'dump-guest-memory "{}" 0 0x30000')


@pytest.fixture(scope="module")
def vm() -> Vm:
    made = Vm.from_recording(find("11.1/x86_64/pc-q35-11.1"))
    made.files = files.HostFiles(None)
    return made


@pytest.mark.parametrize("command", COMMANDS)
def test_devices(vm: Vm, command: str) -> None:
    assert run(vm, command.format("/dev/null")) == ""
    assert run(vm, command.format("/dev/full")) in (
        "Error: An IO error has occurred\r\n", "Error: dump: failed to save memory\r\n",
    )  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_a_pipe_without_a_reader(vm: Vm, command: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    assert run(vm, command.format(tmp_path / "p")).endswith(f"'{tmp_path / 'p'}': No such device or address\r\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_does_not_read(vm: Vm, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PATIENCE", 0.05)
    os.mkfifo(tmp_path / "p")
    reader = os.open(tmp_path / "p", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run(vm, command.format(tmp_path / "p")).startswith("Error: ")
    finally:
        os.close(reader)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_gets_what_a_file_would_have(vm: Vm, command: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    got: list[bytes] = []
    reading = threading.Thread(target=lambda: got.append((tmp_path / "p").read_bytes()))
    # opened for both ways, so that the command finds a reader; the thread reads until all writers are gone
    keep = os.open(tmp_path / "p", os.O_RDWR)
    reading.start()
    assert run(vm, command.format(tmp_path / "p")) == ""
    os.close(keep)
    reading.join()
    assert run(vm, command.format(tmp_path / "f")) == ""
    assert got == [(tmp_path / "f").read_bytes()]


def test_more_nothing_than_anybody_wants_in_a_pipe(vm: Vm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PATIENCE", 0.05)
    os.mkfifo(tmp_path / "p")
    reader = os.open(tmp_path / "p", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run(vm, f'pmemsave 0 0x7fffffff "{tmp_path / "p"}"') == "Error: An IO error has occurred\r\n"
    finally:
        os.close(reader)
