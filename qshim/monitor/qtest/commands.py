"""What each line of the qtest protocol does (spec/qtest-protocol.md).

Words are split at single blanks, numbers are C's (`0x10`, `010`, `16`). A line that makes a real QEMU
abort, because words are missing or are no numbers, is answered with `FAIL` and the reason instead.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence

from qshim.memory import AddressSpace
from qshim.memory.access import read, write
from qshim.monitor.qmp.paths import resolved
from qshim.monitor.registry import CommandError
from qshim.qom import QomObject
from qshim.vm import Vm

__all__ = ["Qtest", "Refused"]

_WIDTHS = {"b": 1, "w": 2, "l": 4, "q": 8}
_TOP = 1 << 64
_MOST_BYTES = 1 << 28
"""A longer read, write or memset is refused: its answer would fill the memory of whoever asks."""


class Refused(Exception):
    """A line that cannot be carried out; the text stands behind `FAIL`."""


class Qtest:
    """The qtest server of *vm*. With *clock* its virtual clock stands at 0 and is moved by clock_step and clock_set."""

    def __init__(self, vm: Vm, *, clock: bool = False) -> None:
        self._vm = vm
        self._clock: int | None = 0 if clock else None
        self._intercepted: QomObject | None = None
        self._verbs: dict[str, Callable[[Sequence[str]], str]] = {
            "endianness": self._endianness, "read": self._read, "write": self._write, "memset": self._memset,
            "b64read": self._b64read, "b64write": self._b64write, "irq_intercept_in": self._intercept,
            "irq_intercept_out": self._intercept_out, "set_irq_in": self._set_irq, "module_load": self._module,
        }  # fmt: skip
        for letter, width in _WIDTHS.items():
            self._verbs[f"read{letter}"] = self._reader(width)
            self._verbs[f"write{letter}"] = self._writer(width)
            if width < 8:
                self._verbs[f"in{letter}"] = self._port_reader(width)
                self._verbs[f"out{letter}"] = self._port_writer(width)
        if clock:
            self._verbs |= {"clock_step": self._step, "clock_set": self._set}

    def answer(self, line: str) -> str:
        """The reply to *line*, without its line end."""
        verb, *words = line.split(" ")
        act = self._verbs.get(verb)
        if act is None:
            return f"FAIL Unknown command '{verb}'"
        try:
            told = act(words)
        except Refused as refusal:
            return f"FAIL {refusal}".rstrip()
        return f"OK {told}" if told else "OK"

    # --- where accesses go ---

    def _space(self, *names: str) -> AddressSpace:
        spaces = {space.name: space for space in reversed(self._vm.topology.spaces)}
        for name in names:
            if name in spaces:
                return spaces[name]
        raise Refused(f"the machine has no address space {names[0]}")

    @property
    def _memory(self) -> AddressSpace:
        return self._space("cpu-memory-0", "memory")

    @property
    def _ports(self) -> AddressSpace:
        return self._space("I/O")

    def _number(self, words: Sequence[str], at: int) -> int:
        """Word *at* as an unsigned number of 64 bits."""
        if at >= len(words):
            raise Refused(f"argument {at + 1} is missing")
        text = words[at].strip()
        digits = text.lstrip("+-")
        base = 10
        if digits[:2].lower() == "0x":
            base, digits = 16, digits[2:]
        elif digits[:2].lower() == "0b" and self._vm.quirks.hmp_binary_numbers:
            base, digits = 2, digits[2:]
        elif digits[:1] == "0":
            base = 8
        try:
            value = int(digits, base) if "_" not in digits else -1
        except ValueError:
            value = -1
        if not 0 <= value < _TOP:
            raise Refused(f"'{words[at]}' is not a number")
        return -value % _TOP if text.startswith("-") else value

    def _length(self, words: Sequence[str], at: int) -> int:
        length = self._number(words, at)
        if length > _MOST_BYTES:
            raise Refused(f"{length} bytes are more than the {_MOST_BYTES} that fit into one line")
        return length

    def _word(self, words: Sequence[str], at: int) -> str:
        if at >= len(words):
            raise Refused(f"argument {at + 1} is missing")
        return words[at]

    # --- ports and memory by width ---

    def _port_reader(self, width: int) -> Callable[[Sequence[str]], str]:
        def act(words: Sequence[str]) -> str:
            data, _ = read(self._ports, self._number(words, 0) & 0xFFFF, width)
            return f"0x{int.from_bytes(data, 'little'):04x}"

        return act

    def _port_writer(self, width: int) -> Callable[[Sequence[str]], str]:
        def act(words: Sequence[str]) -> str:
            port, value = self._number(words, 0) & 0xFFFF, self._number(words, 1) % (1 << 8 * width)
            write(self._ports, port, value.to_bytes(width, "little"))
            return ""

        return act

    def _reader(self, width: int) -> Callable[[Sequence[str]], str]:
        def act(words: Sequence[str]) -> str:
            data, _ = read(self._memory, self._number(words, 0), width)
            return f"0x{int.from_bytes(data, 'little'):016x}"

        return act

    def _writer(self, width: int) -> Callable[[Sequence[str]], str]:
        def act(words: Sequence[str]) -> str:
            addr, value = self._number(words, 0), self._number(words, 1) % (1 << 8 * width)
            write(self._memory, addr, value.to_bytes(width, "little"))
            return ""

        return act

    # --- stretches of memory ---

    def _read(self, words: Sequence[str]) -> str:
        addr, length = self._number(words, 0), self._length(words, 1)
        if not length:
            raise Refused("nothing to read")
        return "0x" + read(self._memory, addr, length)[0].hex()

    def _write(self, words: Sequence[str]) -> str:
        addr, length, text = self._number(words, 0), self._length(words, 1), self._word(words, 2)
        # what is no digit counts as 0, and so does what is missing; the first two characters are 0x
        digits = "".join(c if c in "0123456789abcdefABCDEF" else "0" for c in text[2 : 2 + 2 * length])
        write(self._memory, addr, bytes.fromhex(digits.ljust(2 * length, "0")))
        return ""

    def _memset(self, words: Sequence[str]) -> str:
        addr, length, byte = self._number(words, 0), self._length(words, 1), self._number(words, 2) & 0xFF
        write(self._memory, addr, bytes([byte]) * length)
        return ""

    def _b64read(self, words: Sequence[str]) -> str:
        addr, length = self._number(words, 0), self._length(words, 1)
        return base64.b64encode(read(self._memory, addr, length)[0]).decode()

    def _b64write(self, words: Sequence[str]) -> str:
        addr, length, text = self._number(words, 0), self._length(words, 1), self._word(words, 2)
        alphabet = [c for c in text if c.isascii() and (c.isalnum() or c in "+/=")]
        digits = "".join(alphabet)
        try:
            data = base64.b64decode(digits[: len(digits) // 4 * 4])
        except binascii.Error:
            data = b""
        if self._vm.quirks.b64write_takes_told_length and length > len(data):
            # decoded in place: what follows is the rest of the text
            data = (data + text.encode()[len(data) :]).ljust(length, b"\0")
        write(self._memory, addr, data[:length])
        return ""

    # --- interrupts, modules, the clock ---

    def _endianness(self, words: Sequence[str]) -> str:
        return "big" if self._vm.topology.big_endian else "little"

    def _device(self, path: str) -> QomObject:
        try:
            return resolved(self._vm, path)
        except CommandError:
            raise Refused("Unknown device") from None

    def _intercept(self, words: Sequence[str]) -> str:
        found = self._device(self._word(words, 0))
        if self._intercepted is not None and self._intercepted is not found:
            raise Refused("IRQ intercept already enabled")
        self._intercepted = found
        return ""

    def _intercept_out(self, words: Sequence[str]) -> str:
        found = self._device(self._word(words, 0))
        if self._intercepted is None and len(words) > 1 and not self._vm.quirks.intercepts_unknown_lines:
            raise Refused("No intercepts installed")
        return self._intercept(words) if found is not None else ""

    def _set_irq(self, words: Sequence[str]) -> str:
        self._device(self._word(words, 0))
        self._word(words, 1)
        self._number(words, 2)
        self._number(words, 3)
        return ""

    def _module(self, words: Sequence[str]) -> str:
        self._word(words, 1)
        raise Refused

    def _step(self, words: Sequence[str]) -> str:
        assert self._clock is not None
        if not words:
            raise Refused("cannot advance clock to the next deadline because there is no pending deadline")
        return self._moved(self._clock + self._number(words, 0))

    def _set(self, words: Sequence[str]) -> str:
        return self._moved(self._number(words, 0))

    def _moved(self, to: int) -> str:
        assert self._clock is not None
        if to < self._clock or to >= 1 << 63:
            raise Refused(str(self._clock))
        self._clock = to
        return str(to)
