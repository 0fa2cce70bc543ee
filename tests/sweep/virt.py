"""Random command lines of virt of aarch64, arm, riscv64 and riscv32: our model against real QEMU.

    python -m tests.sweep.virt [--target T] [--seed N] [--count N] [--version V] [--more] [--show N] [-- ARGS]

Without --target, each of the four. ARGS: one command line to look at, instead of random ones.
"""

from __future__ import annotations

import sys

from tests.sweep.compare import main
from tests.sweep.virt_lines import GENERATORS

if __name__ == "__main__":
    sys.exit(main(GENERATORS, __doc__ or ""))
