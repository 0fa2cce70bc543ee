"""Random steps on a real QEMU and on our model, shrunk to the fewest that still differ.

hypothesis makes the sequences and shrinks them; it is the extra `fuzz`. Each sequence gets a QEMU of
its own, so that no earlier step can be the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from qshim.errors import UsageError
from qshim.reports.model import Report

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["Found", "fuzz", "sequences"]

_IDS = tuple(f"b{number}" for number in range(6))
_LONGEST = 20


@dataclass(frozen=True, slots=True)
class Found:
    """What a fuzz run found."""

    tried: int
    """Sequences that ran, those of shrinking included."""
    steps: tuple[str, ...]
    """The smallest sequence that differs; empty when none did."""
    report: Report | None
    """Its report, or the report of a run that could not compare."""


def sequences(board: str | None = None) -> SearchStrategy[list[str]]:
    """Memory backends that come and go, by HMP and QMP, with sizes that fit pages and sizes that do not.

    *board*: the type of a modelled PC, which gets hot-plugged devices and register writes besides.
    """
    from hypothesis import strategies as st

    sizes = st.one_of(
        st.integers(0, 1 << 14), st.integers(1, 1 << 25), st.integers(12, 25).map(lambda bits: 1 << bits)
    )
    ids = st.sampled_from(_IDS)
    hmp_add = st.builds(lambda name, size: f"object_add memory-backend-ram,id={name},size={size}B", ids, sizes)
    qmp_add = st.builds(lambda name, size, share: _qmp_add(name, size, share), ids, sizes, st.booleans())
    machine = [] if board is None else [_devices(ids), _registers("q35" in board)]
    steps = st.one_of(
        *machine,
        hmp_add,
        qmp_add,
        ids.map(lambda name: f"object_del {name}"),
        st.sampled_from(["info memdev", "info ramblock", "info memory_size_summary"]),
    )
    return st.lists(steps, min_size=1, max_size=_LONGEST)


_TYPES = ("e1000", "virtio-net-pci", "virtio-rng-pci", "edu", "pci-bridge", "qemu-xhci", "rtl8139", "VGA")
_BUSES = ("", "pci.0", "pcie.0", *_IDS)
_BARS = (0x04, 0x10, 0x14, 0x18, 0x1C, 0x20, 0x24, 0x28, 0x30, 0x3E)
_COMMON = (0xFFFFFFFF, 0xE0000000, 0xE0000008, 0xFEBF0000, 0xC000, 0xC001, 0xA0000, 0, 7, 0x1F0, 0x80000004)


def _devices(ids: SearchStrategy[str]) -> SearchStrategy[str]:
    """Devices that are plugged, asked to leave, and gone after a reset."""
    from hypothesis import strategies as st

    def dimm(name: str, backend: str) -> str:
        return _qmp("device_add", {"driver": "pc-dimm", "id": f"d{name}", "memdev": backend})

    def function(kind: str, name: str, bus: str) -> str:
        place = {"bus": bus} if bus else {}
        return _qmp("device_add", {"driver": kind, "id": name, **place})

    return st.one_of(
        st.builds(dimm, ids, ids),
        st.builds(function, st.sampled_from(_TYPES), ids, st.sampled_from(_BUSES)),
        ids.map(lambda name: _qmp("device_del", {"id": name})),
        ids.map(lambda name: f"device_del d{name}"),
        st.just(_qmp("query-memory-devices", {})),
    )


def _registers(q35: bool) -> SearchStrategy[str]:
    """Configuration cycles: each step writes one register through an address that it gives by itself."""
    from hypothesis import strategies as st

    pam, smram = (0x90, (0x9C, 0x9D, 0x9E, 0x50, 0x60)) if q35 else (0x59, (0x72,))
    ecam = 0xB0000000
    values = st.one_of(st.sampled_from(_COMMON), st.integers(0, 0xFFFFFFFF))
    latch = st.one_of(
        st.builds(lambda n: 0x80000000 | pam & ~3 | n & 4, st.integers(0, 7)),
        st.builds(lambda reg: 0x80000000 | reg & ~3, st.sampled_from(smram)),
        st.builds(
            lambda slot, reg: 0x80000000 | slot << 11 | reg & ~3, st.integers(1, 6), st.sampled_from(_BARS)
        ),
    ).map(lambda address: f"outl 0xcf8 {address:#x}")
    return st.one_of(
        latch,
        st.builds(lambda at, value: f"outb {0xCFC + at:#x} {value & 0xFF:#x}", st.integers(0, 3), values),
        values.map(lambda value: f"outl 0xcfc {value:#x}"),
        st.builds(
            lambda slot, reg, value: f"writel {ecam | slot << 15 | reg & ~3:#x} {value:#x}",
            st.integers(0, 6), st.sampled_from(_BARS), values,
        ),
    )  # fmt: skip


def _qmp(command: str, arguments: dict[str, str]) -> str:
    return json.dumps({"execute": command, "arguments": arguments})


def _qmp_add(name: str, size: int, share: bool) -> str:
    arguments = {"qom-type": "memory-backend-ram", "id": name, "size": size, "share": share}
    return json.dumps({"execute": "object-add", "arguments": arguments})


def fuzz(
    run: Callable[[Sequence[str]], Report], *, examples: int, seed: int, board: str | None = None
) -> Found:
    """Try *examples* sequences with *run*; the first that differs is shrunk. *board*: see `sequences`.

    A run that could not compare ends it: nothing is known then, and `Found.report` says why.

    :raises UsageError: hypothesis is not installed.
    """
    try:
        from hypothesis import HealthCheck, Phase, find, settings
        from hypothesis.errors import NoSuchExample
    except ImportError:
        raise UsageError("qshim fuzz needs hypothesis: pip install 'qshim[fuzz]'") from None
    tried, last, broken = 0, None, None

    def differs(steps: list[str]) -> bool:
        nonlocal tried, last, broken
        if broken is not None:
            return False
        tried += 1
        report = run(steps)
        if report.exit_status == 3:
            broken = report
            return False
        if report.exit_status:
            last = report
        return bool(report.exit_status)

    chosen = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    try:
        smallest = tuple(find(sequences(board), differs, settings=chosen, random=Random(seed)))
    except NoSuchExample:
        smallest = ()
    if broken is not None:
        return Found(tried, (), broken)
    return Found(tried, smallest, last)
