"""object-add of types that are only names here: they are made, shown in the object tree and removed.

What each type checks when it is made was asked of 7.2, 10.0 and 11.1. Their secrets stay in this process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from qshim.monitor.registry import CommandError
from qshim.qom import QomObject

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["PLAIN", "PlainObject", "check_leaving"]

_MOST = (1 << 63) - 1
_BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")

Arguments = Mapping[str, object]


class PlainObject(QomObject):
    """An object without behaviour, with what it was made of."""

    __slots__ = ("values",)

    def __init__(self, kind: str, values: Arguments) -> None:
        super().__init__(kind)
        self.values: Arguments = dict(values)


def _unreadable(vm: Vm, path: str) -> str | None:
    return "Permission denied" if vm.files is None else vm.files.unreadable(path)


def _nothing(vm: Vm, given: Arguments) -> None:
    """Whatever it is told is fine."""


def _thread(vm: Vm, given: Arguments) -> None:
    for name, value in given.items():
        if isinstance(value, int) and not 0 <= value <= _MOST:
            raise CommandError(f"{name} value must be in range [0, {_MOST}]")


def _secret(vm: Vm, given: Arguments) -> None:
    file, data = given.get("file"), given.get("data")
    if file is not None and data is not None:
        raise CommandError("'file' and 'data' are mutually exclusive")
    if file is None and data is None:
        raise CommandError("Either 'file' or 'data' must be provided")
    if isinstance(file, str) and (reason := _unreadable(vm, file)) is not None:
        doing = "Error reading" if reason == "Is a directory" else "Failed to open"
        raise CommandError(f"Unable to read {file}: {doing} file \u201c{file}\u201d: {reason}")
    if given.get("keyid") is not None:
        raise CommandError("object-add of an encrypted secret is not modelled by qshim")
    if isinstance(data, str) and given.get("format") == "base64" and _BASE64.fullmatch(data) is None:
        raise CommandError("Base64 data contains invalid characters")


def _random(vm: Vm, given: Arguments) -> None:
    path = str(given.get("filename", "/dev/urandom"))
    reason = _unreadable(vm, path)
    if reason is not None:
        raise CommandError(f"Could not open '{path}': {reason}")


def _credentials(*names: str, needed: bool = False) -> Callable[[Vm, Arguments], None]:
    """A check that the first of the files *names* is in `dir`."""

    def check(vm: Vm, given: Arguments) -> None:
        folder = given.get("dir")
        if folder is None and needed:
            raise CommandError("Missing 'dir' property value")
        for name in names if isinstance(folder, str) else ():
            path = f"{folder}/{name}"
            reason = _unreadable(vm, path)
            if reason is not None:
                raise CommandError(f"Unable to access credentials {path}: {reason}")

    return check


PLAIN: Mapping[str, Callable[[Vm, Arguments], None]] = {
    "can-bus": _nothing,
    "iothread": _thread,
    "rng-builtin": _nothing,
    "rng-random": _random,
    "secret": _secret,
    "authz-simple": _nothing,
    "authz-list": _nothing,
    "throttle-group": _nothing,
    "tls-creds-anon": _nothing,
    "tls-creds-psk": _credentials("keys.psk"),
    "tls-creds-x509": _credentials("ca-cert.pem", needed=True),
    "thread-context": _nothing,
}
"""Type -> what it checks, raising CommandError."""


def check_leaving(vm: Vm, kind: str, name: str) -> None:
    """Whether an object of type *kind* may be removed.

    :raises CommandError: it stays for good.
    """
    if kind == "can-bus":
        raise CommandError(vm.quirks.can_bus_stays.format(name))
