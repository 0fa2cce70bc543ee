"""Setting properties of a device that is there (qom-set): most are settled once it has been realized.

What may still be changed and how each refusal reads was asked of 7.2, 10.0 and 11.1.
"""

from __future__ import annotations

from collections.abc import Mapping

from qshim.devices.memory.virtio import VirtioMem
from qshim.devices.qdev import Device
from qshim.monitor.registry import CommandError

__all__ = ["set_device_property"]

_FIXED = ("type", "parent_bus", "hotplugged", "hotpluggable")
_MEASURED = {"pc-dimm": ("size",), "nvdimm": ("size",), "virtio-mem": ("size",), "virtio-pmem": ("size",)}
"""Properties that a device computes."""
_HALF = 1 << 31


def set_device_property(here: Device, name: str, value: object, known: Mapping[str, str]) -> bool:
    """Set *name*, one of the properties that *known* gives a type; False where nobody knows what would happen.

    :raises CommandError: QEMU refuses it.
    """
    backend = here.child("virtio-backend")
    if isinstance(here, VirtioMem) and name == "requested-size":
        _set_requested_size(here, value)
        return True
    if isinstance(here, VirtioMem) and name == "block-size":
        raise CommandError("'block-size' cannot be changed")
    if name in _FIXED or name.startswith("legacy-") or known[name].startswith("child<"):
        raise CommandError(f"Property '{here.type_name}.{name}' is not writable")
    owner = here
    if isinstance(backend, Device) and name in _own(backend):
        # a virtio function passes such properties on to the device behind it
        owner = backend
    if name in _MEASURED.get(owner.type_name, ()):
        raise CommandError(f"Property '{owner.type_name}.{name}' is not writable")
    if name == "bootindex":
        _set_boot_index(here, value)
        return True
    if name == "realized":
        return value is True
    if known[name].startswith("link<"):
        if not isinstance(value, str):
            raise CommandError(f"Invalid parameter type for '{name}', expected: string")
        objects = here.board.objects
        if value and here.board.root.at(value) is None and objects.child(value) is None:
            raise CommandError(f"Device '{value}' not found", "DeviceNotFound")
        raise CommandError(
            f"Attempt to set link property '{name}' on device '{owner.id or '(null)'}' (type '{owner.type_name}') "
            "after it was realized"
        )
    who = f"device '{owner.id}'" if owner.id is not None else "anonymous device"
    raise CommandError(f"Attempt to set property '{name}' on {who} (type '{owner.type_name}') after it was realized")


def _own(device: Device) -> frozenset[str]:
    """Names of the properties that the type of *device* has."""
    from qshim.qom.types import qom_types

    types = qom_types(device.board.quirks.label, device.board.target)
    rows = None if types is None else types.device_properties(device.type_name)
    return frozenset(row["name"] for row in rows) if isinstance(rows, list) else frozenset()


def _set_boot_index(here: Device, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise CommandError("Invalid parameter type for 'bootindex', expected: integer")
    if not -_HALF <= value < _HALF:
        raise CommandError("Parameter 'bootindex' expects int32_t")
    here.properties["bootindex"] = str(value)


def _set_requested_size(here: VirtioMem, value: object) -> None:
    """Ask the guest of a virtio-mem device to take *value* bytes."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise CommandError("Parameter 'requested-size' expects uint64")
    block = here.block_size
    if value % block:
        raise CommandError(f"'requested-size' has to be multiples of 'block-size' (0x{block:x})")
    if value > here.size:
        raise CommandError(f"'requested-size' cannot exceed the memory backend size(0x{here.size:x})")
    here.properties["requested-size"] = str(value)
