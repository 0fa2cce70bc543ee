"""QMP commands whose answer is the same for every machine that lacks what they ask about.

The answers are those of the real binary (`Schema.idle`). A command that some device would answer
otherwise is only answered where the object tree has no such device.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qshim.monitor.qmp.extensions import schema_for
from qshim.monitor.qmp.machine import types_of
from qshim.monitor.qmp.table import QMP
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.monitor.registry import Handler
    from qshim.vm import Vm

__all__ = ["IDLE", "idle", "query_dirty_rate"]

_TPM = ("tpm-tis", "tpm-crb", "tpm-tis-device", "tpm-tis-i2c", "tpm-spapr")
_BLOCK = ("ide-hd", "ide-cd", "scsi-hd", "scsi-cd", "virtio-blk-device", "nvme", "floppy", "sd-card", "isa-fdc")

IDLE: Mapping[str, tuple[str, ...]] = {
    "query-audiodevs": (),
    "query-block-exports": (),
    "query-block-jobs": (),
    "query-blockstats": _BLOCK,
    "query-chardev-backends": (),
    "query-colo-status": (),
    "query-cpu-definitions": (),
    "query-cryptodev": ("cryptodev-backend-builtin",),
    "query-display-options": (),
    "query-dump-guest-memory-capability": (),
    "query-firmware-log": ("uefi-vars-x64",),
    "query-gic-capabilities": (),
    "query-hv-balloon-status-report": ("hv-balloon",),
    "query-jobs": (),
    "query-migrate": (),
    "query-migrate-parameters": (),
    "query-migrationthreads": (),
    "query-named-block-nodes": _BLOCK,
    "query-pr-managers": ("pr-manager-helper",),
    "query-replay": (),
    "query-rx-filter": ("virtio-net-device",),
    "query-s390x-cpu-polarization": (),
    "query-sev": ("sev-guest", "sev-snp-guest"),
    "query-sev-capabilities": (),
    "query-spice": (),
    "query-stats-schemas": (),
    "query-tpm": _TPM,
    "query-tpm-models": (),
    "query-tpm-types": (),
    "query-vcpu-dirty-limit": (),
    "query-vm-generation-id": ("vmgenid",),
    "query-vnc": (),
    "query-xen-replication-status": (),
    "x-debug-query-block-graph": _BLOCK,
    "x-query-opcount": (),
    "x-query-profile": (),
    "x-query-rdma": (),
    "x-query-usb": ("usb-bus", "qemu-xhci", "nec-usb-xhci", "ich9-usb-ehci1", "piix3-usb-uhci", "usb-ehci"),
    "x-query-virtio": ("virtio-pci-bus", "virtio-mmio-bus"),
    "xen-event-list": (),
    "migrate-pause": (),
    "migrate_cancel": (),
}
"""Commands, and the types of objects with which they would answer otherwise."""


def idle(command: str) -> Handler:
    """A handler that answers *command* as the idle binary did."""

    def handler(vm: Vm, arguments: Mapping[str, object]) -> object:
        if types_of(vm).intersection(IDLE[command]):
            raise CommandError(f"{command} is not modelled by qshim for this machine")
        reply = schema_for(vm).idle[command]
        if "error" in reply:
            raise CommandError(reply["error"]["desc"], reply["error"]["class"])
        return reply["return"]

    return handler


for _command in IDLE:
    QMP.command(_command)(idle(_command))


@QMP.command("query-dirty-rate")
def query_dirty_rate(vm: Vm, arguments: Mapping[str, object]) -> object:
    """Nobody has measured how fast the guest writes; times come in the unit that was asked for."""
    answer = schema_for(vm).idle["query-dirty-rate"]["return"]
    unit = arguments.get("calc-time-unit")
    return answer if unit is None else {**answer, "calc-time-unit": unit}
