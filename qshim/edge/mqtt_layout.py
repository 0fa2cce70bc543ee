"""The memory layout of a machine that runs, read again and again: enough to see a change, and never half of one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from typing import Any, Protocol

from qshim.edge.real_qemu import Refused
from qshim.errors import QshimError
from qshim.layout.snapshot import Snapshot
from qshim.recording.canonical import masked_lines
from qshim.recording.format import FLAT_COMMAND, RAMBLOCK_COMMAND, TREE_COMMAND, QemuVersion, Recording

__all__ = ["LayoutReader", "Monitored", "Unsteady", "never_returns"]

_TRIES = 5
_TEXTS = {
    TREE_COMMAND: TREE_COMMAND,
    # owners and dispatch are no part of a snapshot, and are most of the text
    FLAT_COMMAND: "info mtree -f",
    RAMBLOCK_COMMAND: RAMBLOCK_COMMAND,
    "info qom-tree /objects": "info qom-tree /objects",
}
"""Name in a recording -> what is asked."""
_ANSWERS = ("query-memdev", "query-memory-devices")
_NO_OWNERS = ("magnum", "pica61")
"""QEMU 7.2 never returns from `info mtree -o` on these boards (capture.py)."""


class Unsteady(QshimError):
    """The layout changes faster than it can be read; it is no fault of anybody, and later it may be read."""


class Monitored(Protocol):
    """A machine with a QMP monitor that is ours."""

    async def qmp(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:
        """What *command* returns."""

    async def hmp(self, line: str) -> tuple[str, ...] | None:
        """The lines that *line* prints; None where there is no such command."""

    def events(self) -> AsyncIterator[Mapping[str, Any]]:
        """Its events; raises CompareError when it is gone."""


class LayoutReader:
    """Reads the layout of one machine; remembers what the last reading was like."""

    def __init__(self, qemu: Monitored) -> None:
        self._qemu = qemu
        self._seen: bytes | None = None
        self._facts: tuple[QemuVersion, str | None, str | None, bool] | None = None

    async def read(self) -> Snapshot | None:
        """The layout; None where it is what it was. A change counts once two readings in a row show the same.

        :raises CompareError: the machine is gone.
        :raises Unsteady: its layout changed during each of five readings.
        :raises RecordingError: its texts cannot be understood; told once for the same texts.
        """
        hmp, qmp = await self._texts()
        mark = _mark(hmp, qmp)
        if mark == self._seen:
            return None
        for _ in range(_TRIES):
            before = mark
            hmp, qmp = await self._texts()
            mark = _mark(hmp, qmp)
            if mark == before:
                break
        else:
            raise Unsteady(f"the memory map changed during each of {_TRIES} readings")
        self._seen = mark
        version, target, machine, kvm = await self._known()
        status = await self._qemu.qmp("query-status")
        when = "reset" if status.get("status") == "prelaunch" else "running"
        return Snapshot.of_recording(
            Recording(version, target=target, machine=machine, when=when, kvm=kvm, hmp=hmp, qmp=qmp)
        )

    async def _known(self) -> tuple[QemuVersion, str | None, str | None, bool]:
        if self._facts is None:
            told = await self._qemu.qmp("query-version")
            numbers = told["qemu"]
            machine = await _machine(self._qemu)
            self._facts = (
                QemuVersion(numbers["major"], numbers["minor"], numbers["micro"], str(told.get("package", ""))),
                ((await _optional(self._qemu, "query-target")) or {}).get("arch"),
                machine,
                bool(((await _optional(self._qemu, "query-kvm")) or {}).get("enabled")),
            )
        return self._facts

    async def _texts(self) -> tuple[dict[str, tuple[str, ...]], dict[str, Any]]:
        _, _, machine, _ = await self._known()
        hmp = {}
        for name, command in _TEXTS.items():
            if machine in _NO_OWNERS and name == TREE_COMMAND:
                name = command = "info mtree -D"
            lines = await self._qemu.hmp(command)
            if lines is not None:
                hmp[name] = masked_lines(name, lines)
        qmp = {command: await _optional(self._qemu, command) for command in _ANSWERS}
        return hmp, {command: value for command, value in qmp.items() if value is not None}


async def never_returns(qemu: Monitored, line: str) -> bool:
    """Whether *line* would hang this QEMU: one that only reads may do that, too."""
    words = line.split()
    if words[:2] != ["info", "mtree"] or not any(word.startswith("-") and "o" in word for word in words):
        return False
    return await _machine(qemu) in _NO_OWNERS


async def _machine(qemu: Monitored) -> str | None:
    told = await _optional(qemu, "qom-get", {"path": "/machine", "property": "type"})
    return None if told is None else str(told).removesuffix("-machine")


async def _optional(qemu: Monitored, command: str, arguments: Mapping[str, object] | None = None) -> Any:
    try:
        return await qemu.qmp(command, arguments)
    except Refused:
        return None


def _mark(hmp: Mapping[str, tuple[str, ...]], qmp: Mapping[str, Any]) -> bytes:
    return sha256(repr((hmp, qmp)).encode("utf-8", "surrogateescape")).digest()
