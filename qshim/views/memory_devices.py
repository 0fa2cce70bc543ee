"""Text of memory backends and memory devices (spec/monitor.md 5.6), made from what QMP says about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["memdev_text", "memory_devices_text"]

_SWITCHES = ("merge", "dump", "prealloc", "share")


def memdev_text(backends: Sequence[Mapping[str, Any]]) -> str:
    """`info memdev`: a paragraph for each entry of query-memdev, and an empty line."""
    text = ""
    for each in backends:
        if "id" in each:
            text += f"memory backend: {each['id']}\n"
        else:
            text += "memory backend: (null)\n"
        text += f"  size:  {each['size']}\n"
        text += "".join(f"  {name}: {_word(each[name])}\n" for name in _SWITCHES)
        if "reserve" in each:
            text += f"  reserve: {_word(each['reserve'])}\n"
        text += f"  policy: {each['policy']}\n  host nodes: {_ranges(each['host-nodes'])}\n"
    return text + "\n"


def _word(value: bool) -> str:
    return "true" if value else "false"


def _ranges(numbers: Sequence[int]) -> str:
    """A list of integers as QEMU's string visitor prints it: `0-2,5`."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


_ROWS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "dimm": (
        ("addr", "addr: {:#x}"), ("slot", "slot: {}"), ("node", "node: {}"), ("size", "size: {}"),
        ("memdev", "memdev: {}"), ("hotplugged", "hotplugged: {}"), ("hotpluggable", "hotpluggable: {}"),
    ),
    "virtio-pmem": (("memaddr", "memaddr: {:#x}"), ("size", "size: {}"), ("memdev", "memdev: {}")),
    "virtio-mem": (
        ("memaddr", "memaddr: {:#x}"), ("node", "node: {}"), ("requested-size", "requested-size: {}"),
        ("size", "size: {}"), ("max-size", "max-size: {}"), ("block-size", "block-size: {}"), ("memdev", "memdev: {}"),
    ),
    "sgx-epc": (("memaddr", "memaddr: {:#x}"), ("size", "size: {}"), ("node", "node: {}"), ("memdev", "memdev: {}")),
    "sp-mem": (("addr", "addr: {:#x}"), ("node", "node: {}"), ("size", "size: {}"), ("memdev", "memdev: {}")),
    "hv-balloon": (("memaddr", "memaddr: {:#x}"), ("max-size", "max-size: {}"), ("memdev", "memdev: {}")),
}  # fmt: skip
"""Lines of a memory device by its type; one whose member is missing is left out."""


def memory_devices_text(devices: Sequence[Mapping[str, Any]]) -> str:
    """`info memory-devices`: a paragraph for each entry of query-memory-devices."""
    text = ""
    for each in devices:
        data = each["data"]
        text += f'Memory device [{each["type"]}]: "{data.get("id", "")}"\n'
        for name, row in _ROWS["dimm" if each["type"] == "nvdimm" else each["type"]]:
            if name in data:
                value = data[name]
                text += f"  {row.format(_word(value) if isinstance(value, bool) else value)}\n"
    return text
