"""The head of a migration stream: machine type, capabilities, and the RAM blocks that are sent.

Reads what `migrate exec:cat>FILE` (7.2) and `migrate file:FILE` (10.0 on) write, with x-ignore-shared, postcopy-ram
and mapped-ram where the stream says that they were on. Only the beginning is read, however large the file is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from qshim.errors import RecordingError

__all__ = ["MAGIC", "MigrationStream", "SentBlock", "read_stream"]

MAGIC = b"QEVM"
_VERSION = 3
_SECTION_START, _SUBSECTION, _CONFIGURATION, _COMMAND = 0x01, 0x05, 0x07, 0x08
_MEM_SIZE = 0x04
_POSTCOPY_ADVISE = 3
_MOST_BLOCKS = 4096
_RAM_VERSION = 4

Read = Callable[[int, int], bytes]
"""(offset, length) -> that many bytes of the file, fewer at its end."""


class SentBlock(NamedTuple):
    """One RAM block as the source announced it."""

    name: str
    used_length: int
    page_size: int | None = None
    """None where the stream does not say it: only with postcopy-ram, and for blocks of large pages."""
    address: int | None = None
    """Where its region is in its container; only with x-ignore-shared."""


@dataclass(frozen=True, slots=True)
class MigrationStream:
    """What the beginning of a stream says."""

    machine: str | None
    """Machine type; None for a stream without configuration section."""
    capabilities: frozenset[str]
    """Those that the stream names: x-ignore-shared, mapped-ram; and postcopy-ram where it was announced."""
    blocks: tuple[SentBlock, ...]
    """In the order of sending."""


def read_stream(read: Read, name: str = "migration stream") -> MigrationStream:
    """The stream that *read* reads; *name* stands in complaints.

    :raises RecordingError: it is none, or is cut short before the RAM blocks end.
    """
    return _Reader(read, name).stream()


class _Reader:
    def __init__(self, read: Read, name: str) -> None:
        self.read = read
        self.name = name
        self.at = 0

    def fail(self, what: str) -> NoReturn:
        raise RecordingError(f"{self.name} is no migration stream that qshim can read: {what} at byte {self.at}")

    def take(self, length: int) -> bytes:
        data = self.read(self.at, length)
        if len(data) != length:
            self.fail(f"it ends where {length} more bytes are needed")
        self.at += length
        return data

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "big")

    def peek(self) -> int:
        data = self.read(self.at, 1)
        return data[0] if data else -1

    def text(self, length: int) -> str:
        return self.take(length).decode("utf-8", "surrogateescape")

    def stream(self) -> MigrationStream:
        if self.take(4) != MAGIC:
            self.fail("the magic number QEVM is not there")
        version = self.number(4)
        if version != _VERSION:
            self.fail(f"version {version} of the format, not {_VERSION},")
        machine: str | None = None
        capabilities: set[str] = set()
        if self.peek() == _CONFIGURATION:
            self.at += 1
            machine = self.text(self.number(4))
            while self.peek() == _SUBSECTION:
                capabilities |= self.configuration()
        while True:
            kind = self.number(1)
            if kind == _COMMAND:
                command, length = self.number(2), self.number(2)
                self.take(length)
                if command == _POSTCOPY_ADVISE:
                    capabilities.add("postcopy-ram")
            elif kind == _SECTION_START:
                break
            else:
                self.fail(f"the section of RAM does not come first, but one of type {kind:#04x}")
        self.number(4)
        section = self.text(self.number(1))
        self.number(4)
        ram_version = self.number(4)
        if section != "ram" or ram_version != _RAM_VERSION:
            self.fail(f"section '{section}' of version {ram_version} instead of 'ram' of version {_RAM_VERSION}")
        return MigrationStream(machine, frozenset(capabilities), self.blocks(capabilities))

    def configuration(self) -> set[str]:
        self.at += 1
        name = self.text(self.number(1))
        self.number(4)
        if name == "configuration/capabilities":
            return {self.text(self.number(1)) for _ in range(self.number(4))}
        if name == "configuration/target-page-bits":
            self.number(4)
        elif name == "configuration/uuid":
            self.take(16)
        else:
            self.fail(f"unknown part {name!r} of the configuration")
        return set()

    def blocks(self, capabilities: set[str]) -> tuple[SentBlock, ...]:
        head = self.number(8)
        if not head & _MEM_SIZE:
            self.fail("the list of RAM blocks is missing")
        left = head & ~0xFFF
        found: list[SentBlock] = []
        while left > 0:
            if len(found) == _MOST_BLOCKS:
                self.fail(f"more than {_MOST_BLOCKS} RAM blocks")
            name = self.text(self.number(1))
            used_length = self.number(8)
            # a name is not empty, so a zero begins a page size
            large = "postcopy-ram" in capabilities and self.peek() == 0
            page_size = self.number(8) if large else None
            address = self.number(8) if "x-ignore-shared" in capabilities else None
            if "mapped-ram" in capabilities:
                self.take(4 + 8 + 8)
                self.at = self.number(8) + used_length
            found.append(SentBlock(name, used_length, page_size, address))
            left -= used_length
        return tuple(found)
