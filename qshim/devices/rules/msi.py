"""Functions on a board whose interrupt controller takes no message-signalled interrupts (asked of 7.2 and 10.0)."""

from __future__ import annotations

from qshim.devices.errors import DeviceError
from qshim.devices.layout import Layout

__all__ = ["without_msi"]

_NEED_MSI = ("cxl-downstream", "cxl-rp", "cxl-upstream", "edu", "ioh3420", "x3130-upstream", "xio3130-downstream")
_NEED_MSIX = ("igb", "pcie-root-port", "rocker")
_TABLES = ("msix-table", "msix-pba")


def without_msi(layout: Layout) -> None:
    """Leave out the tables of MSI-X; a BAR that had nothing else is not there, though its region is.

    :raises DeviceError: the type does not do without.
    """
    for kind, types in (("MSI", _NEED_MSI), ("MSI-X", _NEED_MSIX)):
        if layout.type_name in types:
            raise DeviceError(f"{kind} is not supported by interrupt controller")
    layout.drop(*_TABLES)
    own = layout.region(f"{layout.type_name}-msix")
    if own is not None and own.bar is not None and layout.type_name.startswith("virtio-"):
        layout.drop_bar(own.bar)
