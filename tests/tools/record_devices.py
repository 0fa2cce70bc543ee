"""Ask real QEMUs what each device adds to memory, ports, the object tree and PCI; write qshim/data/devices-V.json.xz.

    python -m tests.tools.record_devices [--qemu-version V] [--merge] [TYPE...]

Each type of `-device help` that is no CPU is started on a machine without default devices, with
backends where it needs some (device_needs.py); devices that boards make themselves are taken from
pc, q35, microvm and isapc. With types named, only those are asked and, with --merge, the rest of the
data file is kept.

The file is a JSON object: `version`, `types` and `board`, the latter two from a type's name to an
entry (`board`: machine to entry), each as JSON text of its own so that a reader parses only what it needs.

    entry: on (machine), with (properties), extra (arguments before it), fail (what the plain
    `-device TYPE` on q35 was refused with), f (fragment, absent if it never started)
    fragment: t type, r regions, o other objects [[path, type]], b buses [[name, type]] oldest first,
      c children [[name, fragment, bus, addr]], q own lines of `info qtree`, gone properties,
      pci {config, mask, clear: hex; bars [[index, kind, region]]; lines of `info pci`},
      as [[name, root region]], blk RAM blocks [[name, region, bytes]] by age ("*" is the device's
      path), un objects that appear below /machine/unattached [[path, type]]
    region: {n name, s size, k io|container|ram|rom|romd|iommu|alias, at [container, addr, prio],
      off: disabled, to: [target, offset], pl: from a port list, own: owner is no device}
    references: `X[0]` a region of this device, `c/X[0]` of its child c, `../X[0]` of its parent,
      `@NAME` one outside (`@system`, `@io`, `@pci`), `@barN` behind a BAR.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import lzma
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

from qshim.qom.types import QomTypes, qom_types
from qshim.recording.parse.qomtree import parse_qom_tree
from qshim.recording.parse.tree import parse_tree
from qshim.rows import OwnerRow, RegionRow
from tests.support.oracle import LABELS, binaries
from tests.tools.device_needs import BOARD_ARGS, Setting, settings

DATA = Path(__file__).parents[2] / "qshim" / "data"
ECAM = 0xB0000000
REGION_TYPES = ("memory-region", "iommu-memory-region")
CORE_REGIONS = re.compile(r"bus master|bus master container|pci_bridge_\w+")
MACHINES = (
    "pc", "q35", "microvm", "isapc", "microvm,pcie=on,usb=on", "pc,usb=on", "pc,x-south-bridge=piix4-isa",
)  # fmt: skip


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
        self.process = subprocess.Popen(
            [binary, *arguments, "-qmp", "stdio", "-qtest", f"unix:{path}", "-qtest-log", "/dev/null"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(self.folder + "/e", "wb"),  # noqa: SIM115
        )  # fmt: skip
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
            paths.sort(key=_numbered)
        self.regions = {path: self._region(path) for path, kind in self.nodes.items() if kind in REGION_TYPES}
        self.rows: dict[str, tuple[RegionRow, str | None]] = {}
        self.spaces: list[tuple[str, str]] = []
        self.seen_flat: set[tuple[str, int]] = set()
        self._look()
        self.qtree: dict[str, list[str]] = {}
        self._read_qtree()
        self.blocks = machine.hmp("info ramblock")

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


def _numbered(path: str) -> tuple[str, int]:
    name, _, number = path.rpartition("[")
    return (name, int(number[:-1])) if path.endswith("]") and number[:-1].isdigit() else (path, -1)


class Fragments:
    """Makes fragments of devices in a snapshot."""

    def __init__(self, snapshot: Snapshot, bars: dict[str, tuple[int, int]]) -> None:
        self.s = snapshot
        self.bars = bars
        """Region path -> (BAR index, kind) of all functions that were mapped."""

    def of(self, path: str) -> dict[str, Any]:
        s = self.s
        fragment: dict[str, Any] = {"t": s.nodes[path]}
        regions, others, buses, children = [], [], [], []
        for child in s.children.get(path, []):
            kind, name = s.nodes[child], child.rpartition("/")[2]
            if kind in REGION_TYPES:
                if not CORE_REGIONS.fullmatch(name.rpartition("[")[0]):
                    regions.append(self.region(path, child))
            elif s.types.implements(kind, "bus"):
                buses.append([re.sub(r"^dut\.", "{id}.", name), kind, *s.qtree.get(child, [])])
            elif s.types.implements(kind, "device"):
                parent = s.machine.qmp("qom-get", path=child, property="parent_bus") or ""
                bus = parent[len(path) + 1 :] if parent.startswith(path + "/") else f"@{s.nodes.get(parent, parent)}"
                addr = s.machine.qmp("qom-get", path=child, property="addr") if "addr" in self._names(child) else None
                children.append([name, self.of(child), bus, addr])
            else:
                others.append([name, kind])
        regions.sort(key=lambda r: _numbered(r["n"]))
        for key, value in (("r", regions), ("o", _packed(others)), ("b", buses), ("c", children)):
            if value:
                fragment[key] = value
        lines = s.qtree.get(path)
        if lines is not None:
            fragment["q"] = lines
        spaces = [
            [name, self.ref(path, root)] for name, root in s.spaces
            if root.startswith(path + "/") and not CORE_REGIONS.fullmatch(root.rpartition("/")[2].rpartition("[")[0])
            and root[len(path) + 1 :].count("/") == 0
        ]  # fmt: skip
        if spaces:
            fragment["as"] = spaces
        return fragment

    def _names(self, path: str) -> set[str]:
        return {entry["name"] for entry in self.s.machine.qmp("qom-list", path=path) or []}

    def region(self, device: str, path: str) -> dict[str, Any]:
        s = self.s
        told = s.regions[path]
        name = path.rpartition("/")[2]
        out: dict[str, Any] = {"n": name, "s": told["size"]}
        seen = s.rows.get(path)
        kind = "io"
        if s.nodes[path] == "iommu-memory-region":
            kind = "iommu"
        if seen is not None:
            row, parent = seen
            if row.alias is not None:
                kind = "alias"
                target = self._target(device, row.alias.target)
                out["to"] = [target, row.alias.start]
            elif row.type in ("ram", "rom", "romd", "ramd"):
                kind = row.type
            elif kind == "io" and any(r["container"] == path for r in s.regions.values()):
                kind = "io" if self._in_flat(row) else "container"
            if row.disabled:
                out["off"] = True
            if row.owner is None:
                out["own"] = "none"
            elif row.owner.key == "type":
                out["pl" if row.owner.value == "memory-region-portio-list" else "own"] = row.owner.value
        out["k"] = kind
        if path in self.bars:
            out["at"] = [f"@bar{self.bars[path][0]}", 0, 1]
        elif told["container"]:
            out["at"] = [self.ref(device, told["container"]), told["addr"], told["priority"]]
        elif seen is not None and seen[1] is not None:
            out["at"] = [self.ref(device, seen[1]), told["addr"], told["priority"]]
        return out

    def _in_flat(self, row: RegionRow) -> bool:
        return any(name == row.name and row.start <= start <= row.last for name, start in self.s.seen_flat)

    def _target(self, device: str, name: str) -> str:
        own = [
            p for p in self.s.children.get(device, []) if p in self.s.regions and p.rpartition("/")[2] == f"{name}[0]"
        ]
        if own:
            return self.ref(device, own[0])
        return f"@{name}"

    def ref(self, device: str, path: str) -> str:
        if path.startswith(device + "/"):
            return path[len(device) + 1 :]
        above = device.rpartition("/")[0]
        if above.startswith("/machine/peripheral/") or re.match(r"/machine/(unattached/device\[|q35|i440fx)", above):
            if path.startswith(above + "/"):
                return f"../{path[len(above) + 1 :]}"
        return path if path.startswith("@") else "@" + path.rpartition("/")[2].rpartition("[")[0]


def _packed(others: list[list[str]]) -> list[list[Any]]:
    """`X[0]` to `X[n-1]` of one type as [X, type, n]."""
    out: list[list[Any]] = []
    for name, kind in others:
        found = re.fullmatch(r"(.*)\[(\d+)\]", name)
        if found and int(found[2]) == 0:
            out.append([found[1], kind, 1])
        elif found and out and out[-1][0] == found[1] and len(out[-1]) == 3 and out[-1][2] == int(found[2]):
            out[-1][2] += 1
        else:
            out.append([name, kind])
    return out


# --- PCI ---


class Config:
    """Configuration space of one function through cf8/cfc."""

    def __init__(self, machine: Machine, bus: int, slot: int, function: int) -> None:
        self.machine = machine
        self.base = 1 << 31 | bus << 16 | slot << 11 | function << 8
        self.ecam = ECAM + (bus << 20 | slot << 15 | function << 12)

    def read(self, offset: int) -> int:
        self.machine.qtest(f"outl 0xcf8 {self.base | offset:#x}")
        return int(self.machine.qtest("inl 0xcfc").split()[1], 16)

    def write(self, offset: int, value: int) -> None:
        self.machine.qtest(f"outl 0xcf8 {self.base | offset:#x}")
        self.machine.qtest(f"outl 0xcfc {value:#x}")

    def short(self) -> bytes:
        return b"".join(self.read(at).to_bytes(4, "little") for at in range(0, 256, 4))

    def long(self) -> bytes | None:
        """All 4096 bytes through ECAM; None where there is no extended configuration space."""
        found = bytes.fromhex(self.machine.qtest(f"read {self.ecam:#x} 0x1000").split()[1][2:])
        return None if found[256:260] == b"\xff\xff\xff\xff" else found

    def probe(self, start: int, size: int) -> tuple[bytes, bytes]:
        """(writable bits, bits cleared by writing 1) of *size* bytes from *start* on."""
        mask, clear = bytearray(size), bytearray(size)
        for at in range(start, start + size, 4):
            before = self._get(at)
            self._put(at, 0xFFFFFFFF)
            ones = self._get(at)
            self._put(at, 0)
            zeros = self._get(at)
            mask[at - start : at - start + 4] = (ones & ~zeros).to_bytes(4, "little")
            clear[at - start : at - start + 4] = (before & ~ones & ~zeros & ~(ones & ~zeros)).to_bytes(4, "little")
            if not 0x10 <= at < 0x28:
                self._put(at, before)
        return bytes(mask), bytes(clear)

    def _get(self, at: int) -> int:
        if at < 256:
            return self.read(at)
        return int(self.machine.qtest(f"readl {self.ecam + at:#x}").split()[1], 16)

    def _put(self, at: int, value: int) -> None:
        if at < 256:
            self.write(at, value)
        else:
            self.machine.qtest(f"writel {self.ecam + at:#x} {value:#x}")


class Functions:
    """The PCI functions of a machine whose BARs can be mapped for a look."""

    def __init__(self, machine: Machine, paths: list[str], snapshot: Snapshot) -> None:
        self.machine = machine
        self.found: dict[str, dict[str, Any]] = {}
        self.bars: dict[str, dict[int, tuple[int, int, int]]] = {}
        self.io, self.memory, self.high = 0xC000, 0x80000000, 0x8000000000
        if "pcie.0 (PCIE)" in "".join(machine.hmp("info qom-tree")):
            for at, value in ((0x60, ECAM | 1), (0x64, 0)):
                Config(machine, 0, 0, 0).write(at, value)
        for path in paths:
            lines = snapshot.qtree.get(path, [])
            place = next(
                (re.search(r"addr ([0-9a-f]{2}):([0-9a-f]{2})\.(\d)", x) for x in lines if "pci id" in x), None
            )
            if place is None:
                continue
            self.one(path, Config(machine, int(place[1], 16), int(place[2], 16), int(place[3])))

    def one(self, path: str, config: Config) -> None:
        short = config.short()
        long = config.long() if self.machine.qtest(f"readl {ECAM:#x}") != "OK 0x0000000000000000" else None
        bridge = short[0x0E] & 0x7F == 1
        bars: dict[int, tuple[int, int, int]] = {}
        index = 0
        while index < (2 if bridge else 6):
            at = 0x10 + 4 * index
            kind = config.read(at)
            kind &= 3 if kind & 1 else 15
            config.write(at, 0xFFFFFFFF)
            low = config.read(at) & ~(3 if kind & 1 else 15)
            wide = not kind & 1 and bool(kind & 4)
            high = 0xFFFFFFFF
            if wide:
                config.write(at + 4, 0xFFFFFFFF)
                high = config.read(at + 4)
                config.write(at + 4, 0)
            config.write(at, 0)
            if low or (wide and high):
                size = (~(high << 32 | low) & (1 << 64) - 1) + 1
                bars[index] = (kind, size, at)
            index += 2 if wide else 1
        rom = 0x38 if bridge else 0x30
        config.write(rom, 0xFFFFFFFE)
        size = ~(config.read(rom) & ~0x7FF) + 1 & 0xFFFFFFFF
        config.write(rom, 0)
        if size:
            bars[6] = (0, size, rom)
        self.bars[path] = bars
        self.found[path] = {"config": config, "short": short, "long": long, "bars": bars, "map": {}}

    def map(self) -> None:
        """Map every BAR."""
        for told in self.found.values():
            config: Config = told["config"]
            for index, (kind, size, at) in told["bars"].items():
                if kind & 1:
                    self.io = -(-self.io // size) * size
                    address, self.io = self.io, self.io + size
                elif kind & 4 and size >= 1 << 28:
                    self.high = -(-self.high // size) * size
                    address, self.high = self.high, self.high + size
                else:
                    self.memory = -(-self.memory // size) * size
                    address, self.memory = self.memory, self.memory + size
                config.write(at, address & 0xFFFFFFFF | (1 if index == 6 else 0))
                if kind & 4:
                    config.write(at + 4, address >> 32)
                told["map"][address, kind & 1] = index
            config.write(4, 7)

    def behind(self, snapshot: Snapshot) -> dict[str, tuple[int, int]]:
        """Region path -> (BAR, kind), from where regions are mapped now."""
        out: dict[str, tuple[int, int]] = {}
        for path, told in self.found.items():
            for region, (row, parent) in snapshot.rows.items():
                if region.startswith(path + "/") and parent in (
                    "/machine/unattached/pci[0]",
                    "/machine/unattached/io[0]",
                    "/machine/unattached/system[0]",
                ):
                    index = told["map"].get((row.start, int(parent.endswith("io[0]"))))
                    if index is not None and not CORE_REGIONS.fullmatch(row.name):
                        out[region] = (index, told["bars"][index][0])
        return out

    def finish(self, path: str, fragment: dict[str, Any]) -> None:
        """Put configuration space into the fragment; its registers are not what they were afterwards."""
        told = self.found.get(path)
        if told is None:
            return
        config: Config = told["config"]
        config.write(4, 0)
        mask, clear = config.probe(0, 256)
        raw = told["long"] or told["short"]
        if told["long"]:
            more = config.probe(0x100, _used(told["long"]) - 0x100)
            mask, clear = mask + more[0], clear + more[1]
        fragment["pci"] = {
            "config": raw.rstrip(b"\0").hex(), "mask": mask.hex(), "clear": clear.rstrip(b"\0").hex(), "size": len(raw),
            "bars": [[i, kind, size] for i, (kind, size, _) in sorted(told["bars"].items())],
        }  # fmt: skip


def _used(raw: bytes) -> int:
    return max(0x100, -(-len(raw.rstrip(b"\0")) // 4) * 4 + 0x40) if raw[256:].strip(b"\0") else 0x100


# --- one type ---


class Recorder:
    """Records with one QEMU."""

    def __init__(self, label: str, binary: str) -> None:
        self.label = label
        self.binary = binary
        types = qom_types(label, "x86_64")
        assert types is not None
        self.types = types
        self.plain: dict[tuple[str, ...], tuple[set[str], set[str]]] = {}

    def start(self, machine: str, extra: tuple[str, ...], device: str | None = None) -> Machine:
        memory = [] if "-m" in extra else ["-m", "128M"]
        return Machine(
            self.binary,
            ["-M", machine, *BOARD_ARGS, *memory, *extra, *(["-device", device] if device is not None else [])],
        )

    def baseline(self, machine: str, extra: tuple[str, ...]) -> tuple[set[str], set[str]]:
        """(objects, RAM blocks) of the machine without the device."""
        key = (machine, *extra)
        if key not in self.plain:
            vm = self.start(machine, extra)
            try:
                nodes = {n.path for n in parse_qom_tree(vm.hmp("info qom-tree"))}
                blocks = {line.split()[0] for line in vm.hmp("info ramblock")[1:]}
            finally:
                vm.stop()
            self.plain[key] = nodes, blocks
        return self.plain[key]

    def device(self, name: str) -> dict[str, Any] | None:
        """The entry of a type; None: users cannot make it."""
        entry: dict[str, Any] = {}
        for setting in settings(name):
            try:
                fragment = self.attempt(name, setting)
            except Refusal as refusal:
                text = self.reason(str(refusal), name)
                if "expects a pluggable device type" in text or "is not a valid device model name" in text:
                    return None
                entry.setdefault("fail", text)
                continue
            machine, properties, extra = setting
            entry.update({"on": machine, "f": fragment})
            if properties:
                entry["with"] = properties
            if extra:
                entry["extra"] = list(extra)
            return entry
        return entry

    def reason(self, text: str, name: str) -> str:
        lines = [
            x for x in text.split("\n") if x and "module" not in x and "same build" not in x and "warning:" not in x
        ]
        prefix = re.compile(rf"qemu[^ ]*: (?:-device {re.escape(name)},id=dut[^ ]*: )?")
        return "\n".join(prefix.sub("", line, count=1) for line in lines)

    def attempt(self, name: str, setting: Setting) -> dict[str, Any]:
        machine, properties, extra = setting
        vm = self.start(machine, extra, f"{name},id=dut" + (f",{properties}" if properties else ""))
        try:
            first = Snapshot(vm, self.types)
            path = "/machine/peripheral/dut"
            if path not in first.nodes:
                raise Refusal("(it is nowhere)")
            nodes, blocks = self.baseline(machine, extra)
            inside = [p for p in first.nodes if p == path or p.startswith(path + "/")]
            fragment = self.record(vm, first, [path], inside, blocks)[path]
            new = [
                [p[len("/machine/unattached/") :], kind] for p, kind in first.nodes.items()
                if p not in nodes and p.startswith("/machine/unattached/")
            ]  # fmt: skip
            if new:
                fragment["un"] = new
            return fragment
        except EOFError as error:
            raise Refusal("(QEMU died)") from error
        finally:
            vm.stop()

    def record(
        self, vm: Machine, first: Snapshot, wanted: list[str], inside: list[str], blocks: set[str]
    ) -> dict[str, dict[str, Any]]:
        pci_lines = _functions(vm.hmp("info pci"))
        functions = Functions(vm, inside, first)
        functions.map()
        second = Snapshot(vm, self.types) if functions.found else first
        fragments = Fragments(second, functions.behind(second))
        out = {}
        for path in wanted:
            fragment = out[path] = fragments.of(path)
            self._decorate(path, fragment, first, functions, pci_lines)
            found = self._blocks(first, blocks, path)
            if found:
                fragment["blk"] = found
        return out

    def _decorate(
        self, path: str, fragment: dict[str, Any], first: Snapshot, functions: Functions,
        pci_lines: dict[str, list[str]],
    ) -> None:  # fmt: skip
        if path in first.qtree:
            fragment["q"] = first.qtree[path]
        functions.finish(path, fragment)
        for line in fragment.get("q", []):
            place = re.search(r"addr ([0-9a-f]{2}:[0-9a-f]{2}\.\d), pci id", line)
            if place and place[1] in pci_lines and "pci" in fragment:
                fragment["pci"]["lines"] = pci_lines[place[1]]
        for child in fragment.get("c", []):
            self._decorate(f"{path}/{child[0]}", child[1], first, functions, pci_lines)

    def _blocks(self, first: Snapshot, before: set[str], path: str) -> list[list[Any]]:
        out = []
        place = re.compile(r"0000:[0-9a-f:.]+/")
        for line in first.blocks[1:]:
            found = re.match(r" *(\S.*?) +\d+ [KMG]iB +0x([0-9a-f]+) +0x([0-9a-f]+) +0x([0-9a-f]+)", line)
            if found and found[1] not in before and not found[1].startswith("/rom@"):
                name = found[1]
                short = place.sub("*/", name)
                region = short.rpartition("/")[2]
                out.append([int(found[2], 16), short, region, int(found[3], 16)])
        return [row[1:] for row in sorted(out)]

    # --- devices that boards make ---

    def board(self, machine: str) -> dict[str, dict[str, Any]]:
        vm = self.start(machine, ())
        try:
            first = Snapshot(vm, self.types)
            devices = [
                p for p, kind in first.nodes.items()
                if kind in self.types.by_name and self.types.implements(kind, "device")
                and not self.types.implements(kind, "bus")
            ]  # fmt: skip
            found = self.record(vm, first, devices, devices, {line.split()[0] for line in first.blocks[1:]})
        finally:
            vm.stop()
        out: dict[str, dict[str, Any]] = {}
        for path, fragment in found.items():
            out.setdefault(fragment["t"], {"on": machine, "path": path, "f": fragment})
        return out


def _functions(lines: list[str]) -> dict[str, list[str]]:
    """`info pci` by address, lines dedented by 4."""
    out: dict[str, list[str]] = {}
    here: list[str] = []
    for line in lines:
        found = re.match(r"  Bus +(\d+), device +(\d+), function (\d+):", line)
        if found:
            here = out.setdefault(f"{int(found[1]):02x}:{int(found[2]):02x}.{found[3]}", [])
        else:
            here.append(line[4:])
    return out


def type_names(recorder: Recorder) -> list[str]:
    """Types of `-device help`, or every device type where that command does not work."""
    told = subprocess.run([recorder.binary, "-device", "help"], capture_output=True, text=True, timeout=60, check=False)
    names = re.findall(r'^name "(.*?)"', told.stdout, re.MULTILINE)
    if not names:
        names = [
            row["name"] for row in recorder.types.types
            if recorder.types.implements(row["name"], "device") and not row.get("abstract")
        ]  # fmt: skip
    return sorted(n for n in set(names) if not recorder.types.implements(n, "cpu"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--qemu-version", choices=LABELS, action="append")
    parser.add_argument("--merge", action="store_true")
    parser.add_argument("--no-boards", action="store_true")
    parser.add_argument("types", nargs="*")
    arguments = parser.parse_args()
    for label in arguments.qemu_version or LABELS:
        recorder = Recorder(label, binaries()[label, "x86_64"])
        target = DATA / f"devices-{label}.json.xz"
        types: dict[str, str] = {}
        board: dict[str, dict[str, Any]] = {}
        if arguments.merge and target.exists():
            old = json.loads(lzma.decompress(target.read_bytes()))
            types, board = old["types"], {name: json.loads(text) for name, text in old["board"].items()}
        if not arguments.no_boards:
            for machine in MACHINES:
                with contextlib.suppress(Refusal):  # 7.2 has no x-south-bridge
                    for name, entry in recorder.board(machine).items():
                        board.setdefault(name, {})[machine] = entry
        for name in arguments.types or type_names(recorder):
            try:
                found = recorder.device(name)
            except Exception as error:
                print(label, name, "FAILED", repr(error), flush=True)
                continue
            if found is not None:
                types[name] = _text(found)
                print(label, name, found.get("on", "-"), found.get("fail", "")[:80].replace("\n", "|"), flush=True)
        shown = {name: _text(entries) for name, entries in board.items()}
        text = json.dumps({"version": label, "types": types, "board": shown}, sort_keys=True, separators=(",", ":"))
        target.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
        print(label, len(types), len(board), target.stat().st_size, flush=True)


def _text(entry: dict[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True, separators=(",", ":"))


if __name__ == "__main__":
    main()
