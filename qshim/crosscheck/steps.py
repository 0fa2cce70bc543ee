"""Monitor commands replayed on both sides, with a comparison after each.

A line of a steps file is a QMP command (a JSON object) or else a line for the human monitor; empty
lines and lines that begin with `#` are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from qshim.crosscheck.run import OURS
from qshim.edge.capture import capture_now, memory_now
from qshim.edge.real_qemu import DidNotStart, RealQemu, Refused, started
from qshim.errors import UsageError
from qshim.layout.canonical import canonical
from qshim.layout.compare import Change, Layout, compare
from qshim.monitor.hmp.line import run as run_hmp
from qshim.monitor.qmp.session import QmpSession
from qshim.recording.format import Recording, lines_of
from qshim.reports.model import Report, Side
from qshim.vm import Vm

__all__ = ["read_steps", "replay"]

_HOST = re.compile(r"(?<=\)) is 0x[0-9a-f]+$")
"""The address in a reply of gpa2hva and gpa2hpa."""
_COMPARED = ("info mtree -o -D", "info mtree -f -d -o", "info ramblock")


def read_steps(text: str, name: str) -> tuple[str, ...]:
    """The steps in *text*; *name* stands in error texts.

    :raises UsageError: there are none, or a JSON step is no QMP command.
    """
    steps = tuple(line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    if not steps:
        raise UsageError(f"{name} holds no step: write one monitor command on each line")
    for step in steps:
        if step.startswith("{"):
            _command(step, name)
    return steps


def _command(step: str, name: str) -> tuple[str, Mapping[str, Any]]:
    try:
        message = json.loads(step)
    except ValueError as error:
        raise UsageError(f"{name}: the step {step} is no JSON: {error}") from error
    command, arguments = message.get("execute"), message.get("arguments", {})
    if not isinstance(command, str) or not isinstance(arguments, dict) or message.keys() - {"execute", "arguments"}:
        raise UsageError(f"{name}: the step {step} is no QMP command; it has execute, and arguments or not")
    return command, arguments


async def replay(argv: Sequence[str], qemu: str, steps: Sequence[str]) -> Report:
    """Start *qemu* with *argv*, rebuild it, and give both the same *steps*; stops at the first difference.

    :raises CompareError: the QEMU hangs or goes away, RecordingError: it contradicts itself.
    """
    async with AsyncExitStack() as stack:
        try:
            real = await stack.enter_async_context(started(qemu, argv))
        except DidNotStart as error:
            return Report(Side(qemu, None, None, error.reason), Side(OURS, None, None))
        recording = await capture_now(real, (qemu, *argv))
        ours = Vm.from_recording(recording)
        version, machine = str(recording.qemu), recording.machine
        sides = Side(qemu, version, machine), Side(OURS, version, machine)
        changes = list(_placed("before the first step", compare(Layout.of_recording(recording), Layout.of(ours))))
        for number, step in enumerate(steps, 1):
            if changes:
                break
            changes += await _step(real, ours, recording, f"after step {number} ({step})", step)
        return Report(*sides, tuple(changes), (), _COMPARED)


def _placed(when: str, changes: Sequence[Change]) -> Iterator[Change]:
    return (replace(change, place=f"{when}: {change.place}") for change in changes)


async def _step(real: RealQemu, ours: Vm, recording: Recording, when: str, step: str) -> list[Change]:
    theirs, answer = await _reply_of_real(real, step), _reply_of_ours(ours, step)
    changes = []
    if theirs != answer:
        changes.append(Change("reply-changed", when, "the replies differ", theirs, answer))
    now = replace(recording, hmp=await memory_now(real))
    changes += _placed(when, compare(Layout.of_recording(now), Layout.of(ours)))
    return changes


async def _reply_of_real(real: RealQemu, step: str) -> str:
    try:
        if not step.startswith("{"):
            return _joined(step, await real.qmp("human-monitor-command", {"command-line": step}))
        command, arguments = _command(step, "steps")
        return _canonical({"return": await real.qmp(command, arguments)})
    except Refused as refused:
        return _canonical({"error": {"class": refused.error_class, "desc": refused.description}})


def _reply_of_ours(ours: Vm, step: str) -> str:
    if not step.startswith("{"):
        return _joined(step, run_hmp(ours, step))
    sent: list[bytes] = []
    session = QmpSession(ours, sent.append)
    session.receive(b'{"execute": "qmp_capabilities"}')
    sent.clear()
    session.receive(step.encode())
    session.stop()
    replies = [reply for data in sent if "event" not in (reply := json.loads(data))]
    return _canonical(replies[0]) if replies else "no reply"


def _joined(step: str, text: str) -> str:
    """The lines of an HMP reply, without what differs between two runs of one QEMU (spec/monitor.md 7)."""
    lines = canonical(lines_of(text))
    if step.split() == ["info", "memdev"]:
        backends = "\n".join(lines).split("memory backend: ")
        lines = "memory backend: ".join([backends[0], *sorted(backends[1:])]).split("\n")
    return "\n".join(_HOST.sub(" is 0x0", line) for line in lines)


def _canonical(value: Mapping[str, Any]) -> str:
    """A QMP reply with sorted members; the list of query-memdev comes from a hash table."""
    returned = value.get("return")
    if isinstance(returned, list) and all(isinstance(entry, dict) and "host-nodes" in entry for entry in returned):
        value = {"return": sorted(returned, key=lambda entry: str(entry.get("id")))}
    return json.dumps(value, sort_keys=True)
