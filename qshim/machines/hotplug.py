"""Devices that come and go while the machine exists: what may, who is asked, and when a request is done.

Which types cannot be hot-plugged was asked of real QEMUs (data/not-hotpluggable.json). A PCI function that
ACPI serves leaves at the next reset, because no guest is there to let it go; one behind a bridge that was
itself hot-plugged is served by that bridge, and leaves at once unless its slot had power at the last reset.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from qshim.devices.chipset.cpu import Cpu
from qshim.devices.errors import DeviceError
from qshim.devices.memory.dimm import Dimm
from qshim.devices.memory.virtio import VirtioMem, VirtioPmem
from qshim.devices.pci import PciBridge, PciBus, PciFunction
from qshim.devices.pci.address import slot_of
from qshim.devices.qdev import Bus, Device
from qshim.memory import MemoryRegion

if TYPE_CHECKING:
    from qshim.machines.machine import Machine

__all__ = ["Deleted", "HotPlug", "fixed_types"]

_SHPC = ("pci-bridge", "pcie-pci-bridge", "pci-bridge-seat")
_FIXED = ("i440FX", "PIIX3", "PIIX4_PM", "piix4-isa", "mch", "ICH9-LPC", "AMDVI-PCI")


class Deleted(NamedTuple):
    """A device that is gone: what the event DEVICE_DELETED tells."""

    id: str | None
    path: str


@cache
def _not_hotpluggable() -> Mapping[str, list[str]]:
    path = Path(__file__).parents[1] / "data" / "not-hotpluggable.json"
    told: Mapping[str, list[str]] = json.loads(path.read_text("utf-8"))
    return told


@cache
def fixed_types(label: str) -> frozenset[str]:
    """Types that QEMU *label* does not hot-plug wherever they go."""
    return frozenset(_not_hotpluggable()[label])


class HotPlug:
    """The hot-plug controllers of *machine*."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._leaving: dict[PciBus, set[int]] = {}
        """Slots that ACPI has been asked to free."""
        self._asked: set[Device] = set()
        """Devices whose removal was requested and that refuse a second request."""
        self.on_gone: Callable[[Iterable[Deleted]], object] = lambda gone: None
        """Who wants to know of devices that a guest has taken away."""
        machine.board.power_off = self._power_off
        machine.board.owns_slot = lambda bus: not isinstance(bus, PciBus) or not self.by_acpi(bus)
        self._powered: dict[PciBridge, set[int]] = {}
        """Slots behind a bridge of its own controller that had a card at the last reset."""

    # --- coming ---

    def check_type(self, driver: str) -> None:
        """What is said before the bus is looked for (7.2).

        :raises DeviceError: the type cannot be hot-plugged.
        """
        if self.machine.quirks.hotplug_type_first and driver in fixed_types(self.machine.quirks.label):
            raise DeviceError("Parameter 'driver' expects a pluggable device type")

    def check_place(self, driver: str, bus: Bus | None) -> None:
        """What is said once the bus is known.

        :raises DeviceError: the type, the bus or the machine does not take it.
        """
        machine = self.machine
        if driver in fixed_types(machine.quirks.label):
            raise DeviceError(f"Device '{driver}' does not support hotplugging")
        if bus is not None and not self.takes(bus):
            raise DeviceError(f"Bus '{bus.name}' does not support hotplugging")
        if bus is None and not machine.plugs_itself(driver):
            raise DeviceError(f"Device '{driver}' can not be hotplugged on this machine")

    def takes(self, bus: Bus) -> bool:
        """Whether devices on *bus* may come and go."""
        if not isinstance(bus, PciBus):
            return bus.hotpluggable
        if bus.is_root:
            return bus.hotpluggable and bus is self.machine.board.pci_buses[0] and self._acpi_root
        return bus.hotpluggable and (bus.bridge is None or self._serves(bus, bus.bridge))

    def _serves(self, bus: PciBus, bridge: PciBridge) -> bool:
        """Somebody serves the cards behind *bridge*: ACPI, the port, or a standard hot-plug controller."""
        wanted = bridge.is_on("hotplug", True)
        if self.by_acpi(bus):
            return wanted
        if bridge.has_slot:
            return wanted or self.machine.quirks.port_refuses_cards
        return bridge.type_name in _SHPC and bridge.is_on("shpc", True)

    def check_port(self, bus: PciBus, doing: str = "plug") -> None:
        """What a port without hot-plug says itself (7.2).

        :raises DeviceError: it does not want cards to come or go.
        """
        bridge = bus.bridge
        if bridge is None or self.by_acpi(bus) or not bridge.has_slot or bridge.is_on("hotplug", True):
            return
        raise DeviceError(f"Hot-{doing} failed: unsupported by the port device '{bridge.id or ''}'")

    def forgotten(self, device: Device) -> None:
        """*device* was refused once it was whole: its parts are told of, itself it is not."""
        self.on_gone([Deleted(part.id, part.path or "") for part in _with_parts(device) if part is not device])

    @property
    def _acpi_root(self) -> bool:
        machine = self.machine
        told = machine.board.global_value("PIIX4_PM", "acpi-root-pci-hotplug")
        return machine.has_acpi and told not in ("off", "false")

    def by_acpi(self, bus: PciBus) -> bool:
        """ACPI serves *bus*; otherwise its bridge does."""
        if bus.bridge is None:
            return True
        return self.machine.acpi_hotplug and not bus.bridge.hotplugged

    def came(self, function: PciFunction) -> None:
        """*function* was plugged in; its port tells of the card once there is a function 0."""
        bus = function.pci_bus
        if bus.bridge is not None and function.devfn & ~7 in bus.slots:
            bus.bridge.card_came()

    def leave_behind(self, device: Device, error: DeviceError) -> None:
        """What QEMU forgets to take away of a virtio function that failed with *error* (10.0, 11.1)."""
        board = self.machine.board
        late = isinstance(device, PciFunction) and (error is device.lacking or " busy memdev" in str(error))
        if late and board.completed and board.quirks.pci_bridge_spaces and device.type_name.startswith("virtio-"):
            board.space(MemoryRegion(board.topology, "virtio-pci", 0x4000, owner=device), "virtio-pci-cfg-mem-as")

    # --- going ---

    def request(self, device: Device) -> list[Deleted]:
        """device_del: what has gone at once.

        :raises DeviceError: QEMU refuses it.
        """
        if device in self._asked:
            raise DeviceError(f"Device {device.id or ''} is already in the process of unplug")
        bus = device.bus
        if isinstance(device, Cpu):
            bus = None
        elif bus is not None and not self.takes(bus):
            name = "main-system-bus" if bus.device is None else bus.name
            raise DeviceError(f"Bus '{name}' does not support hotplugging")
        if not self._may_leave(device):
            raise DeviceError(f"Device '{device.type_name}' does not support hotplugging")
        if isinstance(device, Cpu):
            return self._request_cpu(device)
        if isinstance(device, Dimm):
            return self._request_dimm(device)
        if isinstance(device, (VirtioMem, VirtioPmem)):
            self._check_virtio(device)
        if isinstance(device, PciFunction):
            self.check_port(device.pci_bus, "unplug")
            return self._request_pci(device)
        if bus is None:
            raise DeviceError(f"Device '{device.type_name}' can not be hotplugged on this machine")
        return self.remove(device)

    def _may_leave(self, device: Device) -> bool:
        name = device.type_name
        return name not in fixed_types(self.machine.quirks.label) and name not in _FIXED

    def _request_cpu(self, cpu: Cpu) -> list[Deleted]:
        if not self.machine.has_acpi:
            raise DeviceError("CPU hot unplug not supported without ACPI")
        if cpu.index == 0:
            raise DeviceError("Boot CPU is unpluggable")
        text = self.machine.quirks.no_cpu_unplug
        if text:
            raise DeviceError(text.format(cpu.type_name))
        return []

    def _request_dimm(self, dimm: Dimm) -> list[Deleted]:
        if self.machine.board.refuses_dimms:
            raise DeviceError(self.machine.board.refuses_dimms)
        if dimm.type_name == "nvdimm":
            raise DeviceError("nvdimm device hot unplug is not supported yet.")
        # a guest would have to let it go
        return []

    def _check_virtio(self, device: VirtioMem | VirtioPmem) -> None:
        quirks = self.machine.quirks
        if not quirks.virtio_memory_leaves or not isinstance(device, VirtioMem):
            raise DeviceError(quirks.virtio_memory_stays)
        if device.size_of("requested-size"):
            raise DeviceError("virtio-mem device cannot get unplugged while 'requested-size' != '0'")

    def _request_pci(self, function: PciFunction) -> list[Deleted]:
        bus, slot = function.pci_bus, slot_of(function.devfn)
        if self.by_acpi(bus):
            self._asked.add(function)
            self._leaving.setdefault(bus, set()).add(slot)
            return []
        bridge = bus.bridge
        assert bridge is not None
        if bridge.slot_has_power if bridge.has_slot else slot in self._powered.get(bridge, ()):
            if bridge.type_name not in _SHPC:
                self._asked.add(function)
            bridge.press_button()
            return []
        gone = [gone for each in self._in_slot(bus, slot) for gone in self.remove(each)]
        bridge.card_left()
        return gone

    @staticmethod
    def _in_slot(bus: PciBus, slot: int) -> list[PciFunction]:
        """The functions of *slot*, the newest first."""
        return [each for each in reversed(bus.devices) if isinstance(each, PciFunction) and slot_of(each.devfn) == slot]

    def _power_off(self, bus: Bus) -> None:
        """The guest has switched the slot behind a port off."""
        self.on_gone([gone for device in tuple(bus.devices) for gone in self.remove(device)])

    def remove(self, device: Device) -> list[Deleted]:
        """Take *device* away with what is behind it; what has gone, in order."""
        told = [Deleted(each.id, each.path or "") for each in _with_parts(device)]
        self._remove(device)
        return told

    def _remove(self, device: Device) -> None:
        for bus in device.buses:
            for child in reversed(tuple(bus.devices)):
                if child.parent is not device:
                    self._remove(child)
            if isinstance(bus, PciBus):
                self._leaving.pop(bus, None)
        if isinstance(device, PciBridge):
            self._powered.pop(device, None)
        self._asked.discard(device)
        self.machine.board.unplug(device)

    def reset(self) -> list[Deleted]:
        """system_reset: requests that ACPI has are done, bridges look which of their slots are taken."""
        gone: list[Deleted] = []
        for root in self.machine.board.pci_buses:
            for bus in tuple(root.walk()) if isinstance(root, PciBus) else ():
                for slot in sorted(self._leaving.pop(bus, ())):
                    for function in self._in_slot(bus, slot):
                        fixed = isinstance(function, PciBridge) and not function.hotplugged
                        if not fixed and self._may_leave(function):
                            gone += self.remove(function)
        self.begin()
        return gone

    def begin(self) -> None:
        """A reset, the one at the start included: bridges give power to slots with a card in them."""
        for device in self.machine.board.devices:
            if isinstance(device, PciBridge) and not self.by_acpi(device.secondary):
                self._powered[device] = {slot_of(devfn) for devfn in device.secondary.slots}


def _with_parts(device: Device) -> Iterator[Device]:
    """What is behind *device* and what belongs to it, then itself: the order in which they go."""
    inside: list[Device] = []
    for bus in device.buses:
        inside += [each for each in bus.devices if each not in inside]
    inside += [each for each in device.children.values() if isinstance(each, Device) and each not in inside]
    for each in reversed(inside):
        yield from _with_parts(each)
    yield device
