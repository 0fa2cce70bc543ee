"""dump-guest-memory: which memory, the headers of ELF, writing it, and how far a dump is (spec/monitor.md 4.3).

The layout is that of QEMU 7.2 to 11.1: ELF header, section headers, program headers (one PT_NOTE, one
PT_LOAD for each stretch of RAM), notes, memory, string table. No machine of qshim has CPU state: the
notes have QEMU's sizes and CPU numbers, and zeros where the registers would be.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from weakref import WeakKeyDictionary

from qshim.monitor.memory_ops import chunks, create, system, virtual_is_physical
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["Dump", "Stretch", "dump_of", "elf_head", "in_progress", "ram_stretches", "start"]

_U32 = (1 << 32) - 1
_STRINGS = b"\0.shstrtab\0"
_PAGE = 4096
_STEP = 4 << 20
_NO_WIN_DUMP = "win-dump: invalid vmcoreinfo note size"
_A32 = ("cortex-a7-", "cortex-a8-", "cortex-a9-", "cortex-a15-", "cortex-m", "cortex-r", "arm", "sa11", "ti925", "pxa")
"""How the names of Arm CPUs without 64-bit mode begin."""


class Stretch(NamedTuple):
    """Guest physical memory that is dumped: start and size in bytes."""

    start: int
    size: int


@dataclass(slots=True)
class Dump:
    """The last dump of a machine: how far it is."""

    status: str = "none"
    """`none`, `active`, `completed` or `failed`."""
    completed: int = 0
    total: int = 0

    def told(self) -> dict[str, object]:
        """What query-dump returns."""
        return {"status": self.status, "completed": self.completed, "total": self.total}


_DUMPS: WeakKeyDictionary[Vm, Dump] = WeakKeyDictionary()


def dump_of(vm: Vm) -> Dump:
    """The state of *vm*'s last dump."""
    return _DUMPS.setdefault(vm, Dump())


def in_progress(vm: Vm) -> bool:
    """Whether a dump is being written."""
    return vm in _DUMPS and _DUMPS[vm].status == "active"


# --- what is dumped ---


def ram_stretches(vm: Vm, begin: int | None = None, length: int = 0) -> tuple[Stretch, ...]:
    """RAM and ROM of the guest by address; with *begin*, only what lies in *length* bytes from there.

    Ranges of one region that follow one another are one stretch; flash and memory that survives the machine
    are left out.
    """
    found: list[Stretch] = []
    last: tuple[object, int] | None = None
    space = system(vm)
    for r in space.view.ranges if space is not None else ():
        region = r.region
        if not region.ram or region.ram_device or r.nonvolatile or region.ram_block is None:
            continue
        if found and last == (region, r.offset) and found[-1].start + found[-1].size == r.start:
            found[-1] = Stretch(found[-1].start, found[-1].size + r.size)
        else:
            found.append(Stretch(r.start, r.size))
        last = (region, r.offset + r.size)
    if begin is None:
        return tuple(found)
    cut = []
    for stretch in found:
        start, stop = max(stretch.start, begin), min(stretch.start + stretch.size, begin + length)
        if start < stop:
            cut.append(Stretch(start, stop - start))
    return tuple(cut)


# --- ELF ---


class _Kind(NamedTuple):
    machine: int
    wide: bool
    notes: tuple[tuple[bytes, int, int, int], ...]
    """(name, type, bytes, where the CPU's number from 1 stands or -1), for each CPU, a group after the other."""


def _kind(vm: Vm, reach: int) -> _Kind:
    """*reach*: the highest address of RAM, exclusive."""
    cpu = _cpu_type(vm)
    if vm.target in ("x86_64", "i386"):
        notes = ((b"CORE", 1, 144, 24), (b"QEMU", 0, 440, -1))
        return _Kind(3, reach > _U32, notes)
    if vm.target in ("aarch64", "arm"):
        if vm.target == "arm" or cpu.startswith(_A32):
            return _Kind(40, reach > _U32, ((b"CORE", 1, 148, 24), (b"LINUX", 0x400, 260, -1)))
        return _Kind(183, True, ((b"CORE", 1, 392, 32), (b"CORE", 2, 528, -1)))
    if vm.target == "riscv64":
        return _Kind(243, True, ((b"CORE", 1, 376, 32),))
    if vm.target == "riscv32":
        return _Kind(243, False, ((b"CORE", 1, 204, 24),))
    raise CommandError(f"dump-guest-memory is not modelled by qshim for {vm.target}")


def _cpu_type(vm: Vm) -> str:
    cpus = vm.recorded("query-hotpluggable-cpus")
    if isinstance(cpus, Sequence) and cpus and isinstance(cpus[0], Mapping):
        return str(cpus[0].get("type", ""))
    root = vm.qom
    names = [each.type_name for each in root.walk()] if root is not None else []
    return next((name for name in names if name.endswith("-arm-cpu")), "")


def _notes(vm: Vm, kind: _Kind) -> bytes:
    out = bytearray()
    groups = [kind.notes[:1], kind.notes[1:]] if kind.machine == 3 else [kind.notes]
    for group in groups:
        for index in range(vm.cpus):
            for name, number, size, place in group:
                body = bytearray(size)
                if place >= 0:
                    body[place : place + 4] = (index + 1).to_bytes(4, "little")
                elif name == b"QEMU":
                    body[:8] = struct.pack("<II", 1, size)
                padded = name + b"\0" * (4 - len(name) % 4 if len(name) % 4 else 4)
                out += struct.pack("<III", len(name) + 1, size, number) + padded + body
    return bytes(out)


def elf_head(vm: Vm, stretches: Sequence[Stretch], reach: int) -> bytes:
    """Everything in front of the memory of *stretches*.

    :raises CommandError: the target has no dump in qshim.
    """
    kind = _kind(vm, reach)
    header, section, program = (64, 64, 56) if kind.wide else (52, 40, 32)
    notes = _notes(vm, kind)
    program_at = header + 2 * section
    notes_at = program_at + (1 + len(stretches)) * program
    memory_at = notes_at + len(notes)
    strings_at = memory_at + sum(stretch.size for stretch in stretches)
    word = "Q" if kind.wide else "I"
    out = bytearray(b"\x7fELF" + bytes((2 if kind.wide else 1, 1, 1)) + bytes(9))
    # e_ehsize: QEMU writes the size of a pointer there
    fields = (4, kind.machine, 1, 0, program_at, header, 0, 8, program, 1 + len(stretches), section, 2, 1)
    out += struct.pack(f"<HHI{3 * word}IHHHHHH", *fields)
    out += bytes(section)
    out += struct.pack(f"<II{4 * word}II{2 * word}", 1, 3, 0, 0, strings_at, len(_STRINGS), 0, 0, 0, 0)

    def segment(number: int, offset: int, addr: int, size: int) -> bytes:
        if kind.wide:
            return struct.pack("<IIQQQQQQ", number, 0, offset, addr, addr, size, size, 0)
        return struct.pack("<IIIIIIII", number, offset, addr, addr, size, size, 0, 0)

    out += segment(4, notes_at, 0, len(notes))
    at = memory_at
    for stretch in stretches:
        out += segment(1, at, stretch.start, stretch.size)
        at += stretch.size
    return bytes(out) + notes


# --- one dump ---


def start(
    vm: Vm,
    protocol: str,
    *,
    paging: bool,
    detach: bool = False,
    begin: int | None = None,
    length: int | None = None,
    form: str = "elf",
    fds: dict[str, int] | None = None,
) -> None:
    """Dump the guest's memory to `file:PATH` or `fd:NAME` of *fds*; the checks come in QEMU's order.

    The guest is stopped meanwhile. With *detach* it goes on in the background where the machine has a clock.

    :raises CommandError: with QEMU's words.
    """
    if in_progress(vm):
        raise CommandError("There is a dump in process, please wait.")
    if form != "elf" and (paging or begin is not None or length is not None):
        raise CommandError("kdump-compressed format doesn't support paging or filter")
    if begin is not None and length is None:
        raise CommandError("Parameter 'length' is missing")
    if begin is None and length is not None:
        raise CommandError("Parameter 'begin' is missing")
    if form in ("kdump-lzo", "kdump-snappy", "kdump-raw-lzo", "kdump-raw-snappy"):
        raise CommandError(f"{form.replace('raw-', '')} is not available now")
    if form == "win-dmp" and vm.target not in vm.quirks.win_dump_targets:
        raise CommandError(vm.quirks.no_win_dump)
    if form == "win-dmp" and vm.quirks.win_dump_is_checked_first:
        raise CommandError("win-dump: no vmcoreinfo note from the guest")
    if paging and not virtual_is_physical(vm):
        raise CommandError("qshim holds no CPU state, so it cannot walk page tables; dump without paging")
    file = _opened(vm, protocol, {} if fds is None else fds)
    dump = dump_of(vm)
    dump.status, dump.completed, dump.total = "failed", 0, 0
    resume = vm.running
    if resume:
        vm.run_state = "save-vm"
        vm.emit("STOP")
    try:
        if length is not None and length <= 0:
            raise CommandError(vm.quirks.dump_length_zero)
        stretches = ram_stretches(vm, begin, length or 0)
        total = sum(stretch.size for stretch in stretches)
        if not total:
            raise CommandError("dump: no guest memory to dump")
        whole = ram_stretches(vm)
        reach = whole[-1].start + whole[-1].size
        if form == "win-dmp":
            dump.total = total
            _finish(vm, dump, False, _NO_WIN_DUMP)
            raise CommandError(_NO_WIN_DUMP)
        steps = _kdump(vm, dump, file, stretches, form) if form != "elf" else None
        if steps is None:
            steps = _steps(vm, dump, file, elf_head(vm, stretches, reach), stretches)
    except BaseException:
        file.close()
        if resume:
            vm.cont()
        raise
    dump.total = total
    dump.status = "active"
    later = vm.later if detach else None
    if later is None:
        for _ in steps:
            pass
        _finish(vm, dump, resume)
        if dump.status == "failed":
            raise CommandError("dump: failed to save memory")
        return

    def step() -> None:
        if next(steps, None) is None:
            _finish(vm, dump, resume)
        else:
            later(0.0, step)

    later(0.0, step)


def _opened(vm: Vm, protocol: str, fds: dict[str, int]) -> BinaryIO:
    if protocol.startswith("fd:"):
        name = protocol[3:]
        if name not in fds or vm.files is None:
            raise CommandError(f"File descriptor named '{name}' has not been found")
        return vm.files.fdopen(fds.pop(name))
    if not protocol.startswith("file:"):
        raise CommandError(vm.quirks.dump_bad_protocol)
    return create(vm, protocol[5:], vm.quirks.dump_cannot_create, 0o400)


def _steps(vm: Vm, dump: Dump, file: BinaryIO, head: bytes, stretches: Sequence[Stretch]) -> Iterator[bool]:
    """Write the dump a piece at a time; True while there is more. A host that refuses makes it fail."""
    space = system(vm)
    holes = file.seekable()
    try:
        with file:
            file.write(head)
            for stretch in stretches:
                for count, data in chunks(space, stretch.start, stretch.size):
                    if data is not None:
                        file.write(data)
                    elif holes:
                        file.seek(count, 1)
                    else:
                        for at in range(0, count, _STEP):
                            file.write(bytes(min(_STEP, count - at)))
                    dump.completed += count
                    yield True
            file.write(_STRINGS)
    except (OSError, ValueError):
        dump.status = "failed"
        return
    dump.status = "completed"


def _kdump(vm: Vm, dump: Dump, file: BinaryIO, stretches: Sequence[Stretch], form: str) -> Iterator[bool]:
    """The same in makedumpfile's format."""
    from qshim.monitor import kdump

    space = system(vm)
    kind = _kind(vm, stretches[-1].start + stretches[-1].size)
    machine = vm.quirks.dump_machine.get(vm.target, b"Unknown")
    plan = kdump.plan(stretches, _notes(vm, kind), vm.cpus, machine, wide=kind.wide)
    memory = (piece for stretch in stretches for piece in chunks(space, stretch.start, stretch.size))
    try:
        with file:
            out = kdump.Raw(file) if "-raw-" in form else kdump.Flat(file)
            for offset, data, done in kdump.pieces(plan, stretches, memory):
                if data:
                    out.write(offset, data)
                if done:
                    dump.completed += done
                    yield True
            out.end()
    except (OSError, ValueError):
        dump.status = "failed"
        return
    dump.status = "completed"


def _finish(vm: Vm, dump: Dump, resume: bool, error: str = "dump: failed to save memory") -> None:
    data: dict[str, object] = {"result": dump.told()}
    if dump.status == "failed":
        data["error"] = error
    vm.emit("DUMP_COMPLETED", data)
    if resume:
        vm.run_state = "running"
        vm.emit("RESUME")
