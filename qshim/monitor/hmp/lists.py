"""HMP's list of device types, as the real binary prints it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from qshim.monitor.hmp.cursor import LineError
from qshim.monitor.hmp.table import HMP, Call

__all__ = ["info_qdm"]


@cache
def _texts(label: str) -> dict[str, str]:
    import json
    import lzma

    # made by tests/tools/extract_lists.py
    path = Path(__file__).parents[2] / "data" / "device-list.json.xz"
    found: dict[str, dict[str, str]] = json.loads(lzma.decompress(path.read_bytes()))
    return found[label]


@HMP.command("info qdm")
def info_qdm(call: Call) -> str:
    """Every device type of the binary."""
    text = _texts(call.vm.quirks.label).get(call.vm.target)
    if text is None:
        raise LineError(f"info qdm is not modelled by qshim for {call.vm.target}\n")
    return text
