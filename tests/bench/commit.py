"""What a commit costs as the machine grows: one region moved among 10 to 10,000 that stay.

Also the worst case of QEMU's own scheme beside it: drawing the whole view anew, as a commit there does.

    python -m tests.bench.commit
"""

from __future__ import annotations

import time
from collections.abc import Callable

from qshim.memory import AddressSpace, MemoryListener, MemoryRegion, MemorySection, Topology
from qshim.memory.render import render
from qshim.units import SPACE

__all__ = ["measure", "rows"]

SIZES = (10, 100, 1_000, 10_000)


class Counter(MemoryListener):
    """A listener that only counts."""

    calls = 0

    def region_add(self, section: MemorySection) -> None:
        self.calls += 1

    def region_del(self, section: MemorySection) -> None:
        self.calls += 1


def measure(action: Callable[[], None], seconds: float = 0.3) -> float:
    """Seconds that one call takes, the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        count, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < seconds / 5:
            action()
            count += 1
        best = min(best, passed / count)
    return best


def rows() -> list[tuple[int, float, float, float]]:
    """(regions, commit that enables or disables one, commit that moves one, drawing all anew), in seconds."""
    out = []
    for count in SIZES:
        topology = Topology()
        system = MemoryRegion(topology, "system", SPACE)
        space = AddressSpace(topology, system, "memory")
        with topology.transaction():
            for number in range(count):
                system.add_subregion(MemoryRegion.io(topology, f"bar{number}", 0x1000), number * 0x2000)
        mover = MemoryRegion.io(topology, "mover", 0x1000)
        system.add_subregion(mover, 0x80000000, 1)
        space.add_listener(Counter())

        def toggle(region: MemoryRegion = mover) -> None:
            region.set_enabled(not region.enabled)

        places = (0x1000, (count // 2) * 0x2000)

        def move(region: MemoryRegion = mover, places: tuple[int, int] = places) -> None:
            region.set_address(places[region.addr == places[0]])

        def everything(root: MemoryRegion = system) -> None:
            render(root, 12)

        toggled = measure(toggle)
        mover.set_enabled(True)
        out.append((count, toggled, measure(move), measure(everything)))
    return out


def main() -> None:
    """Print the table."""
    print(f"{'regions':>8} {'enable':>12} {'move':>12} {'draw all':>12}   growth of a commit from {SIZES[0]}")
    table = rows()
    for count, toggled, moved, everything in table:
        print(
            f"{count:8} {toggled * 1e6:9.1f} us {moved * 1e6:9.1f} us {everything * 1e6:9.1f} us"
            f"   x{toggled / table[0][1]:.2f} x{moved / table[0][2]:.2f}"
        )


if __name__ == "__main__":
    main()
