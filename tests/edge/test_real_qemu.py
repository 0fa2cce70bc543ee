"""Capturing: what is asked and kept, every way in which a QEMU can fail, and that none is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qshim.edge import real_qemu
from qshim.edge.capture import VERIFY_COMMANDS, capture_attached, capture_started
from qshim.edge.real_qemu import Hung, Refused, attached, started
from qshim.errors import CompareError, UsageError
from qshim.recording.format import FLAT_COMMAND, RAMBLOCK_COMMAND, TREE_COMMAND, QomRegion, dumps
from tests.support.fake_qemu import install
from tests.support.oracle import LABELS, needs


def pids(folder: Path) -> list[int]:
    return [json.loads(line)["pid"] for line in (folder / "log").read_text().splitlines()]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@contextmanager
def listening(folder: Path, **faults: object) -> Iterator[str]:
    """A fake QEMU that was running before us, with its monitor on a unix socket."""
    address = str(folder / "monitor")
    child = subprocess.Popen([install(folder, **faults), address])
    try:
        while not os.path.exists(address):
            assert child.poll() is None
        yield address
        assert child.poll() is None or not faults
    finally:
        child.kill()
        child.wait()


async def test_what_a_capture_holds(tmp_path: Path) -> None:
    capture = await capture_started(str(install(tmp_path)), ["-M", "none", "-pidfile", "/home/someone/pid"])
    recording = capture.recording
    assert recording.label == "none (x86_64, QEMU 7.2.22)"
    assert recording.argv == ("qemu-system-x86_64", "-M", "none", "-pidfile", "ROOT/pid")
    assert set(recording.hmp) == {
        TREE_COMMAND, FLAT_COMMAND, RAMBLOCK_COMMAND, "info qom-tree", "info qom-tree /objects",
    }  # fmt: skip
    assert recording.hmp["info qom-tree /objects"] == ("/objects (container)",)
    assert recording.qom == {"/machine/unattached/system[0]": QomRegion("", 0, (1 << 64) - 1, -1)}
    assert recording.qmp["query-machines"] == [{"name": "none", "cpu-max": 1}]
    assert recording.qmp["query-chardev"] == [{"label": "serial0", "filename": "vc"}]
    assert recording.qmp["query-cpus-fast"] == [{"cpu-index": 0, "thread-id": 0}]
    assert recording.qmp["query-block"] == [{"device": "d", "file": "ROOT/disk.img"}]
    assert recording.skipped == {"query-pci": "no PCI here"}
    assert capture.verification == {}
    assert not any(alive(pid) for pid in pids(tmp_path))


async def test_verification_texts_stand_beside_the_recording(tmp_path: Path) -> None:
    capture = await capture_started(str(install(tmp_path)), [], verify=True)
    assert set(capture.verification) == set(VERIFY_COMMANDS)
    assert not set(VERIFY_COMMANDS) & set(capture.recording.hmp)


async def test_our_options_pause_it_and_open_no_socket_file(tmp_path: Path) -> None:
    async with started(str(install(tmp_path)), ["-M", "none"]):
        argv = json.loads((tmp_path / "log").read_text())["argv"]
        assert argv[:3] == ["-M", "none", "-S"]
        assert not any("path=" in word or "unix:" in word for word in argv)


async def test_a_text_on_which_it_hangs_is_skipped_and_named(tmp_path: Path) -> None:
    remarks: list[str] = []
    binary = install(tmp_path, hang=[TREE_COMMAND])
    capture = await capture_started(str(binary), [], answer_seconds=0.5, say=remarks.append)
    assert capture.recording.skipped[TREE_COMMAND] == "no answer within 0.5 s"
    assert TREE_COMMAND not in capture.recording.hmp
    assert "info mtree -D" in capture.recording.hmp
    assert FLAT_COMMAND in capture.recording.hmp
    assert remarks == [f"qemu-fake did not answer `{TREE_COMMAND}` within 0.5 s; asking a new process without it"]
    assert len(pids(tmp_path)) == 2
    assert not any(alive(pid) for pid in pids(tmp_path))


async def test_one_that_hangs_on_what_cannot_be_left_out_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(CompareError, match="did not answer `query-version`"):
        await capture_started(str(install(tmp_path, hang=["query-version"])), [], answer_seconds=0.3)
    assert not any(alive(pid) for pid in pids(tmp_path))


async def test_a_refused_command_line_is_told_in_qemus_words(tmp_path: Path) -> None:
    words = "qemu-x: warning: old\nqemu-x: -M foo: unsupported machine type\nUse -machine help to list\n"
    with pytest.raises(CompareError) as caught:
        await capture_started(str(install(tmp_path, refuse=words)), ["-M", "foo"])
    assert str(caught.value) == "qemu-fake did not start: -M foo: unsupported machine type"
    assert caught.value.exit_status == 3


async def test_one_that_ends_without_a_word_has_its_status_told(tmp_path: Path) -> None:
    with pytest.raises(CompareError, match="qemu-fake did not start: it ended with exit status 1"):
        await capture_started(str(install(tmp_path, refuse="")), [])


async def test_one_that_dies_while_asked_is_told_with_the_question(tmp_path: Path) -> None:
    with pytest.raises(CompareError, match="went away during `info ramblock`: it ended with exit status 7"):
        await capture_started(str(install(tmp_path, die="info ramblock")), [])


async def test_one_that_never_greets_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_qemu, "_START_SECONDS", 0.5)
    with pytest.raises(CompareError, match=r"did not greet within 0\.5 s"):
        await capture_started(str(install(tmp_path, silent=True)), [])
    assert not any(alive(pid) for pid in pids(tmp_path))


async def test_a_missing_emulator_is_one_sentence() -> None:
    with pytest.raises(CompareError, match="there is no program qemu-system-nowhere to start"):
        await capture_started("qemu-system-nowhere", [])


async def test_a_file_that_is_no_program_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "qemu").write_bytes(b"\x7fELF junk")
    (tmp_path / "qemu").chmod(0o755)
    with pytest.raises(CompareError, match="did not start: "):
        await capture_started(str(tmp_path / "qemu"), [])


async def test_daemonize_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="-daemonize"):
        await capture_started(str(install(tmp_path)), ["-daemonize"])
    assert pids(tmp_path) == []


async def test_cancelling_leaves_no_process(tmp_path: Path) -> None:
    task = asyncio.create_task(capture_started(str(install(tmp_path, hang=["query-version"])), []))
    while not pids(tmp_path):  # noqa: ASYNC110 (another process writes the file)
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not any(alive(pid) for pid in pids(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_us_ends_it_too(tmp_path: Path, number: signal.Signals) -> None:
    binary = install(tmp_path, hang=["query-version"])
    ours = subprocess.Popen(
        [sys.executable, "-m", "qshim", "record", "--qemu", binary, "-o", tmp_path / "out.qrec"],
        stderr=subprocess.DEVNULL,
    )
    try:
        while not pids(tmp_path):
            assert ours.poll() is None
        ours.send_signal(number)
        status = ours.wait(20)
    finally:
        ours.kill()
        ours.wait()
    assert status == {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}[number]
    (pid,) = pids(tmp_path)
    for _ in range(100_000):
        if not alive(pid):
            break
    assert not alive(pid)
    assert not (tmp_path / "out.qrec").exists()


async def test_attaching_takes_two_readings_that_agree(tmp_path: Path) -> None:
    with listening(tmp_path, changes=2) as address:
        capture = await capture_attached(address)
        assert ": system parent:" in capture.recording.hmp[TREE_COMMAND][1]
        assert capture.recording.argv == ()
        assert capture.recording.when == "reset"


async def test_a_map_that_always_changes_is_given_up_after_five_tries(tmp_path: Path) -> None:
    with (
        listening(tmp_path, changes=10**6) as address,
        pytest.raises(CompareError, match="changed during each of 5 readings"),
    ):
        await capture_attached(address)


async def test_a_monitor_in_use_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(real_qemu, "_GREETING_SECONDS", 0.3)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "monitor"))
        server.listen()
        with pytest.raises(CompareError, match="is another one connected"):
            await capture_attached(str(tmp_path / "monitor"))


@pytest.mark.parametrize("greeting", [b"hello\r\n", b'{"QMP": 1}\r\n', b"{}\r\n", b""])
async def test_a_peer_that_is_no_monitor_is_told(tmp_path: Path, greeting: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(talk, str(tmp_path / "monitor"))
    async with server:
        with pytest.raises(CompareError, match="cannot talk to a QEMU monitor at"):
            await capture_attached(str(tmp_path / "monitor"))


async def test_nobody_there_and_bad_addresses(tmp_path: Path) -> None:
    with pytest.raises(CompareError, match="No such file or directory"):
        await capture_attached(str(tmp_path / "none"))
    for address in ("localhost:port", "localhost:0", "localhost:70000"):
        with pytest.raises(UsageError, match="is no address"):
            await capture_attached(address)


@pytest.mark.parametrize("label", LABELS)
async def test_two_captures_of_a_real_machine_are_the_same_bytes(label: str) -> None:
    binary = needs(label, "x86_64")
    first, second = [await capture_started(binary, ["-M", "pc"], verify=True) for _ in range(2)]
    assert dumps(first.recording) == dumps(second.recording)
    assert first.verification == second.verification
    assert f"{first.recording.qemu.major}.{first.recording.qemu.minor}" == label
    assert first.recording.skipped == {}
    assert len(first.recording.qom) > 100


async def test_a_real_qemu_refuses_in_its_own_words() -> None:
    with pytest.raises(CompareError, match=r"did not start: .*unsupported machine"):
        await capture_started(needs("10.0", "x86_64"), ["-M", "nothing"])


async def test_a_real_monitor_in_use_and_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary, address = needs("11.1", "x86_64"), str(tmp_path / "vm.sock")
    monkeypatch.setattr(real_qemu, "_GREETING_SECONDS", 1.0)
    async with started(binary, ["-M", "pc", "-qmp", f"unix:{address},server=on,wait=off"]) as ours:
        async with attached(address):
            with pytest.raises(CompareError, match="is another one connected"):
                await capture_attached(address)
        await ours.qmp("cont")
        capture = await capture_attached(address)
        assert capture.recording.when == "running"
        assert (await ours.qmp("query-status"))["running"] is True
        with pytest.raises(Refused, match="has not been found"):
            await ours.qmp("x-none")
        assert await ours.hmp("info none") is None


async def test_the_boards_on_which_7_2_hangs_are_recorded_without_that_text() -> None:
    capture = await capture_started(needs("7.2", "mips64"), ["-M", "magnum"], answer_seconds=3)
    assert TREE_COMMAND in capture.recording.skipped
    assert "info mtree -D" in capture.recording.hmp
    assert issubclass(Hung, CompareError)
