"""Rows of cli-cases.jsonl where the drop-in says something else than that QEMU did, by reason.

`NAME@VERSION`: in that version only.
"""

from __future__ import annotations

__all__ = ["DIFFERENT"]

DIFFERENT: dict[str, tuple[str, ...]] = {
    "the machine differs from what is recorded: other memory, CPUs, devices, objects, NUMA nodes or "
    "properties; qshim says so in one sentence": (
        "bios-missing", "cpu-badprop", "dev-abstract", "dev-addr", "dev-badid", "dev-badprop", "dev-badval",
        "dev-cpu", "dev-dimm-noslots", "dev-dimm-ok", "dev-dimm-slot", "dev-dimm-toobig", "dev-json",
        "dev-json-prop", "dev-nobus", "dev-none", "dev-nvdimm-off", "dev-slotbusy", "dev-unknown",
        "device-nope-help", "drive-missing", "global-bad", "global-badprop", "global-badprop-used",
        "global-ok", "kernel-missing", "m-b", "m-empty-size", "m-float", "m-isapc", "m-maxmem",
        "m-maxmem-eq", "m-maxmem-eq-slots", "m-maxmem-lt", "m-none-machine", "m-ok", "m-size", "m-size2",
        "m-slots-huge", "m-slots-neg", "m-small", "m-unaligned", "machine-badprop", "machine-hmat",
        "mempath-bad", "memprealloc", "numa-badkey", "numa-cpus-bad", "numa-dist", "numa-dist9", "numa-mem",
        "numa-mem-old@7.2", "numa-mem-old@10.0", "numa-memdev-missing", "numa-nomem", "numa-none",
        "obj-badprop", "obj-badsize", "obj-dup", "obj-hostnodes", "obj-huge", "obj-json", "obj-json-sz",
        "obj-machine-mb", "obj-machine-mb-missing", "obj-machine-mb-nom", "obj-monitor-qmp-help@11.1",
        "obj-ok", "set-bad3", "set-ok", "smp-300", "smp-clusters", "smp-cores", "smp-max-lt", "smp-topo",
    ),
    "what the host of the recording had: KVM, a firmware directory, modules of a graphical interface": (
        "L-help", "accel-kvm", "accel-kvm-tcg",
        "display-help@10.0", "display-help@11.1", "enable-kvm", "machine-accel-list",
    ),
    "not modelled: preconfig, qtest, trace events, chroot, users, properties of machines": (
        "chroot-bad@7.2", "m-hex", "m-neg@7.2", "machine-q35-help", "no-hpet@7.2", "preconfig-incoming",
        "runas-bad@7.2", "trace-bad",
    ),
}  # fmt: skip
