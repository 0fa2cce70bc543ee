"""Names of topics: `<prefix>/<host>/<vm>/...`, with names that MQTT cannot have as they are."""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import PurePosixPath
from urllib.parse import unquote_to_bytes

__all__ = ["MachineTopics", "Names", "Topics", "escaped", "stem", "unescaped"]

_NONCHARACTERS = "".join(chr(plane << 16 | last) for plane in range(17) for last in (0xFFFE, 0xFFFF))
_SPECIAL = re.compile(rf"[/+#%\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufeff{_NONCHARACTERS}]")
"""What means something in a topic, and what brokers hang up on (MQTT 3.1.1, 1.5.3)."""
_LONGEST = 200
"""Characters of an escaped name; a topic has 65535 bytes at most, and names of files in QEMU are of any length."""


def escaped(name: str) -> str:
    """*name* as one level of a topic: `/ + # %`, control characters and bytes that are no UTF-8 as %XX.

    One that is longer than 200 characters is cut and ends in 12 hex digits of its hash.

    >>> escaped("web/1 +x")
    'web%2F1 %2Bx'
    """
    level = _SPECIAL.sub(lambda m: "".join(f"%{byte:02X}" for byte in _bytes(m[0])), name)
    if len(level) > _LONGEST:
        level = f"{level[:_LONGEST]}~{sha256(level.encode()).hexdigest()[:12]}"
    return level


def unescaped(level: str) -> str:
    """The name that *level* stands for, unless it was cut.

    >>> unescaped("web%2F1")
    'web/1'
    """
    return unquote_to_bytes(level).decode("utf-8", "surrogateescape")


def stem(address: str) -> str:
    """What a machine without a name is called: the stem of its monitor's unix socket, or HOST:PORT.

    >>> stem("/run/qemu/web.sock")
    'web'
    """
    if "/" not in address and ":" in address:
        return address
    return PurePosixPath(address).stem or address


def _bytes(character: str) -> bytes:
    try:
        return character.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # half of a pair, which a monitor may send as \ud800: it is no byte of a file's name
        return character.encode("utf-8", "surrogatepass")


@dataclass(frozen=True, slots=True)
class MachineTopics:
    """The topics of one machine; *base* is `<prefix>/<host>/<vm>`."""

    base: str

    @property
    def state(self) -> str:
        """Run state, and whether its monitor can be talked to."""
        return f"{self.base}/state"

    @property
    def layout(self) -> str:
        """Digest, totals and counts of its memory layout."""
        return f"{self.base}/layout"

    @property
    def full(self) -> str:
        """The whole layout as `qshim snapshot` writes it."""
        return f"{self.base}/layout/full"

    @property
    def diff(self) -> str:
        """What a change of the layout means."""
        return f"{self.base}/layout/diff"

    @property
    def command(self) -> str:
        """Where requests are read."""
        return f"{self.base}/command"

    @property
    def reply(self) -> str:
        """Where they are answered or refused."""
        return f"{self.base}/command/reply"

    def event(self, name: str) -> str:
        """The QMP event *name*."""
        return f"{self.base}/event/{escaped(name)}"

    def verdict(self, kind: str) -> str:
        """The last result of a comparison: *kind* is `crosscheck` or `check`."""
        return f"{self.base}/{kind}"


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one host."""

    prefix: str
    host: str

    @property
    def base(self) -> str:
        """What they all begin with."""
        return f"{self.prefix}/{escaped(self.host)}"

    @property
    def status(self) -> str:
        """`online` or `offline`: the last will."""
        return f"{self.base}/status"

    @property
    def dropped(self) -> str:
        """How many events were lost while the broker was away."""
        return f"{self.base}/dropped"

    @property
    def commands(self) -> str:
        """A filter for the command topics of all machines."""
        return f"{self.base}/+/command"

    def machine(self, name: str) -> MachineTopics:
        """The topics of the machine *name*."""
        return MachineTopics(f"{self.base}/{escaped(name)}")


class Names:
    """Gives each machine a name that no other one has, and keeps it as long as the machine wants the same."""

    def __init__(self) -> None:
        self._wanted: dict[Hashable, str] = {}
        self._given: dict[Hashable, str] = {}

    def claim(self, machine: Hashable, wanted: str) -> str:
        """The name of *machine*: *wanted*, or `WANTED-2` and so on where an earlier one has that."""
        if self._wanted.get(machine) != wanted:
            taken = {name for other, name in self._given.items() if other != machine}
            number, name = 1, wanted
            while name in taken:
                number += 1
                name = f"{wanted}-{number}"
            self._wanted[machine], self._given[machine] = wanted, name
        return self._given[machine]
