"""PciBridge: a function with a bus behind it, and the windows that show that bus (spec/x86-boards.md 5.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qshim.devices.pci.bus import PciBus
from qshim.devices.pci.function import CAP_EXPRESS, COMMAND, PciFunction
from qshim.units import SPACE

if TYPE_CHECKING:
    from qshim.memory import MemoryRegion

__all__ = ["PciBridge", "reset_below"]

PRIMARY_BUS, SECONDARY_BUS, SUBORDINATE_BUS = 0x18, 0x19, 0x1A
IO_BASE, IO_LIMIT, IO_UPPER = 0x1C, 0x1D, 0x30
MEMORY_BASE, PREF_BASE, PREF_UPPER = 0x20, 0x24, 0x28
BRIDGE_CONTROL = 0x3E
CONTROL_VGA, CONTROL_RESET = 0x08, 0x40
IO_SPACE = 1 << 32
VGA_MEMORY, VGA_LOW_PORTS, VGA_HIGH_PORTS = (0xA0000, 0x20000), (0x3B0, 0xC), (0x3C0, 0x20)


@dataclass(frozen=True, slots=True)
class _Windows:
    """The aliases in the parent's spaces, which are made anew whenever registers of theirs are written."""

    shown: tuple[tuple[MemoryRegion, MemoryRegion], ...]
    """(space, alias) of the three windows in the order they are added."""
    vga: tuple[tuple[MemoryRegion, MemoryRegion], ...]
    """The same for the legacy VGA ranges: memory, low ports, high ports; empty spaces while not forwarded."""
    vga_shown: bool


LINK_STATUS, SLOT_CONTROL, SLOT_STATUS = 0x12, 0x18, 0x1A
LINK_CAPABILITIES, LINK_WIDTH, LINK_SPEED = 0x0C, 0x3F0, 0xF
LINK_ACTIVE, CARD_PRESENT = 1 << 13, 1 << 6
SLOT_IMPLEMENTED = 1
"""In the high byte of the flags of the PCI Express capability."""
POWER_OFF = 0x400
SLOT_OFF, BUTTON_PRESSED, CARD_CHANGED, COMMAND_DONE = 0x700, 1, 1 << 3, 1 << 4
"""Bits of slot control: power is off, and its lamp; bits of slot status."""
SLOT_EVENTS = BUTTON_PRESSED | CARD_CHANGED | COMMAND_DONE
"""Bits of slot status that are cleared by writing them."""
SLOT_EMPTY = 0x7C0
"""Slot control without a card: both lamps are off, and so is power."""


class PciBridge(PciFunction):
    """A PCI bridge or PCI Express port; its bus is `secondary`."""

    is_bridge = True

    bus_type = "PCI"
    """QOM type of the bus behind it."""

    def make(self) -> None:
        """Make the secondary bus, its spaces and the (empty) windows."""
        board = self.board
        self.pci_memory = board.container("pci_bridge_pci", SPACE, self)
        self.pci_ports = board.container("pci_bridge_io", IO_SPACE, self)
        kind, name = self.secondary_bus()
        self.secondary = PciBus(
            board,
            kind,
            self.pci_memory,
            self.pci_ports,
            bridge=self,
            hotpluggable=self.accepts_hotplug(),
        )
        self.add_bus(name, self.secondary)
        if board.quirks.pci_bridge_spaces:
            self.spaces.append(board.space(self.pci_memory, "pci_bridge_pci_mem"))
            self.spaces.append(board.space(self.pci_ports, "pci_bridge_pci_io"))
        # the registers are 0 while the windows are made first, whatever they read later
        saved, self.config[IO_BASE:0x34] = self.config[IO_BASE:0x34], bytes(0x34 - IO_BASE)
        self.windows = self._make_windows()
        self.config[IO_BASE:0x34] = saved

    def secondary_bus(self) -> tuple[str, str]:
        """(QOM type, name) of the bus behind it."""
        recorded = self.description.get("buses")
        if isinstance(recorded, (list, tuple)) and recorded:
            name, kind = recorded[-1][:2]
            return kind, self.id or name
        return self.bus_type, self.id or f"{self.bus_type.lower()}.1"

    def accepts_hotplug(self) -> bool:
        """Devices may come and go behind it."""
        return True

    def covers(self, number: int) -> bool:
        """A configuration cycle to bus *number* goes through it."""
        if self.config[BRIDGE_CONTROL] & CONTROL_RESET:
            return False
        return self.config[SECONDARY_BUS] <= number <= self.config[SUBORDINATE_BUS]

    # --- windows ---

    def _word(self, offset: int) -> int:
        return int.from_bytes(self.config[offset : offset + 2], "little")

    def io_window(self) -> tuple[int, int]:
        """(base, limit) in ports."""
        base, limit = (self.config[IO_BASE] & 0xF0) << 8, (self.config[IO_LIMIT] & 0xF0) << 8
        if self.config[IO_BASE] & 1:
            base |= self._word(IO_UPPER) << 16
        if self.config[IO_LIMIT] & 1:
            limit |= self._word(IO_UPPER + 2) << 16
        return base, limit | 0xFFF

    def memory_window(self) -> tuple[int, int]:
        """(base, limit) of memory that is not prefetchable."""
        return (self._word(MEMORY_BASE) & 0xFFF0) << 16, (self._word(MEMORY_BASE + 2) & 0xFFF0) << 16 | 0xFFFFF

    def prefetch_window(self) -> tuple[int, int]:
        """(base, limit) of prefetchable memory."""
        pair = []
        for low, high in ((PREF_BASE, PREF_UPPER), (PREF_BASE + 2, PREF_UPPER + 4)):
            value = (self._word(low) & 0xFFF0) << 16
            if self._word(low) & 1:
                value |= int.from_bytes(self.config[high : high + 4], "little") << 32
            pair.append(value)
        return pair[0], pair[1] | 0xFFFFF

    def _make_windows(self) -> _Windows:
        """Map new aliases of the secondary bus as the registers say."""
        board, parent = self.board, self.pci_bus
        memory_on, ports_on = bool(self.config[COMMAND] & 2), bool(self.config[COMMAND] & 1)
        shown = []
        for name, target, space, (base, limit), enabled in (
            ("pci_bridge_pref_mem", self.pci_memory, parent.memory, self.prefetch_window(), memory_on),
            ("pci_bridge_mem", self.pci_memory, parent.memory, self.memory_window(), memory_on),
            ("pci_bridge_io", self.pci_ports, parent.ports, self.io_window(), ports_on),
        ):
            size = limit - base + 1 if enabled and limit >= base else 0
            alias = board.alias(name, target, base, size, self)
            space.add_subregion(alias, base, 1)
            shown.append((space, alias))
        forwards = bool(self.config[BRIDGE_CONTROL] & CONTROL_VGA)
        vga = []
        for name, target, space, (base, size), enabled in (
            ("pci_bridge_vga_io_lo", self.pci_ports, parent.ports, VGA_LOW_PORTS, ports_on),
            ("pci_bridge_vga_io_hi", self.pci_ports, parent.ports, VGA_HIGH_PORTS, ports_on),
            ("pci_bridge_vga_mem", self.pci_memory, parent.memory, VGA_MEMORY, memory_on),
        ):
            alias = board.alias(name, target, base, size, self)
            if forwards:
                alias.set_enabled(enabled)
                space.add_subregion(alias, base, 1)
            vga.append((space, alias))
        return _Windows(tuple(shown), tuple(vga), forwards)

    def _drop_windows(self) -> None:
        windows = self.windows
        for space, alias in windows.shown:
            space.del_subregion(alias)
        for space, alias in windows.vga:
            if windows.vga_shown:
                space.del_subregion(alias)
        for _, alias in windows.shown + windows.vga:
            self.drop_region(alias)

    def update_windows(self) -> None:
        """Delete the windows and map new ones."""
        with self.board.topology.transaction():
            self._drop_windows()
            self.windows = self._make_windows()

    def update_mappings(self) -> None:
        """BARs, and whether forwarded VGA ranges answer."""
        super().update_mappings()
        if self.windows.vga_shown:
            low, high, memory = (alias for _, alias in self.windows.vga)
            low.set_enabled(bool(self.config[COMMAND] & 1))
            high.set_enabled(bool(self.config[COMMAND] & 1))
            memory.set_enabled(bool(self.config[COMMAND] & 2))

    def config_written(self, offset: int, size: int, before: bytes) -> None:
        """Remake the windows if a register of theirs was touched; a secondary bus reset resets what is behind."""
        end = offset + size
        for start, length in ((COMMAND, 2), (IO_BASE, 2), (MEMORY_BASE, 20), (BRIDGE_CONTROL, 2)):
            if offset < start + length and start < end:
                self.update_windows()
                break
        if offset <= BRIDGE_CONTROL < end:
            was = before[BRIDGE_CONTROL - offset]
            if self.config[BRIDGE_CONTROL] & ~was & CONTROL_RESET:
                for device in tuple(self.secondary.devices):
                    reset_below(device)

    def config_write(self, offset: int, value: int, size: int) -> None:
        """Write *size* bytes from *offset* on; registers act, those of the slot last."""
        before = bytes(self.config[offset : offset + size])
        super().config_write(offset, value, size)
        self._switch_slot(offset, before, value)

    def _switch_slot(self, offset: int, before: bytes, value: int) -> None:
        """A card goes when its slot's power and power lamp have both been switched off (seen on 7.2, 10.0 and 11.1)."""
        at = self.capability(CAP_EXPRESS)
        where, status = at + SLOT_CONTROL, at + SLOT_STATUS
        if not self.has_slot:
            return
        was = bytearray(self.config)
        was[offset : offset + len(before)] = before
        if offset <= status < offset + len(before) and value >> 8 * (status - offset) & SLOT_EVENTS & ~was[status]:
            # whoever clears events that were not there would lose one that comes just now: none is cleared
            self.config[status] = self.config[status] & ~SLOT_EVENTS | was[status] & SLOT_EVENTS
        if not offset < where + 2 or not where < offset + len(before):
            return
        # QEMU looks at what is written, as if it were written to all of the register
        switched = _is_off(self.config, where) and not _is_off(was, where)
        if switched and self._has_card and offset == where and len(before) > 1:
            self.config[at + SLOT_STATUS] |= CARD_CHANGED
            self.board.power_off(self.secondary)
        self.config[at + SLOT_STATUS] |= COMMAND_DONE

    @property
    def _has_card(self) -> bool:
        """The port itself knows of a card."""
        return bool(self.secondary.slots) and self.board.owns_slot(self.secondary)

    def reset(self) -> None:
        """The registers of the windows go back, the windows themselves stay until the next write (5.3)."""
        super().reset()
        for start, end in ((PRIMARY_BUS, 0x1E), (MEMORY_BASE, 0x34), (BRIDGE_CONTROL, BRIDGE_CONTROL + 2)):
            self.config[start:end] = self.initial[start:end]
        self._look_into_slot()

    def machine_done(self) -> None:
        """The first reset comes when everything is plugged in."""
        super().machine_done()
        if self.has_slot:
            self.clear_mask[self.capability(CAP_EXPRESS) + SLOT_STATUS] |= SLOT_EVENTS
        self._look_into_slot()

    @property
    def has_slot(self) -> bool:
        """It is a PCI Express port with a slot."""
        at = self.capability(CAP_EXPRESS)
        return bool(at and self.config[at + 3] & SLOT_IMPLEMENTED)

    @property
    def slot_has_power(self) -> bool:
        """Power, or its lamp, is on in the slot of a port."""
        return not _is_off(self.config, self.capability(CAP_EXPRESS) + SLOT_CONTROL)

    def press_button(self) -> None:
        """Somebody wants the card to leave: the guest sees the button pressed."""
        self._slot_event(BUTTON_PRESSED)

    def card_came(self) -> None:
        """A card was plugged in while the machine runs."""
        if self.has_slot and not self.board.owns_slot(self.secondary):
            # ACPI gives it power, and does not care for lamps
            self.config[self.capability(CAP_EXPRESS) + SLOT_CONTROL + 1] &= ~(POWER_OFF >> 8)
        self._slot_event(BUTTON_PRESSED | CARD_CHANGED)

    def card_left(self) -> None:
        """The card in a slot without power was taken away."""
        if self.has_slot:
            self.config[self.capability(CAP_EXPRESS) + SLOT_STATUS] &= ~BUTTON_PRESSED
        self._slot_event(CARD_CHANGED)

    def _slot_event(self, bits: int) -> None:
        if self.has_slot and self.board.owns_slot(self.secondary):
            self.config[self.capability(CAP_EXPRESS) + SLOT_STATUS] |= bits

    def _look_into_slot(self) -> None:
        """A PCI Express slot has power when there is a card in it at reset."""
        at = self.capability(CAP_EXPRESS)
        if self.has_slot:
            control = self.board.quirks.pcie_slot_with_card if self.secondary.slots else SLOT_EMPTY
            self.config[at + SLOT_CONTROL : at + SLOT_CONTROL + 2] = control.to_bytes(2, "little")
            self.config[at + SLOT_STATUS] &= ~SLOT_EVENTS

    def config_read(self, offset: int, size: int) -> int:
        """A port with a card tells that its link is up, and that there is one."""
        at = self.capability(CAP_EXPRESS)
        if self.has_slot and offset < at + LINK_STATUS + 2 and at + LINK_STATUS < offset + size:
            self._sync_link(at)
        value = super().config_read(offset, size)
        if self.has_slot and self._has_card:
            active = LINK_ACTIVE if self.is_on("x-pcie-lnksta-dllla", True) else 0
            for where, bits in ((at + SLOT_STATUS, CARD_PRESENT), (at + LINK_STATUS, active)):
                shift = 8 * (where - offset)
                value |= (bits << shift if shift >= 0 else bits >> -shift) & (1 << 8 * size) - 1
        return value

    def _sync_link(self, at: int) -> None:
        """The link is as wide and fast as the card, no more than the port can, and x1 with 2.5 GT/s at least."""
        card = self.secondary.slots.get(0)
        there = card.capability(CAP_EXPRESS) if card is not None else 0
        most = int.from_bytes(self.config[at + LINK_CAPABILITIES : at + LINK_CAPABILITIES + 2], "little")
        told = most
        if card is not None and there:
            told = int.from_bytes(card.config[there + LINK_STATUS : there + LINK_STATUS + 2], "little")
        elif card is not None and self.board.descends(card.type_name, "virtio-pci"):
            # its capability of Express comes with the bus, and is not in the catalogue
            plain = card.is_on("disable-modern", False) or card.is_on("x-disable-pcie", False)
            told = most if plain else 0
        width, speed = min(told & LINK_WIDTH, most & LINK_WIDTH), min(told & LINK_SPEED, most & LINK_SPEED)
        status = int.from_bytes(self.config[at + LINK_STATUS : at + LINK_STATUS + 2], "little")
        status = status & ~(LINK_WIDTH | LINK_SPEED) | (width or 0x10) | (speed or 1)
        self.config[at + LINK_STATUS : at + LINK_STATUS + 2] = status.to_bytes(2, "little")

    def unrealize(self) -> None:
        """Take windows and bus away."""
        if hasattr(self, "windows"):
            self._drop_windows()
            self.secondary.close()
        super().unrealize()


def _is_off(config: bytes | bytearray, where: int) -> bool:
    """Slot control at *where* says that power and its lamp are off."""
    return int.from_bytes(config[where : where + 2], "little") & SLOT_OFF == SLOT_OFF


def reset_below(device: object) -> None:
    """Reset *device* and what is on buses of its own."""
    if isinstance(device, PciFunction):
        for bus in device.buses:
            for child in tuple(bus.devices):
                reset_below(child)
        device.reset()
