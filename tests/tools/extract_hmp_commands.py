"""Read the tables of HMP commands out of real QEMU binaries; write qshim/data/hmp-commands.json.xz.

    python tests/tools/extract_hmp_commands.py [-o FILE]

Every installed x86-64 build of an emulator that qshim stands for is read (tests/support/oracle.py lists
them), as data: nothing is run. A command is a record of pointers to its name, argument types, parameters,
help and flags; the table is found by its `help|?` entry, the items of `info` by the pointer in the entry
`info`. QEMU 11.1 has one table for all targets, with a mask of those that a command is meant for.

What is written: for each dialect the distinct records (name, argument types, parameters, help, flags), and
for each target the numbers of those it has; a negative number -1 - N is record N, known but meant for
another target. `unbuilt` are items of info that the build left out.
"""

from __future__ import annotations

import argparse
import json
import lzma
import shlex
import struct
import subprocess
from pathlib import Path

from tests.support.oracle import LABELS, binaries

DATA = Path(__file__).parents[2] / "qshim" / "data" / "hmp-commands.json.xz"
TARGETS = {"x86_64": 26, "i386": 6, "aarch64": 0, "arm": 2, "riscv64": 18, "riscv32": 17}
"""Target -> its bit in the mask of 11.1: its place in SysEmuTarget (qapi-schemas)."""
WORD = 8
RECORD = 10 * WORD
ITEMS = {"7.2": 8, "10.0": 8, "11.1": 7}
"""Which word of a record points to the table below it. In 11.1 the last word is the mask."""


class Image:
    """A 64-bit little-endian ELF file with its relative relocations applied."""

    def __init__(self, path: Path, items: int) -> None:
        self.items = items
        self.data = path.read_bytes()
        assert self.data[:6] == b"\x7fELF\x02\x01", f"{path} is no 64-bit little-endian ELF file"
        start, count = self.at("<Q", 32), self.at("<H", 56)
        self.segments: list[tuple[int, int, int]] = []
        tags: dict[int, int] = {}
        for entry in range(start, start + 56 * count, 56):
            kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", self.data, entry)
            if kind == 1:
                self.segments.append((address, offset, size))
            elif kind == 2:
                tags = dict(struct.iter_unpack("<QQ", self.data[offset : offset + size]))
        self.pointers: dict[int, int] = {}
        rela = self.offset(tags[7])
        for where, info, addend in struct.iter_unpack("<QQq", self.data[rela : rela + tags[8]]):
            if info & 0xFFFFFFFF == 8:
                self.pointers[where] = addend

    def at(self, layout: str, offset: int) -> int:
        value: int = struct.unpack_from(layout, self.data, offset)[0]
        return value

    def offset(self, address: int) -> int:
        """Where *address* lies in the file."""
        return next(offset + address - base for base, offset, size in self.segments if base <= address < base + size)

    def text(self, pointer: int) -> str | None:
        """The string that the pointer at address *pointer* leads to; None for a null pointer."""
        target = self.pointers.get(pointer)
        if target is None:
            return None
        start = self.offset(target)
        return self.data[start : self.data.index(b"\0", start)].decode()

    def table(self, address: int) -> list[tuple[list[str], int]]:
        """The records from *address* to the null name, each with its mask of targets (0: all)."""
        rows = []
        while self.text(address) is not None:
            texts = [self.text(address + WORD * i) or "" for i in range(5)]
            mask = self.at("<I", self.offset(address) + 9 * WORD) if self.items == 7 else 0
            rows.append((texts, mask))
            address += RECORD
        return rows

    def commands(self) -> tuple[list[tuple[list[str], int]], list[tuple[list[str], int]]]:
        """The records of the commands and of the items of `info`, in the order of the file."""
        at = self.data.index(b"\0help|?\0") + 1
        found = [p for p, t in self.pointers.items() if t >= 0 and self.holds(t) and self.offset(t) == at]
        assert len(found) == 1, f"{len(found)} tables begin with help|?"
        records = self.table(found[0])
        index = next(i for i, (texts, _) in enumerate(records) if texts[0] == "info")
        return records, self.table(self.pointers[found[0] + index * RECORD + self.items * WORD])

    def holds(self, address: int) -> bool:
        return any(base <= address < base + size for base, _, size in self.segments)


def program(wrapper: str) -> Path:
    """The ELF file behind *wrapper*, which may be a shell script that runs it with its own libraries."""
    data = Path(wrapper).read_bytes()
    if data.startswith(b"\x7fELF"):
        return Path(wrapper)
    words = shlex.split(data.decode().partition("exec ")[2])
    return Path(next(word for word in words if "/root-" in word and "/qemu-system-" in word))


def printed(binary: str, lines: list[str]) -> dict[str, list[str]]:
    """What *binary* prints for each of *lines*."""
    command = [binary, "-machine", "none", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"]
    asked: list[dict[str, object]] = [{"execute": "qmp_capabilities"}]
    asked += [{"execute": "human-monitor-command", "arguments": {"command-line": line}, "id": line} for line in lines]
    asked.append({"execute": "quit"})
    text = "".join(json.dumps(line) + "\n" for line in asked)
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=True)
    replies = [json.loads(line) for line in done.stdout.splitlines()]
    return {r["id"]: r["return"].split("\r\n")[:-1] for r in replies if "id" in r}


def texts(binary: str) -> dict[str, list[str]]:
    """Fixed texts that tell about the binary: what can be logged, which objects can be made, how it would migrate."""
    return {line: text for line, text in printed(binary, list(TEXTS)).items() if not text[0].startswith("unknown")}


TEXTS = (
    "help log", "object_add help", "info migrate_parameters", "info dirty_rate",
    "info via",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=DATA)
    args = parser.parse_args()
    document: dict[str, dict[str, object]] = {}
    for label in LABELS:
        records: list[list[str]] = []
        targets: dict[str, dict[str, list[int]]] = {}
        for target, bit in TARGETS.items():
            binary = binaries().get((label, target))
            if binary is None:
                print(f"{label} {target}: not installed")
                continue
            lists = {}
            for kind, rows in zip(("commands", "info"), Image(program(binary), ITEMS[label]).commands(), strict=True):
                numbers = []
                for words, mask in sorted(rows):
                    if words not in records:
                        records.append(words)
                    number = records.index(words)
                    numbers.append(number if not mask or mask >> bit & 1 else -1 - number)
                lists[kind] = numbers
            targets[target] = lists
            print(f"{label} {target}: {', '.join(f'{len(n)} {k}' for k, n in lists.items())}")
        document[label] = {"records": records, "targets": targets, "texts": texts(binaries()[label, "x86_64"])}
        items = sorted({records[n if n >= 0 else -1 - n][0] for lists in targets.values() for n in lists["info"]})
        # too many arguments: nothing is carried out, but a command that was not built says so first
        told = printed(binaries()[label, "x86_64"], [f"info {item} 1 2 3 4 5 6 7" for item in items])
        document[label]["unbuilt"] = [
            line.split()[1] for line, text in told.items() if text and text[0].endswith("is not available.")
        ]
    text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    args.output.write_bytes(lzma.compress(text, check=lzma.CHECK_CRC32, preset=9 | lzma.PRESET_EXTREME))
    print(f"{args.output}: {len(text)} bytes of JSON")


if __name__ == "__main__":
    main()
