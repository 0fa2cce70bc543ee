"""QEMU's JSON dialect: what a QMP monitor accepts and how it prints (spec/monitor.md 1.1, 1.6 to 1.8).

QMP input is a *stream* of JSON values with or without white space between them, so nothing here
looks for lines. `Scanner` turns bytes into values and `JsonError`s, `dumps` turns a value into
QEMU's text. Four files: `strings` (string tokens, modified UTF-8), `assemble` (tokens to one value,
with the words of each dialect), `scanner` (bytes to tokens, limits, resynchronisation, positions,
and the fast path through the standard library), `writer` (values to text).
"""

from __future__ import annotations

from qshim.monitor.json.scanner import JsonError, Scanner
from qshim.monitor.json.writer import dumps

__all__ = ["JsonError", "Scanner", "dumps"]
