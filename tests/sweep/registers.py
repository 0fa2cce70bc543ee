"""Random register writes, the same on our boards and on real QEMUs, with both memory maps compared after each.

    python -m tests.sweep.registers [--target T] [--qemu-version V] [--seed N] [--count N] [--steps N] [-v]

A sequence starts one machine (pc or q35 with some PCI devices; virt for other targets than x86_64),
writes configuration space, ports and ECAM, resets now and then, and compares `info mtree -o -D` and
`info mtree -f -o` after each step, and what configuration reads answer. Exit status: 0 all agree, 1 some
differ, 3 there is no QEMU.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from qshim.devices.board import Board
from qshim.monitor.hmp.line import run as run_hmp
from tests.support.oracle import LABELS, binaries
from tests.sweep.compare import ours as machine_of
from tests.tools.device_probe import Machine, Refusal

__all__ = ["Step", "main", "run", "sequence"]

PLAIN = ("VGA", "e1000", "e1000e", "virtio-net-pci", "virtio-scsi-pci", "qemu-xhci", "rtl8139", "ich9-ahci", "edu",
         "cirrus-vga", "vmxnet3", "pci-testdev", "bochs-display", "virtio-rng-pci", "secondary-vga")  # fmt: skip
BEHIND = {
    "pc": ("pci-bridge,id=br{n},chassis_nr={m}", "br{n}"),
    "q35": ("pcie-root-port,id=br{n},chassis={m},slot={m}", "br{n}"),
    "microvm": ("pcie-root-port,id=br{n},chassis={m},slot={m}", "br{n}"),
    "virt": ("pcie-root-port,id=br{n},chassis={m},slot={m}", "br{n}"),
}
FAMILIES = ("pc", "q35", "microvm")
TARGETS = ("x86_64", "aarch64", "arm", "riscv64")
SINCE_MICROVM = 1000
"""Sequences from this seed on are of microvm as well."""
SIZES = (1, 2, 4)
VIDEO = (
    (0x3C4, 0x0F02), (0x3C4, 0x0802), (0x3C4, 0x0804), (0x3C4, 0x0604), (0x3CE, 0x0406), (0x3CE, 0x0806),
    (0x3CE, 0x0C06), (0x3CE, 0x0006), (0x3C4, 0x0804), (0x3C4, 0x0F02), (0x1CE, 4), (0x1CE, 5), (0x1D0, 0x41),
    (0x1D0, 0), (0x1D0, 2), (0x1CF, 1),
)  # fmt: skip
"""Index and data of VGA registers that show video memory."""
ECAM = {"microvm": 0xE0000000, "aarch64": 0x4010000000, "arm": 0x3F000000, "riscv64": 0x30000000}
"""Of machines that have no ports for configuration space."""
VIRT_WINDOW = {"aarch64": (0x10000000, 0x3EFF0000), "arm": (0x10000000, 0x3EFF0000), "riscv64": (0x40000000, 1 << 31)}
"""Where memory of PCI is seen."""
PAM = {"pc": 0x59, "q35": 0x90}
SPACE_NAMES = {1: "b", 2: "w", 4: "l"}


class Step(NamedTuple):
    """One access: `out`, `in`, `write` (memory), `config`, `read` or `reset`."""

    kind: str
    address: int = 0
    value: int = 0
    size: int = 4


@dataclass
class Place:
    """A function of the machine: where it is and what is worth writing there."""

    bus: int
    devfn: int
    bridge: bool
    name: str


def machine_words(rng: random.Random, family: str, target: str = "x86_64") -> list[str]:
    """Arguments of a machine with some devices."""
    machine = {"microvm": "microvm,pcie=on"}.get(family, family)
    if family == "virt":
        variants = {"aarch64": ("virt", "virt,gic-version=3", "virt,secure=on", "virt-6.0"),
                    "arm": ("virt,highmem=off", "virt,highmem=off,gic-version=3")}  # fmt: skip
        machine = rng.choice(variants.get(target, ("virt", "virt,aia=aplic")))
    words = ["-M", machine, "-nodefaults", "-m", rng.choice(("128M", "1G", "3G", "5G"))]
    for n in range(rng.randrange(4)):
        pattern, bus = BEHIND[family]
        words += ["-device", pattern.format(n=n, m=n + 1)]
        if rng.random() < 0.7:
            words += ["-device", f"{rng.choice(PLAIN)},bus={bus.format(n=n)},id=in{n}"]
    for n in range(rng.randrange(1, 5)):
        words += ["-device", f"{rng.choice(PLAIN)},id=d{n}"]
    return [*words, "-bios", "none"] if target.startswith("riscv") else words


def places(board: Board) -> list[Place]:
    """All functions on buses that configuration cycles reach from the start."""
    from qshim.devices.pci import PciBridge, PciBus

    root = board.pci_buses[0]
    assert isinstance(root, PciBus)
    found = []
    for devfn, function in sorted(root.slots.items()):
        found.append(Place(0, devfn, isinstance(function, PciBridge), function.type_name))
    return found


def config_step(place: Place, register: int, value: int, size: int, kind: str = "config") -> Step:
    """A configuration access as one step; its address is that of cf8."""
    return Step(kind, 1 << 31 | place.bus << 16 | place.devfn << 8 | register, value & (1 << 8 * size) - 1, size)


def in_ecam(step: Step, base: int) -> int:
    """Where the register of a configuration access is in the ECAM window at *base*."""
    return base | (step.address & 0xFFFF00) << 4 | step.address & 0xFF


def _address(rng: random.Random, window: tuple[int, int]) -> int:
    """An address that some BAR may get; *window* is where the machine sees PCI memory."""
    if window[0] and rng.random() < 0.5:
        return rng.randrange(*window) & ~0xFFF
    return rng.choice((
        rng.randrange(0x80000000, 0xFFFFFFFF) & ~0xFFF, rng.randrange(0x10000000) << 4, 0xFFFFFFFF, 0, 0xFEC00000,
        rng.randrange(1 << 32), rng.randrange(0xE0000000, 0xF0000000) & ~0xFFFFF, 0xA0000, 0xC0000, 0xFED00000,
    ))  # fmt: skip


def steps(rng: random.Random, family: str, board: Board, count: int) -> Iterator[Step]:
    """A random sequence."""
    known = places(board)
    window = VIRT_WINDOW.get(board.target, (0, 0))
    yield from (config_step(place, 0x04, 7, 2) for place in known if rng.random() < 0.5)
    for _ in range(count):
        place = rng.choice(known)
        if rng.random() < 0.15:
            # whoever answers behind a bridge, if its bus has that number by now
            place = Place(rng.randrange(1, 4), 0, False, "behind")
        size = rng.choice(SIZES)
        roll = rng.random()
        if roll < 0.02:
            yield Step("reset")
        elif roll < 0.07:
            yield config_step(place, rng.randrange(0, 256, size), 0, size, "read")
        elif roll < 0.25 and family in PAM:
            yield from _chipset(rng, family)
        elif roll < 0.40:
            yield config_step(place, 0x04, rng.randrange(8), rng.choice((1, 2)))
        elif roll < 0.70:
            register = rng.choice((0x10, 0x14) if place.bridge else (0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x30))
            yield config_step(place, register, _address(rng, window), rng.choice((4, 4, 4, 2, 1)))
        elif roll < 0.86 and place.bridge:
            yield from _bridge(rng, place)
        elif roll < 0.90 and family != "virt":
            yield Step("write", 0xB0000000 | place.devfn << 12 | rng.choice((4, 0x10, 0x14, 0x20, 0x9D, 0x40)),
                       rng.getrandbits(8 * size), size)  # fmt: skip
        elif roll < 0.93 and family != "virt":
            yield Step("out", rng.choice((0xAF00, 0xCD8, 0x92)), 0, 1)
            for port, value in rng.sample(VIDEO, 3):
                yield Step("out", port, value, 2)
        else:
            yield config_step(place, rng.randrange(0x40, 0x100, size), rng.getrandbits(8 * size), size)


def _chipset(rng: random.Random, family: str) -> Iterator[Step]:
    """Registers of the host bridge and the south bridge."""
    host = Place(0, 0, False, "host")
    byte = rng.randrange(256)
    if rng.random() < 0.4:
        register = PAM[family] + rng.randrange(7)
        yield config_step(host, register, byte, 1)
    elif family == "pc":
        power = Place(0, 0x0B, False, "PIIX4_PM")
        yield rng.choice((
            config_step(host, 0x72, byte, 1), config_step(power, 0x40, rng.getrandbits(16), rng.choice((1, 2, 4))),
            config_step(power, 0x80, rng.randrange(4), 1), config_step(power, 0x90, rng.getrandbits(16), 4),
            config_step(power, 0xD2, rng.randrange(16), 1),
        ))  # fmt: skip
    else:
        lpc = Place(0, 0xF8, False, "ICH9-LPC")
        yield rng.choice((
            config_step(host, 0x9D, byte, 1), config_step(host, 0x9E, byte, 1),
            config_step(host, 0x9C, rng.choice((0xFF, 2, byte)), 1),
            config_step(host, 0x60, rng.getrandbits(32) & 0xFF000007, 4),
            config_step(host, 0x60, 0xB0000001, 4), config_step(host, 0x64, rng.randrange(3), 4),
            config_step(host, 0x50, rng.getrandbits(16), 2), config_step(lpc, 0x40, rng.getrandbits(16), 4),
            config_step(lpc, 0x44, byte, 1), config_step(lpc, 0xF0, rng.getrandbits(32), 4),
        ))  # fmt: skip


def _bridge(rng: random.Random, place: Place) -> Iterator[Step]:
    """Windows, bus numbers, control."""
    yield rng.choice((
        config_step(place, 0x1C, rng.getrandbits(16), 2), config_step(place, 0x20, rng.getrandbits(32), 4),
        config_step(place, 0x24, rng.getrandbits(32), 4), config_step(place, 0x28, rng.randrange(4), 4),
        config_step(place, 0x2C, rng.randrange(4), 4), config_step(place, 0x3E, rng.randrange(256), 1),
        config_step(place, 0x18, rng.getrandbits(24) & 0x030300, 4),
        config_step(place, 0x18, 0x010100, 4),
        config_step(place, 0x18, 0x020200, 4), config_step(place, 0x18, 0x030100, 4),
        config_step(place, 0x30, rng.getrandbits(32), 4),
    ))  # fmt: skip


# --- the two sides ---


class Side:
    """A machine behind the qtest protocol."""

    def __init__(self, words: list[str], target: str) -> None:
        self.ecam = ECAM.get(words[1].partition(",")[0], ECAM.get(target, 0))

    def say(self, line: str) -> str:
        """The reply to a qtest line."""
        raise NotImplementedError

    def reset(self) -> None:
        """system_reset."""
        raise NotImplementedError

    def texts(self) -> tuple[str, str]:
        """Both memory maps."""
        raise NotImplementedError

    def do(self, step: Step) -> int | None:
        """Carry out *step*; what was read."""
        letter = SPACE_NAMES[step.size]
        if step.kind == "reset":
            self.reset()
        elif step.kind in ("out", "write"):
            self.say(f"{step.kind}{letter} {step.address:#x} {step.value:#x}")
        elif self.ecam and step.kind == "read":
            return int(self.say(f"read{letter} {in_ecam(step, self.ecam):#x}").split()[1], 16)
        elif self.ecam:
            self.say(f"write{letter} {in_ecam(step, self.ecam):#x} {step.value:#x}")
        else:
            self.say(f"outl 0xcf8 {step.address & ~3:#x}")
            port = 0xCFC + (step.address & 3)
            if step.kind == "read":
                return int(self.say(f"in{letter} {port:#x}").split()[1], 16)
            self.say(f"out{letter} {port:#x} {step.value:#x}")
        return None


class Ours(Side):
    """Our machine."""

    def __init__(self, label: str, words: list[str], target: str = "x86_64") -> None:
        super().__init__(words, target)
        self.vm = machine_of(label, [*words, "-display", "none", "-S"], target)
        self.board: Board = self.vm.machine_model.board

    def say(self, line: str) -> str:
        reply = str(self.vm.qtest(line))
        assert reply.startswith("OK"), (line, reply)
        return reply

    def reset(self) -> None:
        self.board.reset()

    def texts(self) -> tuple[str, str]:
        mapped, flat = (run_hmp(self.vm, f"info mtree {options}") for options in ("-o -D", "-f -o"))
        return mapped.replace("\r", ""), flat.replace("\r", "")


class Theirs(Side):
    """A real QEMU."""

    def __init__(self, label: str, words: list[str], target: str = "x86_64") -> None:
        super().__init__(words, target)
        self.machine = Machine(binaries()[label, target], [*words, "-S", "-accel", "tcg", "-display", "none"])

    def say(self, line: str) -> str:
        return str(self.machine.qtest(line))

    def reset(self) -> None:
        self.machine.qmp("system_reset")
        # a stopped machine is reset by the main loop, which answers the next command after it
        self.machine.qmp("query-status")

    def texts(self) -> tuple[str, str]:
        return "\n".join(self.machine.hmp("info mtree -o -D")), "\n".join(self.machine.hmp("info mtree -f -o"))

    def stop(self) -> None:
        """End it."""
        self.machine.stop()


def parts(text: str) -> Counter[str]:
    """The paragraphs of a text; QEMU keeps them in hash tables, so that their order is chance."""
    out: Counter[str] = Counter()
    for paragraph in text.strip().split("\n\n"):
        for flatview in paragraph.split("\nFlatView"):
            lines = [line for line in flatview.strip().splitlines() if not line.startswith(("FlatView", " #"))]
            names = sorted(line for line in lines if line.startswith((" AS ", "address-space: ")))
            rest = [line for line in lines if not line.startswith((" AS ", "address-space: "))]
            out["\n".join(names + rest)] += 1
    return out


def differing(ours: Ours, theirs: Theirs) -> list[str]:
    """Lines that only one side has (- real, + ours); empty: both maps are equal."""
    out = []
    for mine, real in zip(ours.texts(), theirs.texts(), strict=True):
        a, b = parts(mine), parts(real)
        if a != b:
            lines, others = Counter("\n".join(a - b).splitlines()), Counter("\n".join(b - a).splitlines())
            out += [f"- {x}" for x in (others - lines)] + [f"+ {x}" for x in (lines - others)]
            out = out or ["(the order differs)"]
    return out


def run(label: str, seed: int, count: int, target: str = "x86_64") -> tuple[int, int, list[str]]:
    """(steps that agree, steps made, what differs first) of sequence *seed*."""
    rng = random.Random(f"registers {seed}")
    family = rng.choice(FAMILIES if seed >= SINCE_MICROVM else FAMILIES[:2]) if target == "x86_64" else "virt"
    words = machine_words(rng, family, target)
    ours = Ours(label, words, target)
    theirs = Theirs(label, words, target)
    try:
        found = differing(ours, theirs)
        if found:
            return 0, 1, [" ".join(words), "at start", *found]
        done: list[Step] = []
        for step in steps(rng, family, ours.board, count):
            done.append(step)
            mine, real = ours.do(step), theirs.do(step)
            found = differing(ours, theirs) if step.kind != "read" else []
            if mine != real and mine is not None and real is not None:
                found = [f"read {step.address:#x}: ours {mine:#x}, real {real:#x}"]
            if found:
                shown = [f"{s.kind} {s.address:#x} = {s.value:#x} ({s.size})" for s in done[-6:]]
                return len(done) - 1, len(done), [" ".join(words), *shown, *found]
        return len(done), len(done), []
    finally:
        theirs.stop()


def sequence(label: str, seed: int, count: int = 40, target: str = "x86_64") -> list[str]:
    """What differs first in sequence *seed*; empty: nothing."""
    return run(label, seed, count, target)[2]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--qemu-version", choices=LABELS, action="append")
    parser.add_argument("--target", choices=TARGETS, default="x86_64")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("-v", "--verbose", action="store_true")
    arguments = parser.parse_args()
    status = 0
    for label in arguments.qemu_version or LABELS:
        if (label, arguments.target) not in binaries():
            print(f"{label}: no QEMU", file=sys.stderr)
            return 3
        good = agreed = made = 0
        for seed in range(arguments.seed, arguments.seed + arguments.count):
            try:
                same, steps_made, found = run(label, seed, arguments.steps, arguments.target)
            except Refusal as error:
                print(f"{label} seed {seed}: QEMU refuses: {str(error)[-200:]}")
                continue
            agreed, made, good = agreed + same, made + steps_made, good + (not found)
            if found:
                status = 1
                if arguments.verbose:
                    print(f"{label} seed {seed}:", *found[:30], sep="\n    ")
        shares = f"{good} of {arguments.count} sequences agree, {agreed} of {made} steps"
        print(f"{label} {arguments.target}: {shares}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
