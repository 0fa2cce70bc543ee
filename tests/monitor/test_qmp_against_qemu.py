"""Questions with odd values, asked of a real QEMU and of the recording of the same machine, in one order."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from qshim import versions
from qshim.recording.format import load
from qshim.vm import Chardev, MonitorState, Vm
from tests.monitor.masks import masked
from tests.support.oracle import needs

RECORDINGS = Path(__file__).parents[2] / "fixtures" / "monitor" / "recordings"
MACHINE = ["-nodefaults", "-display", "none", "-S", "-machine", "q35", "-m", "256", "-qmp", "stdio"]
Step = tuple[str, dict[str, Any]]
PROPERTIES = (
    "type", "addr", "size", "container", "priority", "nope", "share", "reserve", "prealloc-threads", "host-nodes",
    "merge", "policy", "x-use-canonical-path-for-ramblock-id", "prealloc-context", "dump",
)  # fmt: skip
PATHS = (
    "/objects/mf", "mf", "/objects/mf/", "//objects//mf", "/objects/mf/mf[0]", "objects", "/", "unattached",
    "/machine/unattached/system[0]", "system[0]", "", "pc.ram[0]", "/machine/unattached/device[0]/memory[0]", "io[0]",
    "/nope", "nope", "/machine/peripheral", "machine/peripheral-anon",
)  # fmt: skip


class Anywhere:
    """Writes what it is told to."""

    def may_write(self, path: str) -> str | None:
        return None

    def unreadable(self, path: str) -> str | None:
        return "No such file or directory"

    def create(self, path: str, mode: int) -> BinaryIO:
        return Path(path).open("wb")

    def fdopen(self, fd: int) -> BinaryIO:
        return open(fd, "wb")


def chardevs() -> list[Step]:
    def added(name: str, kind: str, **data: object) -> Step:
        return "chardev-add", {"id": name, "backend": {"type": kind, "data": data}}

    written = [("0123456789", "utf8"), ("?", "base64"), ("w6k", "base64"), ("w6k=", "base64"), ("é", "utf8")]
    return [
        added("r", "ringbuf", size=8), added("r", "null"), added("r0", "ringbuf", size=0),
        added("x", "ringbuf", size=9), added("m", "memory"), added("", "null"), added("n", "null"),
        ("query-chardev", {}),
        *(("ringbuf-write", {"device": "r", "data": data, "format": form}) for data, form in written),
        *(("ringbuf-read", {"device": "r", "size": size}) for size in (3, 0, -1, 4, 1, 100)),
        ("ringbuf-read", {"device": "n", "size": 1}), ("ringbuf-read", {"device": "z", "size": 1}),
        ("chardev-remove", {"id": "r"}), ("chardev-remove", {"id": "r"}), ("chardev-remove", {"id": "compat_monitor0"}),
        ("query-chardev", {}), ("query-yank", {}),
    ]  # fmt: skip


def states() -> list[Step]:
    steps: list[Step] = []
    # no reset while the guest runs: its firmware then resets once more, at a moment of its own
    for name in ("system_wakeup", "stop", "system_reset", "cont", "cont", "stop", "stop", "system_reset", "stop",
                 "system_powerdown", "inject-nmi-not", "x-exit-preconfig"):  # fmt: skip
        steps += [(name, {}), ("query-status", {})]
    return [
        *steps, ("watchdog-set-action", {"action": "pause"}), ("set-action", {"panic": "none"}),
        ("set-numa-node", {"type": "node"}), ("remove-fd", {"fdset-id": 3, "fd": 4}), ("remove-fd", {"fdset-id": -3}),
        ("getfd", {"fdname": "1"}), ("closefd", {"fdname": ""}), ("closefd", {"fdname": "1"}), ("add-fd", {}),
        ("balloon", {"value": 5}), ("query-balloon", {}), ("device_del", {"id": ""}), ("device_del", {"id": "/"}),
        ("device_del", {"id": "machine"}), ("device_del", {"id": "/machine/unattached"}), ("device_add", {}),
    ]  # fmt: skip


def objects(folder: Path) -> list[Step]:
    def added(name: str, kind: str, **more: object) -> Step:
        return "object-add", {"qom-type": f"memory-backend-{kind}", "id": name, **more}

    def file(name: str, size: int, **more: object) -> Step:
        return added(name, "file", size=size, **{"mem-path": f"{folder}/ram", **more})

    made = [
        added("mf", "memfd", size=1 << 20), added("mg", "memfd", size=1 << 20, share=False, seal=False),
        added("mh", "memfd", size=4097), added("mi", "memfd", size=1 << 20, hugetlb=True), file("fx", 4096, share=True),
        file("fy", 4096, **{"mem-path": str(folder)}), file("fw", 4096, align=3), file("fv", 100),
        added("rr", "ram", size=4096, **{"prealloc-context": "nope"}), ("query-memdev", {}), ("x-query-ramblock", {}),
    ]  # fmt: skip
    asked: list[Step] = [("qom-list", {"path": path}) for path in PATHS]
    asked += [("qom-get", {"path": path, "property": name}) for path in PATHS for name in PROPERTIES]
    changed: list[Step] = [
        ("qom-set", {"path": "mf", "property": name, "value": value})
        for name, value in (
            ("merge", False), ("dump", 1), ("policy", "bind"), ("policy", "x"), ("policy", 1), ("share", True),
            ("reserve", True), ("size", 1), ("nope", 1), ("host-nodes", [0]), ("prealloc-threads", 2), ("type", "x"),
        )
    ]  # fmt: skip
    return [
        *made, *asked, *changed, ("query-memdev", {}), ("qom-list-get", {"paths": ["/nope"]}),
        ("qom-list-get", {"paths": []}), *(("object-del", {"id": name}) for name in ("mf", "mf", "", "pc.ram")),
        ("x-query-ramblock", {}),
    ]  # fmt: skip


@pytest.mark.parametrize("about", ["chardevs", "states", "objects"])
@pytest.mark.parametrize("dialect", versions.KNOWN)
def test_odd_values(converse: Callable[..., Any], tmp_path: Path, dialect: str, about: str) -> None:
    binary = needs(dialect, "x86_64")
    folders = [tmp_path / "a", tmp_path / "b"]
    asked: list[list[Step]] = []
    for folder in folders:
        folder.mkdir()
        asked.append({"chardevs": chardevs, "states": states}.get(about, lambda folder=folder: objects(folder))())
    lines = [[json.dumps({"execute": name, "arguments": a}) for name, a in steps] for steps in asked]
    text = '{"execute":"qmp_capabilities"}\n' + "\n".join(lines[0]) + '\n{"execute":"quit"}\n'
    done = subprocess.run([binary, *MACHINE], input=text, capture_output=True, text=True, timeout=60, check=True)
    theirs = iter(done.stdout.splitlines()[2:])
    vm = Vm.from_recording(load(RECORDINGS / f"q35-{dialect}.qrec.xz"))
    vm.files = Anywhere()
    vm.chardevs["compat_monitor0"] = Chardev("compat_monitor0", "stdio")
    vm.monitors["compat_monitor0"] = MonitorState("compat_monitor0", control=True)
    talk = converse(vm=vm)
    talk.say(b'{"execute":"qmp_capabilities"}')
    for (name, _), line in zip(asked[1], lines[1], strict=True):
        for ours in talk.say(line.encode()):
            expected = next(theirs).replace(str(folders[0]), str(folders[1]))
            # what a recording cannot tell is said to be missing, never made up
            if "not in the recording" not in ours:
                assert masked(name, ours) == masked(name, expected), line
