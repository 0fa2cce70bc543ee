"""dump-guest-memory in makedumpfile's format: read back by a reader of its own, and beside real QEMU byte for byte."""

from __future__ import annotations

import json
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qshim import versions
from qshim.argv import parse
from qshim.cli.machines import machine
from qshim.edge.files import HostFiles
from qshim.memory.access import write
from qshim.monitor.memory_ops import system
from qshim.vm import Vm
from tests.support.oracle import needs

BLOCK = 4096
NOTES = (4096 + 104, 144 + 440 + 40)
"""Where the notes of one x86 CPU are: offset and size."""


def image_of(data: bytes) -> bytes:
    """A flattened dump put together again."""
    assert data.startswith(b"makedumpfile\0\0\0\0" + struct.pack(">qq", 1, 1))
    image, at = bytearray(), BLOCK
    while True:
        offset, size = struct.unpack_from(">qq", data, at)
        at += 16
        if offset == -1:
            assert (size, at) == (-1, len(data))
            return bytes(image)
        image.extend(bytes(max(0, offset + size - len(image))))
        image[offset : offset + size] = data[at : at + size]
        at += size


def page(image: bytes, number: int) -> bytes | None:
    """Guest page *number* of a dump of 64-bit kind; None if it has none."""
    _, block, sub, bitmaps, *_ = struct.unpack_from("<10I", image, 424)
    start = block * (1 + sub)
    half = image[start + bitmaps // 2 * block : start + bitmaps * block]
    if not half[number // 8] >> number % 8 & 1:
        return None
    index = sum(byte.bit_count() for byte in half[: number // 8])
    index += (half[number // 8] & (1 << number % 8) - 1).bit_count()
    at, size, flags, _ = struct.unpack_from("<qIIQ", image, start + bitmaps * block + 24 * index)
    packed = image[at : at + size]
    return zlib.decompress(packed) if flags == 1 else packed


def a_pc(label: str, folder: Path) -> tuple[Vm, list[str]]:
    """A small PC whose firmware is not that of the host."""
    bios = folder / "bios.bin"
    bios.write_bytes(bytes(range(256)) * 256)
    words = ["-nodefaults", "-display", "none", "-S", "-M", "pc", "-m", "8", "-bios", str(bios)]
    vm = machine(parse(words, label, "x86_64", lambda path: ""), "x86_64", label)
    vm.files = HostFiles(None)
    return vm, words


def dumped(converse: Callable[..., Any], vm: Vm, form: str, path: Path) -> bytes:
    talk = converse(vm=vm)
    talk.say(b'{"execute": "qmp_capabilities"}')
    arguments = {"paging": False, "format": form, "protocol": f"file:{path}"}
    replies = talk.say(json.dumps({"execute": "dump-guest-memory", "arguments": arguments}).encode())
    assert replies[-1] == '{"return": {}}'
    assert '"status": "completed"' in replies[0]
    return path.read_bytes()


@pytest.mark.parametrize("form", ["kdump-zlib", "kdump-raw-zlib"])
def test_pages_come_back(form: str, converse: Callable[..., Any], tmp_path: Path) -> None:
    vm, _ = a_pc("11.1", tmp_path)
    space = system(vm)
    assert space is not None
    write(space, 0x5000, b"here")
    write(space, 0x7FF000, bytes(range(256)) * 16)
    data = dumped(converse, vm, form, tmp_path / "dump")
    image = data if form == "kdump-raw-zlib" else image_of(data)
    assert page(image, 5) == b"here".ljust(BLOCK, b"\0")
    assert page(image, 0x7FF) == bytes(range(256)) * 16
    assert page(image, 6) == bytes(BLOCK)
    assert page(image, 0x800) is None
    assert page(image, 0xFFFFF) == bytes(range(256)) * 16


@pytest.mark.parametrize(
    ("label", "form"),
    [(v, f) for v in versions.KNOWN for f in ("kdump-zlib", "kdump-raw-zlib") if (v, f) != ("7.2", "kdump-raw-zlib")],
)
def test_the_file_is_qemus(label: str, form: str, converse: Callable[..., Any], tmp_path: Path) -> None:
    emulator = needs(label, "x86_64")
    vm, words = a_pc(label, tmp_path)
    ours = dumped(converse, vm, form, tmp_path / "ours")
    arguments = {"paging": False, "format": form, "protocol": f"file:{tmp_path / 'told'}"}
    requests = [{"execute": "qmp_capabilities"}, {"execute": "dump-guest-memory", "arguments": arguments}]
    text = "".join(json.dumps(each) + "\n" for each in [*requests, {"execute": "quit"}])
    subprocess.run([emulator, *words, "-qmp", "stdio"], input=text, text=True, capture_output=True, timeout=60)
    told = (tmp_path / "told").read_bytes()
    assert len(ours) == len(told)
    if form == "kdump-zlib":
        ours, told = image_of(ours), image_of(told)
    at, size = NOTES
    # registers are in there
    assert ours[:at] == told[:at]
    assert ours[at + size :] == told[at + size :]
