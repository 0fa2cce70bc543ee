"""The layout that a source names: snapshots besides everything that is a machine (DESIGN.md decision 10)."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from qshim import versions
from qshim.bridge.broker import Access, Broker, machine_at
from qshim.bridge.defaults import SCHEMES
from qshim.bridge.payloads import is_message, snapshot_of
from qshim.bridge.topics import MachineTopics
from qshim.crosscheck.sources import Model, take
from qshim.edge.git import committed, stored
from qshim.errors import CompareError, RecordingError, UsageError
from qshim.layout.snapshot import Snapshot
from qshim.layout.snapshot_text import is_snapshot, parse
from qshim.recording.format import loads

__all__ = ["Reach", "of_options", "stored_snapshot", "take_snapshot"]

_MACHINES = ("qemu:", "attach:")

Reach = Callable[[Broker], Access]
"""Says who we are to a broker."""


async def take_snapshot(
    source: str,
    *,
    model: Model | None = None,
    version: str | None = None,
    target: str = "x86_64",
    folder: str = ".",
    reach: Reach | None = None,
) -> Snapshot:
    """The layout of *source*: FILE (snapshot, recording, or a saved message of a bridge), `git:REV:FILE`,
    `argv:'ARGS'`, `qemu:BIN:'ARGS'`, `attach:ADDR` or `mqtt://BROKER/PREFIX/HOST/VM`.

    :param model: makes the machine of `argv:`, in the dialect *version* and for *target*.
    :param folder: what FILE is relative to.
    :param reach: makes the connection to the broker of `mqtt:`; None: no such source is wanted.
    :raises UsageError: no such source.
    :raises CompareError: a QEMU hangs, crashes, or refuses its options; or qshim has no such machine.
    :raises RecordingError: the file cannot be read, or the broker has no layout.
    :raises LinkLost: the broker cannot be reached.
    """
    if source.startswith("argv:"):
        try:
            words = shlex.split(source.removeprefix("argv:"))
        except ValueError as error:
            raise UsageError(f"{source}: the options cannot be split: {error}") from error
        return of_options(words, model, version, target)
    if source.startswith("git:"):
        return _read(await committed(source, folder), source)
    if source.startswith(_MACHINES):
        machine = await take(source, ())
        if machine.recording is None:
            raise CompareError(f"{source}: {machine.refused}")
        return Snapshot.of_recording(machine.recording)
    if source.startswith(SCHEMES) and reach is not None:
        from qshim.edge.mqtt_once import retained

        broker, base = machine_at(source)
        return snapshot_of(await retained(reach(broker), MachineTopics(base).full), source)
    return stored_snapshot(source, folder)


def stored_snapshot(source: str, folder: str = ".") -> Snapshot:
    """The layout in the file *source*, a snapshot, a recording or a message of a bridge, relative to *folder*.

    :raises RecordingError: the file cannot be read.
    """
    return _read(stored(source, folder), source)


def of_options(argv: Sequence[str], model: Model | None, version: str | None, target: str) -> Snapshot:
    """The layout of a machine of our own with QEMU's options *argv*.

    :raises CompareError: that QEMU refuses them, or qshim has no such machine.
    """
    if model is None:
        raise UsageError("nobody here makes machines from a command line; name a recording or a QEMU")
    try:
        return Snapshot.of_vm(model(argv, version or versions.DEFAULT.label, target), argv)
    except UsageError as error:
        raise CompareError(f"{shlex.join(argv)}: {error}") from error


def _read(data: bytes, name: str) -> Snapshot:
    if is_message(data):
        return snapshot_of(data, name)
    if not is_snapshot(data):
        return Snapshot.of_recording(loads(data, name))
    try:
        return parse(data.decode("utf-8", "surrogateescape"), name)
    except UnicodeDecodeError as error:
        raise RecordingError(f"{name} is no valid snapshot: byte {error.start} is no UTF-8") from error
