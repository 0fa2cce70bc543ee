"""Where a machine comes from: the spellings of DESIGN.md decision 10."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qshim.edge.capture import capture_attached, capture_started
from qshim.edge.real_qemu import DidNotStart
from qshim.errors import UsageError
from qshim.recording.format import Recording, is_recording, load

__all__ = ["Machine", "take"]


@dataclass(frozen=True, slots=True)
class Machine:
    """A captured machine, or the reason why its QEMU refused."""

    name: str
    recording: Recording | None
    refused: str | None = None
    further: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """More texts of the same process than the recording keeps."""


async def take(source: str, argv: Sequence[str]) -> Machine:
    """The machine that *source* names: a recording, `qemu:BIN:'ARGS'`, `attach:ADDR`, or BIN, started with *argv*.

    :raises UsageError: no such source.
    :raises CompareError: a QEMU hangs or crashes; RecordingError: the file cannot be read.
    """
    if source.startswith("argv:"):
        raise UsageError(f"{source}: machines are not built from a command line yet; name a recording or a QEMU")
    if source.startswith("attach:"):
        capture = await capture_attached(source.removeprefix("attach:"), verify=True)
        return Machine(source, capture.recording, further=capture.verification)
    if source.startswith("qemu:"):
        binary, colon, words = source.removeprefix("qemu:").partition(":")
        try:
            return await _started(source, binary, shlex.split(words) if colon else argv)
        except ValueError as error:
            raise UsageError(f"{source}: the options cannot be split: {error}") from error
    if is_recording(source):
        return Machine(source, load(Path(source)))
    return await _started(source, source, argv)


async def _started(name: str, binary: str, argv: Sequence[str]) -> Machine:
    try:
        capture = await capture_started(binary, argv, verify=True)
    except DidNotStart as error:
        return Machine(name, None, refused=error.reason)
    return Machine(name, capture.recording, further=capture.verification)
