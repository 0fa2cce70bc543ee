"""One cross-check: take both machines, compare, say what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import unified_diff

from qshim.crosscheck.sources import Board, Machine, Model, of_board, take
from qshim.errors import UsageError
from qshim.layout.canonical import CANNOT_COMPARE, canonical
from qshim.layout.compare import Layout, compare
from qshim.layout.verify import Difference, rendered
from qshim.recording.format import RAMBLOCK_COMMAND, Recording
from qshim.recording.rebuild import Rebuilt, rebuild
from qshim.reports.model import Report, Side
from qshim.views.viewed import Viewed

__all__ = ["OURS", "crosscheck"]

OURS = "qshim"
"""Name of our own side in reports."""


async def crosscheck(
    argv: Sequence[str] = (),
    *,
    qemu: str | None = None,
    attach: str | None = None,
    against: str | None = None,
    recording: Recording | None = None,
    strict: bool = False,
    model: Model | None = None,
    board: Board | None = None,
) -> Report:
    """Compare a real QEMU with our model of it, or with another source.

    :param argv: QEMU's options, for *qemu* and for an *against* that is a program.
    :param qemu: the emulator to start, paused; *attach* instead is the address of a running one, left as it was.
    :param against: the other machine, a source of DESIGN.md decision 10. Without it our own model is
        compared: made by *board* from *argv*, or rebuilt from *recording*, or from what the real one just said; of
        the last, rendering and layout rules are checked, not the board.
    :param model: makes the machine of an *against* `argv:'OPTIONS'`.
    :param strict: compare the bytes of the texts too; nothing is allowed to differ.
    :raises UsageError: neither or both of *qemu* and *attach*.
    :raises CompareError: a QEMU hangs, crashes or is busy; RecordingError: an unreadable or contradictory capture.
    """
    if (qemu is None) == (attach is None):
        raise UsageError("name one real QEMU: either an emulator to start or the address of a running one")
    left = await take(qemu if qemu is not None else f"attach:{attach}", argv)
    if against is not None:
        return _of_two(left, await take(against, argv, model=model, like=left.recording), strict)
    if left.recording is None:
        return Report(Side(left.name, None, None, left.refused), _side_of_ours(recording))
    if recording is None and qemu is not None:
        own = of_board(OURS, argv, board, left.recording)
        if own is not None:
            return _of_two(left, own, strict)
    ours = rebuild(left.recording if recording is None else recording)
    return _of_ours(left, ours, recording, strict)


def _side(machine: Machine) -> Side:
    if machine.vm is not None:
        return Side(machine.name, str(machine.vm.version), machine.vm.machine)
    taken = machine.recording
    if taken is None:
        return Side(machine.name, None, None, machine.refused)
    return Side(machine.name, str(taken.qemu), taken.machine)


def _side_of_ours(recording: Recording | None) -> Side:
    return Side(OURS, None, None) if recording is None else Side(OURS, str(recording.qemu), recording.machine)


def _of_two(left: Machine, right: Machine, strict: bool) -> Report:
    sides = _side(left), _side(right)
    if left.recording is None:
        return Report(*sides)
    layouts = [Layout.of_recording(left.recording)]
    if right.vm is not None:
        texts = {**left.further, **left.recording.hmp}
        return _report(sides, [*layouts, Layout.of(right.vm)], texts, _printed(right.vm, texts), strict)
    if right.recording is None:
        return Report(*sides)
    layouts.append(Layout.of_recording(right.recording))
    return _report(sides, layouts, left.recording.hmp, right.recording.hmp, strict)


def _of_ours(left: Machine, ours: Rebuilt, recording: Recording | None, strict: bool) -> Report:
    assert left.recording is not None
    texts = {**left.further, **left.recording.hmp}
    layouts = [Layout.of_recording(left.recording), Layout.of(ours)]
    sides = _side(left), _side_of_ours(left.recording if recording is None else recording)
    return _report(sides, layouts, texts, _printed(ours, texts), strict)


def _printed(ours: Viewed, texts: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """What *ours* prints for each text of the other side that is compared."""
    return {
        command: tuple(rendered(ours, command).removesuffix("\n").split("\n"))
        for command in texts
        if _is_compared(command)
    }


def _is_compared(command: str) -> bool:
    return command == RAMBLOCK_COMMAND or command.split()[:2] == ["info", "mtree"]


def _report(
    sides: tuple[Side, Side],
    layouts: Sequence[Layout],
    left: Mapping[str, Sequence[str]],
    right: Mapping[str, Sequence[str]],
    strict: bool,
) -> Report:
    commands = sorted(command for command in left.keys() & right.keys() if _is_compared(command))
    changes = compare(*layouts)
    differences = tuple(_differences(commands, left, right, strict))
    return Report(
        *sides,
        changes=changes,
        # a text is shown where no change says what it means, so that nothing passes unseen
        texts=differences if strict or not changes else (),
        compared=tuple(commands),
        unequal=tuple(difference.command for difference in differences),
        allowances=() if strict else tuple(_applied(commands, left, right)),
        layouts=(layouts[0], layouts[1]),
    )


def _differences(
    commands: Sequence[str], left: Mapping[str, Sequence[str]], right: Mapping[str, Sequence[str]], strict: bool
) -> Iterator[Difference]:
    for command in commands:
        a, b = (list(side[command]) if strict else canonical(side[command]) for side in (left, right))
        if a != b:
            yield Difference(command, tuple(unified_diff(a, b, "first", "second", lineterm="", n=1)))


def _applied(
    commands: Sequence[str], left: Mapping[str, Sequence[str]], right: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str]]:
    """Allowances without which some text would differ more than it does."""
    for allowance in CANNOT_COMPARE:
        for command in commands:
            a, b = left[command], right[command]
            if list(a) != list(b) and (list(allowance.apply(a)) != list(a) or list(allowance.apply(b)) != list(b)):
                yield allowance.name, allowance.reason
                break
