"""Random hot-plug operations, the same on our machines and on real QEMUs, compared after each.

    python -m tests.sweep.hotplug [--target T] [--qemu-version V] [--seed N] [--count N] [--steps N] [--show N]

A sequence starts one machine (pc or q35 with ports and bridges; virt of aarch64 or riscv64) and adds
and removes backends, DIMMs, PCI functions, bridges, virtio devices and CPUs, with resets in between. After
each operation the reply, the events, the memory views and what QMP says of memory devices and CPUs are
compared. Exit status: 0 all agree, 1 some differ, 3 there is no QEMU.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from qshim.layout.canonical import canonical
from qshim.monitor.hmp.line import run as run_hmp
from qshim.monitor.qmp.session import QmpSession
from tests.support.oracle import LABELS, binaries
from tests.sweep.compare import masked, ours

__all__ = ["Ours", "Theirs", "differing", "main", "run", "sequence"]

VIEWS = ("info mtree -o", "info mtree -f", "info ramblock", "info memdev", "info memory-devices",
         "info memory_size_summary")  # fmt: skip
ASK = ("query-memory-devices", "query-hotpluggable-cpus", "query-memory-size-summary")
PCI = ("e1000", "e1000e", "virtio-net-pci", "virtio-scsi-pci", "virtio-rng-pci", "virtio-blk-pci", "rtl8139", "edu",
       "qemu-xhci", "ich9-ahci", "pci-bridge", "pcie-root-port", "pcie-pci-bridge", "VGA", "secondary-vga", "nvme",
       "pci-testdev", "vmxnet3", "virtio-balloon-pci", "virtio-serial-pci", "i6300esb", "lsi53c895a", "usb-ehci",
       "virtio-gpu-pci", "ne2k_pci", "pcnet", "tulip", "virtio-vga", "isa-serial", "nosuch")  # fmt: skip
CPUS = {
    "x86_64": ("qemu64-x86_64-cpu", "max-x86_64-cpu"), "aarch64": ("max-arm-cpu", "cortex-a15-arm-cpu"),
    "riscv64": ("rv64-riscv-cpu", "max-riscv-cpu"),
}  # fmt: skip
"""Target -> the CPU that is mostly asked for, and another."""
FIRMWARE = __file__
"""Any file does: nobody executes it."""
"""Any file that comes with QEMU."""
PATIENCE = 1.5
"""Seconds that a real QEMU may take to let a removed device go."""

Message = dict[str, Any]


def machine_words(rng: random.Random, target: str = "x86_64") -> list[str]:
    """A machine with places to plug into."""
    family = rng.choice(("pc", "q35")) if target == "x86_64" else "virt"
    slots, cpus = rng.choice((0, 1, 3, 8)), rng.randrange(1, 4)
    memory = rng.choice(("128M", "512M", "3G", "5G"))
    words = ["-M", family, "-nodefaults", "-smp", f"{cpus},maxcpus={cpus + rng.randrange(4)}"]
    words += ["-m", f"{memory},slots={slots},maxmem=16G" if slots else memory]
    for n in range(rng.randrange(4)):
        if family != "pc" and rng.random() < 0.8:
            words += ["-device", f"pcie-root-port,id=b{n},chassis={n + 1}"]
        elif family != "pc":
            words += ["-device", f"pcie-pci-bridge,id=b{n}"]
        else:
            words += ["-device", f"pci-bridge,id=b{n},chassis_nr={n + 1}"]
        if rng.random() < 0.4:
            # a card that was there from the start; bridges of their own controller have no slot 0
            addr = "" if "pcie-root-port" in words[-1] else f",addr={rng.randrange(1, 8)}"
            words += ["-device", f"{rng.choice(PCI[:5])},bus=b{n},id=cold{n}{addr}"]
    if family == "q35" and rng.random() < 0.3:
        # ports see to their slots themselves
        words += ["-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"]
    if rng.random() < 0.4:
        words += ["-device", f"{rng.choice(PCI[:5])},id=cold"]
    if target == "aarch64":
        words[1] = rng.choice(("virt", "virt,gic-version=3", "virt,nvdimm=on", "virt,iommu=smmuv3"))
        if rng.random() < 0.6:
            # with firmware and a 64-bit CPU there is a device that memory can be plugged into
            words += ["-cpu", "max", "-bios", FIRMWARE]
    elif family == "virt":
        words += ["-bios", "none"]
    for n in range(rng.randrange(3)):
        words += ["-object", f"memory-backend-ram,id=m{n},size={rng.choice((128, 256))}M"]
    return words


class Wish:
    """What is likely to be there, so that operations make sense."""

    def __init__(self, rng: random.Random, target: str = "x86_64") -> None:
        self.rng = rng
        self.target = target
        self.devices = ["cold", "cold0", "cold1"]
        self.backends = ["m0", "m1", "m2"]
        self.count = 0

    def name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def operation(self) -> Message:
        """The next one."""
        rng, roll = self.rng, self.rng.random()
        if roll < 0.16:
            name = self.name("m") if rng.random() < 0.8 else rng.choice(self.backends)
            self.backends.append(name)
            size = rng.choice((64, 128, 128, 256, 512, 3)) << 20
            kind = rng.choice(("memory-backend-ram",) * 3 + ("memory-backend-memfd",))
            return self._ask("object-add", {"qom-type": kind, "id": name, "size": size})
        if roll < 0.22:
            return self._ask("object-del", {"id": rng.choice(self.backends)})
        if roll < 0.42:
            return self._memory()
        if roll < 0.50:
            return self._cpu()
        if roll < 0.70:
            return self._function()
        if roll < 0.88:
            return self._ask("device_del", {"id": rng.choice([*self.devices, "b0", "b1", "nosuch"])})
        return self._ask("system_reset", {})

    @staticmethod
    def _ask(command: str, arguments: Message) -> Message:
        return {"execute": command, "arguments": arguments}

    def _added(self, arguments: Message, stem: str) -> Message:
        if self.rng.random() < 0.9:
            arguments["id"] = self.name(stem) if self.rng.random() < 0.93 else self.rng.choice(self.devices)
            self.devices.append(arguments["id"])
        return self._ask("device_add", arguments)

    def _memory(self) -> Message:
        rng = self.rng
        kind = rng.choice(("pc-dimm",) * 5 + ("virtio-mem-pci", "virtio-pmem-pci", "nvdimm", "ivshmem-plain"))
        arguments: Message = {"driver": kind, "memdev": rng.choice(self.backends)}
        if kind in ("pc-dimm", "nvdimm"):
            if rng.random() < 0.2:
                arguments["slot"] = rng.randrange(-1, 5)
            if rng.random() < 0.15:
                arguments["addr"] = rng.choice((0x100000000, 0x140000000, 0x180000000, 0x100001000, 0x240000000))
            if rng.random() < 0.1:
                arguments["node"] = rng.randrange(2)
        elif rng.random() < 0.7:
            arguments["bus"] = rng.choice(("b0", "b1", "b2"))
            if kind != "ivshmem-plain" and rng.random() < 0.3:
                arguments["memaddr"] = rng.choice((0x100000000, 0x180000000, 0x100001000))
        return self._added(arguments, "d")

    def _cpu(self) -> Message:
        rng = self.rng
        models = CPUS[self.target]
        arguments: Message = {"driver": rng.choice((models[0],) * 6 + (models[1],))}
        for name, most in (("socket-id", 1), ("core-id", 6), ("thread-id", 1)):
            if rng.random() < 0.95:
                arguments[name] = rng.randrange(most)
        return self._added(arguments, "c")

    def _function(self) -> Message:
        rng = self.rng
        arguments: Message = {"driver": rng.choice(PCI)}
        if rng.random() < 0.75:
            arguments["bus"] = rng.choice(("b0", "b1", "b2", "pci.0", "pcie.0", *self.devices[-2:]))
        if rng.random() < 0.3:
            arguments["addr"] = rng.choice(("0", "1", "2", "5", "1f.1", "3.1", "40"))
        if arguments["driver"] == "pci-bridge" and rng.random() < 0.9:
            arguments["chassis_nr"] = rng.randrange(1, 250)
        if arguments["driver"] == "nvme" and rng.random() < 0.9:
            arguments["serial"] = "s"
        return self._added(arguments, "p")


class Theirs:
    """A real QEMU on a QMP pipe."""

    def __init__(self, label: str, words: list[str], target: str = "x86_64") -> None:
        self.process = subprocess.Popen(
            [binaries()[label, target], *words, "-S", "-accel", "tcg", "-display", "none", "-qmp", "stdio"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.events: list[Message] = []
        self._line()
        self.ask({"execute": "qmp_capabilities"})

    def _line(self) -> Message:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise EOFError
        message: Message = json.loads(line)
        return message

    def ask(self, message: Message) -> Message:
        """The reply; events are kept.

        :raises EOFError, BrokenPipeError: QEMU is gone.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        while True:
            reply = self._line()
            if "event" not in reply:
                return reply
            self.events.append({"event": reply["event"], "data": reply.get("data")})

    def text(self, command: str) -> str:
        reply = self.ask({"execute": "human-monitor-command", "arguments": {"command-line": command}})
        return str(reply["return"])

    def stop(self) -> str:
        """End it; what it said on stderr."""
        self.process.kill()
        return self.process.communicate()[1]


class Ours:
    """Our machine behind a QMP session."""

    def __init__(self, label: str, words: list[str], target: str = "x86_64") -> None:
        self.vm = ours(label, words, target)
        self.events: list[Message] = []
        self._sent: list[bytes] = []
        self.vm.subscribe(lambda event: self.events.append({"event": event.name, "data": event.data or None}))
        self._session = QmpSession(self.vm, self._sent.append)
        self._session.start()
        self.ask({"execute": "qmp_capabilities"})

    def ask(self, message: Message) -> Message:
        """The reply."""
        self._sent.clear()
        self._session.receive(json.dumps(message).encode())
        replies = [reply for data in self._sent if "event" not in (reply := json.loads(data))]
        return dict(replies[0])

    def text(self, command: str) -> str:
        return run_hmp(self.vm, command)


def _sorted_rows(value: object) -> str:
    return json.dumps(masked(value), sort_keys=True)


def _counted(events: list[Message]) -> Counter[str]:
    return Counter(json.dumps(event, sort_keys=True) for event in events)


def differing(mine: Ours, real: Theirs, done: Mapping[str, Any] | None) -> tuple[str, list[str]]:
    """(what differs first, how) after *done* was carried out on both; an empty text: nothing."""
    if done is not None:
        left, right = real.ask(dict(done)), mine.ask(dict(done))
        if _sorted_rows(left) != _sorted_rows(right):
            return "reply", [f"real {json.dumps(left)}", f"ours {json.dumps(right)}"]
    until = time.monotonic() + PATIENCE
    while True:
        what, how = _state(mine, real)
        if not what or time.monotonic() > until:
            return what, how
        # devices are let go a moment later
        time.sleep(0.05)


def _state(mine: Ours, real: Theirs) -> tuple[str, list[str]]:
    real.ask({"execute": "query-status"})
    if _counted(real.events) != _counted(mine.events):
        return "events", [
            *(f"- {row}" for row in (_counted(real.events) - _counted(mine.events)).elements()),
            *(f"+ {row}" for row in (_counted(mine.events) - _counted(real.events)).elements()),
        ]
    for command in VIEWS:
        left, right = canonical(real.text(command).replace("\r", "")), canonical(mine.text(command).replace("\r", ""))
        if left != right:
            a, b = Counter(left), Counter(right)
            rows = [f"- {row}" for row in a - b] + [f"+ {row}" for row in b - a]
            return command, rows or ["(the order differs)"]
    for command in ASK:
        theirs, own = real.ask({"execute": command}), mine.ask({"execute": command})
        if _sorted_rows(theirs) != _sorted_rows(own):
            return command, [f"real {json.dumps(theirs)}", f"ours {json.dumps(own)}"]
    return "", []


def _operations(rng: random.Random, count: int, target: str) -> Iterator[Message]:
    wish = Wish(rng, target)
    for _ in range(count):
        yield wish.operation()


def run(label: str, seed: int, count: int = 6, target: str = "x86_64") -> tuple[int, str, list[str]]:
    """(operations made, what differs first, how) of sequence *seed*; empty: nothing.

    A sequence ends where the real QEMU crashes: there is nothing to compare with then.
    """
    rng = random.Random(f"hotplug {seed}")
    words = machine_words(rng, target)
    mine, real = Ours(label, words, target), Theirs(label, words, target)
    done: list[str] = []
    try:
        what, how = differing(mine, real, None)
        if what:
            return 0, f"at start: {what}", [shlex.join(words), *how]
        for operation in _operations(rng, count, target):
            done.append(f"{operation['execute']} {json.dumps(operation['arguments'])}")
            what, how = differing(mine, real, operation)
            if what:
                return len(done), f"{operation['execute']}: {what}", [shlex.join(words), *done, *how]
        return len(done), "", []
    except (EOFError, BrokenPipeError):
        return len(done), "", []
    finally:
        real.stop()


def sequence(label: str, seed: int, count: int = 6, target: str = "x86_64") -> list[str]:
    """What differs first in sequence *seed*; empty: nothing."""
    _, what, how = run(label, seed, count, target)
    return [what, *how] if what else []


def main() -> int:
    """See the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--qemu-version", choices=LABELS, action="append")
    parser.add_argument("--target", choices=tuple(CPUS), default="x86_64")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--show", type=int, default=3)
    arguments = parser.parse_args()
    status = 0
    for label in arguments.qemu_version or LABELS:
        if (label, arguments.target) not in binaries():
            print(f"{label}: no QEMU", file=sys.stderr)
            return 3
        kinds: Counter[str] = Counter()
        made = shown = 0
        began = time.monotonic()
        for seed in range(arguments.seed, arguments.seed + arguments.count):
            try:
                steps, what, how = run(label, seed, arguments.steps, arguments.target)
            except Exception as error:
                steps, what, how = 0, f"{type(error).__name__}: {error}", []
                if shown < arguments.show:
                    import traceback

                    traceback.print_exc()
            made += steps
            if what:
                status = 1
                kinds[what] += 1
                shown += 1
                if shown <= arguments.show:
                    print(f"{label} seed {seed}: {what}", *how[:14], sep="\n    ")
        same = arguments.count - kinds.total()
        print(f"{label} {arguments.target}: {same} of {arguments.count} sequences agree ({made} operations, "
              f"{time.monotonic() - began:.0f} s)", flush=True)  # fmt: skip
        for kind, number in kinds.most_common():
            print(f"   {number} x {kind[:150]}")
    return status


if __name__ == "__main__":
    sys.exit(main())
