"""Command lines that once were not as on real QEMU, and what decides them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from qshim.machines.machine import Machine
from qshim.views.qtree import qtree_text
from tests.support.oracle import LABELS, binaries, needs
from tests.sweep.compare import MORE, compare, ours

FLASH = "-blockdev driver=file,node-name=code,filename={flash},read-only=on"
NODES = (
    "-m 1G,slots=1,maxmem=2G -smp 2 -object memory-backend-ram,id=a,size=512M "
    "-object memory-backend-ram,id=b,size=512M -numa node,memdev=a,cpus=0"
    " -numa node,memdev=b,cpus=1 -numa dist,src=0,dst=1,val=20"
)
HMAT = "hierarchy=memory,data-type=access-latency,latency=5"
LINES = {
    "aarch64": (
        f"-M virt,pflash0=code -cpu max {FLASH}",
        f"-M virt,pflash0=code {FLASH} -drive if=pflash,unit=0,format=raw,readonly=on,file={{flash}}",
        "-M virt,pflash0=nosuch",
        "-M virt -drive if=pflash,unit=1,file=a,format=raw -drive if=pflash,unit=1,file=a,format=raw",
        "-M virt,iommu=smmuv3,default-bus-bypass-iommu=on -device pcie-root-port,id=a,chassis=1 -device e1000,bus=a",
        "-M virt,iommu=smmuv3 -device pxb-pcie,id=p,bus_nr=8,bypass_iommu=on -device pcie-root-port,bus=p,chassis=7",
        "-M virt,secure=on -cpu max,has_el3=off",
        "-M virt,mem-merge=off,dump-guest-core=off -object memory-backend-ram,id=a,size=4M",
        "-M virt,nvdimm=on -cpu max -nodefaults -bios {firmware} -m 1G,slots=237,maxmem=2G",
        "-M virt,nvdimm=on -cpu max -nodefaults -bios {firmware} -m 1G,slots=238,maxmem=2G",
        f"-M virt,nvdimm=on -cpu cortex-a15 -nodefaults {NODES} -device virtio-iommu-pci",
        f"-M virt -numa node -numa hmat-lb,initiator=0,target=0,{HMAT}",
        f"-M virt,hmat=on -numa node -numa hmat-lb,initiator=0,target=0,{HMAT}",
        "-M virt -cpu max,nosuch=on -numa node",
        "-M virt -fw_cfg name=x",
        "-M virt -boot nosuch=1 -cpu nosuch",
        "-M virt -smp -1",
        "-M virt,gic-version=2,its=on",
        "-M virt,phandle-start=x",
        "-M virt -nic user,mac=52:54:00:00:00:09 -device e1000",
        "-M virt -device pcie-root-port -device pcie-root-port",
        "-M virt -device e1000,bootindex=1 -device e1000,bootindex=1",
        "-M virt -device e1000,acpi-index=1 -device e1000,acpi-index=1",
        "-M virt -device usb-ehci -device usb-hub",
        "-M virt -device qemu-xhci -device usb-ehci -device usb-kbd -device usb-mouse",
        "-M virt -device pci-ohci -device usb-kbd -device usb-mouse,usb_version=1 -device usb-tablet -device usb-kbd",
    ),
    "riscv64": (
        "-M virt -fw_cfg name=opt/x,string=1",
        "-M virt -dtb nosuch",
        "-M virt -kernel nosuch",
        "-M virt -smp 2,books=2",
        "-M virt,aia=aplic-imsic,aia-guests=2 -cpu sifive-u54",
        "-M virt -smp 1,maxcpus=4 -numa node,mem=64M -numa node,mem=64M",
    ),
    "riscv32": (
        "-M virt -bios none -cpu lowrisc-ibex -smp 3 -m 96M -numa node,mem=32M -numa node,mem=32M -numa node,mem=32M",
    ),
    "x86_64": ("-M q35,pflash0=code -blockdev driver=file,node-name=code,filename={firmware},read-only=on",),
}
ROWS = [(target, line) for target, lines in LINES.items() for line in lines]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(("target", "line"), ROWS)
def test_same_as_qemu(label: str, target: str, line: str, tmp_path: Path) -> None:
    needs(label, target)
    files = {name: tmp_path / name for name in ("flash", "firmware")}
    for name, size in (("flash", 64 << 20), ("firmware", 1 << 20)):
        with files[name].open("wb") as stream:
            stream.truncate(size)
    outcome = compare(label, binaries()[label, target], shlex.split(line.format(**files)), MORE, target)
    differing = [view for view, same in outcome.views.items() if not same]
    assert outcome.same, "\n".join([outcome.what, *outcome.diff])
    assert not differing, "\n".join(outcome.diff)


def ports(line: str) -> list[str]:
    """Where USB devices are, as `info qtree` says it, the newest first."""
    machine = ours("11.1", shlex.split(f"-M virt -nodefaults {line}"), "aarch64").machine_model
    assert isinstance(machine, Machine)
    return [row.strip().partition(", name")[0] for row in qtree_text(machine.board).splitlines() if ", port " in row]


def test_last_port_gets_a_hub() -> None:
    # QEMU makes the hub while it plugs in the mouse
    assert ports("-device qemu-xhci,p2=2,p3=2 -device usb-kbd -device usb-mouse -device usb-tablet") == [
        "addr 0.0, port 2.2, speed 12", "addr 0.0, port 2, speed 12", "addr 0.0, port 2.1, speed 12",
        "addr 0.0, port 1, speed 480",
    ]  # fmt: skip


def test_ports_are_counted_for_each_controller() -> None:
    assert ports("-device pci-ohci,id=a -device qemu-xhci,id=b -device usb-kbd,bus=a.0 -device usb-mouse,port=3") == [
        "addr 1.0, port 3, speed 480", "addr 0.0, port 1, speed 12",
    ]  # fmt: skip


@pytest.mark.parametrize("target", ["aarch64", "riscv64"])
def test_who_asks_for_a_device_tree_is_told_that_there_is_none(target: str, tmp_path: Path) -> None:
    vm = ours("11.1", ["-M", f"virt,dumpdtb={tmp_path}/tree"], target)
    assert [text for text in vm.said if "dumpdtb" in text and "makes no device tree" in text]
    assert not list(tmp_path.iterdir())
