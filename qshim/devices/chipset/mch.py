"""mch, the host bridge function of q35: PAM, SMRAM, TSEG, SMBASE, PCIEXBAR (spec/x86-boards.md 3.5, 3.7)."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueFunction
from qshim.devices.chipset.pam import PAM_REGISTERS, Pam
from qshim.devices.errors import DeviceError
from qshim.devices.pci.host import ecam_ops
from qshim.memory import MemoryRegion, MemoryRegionOps
from qshim.memory.ops import MemTxAttrs
from qshim.qom import QomObject

__all__ = ["Mch"]

EXTENDED_TSEG, PCIEXBAR, PAM = 0x50, 0x60, 0x90
SMBASE, SMRAM, ESMRAMC = 0x9C, 0x9D, 0x9E
D_OPEN, D_CLOSED, D_LOCKED, G_SMRAME = 0x40, 0x20, 0x10, 0x08
H_SMRAME, T_ENABLED = 0x80, 0x01
SMRAM_MASK, SMRAM_LOCKED_MASK, ESMRAMC_MASK = 0x78, 0x20, 0x87
LOW, HIGH, WINDOW = 0xA0000, 0xFEDA0000, 0x20000
SMBASE_START, SMBASE_SIZE = 0x30000, 0x20000
ECAM_SIZES = (1 << 28, 1 << 27, 1 << 26)
ADDRESS_BITS = 0xFF0000000
MOST_TSEG = 0xFFF


def _ones(offset: int, size: int, attrs: MemTxAttrs) -> int:
    return (1 << 8 * size) - 1


def _drop(offset: int, value: int, size: int, attrs: MemTxAttrs) -> None:
    return None


BLACKHOLE = MemoryRegionOps(read=_ones, write=_drop)


class Mch(CatalogueFunction):
    """The host bridge function of q35; `smram` is what CPUs see in system management mode (None without SMM)."""

    smram: MemoryRegion | None = None
    smm = True

    def check(self) -> None:
        """The extended TSEG fits its register.

        :raises DeviceError: it does not.
        """
        self.extended = self.number_of("extended-tseg-mbytes", self.board.quirks.extended_tseg)
        if self.extended > MOST_TSEG:
            raise DeviceError(f"invalid extended-tseg-mbytes value: {self.extended}")

    def make(self) -> None:
        """Make all regions in QEMU's order."""
        board, ram, pci = self.board, self.board.main_memory, self.pci_bus.memory
        assert ram is not None
        system, below = board.system, board.below_4g
        host: QomObject | None = self.pci_bus.device
        self.ecam = board.io("pcie-mmcfg-mmio", ECAM_SIZES[0], host, ecam_ops(self.pci_bus))
        self.pam = Pam(board, self, pci, ram)
        self.smram_region = board.alias("smram-region", pci, LOW, WINDOW, self)
        system.add_subregion(self.smram_region, LOW, 1)
        self.config[EXTENDED_TSEG : EXTENDED_TSEG + 2] = self.extended.to_bytes(2, "little")
        self.smm = board.smm or not board.quirks.smm_off_drops_smram
        if self.smm:
            self.open_high = self._hidden(board.alias("smram-open-high", ram, LOW, WINDOW, self))
            system.add_subregion(self.open_high, HIGH, 1)
            self.smram = board.smram = board.container("smram", 1 << 32, self)
            self.low = self._hidden(board.alias("smram-low", ram, LOW, WINDOW, self))
            self.smram.add_subregion(self.low, LOW)
            self.high = self._hidden(board.alias("smram-high", ram, LOW, WINDOW, self))
            self.smram.add_subregion(self.high, HIGH)
            self.tseg_hole = self._hidden(board.io("tseg-blackhole", 0, self, BLACKHOLE))
            system.add_subregion(self.tseg_hole, below, 1)
            self.tseg = self._hidden(board.alias("tseg-window", ram, below, 0, self))
            self.smram.add_subregion(self.tseg, below)
            self.smbase_hole = self._hidden(board.io("smbase-blackhole", SMBASE_SIZE, self, BLACKHOLE))
            system.add_subregion(self.smbase_hole, SMBASE_START, 1)
            self.smbase = self._hidden(board.alias("smbase-window", ram, SMBASE_START, SMBASE_SIZE, self))
            self.smram.add_subregion(self.smbase, SMBASE_START)
        self._restore()

    @staticmethod
    def _hidden(region: MemoryRegion) -> MemoryRegion:
        region.set_enabled(False)
        return region

    # --- registers ---

    def config_written(self, offset: int, size: int, before: bytes) -> None:
        """Registers act in QEMU's order: PAM, PCIEXBAR, SMRAM, extended TSEG, SMBASE."""

        def meets(start: int, length: int) -> bool:
            return offset < start + length and start < offset + size

        if meets(PAM, PAM_REGISTERS):
            self.pam.update(bytes(self.config[PAM : PAM + PAM_REGISTERS]))
        if meets(PCIEXBAR, 8):
            self._map_ecam()
        if not self.smm:
            return
        if meets(SMRAM, 2):
            self._update_smram()
        if meets(EXTENDED_TSEG, 2) and self.extended:
            word = self.config[EXTENDED_TSEG : EXTENDED_TSEG + 2]
            if word == b"\xff\xff":
                self.config[EXTENDED_TSEG : EXTENDED_TSEG + 2] = self.extended.to_bytes(2, "little")
        if meets(SMBASE, 1):
            self._update_smbase()

    def _update_smram(self) -> None:
        config = self.config
        if config[SMRAM] & D_LOCKED:
            config[SMRAM] &= ~D_OPEN & 0xFF
            self.mask[SMRAM], self.mask[ESMRAMC] = SMRAM_LOCKED_MASK, 0
        high = bool(config[ESMRAMC] & H_SMRAME)
        opened, general = bool(config[SMRAM] & D_OPEN), bool(config[SMRAM] & G_SMRAME)
        self.smram_region.set_enabled(high if opened else True)
        self.open_high.set_enabled(high if opened else False)
        self.low.set_enabled(general and not high)
        self.high.set_enabled(general and high)
        size = 0
        if config[ESMRAMC] & T_ENABLED and general:
            size = (1 << 20, 2 << 20, 8 << 20, self.extended << 20)[config[ESMRAMC] >> 1 & 3]
        start = self.board.below_4g - size
        self.board.system.del_subregion(self.tseg_hole)
        self.tseg_hole.set_enabled(bool(size))
        self.tseg_hole.set_size(size)
        self.board.system.add_subregion(self.tseg_hole, start, 1)
        self.tseg.set_enabled(bool(size))
        self.tseg.set_size(size)
        self.tseg.set_address(start)
        self.tseg.set_alias_offset(start)

    def _update_smbase(self) -> None:
        if not self.is_on("smbase-smram", True):
            return
        config, locked = self.config, False
        value = config[SMBASE]
        if value == 0xFF:
            config[SMBASE], self.mask[SMBASE] = 0x01, 0x02
        elif self.mask[SMBASE] == 0xFF and self.board.quirks.smbase_needs_query:
            config[SMBASE] = 0
        elif value & 0x02:
            config[SMBASE], self.mask[SMBASE] = 0x02, 0x00
            locked = True
        self.smbase_hole.set_enabled(locked)
        self.smbase.set_enabled(locked)

    def _map_ecam(self) -> None:
        value = int.from_bytes(self.config[PCIEXBAR : PCIEXBAR + 8], "little")
        length = value >> 1 & 3
        if length == 3:
            return
        address = value & (ADDRESS_BITS | self.board.quirks.pciexbar_bits[length])
        wanted = (address, ECAM_SIZES[length]) if value & 1 else None
        mapped = (self.ecam.addr, self.ecam.size) if self.ecam.container is not None else None
        if mapped == wanted:
            return
        if mapped is not None:
            self.board.system.del_subregion(self.ecam)
        if wanted is not None:
            self.ecam.set_size(wanted[1])
            self.board.system.add_subregion(self.ecam, wanted[0])

    def _restore(self) -> None:
        """The registers as they are after a reset."""
        config = self.config
        config[PCIEXBAR : PCIEXBAR + 8] = (0xB0000000).to_bytes(8, "little")
        self.mask[PCIEXBAR : PCIEXBAR + 8] = b"\xff" * 8
        self.mask[EXTENDED_TSEG : EXTENDED_TSEG + 2] = b"\xff\xff"
        config[SMRAM], config[ESMRAMC] = 0x02, 0x38
        self.mask[SMRAM], self.mask[ESMRAMC] = SMRAM_MASK, ESMRAMC_MASK
        if self.smm and self.extended:
            config[EXTENDED_TSEG : EXTENDED_TSEG + 2] = self.extended.to_bytes(2, "little")
        config[SMBASE], self.mask[SMBASE] = 0, 0xFF
        self.clear_mask[SMBASE] = 0

    def reset(self) -> None:
        """PCIEXBAR is unmapped, SMRAM closed and unlocked; PAM stays."""
        super().reset()
        self._restore()
        self._map_ecam()
        if self.smm:
            self._update_smram()
            self.smbase_hole.set_enabled(False)
            self.smbase.set_enabled(False)
