"""isapc: a PC without PCI (spec/x86-boards.md 3.12)."""

from __future__ import annotations

from qshim.devices.qdev import Bus
from qshim.machines.errors import MachineError
from qshim.machines.nics import nics_of
from qshim.machines.x86.layouts import Layout, split
from qshim.machines.x86.pairs import make_dma, make_pics
from qshim.machines.x86.pcboard import Pc
from qshim.memory import MemoryRegion
from qshim.units import KIB

__all__ = ["IsaPc"]

_MOST = 0xE0000000


class IsaPc(Pc):
    """isapc."""

    family = "isapc"
    most_cpus = 1
    has_acpi = False
    gpios = 7
    hotplug_cpus = adds_memory = True
    default_nic = "ne2k_isa"
    roms_are_readonly = False

    @property
    def rom_memory(self) -> MemoryRegion:
        """Firmware is mapped beside RAM."""
        return self.board.system

    @property
    def default_bios(self) -> tuple[str, int]:
        """Name and size."""
        return "bios.bin", 128 * KIB

    def arrange(self) -> Layout:
        """RAM in one piece, or, in old QEMUs, in two."""
        if self.quirks.isapc_most_memory and self.ram_size > _MOST:
            raise MachineError(f"Too much memory for this machine: {self.ram_size >> 20} MiB, maximum 3584 MiB")
        below, above, _ = split("isapc", self.ram_size, None, gigabyte_align=False)
        layout = self._placed(below, above, 1 << 32)
        if not self.quirks.isapc_split and layout.above:
            self._check_width(layout, self.cpu.phys_bits)
        return layout

    def _placed(self, below: int, above: int, start: int) -> Layout:
        return Layout(below, above, start, None, start + above)

    def populate(self) -> None:
        """Everything in QEMU's order (2.2)."""
        board, make = self.board, self.make_device
        self.make_cpus()
        self.refuse_device_memory()
        self.make_memory()
        bridge = make("isabus-bridge", board.sysbus)
        isa = bridge.buses[0]
        self.isa = isa
        children = self.quirks.south_bridge_children
        if children:
            make("mc146818rtc", isa)
            self.make_board_dma(isa)
        else:
            make_dma(self)
        if self.options.on("pic", True):
            make_pics(self)
        self.make_isa_vga(isa)
        self.make_basic()
        for nic in nics_of(self):
            self.make_user_device(nic.model, isa, dict(nic.properties))
        first = self.make_user_device("isa-ide", isa)
        second = self.make_user_device("isa-ide", isa, {"iobase": "0x170", "iobase2": "0x376", "irq": "15"})
        if self.cdrom() and second.buses:
            self.make_cdrom(second.buses[0], 1)
        assert first is not None
        self.make_gpios()

    def refuse_device_memory(self) -> None:
        """There is no room for memory devices.

        :raises MachineError: somebody wants some.
        """
        self.board.refuses_dimms = "memory hotplug is not enabled: missing acpi device or acpi disabled"
        if self.max_memory > self.ram_size:
            raise MachineError(f"\"-memory 'slots|maxmem'\" is not supported by: {self.request.name}")

    def make_board_dma(self, isa: Bus) -> None:
        """DMA controllers as children of the machine."""
        from qshim.machines.x86.pairs import second

        board = self.board
        self.make_device("i8257", isa, parent=board.machine, name="dma[0]")
        second(self, "i8257", parent=board.machine, name="dma[1]")

    @property
    def makes_rtc(self) -> bool:
        """With the other ISA timers, in old QEMUs."""
        return not self.quirks.south_bridge_children

    def make_isa_vga(self, isa: Bus) -> None:
        """The graphics card."""
        kind = self.plan.vga
        if kind is None:
            if not self.defaults("isa-cirrus-vga", "isa-vga"):
                return
            kind = "cirrus"
        if kind == "none":
            return
        type_name = {"cirrus": "isa-cirrus-vga", "std": "isa-vga"}.get(kind)
        if type_name is None:
            # QEMU says so and goes on
            self.warn(f"isa_vga_init: {kind}-vga: no PCI bus")
            return
        self.make_user_device(type_name, isa)


