"""i440FX: PAM and SMRAM registers (spec/x86-boards.md 3.3, 3.4)."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueFunction
from qshim.devices.chipset.pam import PAM_REGISTERS, Pam
from qshim.qom import QomObject

__all__ = ["I440FX"]

PAM, SMRAM, RAM_SIZE = 0x59, 0x72, 0x57
OPEN, ENABLED = 0x40, 0x08
SMRAM_START, SMRAM_SIZE = 0xA0000, 0x20000


class I440FX(CatalogueFunction):
    """The host bridge function of a pc; `smram` is what CPUs see in system management mode."""

    def make(self) -> None:
        """Make SMRAM and PAM aliases in QEMU's order."""
        board, ram = self.board, self.board.main_memory
        assert ram is not None
        pci = self.pci_bus.memory
        self.config[RAM_SIZE] = min(255, ram.size >> 23)
        self.smram_region = board.alias("smram-region", pci, SMRAM_START, SMRAM_SIZE, self)
        board.system.add_subregion(self.smram_region, SMRAM_START, 1)
        self.smram = board.smram = board.container("smram", 1 << 32, self)
        low = board.alias("smram-low", ram, SMRAM_START, SMRAM_SIZE, self)
        self.smram.add_subregion(low, SMRAM_START)
        host: QomObject | None = self.pci_bus.device if board.quirks.pam_is_the_hosts else self
        assert host is not None
        self.pam = Pam(board, host, pci, ram)
        self.update()

    def update(self) -> None:
        """Show what the registers say."""
        with self.board.topology.transaction():
            self.pam.update(bytes(self.config[PAM : PAM + PAM_REGISTERS]))
            self.smram_region.set_enabled(not self.config[SMRAM] & OPEN)
            self.smram.set_enabled(bool(self.config[SMRAM] & ENABLED))

    def config_written(self, offset: int, size: int, before: bytes) -> None:
        """Any write that meets the registers shows all of them anew."""
        if offset <= SMRAM < offset + size or (offset < PAM + PAM_REGISTERS and offset + size > PAM):
            self.update()
