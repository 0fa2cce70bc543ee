"""nvme-ns: a namespace belongs to the subsystem of the controller it was plugged into."""

from __future__ import annotations

from qshim.devices.catalogue import CatalogueDevice

__all__ = ["NvmeNamespace"]


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
