"""qom-list and qom-get of modelled devices beside real QEMU."""

from __future__ import annotations

import json
from typing import Any

import pytest

import qshim.monitor.qmp.families  # noqa: F401  # for the commands it enters
from qshim.monitor.hmp.bridge import ask
from qshim.monitor.registry import CommandError
from qshim.qom import RegionObject
from tests.support import oracle
from tests.sweep.compare import Real, ours

WORDS = [
    "-M", "q35", "-m", "1G,slots=2,maxmem=4G", "-object", "memory-backend-ram,id=m0,size=256M", "-device",
    "pc-dimm,memdev=m0,id=d0", "-device", "e1000,id=n0", "-device", "VGA,id=v0,vgamem_mb=32",
]  # fmt: skip
ASKED = {
    "/machine/peripheral/d0": ("addr", "slot", "size", "memdev", "node", "hotplugged", "realized", "parent_bus",
                               "type"),
    "/machine/peripheral/n0": ("mac", "addr", "legacy-addr", "romfile", "netdev", "rombar", "romsize", "multifunction",
                               "parent_bus", "acpi-index", "extra_mac_registers", "init-vet", "nosuch"),
    "/machine/peripheral/v0": ("vgamem_mb", "edid", "xres", "global-vmstate"),
}  # fmt: skip


@pytest.mark.parametrize("label", ["7.2", "10.0", "11.1"])
def test_properties_of_devices(label: str) -> None:
    real = Real(oracle.needs(label, "x86_64"), WORDS)
    vm = ours(label, WORDS)

    def mine(command: str, **arguments: object) -> Any:
        try:
            return {"return": json.loads(json.dumps(ask(vm, command, arguments)))}
        except CommandError as error:
            return {"error": {"class": error.class_, "desc": str(error)}}

    try:
        assert real.greet()
        for path, names in ASKED.items():
            for name in names:
                told = real.ask("qom-get", path=path, property=name)
                assert mine("qom-get", path=path, property=name) == told, (path, name)
            told, made = real.ask("qom-list", path=path), mine("qom-list", path=path)

            def rows(reply: Any) -> list[str]:
                # what an instance gets while it is made (bootindex) is known to nobody but itself
                return sorted(row["name"] for row in reply["return"] if row["name"] != "bootindex")

            assert rows(made) == rows(told), path
    finally:
        real.end()


MACHINES = {
    "q35": ("x86_64", [*WORDS, "-smp", "2"]),
    "pc": ("x86_64", ["-M", "pc", "-m", "5G"]),
    "microvm": ("x86_64", ["-M", "microvm", "-device", "virtio-net-device"]),
    "arm": ("aarch64", ["-M", "virt,secure=on", "-cpu", "cortex-a57", "-m", "2G", "-device", "virtio-net-pci"]),
    "riscv": ("riscv64", ["-M", "virt", "-smp", "2"]),
}


@pytest.mark.parametrize("label", ["7.2", "10.0", "11.1"])
@pytest.mark.parametrize("name", MACHINES)
def test_properties_of_every_memory_region(name: str, label: str) -> None:
    target, words = MACHINES[name]
    words = [*words, "-nodefaults"]
    real = Real(oracle.needs(label, target), words)
    vm = ours(label, words, target)
    assert vm.qom is not None
    paths = [each.path or "" for each in vm.qom.walk() if isinstance(each, RegionObject)]
    try:
        assert real.greet()
        for path in paths:
            for member in ("container", "addr", "size", "priority"):
                told = real.ask("qom-get", path=path, property=member)
                if member == "size" and "from@etc" in path and name not in ("q35", "pc"):
                    # ACPI tables, of boards that do not round their sizes
                    with pytest.raises(CommandError, match="makes no ACPI tables"):
                        ask(vm, "qom-get", {"path": path, "property": member})
                    continue
                assert {"return": ask(vm, "qom-get", {"path": path, "property": member})} == told, (path, member)
        for path in ("memory", "device[0]/memory", "/machine/unattached/device[0]/memory"):
            told = real.ask("qom-list", path=path)
            try:
                made: Any = {"return": ask(vm, "qom-list", {"path": path})}
            except CommandError as error:
                made = {"error": {"class": error.class_, "desc": str(error)}}
            assert made == told, path
    finally:
        real.end()
    assert len(paths) > 20
