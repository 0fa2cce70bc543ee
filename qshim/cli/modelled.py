"""A `Vm` of a modelled board: what the drop-ins and `qshim serve -- ARGS` serve."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qshim import versions
from qshim.argv import CommandLine, OptionError
from qshim.errors import QshimError

if TYPE_CHECKING:
    from qshim.machines.machine import Machine
    from qshim.monitor.qtest import Qtest
    from qshim.recording.format import Recording
    from qshim.vm import Version, Vm

__all__ = ["firmware", "is_modelled", "modelled"]

_PCS = ("isapc", "microvm", "pc-i440fx-", "pc-q35-")
_BOARDS = {
    "x86_64": _PCS, "i386": _PCS, "aarch64": ("virt-",), "arm": ("virt-",), "riscv64": ("virt",), "riscv32": ("virt",),
}  # fmt: skip
"""Target -> what the names of its modelled machine types begin with."""
_DATA_DIRS = (
    "/usr/share/qemu", "/usr/share/seabios", "/usr/share/vgabios", "/usr/lib/ipxe/qemu", "/usr/local/share/qemu",
    "/usr/share/qemu-firmware", "/usr/share/OVMF",
)  # fmt: skip
"""Where distributions keep firmware."""


def is_modelled(name: str, target: str) -> bool:
    """Whether machine type *name* (no alias) is built from the command line."""
    # not asked of qshim.machines, which need not be there before somebody has been greeted
    return name == "none" or name.startswith(_BOARDS.get(target, ()))


def firmware(dirs: tuple[str, ...]) -> Callable[[str], bytes | None]:
    """Reads a firmware file by name: from -L, QSHIM_DATA_DIR, then the usual places; or by path."""
    own = os.environ.get("QSHIM_DATA_DIR")
    places = (*dirs, *((own,) if own else ()), *_DATA_DIRS)

    def read(name: str) -> bytes | None:
        for path in (name, *(os.path.join(place, name) for place in places)):
            try:
                with open(path, "rb") as stream:
                    return stream.read()
            except OSError:
                continue
        return None

    return read


def modelled(
    line: CommandLine,
    name: str,
    target: str,
    label: str,
    *,
    later: bool = False,
    same: Callable[[], Recording | None] = lambda: None,
) -> Vm:
    """The machine of type *name* that *line* asks for, as it starts; *later*: it is made by `Vm.build`.

    *same* finds a recording of exactly this machine, for what nobody models.

    :raises OptionError: QEMU does not start it, in its words.
    """
    from qshim.vm import Vm

    vm = Vm(
        None, quirks=versions.KNOWN[label], version=_version(label), target=target, machine=name, name=line.name,
        uuid=line.uuid,
    )  # fmt: skip
    vm.command_line = line
    vm.starts = not line.stopped
    if line.preconfig:
        vm.preconfig = lambda: _complete(vm)
    vm.actions.update(line.actions)
    vm.test_clock = "qtest" in line.accelerators
    vm.qtest = _Tester(vm)
    vm.put_off(lambda vm: _make(vm, line, same))
    if not later:
        vm.build()
    return vm


def _make(vm: Vm, line: CommandLine, same: Callable[[], Recording | None]) -> None:
    """Build the board of *vm*."""
    from qshim.machines.answers import answers, numa_text
    from qshim.machines.build import build
    from qshim.views.pci import pci_buses, pci_text
    from qshim.views.qtree import qtree_text
    from qshim.views.roms import roms_text

    quirks = vm.quirks
    read = firmware(line.data_dirs)
    with _refused():
        machine = build(
            line, vm.machine, quirks, vm.target, firmware=read, open_image=_image, unreadable=_unreadable
        )
    vm.hold(machine.topology, _cpus(machine))
    vm.qom = machine.board.root
    vm.backends = machine.board.backends
    vm.answers = {
        **answers(machine),
        "query-pci": lambda: pci_buses(machine.board),
    }
    vm.machine_model = machine
    vm.said = tuple(machine.board.said)
    vm.texts = {
        "info numa": lambda: numa_text(machine),
        "info qtree": lambda: qtree_text(machine.board),
        "info pci": lambda: pci_text(pci_buses(machine.board), quirks),
    }
    if vm.target in ("x86_64", "i386"):
        vm.answers["x-query-roms"] = lambda: {"human-readable-text": roms_text(machine, read)}
        vm.texts["info roms"] = lambda: roms_text(machine, read)
    vm.on_reset = machine.reset
    machine.hotplug.on_gone = vm.tell_deleted
    vm.know(same())


def _complete(vm: Vm) -> None:
    """Make the rest of a machine that waited (-preconfig)."""
    machine: Any = vm.machine_model
    with _refused():
        machine.finish()
    vm.hold(machine.topology, _cpus(machine))


def _cpus(machine: Machine) -> int:
    """How many CPUs there are: each has an address space of its own."""
    return sum(space.name.startswith("cpu-memory-") for space in machine.topology.spaces)


@contextmanager
def _refused() -> Iterator[None]:
    """What a board refuses is refused as an option is."""
    try:
        yield
    except OptionError:
        raise
    except QshimError as error:
        raise OptionError(*str(error).split("\n")) from error


class _Tester:
    """Answers qtest lines; the protocol is imported when the first one comes."""

    def __init__(self, vm: Vm) -> None:
        self._vm = vm
        self._server: Qtest | None = None

    def __call__(self, line: str) -> str:
        """The reply to *line*."""
        if self._server is None:
            self._vm.build()
            from qshim.monitor.qtest import Qtest

            self._server = Qtest(self._vm, clock=self._vm.test_clock)
        return self._server.answer(line)


def _version(label: str) -> Version:
    """The release that this dialect was recorded from."""
    from qshim.vm import Version

    micro = {"7.2": 22, "10.0": 13, "11.1": 3}[label]
    major, minor = (int(part) for part in label.split("."))
    return Version(major, minor, micro)


def _image(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _unreadable(path: str) -> str | None:
    """Why a file cannot be opened, None if it can."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as error:
        return error.strerror or str(error)
    return None
