"""What a command line asks of the machine itself: memory, CPUs, NUMA, objects, devices, drives (typed).

`CommandLine.layout` keeps these options as typed; here each becomes a value, checked as QEMU checks it
while it reads options. What can only be checked against a machine is checked when it is built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from qshim.argv.errors import OptionError
from qshim.argv.line import CommandLine
from qshim.argv.opts import IDENTIFIER_HINT, identifier, members, size, split

__all__ = ["DevicePlan", "DrivePlan", "MachinePlan", "NumaPlan", "ObjectPlan", "machine_plan"]

_BOOLEANS = {"merge", "dump", "prealloc", "share", "reserve", "hugetlb", "pmem", "discard-data", "readonly", "seal",
             "x-use-canonical-path-for-ramblock-id"}  # fmt: skip
_SIZES = {"size", "align", "offset", "hugetlbsize"}
_POLICIES = ("default", "preferred", "bind", "interleave")
_MEMORY_KEYS = {"size", "merge", "dump", "prealloc", "prealloc-threads", "prealloc-context", "share", "reserve",
                "host-nodes", "policy", "x-use-canonical-path-for-ramblock-id"}  # fmt: skip
_KEYS = {
    "memory-backend-ram": frozenset(_MEMORY_KEYS),
    "memory-backend-file": frozenset(
        _MEMORY_KEYS | {"align", "offset", "discard-data", "mem-path", "pmem", "readonly", "rom"}
    ),
    "memory-backend-memfd": frozenset(_MEMORY_KEYS | {"hugetlb", "hugetlbsize", "seal"}),
    "memory-backend-shm": frozenset(_MEMORY_KEYS),
    "memory-backend-epc": frozenset(_MEMORY_KEYS),
}  # fmt: skip
_NUMA_KEYS = {
    "node": ("nodeid", "cpus", "mem", "memdev", "initiator"), "dist": ("src", "dst", "val"),
    "cpu": ("node-id", "drawer-id", "book-id", "socket-id", "die-id", "cluster-id", "module-id", "core-id",
            "thread-id"),
}  # fmt: skip
_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|\d+)")


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """An -object. *values* are typed for memory backends, texts for others; without qom-type and id."""

    where: str
    """The option as typed, which QEMU puts in front of its messages."""
    kind: str
    id: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """A -device with its properties as texts (those of a JSON argument as JSON writes them)."""

    where: str
    driver: str
    id: str | None
    properties: Mapping[str, str]
    json: bool = False


@dataclass(frozen=True, slots=True)
class NumaPlan:
    """A -numa option: *kind* is node, dist, cpu, hmat-lb or hmat-cache."""

    where: str
    kind: str
    values: Mapping[str, str]
    cpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DrivePlan:
    """A -drive, or a short form of one."""

    where: str
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class MachinePlan:
    """Everything in the order in which it was given."""

    memory: int | None = None
    """Bytes as asked for, rounded up to 8 KiB; None: the board's default."""
    slots: int = 0
    max_memory: int | None = None
    """-m maxmem in bytes."""
    has_slots: bool = False
    smp: Mapping[str, int] = field(default_factory=dict)
    objects: tuple[ObjectPlan, ...] = ()
    devices: tuple[DevicePlan, ...] = ()
    numa: tuple[NumaPlan, ...] = ()
    globals: tuple[tuple[str, str, str], ...] = ()
    drives: tuple[DrivePlan, ...] = ()
    nets: tuple[tuple[str, str], ...] = ()
    """-net, -nic and -netdev: (option, value)."""
    serials: tuple[str, ...] = ()
    parallels: tuple[str, ...] = ()
    vga: str | None = None
    bios: str | None = None
    kernel: str | None = None
    data_dirs: tuple[str, ...] = ()
    memory_path: str | None = None
    usb: bool = False
    others: tuple[tuple[str, str], ...] = ()
    """Options that change something which is not looked at here, as (option, value)."""


def machine_plan(line: CommandLine) -> MachinePlan:
    """What *line* asks of the machine.

    :raises OptionError: a value that QEMU refuses while it reads options.
    """
    reader = _Plan(line)
    for text in line.layout:
        word, _, value = text.partition(" ")
        reader.take(word, value)
    return reader.plan()


class _Plan:
    def __init__(self, line: CommandLine) -> None:
        self.line = line
        self.slots, self.has_slots = 0, False
        self.max_memory: int | None = None
        self.smp: dict[str, int] = {}
        self.objects: list[ObjectPlan] = []
        self.devices: list[DevicePlan] = []
        self.numa: list[NumaPlan] = []
        self.globals: list[tuple[str, str, str]] = []
        self.drives: list[DrivePlan] = []
        self.nets: list[tuple[str, str]] = []
        self.texts: dict[str, str] = {}
        self.dirs: list[str] = []
        self.others: list[tuple[str, str]] = []
        self.usb = False

    def plan(self) -> MachinePlan:
        return MachinePlan(
            memory=self.line.memory,
            slots=self.slots,
            max_memory=self.max_memory,
            has_slots=self.has_slots,
            smp=self.smp,
            objects=tuple(self.objects),
            devices=tuple(self.devices),
            numa=tuple(self.numa),
            globals=tuple(self.globals),
            drives=tuple(self.drives),
            nets=tuple(self.nets),
            serials=self.line.serials,
            parallels=self.line.parallels,
            vga=self.texts.get("vga"),
            bios=self.texts.get("bios"),
            kernel=self.texts.get("kernel"),
            data_dirs=(*self.line.data_dirs, *self.dirs),
            memory_path=self.texts.get("mem-path"),
            usb=self.usb,
            others=tuple(self.others),
        )

    def take(self, word: str, value: str) -> None:
        option = word.lstrip("-")
        where = f"{word} {value}"
        if option == "m":
            self.memory(where, value)
        elif option == "smp":
            self.cpus(value)
        elif option == "object":
            self.object(where, value)
        elif option == "device":
            self.device(where, value)
        elif option == "numa":
            self.node(where, value)
        elif option == "global":
            self.globals.append(_global(where, value))
        elif option == "set":
            self.set(where, value)
        elif option in ("drive", "pflash", "hda", "hdb", "hdc", "hdd", "cdrom", "fda", "fdb", "mtdblock", "sd"):
            self.drives.append(DrivePlan(where, _drive(option, value)))
        elif option in ("net", "nic", "netdev"):
            self.nets.append((option, value))
        elif option in ("vga", "bios", "kernel", "mem-path"):
            self.texts[option] = value
        elif option == "L":
            self.dirs.append(value)
        elif option == "usb":
            self.usb = True
        elif not word.startswith("-"):
            self.drives.append(DrivePlan(f"{word} {value}".rstrip(), {"file": f"{word} {value}".rstrip()}))
        else:
            self.others.append((option, value))

    def memory(self, where: str, value: str) -> None:
        values = members(value, "size").values
        if "slots" in values:
            if re.fullmatch(r"-?(?:0[xX][0-9a-fA-F]+|\d+)", values["slots"]) is None:
                raise OptionError(f"{where}: Parameter 'slots' expects a number")
            self.slots = int(values["slots"], 0) % (1 << 64)
            self.has_slots = True
        if "maxmem" in values:
            self.max_memory = size(values["maxmem"], "maxmem", 1, lambda desc: OptionError(f"{where}: {desc}"))

    def cpus(self, value: str) -> None:
        self.smp.update({key: int(number) for key, number in members(value, "cpus").values.items()})

    def object(self, where: str, value: str) -> None:
        if value.startswith("{"):
            import json

            try:
                given = json.loads(value)
            except ValueError:
                raise OptionError(f"{where}: JSON parse error") from None
            kind, name = given.pop("qom-type"), given.pop("id")
            if "size" in given and not isinstance(given["size"], int):
                raise OptionError(f"{where}: Parameter 'size' expects uint64")
            self.objects.append(ObjectPlan(where, kind, name, given))
            return
        texts = members(value, "qom-type").values
        kind, name = texts.pop("qom-type"), texts.pop("id")
        if any(other.id == name for other in self.objects):
            raise OptionError(f"{where}: Duplicate ID '{name}' for object")
        keys = _KEYS.get(kind)
        values: dict[str, object] = dict(texts)
        if keys is not None:
            values = {key: _typed(where, key, text) for key, text in texts.items() if key != "host-nodes"}
            for key in texts:
                if key not in keys:
                    raise OptionError(f"{where}: Invalid parameter '{key}'")
            nodes = [text for key, text in split(value) if key == "host-nodes" and text is not None]
            if nodes:
                values["host-nodes"] = _ranges(where, "host-nodes", nodes)
        self.objects.append(ObjectPlan(where, kind, name, values))

    def device(self, where: str, value: str) -> None:
        if value.startswith("{"):
            import json

            try:
                given = json.loads(value)
            except ValueError:
                raise OptionError(f"{where}: JSON parse error") from None
            if "driver" not in given:
                raise OptionError(f"{where}: Parameter 'driver' is missing")
            driver, name = given.pop("driver"), given.pop("id", None)
            properties = {key: _json_text(member) for key, member in given.items()}
            self.devices.append(DevicePlan(where, driver, name, properties, json=True))
            return
        texts = members(value, "driver").values
        driver = texts.pop("driver", None)
        if driver is None:
            raise OptionError(f"{where}: Parameter 'driver' is missing")
        name = texts.pop("id", None)
        if name is not None and not identifier(name):
            raise OptionError(f"{where}: Parameter 'id' expects an identifier{IDENTIFIER_HINT}")
        if name is not None and any(other.id == name for other in self.devices):
            raise OptionError(f"{where}: Duplicate ID '{name}' for device")
        self.devices.append(DevicePlan(where, driver, name, texts))

    def node(self, where: str, value: str) -> None:
        values = members(value, "type").values
        kind = values.pop("type")
        for key in values:
            if kind in _NUMA_KEYS and key not in _NUMA_KEYS[kind]:
                raise OptionError(f"{where}: Invalid parameter '{key}'")
        cpus: list[int] = []
        for key, text in split(value):
            if key == "cpus" and text is not None:
                cpus += _ranges(where, "cpus", [text])
        self.numa.append(NumaPlan(where, kind, values, tuple(cpus)))

    def set(self, where: str, value: str) -> None:
        path, equals, text = value.partition("=")
        parts = path.split(".", 2)
        if not equals or len(parts) != 3:
            raise OptionError(f'{where}: can\'t parse: "{value}"')
        group, name, key = parts
        if group == "device":
            for at, device in enumerate(self.devices):
                if device.id == name:
                    changed = {**device.properties, key: text}
                    self.devices[at] = DevicePlan(device.where, device.driver, device.id, changed)
                    return
        elif group not in _GROUPS:
            raise OptionError(f"{where}: There is no option group '{group}'")
        raise OptionError(f"{where}: there is no {group} \"{name}\" defined")


_GROUPS = ("drive", "device", "netdev", "net", "chardev", "global", "object", "machine", "memory", "mon", "numa")


def _typed(where: str, key: str, text: str) -> object:
    def fail(desc: str) -> OptionError:
        return OptionError(f"{where}: {desc}")

    if key in _SIZES:
        try:
            return size(text, key, 1, fail)
        except OptionError as error:
            if "out of range" in str(error.reports[0]):
                raise
            raise fail(f"Parameter '{key}' expects a size value") from None
    if key in _BOOLEANS:
        if text in ("on", "yes", "true", "y"):
            return True
        if text in ("off", "no", "false", "n"):
            return False
        raise fail(f"Parameter '{key}' expects 'on' or 'off'")
    if key == "policy" and text not in _POLICIES:
        raise fail(f"Parameter 'policy' does not accept value '{text}'")
    if key == "prealloc-threads":
        if _NUMBER.fullmatch(text) is None:
            raise fail(f"Parameter '{key}' expects a uint64 value")
        return int(text, 0)
    return text


def _ranges(where: str, key: str, texts: list[str]) -> list[int]:
    found: list[int] = []
    for text in texts:
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
        if match is None or (match[2] is not None and int(match[2]) < int(match[1])):
            raise OptionError(f"{where}: Parameter '{key}' expects a uint16 value or range")
        low = int(match[1])
        found += range(low, int(match[2] or low) + 1)
    return found


def _json_text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _global(where: str, value: str) -> tuple[str, str, str]:
    match = re.match(r"([^.=,]+)\.([^=]+)=(.*)", value, re.DOTALL)
    if match is not None:
        return match[1], match[2], match[3]
    given = members(value)
    for key in given.values:
        if key not in ("driver", "property", "value"):
            warnings = tuple(f"{where}: {warning}" for warning in given.warnings)
            error = OptionError(f"{where}: Invalid parameter '{key}'")
            error.warnings = warnings
            raise error
    if "driver" not in given.values or "property" not in given.values:
        raise OptionError(f"{where}: Invalid 'global' expression: '{value}'")
    return given.values["driver"], given.values["property"], given.values.get("value", "")


def _drive(option: str, value: str) -> Mapping[str, str]:
    if option == "drive":
        return members(value).values
    if option == "pflash":
        return {"if": "pflash", "file": value}
    if option in ("fda", "fdb"):
        return {"if": "floppy", "index": "ab".index(option[-1:]).__str__(), "file": value}
    if option == "cdrom":
        return {"if": "ide", "media": "cdrom", "index": "2", "file": value}
    if option.startswith("hd"):
        return {"index": str("abcd".index(option[-1:])), "media": "disk", "file": value}
    return {"if": option, "file": value}
