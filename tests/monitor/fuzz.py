"""Random lines of HMP, and random QMP commands, to a drop-in and to a real QEMU on the same paused machine.

    python -m tests.monitor.fuzz [--version LABEL] [--count N] [--seed S] [-v]

Counts lines that were answered alike; those that qshim says it does not model are counted apart. Words are those of
the catalogue, names and numbers that fit and that do not. Commands that end the machine, or that wait for something
outside, are left out, and so are texts that no two processes share.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qshim.monitor.hmp.catalogue import catalogue
from qshim.monitor.schema import schema_of
from qshim.versions import KNOWN
from tests.monitor.masks import masked
from tests.monitor.replay import Served
from tests.support.oracle import binaries

__all__ = ["Fuzz", "main"]

MACHINE = ("-nodefaults", "-display", "none", "-S", "-machine", "q35", "-m", "64M,slots=2,maxmem=1G", "-name", "vmx")
_LEFT_OUT = frozenset(
    (
        "quit|q", "system_reset", "cont|c", "migrate", "migrate_incoming", "migrate_recover", "loadvm", "savevm",
        "memsave", "pmemsave", "dump-guest-memory", "screendump", "wavcapture", "logfile", "log", "chardev-add",
        "chardev-change", "drive_add", "drive_backup", "drive_mirror", "nbd_server_start", "qemu-io",
        "stopcapture", "o", "info jit", "info accel", "info opcount", "info tlb", "info sync-profile",
        "info dirty_rate", "info vcpu_dirty_limit", "exit_preconfig", "set_vcpu_dirty_limit",
        "cancel_vcpu_dirty_limit", "snapshot_blkdev", "snapshot_blkdev_internal", "info skeys", "xen-event-inject",
        "info cpus", "info iothreads", "migrate_set_capability", "migrate_set_parameter", "i", "info version",
        "info pic", "info irq", "info chardev", "gpa2hva", "gpa2hpa", "info usbhost", "info ramblock",
        "sync-profile", "calc_dirty_rate",
    )
)  # fmt: skip
"""HMP commands that are not tried: they end or change more than a line shows, or answer what differs anyway."""
_WORDS = (
    "", "0", "1", "-1", "0x10", "65536", "4294967296", "pc.ram", "nope", "on", "off", "/machine", "/machine/q35", "q35",
    "/objects/pc.ram", "type", "size", "vmx", "-f", "-o", "-d", "-a", "-x", '"two words"', "x y", "ide0", "mac", "addr",
    "e1000", "pci.0", "pcie.0", "memory", "reset", "none", "1.5", "100M", "e1000,help", "user,id=a",
    "memory-backend-ram,id=m,size=1M",
    "can-bus,id=c", "a.b", ",", "=", "m", "c", "/dev/null", "50%", "'c'", "(1+2)*3",
    "$pc",
)  # fmt: skip
_QMP_LEFT_OUT = re.compile(
    r"quit|reset|cont$|migrat|dump|memsave|screen|save|load|nbd|blockdev|block-|drive|chardev|yank|transaction|"
    r"snapshot|query-(cpus-fast|stats|iothreads|qmp-schema|commands|command-line-options|cpu-model|machines|version|"
    r"cpu-definitions|sgx|sev|display|dirty|vcpu|migration|jobs|spice|vnc|tpm|audio|replay|xen)|x-query-jit|x-query-rdma|"
    r"calc-dirty|vcpu-dirty|add-fd|remove-fd|getfd|closefd|fdset|inject|announce|human-monitor|stop|wakeup|powerdown|"
    r"change-backing|client_migrate|rtc|netdev|object-add|device_add|trace|x-colo|xen|display|cxl|input|send-key|"
    # 10.0 and 11.1 end when they list types and find modules of another build
    r"qom-list-types|-list-properties|"
    # in the order of hash tables
    r"x-query-i|"
    r"query-rx|virtio|rocker|expire|set_password|add_client|ringbuf|job|dirty|x-debug|replay|accel|audio|qmp_cap"
)


class Fuzz:
    """Makes random requests for one dialect."""

    def __init__(self, label: str, seed: str) -> None:
        self.label = label
        self._random = random.Random(f"{label} {seed}")
        known = catalogue(label, "x86_64")
        self._names = [alias for entry in known.commands if entry.name not in _LEFT_OUT for alias in entry.aliases]
        self._names += [f"info {each.name}" for each in known.info if f"info {each.name}" not in _LEFT_OUT]
        self._schema = schema_of(label)
        self._commands = [name for name in self._schema.command_names() if not _QMP_LEFT_OUT.search(name)]

    def line(self) -> str:
        """A line of HMP."""
        words = self._random.choices(_WORDS, k=self._random.choice((0, 1, 1, 2, 2, 3, 4)))
        return " ".join([self._random.choice(self._names), *words])

    def command(self) -> dict[str, Any]:
        """A QMP command, with arguments that mostly have the right types."""
        name = self._random.choice(self._commands)
        request: dict[str, Any] = {"execute": name}
        members = self._schema.types[self._schema.types[name]["arg-type"]].get("members", ())
        given = {
            each["name"]: self._value(each["type"])
            for each in members
            if "default" not in each or self._random.random() < 0.3
        }
        if self._random.random() < 0.1:
            given["zz"] = 1
        if given or self._random.random() < 0.2:
            request["arguments"] = given
        return request

    def _value(self, kind: str) -> object:
        rng = self._random
        if rng.random() < 0.1:
            return rng.choice([None, 1, -1, "x", [], {}, True, 1.5, 1 << 63])
        entity = self._schema.types[kind]
        if entity["meta-type"] == "enum":
            return rng.choice([*entity["values"], "nope"])
        if entity["meta-type"] == "array":
            return [self._value(entity["element-type"]) for _ in range(rng.randrange(3))]
        if entity["meta-type"] == "object":
            needed = [each for each in entity.get("members", ()) if "default" not in each]
            return {each["name"]: self._value(each["type"]) for each in needed}
        if entity["meta-type"] == "alternate":
            return self._value(entity["members"][0]["type"])
        return {"boolean": rng.random() < 0.5, "int": rng.choice([0, 1, -1, 4096, 1 << 40]), "number": 0.5}.get(
            entity["json-type"], rng.choice(_WORDS)
        )


def told(binary: str, requests: Sequence[dict[str, Any]]) -> dict[int, str]:
    """What a real QEMU answers to which request, up to where it ended; events are left out."""
    numbered = [{**request, "id": number} for number, request in enumerate(requests)]
    lines = [{"execute": "qmp_capabilities"}, *numbered, {"execute": "quit"}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run(
        [binary, *MACHINE, "-qmp", "stdio"], input=text, capture_output=True, text=True, timeout=120, check=False
    )
    found: dict[int, str] = {}
    for line in done.stdout.splitlines():
        # the id stands behind a return value, and in front of an error
        match = re.fullmatch(r'\{"id": (\d+), ("error": .*)|(\{"return": .*), "id": (\d+)\}', line)
        if match is not None:
            number, text = (match[1], f"{{{match[2]}") if match[1] is not None else (match[4], f"{match[3]}}}")
            found[int(number)] = text
    return found


def main() -> int:
    """Compare, and print the counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--version", choices=tuple(KNOWN))
    parser.add_argument("--count", type=int, default=1000, help="lines, and as many commands, for each version")
    parser.add_argument("--seed", default="0")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    status = 0
    for label in (args.version,) if args.version else KNOWN:
        binary = binaries().get((label, "x86_64"))
        if binary is None:
            print(f"QEMU {label} for x86_64 is not installed: not compared", file=sys.stderr)
            status = 3
            continue
        fuzz = Fuzz(label, args.seed)
        for kind in ("hmp", "qmp"):
            requests: list[dict[str, Any]] = []
            for _ in range(args.count):
                if kind == "hmp":
                    requests.append({"execute": "human-monitor-command", "arguments": {"command-line": fuzz.line()}})
                else:
                    requests.append(fuzz.command())
            wanted = told(binary, requests)
            counts: Counter[str] = Counter()
            with tempfile.TemporaryDirectory() as folder, Served(MACHINE, label, Path(folder)) as machine:
                for number, request in enumerate(requests):
                    if number not in wanted:
                        print(f"QEMU {label} ended at {json.dumps(request)}", file=sys.stderr)
                        break
                    theirs = wanted[number]
                    ours = [each for each in machine.say(json.dumps(request)) if '"event"' not in each[:80]]
                    command = request["execute"]
                    same = [masked(command, each) for each in ours] == [masked(command, theirs)]
                    unmodelled = not same and any("modelled" in each for each in ours)
                    counts["same" if same else "not modelled" if unmodelled else "different"] += 1
                    if args.verbose and not same and not unmodelled:
                        print(f"  {json.dumps(request)}\n    ours: {ours}\n    told: {theirs}")
            print(f"{label} {kind}: {dict(counts)} of {len(requests)}")
            if counts["different"]:
                status = status or 1
    return status


if __name__ == "__main__":
    raise SystemExit(main())
