"""Replacing the paths of one machine by placeholders, so that a recording names no host.

A socket becomes `SOCK`, any other host path `ROOT/NAME` with the last component kept. Which strings
are host paths is known from the command line; in what QEMU returned, a path is recognised by the
directory it begins with, because QOM paths (`/machine/...`) and block names (`/rom@...`) look alike.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["Placeholders", "portable_argv"]

_SOCKET = re.compile(r"\bunix:([^,]+)|(?:socket,(?:[^,]+,)*path=)([^,]+)")
_ARGUMENT = re.compile(r"(?:^|(?<=[=,:]))(/[^,]+)")
_HOST_DIRECTORIES = (
    "boot", "data", "dev", "etc", "home", "media", "mnt", "nix", "opt", "private", "proc", "root", "run", "snap",
    "srv", "sys", "tmp", "usr", "var", "work",
)  # fmt: skip
_FOUND = re.compile(rf"(?<![\w@.\\/-])/(?:{'|'.join(_HOST_DIRECTORIES)})/[^\s\",;:]+")
_EMULATOR = re.compile(r"qemu-(?:[\w.]+-)?system-([\w-]+)$")


class Placeholders:
    """The replacements for one command line; `apply` makes them in any JSON value.

    >>> Placeholders(["-qmp", "unix:/run/a/vm.sock,server=on"]).apply("unix:/run/a/vm.sock,server=on")
    'unix:SOCK,server=on'
    """

    def __init__(self, argv: Sequence[str]) -> None:
        known: dict[str, str] = {}
        for word in argv[1:]:
            for match in _SOCKET.finditer(word):
                known[match[1] or match[2]] = "SOCK"
            for match in _ARGUMENT.finditer(word):
                known.setdefault(match[1], _rooted(match[1]))
        # a longer path first, or its own directory would be replaced inside it
        self._known = sorted(known.items(), key=lambda item: -len(item[0]))

    def apply(self, value: object) -> object:
        """*value* with every host path replaced, in strings however deep; keys stay."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.apply(entry) for entry in value]
        if isinstance(value, dict):
            return {key: self.apply(entry) for key, entry in value.items()}
        return value

    def text(self, text: str) -> str:
        """*text* with every host path replaced."""
        for path, placeholder in self._known:
            text = text.replace(path, placeholder)
        return _FOUND.sub(lambda match: _rooted(match[0]), text)


def portable_argv(argv: Sequence[str], target: str | None = None) -> tuple[str, ...]:
    """A QEMU command line without paths of the machine; the emulator gets its plain name.

    >>> portable_argv(["/opt/bin/qemu-7.2-system-arm", "-kernel", "/home/me/zImage"])
    ('qemu-system-arm', '-kernel', 'ROOT/zImage')
    """
    if not argv:
        return ()
    name = _EMULATOR.search(argv[0])
    if name is None:
        emulator = f"qemu-system-{target}" if target else argv[0].rpartition("/")[2]
    else:
        emulator = f"qemu-system-{name[1]}"
    places = Placeholders(argv)
    return (emulator, *(places.text(word) for word in argv[1:]))


def _rooted(path: str) -> str:
    return f"ROOT/{path.rstrip('/').rpartition('/')[2]}"
