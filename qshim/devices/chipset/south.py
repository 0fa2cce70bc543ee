"""South bridges: where power management and the root complex register block are (spec/x86-boards.md 3.8, 3.9)."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueFunction
from qshim.devices.chipset.cpu_hotplug import CpuHotplug
from qshim.devices.layout import Layout

__all__ = ["Ich9Lpc", "Ich9Smb", "Piix4Pm"]

HOST_CONFIG = 0x40
PMBA, PMREGMISC, SMB_BASE, SMB_ENABLE = 0x40, 0x80, 0x90, 0xD2
ACPI_CONTROL, PIRQ_A, PIRQ_E, GEN_PMCON, RCBA = 0x44, 0x60, 0x68, 0xA0, 0xF0
ACPI_ENABLED, RCBA_ENABLED, SMI_LOCK = 0x80, 0x01, 0x10


def _meets(offset: int, size: int, start: int, length: int) -> bool:
    return offset < start + length and start < offset + size


def _drop(layout: Layout, name: str) -> None:
    layout.regions = [plan for plan in layout.regions if plan.plain != name]


class Piix4Pm(CatalogueFunction):
    """PIIX4_PM: ACPI and SMBus registers of a pc."""

    def prepare(self, layout: Layout) -> None:
        """CPU hot-plug registers switch to their modern form when they are written."""
        self.cpu_hotplug = CpuHotplug.of(self, layout)
        bridges, root = "acpi-pci-hotplug-with-bridge-support", "acpi-root-pci-hotplug"
        if not self.is_on(bridges, True) and not self.is_on(root, True):
            _drop(layout, "acpi-pci-hotplug")

    def _update_pm(self) -> None:
        region = self.made["piix4-pm[0]"]
        base = int.from_bytes(self.config[PMBA : PMBA + 4], "little") & 0xFFC0
        with self.board.topology.transaction():
            region.set_enabled(bool(self.config[PMREGMISC] & 1))
            region.set_address(base)

    def _update_smbus(self) -> None:
        region = self.made["pm-smbus[0]"]
        base = int.from_bytes(self.config[SMB_BASE : SMB_BASE + 4], "little") & 0xFFC0
        with self.board.topology.transaction():
            region.set_enabled(bool(self.config[SMB_ENABLE] & 1))
            region.set_address(base)

    def config_written(self, offset: int, size: int, before: bytes) -> None:
        """Bases and enables of the two blocks."""
        if _meets(offset, size, PMREGMISC, 4) or _meets(offset, size, PMBA, 4):
            self._update_pm()
        if _meets(offset, size, SMB_ENABLE, 2) or _meets(offset, size, SMB_BASE, 4):
            self._update_smbus()

    def reset(self) -> None:
        """The ACPI block goes, SMBus stays."""
        super().reset()
        self.config[0x58:0x5C] = bytes(4)
        self.config[PMBA] = 0x01
        self.config[PMREGMISC] = 0
        self._update_pm()


class Ich9Smb(CatalogueFunction):
    """ICH9-SMB: its registers answer while the host controller is enabled."""

    def config_written(self, offset: int, size: int, before: bytes) -> None:
        """Bit 0 of the host configuration."""
        if _meets(offset, size, HOST_CONFIG, 1):
            self.made["pm-smbus[0]"].set_enabled(bool(self.config[HOST_CONFIG] & 1))


class Ich9Lpc(CatalogueFunction):
    """ICH9-LPC: ACPI registers and root complex register block of q35."""

    def prepare(self, layout: Layout) -> None:
        """CPU hot-plug registers switch to their modern form when they are written."""
        self.cpu_hotplug = CpuHotplug.of(self, layout)
        if not self.is_on("acpi-pci-hotplug-with-bridge-support", True):
            _drop(layout, "acpi-pci-hotplug")
        if self.board.quirks.tco_may_be_off and not self.is_on("enable_tco", True):
            _drop(layout, "sm-tco")

    def _update_pm(self) -> None:
        base = 0
        if self.config[ACPI_CONTROL] & ACPI_ENABLED:
            base = int.from_bytes(self.config[PMBA : PMBA + 4], "little") & 0xFF80
        region = self.made["ich9-pm[0]"]
        with self.board.topology.transaction():
            region.set_enabled(base != 0)
            region.set_address(base)

    def _update_rcba(self, was: int) -> None:
        region, system = self.made["lpc-rcrb-mmio[0]"], self.board.system
        value = int.from_bytes(self.config[RCBA : RCBA + 4], "little")
        with self.board.topology.transaction():
            if was & RCBA_ENABLED and region.container is not None:
                system.del_subregion(region)
            if value & RCBA_ENABLED:
                system.add_subregion(region, value & 0xFFFFC000, 1)

    def config_write(self, offset: int, value: int, size: int) -> None:
        """A write; the root complex register block goes before it comes back."""
        self._rcba = int.from_bytes(self.config[RCBA : RCBA + 4], "little")
        super().config_write(offset, value, size)

    def config_written(self, offset: int, size: int, before: bytes) -> None:
        """Power management, root complex register block, the SMI lock."""
        if _meets(offset, size, PMBA, 4) or _meets(offset, size, ACPI_CONTROL, 1):
            self._update_pm()
        if _meets(offset, size, RCBA, 4):
            self._update_rcba(self._rcba)
        if _meets(offset, size, GEN_PMCON, 8) and self.config[GEN_PMCON] & SMI_LOCK:
            self.mask[GEN_PMCON] &= ~SMI_LOCK & 0xFF

    def reset(self) -> None:
        """Both blocks go, interrupt routing is restored."""
        super().reset()
        was = int.from_bytes(self.config[RCBA : RCBA + 4], "little")
        self.config[PIRQ_A : PIRQ_A + 4] = self.config[PIRQ_E : PIRQ_E + 4] = b"\x80" * 4
        self.config[ACPI_CONTROL] = 0
        self.config[PMBA : PMBA + 4] = (1).to_bytes(4, "little")
        self.config[RCBA : RCBA + 4] = bytes(4)
        self._update_pm()
        self._update_rcba(was)
