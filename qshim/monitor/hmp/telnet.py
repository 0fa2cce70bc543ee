"""Telnet as QEMU's socket chardev speaks it: an offer at the start, and a filter for what comes (monitor.md 5.1)."""

from __future__ import annotations

__all__ = ["OFFER", "TelnetFilter"]

OFFER = bytes((0xFF, 0xFB, 0x01, 0xFF, 0xFB, 0x03, 0xFF, 0xFB, 0x00, 0xFF, 0xFD, 0x00))
"""Sent before anything else: will echo, will suppress go-ahead, will and do binary."""
_IAC, _BREAK = 0xFF, 0xF3


class TelnetFilter:
    """Takes telnet commands out of what a client sends."""

    def __init__(self) -> None:
        self._place = 1
        """Which byte of a command comes next; 1: none has begun."""

    def feed(self, data: bytes) -> bytes:
        """What is left of *data*. A doubled 255 is one; any other command is dropped: three bytes, a break two."""
        if self._place == 1 and _IAC not in data:
            return data
        out = bytearray()
        for byte in data:
            if self._place == 1:
                if byte == _IAC:
                    self._place = 2
                else:
                    out.append(byte)
            elif byte == _IAC and self._place == 2:
                out.append(byte)
                self._place = 1
            else:
                self._place += 2 if byte == _BREAK and self._place == 2 else 1
                if self._place >= 4:
                    self._place = 1
        return bytes(out)
