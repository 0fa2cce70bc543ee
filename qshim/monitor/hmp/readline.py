"""The line editor of the human monitor: keys in, redraws and finished lines out (spec/monitor.md 5.1).

It works on bytes, one at a time, and knows nothing of commands: completion is a function it is given.
After every key it prints what a terminal needs to show the line: back to the start of what was shown,
the whole line, erase to the end, then the cursor to its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["HISTORY", "LONGEST_LINE", "Completion", "Readline", "remember"]

LONGEST_LINE = 4095
"""Bytes of a line; more are dropped."""
HISTORY = 64
"""Lines that are remembered."""
_MOST_MATCHES = 256
_SCREEN = 80
_LEFT, _RIGHT, _ERASE = b"\x1b[D", b"\x1b[C", b"\x1b[K"
_CLEAR = b"\x1b[2J\x1b[1;1H"
_BLANKS = b" \t\n\v\f\r"

Completion = Callable[[bytes], tuple[int, Sequence[bytes]]]
"""(the line up to the cursor) -> (how many bytes of each match stand there already, the matches)."""


class Readline:
    """One line being edited. *out* gathers what the terminal gets; `feed` returns each finished line."""

    def __init__(
        self, prompt: bytes, history: list[str], complete: Completion, *, emacs_keys: bool = True
    ) -> None:
        """*history* is shared with whoever shows it. *emacs_keys*: ^N, ^P and ^U work (10.0)."""
        self._prompt = prompt
        self._history = history
        self._complete = complete
        self._emacs_keys = emacs_keys
        self._entry: int | None = None
        self._line = bytearray()
        self._at = 0
        self._shown = b""
        self._shown_at = 0
        self._state: Callable[[int], bytes | None] = self._plain
        self._number = 0
        self.out = bytearray()

    def show_prompt(self) -> None:
        """Print the prompt; what was shown before it is forgotten."""
        self.out += self._prompt
        self._shown, self._shown_at = b"", 0
        self._state = self._plain

    def restart(self) -> None:
        """Forget the line that was being typed."""
        self._line.clear()
        self._at = 0

    def feed(self, key: int) -> bytes | None:
        """One byte from the terminal; a line where it ends one."""
        line = self._state(key)
        if line is None:
            self._update()
        return line

    # --- keys ---

    def _plain(self, key: int) -> bytes | None:
        if key in (10, 13):
            return self._enter()
        if key == 27:
            self._state = self._escape
        elif key == 155:
            self._begin_sequence(self._csi)
        elif key in _KEYS:
            if self._emacs_keys or key not in _EMACS:
                _KEYS[key](self)
        elif key >= 32:
            self._insert(bytes((key,)))
        return None

    def _escape(self, key: int) -> bytes | None:
        self._state = self._plain
        if key == ord("["):
            self._begin_sequence(self._csi)
        elif key == ord("O"):
            self._begin_sequence(self._ss3)
        return None

    def _begin_sequence(self, state: Callable[[int], bytes | None]) -> None:
        self._state = state
        self._number = 0

    def _csi(self, key: int) -> bytes | None:
        if 48 <= key <= 57:
            # a C int that nobody looks at beyond 4
            self._number = min(self._number * 10 + key - 48, 1000)
            return None
        self._state = self._plain
        action: Callable[[Readline], None] | None
        if key == ord("~"):
            action = {1: Readline._begin, 3: Readline._delete, 4: Readline._end}.get(self._number)
        else:
            action = _CSI.get(key)
        if action is not None:
            action(self)
        return None

    def _ss3(self, key: int) -> bytes | None:
        self._state = self._plain
        if key == ord("F"):
            self._end()
        elif key == ord("H"):
            self._begin()
        return None

    def _enter(self) -> bytes:
        line = bytes(self._line)
        if line:
            remember(self._history, line.decode("utf-8", "surrogateescape"), self._entry)
            self._entry = None
        self.out += b"\r\n"
        self._line.clear()
        self._at = 0
        self._shown, self._shown_at = b"", 0
        return line

    # --- editing ---

    def _insert(self, data: bytes) -> None:
        if len(self._line) + len(data) <= LONGEST_LINE:
            self._line[self._at : self._at] = data
            self._at += len(data)

    def _begin(self) -> None:
        self._at = 0

    def _end(self) -> None:
        self._at = len(self._line)

    def _left(self) -> None:
        self._at = max(self._at - 1, 0)

    def _right(self) -> None:
        self._at = min(self._at + 1, len(self._line))

    def _delete(self) -> None:
        del self._line[self._at : self._at + 1]

    def _backspace(self) -> None:
        if self._at:
            self._at -= 1
            self._delete()

    def _delete_word(self) -> None:
        if not self._at:
            return
        start = self._at - 1
        while start > 0 and self._line[start] in _BLANKS:
            start -= 1
        while start > 0:
            if self._line[start] in _BLANKS:
                start += 1
                break
            start -= 1
        del self._line[start : self._at]
        self._at = start

    def _delete_to_start(self) -> None:
        del self._line[: self._at]
        self._at = 0

    def _older(self) -> None:
        if self._entry == 0:
            return
        if self._entry is None:
            self._entry = len(self._history)
        self._entry -= 1
        if self._entry < 0:
            self._entry = None
            return
        self._take(self._history[self._entry])

    def _newer(self) -> None:
        if self._entry is None:
            return
        self._entry += 1
        if self._entry < len(self._history):
            self._take(self._history[self._entry])
        else:
            self._entry = None
            self._take("")

    def _take(self, line: str) -> None:
        self._line[:] = line.encode("utf-8", "surrogateescape")
        self._at = len(self._line)

    def _clear_screen(self) -> None:
        self.out += _CLEAR
        self.show_prompt()

    def _tab(self) -> None:
        begun, found = self._complete(bytes(self._line[: self._at]))
        matches = list(dict.fromkeys(found))[:_MOST_MATCHES]
        if not matches:
            return
        if len(matches) == 1:
            for byte in matches[0][begun:]:
                self._insert(bytes((byte,)))
            if matches[0] and not matches[0].endswith(b"/"):
                self._insert(b" ")
            return
        matches.sort()
        self.out += b"\r\n"
        for byte in _common(matches)[begun:]:
            self._insert(bytes((byte,)))
        width = min(max(max(map(len, matches)) + 2, 10), _SCREEN)
        columns = _SCREEN // width
        for at in range(0, len(matches), columns):
            self.out += b"".join(match.ljust(width) for match in matches[at : at + columns]) + b"\r\n"
        self.show_prompt()

    def _update(self) -> None:
        if self._line != self._shown:
            self._shown = bytes(self._line)
            self.out += _LEFT * self._shown_at + self._shown + _ERASE
            self._shown_at = len(self._shown)
        if self._at != self._shown_at:
            step = self._at - self._shown_at
            self.out += _RIGHT * step if step > 0 else _LEFT * -step
            self._shown_at = self._at


def _common(matches: Sequence[bytes]) -> bytes:
    """What all of the sorted *matches* begin with."""
    first, last = matches[0], matches[-1]
    length = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:length]


def remember(history: list[str], line: str, edited: int | None = None) -> None:
    """Put *line* at the end of *history*, moved from where it stood; *edited*: the entry that was typed over."""
    if edited is not None and edited < len(history) and history[edited] == line:
        del history[edited]
    elif line in history:
        history.remove(line)
    elif len(history) == HISTORY:
        del history[0]
    history.append(line)


_KEYS: dict[int, Callable[[Readline], None]] = {
    1: Readline._begin, 4: Readline._delete, 5: Readline._end, 8: Readline._backspace, 9: Readline._tab,
    12: Readline._clear_screen, 14: Readline._newer, 16: Readline._older, 21: Readline._delete_to_start,
    23: Readline._delete_word, 127: Readline._backspace,
}  # fmt: skip
_EMACS = frozenset((14, 16, 21))
_CSI: dict[int, Callable[[Readline], None]] = {
    ord("A"): Readline._older, ord("B"): Readline._newer, ord("C"): Readline._right, ord("D"): Readline._left,
    ord("E"): Readline._newer, ord("F"): Readline._older,
}  # fmt: skip
