"""Ask real QEMUs what virt machines of arm and riscv look like; write fixtures/virt/truth.json.xz.

    python -m tests.tools.record_virt

The file is a JSON list of {label, target, args, views: {monitor command: text, QMP command: value}} or,
where QEMU does not start, {label, target, args, refused: first line}. Texts are canonical
(qshim.layout.canonical). `{firmware}`, `{flash64}` and `{flash32}` in args stand for files of zeros.
"""

from __future__ import annotations

import json
import lzma
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from qshim.layout.canonical import canonical
from tests.support import oracle
from tests.sweep.compare import Real, errors_of, masked

__all__ = ["FILES", "HMP", "QMP", "TRUTH", "made_files"]

TRUTH = Path(__file__).parents[2] / "fixtures" / "virt" / "truth.json.xz"
HMP = ("info mtree -o", "info mtree -f", "info ramblock", "info qtree", "info numa", "info memory-devices")
QMP = ("query-cpus-fast", "query-hotpluggable-cpus", "query-memory-size-summary")
FILES = {"firmware": 1 << 16, "flash64": 64 << 20, "flash32": 32 << 20}
"""Name in args -> bytes of the file."""

NODES = (
    "-m 1G -object memory-backend-ram,id=a,size=512M -object memory-backend-ram,id=b,size=512M "
    "-numa node,memdev=a -numa node,memdev=b"
)
RISCV = (
    "-M virt",
    "-M virt -nodefaults -m 3G -smp 3",
    "-M virt,aclint=on -nodefaults -smp 2 -m 20G",
    "-M virt,aia=aplic -nodefaults -smp 4,sockets=2,cores=2",
    "-M virt,aia=aplic-imsic,aia-guests=2 -nodefaults -smp 2",
    "-M virt,aia=aplic-imsic,aia-guests=7,aclint=on -nodefaults -smp 3",
    f"-M virt -nodefaults -smp 5 {NODES}",
    f"-M virt,aia=aplic-imsic,aclint=on,aia-guests=3 -nodefaults -smp 4 {NODES}",
    f"-M virt -nodefaults -smp 4 {NODES} -numa cpu,node-id=0,core-id=0",
    f"-M virt -nodefaults -smp 1 {NODES}",
    "-M virt,acpi=off -nodefaults",
    "-M virt,iommu-sys=on -nodefaults -device e1000 -device pcie-pci-bridge,id=b -device edu,bus=b,addr=2",
    "-M virt -nodefaults -device riscv-iommu-pci,id=i -device virtio-net-pci -device riscv-iommu-pci",
    "-M virt -nodefaults -device virtio-net-device,id=n -device virtio-rng-device -device ramfb",
    "-M virt -nodefaults -device virtio-rng-device,bus=virtio-mmio-bus.3 -device virtio-rng-device,"
    "bus=virtio-mmio-bus.3",
    "-M virt -nodefaults -device VGA -device qemu-xhci -device pcie-root-port,id=r -device virtio-scsi-pci,bus=r",
    "-M virt -nodefaults -drive if=pflash,unit=0,format=raw,readonly=on,file={flash32}",
    "-M virt -nodefaults -drive if=pflash,unit=1,format=raw,readonly=on,file={firmware}",
    "-M virt -nodefaults -bios {firmware} -m 512M,slots=2,maxmem=4G -serial null -serial null",
    "-M virt -nodefaults -bios nosuch.bin",
    "-M virt,aia=other",
    "-M virt,aia-guests=8",
    "-M virt -smp 513",
    "-M virt -nodefaults -cpu nosuch",
    "-M virt -nodefaults -nic user,model=e1000",
)
RISCV32 = ("-M virt", "-M virt -nodefaults -m 11G", "-M virt,aia=aplic-imsic -nodefaults -smp 2", "-M virt -cpu rv64")
ARM64 = (
    "-M virt",
    "-M virt,gic-version=3 -nodefaults -cpu max -smp 3",
    "-M virt,gic-version=4,virtualization=on -nodefaults -cpu max -smp 63",
    "-M virt,secure=on,virtualization=on -nodefaults",
    "-M virt,mte=on,secure=on -nodefaults -cpu max -m 512M -smp 2",
    "-M virt,iommu=smmuv3 -device e1000 -device pcie-root-port,id=r -device e1000e,bus=r",
    "-M virt,highmem=off -nodefaults -m 3G",
    "-M virt -nodefaults -cpu max -bios {firmware} -m 1G,slots=4,maxmem=8G "
    "-object memory-backend-ram,id=m,size=512M -device pc-dimm,memdev=m,id=d",
    "-M virt,nvdimm=on -nodefaults -cpu max -bios {firmware} -m 1G,slots=4,maxmem=8G "
    "-object memory-backend-ram,id=m,size=1G -device nvdimm,memdev=m,id=d,label-size=128K",
    f"-M virt -nodefaults -smp 4,clusters=2 {NODES}",
    "-M virt-6.0 -nodefaults -cpu cortex-a57",
    "-M virt -nodefaults -cpu cortex-a53 -m 1G,maxmem=600G",
    "-M virt -nodefaults -cpu cortex-a53 -m 1G,maxmem=1024G",
    "-M virt -nodefaults -device virtio-net-device -device virtio-rng-device -device ramfb",
    "-M virt -nodefaults -cpu max -drive if=pflash,unit=0,format=raw,readonly=on,file={flash64}",
    "-M virt,gic-version=2 -smp 9",
    "-M virt -cpu cortex-m3",
)
ARM = ("-M virt -nodefaults", "-M virt -bios {firmware} -m 1G", "-M virt -cpu max -m 3G,maxmem=5G")
LINES = {"riscv64": RISCV, "riscv32": RISCV32, "aarch64": ARM64, "arm": ARM}


def made_files(place: str) -> Mapping[str, str]:
    """Make the files that args name in directory *place*; name -> path."""
    found = {}
    for name, size in FILES.items():
        path = Path(place) / name
        with path.open("wb") as stream:
            stream.truncate(size)
        found[name] = str(path)
    return found


def _rows(files: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for (label, target), binary in sorted(oracle.binaries().items()):
        if label not in oracle.LABELS:
            continue
        for args in LINES.get(target, ()):
            if target.startswith("riscv") and "-bios" not in args:
                # what firmware an installation has is its own affair
                args += " -bios none"
            row: dict[str, Any] = {"label": label, "target": target, "args": args}
            real = Real(binary, args.format(**files).split())
            views: dict[str, Any] = {}
            started = real.greet()
            if started:
                for command in HMP:
                    text = real.ask("human-monitor-command", **{"command-line": command})["return"]
                    views[command] = "\n".join(canonical(text))
                for command in QMP:
                    reply = real.ask(command)
                    views[command] = masked(reply.get("return", reply))
            errors = errors_of(real.end())
            yield {**row, "views": views} if started else {**row, "refused": errors[0]}


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        rows = list(_rows(made_files(place)))
    TRUTH.parent.mkdir(exist_ok=True)
    text = json.dumps(rows, sort_keys=True, separators=(",", ":"))
    TRUTH.write_bytes(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    print(len(rows), "machines", TRUTH.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
