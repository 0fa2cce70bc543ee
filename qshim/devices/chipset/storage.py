"""Storage whose parts move: namespaces of nvme, disks inside USB sticks and UFS units."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueDevice

__all__ = ["DiskHolder", "NvmeNamespace"]


class NvmeNamespace(CatalogueDevice):
    """Moves to the bus of the subsystem, which `info qtree` does not show."""

    def realize(self) -> None:
        """Change buses once it is real."""
        super().realize()
        bus = self.bus
        controller = None if bus is None else bus.device
        for other in getattr(controller, "apart", ()):
            if bus is not None and other.type_name == "nvme-subsys" and other.buses:
                bus.devices.remove(self)
                self.bus = other.buses[0]
                self.bus.devices.append(self)
                return


class DiskHolder(CatalogueDevice):
    """usb-storage and ufs-lu: the drive goes to the disk inside."""

    def realize(self) -> None:
        """Make the disk and hand the drive on."""
        super().realize()
        drive = self.properties.pop("drive", None)
        for bus in self.buses:
            for disk in bus.devices:
                if drive is not None:
                    disk.properties["drive"] = drive
