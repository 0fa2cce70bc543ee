"""Every property of /machine beside real QEMU: what nobody set, what was set, and what follows from other options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import qshim.monitor.qmp.families  # noqa: F401  # for the commands it enters
from qshim.errors import QshimError
from qshim.monitor.hmp.bridge import ask
from qshim.monitor.registry import CommandError
from tests.support import oracle
from tests.sweep.compare import Real, ours

LINES = {
    "x86_64": [
        "-M q35", "-M pc", "-M microvm", "-M isapc", "-M q35,hpet=off,smm=off -m 5G", "-M pc,acpi=off -usb",
        "-M q35,max-ram-below-4g=2G,vmport=off", "-M pc -m 1G,slots=2,maxmem=4G", "-M q35,usb=on -nographic",
        "-M q35,sata=off,i8042=off,pit=off,pic=on", "-M pc-i440fx-7.2 -boot dc",
        "-M q35,nvdimm=on,hmat=on -m 1G,slots=2,maxmem=4G -device ioh3420", "-M microvm,pit=off,rtc=on,acpi=off",
        "-M q35,x-oem-id=ABC,default-bus-bypass-iommu=on,smbios-entry-point-type=64",
        "-M q35,dump-guest-core=off,mem-merge=off,suppress-vmdesc=on",
    ],
    "aarch64": [
        "-M virt", "-M virt,gic-version=3", "-M virt,gic-version=max -cpu max", "-M virt,highmem=off",
        "-M virt,secure=on,virtualization=on -cpu cortex-a57", "-M virt,mte=on -cpu max",
        "-M virt,iommu=smmuv3,its=off,gic-version=3 -cpu max", "-M virt,ras=on,acpi=off,dtb-randomness=off",
        "-M virt,compact-highmem=off,highmem-ecam=off,highmem-redists=off", "-M virt -kernel KERNEL -append foo",
    ],
    "riscv64": ["-M virt", "-M virt,aclint=on,aia=aplic", "-M virt,aia=aplic-imsic,aia-guests=3", "-M virt,acpi=off"],
}  # fmt: skip
UNSAID = {"rtc-time", "memory-backend"}
"""The clock, and a name that no machine without RAM has."""


@pytest.mark.parametrize("label", ["7.2", "10.0", "11.1"])
@pytest.mark.parametrize(("target", "line"), [(target, line) for target, lines in LINES.items() for line in lines])
def test_every_property(target: str, line: str, label: str, tmp_path: Path) -> None:
    kernel = tmp_path / "kernel"
    kernel.write_bytes(bytes(4096))
    words = [*line.replace("KERNEL", str(kernel)).split(), "-nodefaults"]
    real = Real(oracle.needs(label, target), words)
    known, wrong = 0, []
    try:
        if not real.greet():
            with pytest.raises(QshimError):
                ours(label, words, target)
            return
        vm = ours(label, words, target)
        rows = real.ask("qom-list", path="/machine")["return"]
        names = [row["name"] for row in rows if not row["type"].startswith("child<") and row["name"] not in UNSAID]
        for name in names:
            told = real.ask("qom-get", path="/machine", property=name)
            try:
                value = ask(vm, "qom-get", {"path": "/machine", "property": name})
                made: Any = {"return": json.loads(json.dumps(value))}
            except CommandError as error:
                # what follows from other options is left unsaid rather than guessed
                if "is not in the recording" in str(error):
                    continue
                made = {"error": {"class": error.class_, "desc": str(error)}}
            known += 1
            if made != told:
                wrong.append((name, made, told))
    finally:
        real.end()
    assert wrong == []
    assert known >= len(names) - 4
