"""Commands about what is not there, typed beside a real QEMU at the same machine."""

from __future__ import annotations

import json
import subprocess

import pytest

from qshim import versions
from qshim.cli.recordings import find
from qshim.monitor.hmp.line import run
from qshim.vm import Vm
from tests.support.oracle import needs

LINES = (
    "info sync-profile", "info migrate", "netdev_add", "netdev_add user", "netdev_add bogus,id=u",
    "sync-profile on", "sync-profile", "sync-profile zz", "sync-profile reset", "singlestep",
    "info status", "singlestep off", "one-insn-per-tb on", "one-insn-per-tb x", "info status", "block_resize x 10",
    "delvm x", "boot_set x", "boot_set c", "boot_set cc", "set_password vnc x", "set_password spice x",
    "set_password x y", "expire_password spice now", "expire_password vnc +x", "expire_password vnc +1",
    "expire_password x now", "mouse_move 1 2", "mouse_button 1", "sendkey a", "sendkey a-", "sendkey ctrl-alt-zz",
    "sendkey 0x1e", "sendkey a -1", "calc_dirty_rate 0", "calc_dirty_rate 1 2", "calc_dirty_rate -r -b 1",
    "announce_self", "hostfwd_add x", "hostfwd_remove x", "info network", "info usernet", "info rocker x",
    "info rocker-ports x", "netdev_del nope", "set_link x on", "set_link x foo", "mce 0 1 2 3 4 5", "mce 5 1 2 3 4 5",
    "nmi", "info mem", "info tlb", "gdbserver none", "nbd_server_stop", "nbd_server_remove x", "nbd_server_add x",
    "info snapshots", "eject x", "change x y", "commit x", "commit all", "block_job_cancel x", "loadvm x", "savevm",
    "drive_del x", "x_colo_lost_heartbeat", "change x y raw bogus", "change x y raw retain", "change vnc y",
    "change vnc password z", "info blockstats", "info dirty_rate", "info migrate_capabilities", "info via",
    "info migrate_parameters", "info accelerators", "boot_set abcd", "boot_set mm", "boot_set mr", "boot_set e",
    "block_job_complete x", "block_job_pause x", "block_job_resume x", "block_job_set_speed x 1", "block_stream x",
    "snapshot_delete_blkdev_internal x y", "client_migrate_info spice x", "client_migrate_info vnc x",
    "info rocker-of-dpa-flows x", "info rocker-of-dpa-groups x", "migrate_start_postcopy", "mouse_set 5",
    "pcie_aer_inject_error x y", "replay_delete_break", "migrate_set_capability xbzrle on", "info migrate_capabilities",
    "migrate_set_capability xbzrle off", "migrate_set_capability nope on", "migrate_set_capability events maybe",
    "info virtio-status x", "info virtio-queue-status x 1", "info virtio-vhost-queue-status x 1",
    "info virtio-queue-element x 1", "info virtio-status /machine",
    "object_add foo,1z", "object_add foo,z z", "object_add iothread,help",
)  # fmt: skip
MACHINES = [
    *((label, "x86_64", machine) for label in versions.KNOWN for machine in ("q35", "none")),
    ("11.1", "riscv64", "virt"),
    ("7.2", "aarch64", "virt"),
]


@pytest.mark.parametrize(("label", "target", "machine"), MACHINES)
def test_lines_as_real_qemu(label: str, target: str, machine: str) -> None:
    command = [needs(label, target), "-M", machine, "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"]
    asked = [{"execute": "human-monitor-command", "arguments": {"command-line": line}} for line in LINES]
    text = "\n".join(map(json.dumps, [{"execute": "qmp_capabilities"}, *asked, {"execute": "quit"}]))
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=True)
    real = [reply["return"] for reply in map(json.loads, done.stdout.splitlines()) if "return" in reply][1:-1]
    vm = Vm.from_recording(find(f"{label}/{target}/{machine}"))
    vm.run_state = "prelaunch"
    ours = [run(vm, line) for line in LINES]
    differ = {line: (o, r) for line, o, r in zip(LINES, ours, real, strict=True) if o != r}
    if machine != "none":
        # recorded with the devices that QEMU adds by itself
        differ.pop("info network", None)
        differ.pop("info blockstats", None)
    assert differ == {}
