"""What differs between QEMU binaries about the virt boards of RISC-V (spec/virt-boards.md, part B)."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["RiscvQuirks", "riscv_quirks"]


class RiscvQuirks(NamedTuple):
    """The virt boards of one QEMU release; the defaults are those of 10.0."""

    has_acpi: bool = True
    """There are ACPI tables (10.0; 12)."""
    early_fw_cfg: bool = True
    """fw_cfg is there before devices are; in 7.2 it comes after all of them."""
    harts_have_places: bool = False
    """A hart sits in a socket and a cluster, and is not just a core with a number (11.1)."""
    nodes_follow_clusters: bool = False
    """Harts of one cluster in several nodes are warned about (11.1; 11)."""
    plic_counts_from_first_hart: bool = False
    """A PLIC lacks lines where a socket's first hart has a number above the socket's count: QEMU aborts (7.2; 11)."""
    node_limit_is_called_maxcpus: bool = False
    """Whoever asks for more nodes than harts is told how many there may be, not how many there are (7.2)."""
    guests_need_hypervisor: bool = False
    """Harts without the extension for hypervisors have no lines for guest interrupt files: QEMU aborts (11.1)."""
    missing_firmware: str = 'Unable to find the RISC-V BIOS "{}"'
    """-bios names a file that nobody has (12)."""
    wide_harts_need_one_thread: bool = True
    """x-rv128 does not go with a thread for each hart (until 10.0)."""


_10_0 = RiscvQuirks()
_KNOWN = {
    "7.2": _10_0._replace(
        has_acpi=False,
        early_fw_cfg=False,
        plic_counts_from_first_hart=True,
        node_limit_is_called_maxcpus=True,
        missing_firmware='Unable to load the RISC-V firmware "{}"',
    ),
    "10.0": _10_0,
    "11.1": _10_0._replace(
        harts_have_places=True, nodes_follow_clusters=True, wide_harts_need_one_thread=False,
        guests_need_hypervisor=True,
    ),
}


def riscv_quirks(label: str) -> RiscvQuirks:
    """The virt boards of dialect *label*.

    :raises KeyError: there is no such dialect.
    """
    return _KNOWN[label]
