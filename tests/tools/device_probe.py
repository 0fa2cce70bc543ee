"""A stopped real QEMU, and what it says of its devices and regions: used by record_devices.py."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from qshim.qom.types import QomTypes
from qshim.recording.parse.qomtree import parse_qom_tree
from qshim.recording.parse.tree import parse_tree
from qshim.rows import OwnerRow, RegionRow

__all__ = ["CORE_REGIONS", "REGION_TYPES", "Machine", "Refusal", "Snapshot", "numbered"]

REGION_TYPES = ("memory-region", "iommu-memory-region")
CORE_REGIONS = re.compile(r"bus master|bus master container|pci_bridge_\w+")
"""Regions that every PCI function or bridge has."""


class Refusal(Exception):
    """QEMU did not start; the text is its stderr."""


class Machine:
    """A stopped QEMU with QMP on its stdio and qtest on a socket."""

    def __init__(self, binary: str, arguments: list[str]) -> None:
        self.folder = tempfile.mkdtemp(prefix="qrd")
        path = os.path.join(self.folder, "t")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        with open(os.path.join(self.folder, "e"), "wb") as said:
            self.process = subprocess.Popen(
                [binary, *arguments, "-qmp", "stdio", "-qtest", f"unix:{path}", "-qtest-log", "/dev/null"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )
        listener.settimeout(0.05)
        self.port = None
        until = time.monotonic() + 20
        try:
            while self.port is None:
                with contextlib.suppress(TimeoutError):
                    self.port = listener.accept()[0]
                if self.port is None and (self.process.poll() is not None or time.monotonic() > until):
                    raise Refusal(self.stop())
            self._read()
            self.qmp("qmp_capabilities")
        except (BrokenPipeError, EOFError, ConnectionError) as error:
            raise Refusal(self.stop()) from error
        finally:
            listener.close()

    def stop(self) -> str:
        """End it; returns what it said on stderr."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        if self.port is not None:
            self.port.close()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        text = Path(self.folder, "e").read_text("utf-8", "replace")
        shutil.rmtree(self.folder)
        return text

    def _read(self) -> Any:
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise EOFError
            message = json.loads(line)
            if "event" not in message:
                return message

    def qmp(self, command: str, **arguments: Any) -> Any:
        assert self.process.stdin is not None
        message = {"execute": command, "arguments": {k.replace("_", "-"): v for k, v in arguments.items()}}
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()
        answer = self._read()
        return answer.get("return", None)

    def hmp(self, command: str) -> list[str]:
        text = self.qmp("human-monitor-command", command_line=command) or ""
        return [line.rstrip("\r") for line in text.split("\n")][:-1]

    def qtest(self, line: str) -> str:
        assert self.port is not None
        self.port.sendall(line.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            got = self.port.recv(1 << 16)
            if not got:
                raise EOFError
            answer += got
        return answer.decode().strip()


class Snapshot:
    """What one running machine says of itself."""

    def __init__(self, machine: Machine, types: QomTypes) -> None:
        self.machine = machine
        self.types = types
        nodes = list(parse_qom_tree(machine.hmp("info qom-tree")))
        self.nodes = {node.path: node.type for node in nodes}
        self.children: dict[str, list[str]] = {}
        for path in self.nodes:
            self.children.setdefault(path.rpartition("/")[0], []).append(path)
        for paths in self.children.values():
            paths.sort(key=numbered)
        self.regions = {path: self._region(path) for path, kind in self.nodes.items() if kind in REGION_TYPES}
        self.rows: dict[str, tuple[RegionRow, str | None]] = {}
        self.spaces: list[tuple[str, str]] = []
        self.seen_flat: set[tuple[str, int]] = set()
        self._look()
        self.qtree: dict[str, list[str]] = {}
        self._read_qtree()
        self.blocks = machine.hmp("info ramblock")

    def is_device(self, kind: str) -> bool:
        """Whether objects of type *kind* are devices; CPUs of a sibling target are, though its types are unknown."""
        return kind.endswith("-cpu") or self.types.implements(kind, "device")

    def _region(self, path: str) -> dict[str, Any]:
        found = {
            k: self.machine.qmp("qom-get", path=path, property=k) for k in ("size", "addr", "priority", "container")
        }
        return {**found, "path": path}

    def _look(self) -> None:
        """Match the rows of `info mtree` with objects."""
        tree = parse_tree(self.machine.hmp("info mtree -o -D"))
        taken: set[str] = set()
        for group in tree.groups:
            for name in group.spaces:
                root = self._match(group.regions, taken)
                self.spaces.append((name, root))
        for target in tree.targets:
            self._match(target.regions, taken)
        for line in self.machine.hmp("info mtree -f -o"):
            found = re.match(r" *([0-9a-f]{16})-.*?\): (.*?)(?: @[0-9a-f]{16})? (?:owner|parent):\{", line)
            if found:
                self.seen_flat.add((found[2], int(found[1], 16)))

    def _match(self, rows: tuple[RegionRow, ...], taken: set[str]) -> str:
        stack: list[tuple[str, int]] = []
        root = ""
        for row in rows:
            del stack[row.level - 1 :]
            base = stack[-1][1] if stack else 0
            parent = stack[-1][0] if stack else None
            path = self._path_of(row, row.start - base & (1 << 64) - 1, taken)
            if path is not None:
                known = self.rows.get(path)
                if known is None or (known[1] is None and parent is not None):
                    # the root of an address space may be mapped elsewhere, too
                    self.rows[path] = (row, parent)
                taken.add(path)
            if row.level == 1:
                root = path or row.name
            stack.append((path or f"@{row.name}", row.start))
        return root

    def _owner_path(self, owner: OwnerRow | None) -> str | None:
        if owner is None:
            return None
        if owner.key == "id":
            return f"/machine/peripheral/{owner.value}"
        return owner.value if owner.key == "path" else None

    def _path_of(self, row: RegionRow, addr: int, taken: set[str]) -> str | None:
        where = self._owner_path(row.parent) or self._owner_path(row.owner) or "/machine/unattached"
        size = row.last - row.start + 1
        name = row.name.replace("/", "\\x2f")
        candidates = [
            p for p in self.children.get(where, [])
            if p in self.regions and p.rpartition("/")[2].rpartition("[")[0] == name
        ]  # fmt: skip
        for exact in (True, False):
            for path in candidates:
                region = self.regions[path]
                same = region["size"] in (size, size - 1) and region["addr"] == addr
                if (not exact or same) and (path not in taken or same):
                    return path
        return candidates[0] if candidates else None

    def _read_qtree(self) -> None:
        lines = self.machine.hmp("info qtree")
        self._bus_lines("/machine/unattached/sysbus", lines, 0, 0)

    def _bus_lines(self, bus: str, lines: list[str], at: int, indent: int) -> int:
        """Lines of the bus from lines[at] (`bus: NAME`) on; returns where it ends."""
        at += 1
        devices = [
            (int(entry["name"][6:-1]), entry["name"]) for entry in self.machine.qmp("qom-list", path=bus) or []
            if entry["name"].startswith("child[")
        ]  # fmt: skip
        paths = [self.machine.qmp("qom-get", path=bus, property=name) for _, name in sorted(devices, reverse=True)]
        own = []
        while at < len(lines) and _indent(lines[at]) > indent:
            if lines[at].startswith(" " * (indent + 2) + "dev: "):
                at = self._device_lines(paths.pop(0) if paths else "", lines, at, indent + 2)
            else:
                own.append(lines[at].strip())
                at += 1
        self.qtree[bus] = own
        return at

    def _device_lines(self, path: str, lines: list[str], at: int, indent: int) -> int:
        own = []
        at += 1
        while at < len(lines) and _indent(lines[at]) > indent:
            if lines[at].startswith(" " * (indent + 2) + "bus: "):
                name = lines[at].strip()[len("bus: ") :]
                at = self._bus_lines(f"{path}/{name}", lines, at, indent + 2)
            else:
                own.append(lines[at][indent + 2 :])
                at += 1
        self.qtree[path] = own
        return at


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def numbered(path: str) -> tuple[str, int]:
    name, _, number = path.rpartition("[")
    return (name, int(number[:-1])) if path.endswith("]") and number[:-1].isdigit() else (path, -1)
