"""Capturing a real QEMU: which questions are asked, in which order, and when, to make a recording.

The three texts that a recording is rebuilt from (tree, flat views, RAM blocks) come from one process
in one state. A question that a QEMU does not know is left out; one that it refuses is named in
`skipped`. A question on which a QEMU hangs (7.2 never returns from `info mtree -o` on the MIPS
boards magnum and pica61) costs that process: it is killed, and a new one is asked without it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from qshim.edge.real_qemu import ANSWER_SECONDS, MONITOR_ID, Hung, RealQemu, Refused, attached, started
from qshim.errors import CompareError
from qshim.recording.canonical import canonical_texts, masked_lines, masked_value
from qshim.recording.format import (
    FLAT_COMMAND,
    RAMBLOCK_COMMAND,
    TREE_COMMAND,
    QemuVersion,
    QomRegion,
    Recording,
)
from qshim.recording.paths import Placeholders, portable_argv

__all__ = ["VERIFY_COMMANDS", "Capture", "capture_attached", "capture_now", "capture_started", "machine_types",
           "memory_now"]  # fmt: skip

Lines = tuple[str, ...]

VERIFY_COMMANDS = (
    "info mtree", "info mtree -D", "info mtree -o", "info mtree -f", "info mtree -f -o", "info mtree -f -d",
)  # fmt: skip
"""Asked on top with verify=True: the texts that a rebuilt machine has to print as well."""

_INSTEAD = {TREE_COMMAND: "info mtree -D", FLAT_COMMAND: "info mtree -f -d"}
_HMP = (
    "info qom-tree", "info qom-tree /objects", "info qtree", "info roms", "info memdev", "info memory-devices",
    "info memory_size_summary", "info numa", "info pci", "info cpus",
)  # fmt: skip
_QMP = (
    "query-status", "query-name", "query-uuid", "query-kvm", "query-target", "query-current-machine",
    "query-cpus-fast", "query-hotpluggable-cpus", "query-memdev", "query-memory-devices",
    "query-memory-size-summary", "query-chardev", "query-iothreads", "query-block", "query-pci", "x-query-numa",
    "x-query-roms", "x-query-ramblock",
)  # fmt: skip
_QOM_LINE = re.compile(r"( *)/(.*) \((.*)\)$")
# the two ends that classes of memory regions have; asking QEMU for the list of types would make it
# load every module it has, which changes a running QEMU and may end it
_REGION_CLASSES = ("memory-region", "-iommu-mr")
_PROPERTIES = ("container", "addr", "size", "priority")
_TRIES = 5
_QUIET_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Capture:
    """A recording and, when asked to verify, further texts of the same process for comparison."""

    recording: Recording
    verification: dict[str, Lines] = field(default_factory=dict)


async def capture_started(
    binary: str,
    argv: Sequence[str],
    *,
    when: str = "reset",
    verify: bool = False,
    settle_seconds: float = 30.0,
    answer_seconds: float = ANSWER_SECONDS,
    say: Callable[[str], None] = lambda _: None,
) -> Capture:
    """Start *binary* with *argv*, capture it, end it.

    *when* `reset`: paused before the first instruction. `firmware`: run until the memory texts did not
    change for three seconds, at most *settle_seconds*, then stopped. *say* gets remarks for a person.

    :raises CompareError: it does not start, refuses the command line, or hangs on too many questions.
    """
    skipped: dict[str, str] = {}
    for _ in range(_TRIES):
        try:
            async with started(binary, argv, answer_seconds=answer_seconds) as qemu:
                if when == "firmware":
                    await _run_firmware(qemu, settle_seconds, skipped, say)
                return await _ask_everything(qemu, (binary, *argv), when, verify, skipped)
        except Hung as hung:
            if hung.command in skipped:
                raise
            skipped[hung.command] = f"no answer within {hung.seconds:g} s"
            say(f"{hung}; asking a new process without it")
    raise CompareError(f"{binary} hangs on {', '.join(skipped)}")


async def machine_types(binary: str) -> tuple[str, ...]:
    """The names of the machine types of *binary*, sorted; aliases are none.

    :raises CompareError: it is missing, does not start or does not answer.
    """
    async with started(binary, ["-M", "none"]) as qemu:
        return tuple(sorted(str(entry["name"]) for entry in await qemu.qmp("query-machines")))


async def capture_now(qemu: RealQemu, command_line: Sequence[str]) -> Recording:
    """The machine of an open session as it is at this moment; *command_line* is kept as its argv."""
    return (await _ask_everything(qemu, command_line, "reset", False, {})).recording


async def capture_attached(
    address: str, *, verify: bool = False, answer_seconds: float = ANSWER_SECONDS
) -> Capture:
    """Capture a running QEMU without stopping it: asked until two readings of its memory agree.

    :raises CompareError: nobody answers, or the memory map changed during five readings.
    """
    async with attached(address, answer_seconds=answer_seconds) as qemu:
        before = await memory_now(qemu)
        for _ in range(_TRIES):
            status = await qemu.qmp("query-status")
            when = "reset" if status.get("status") == "prelaunch" else "running"
            capture = await _ask_everything(qemu, (), when, verify, {})
            after = await memory_now(qemu)
            if before == after:
                return capture
            before = after
    raise CompareError(
        f"the memory map of the QEMU at {address} changed during each of {_TRIES} readings; "
        "try again later, or stop the machine first"
    )


async def memory_now(qemu: RealQemu, skipped: Container[str] = ()) -> dict[str, Lines]:
    """The texts from which a machine is rebuilt, as they compare between two readings."""
    commands = (_INSTEAD[c] if c in skipped else c for c in (TREE_COMMAND, FLAT_COMMAND, RAMBLOCK_COMMAND))
    texts = {command: await qemu.hmp(command) for command in commands}
    return {command: masked_lines(command, lines) for command, lines in texts.items() if lines is not None}


async def _run_firmware(
    qemu: RealQemu, limit: float, skipped: Container[str], say: Callable[[str], None]
) -> None:
    clock = asyncio.get_running_loop().time
    await qemu.qmp("cont")
    begun = changed = clock()
    last = await memory_now(qemu, skipped)
    while clock() - changed < _QUIET_SECONDS:
        if clock() - begun > limit:
            say(f"the memory map still changes after {limit:g} s; taken as it is now")
            break
        await asyncio.sleep(0.25)
        now = await memory_now(qemu, skipped)
        if now != last:
            last, changed = now, clock()
    await qemu.qmp("stop")


async def _ask_everything(
    qemu: RealQemu, command_line: Sequence[str], when: str, verify: bool, skipped: dict[str, str]
) -> Capture:
    version = await qemu.qmp("query-version")
    unanswered = dict(skipped)
    hmp: dict[str, Lines] = {}

    async def text(command: str) -> None:
        if command in skipped:
            command = _INSTEAD.get(command, command)
        if command not in skipped and (lines := await qemu.hmp(command)) is not None:
            hmp[command] = lines

    for command in (TREE_COMMAND, FLAT_COMMAND, RAMBLOCK_COMMAND, *(VERIFY_COMMANDS if verify else ()), *_HMP):
        await text(command)
    qmp: dict[str, Any] = {}
    for command in _QMP:
        try:
            qmp[command] = await qemu.qmp(command)
        except Refused as refusal:
            if refusal.error_class != "CommandNotFound":
                unanswered[command] = refusal.description
    machine = str(await qemu.qmp("qom-get", {"path": "/machine", "property": "type"})).removesuffix("-machine")
    qmp["query-machines"] = [m for m in await qemu.qmp("query-machines") if m.get("name") == machine]
    qom = await _regions(qemu, [*hmp.get("info qom-tree", ()), *hmp.get("info qom-tree /objects", ())])

    _forget_ourselves(hmp, qmp)
    texts = canonical_texts(hmp)
    places = Placeholders(command_line)
    instead = [_INSTEAD[command] for command in skipped if command in _INSTEAD]
    memory = (TREE_COMMAND, FLAT_COMMAND, RAMBLOCK_COMMAND, *VERIFY_COMMANDS)
    numbers = version["qemu"]
    target = str(qmp.get("query-target", {}).get("arch", "")) or None
    recording = Recording(
        qemu=QemuVersion(numbers["major"], numbers["minor"], numbers["micro"], str(version.get("package", ""))),
        target=target,
        machine=machine,
        when=when,
        kvm=bool(qmp.get("query-kvm", {}).get("enabled")),
        argv=portable_argv(command_line, target),
        hmp={
            command: lines if command in memory else tuple(places.text(line) for line in lines)
            for command, lines in texts.items()
            if command not in VERIFY_COMMANDS or command in instead
        },
        qmp={command: places.apply(masked_value(command, value)) for command, value in qmp.items()},
        qom=qom,
        skipped=unanswered,
    )
    return Capture(recording, {command: texts[command] for command in VERIFY_COMMANDS if verify and command in texts})


def _forget_ourselves(hmp: dict[str, Lines], qmp: dict[str, Any]) -> None:
    """Take out our own monitor, which the machine would not have without us."""
    objects = hmp.get("info qom-tree /objects")
    if objects is not None:
        hmp["info qom-tree /objects"] = tuple(line for line in objects if f"/{MONITOR_ID} (" not in line)
    if "query-chardev" in qmp:
        qmp["query-chardev"] = [entry for entry in qmp["query-chardev"] if entry.get("label") != MONITOR_ID]


async def _regions(qemu: RealQemu, tree: Sequence[str]) -> dict[str, QomRegion]:
    """The properties of every memory region that the QOM trees show."""
    paths = _region_paths(tree)
    try:
        objects = await qemu.qmp("qom-list-get", {"paths": paths}) if paths else []
        values: list[dict[str, Any] | None] = [
            {p["name"]: p.get("value") for p in entry["properties"]} for entry in objects
        ]
    except Refused:
        # a running machine may have lost one of them since, or this QEMU cannot be asked for many at once
        values = []
        for start in range(0, len(paths), 64):
            values += await asyncio.gather(*(_properties(qemu, path) for path in paths[start : start + 64]))
    return {
        path: _region(found)
        for path, found in zip(paths, values, strict=True)
        if found and all(found.get(name) is not None for name in _PROPERTIES)
    }


def _region(found: dict[str, Any]) -> QomRegion:
    # a property of type uint32 with a signed value in it; taken either way
    priority = int(found["priority"])
    return QomRegion(
        container=str(found["container"]),
        addr=int(found["addr"]),
        size=int(found["size"]),
        priority=priority - (1 << 32) if priority >= 1 << 31 else priority,
    )


async def _properties(qemu: RealQemu, path: str) -> dict[str, Any] | None:
    try:
        values = await asyncio.gather(*(qemu.qmp("qom-get", {"path": path, "property": p}) for p in _PROPERTIES))
    except Refused:
        return None
    return dict(zip(_PROPERTIES, values, strict=True))


def _region_paths(tree: Sequence[str]) -> list[str]:
    paths: list[str] = []
    above: list[str] = []
    for line in tree:
        match = _QOM_LINE.match(line)
        if match is not None:
            del above[len(match[1]) // 2 :]
            above.append(match[2])
            if match[3].endswith(_REGION_CLASSES):
                paths.append("/" + "/".join(above))
    return paths
