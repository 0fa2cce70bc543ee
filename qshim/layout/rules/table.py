"""The catalogue: every rule with its severity, what happens, and what to do about it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["RULES", "SEVERITIES", "Rule", "at_least"]

SEVERITIES = {
    "error": "a guest, or a migration, that worked before can fail",
    "warning": "the guest sees another machine, or it cannot be said that nothing fails",
    "info": "inside QEMU only: nobody outside notices",
}
"""Severity -> what it means, the worst first."""


def at_least(severity: str, level: str) -> bool:
    """Whether *severity* is as bad as *level*, or worse.

    >>> at_least("error", "warning"), at_least("info", "warning")
    (True, False)
    """
    order = list(SEVERITIES)
    return order.index(severity) <= order.index(level)


class Rule(NamedTuple):
    """One row of the catalogue."""

    severity: str
    title: str
    """What it finds."""
    consequence: str
    """What QEMU or the guest will do about it."""
    page: str
    """Where it comes from, and the way out."""


_COMPAT = (
    "Keep the old value for the old machine type (a versioned -M, or the property on the command line), and make the "
    "change only where no guest that runs has to be migrated."
)
_ADDRESSES = (
    "Firmware and ACPI tables tell the guest this address when it boots; a guest that is migrated keeps the old one. "
    "A change that is meant belongs into a new machine type."
)

RULES: dict[str, Rule] = {
    "machine-type-changed": Rule(
        "error", "the layout is of another machine type",
        "an incoming migration is refused: Machine type received is 'A' and local is 'B'",
        "An alias such as -M q35 means another type in each QEMU. Name the versioned type: -M pc-q35-7.2.",
    ),
    "ramblock-removed": Rule(
        "error", "a RAM block is missing",
        'an incoming migration is refused: Unknown ramblock "NAME", cannot accept migration',
        "The device or backend that owned it is gone, or a ROM is no longer loaded (romfile=, rombar=0). " + _COMPAT,
    ),
    "ramblock-renamed": Rule(
        "error", "a RAM block has another name",
        'an incoming migration is refused: Unknown ramblock "OLD", cannot accept migration',
        "Names are part of the migration format. They come from a device's PCI address and from the id of a memory "
        "backend: keep addr= and id= as they were (x-use-canonical-path-for-ramblock-id changes them, too).",
    ),
    "ramblock-added": Rule(
        "warning", "there is a new RAM block",
        "migrating here works, the new block keeps what it has; migrating back is refused with Unknown ramblock",
        "Going back to the old version is impossible while guests have the new device.",
    ),
    "ramblock-used-length-changed": Rule(
        "error", "a RAM block has another length",
        "an incoming migration is refused: Size mismatch: NAME: 0xOLD != 0xNEW: Invalid argument",
        "For an expansion ROM, set romsize= to the old length: a package update may have brought a larger file. For "
        "RAM, -m and size= must be what the source has, to the byte.",
    ),
    "ramblock-resizeable-length-changed": Rule(
        "info", "a RAM block that can be resized has another length",
        "an incoming migration resizes it",
        "ACPI tables and other blobs of the firmware grow with CPUs, slots and bridges; up to their maximum nothing "
        "has to be done.",
    ),
    "ramblock-max-length-changed": Rule(
        "error", "a RAM block has another maximum length",
        "an incoming migration may be refused: Size too large: NAME: 0xSENT > 0xMAX: Invalid argument",
        "The maximum of a resizeable block limits what a source may send. " + _COMPAT,
    ),
    "ramblock-page-size-changed": Rule(
        "error", "a RAM block has pages of another size",
        "with postcopy-ram a migration is refused: Postcopy needs matching RAM page sizes; without, it works",
        "Both sides need the same huge pages (mem-path=, hugetlbsize=) for postcopy.",
    ),
    "ramblock-offset-changed": Rule(
        "info", "a RAM block has another ram_addr_t",
        "nothing: migrations name blocks and never send this address",
        "It follows from the order in which blocks are made, and shows that this order changed.",
    ),
    "ramblock-order-changed": Rule(
        "info", "RAM blocks of equal maximum length stand in another order",
        "nothing: a migration sends them in another order, which the destination takes",
        "It follows from the order in which blocks are made.",
    ),
    "ram-moved": Rule(
        "error", "RAM is at another address",
        "a guest that is migrated finds its memory elsewhere, and crashes; a guest that boots sees another e820 map",
        "max-ram-below-4g, gigabyte alignment of the machine type, or the size of the PCI hole changed. " + _ADDRESSES,
    ),
    "above-4g-start-moved": Rule(
        "error", "RAM above 4 GiB begins at another address",
        "a guest that is migrated crashes; devices with narrow DMA addresses stop working in a guest that boots",
        "QEMU moves it above 1 TiB where the physical address width of the CPU allows it and RAM would reach into "
        "AMD's reserved range (machine types 7.1 on). " + _ADDRESSES,
    ),
    "device-memory-moved": Rule(
        "error", "memory for hot-plug, or a memory device, is at another address",
        "a guest that is migrated finds its DIMMs elsewhere, and crashes",
        "It begins behind RAM: other -m, slots=, maxmem= or addr= move it. " + _ADDRESSES,
    ),
    "device-memory-shrunk": Rule(
        "error", "memory for hot-plug, or a memory device, is smaller",
        "DIMMs that fitted are refused: not enough space, currently 0x... in use",
        "maxmem= or the alignment of slots changed.",
    ),
    "memory-device-removed": Rule(
        "error", "a memory device is missing",
        "an incoming migration is refused, for its RAM block is unknown",
        "A DIMM that was hot-plugged has to be on the command line of the destination.",
    ),
    "memory-device-added": Rule(
        "warning", "there is a new memory device",
        "the guest has more memory than the migration brings",
        "Both sides need the same DIMMs at the same addresses.",
    ),
    "mmio-moved": Rule(
        "warning", "a device's registers are at another address",
        "a guest that is migrated talks to nobody there; a guest that boots learns the new address from ACPI, FDT or "
        "PCI, if the device is found in one of them",
        _ADDRESSES,
    ),
    "mmio-resized": Rule(
        "warning", "a device has more or fewer registers",
        "drivers that map the old size may fail; accesses behind the new end meet something else",
        "A new model of the device, or a property of it. " + _COMPAT,
    ),
    "mmio-removed": Rule(
        "warning", "a device's registers are gone",
        "a guest that uses them reads ones or zeros",
        "The device is gone or was replaced. " + _COMPAT,
    ),
    "mmio-added": Rule(
        "info", "a device's registers are new",
        "nothing, unless they hide something: then another rule says so",
        "A new device, or a new feature of one.",
    ),
    "region-type-changed": Rule(
        "warning", "a region is of another type",
        "writes to what was RAM are lost or the other way round; an accelerator maps it otherwise",
        "ram, rom, romd (a flash in read mode) and i/o behave differently towards the guest and to KVM.",
    ),
    "region-priority-changed": Rule(
        "warning", "a region has another priority",
        "where regions overlap, another one may win",
        "Look at the views of both layouts: qshim diff says at which addresses something else is visible.",
    ),
    "view-changed": Rule(
        "warning", "something else is visible at an address, for a reason that no other rule names",
        "the guest meets something else there",
        "A region was switched on or off, an alias shows another part, or a window was opened (PAM, SMRAM, VGA).",
    ),
    "overlap-equal-priority": Rule(
        "error", "two regions overlap and have the same priority",
        "which of them the guest meets depends on the order in which QEMU made them",
        "Give one of them a priority of its own, or another address: the ACPI hot-plug registers of QEMU 6.1 hid "
        "those of CPU hot-plug in this way.",
    ),
    "region-hidden": Rule(
        "warning", "a region is wholly behind others",
        "the guest cannot reach it",
        "qshim explain ADDRESS says who hides it.",
    ),
    "ram-not-page-aligned": Rule(
        "warning", "RAM does not begin or end at a page",
        "KVM cannot map the partial page: accesses to it are emulated, instructions in it fail",
        "Something of less than a page was mapped over RAM, or its size is no multiple of a page.",
    ),
    "memslot-budget": Rule(
        "error", "RAM is in more pieces than there are memory slots",
        "KVM, vhost or vhost-user refuse the machine, or the next hot-plug",
        "limits.memslots says how many there are: 509 for vhost in older kernels, 32 for many vhost-user back ends.",
    ),
    "address-width": Rule(
        "error", "an address needs more bits than the guest has",
        "the guest cannot reach what is there; QEMU refuses such RAM with: Address space limit ... phys-bits too low",
        "limits.address_bits says how many there are. Raise phys-bits of the CPU, or lower maxmem=.",
    ),
    "pci-hole-shrunk": Rule(
        "warning", "there is less space for PCI below 4 GiB",
        "firmware may find no room for BARs that fitted, and leaves devices without memory",
        "RAM below 4 GiB grew: max-ram-below-4g, or another -m.",
    ),
    "rom-from-file": Rule(
        "warning", "the length of a ROM is that of an installed file",
        "a host with another package has another length, and migrations from and to it are refused: Size mismatch",
        "Set romsize= for the device (a power of two that has room to grow), or romfile= to an empty name.",
    ),
    "nondeterministic-layout": Rule(
        "error", "the same options give different layouts",
        "nothing that was checked holds for the next start",
        "Two builds of one layout differed. Name what is left open: ids, addr=, a machine type with its version.",
    ),
    "assertion-failed": Rule(
        "error", "what the project asserts does not hold",
        "as the assertion says",
        "[[assert]] in qshim.toml, written by the project.",
    ),
    "golden-missing": Rule(
        "error", "a layout has no golden",
        "nothing was compared",
        "qshim check --update writes it; review it and commit it.",
    ),
    "golden-unused": Rule(
        "error", "a golden belongs to no layout",
        "a layout that was checked once is checked no more",
        "qshim check --update removes it, if the layout was removed from qshim.toml on purpose.",
    ),
    "waiver-expired": Rule(
        "error", "a waiver is over",
        "what it waived counts again",
        "Fix what it was about, or say in qshim.toml why it has to go on.",
    ),
    "waiver-unused": Rule(
        "error", "a waiver covers nothing",
        "it would silently cover the next finding of its kind",
        "Remove it from qshim.toml, or correct its rule or object.",
    ),
}  # fmt: skip
"""Rule id -> what it is."""
