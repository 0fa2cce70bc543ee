"""Devices that users add: -device, and device_add while the machine runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qshim.argv import OptionError
from qshim.argv.opts import identifier
from qshim.devices.catalogue import check_class, create
from qshim.devices.errors import DeviceError
from qshim.devices.memory.table import memory_device
from qshim.devices.pci import PciBus, PciFunction
from qshim.devices.properties import check_properties
from qshim.errors import MemoryModelError
from qshim.machines.checks import check_beside, check_controller, check_singles
from qshim.machines.globals import bad_global
from qshim.machines.plugging import device_types, find_bus

if TYPE_CHECKING:
    from qshim.argv.plan import DevicePlan
    from qshim.devices.qdev import Device
    from qshim.machines.machine import Machine

__all__ = ["add_device", "plug_in"]


def add_device(machine: Machine, plan: DevicePlan) -> Device:
    """Add what a -device asks for.

    :raises OptionError: QEMU refuses it.
    """
    try:
        return plug_in(machine, plan.driver, plan.id, plan.properties)
    except DeviceError as error:
        if str(error).endswith(" can not be dynamically instantiated"):
            # QEMU looks at this once the machine is there
            raise OptionError(str(error)) from error
        raise OptionError(f"{plan.where}: {error}", *filter(None, [error.hint])) from error
    except MemoryModelError as error:
        # a name that is taken ends QEMU wherever it happens
        own = "already registered" in str(error)
        raise OptionError(str(error) if own else f"{plan.where}: {error}") from error


def plug_in(
    machine: Machine,
    driver: str,
    name: str | None,
    properties: Mapping[str, str],
    *,
    texts: Callable[[str, Mapping[str, str]], Mapping[str, str]] = lambda driver, properties: properties,
) -> Device:
    """Add a device of type *driver* to *machine*, now or while it runs; *name*: its id, None if it has none.

    *texts* makes properties of *properties* for the type, once only they are left to look at.

    :raises DeviceError: QEMU refuses it.
    """
    board, quirks = machine.board, machine.quirks
    given = dict(properties)
    bus_name = given.pop("bus", None)
    known = device_types(quirks.label, machine.request.target)
    driver = known.named(driver, board.types)
    if board.completed:
        machine.hotplug.check_type(driver)
    check_class(board, driver)
    bus = find_bus(board, board.types, driver, known.buses[driver], bus_name)
    if board.completed:
        machine.hotplug.check_place(driver, bus)
        text = quirks.device_id_text
        if name is not None and text and not identifier(name):
            raise DeviceError(text.format(name))
    parent = board.peripheral
    if name is not None and parent.child(name) is not None:
        raise DeviceError(f"Duplicate device ID '{name}'")
    # the number is used up even if the device cannot be had
    anonymous = f"device[{machine.nameless}]"
    machine.nameless += name is None
    given = dict(texts(driver, given))
    error = bad_global(machine, driver)
    if error is not None:
        raise DeviceError(error)
    device = _special(machine, driver, name, given) or create(board, driver, device_id=name, properties=given)
    machine.check_added(device)
    # a slot that is taken is refused before nearly everything else of the device is looked at
    if isinstance(device, PciFunction) and isinstance(bus, PciBus):
        if board.completed:
            machine.hotplug.check_port(bus)
        device.check_acpi_index()
        bus.try_slot(device, given.get("addr"))
    check_singles(board, driver)
    check_beside(board, device)
    try:
        if name is not None:
            board.plug(device, bus, parent=board.peripheral, name=name)
        else:
            board.plug(device, bus, parent=board.peripheral_anon, name=anonymous)
    except DeviceError as refusal:
        machine.hotplug.leave_behind(device, refusal)
        raise
    try:
        check_controller(device, isinstance(device, PciFunction) and machine.hotplug.by_acpi(device.pci_bus))
    except DeviceError:
        if board.completed:
            machine.hotplug.forgotten(device)
        board.unplug(device)
        raise
    if board.completed and isinstance(device, PciFunction):
        machine.hotplug.came(device)
    machine.added(device)
    return device


def _special(machine: Machine, driver: str, name: str | None, properties: Mapping[str, str]) -> Device | None:
    """A device that is not made from the catalogue, or None."""
    if driver.endswith(f"-{machine.request.target}-cpu"):
        check_properties(machine.board, driver, properties)
        return machine.hot_cpu(driver, name, properties)
    return memory_device(machine.board, driver, name, properties)
