"""What a comparison of QMP replies with QEMU's may hide, and nothing else (spec/monitor.md 7)."""

from __future__ import annotations

import re

__all__ = ["masked"]

_PACKAGE = re.compile(r'"package": "[^"]*"')
_TIME = re.compile(r'"timestamp": \{"seconds": \d+, "microseconds": \d+\}')
_CLOCK = re.compile(r'("tm_(?:year|mon|mday|hour|min|sec)": )\d+')
_THREAD = re.compile(r'"thread-id": \d+, "(?=props|qom-type|aio-max-batch|poll)')
_THREAD_TEXT = re.compile(r"(?<=thread_id=)\d+")
_HOST_ADDRESS = re.compile(r"(0x[0-9a-f]{16} 0x[0-9a-f]{16} 0x[0-9a-f]{16}) 0x[0-9a-f]{16}(?=  r[wo])")
_PTY = re.compile(r"/dev/pts/\d+")
_PATH = re.compile(r"unix:/[^,]*")
_VERSION = re.compile(r'("return": "\d+\.\d+\.\d+)[^"]*?(?=\\r)')
_UNORDERED = ("query-memdev", "qom-list", "qom-list-types", "qom-list-properties", "device-list-properties")


def masked(command: str, line: str) -> str:
    """*line*, a reply to *command*, without what two processes of one QEMU need not share."""
    line = _PACKAGE.sub('"package": ""', line)
    line = _TIME.sub('"timestamp": {}', line)
    line = _CLOCK.sub(r"\g<1>0", line)
    line = _THREAD.sub('"thread-id": 0, "', line)
    line = _THREAD_TEXT.sub("0", line)
    line = _HOST_ADDRESS.sub(r"\1 0x0", line)
    line = _PTY.sub("/dev/pts/N", line)
    line = _PATH.sub("unix:", line)
    if command == "human-monitor-command":
        line = _VERSION.sub(r"\1", line)
        if line.startswith('{"return": "address-space: '):
            groups = line.removeprefix('{"return": "').removesuffix('"}').split("\\r\\n\\r\\n")
            line = "\\r\\n\\r\\n".join(sorted(groups))
    if command in _UNORDERED and line.startswith('{"return": [{'):
        inside = line.removeprefix('{"return": [{').removesuffix("}]}")
        line = '{"return": [{' + "}, {".join(sorted(inside.split("}, {"))) + "}]}"
    return line
