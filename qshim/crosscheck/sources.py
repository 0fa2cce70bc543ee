"""Where a machine comes from: the spellings of DESIGN.md decision 10."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qshim import versions
from qshim.edge.capture import capture_attached, capture_started
from qshim.edge.git import committed
from qshim.edge.real_qemu import DidNotStart
from qshim.errors import UsageError
from qshim.recording.format import Recording, is_recording, load, loads
from qshim.vm import Vm

__all__ = ["Board", "Machine", "Model", "of_board", "options_of_source", "take"]

Model = Callable[[Sequence[str], str, str], Vm]
"""Makes a machine from QEMU's options, a dialect (`7.2`) and a target; raises UsageError where that QEMU refuses."""

Board = Callable[[Sequence[str], str, str], Vm | None]
"""The same for boards that qshim models from the options; None for others."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A captured machine or one of our own, or the reason why it was refused."""

    name: str
    recording: Recording | None
    refused: str | None = None
    further: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """More texts of the same process than the recording keeps."""
    vm: Vm | None = None
    """A machine of our own instead of a recording."""


async def take(
    source: str, argv: Sequence[str], *, model: Model | None = None, like: Recording | None = None
) -> Machine:
    """The machine that *source* names: FILE, `git:REV:FILE`, `qemu:BIN:'ARGS'`, `argv:'ARGS'`, `attach:ADDR`, or BIN.

    FILE is a recording. BIN is started with *argv*. `argv:` is a machine of our own, which *model* makes from the
    options in the dialect and for the target of *like*.

    :raises UsageError: no such source, or `argv:` without *model*.
    :raises CompareError: a QEMU hangs or crashes; RecordingError: the file cannot be read.
    """
    if source.startswith("argv:"):
        return _modelled(source, _words(source, source.removeprefix("argv:")), model, like)
    if source.startswith("attach:"):
        capture = await capture_attached(source.removeprefix("attach:"), verify=True)
        return Machine(source, capture.recording, further=capture.verification)
    if source.startswith("qemu:"):
        binary, words = options_of_source(source)
        return await _started(source, binary, argv if words is None else words)
    if source.startswith("git:"):
        return Machine(source, loads(await committed(source), source))
    if is_recording(source):
        return Machine(source, load(Path(source)))
    return await _started(source, source, argv)


def _modelled(source: str, words: Sequence[str], model: Model | None, like: Recording | None) -> Machine:
    if model is None:
        raise UsageError(f"{source}: nobody here makes machines from a command line; name a recording or a QEMU")
    quirks = versions.DEFAULT if like is None else versions.quirks_for(like.qemu.major, like.qemu.minor)[0]
    try:
        return Machine(source, None, vm=model(words, quirks.label, (like and like.target) or "x86_64"))
    except UsageError as error:
        return Machine(source, None, refused=str(error))


def of_board(name: str, argv: Sequence[str], board: Board | None, like: Recording) -> Machine | None:
    """Our own machine *name* of *argv*, made by *board* in the dialect of *like*; None where qshim models none.

    A QEMU that is no dialect of qshim is compared with what it said itself.
    """
    quirks = versions.quirks_for(like.qemu.major, like.qemu.minor)[0]
    if board is None or quirks.label != f"{like.qemu.major}.{like.qemu.minor}":
        return None
    try:
        vm = board(argv, quirks.label, like.target or "x86_64")
    except UsageError as error:
        return Machine(name, None, refused=str(error))
    return None if vm is None else Machine(name, None, vm=vm)


def options_of_source(source: str) -> tuple[str, list[str] | None]:
    """The program and the options of a source `qemu:BIN:'OPTIONS'`; None where it names no options.

    :raises UsageError: the options cannot be split into words.
    """
    binary, colon, words = source.removeprefix("qemu:").partition(":")
    return binary, _words(source, words) if colon else None


def _words(source: str, line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise UsageError(f"{source}: the options cannot be split: {error}") from error


async def _started(name: str, binary: str, argv: Sequence[str]) -> Machine:
    try:
        capture = await capture_started(binary, argv, verify=True)
    except DidNotStart as error:
        return Machine(name, None, refused=error.reason)
    return Machine(name, capture.recording, further=capture.verification)
