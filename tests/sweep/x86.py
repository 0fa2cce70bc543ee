"""Random command lines of x86_64 and i386 machines: our model against real QEMU.

    python -m tests.sweep.x86 [--target T] [--seed N] [--count N] [--version V] [--more] [--show N] [-- ARGS]

Without --target, both. Each line is either started by both with the same memory views and QMP answers, or
refused by both in the same words. ARGS: one command line to look at, instead of random ones.
"""

from __future__ import annotations

import sys

from tests.sweep.command_lines import generate
from tests.sweep.compare import main

if __name__ == "__main__":
    sys.exit(main({"x86_64": generate, "i386": generate}, __doc__ or ""))
