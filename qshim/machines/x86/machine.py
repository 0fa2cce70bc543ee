"""What all x86 boards have in common: CPUs, firmware, RAM around 4 GiB, ACPI tables (spec/x86-boards.md 1, 2, 4)."""

from __future__ import annotations

from collections.abc import Mapping

from qshim.devices.chipset.cpu import X86Cpu
from qshim.devices.pci.bus import PciBus
from qshim.devices.qdev import Bus, Device
from qshim.machines.errors import MachineError
from qshim.machines.machine import Machine, Request
from qshim.machines.x86.compat import Compat, compat_of
from qshim.machines.x86.cpu import CpuModel, cpu_model, default_model
from qshim.machines.x86.hot_cpu import hot_cpu
from qshim.machines.x86.layouts import Layout
from qshim.units import KIB, up

__all__ = ["X86Machine"]


class X86Machine(Machine):
    """An x86 board being made."""

    compat: Compat
    spreads_memory = True

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.layout = Layout(0, 0)
        self.cpu: CpuModel
        self.isa: Bus | None = None

    @staticmethod
    def compat_of(name: str) -> Compat:
        """What machine type *name* contains."""
        return compat_of(name)

    # --- CPUs ---

    def read_cpu(self) -> None:
        """-cpu.

        :raises OptionError: there is no such model.
        """
        line = self.request.line
        text = line.cpu or default_model(self.family, self.request.target)
        self.cpu = cpu_model(
            self.quirks.label, self.request.target, text, limit_phys_bits=not self.quirks.ports_80_f0_of_machine
        )
        self.cpu_type = self.cpu.type_name

    def make_cpus(self) -> None:
        """All CPUs that are there from the start."""
        for index in range(self.smp.cpus):
            apic = self.cpu.apic or self.smp.cpus > 1
            cpu = X86Cpu(self.board, self.cpu.type_name, index, apic=apic)
            self.board.plug(cpu)
            self.cpus.append(cpu)

    def plugs_itself(self, driver: str) -> bool:
        """CPUs, too."""
        return driver.endswith(f"-{self.request.target}-cpu") or super().plugs_itself(driver)

    def hot_cpu(self, driver: str, name: str | None, properties: Mapping[str, str]) -> Device:
        """The CPU *driver* at the place that *properties* say."""
        return hot_cpu(self, driver, name, properties)

    # --- firmware ---

    def load_bios(self, default: str, size: int) -> tuple[bytes | None, int]:
        """Contents (None: nothing to load) and size of the firmware.

        :raises MachineError: it cannot be had, or its size is wrong.
        """
        name = self.plan.bios
        if name is None:
            data = self.request.firmware(default)
            if data is not None and len(data) != size and not self.plan.data_dirs:
                # the file of another release: the layout is that of this one
                data = None
            return data, size if data is None else len(data)
        data = self.request.firmware(name)
        if data is None or not data or len(data) % (64 * KIB):
            raise MachineError(f"qemu: could not load PC BIOS '{name}'")
        return data, len(data)

    def acpi_tables(self) -> int:
        """Bytes of the ACPI tables, in whole units; beyond 1006 CPUs seen at 1007 and 4096 alone (x86-boards.md 4)."""
        cpus = self.smp.max_cpus
        if self.compat.small_tables:
            # a bit more than 100 bytes for each CPU on top of what every machine has (7.2)
            return up(7052 + 105 * cpus, 4 * KIB)
        if cpus <= 1006:
            return 128 * KIB
        return up(cpus * 160, 128 * KIB)

    def tell_host(self, host: Device) -> None:
        """What the host bridge is told of RAM."""
        host.properties |= {
            "below-4g-mem-size": str(self.layout.below), "above-4g-mem-size": str(self.layout.above),
        }  # fmt: skip
        if self.options.on("default-bus-bypass-iommu", False):
            host.properties["bypass-iommu"] = "on"
            for bus in host.buses:
                if isinstance(bus, PciBus):
                    bus.bypasses_iommu = True

    def map_ram(self, layout: Layout) -> None:
        """RAM below and above 4 GiB."""
        board = self.board
        self.layout = layout
        board.below_4g = layout.below
        if self.ram is None:
            return
        low = board.alias("ram-below-4g", self.ram, 0, layout.below)
        board.system.add_subregion(low, 0)
        if layout.above:
            high = board.alias("ram-above-4g", self.ram, layout.below, layout.above)
            board.system.add_subregion(high, layout.above_start)

    def device_memory_limits(self) -> None:
        """Whether slots and maxmem fit.

        :raises MachineError: they do not.
        """
        if self.plan.slots > 256:
            raise MachineError(f"unsupported amount of memory slots: {self.plan.slots}")
        if self.max_memory % 4096:
            raise MachineError("maximum memory size must by aligned to multiple of 4096 bytes")
