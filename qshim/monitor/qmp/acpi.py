"""query-acpi-ospm-status: what the guest said about plugged memory and CPUs, which is nothing yet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from qshim.monitor.qmp.extensions import schema_for
from qshim.monitor.qmp.machine import recorded, types_of
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.machines.machine import Machine
    from qshim.vm import Vm

__all__ = ["query_acpi_ospm_status"]

_SLOTS = re.compile(r"(?:^|,)slots=(\d+)")
_PC_POWER = frozenset({"ICH9-LPC", "PIIX4_PM"})


@QMP.command("query-acpi-ospm-status")
def query_acpi_ospm_status(vm: Vm, arguments: Mapping[str, object]) -> object:
    """An entry for each DIMM slot, and for each possible CPU where this QEMU lists them (monitor.md 4.3)."""
    if vm.machine == "none":
        reply = schema_for(vm).idle["query-acpi-ospm-status"]
        raise CommandError(reply["error"]["desc"])
    if vm.machine_model is not None:
        machine = cast("Machine", vm.machine_model)
        if machine.family not in ("pc", "q35") or not machine.has_acpi:
            raise CommandError("query-acpi-ospm-status is not modelled by qshim for this machine")
        slots = machine.board.slots
    else:
        if vm.recording is None or not types_of(vm) & _PC_POWER:
            raise CommandError("query-acpi-ospm-status is not modelled by qshim for this machine")
        memory = [word for option, word in pairwise(vm.recording.argv) if option in ("-m", "--m")]
        slots = max((int(found[1]) for word in memory if (found := _SLOTS.search(word))), default=0)
    plugged = {each["data"]["slot"]: each["data"].get("id") for each in recorded(vm, "query-memory-devices")
               if "slot" in each["data"]}  # fmt: skip
    rows: list[dict[str, object]] = []
    for slot in range(slots):
        device = plugged.get(slot)
        rows.append({"slot": str(slot), "slot-type": "DIMM", "source": 0, "status": 0})
        if device is not None:
            rows[-1]["device"] = device
    if vm.quirks.ospm_lists_cpus:
        places = recorded(vm, "query-hotpluggable-cpus")
        for i, place in enumerate(reversed(places)):
            rows.append({"slot": str(i), "slot-type": "CPU", "source": 0, "status": 0})
            path = str(place.get("qom-path", ""))
            if path.startswith("/machine/peripheral/"):
                rows[-1]["device"] = path.rpartition("/")[2]
    return schema_for(vm).shaped("query-acpi-ospm-status", rows)
