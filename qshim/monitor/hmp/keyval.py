"""Text that HMP turns into values: `key=value,...` of object_add, JSON, property values (spec/monitor.md 5.6)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from qshim.argv.dialect import object_help
from qshim.monitor.hmp.catalogue import fixed_text
from qshim.monitor.json import JsonError, Scanner
from qshim.monitor.registry import CommandError

if TYPE_CHECKING:
    from qshim.vm import Vm

__all__ = ["object_arguments", "parsed_json", "parsed_keyval", "parsed_opts", "property_value", "size_of"]

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*|[0-9]+")
_SIZE = re.compile(r"(?:0[xX]([0-9a-fA-F]+)|([0-9]+)(?:\.([0-9]*))?|\.([0-9]+))([bBkKmMgGtTpPeE]?)")
_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]*\Z")
_ID_HINT = "\nIdentifiers consist of letters, digits, '-', '.', '_', starting with a letter."
_ON, _OFF = ("on", "yes", "true", "y"), ("off", "no", "false", "n")
_U64 = (1 << 64) - 1


def parsed_json(vm: Vm, text: str) -> Any:
    """The value of JSON *text*.

    :raises CommandError: with QEMU's words for what is wrong.
    """
    scanner = Scanner(vm.quirks.json_incremental)
    found = scanner.feed(text.encode("utf-8", "surrogateescape") + b" ")
    problem = next((each for each in found if isinstance(each, JsonError)), None)
    if problem is not None:
        raise CommandError(problem.text)
    if found:
        return found[0]
    if vm.quirks.json_incremental:
        data = text.encode("utf-8", "surrogateescape")
        line, column = 1 + data.count(b"\n"), len(data) - (data.rfind(b"\n") + 1) + 1
        raise CommandError(f"{line}:{column}: JSON parse error, premature end of input")
    raise CommandError("JSON parse error, premature EOI")


def parsed_keyval(text: str, implied: str) -> tuple[dict[str, Any], bool]:
    """The members of `value,key=value,...`, dotted keys nested, all values text; and whether help was asked for.

    *implied*: the key of a first value without one. A comma in a value is doubled.

    :raises CommandError: with QEMU's words for what is wrong.
    """
    members: dict[str, Any] = {}
    wants_help = False
    at = 0
    while at < len(text):
        end = _value_end(text, at, "=,")
        key = text[at:end]
        if text[end : end + 1] != "=":
            value_end = _value_end(text, at, "=,")
            word = text[at:value_end]
            if word in ("help", "?"):
                wants_help = True
            elif at == 0 and implied and word:
                members[implied] = word
            else:
                valid = all(_KEY.fullmatch(part) for part in word.split("."))
                raise CommandError(f"Expected '=' after parameter '{word}'" if valid else f"Invalid parameter '{word}'")
            at = value_end + 1
            continue
        if not all(_KEY.fullmatch(part) for part in key.split(".")):
            raise CommandError(f"Invalid parameter '{key}'")
        stop = _value_end(text, end + 1, ",")
        _put(members, key, text[end + 1 : stop].replace(",,", ","))
        at = stop + 1
    return members, wants_help


def parsed_opts(text: str, implied: str) -> dict[str, Any]:
    """The members of `value,key=value,flag,...` as the older option parser reads them; a flag is `on`.

    Never raises: what a key may be called is left to who uses it.
    """
    members: dict[str, Any] = {}
    at = 0
    while at < len(text):
        end = _value_end(text, at, "=,")
        if text[end : end + 1] == "=":
            key, start = text[at:end], end + 1
        else:
            key, start = (implied, at) if at == 0 else (text[at:end], end)
        stop = _value_end(text, start, ",")
        members[key] = text[start:stop].replace(",,", ",") if key == implied or start > end else "on"
        at = stop + 1
    return members


def _value_end(text: str, at: int, stops: str) -> int:
    """Where the first of *stops* stands; a doubled comma is part of a value."""
    while at < len(text):
        if text[at] == "," and "=" not in stops and text[at + 1 : at + 2] == ",":
            at += 2
            continue
        if text[at] in stops:
            return at
        at += 1
    return at


def _put(members: dict[str, Any], key: str, value: str) -> None:
    parts = key.split(".")
    here = members
    for part in parts[:-1]:
        nested = here.setdefault(part, {})
        if not isinstance(nested, dict):
            raise CommandError(f"Parameters '{key}' used inconsistently")
        here = nested
    if isinstance(here.get(parts[-1]), dict):
        raise CommandError(f"Parameters '{key}.*' used inconsistently")
    here[parts[-1]] = value


# --- values of members ---


def size_of(name: str, text: str, old: bool = False) -> int:
    """*text* with an optional suffix, in bytes; *old*: as 7.2 reads it (Quirks.old_sizes).

    :raises CommandError: it is no size.
    """
    match = _SIZE.fullmatch(text)
    if match is not None:
        hexadecimal, whole, fraction, only, suffix = match.groups()
        scale = 1 << 10 * "BKMGTPE".index(suffix.upper() or "B")
        digits = fraction or only or ""
        if hexadecimal is not None:
            value = int(hexadecimal, 16) * scale
        elif digits.strip("0") and scale == 1:
            value = -1
        else:
            value = int(whole or "0") * scale + (int(digits) * scale // 10 ** len(digits) if digits else 0)
        if 0 <= value <= _U64 and not (hexadecimal and suffix and not old) and not (only and old):
            return value
    raise CommandError(f"Parameter '{name}' expects size")


def _switch(name: str, text: str) -> bool:
    if text not in _ON + _OFF:
        raise CommandError(f"Parameter '{name}' expects 'on' or 'off'")
    return text in _ON


def _integer(name: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise CommandError(f"Parameter '{name}' expects integer") from None


def _text(name: str, text: str) -> str:
    return text


def _choice(*allowed: str) -> Callable[[str, str], str]:
    def check(name: str, text: str) -> str:
        if text not in allowed:
            raise CommandError(f"Parameter '{name}' does not accept value '{text}'")
        return text

    return check


_BACKEND: Mapping[str, Callable[[str, str], object]] = {
    "dump": _switch, "merge": _switch, "prealloc": _switch, "share": _switch, "reserve": _switch, "size": size_of,
    "prealloc-threads": _integer, "prealloc-context": _text,
    "policy": _choice("default", "preferred", "bind", "interleave"), "x-use-canonical-path-for-ramblock-id": _switch,
}  # fmt: skip
_OF_TYPE: Mapping[str, Mapping[str, Callable[[str, str], object]]] = {
    "memory-backend-ram": _BACKEND,
    "memory-backend-epc": _BACKEND,
    "memory-backend-shm": _BACKEND,
    "memory-backend-memfd": {**_BACKEND, "hugetlb": _switch, "hugetlbsize": size_of, "seal": _switch},
    "memory-backend-file": {
        **_BACKEND, "align": size_of, "offset": size_of, "discard-data": _switch, "mem-path": _text,
        "pmem": _switch, "readonly": _switch, "rom": _choice("auto", "on", "off"),
    },
}  # fmt: skip
"""Members of the memory backends that may be written as text, and how each is read."""


def _readers(vm: Vm, kind: str) -> dict[str, Callable[[str, str], object]] | None:
    """How the members of a type without behaviour are read; None where *kind* is no such type."""
    from qshim.monitor.monitors import KINDS
    from qshim.monitor.qmp.extensions import schema_for
    from qshim.monitor.qmp.plainobjects import PLAIN

    if kind not in PLAIN and kind not in KINDS:
        return None
    types = schema_for(vm).types
    variants = types[str(types["object-add"]["arg-type"])]["variants"]
    members = next((types[each["type"]]["members"] for each in variants if each["case"] == kind), ())
    readers: dict[str, Callable[[str, str], object]] = {}
    for member in members:
        entity = types[member["type"]]
        if entity["meta-type"] == "enum":
            readers[member["name"]] = _choice(*entity["values"])
        else:
            readers[member["name"]] = {"boolean": _switch, "int": _integer}.get(entity.get("json-type", ""), _text)
    return readers


def object_arguments(vm: Vm, text: str) -> dict[str, Any] | str:
    """The arguments of object-add that *text* stands for, or the text of the help that it asks for.

    :raises CommandError: with QEMU's words for what is wrong.
    """
    if text.startswith("{"):
        value = parsed_json(vm, text)
        # lazy, as QMP has human-monitor-command and so imports HMP
        from qshim.monitor.qmp.extensions import schema_for

        if not isinstance(value, dict):
            raise CommandError("Invalid parameter type for 'null', expected: object")
        schema_for(vm).visitor("object-add").check(value)
        members: dict[str, Any] = dict(value)
        wants_help = False
    else:
        members, wants_help = parsed_keyval(text, "qom-type")
    kind = members.get("qom-type")
    if wants_help:
        told = object_help(vm.quirks.label).get(str(kind)) if kind else None
        return told if told is not None else fixed_text(vm.quirks.label, "object_add help") or ""
    if kind is None:
        raise CommandError("Parameter 'qom-type' is missing")
    known = fixed_text(vm.quirks.label, "object_add help") or ""
    if f"  {kind}\n" not in known:
        raise CommandError(f"Parameter 'qom-type' does not accept value '{kind}'")
    if isinstance(members.get("id"), dict):
        raise CommandError("Parameters 'id.*' are unexpected")
    if "id" not in members:
        raise CommandError("Parameter 'id' is missing")
    readers = _OF_TYPE.get(str(kind)) or _readers(vm, str(kind))
    if readers is None:
        raise CommandError(f"object_add {kind} is not modelled by qshim")
    if not text.startswith("{"):
        _read(members, readers, vm.quirks.old_sizes)
    # the size stands last: QEMU reads base members before those of the type
    needed = ["size"] if str(kind).startswith("memory-backend-") else []
    for name in [*needed, *(["mem-path"] if kind == "memory-backend-file" else [])]:
        if name not in members:
            raise CommandError(f"Parameter '{name}' is missing")
    if not _ID.match(str(members["id"])):
        raise CommandError(f"Parameter 'id' expects an identifier{_ID_HINT}")
    if not needed:
        from qshim.monitor.qmp.extensions import schema_for

        schema_for(vm).visitor("object-add").check(members)
    return members


def _read(members: dict[str, Any], readers: Mapping[str, Callable[[str, str], object]], old: bool) -> None:
    for name, value in list(members.items()):
        if name in ("qom-type", "id"):
            continue
        if name == "host-nodes":
            members[name] = _numbers(value)
        elif name not in readers:
            raise CommandError(f"Parameter '{name}' is unexpected")
        elif isinstance(value, dict):
            raise CommandError(f"Invalid parameter type for '{name}', expected: string")
        else:
            members[name] = size_of(name, value, old) if readers[name] is size_of else readers[name](name, value)


def _numbers(value: object) -> list[int]:
    if not isinstance(value, dict) or not all(key.isdigit() for key in value):
        raise CommandError("Invalid parameter type for 'host-nodes', expected: array")
    return [_integer(f"host-nodes[{key}]", text) for key, text in sorted(value.items(), key=lambda each: int(each[0]))]


def property_value(vm: Vm, path: str, name: str, text: str) -> object:
    """*text* as a value of the property *name*, by what the property holds now.

    :raises CommandError: with QEMU's words for what is wrong.
    """
    from qshim.monitor.hmp.bridge import ask

    try:
        now = ask(vm, "qom-get", {"path": path, "property": name})
    except CommandError:
        return text
    if isinstance(now, bool):
        return _switch(name, text)
    if isinstance(now, int):
        return _integer(name, text)
    return text
