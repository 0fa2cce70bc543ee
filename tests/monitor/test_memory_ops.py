"""Saving and dumping guest memory: files, policies, and ELF as real QEMU writes it."""

from __future__ import annotations

import json
import os
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qshim import versions
from qshim.edge.files import HostFiles
from qshim.memory.access import write_rom
from qshim.monitor.dump import dump_of, ram_stretches, start
from qshim.monitor.memory_ops import chunks, memsave, pmemsave, system
from qshim.monitor.registry import CommandError
from qshim.recording.format import load
from qshim.vm import Vm
from tests.support.oracle import needs

ROOT = Path(__file__).parents[2]
Q35 = ("-nodefaults", "-display", "none", "-S", "-machine", "q35", "-m", "64", "-name", "vmx")


def machine(dialect: str) -> Vm:
    vm = Vm.from_recording(load(ROOT / "fixtures" / "monitor" / "hmp" / f"q35-{dialect}.qrec.xz"))
    vm.files = HostFiles(None)
    return vm


def poke(vm: Vm, addr: int, data: bytes) -> None:
    space = system(vm)
    assert space is not None
    write_rom(space, addr, data)


def test_chunks_pass_over_what_was_never_mapped() -> None:
    vm = machine("10.0")
    assert list(chunks(system(vm), 0, 1 << 40)) == list(chunks(system(vm), 0, 1 << 40))
    assert all(data is None for _, data in chunks(system(vm), 0, 1 << 40))
    assert sum(count for count, _ in chunks(system(vm), 5, 1 << 33)) == 1 << 33
    poke(vm, 0x1000, b"abc")
    whole = b"".join(data or bytes(count) for count, data in chunks(system(vm), 0xFFE, 8))
    assert whole == b"\0\0abc\0\0\0"


def test_pmemsave_saves_what_is_no_memory_as_zeros(tmp_path: Path) -> None:
    vm = machine("10.0")
    poke(vm, 0xBFFFE, b"xy")
    pmemsave(vm, 0xBFFFE, 0x10, str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == b"xy" + bytes(14)
    pmemsave(vm, 0xFEE00000, 4096, str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == bytes(4096)
    pmemsave(vm, 0, 0, str(tmp_path / "empty"))
    assert (tmp_path / "empty").read_bytes() == b""


def test_memsave_stops_where_nothing_is_mapped(tmp_path: Path) -> None:
    vm = machine("10.0")
    with pytest.raises(CommandError, match=r"^Invalid addr 0x0000000003fff000/size 8192 specified$"):
        memsave(vm, 0x3FFF000, 8192, str(tmp_path / "a"), 0)
    assert (tmp_path / "a").stat().st_size == 4096
    with pytest.raises(CommandError, match="expects a CPU number"):
        memsave(vm, 0, 1, str(tmp_path / "b"), 1)
    with pytest.raises(CommandError, match=r"^Could not open '/nonexisting/x': No such file or directory$"):
        memsave(vm, 0, 1, "/nonexisting/x", 0)


def test_files_are_written_where_the_policy_allows(tmp_path: Path) -> None:
    vm = machine("11.1")
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    vm.files = HostFiles([str(inside)])
    pmemsave(vm, 0, 16, str(inside / "a"))
    for path in (outside / "a", inside / ".." / "out" / "a", inside / "link" / "a", Path("/etc/a")):
        with pytest.raises(CommandError, match="--allow-writes"):
            pmemsave(vm, 0, 16, str(path))
        with pytest.raises(CommandError, match="--allow-writes"):
            start(vm, f"file:{path}", paging=False)
    assert list(outside.iterdir()) == []
    vm.files = HostFiles([])
    with pytest.raises(CommandError, match="writes no files for monitor clients"):
        pmemsave(vm, 0, 16, str(inside / "a"))
    vm.files = None
    with pytest.raises(CommandError, match="this machine writes no files"):
        pmemsave(vm, 0, 16, str(inside / "a"))


# --- dump-guest-memory ---


def asked(binary: str, arguments: tuple[str, ...], requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The replies and events of a real QEMU."""
    lines = "".join(json.dumps(r) + "\n" for r in [{"execute": "qmp_capabilities"}, *requests, {"execute": "quit"}])
    command = [binary, *arguments, "-qmp", "stdio"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()][2:-2]


def parts(data: bytes) -> tuple[list[tuple[int, ...]], list[tuple[bytes, int, int]], bytes]:
    """Of a 64-bit dump: program headers, notes (name, type, size), and everything but the notes' contents."""
    program_at, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    headers = [struct.unpack_from("<IIQQQQQQ", data, program_at + 56 * n) for n in range(count)]
    _, _, at, _, _, size, _, _ = headers[0]
    notes, begin, end = [], at, at + size
    while at < end:
        name, length, number = struct.unpack_from("<III", data, at)
        notes.append((data[at + 12 : at + 12 + name], number, length))
        at += 12 + (name + 3) // 4 * 4 + (length + 3) // 4 * 4
    return headers, notes, data[:begin] + data[end:]


@pytest.mark.parametrize("dialect", versions.KNOWN)
@pytest.mark.parametrize("stretch", [(), (0xA0000, 0x70000), (3, 5)])
def test_dump_as_real_qemu(dialect: str, stretch: tuple[int, ...], tmp_path: Path) -> None:
    """Everything is equal but the registers in the notes, which no recorded machine has."""
    binary = needs(dialect, "x86_64")
    arguments: dict[str, Any] = {"paging": False, "protocol": f"file:{tmp_path / 'real'}"}
    if stretch:
        arguments["begin"], arguments["length"] = stretch
    replies = asked(binary, Q35, [{"execute": "dump-guest-memory", "arguments": arguments}])
    vm = machine(dialect)
    firmware = tmp_path / "firmware"
    save = [{"val": addr, "size": 0x40000, "filename": f"{firmware}{addr}"} for addr in (0xC0000, 0xFFFC0000)]
    asked(binary, Q35, [{"execute": "pmemsave", "arguments": each} for each in save])
    for addr in (0xC0000, 0xFFFC0000):
        poke(vm, addr, Path(f"{firmware}{addr}").read_bytes())
    told: list[Any] = []
    vm.subscribe(lambda event: told.append(event.data))
    begin, length = stretch or (None, None)
    start(vm, f"file:{tmp_path / 'ours'}", paging=False, begin=begin, length=length)
    assert told == [reply["data"] for reply in replies if "event" in reply]
    ours, real = (parts((tmp_path / name).read_bytes()) for name in ("ours", "real"))
    assert ours[0] == real[0]
    assert ours[1] == real[1]
    assert ours[2] == real[2]
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "real").stat().st_mode


DUMPS: list[dict[str, Any]] = [
    {"begin": 0}, {"length": 5}, {"protocol": "x"}, {"protocol": "fd:zz"}, {"protocol": "file:/nonexisting/q"},
    {"begin": 0xD000000000, "length": 5}, {"begin": 0, "length": 0}, {"format": "kdump-zlib", "begin": 3, "length": 5},
    {"format": "kdump-lzo"}, {"format": "kdump-snappy"}, {"format": "kdump-zlib", "paging": True}, {"paging": True},
]  # fmt: skip


@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_refusals_as_real_qemu(dialect: str, tmp_path: Path) -> None:
    binary = needs(dialect, "x86_64")
    requests: list[dict[str, Any]] = []
    for each in DUMPS:
        arguments = {"paging": False, "protocol": f"file:{tmp_path / 'd'}", **each}
        requests += [{"execute": "dump-guest-memory", "arguments": arguments}, {"execute": "query-dump"}]
    real = [reply for reply in asked(binary, Q35, requests) if "event" not in reply]
    vm = machine(dialect)
    for n, each in enumerate(DUMPS):
        given = {"paging": False, "protocol": f"file:{tmp_path / 'e'}", **each}
        reply: dict[str, Any] = {"return": {}}
        try:
            start(
                vm, given["protocol"], paging=given["paging"], begin=given.get("begin"), length=given.get("length"),
                form=given.get("format", "elf"),
            )  # fmt: skip
        except CommandError as error:
            reply = {"error": {"class": error.class_, "desc": error.desc}}
        assert reply == real[2 * n], given
        assert {"return": dump_of(vm).told()} == real[2 * n + 1], given


def test_a_detached_dump_goes_on_in_steps(tmp_path: Path) -> None:
    vm = machine("11.1")
    waiting: list[Callable[[], None]] = []
    vm.set_clock(lambda seconds, function: waiting.append(function))
    names: list[str] = []
    vm.subscribe(lambda event: names.append(event.name))
    vm.run_state = "running"
    start(vm, f"file:{tmp_path / 'd'}", paging=False, detach=True)
    assert (dump_of(vm).status, vm.run_state, names) == ("active", "save-vm", ["STOP"])
    with pytest.raises(CommandError, match=r"^There is a dump in process, please wait\.$"):
        start(vm, f"file:{tmp_path / 'e'}", paging=False)
    while waiting:
        waiting.pop(0)()
    assert dump_of(vm).told() == {"status": "completed", "completed": 67371008, "total": 67371008}
    assert (vm.run_state, names) == ("running", ["STOP", "DUMP_COMPLETED", "RESUME"])


def test_a_dump_to_a_pipe_has_every_byte(tmp_path: Path) -> None:
    vm = machine("11.1")
    poke(vm, 0x1000, b"abc")
    start(vm, f"file:{tmp_path / 'd'}", paging=False, begin=0, length=0x2000)
    reader, writer = os.pipe()
    start(vm, "fd:x", paging=False, begin=0, length=0x2000, fds={"x": writer})
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == (tmp_path / "d").read_bytes()


def test_a_full_disk_fails_the_dump() -> None:
    vm = machine("11.1")
    told: list[Any] = []
    vm.subscribe(lambda event: told.append(event.data))
    with open("/dev/full", "wb") as full, pytest.raises(CommandError, match="failed to save memory"):
        start(vm, "fd:x", paging=False, fds={"x": os.dup(full.fileno())})
    assert told[-1]["result"]["status"] == "failed"
    assert dump_of(vm).status == "failed"


def test_flash_is_not_dumped() -> None:
    vm = Vm.from_recording(load(ROOT / "fixtures" / "recordings" / "11.1" / "q35-pflash.qrec.xz"))
    assert all(stretch.start + stretch.size <= 0xFF000000 or stretch.start >= 1 << 32 for stretch in ram_stretches(vm))
