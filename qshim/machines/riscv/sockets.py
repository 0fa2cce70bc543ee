"""Sockets of the RISC-V virt board: harts, timers, and what takes interrupts (spec/virt-boards.md 9, 11)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qshim.devices.catalogue import CatalogueDevice
from qshim.devices.chipset.cpu import Cpu
from qshim.devices.layout import Layout
from qshim.devices.sysbus import place
from qshim.machines.errors import MachineError
from qshim.machines.riscv import layouts as at
from qshim.machines.riscv.cpus import has_supervisor
from qshim.machines.virt_parts import cpu_objects

if TYPE_CHECKING:
    from qshim.machines.riscv.virt import RiscvVirt

__all__ = ["Controllers", "InterruptDevices", "Socket", "make_harts", "set_values", "sockets_of", "warnings"]

_VALUE = re.compile(r"([\w-]+) = \d+ \(0x[0-9a-f]+\)")
"""A number in `info qtree`."""


@dataclass(frozen=True, slots=True)
class Socket:
    """Harts *first* to *first* + *count* - 1."""

    number: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Controllers:
    """What a socket has beside its harts."""

    aia: str = "none"
    """none (a PLIC), aplic, or aplic-imsic."""
    aclint: bool = False
    """There are ACLINT devices for supervisor mode, too."""
    guests: int = 0
    """Guest interrupt files of each hart."""
    clint: bool = True
    """Timers and software interrupts are emulated (not under qtest)."""


def sockets_of(harts: int, nodes: int, of_cpu: Mapping[int, int]) -> Iterator[Socket]:
    """One socket for each NUMA node, with its harts, each looked at when it is its turn.

    :raises MachineError: harts of a node do not follow each other, or a node has none.
    """
    if nodes > at.MOST_SOCKETS:
        raise MachineError(f"number of sockets/nodes should be less than {at.MOST_SOCKETS}")
    for number in range(max(nodes, 1)):
        inside = [index for index in range(harts) if of_cpu.get(index, 0) == number]
        if not inside or inside[-1] - inside[0] + 1 != len(inside):
            raise MachineError(f"discontinuous hartids in socket{number}")
        yield Socket(number, inside[0], len(inside))


def make_harts(machine: RiscvVirt, socket: Socket) -> None:
    """The hart array of *socket* with its harts."""
    board, kind = machine.board, machine.cpu_type

    def tell(device: CatalogueDevice) -> None:
        device.layout.children = []
        set_values(device.layout, {"num-harts": socket.count, "hartid-base": socket.first})
        device.layout.lines = tuple(
            f'cpu-type = "{kind}"' if line.startswith("cpu-type = ") else line for line in device.layout.lines
        )

    array = place(
        board, "riscv.hart_array", {}, machine="virt", parent=board.machine, name=f"soc{socket.number}", tell=tell
    )
    # under a qtest nothing could interrupt it that way
    objects = [row for row in cpu_objects(board, kind) if machine.emulated or not row[0].startswith("riscv.cpu.rnmi")]
    for number in range(socket.count):
        hart = Cpu(board, kind, socket.first + number, objects=objects)
        board.plug(hart, None, parent=array, name=f"harts[{number}]")
        machine.cpus.append(hart)


class InterruptDevices:
    """Makes what a socket has beside its harts."""

    def __init__(self, machine: RiscvVirt, controllers: Controllers) -> None:
        self.machine = machine
        self.controllers = controllers
        self.main: CatalogueDevice | None = None
        """What takes interrupts of machine mode of the first socket."""

    def make(self, socket: Socket) -> None:
        """Everything of *socket*, in QEMU's order.

        :raises MachineError: QEMU aborts.
        """
        asked = self.controllers
        if asked.clint or asked.aclint:
            self._clint(socket)
        if asked.aia == "none":
            self._plic(socket)
            return
        if asked.aia == "aplic-imsic":
            self._imsics(socket)
        self._aplics(socket)

    def _put(
        self, type_name: str, region: str, address: int, board: str, values: Mapping[str, int],
        more: Callable[[Layout], None] = lambda layout: None,
    ) -> None:  # fmt: skip
        def tell(device: CatalogueDevice) -> None:
            set_values(device.layout, values)
            more(device.layout)

        made = place(self.machine.board, type_name, {region: address}, machine=board, tell=tell)
        if self.main is None and type_name in ("riscv.sifive.plic", "riscv.aplic"):
            self.main = made

    def _clint(self, socket: Socket) -> None:
        asked = self.controllers
        values = {"hartid-base": socket.first, "num-harts": socket.count}
        base = at.CLINT + socket.number * at.CLINT_STEP

        def lines(layout: Layout) -> None:
            _outputs(layout, socket.count)

        if asked.aclint and asked.aia == "aplic-imsic":
            timer = at.CLINT + socket.number * at.TIMER_STEP
            self._put("riscv.aclint.mtimer", "riscv.aclint.mtimer", timer, "virt", values, lines)
            return
        self._put("riscv.aclint.swi", "riscv.aclint.swi", base, "virt", values, lines)
        self._put("riscv.aclint.mtimer", "riscv.aclint.mtimer", base + at.TIMER_OFFSET, "virt", values, lines)
        if asked.aclint:
            swi = at.SUPERVISOR_SWI + socket.number * at.SUPERVISOR_SWI_STEP
            self._put("riscv.aclint.swi#1", "riscv.aclint.swi", swi, "virt,aclint=on", values, lines)

    def _plic(self, socket: Socket) -> None:
        supervisor = has_supervisor(self.machine.cpu_type)
        if self.machine.riscv.plic_counts_from_first_hart and supervisor and socket.first > socket.count:
            line = max(socket.first, 2 * socket.count)
            raise MachineError(
                "Unexpected error in object_property_find_err() at ../../qom/object.c:1314:\n"
                f"Property 'riscv.sifive.plic.unnamed-gpio-out[{line}]' not found"
            )

        def more(layout: Layout) -> None:
            _outputs(layout, 2 * socket.count)
            mode = "MS" if supervisor and self.machine.emulated else "M"
            modes = ",".join([mode] * socket.count)
            layout.lines = tuple(
                f'hart-config = "{modes}"' if line.startswith("hart-config = ") else line for line in layout.lines
            )

        address = at.PLIC + socket.number * at.PLIC_STEP
        self._put("riscv.sifive.plic", "riscv.sifive.plic", address, "virt", {"hartid-base": socket.first}, more)

    def _imsics(self, socket: Socket) -> None:
        """One interrupt file for machine mode of each hart, then those for supervisor mode and its guests."""
        pages = self.controllers.guests + 1
        step = at.IMSIC_PAGE << (pages - 1).bit_length()
        for type_name, base, count, stride in (
            ("riscv.imsic", at.IMSIC_M, 1, at.IMSIC_PAGE), ("riscv.imsic#1", at.IMSIC_S, pages, step),
        ):  # fmt: skip
            for number in range(socket.count):
                self._imsic(
                    type_name, base + socket.number * at.IMSIC_GROUP + number * stride, socket.first + number, count
                )

    def _imsic(self, type_name: str, address: int, hart: int, pages: int) -> None:
        def more(layout: Layout) -> None:
            plan = layout.at("riscv.imsic")
            old, plan.size = f"/{plan.size:016x}", pages * at.IMSIC_PAGE
            layout.lines = tuple(
                line.replace(old, f"/{plan.size:016x}") if line.startswith("mmio ") else line for line in layout.lines
            )
            _outputs(layout, pages)

        values = {"hartid": hart, "num-pages": pages}
        self._put(type_name, "riscv.imsic", address, "virt,aia=aplic-imsic", values, more)

    def _aplics(self, socket: Socket) -> None:
        """The root domain for machine mode, and one for supervisor mode."""
        direct = self.controllers.aia == "aplic"
        board = f"virt,aia={self.controllers.aia}"
        values = {"hartid-base": socket.first if direct else 0, "num-harts": socket.count if direct else 0}

        def lines(layout: Layout) -> None:
            if direct:
                _outputs(layout, socket.count)

        for type_name, base in (("riscv.aplic", at.APLIC_M), ("riscv.aplic#1", at.APLIC_S)):
            address = base + socket.number * at.APLIC_STEP
            self._put(type_name, "riscv.aplic", address, board, values, lines)


def set_values(layout: Layout, values: Mapping[str, int]) -> None:
    """Numbers in what `info qtree` says."""

    def shown(line: str) -> str:
        found = _VALUE.fullmatch(line)
        if found is None or found[1] not in values:
            return line
        return f"{found[1]} = {values[found[1]]} (0x{values[found[1]]:x})"

    layout.lines = tuple(shown(line) for line in layout.lines)


def _outputs(layout: Layout, count: int) -> None:
    """How many interrupt lines leave it."""
    layout.lines = tuple(
        f'gpio-out "" {count}' if line.startswith('gpio-out "" ') else line for line in layout.lines
    )


def warnings(places: Sequence[tuple[int, Mapping[str, int]]], of_cpu: Mapping[int, int]) -> list[str]:
    """What QEMU says of harts (index and place) of one cluster that sit in several nodes."""
    said = []
    for position, (one, here) in enumerate(places):
        for other, there in places[position + 1 :]:
            same = all(here[level] == there[level] for level in ("socket", "cluster"))
            if same and of_cpu[one] != of_cpu[other]:
                said.append(
                    f"CPU-{one} and CPU-{other} in socket-{here['socket']}-cluster-{here['cluster']} have been "
                    f"associated with node-{of_cpu[one]} and node-{of_cpu[other]} respectively. It can cause OSes like "
                    "Linux to misbehave"
                )
    return said
