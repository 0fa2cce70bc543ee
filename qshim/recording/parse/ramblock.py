"""`info ramblock` (spec/memory.md 5.5), with or without the HVA and RO columns of 10.0, to block rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qshim.recording.parse.lines import Lines
from qshim.rows import BlockRow

__all__ = ["parse_blocks"]

_OLD_HEADER = "              Block Name    PSize              Offset               Used              Total"
_HEADER = _OLD_HEADER + "                HVA  RO"
_HEX = r"0x([0-9a-f]{16})"
_ROW = re.compile(rf" *(.*?) +(\d+(?:e\+\d+)?) (|Ki|Mi|Gi|Ti|Pi|Ei)B  {_HEX} {_HEX} {_HEX}(?: {_HEX} +(ro|rw))?")
_PREFIX = {prefix: 1024**power for power, prefix in enumerate(("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))}


def parse_blocks(text: str | Sequence[str], *, name: str = "info ramblock") -> tuple[BlockRow, ...]:
    """The RAM blocks of an `info ramblock` text, in list order.

    :raises RecordingError: a line is none of an `info ramblock`, or a column is missing.
    """
    lines = Lines(name, text)
    if not lines.lines:
        lines.fail("its header is missing", 0)
    header = lines.lines[0]
    if header not in (_OLD_HEADER, _HEADER):
        lines.fail("no header of an info ramblock", 0)
    hosts = header == _HEADER
    rows: list[BlockRow] = []
    for at in range(1, len(lines.lines)):
        match = _ROW.fullmatch(lines.lines[at])
        if match is None or (match[7] is not None) != hosts:
            lines.fail("no line of a RAM block", at)
        row = BlockRow(
            match[1], int(match[2]) * _PREFIX[match[3]], int(match[4], 16), int(match[5], 16), int(match[6], 16),
            int(match[7], 16) if hosts else None, match[8] == "ro" if hosts else None,
        )  # fmt: skip
        if row.used_length > row.max_length:
            lines.fail(f"used length {row.used_length:#x} exceeds the total {row.max_length:#x}", at)
        rows.append(row)
    return tuple(rows)
