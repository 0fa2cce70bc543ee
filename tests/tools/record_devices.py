"""Ask real QEMUs what each device adds to memory, ports, the object tree and PCI; write qshim/data/devices-V.json.xz.

    python -m tests.tools.record_devices [--qemu-version V] [--target T] [--merge] [TYPE...]

Each type of `-device help` that is no CPU is started on a machine without default devices, with
backends where it needs some (device_needs.py); devices that boards make themselves are taken from
pc, q35, microvm and isapc. With types named, only those are asked and, with --merge, the rest of the
data file is kept. Other targets than x86_64 are asked about their board `virt`; their files are called
devices-V-T.json.xz, list all types, and say of each only what is not as in the file of x86_64.

The file is a JSON object: `version`, `types` and `board`, the latter two from a type's name to an
entry (`board`: machine to entry), each as JSON text of its own so that a reader parses only what it needs.

    entry: on (machine), with (properties), extra (arguments before it), fails (machine -> what the
    plain `-device TYPE` was refused with), bare (the same with `extra` but no properties), f (fragment,
    absent if it never started)
    fragment: t type, r regions, o other objects [[path, type]] or [[name, type, count]],
      b buses [[name, type, lines of `info qtree`...]] oldest first, c children [[name, fragment, bus,
      addr]], q own lines of `info qtree`, pci {config, mask, clear: hex; size of configuration space;
      bars [[index, type bits, size]]; lines of `info pci`}, as [[name, root region]], blk RAM blocks
      [[name, region, bytes]] by age ("*" is the device's path), un gpio lines that appear below
      /machine/unattached [[name, type]]; a child called #N/NAME hangs below bus N; one whose name
      begins with @ and a region with own: none hang below /machine/unattached. `dut` is the
      device's id; `{id}` in names of buses stands for it.
    region: {n name, s size, k io|container|ram|rom|romd|iommu|alias, at [container, addr, prio],
      off: disabled, to: [target, offset], pl: from a port list, own: none without an owner}
    references: `X[0]` a region of this device, `c/X[0]` of its child c, `../X[0]` of its parent,
      `@NAME` one outside (`@system`, `@io`, `@pci`), `@barN` behind a BAR.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import lzma
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qshim.argv.dialect import option_help
from qshim.devices.recorded import catalogue
from qshim.qom.types import target_types
from qshim.recording.parse.qomtree import parse_qom_tree
from qshim.rows import RegionRow
from tests.support.oracle import LABELS, binaries
from tests.tools.device_boards import BASES, boards, models, plain_arguments
from tests.tools.device_needs import BOARD_ARGS, VIRT, Setting, settings
from tests.tools.device_pci import Functions
from tests.tools.device_probe import CORE_REGIONS, REGION_TYPES, Machine, Refusal, Snapshot, numbered

DATA = Path(__file__).parents[2] / "qshim" / "data"
PLAIN = ("q35", "pc", "microvm")
GENERIC = {"gpex_mmio": "pci", "gpex_ioport": "io"}
"""What containers of the generic PCI host bridge stand for."""
SEVERAL = ("riscv.aplic", "riscv.imsic", "riscv.aclint.swi", "pl061")
"""Types of which a board has several that are not alike."""


class Fragments:
    """Makes fragments of devices in a snapshot."""

    def __init__(self, snapshot: Snapshot, bars: dict[str, tuple[int, int]]) -> None:
        self.s = snapshot
        self.bars = bars
        """Region path -> (BAR index, kind) of all functions that were mapped."""

    def of(self, path: str, apart: Sequence[str] = ()) -> dict[str, Any]:
        """The fragment of the device at *path*; objects at *apart* came with it."""
        s = self.s
        fragment: dict[str, Any] = {"t": s.nodes[path]}
        regions, others, buses, children = [], [], [], []
        for child in [*s.children.get(path, []), *apart]:
            kind, name = s.nodes[child], child.rpartition("/")[2]
            if child in apart and s.is_device(kind):
                name = f"@{name}"
            if kind in REGION_TYPES:
                if not CORE_REGIONS.fullmatch(name.rpartition("[")[0]):
                    regions.append(self.region(path, child))
            elif s.types.implements(kind, "bus"):
                buses.append([re.sub(r"^dut(?=\.|$)", "{id}", name), kind, *s.qtree.get(child, [])])
                for inner in s.children.get(child, []):
                    if s.is_device(s.nodes[inner]):
                        place = f"#{len(buses) - 1}/{inner.rpartition('/')[2]}"
                        children.append([place, self.of(inner), name, None])
            elif s.is_device(kind):
                parent = s.machine.qmp("qom-get", path=child, property="parent_bus") or ""
                bus = parent[len(path) + 1 :] if parent.startswith(path + "/") else f"@{s.nodes.get(parent, parent)}"
                addr = s.machine.qmp("qom-get", path=child, property="addr") if "addr" in self._names(child) else None
                children.append([name, self.of(child), bus, addr])
            else:
                others.append([name, kind])
        regions.sort(key=lambda r: numbered(r["n"]))
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
        if not path.startswith(device + "/"):
            out["own"] = "none"
        seen = s.rows.get(path)
        kind = "io"
        if s.nodes[path] == "iommu-memory-region":
            kind = "iommu"
        if seen is not None:
            row, _ = seen
            if row.alias is not None:
                kind = "alias"
                target = self._target(device, row.alias.target)
                out["to"] = [target, row.alias.start]
            elif row.type in ("ram", "rom", "romd", "ramd"):
                kind = row.type
            elif kind == "io" and (path in self.bars or any(r["container"] == path for r in s.regions.values())):
                # what is mapped and yet not seen has no registers of its own
                kind = "io" if self._in_flat(row) else "container"
            if row.disabled:
                out["off"] = True
            if row.owner is not None and row.owner.value == "memory-region-portio-list":
                out["pl"] = True
        out["k"] = kind
        if path in self.bars:
            out["at"] = [f"@bar{self.bars[path][0]}", 0, 1]
        elif told["container"]:
            out["at"] = [self.ref(device, told["container"]), told["addr"], told["priority"]]
        elif seen is not None and seen[1] is not None:
            out["at"] = [self.ref(device, seen[1]), told["addr"], told["priority"]]
        if out.get("at", [""])[0] == "@platform bus":
            # the board chooses the place
            del out["at"]
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
        inside = above.startswith("/machine/peripheral/") or re.match(
            r"/machine/(unattached/device\[|q35|i440fx)", above
        )
        if inside and path.startswith(above + "/"):
            return f"../{path[len(above) + 1 :]}"
        name = path.rpartition("/")[2].rpartition("[")[0]
        return path if path.startswith("@") else "@" + GENERIC.get(name, name)


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


class Recorder:
    """Records with one QEMU."""

    def __init__(self, label: str, binary: str, target: str = "x86_64", firmware: str = "") -> None:
        self.label = label
        self.binary = binary
        self.target = target
        self.firmware = firmware
        """A file that stands for firmware."""
        types = target_types(label, target)
        assert types is not None
        self.types = types
        self.plain: dict[tuple[str, ...], tuple[set[str], set[str]]] = {}

    def start(self, machine: str, extra: tuple[str, ...], device: str | None = None) -> Machine:
        memory = [] if "-m" in extra else ["-m", "128M"]
        words = [word.replace("{firmware}", self.firmware) for word in (*plain_arguments(self.target), *extra)]
        return Machine(
            self.binary,
            ["-M", machine, *BOARD_ARGS, *memory, *words, *(["-device", device] if device is not None else [])],
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
        for setting in settings(name, self.target):
            try:
                fragment = self.attempt(name, setting)
            except Refusal as refusal:
                text = self.reason(str(refusal), name)
                if "expects a pluggable device type" in text or "is not a valid device model name" in text:
                    return None
                if not setting[1] and not setting[2]:
                    entry.setdefault("fails", {})[setting[0]] = text
                continue
            machine, properties, extra = setting
            entry.update({"on": machine, "f": fragment})
            if properties:
                entry["with"] = properties
            if extra:
                entry["extra"] = list(extra)
            if properties and extra:
                text = self.plain_start(name, machine, extra)
                if text:
                    entry["bare"] = text
            break
        for machine in PLAIN if self.target not in BASES else (VIRT,):
            if machine not in entry.get("fails", {}) and (machine != entry.get("on") or "with" in entry):
                with contextlib.suppress(EOFError):
                    text = self.plain_start(name, machine)
                    if text:
                        entry.setdefault("fails", {})[machine] = text
        return entry

    def plain_start(self, name: str, machine: str, extra: tuple[str, ...] = ()) -> str:
        """What `-device NAME` is refused with on *machine*; empty: it starts."""
        try:
            self.start(machine, extra, f"{name},id=dut").stop()
        except Refusal as refusal:
            return self.reason(str(refusal), name)
        return ""

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
            apart = [
                p for p, kind in first.nodes.items()
                if p not in nodes and p.rpartition("/")[0] == "/machine/unattached" and kind != "irq"
            ]  # fmt: skip
            fragment = self.record(vm, first, [path], inside + apart, blocks, apart)[path]
            new = [
                [p[len("/machine/unattached/") :], kind] for p, kind in first.nodes.items()
                if p not in nodes and p.rpartition("/")[0] == "/machine/unattached" and kind == "irq"
            ]  # fmt: skip
            if new:
                fragment["un"] = new
            return fragment
        except EOFError as error:
            raise Refusal("(QEMU died)") from error
        finally:
            vm.stop()

    def record(
        self,
        vm: Machine,
        first: Snapshot,
        wanted: list[str],
        inside: list[str],
        blocks: set[str],
        apart: Sequence[str] = (),
    ) -> dict[str, dict[str, Any]]:
        pci_lines = _functions(vm.hmp("info pci"))
        functions = Functions(vm, inside, first)
        functions.map()
        second = Snapshot(vm, self.types) if functions.found else first
        fragments = Fragments(second, functions.behind(second, set(apart)))
        out = {}
        for path in wanted:
            fragment = out[path] = fragments.of(path, apart)
            self._decorate(path, fragment, first, functions, pci_lines)
            for child in fragment.get("c", []):
                if child[0].startswith("@"):
                    self._decorate("/machine/unattached/" + child[0][1:], child[1], first, functions, pci_lines)
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
            if not child[0].startswith(("@", "#")):
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

    def board(self, name: str, machine: str, extra: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
        """Type -> entry of each device that *machine* makes; further ones of a type are called TYPE#1 and so on."""
        vm = self.start(machine, extra)
        try:
            first = Snapshot(vm, self.types)
            devices = [
                p for p, kind in first.nodes.items()
                if first.is_device(kind) and not self.types.implements(kind, "bus")
            ]  # fmt: skip
            found = self.record(vm, first, devices, devices, {line.split()[0] for line in first.blocks[1:]})
        finally:
            vm.stop()
        out: dict[str, dict[str, Any]] = {}
        for path in sorted(found, key=numbered):
            fragment = found[path]
            kind = fragment["t"]
            count = sum(key.partition("#")[0] == kind for key in out)
            entry = {"on": name, "path": path, "f": fragment}
            if not count:
                out[kind] = entry
            elif kind in SEVERAL and all(
                _anywhere(fragment) != _anywhere(other["f"])
                for key, other in out.items() if key.partition("#")[0] == kind
            ):  # fmt: skip
                out[f"{kind}#{count}"] = entry
        return out

    def models(self, names: list[str]) -> dict[str, dict[str, Any]]:
        """Type -> entry of the CPU of each model that starts on the usual board."""
        out: dict[str, dict[str, Any]] = {}
        for name in names:
            with contextlib.suppress(Refusal, EOFError):
                for kind, entry in self.board(VIRT, VIRT, ("-cpu", name)).items():
                    if kind.endswith("-cpu"):
                        out[kind] = entry
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
    """Types that `-device help` lists, without CPUs."""
    told = option_help(recorder.label, recorder.target)["-device help"][1]
    names = re.findall(r'^name "(.*?)"', told, re.MULTILINE)
    return sorted(n for n in set(names) if n not in recorder.types.by_name or not recorder.types.implements(n, "cpu"))


def own_part(entry: dict[str, Any], base: Mapping[str, Any], usual: str) -> dict[str, Any]:
    """What of *entry*, recorded on virt, is not the same in *base*, recorded on *usual*; null: it is absent."""
    own: dict[str, Any] = {}
    fails = base.get("fails", {})
    text = entry.get("fails", {}).get(VIRT)
    if "f" in entry or " bus found for " not in (text or ""):
        # what only lacks a bus here is what it is elsewhere
        keys = ("f", "with", "extra", "bare")
        own = {key: entry.get(key) for key in keys if not _same(entry.get(key), base.get(key))}
    if text != fails.get(VIRT, fails.get(usual)):
        own["fails"] = {} if text is None else {VIRT: text}
    return own


def _anywhere(fragment: dict[str, Any]) -> dict[str, Any]:
    """A device of a board without where it is mapped."""
    regions = [{key: value for key, value in row.items() if key != "at"} for row in fragment.get("r", [])]
    lines = [line for line in fragment.get("q", []) if not line.startswith("mmio ")]
    return {**fragment, "r": regions, "q": lines}


def _same(one: Any, other: Any) -> bool:
    """Whether both say the same; devices that came with another have the numbers that were free."""
    texts = [re.sub(r'"@device\[\d+\]"', '"@device"', json.dumps(each, sort_keys=True)) for each in (one, other)]
    return texts[0] == texts[1]


def different(board: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Type -> board -> entry without those that are as on the first board."""
    out = {}
    for kind, entries in board.items():
        first = entries[min(entries)]
        seen = _anywhere(first["f"])
        out[kind] = {
            name: entry for name, entry in entries.items() if entry is first or _anywhere(entry["f"]) != seen
        }  # fmt: skip
    return out


def record(recorder: Recorder, arguments: argparse.Namespace) -> None:
    """Write the data file of one QEMU."""
    label, target = recorder.label, recorder.target
    path = DATA / (f"devices-{label}-{target}.json.xz" if target in BASES else f"devices-{label}.json.xz")
    types: dict[str, str] = {}
    board: dict[str, dict[str, Any]] = {}
    if (arguments.merge or arguments.no_boards or arguments.only_boards) and path.exists():
        old = json.loads(lzma.decompress(path.read_bytes()))
        types, board = old["types"], {name: json.loads(text) for name, text in old["board"].items()}
    if not arguments.no_boards:
        for name, machine, extra in boards(target):
            with contextlib.suppress(Refusal):  # older ones lack properties
                for kind, entry in recorder.board(name, machine, extra).items():
                    board.setdefault(kind, {})[name] = entry
        offered = option_help(label, target)["-cpu help"][1]
        for kind, entry in recorder.models(models(target, offered)).items():
            board.setdefault(kind, {})[VIRT] = entry
    base = catalogue(label, BASES[target]) if target in BASES else None
    for name in () if arguments.only_boards else arguments.types or type_names(recorder):
        try:
            found = recorder.device(name)
        except Exception as error:
            print(label, name, "FAILED", repr(error), flush=True)
            continue
        if found is None:
            continue
        known = None if base is None else base.entry(name) if name in base.names else None
        own = found if known is None else own_part(found, known, "q35")
        types[name] = _text(own) if own else ""
        refused = next(iter(found.get("fails", {}).values()), "")[:80].replace("\n", "|")
        print(label, target, name, found.get("on", "-"), refused, "|", *own, flush=True)
    if base is not None:
        board = {
            kind: entries for kind, entries in different(board).items()
            if target not in ("arm", "riscv32") or entries != base.board_entries(kind)
        }  # fmt: skip
    shown = {name: _text(entries) for name, entries in board.items()}
    text = json.dumps({"version": label, "types": types, "board": shown}, sort_keys=True, separators=(",", ":"))
    path.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(label, target, len(types), len(board), path.stat().st_size, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--qemu-version", choices=LABELS, action="append")
    parser.add_argument("--target", default="x86_64", choices=("x86_64", *BASES))
    parser.add_argument("--merge", action="store_true")
    parser.add_argument("--no-boards", action="store_true")
    parser.add_argument("--only-boards", action="store_true")
    parser.add_argument("types", nargs="*")
    arguments = parser.parse_args()
    with tempfile.NamedTemporaryFile() as firmware:
        firmware.write(bytes(1 << 16))
        firmware.flush()
        for label in arguments.qemu_version or LABELS:
            binary = binaries()[label, arguments.target]
            record(Recorder(label, binary, arguments.target, firmware.name), arguments)


def _text(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, sort_keys=True, separators=(",", ":"))


if __name__ == "__main__":
    main()
