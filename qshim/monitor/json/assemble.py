"""Tokens to one JSON value, with the words of each dialect for what is wrong (spec/monitor.md 1.7).

QEMU 7.2 and 10.0 parse a whole message top-down and read an object's key as a value of any kind;
11.1 parses token by token and wants a string there. Both agree on which token is the first wrong
one, so that one machine serves both and only the words differ.
"""

from __future__ import annotations

from qshim.monitor.json.strings import Problem, decode_string

__all__ = ["Assembler"]

# what may come next
_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _COLON, _IN_OBJECT, _IN_LIST = range(7)

_CONSTANTS: dict[bytes, bool | None] = {b"true": True, b"false": False, b"null": None}


class Assembler:
    """One value from tokens that arrive one by one.

    A token is its kind and its bytes. Kinds: the six punctuation characters, `"` string,
    `i` integer, `f` float, `k` keyword.
    """

    __slots__ = ("_containers", "_expect", "_incremental", "_keys", "_words", "value")

    def __init__(self, incremental: bool) -> None:
        """*incremental*: the machine and words of 11.1."""
        self._incremental = incremental
        self._words = _NEW_WORDS if incremental else _OLD_WORDS
        self.reset()

    def reset(self) -> None:
        """Forget everything; the next token begins a value."""
        self.value: object = None
        self._containers: list[list[object] | dict[str, object]] = []
        self._keys: list[str | None] = []
        self._expect = _VALUE

    def push(self, kind: str, token: bytes) -> None:
        """Take the next token; `value` holds the result once nesting is back to none.

        :raises Problem: the token cannot stand here, or its text is wrong.
        """
        expect = self._expect
        if expect >= _COLON:
            if expect == _COLON:
                if kind != ":":
                    raise Problem(self._words["colon"])
                self._expect = _VALUE
            elif expect == _IN_OBJECT:
                if kind == ",":
                    self._expect = _KEY
                elif kind == "}":
                    self._close()
                else:
                    raise Problem(self._words["object"])
            elif kind == ",":
                self._expect = _VALUE
            elif kind == "]":
                self._close()
            else:
                raise Problem(self._words["list"])
            return
        if (expect == _KEY_OR_END and kind == "}") or (expect == _VALUE_OR_END and kind == "]"):
            self._close()
        elif self._incremental and expect >= _KEY and kind != '"':
            raise Problem("expecting key")
        elif kind == '"':
            self._place(decode_string(token))
        elif kind == "{":
            self._containers.append({})
            self._keys.append(None)
            self._expect = _KEY_OR_END
        elif kind == "[":
            self._containers.append([])
            self._keys.append(None)
            self._expect = _VALUE_OR_END
        elif kind == "i":
            self._place(_integer(token))
        elif kind == "f":
            self._place(float(token))
        elif kind == "k":
            if token not in _CONSTANTS:
                raise Problem(f"invalid keyword '{token.decode('ascii')}'")
            self._place(_CONSTANTS[token])
        else:
            raise Problem("expecting value")

    def _close(self) -> None:
        self._keys.pop()
        self._place(self._containers.pop())

    def _place(self, value: object) -> None:
        """Put a complete value where it belongs."""
        if not self._containers:
            self.value = value
            return
        container = self._containers[-1]
        if isinstance(container, list):
            container.append(value)
            self._expect = _IN_LIST
            return
        key = self._keys[-1]
        if key is None:
            if not isinstance(value, str):
                raise Problem("key is not a string in object")
            self._keys[-1] = value
            self._expect = _COLON
            return
        if key in container:
            raise Problem("duplicate key")
        container[key] = value
        self._keys[-1] = None
        self._expect = _IN_OBJECT


_OLD_WORDS = {
    "colon": "missing : in object pair",
    "object": "expected separator in dict",
    "list": "expected separator in list",
}
_NEW_WORDS = {"colon": "expecting ':'", "object": "expected ',' or '}'", "list": "expected ',' or ']'"}


def _integer(token: bytes) -> int | float:
    """int64, else uint64, else a double, as QEMU chooses; beyond 20 digits no integer type can hold it."""
    if len(token) < 19:
        return int(token)
    if len(token) <= 21:
        value = int(token)
        if -(1 << 63) <= value < 1 << 64:
            return value
    return float(token)
