"""Which real QEMUs this machine has: those of tests/qemu/install.sh, then those in PATH.

Tests that need one say with `needs(label, target)` what they would have checked; without the QEMU
they are skipped with that sentence, never passed. `python -m tests.support.oracle [TARGET...]` lists the paths.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

__all__ = ["LABELS", "TARGETS", "binaries", "directory", "needs"]

LABELS = ("7.2", "10.0", "11.1")
TARGETS = ("x86_64", "aarch64", "riscv64")
"""The targets whose machines are shipped as recordings."""

_OURS = re.compile(r"qemu-(\d+\.\d+)-system-([\w-]+)")


def directory() -> Path:
    """Where tests/qemu/install.sh puts emulators."""
    chosen = os.environ.get("QSHIM_QEMU_DIR")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "qshim-qemu"


@cache
def binaries() -> dict[tuple[str, str], str]:
    """(version label, target) -> path of the emulator; Debian's second names for a target are left out."""
    found: dict[tuple[str, str], str] = {}
    for wrapper in sorted((directory() / "bin").glob("qemu-*-system-*")):
        match = _OURS.fullmatch(wrapper.name)
        if match is not None and os.access(wrapper, os.X_OK):
            found[match[1], match[2]] = str(wrapper)
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for emulator in sorted(Path(folder).glob("qemu-system-*")) if folder else ():
            label = None if emulator.is_symlink() or emulator.suffix else _label(emulator)
            if label is not None:
                found.setdefault((label, emulator.name.removeprefix("qemu-system-")), str(emulator))
    return found


def needs(label: str, target: str) -> str:
    """The emulator for *label* and *target*; skips the calling test where there is none."""
    path = binaries().get((label, target))
    if path is None:
        pytest.skip(f"QEMU {label} for {target} is not installed (tests/qemu/install.sh), so it was not compared")
    return path


def _label(emulator: Path) -> str | None:
    try:
        told = subprocess.run([emulator, "--version"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"version (\d+\.\d+)", told)
    return match[1] if match else None


if __name__ == "__main__":
    wanted = sys.argv[1:]
    for (_, target), path in sorted(binaries().items()):
        if not wanted or target in wanted:
            print(path)
