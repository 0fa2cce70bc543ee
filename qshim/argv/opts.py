"""QEMU's `value,key=value,...` texts (QemuOpts): splitting, doubled commas, short booleans."""

from __future__ import annotations

from qshim.errors import UsageError

__all__ = ["on_off", "split"]


def split(text: str) -> list[tuple[str, str | None]]:
    """The members in order; a member without `=` has the value None. `,,` is a comma.

    >>> split("unix:/tmp/a,,b,server=on,nowait")
    [('unix:/tmp/a,b', None), ('server', 'on'), ('nowait', None)]
    """
    members: list[tuple[str, str | None]] = []
    for part in text.replace(",,", "\0").split(","):
        key, equals, value = part.replace("\0", ",").partition("=")
        members.append((key, value if equals else None))
    return members


def on_off(option: str, key: str, value: str | None) -> tuple[str, bool]:
    """A boolean member: its key without a short form's `no`, and its value.

    :raises UsageError: neither `on` nor `off`.
    """
    if value is None:
        return (key[2:], False) if key.startswith("no") else (key, True)
    if value in ("on", "yes", "true", "y"):
        return key, True
    if value in ("off", "no", "false", "n"):
        return key, False
    raise UsageError(f"{option}: Parameter '{key}' expects 'on' or 'off', not {value!r}")
