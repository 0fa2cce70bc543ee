"""Monitor commands and qtest lines replayed on both sides, with a comparison after each.

A line of a steps file is a QMP command (a JSON object), a line of the qtest protocol (`outl 0xcf8 0x80000010`), or
else a line for the human monitor; empty lines and lines that begin with `#` are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Protocol

from qshim.crosscheck.run import OURS
from qshim.crosscheck.sources import Board, of_board, options_of_source
from qshim.edge.capture import capture_now, memory_now
from qshim.edge.real_qemu import DidNotStart, RealQemu, Refused, started
from qshim.errors import CompareError, UsageError
from qshim.layout.canonical import canonical
from qshim.layout.compare import Change, Layout, compare
from qshim.monitor.hmp.line import run as run_hmp
from qshim.monitor.qmp.session import QmpSession
from qshim.recording.format import Recording, is_recording, lines_of
from qshim.reports.model import Report, Side
from qshim.vm import Vm

__all__ = ["read_steps", "replay"]

_HOST = re.compile(r"(?<=\)) is 0x[0-9a-f]+$")
"""The address in a reply of gpa2hva and gpa2hpa."""
_QTEST = frozenset((
    "b64read", "b64write", "clock_set", "clock_step", "endianness", "inb", "inl", "inw", "irq_intercept_in",
    "irq_intercept_out", "memset", "module_load", "outb", "outl", "outw", "read", "readb", "readl", "readq", "readw",
    "set_irq_in", "write", "writeb", "writel", "writeq", "writew",
))  # fmt: skip
"""First words of qtest lines; no command of the human monitor is called so."""
_COMPARED = ("info mtree -o -D", "info mtree -f -d -o", "info ramblock")


def read_steps(text: str, name: str) -> tuple[str, ...]:
    """The steps in *text*; *name* stands in error texts.

    :raises UsageError: there are none, or a JSON step is no QMP command.
    """
    steps = tuple(line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    if not steps:
        raise UsageError(f"{name} holds no step: write one monitor command or qtest line on each line")
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


async def replay(
    argv: Sequence[str],
    qemu: str,
    steps: Sequence[str],
    *,
    against: str | None = None,
    board: Board | None = None,
) -> Report:
    """Give *qemu* and another machine the same *steps*, and stop after the first one that makes a difference.

    The other machine is our model, made by *board* from *argv* or rebuilt from how *qemu* begins, or with
    *against* a second QEMU (BIN or `qemu:BIN:'OPTIONS'`). Two QEMUs may differ from the beginning; that is
    reported once, and the steps go on.

    :raises UsageError: *against* names no QEMU that can be started.
    :raises CompareError: a QEMU hangs or goes away, or our model cannot carry out a step.
    :raises RecordingError: a QEMU contradicts itself.
    """
    qtest = any(_is_qtest(step) for step in steps)
    async with AsyncExitStack() as stack:
        left: _Party = await _real(stack, qemu, qemu, argv, qtest)
        if against is None:
            if left.refused is not None:
                return Report(left.side, Side(OURS, None, None))
            recording = await left.now()
            own = of_board(OURS, argv, board, recording)
            if own is not None and own.vm is None:
                return Report(left.side, Side(OURS, None, None, own.refused))
            right: _Party = _Ours(recording, None if own is None else own.vm)
        else:
            right = await _real(stack, against, *_command_line(against, argv), qtest)
            if left.refused is not None or right.refused is not None:
                return Report(left.side, right.side)
        layouts = await left.layout(), await right.layout()
        known = compare(*layouts)
        changes = list(_placed("before the first step", known))
        for number, step in enumerate(steps, 1):
            if changes and against is None:
                break
            when = f"after step {number} ({step})"
            replies = await left.reply(step), await right.reply(step)
            new = []
            if replies[0] != replies[1]:
                new.append(Change("reply-changed", when, "the replies differ", *replies))
            layouts = await left.layout(), await right.layout()
            now = compare(*layouts)
            new += _placed(when, [change for change in now if change not in known])
            known = now
            changes += new
            if new:
                break
        return Report(left.side, right.side, tuple(changes), (), _COMPARED, layouts=layouts)


def _is_qtest(step: str) -> bool:
    return step.split(" ")[0] in _QTEST


def _placed(when: str, changes: Sequence[Change]) -> Iterator[Change]:
    return (replace(change, place=f"{when}: {change.place}") for change in changes)


def _command_line(source: str, argv: Sequence[str]) -> tuple[str, Sequence[str]]:
    if source.startswith("qemu:"):
        binary, words = options_of_source(source)
        return binary, argv if words is None else words
    if source.startswith(("attach:", "argv:")) or is_recording(source):
        raise UsageError(f"{source}: steps change a machine, so each side is a QEMU that is started for them")
    return source, argv


class _Party(Protocol):
    """One of the machines that get the steps."""

    refused: str | None

    @property
    def side(self) -> Side: ...
    async def now(self) -> Recording: ...
    async def layout(self) -> Layout: ...
    async def reply(self, step: str) -> str: ...


async def _real(stack: AsyncExitStack, name: str, binary: str, argv: Sequence[str], qtest: bool) -> _Real:
    try:
        qemu = await stack.enter_async_context(started(binary, argv, qtest=qtest))
    except DidNotStart as error:
        return _Real(name, None, None, error.reason)
    return _Real(name, qemu, await capture_now(qemu, (binary, *argv)))


@dataclass
class _Real:
    """A QEMU of ours."""

    name: str
    qemu: RealQemu | None
    recording: Recording | None
    """How it was at first."""
    refused: str | None = None

    @property
    def side(self) -> Side:
        if self.recording is None:
            return Side(self.name, None, None, self.refused)
        return Side(self.name, str(self.recording.qemu), self.recording.machine)

    async def now(self) -> Recording:
        assert self.recording is not None
        return self.recording

    async def layout(self) -> Layout:
        assert self.recording is not None
        assert self.qemu is not None
        return Layout.of_recording(replace(self.recording, hmp=await memory_now(self.qemu)))

    async def reply(self, step: str) -> str:
        assert self.qemu is not None
        if _is_qtest(step):
            return await self.qemu.qtest(step)
        try:
            if not step.startswith("{"):
                return _joined(step, await self.qemu.qmp("human-monitor-command", {"command-line": step}))
            command, arguments = _command(step, "steps")
            return _canonical({"return": await self.qemu.qmp(command, arguments)})
        except Refused as refused:
            return _canonical({"error": {"class": refused.error_class, "desc": refused.description}})


class _Ours:
    """Our model."""

    refused: str | None = None

    def __init__(self, recording: Recording, vm: Vm | None = None) -> None:
        self._recording = recording
        self._vm = Vm.from_recording(recording) if vm is None else vm
        self.side = Side(OURS, str(recording.qemu), recording.machine)

    async def now(self) -> Recording:
        return self._recording

    async def layout(self) -> Layout:
        return Layout.of(self._vm)

    async def reply(self, step: str) -> str:
        if not _is_qtest(step):
            return _reply_of_ours(self._vm, step)
        take = self._vm.qtest
        if take is None:
            raise CompareError(
                f"our model of {self._recording.label} takes no qtest lines such as `{step}`; "
                "give them to two QEMUs with --against"
            )
        return take(step)


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
